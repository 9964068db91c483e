"""Where files lie and how they are read and written: local or in a store, whole or not at all, one writer at a time."""

from bench.storage.atomic_write import (
    check_writable,
    explain_write_errors,
    remove_unfinished,
    write_durably,
    write_together,
)
from bench.storage.lease import LEASE_SECONDS, is_claim
from bench.storage.listing import exists, matching
from bench.storage.lock import LOCK, Guard, held
from bench.storage.path import Place, expanded, place
from bench.storage.regular_file import MOST_WEIGHTS_BYTES, open_regular, read_regular, sha256_of

__all__ = [
    "LEASE_SECONDS",
    "LOCK",
    "MOST_WEIGHTS_BYTES",
    "Guard",
    "Place",
    "check_writable",
    "exists",
    "expanded",
    "explain_write_errors",
    "held",
    "is_claim",
    "matching",
    "open_regular",
    "place",
    "read_regular",
    "remove_unfinished",
    "sha256_of",
    "write_durably",
    "write_together",
]
