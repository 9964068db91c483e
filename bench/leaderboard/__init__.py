"""The rows: where they lie (`store`), how two compare (`compare`), pages made of them, and `checks` of a board."""

from bench.leaderboard.store import (
    Identity,
    Written,
    amend,
    board_of,
    check_suite,
    find,
    locked,
    read,
    read_all,
    read_bytes,
    row_paths,
    suite_path,
    write,
)

__all__ = [
    "Identity",
    "Written",
    "amend",
    "board_of",
    "check_suite",
    "find",
    "locked",
    "read",
    "read_all",
    "read_bytes",
    "row_paths",
    "suite_path",
    "write",
]
