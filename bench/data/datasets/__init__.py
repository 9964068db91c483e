"""One file per dataset; each holds one `DatasetSpec` called `ENTRY`."""
