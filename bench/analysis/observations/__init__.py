"""The analyses: one file for each, found by its `ENTRY`."""
