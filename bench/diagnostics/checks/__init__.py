"""One file per check; `ENTRY` is the check. The numbers are those of the table in docs/doctor.md."""
