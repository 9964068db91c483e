"""What a row of the leaderboard is: its record, its text, and the adversarial examples beside it. No torch."""

from bench.row.certificate import Certificate
from bench.row.check_result import CheckResult, Level
from bench.row.fingerprint import FINGERPRINT_TOLERANCE, Fingerprint, fingerprint_distance, same_function
from bench.row.indices import format_indices, listed_indices, parse_indices
from bench.row.manifest import Accuracy, ArchitectureSpec, Manifest
from bench.row.packing import pack_logits, pack_margins, pack_verdicts, unpack_margins, unpack_verdicts
from bench.row.record import (
    OWN_SUITE,
    AttackCost,
    AttackResult,
    Audit,
    BlackBox,
    Card,
    Cost,
    Digests,
    EvidenceFile,
    ExternalBreak,
    Provenance,
    Record,
    Result,
    StageCount,
)
from bench.row.result import Diagnostic, Reported
from bench.row.schema import OPTIONAL, from_json, to_json
from bench.row.serialization import MOST_ROW_BYTES, dump_row, load_row, result_bytes, row_digest
from bench.row.splits import LARGEST_SHAPE, RANKED_EXAMPLES, TEST_SPLITS, ranked_examples

__all__ = [
    "FINGERPRINT_TOLERANCE",
    "LARGEST_SHAPE",
    "MOST_ROW_BYTES",
    "OPTIONAL",
    "OWN_SUITE",
    "RANKED_EXAMPLES",
    "TEST_SPLITS",
    "Accuracy",
    "ArchitectureSpec",
    "AttackCost",
    "AttackResult",
    "Audit",
    "BlackBox",
    "Card",
    "Certificate",
    "CheckResult",
    "Cost",
    "Diagnostic",
    "Digests",
    "EvidenceFile",
    "ExternalBreak",
    "Fingerprint",
    "Level",
    "Manifest",
    "Provenance",
    "Record",
    "Reported",
    "Result",
    "StageCount",
    "dump_row",
    "fingerprint_distance",
    "format_indices",
    "from_json",
    "listed_indices",
    "load_row",
    "pack_logits",
    "pack_margins",
    "pack_verdicts",
    "parse_indices",
    "ranked_examples",
    "result_bytes",
    "row_digest",
    "same_function",
    "to_json",
    "unpack_margins",
    "unpack_verdicts",
]
