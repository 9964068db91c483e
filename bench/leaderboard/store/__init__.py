"""Rows on disk: where they and their files lie, how they are read, when they may be written."""

from bench.leaderboard.store.evidence import EvidenceKind, broken_of, link_of, path_of, read_breaks, read_file, shape_of
from bench.leaderboard.store.lock import board_of, locked
from bench.leaderboard.store.rows import Identity, find, read, read_all, read_bytes, row_paths, without_links
from bench.leaderboard.store.suite_file import SUITE_FILE, check_suite, read_suite, suite_path
from bench.leaderboard.store.writing import Written, amend, write

__all__ = [
    "SUITE_FILE",
    "EvidenceKind",
    "Identity",
    "Written",
    "amend",
    "board_of",
    "broken_of",
    "check_suite",
    "find",
    "link_of",
    "locked",
    "path_of",
    "read",
    "read_all",
    "read_breaks",
    "read_bytes",
    "read_file",
    "read_suite",
    "row_paths",
    "shape_of",
    "suite_path",
    "without_links",
    "write",
]
