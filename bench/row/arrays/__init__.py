"""What of a row is arrays: adversarial examples, and the file they lie in. Rows themselves are read without numpy."""

from bench.row.arrays.adversarials import LEVELS, NOT_FINITE, Breaks, apply_deltas, merge_breaks, stronger
from bench.row.arrays.evidence_file import (
    GALLERY_SIZE,
    Gallery,
    dump_evidence,
    load_evidence,
    load_gallery,
    most_evidence_bytes,
)
from bench.row.arrays.npz import Array, Layout, compression_level, dump_arrays, load_arrays, read_array_header

__all__ = [
    "GALLERY_SIZE",
    "LEVELS",
    "NOT_FINITE",
    "Array",
    "Breaks",
    "Gallery",
    "Layout",
    "apply_deltas",
    "compression_level",
    "dump_arrays",
    "dump_evidence",
    "load_arrays",
    "load_evidence",
    "load_gallery",
    "merge_breaks",
    "most_evidence_bytes",
    "read_array_header",
    "stronger",
]
