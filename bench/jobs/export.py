"""The adversarial examples of a row as plain arrays, for other tools."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench import data, leaderboard
from bench.core.errors import BenchError
from bench.data import Preprocessing
from bench.jobs.evidence import clean_inputs
from bench.jobs.lookup import Lookup
from bench.jobs.row_files import check_file
from bench.jobs.verify import check_data, dataset_name
from bench.leaderboard.store import EvidenceKind
from bench.row import Level
from bench.row.arrays import LEVELS, dump_arrays, merge_breaks
from bench.storage import Place, write_durably

__all__ = ["export"]


def export(path: Place, file: Path, lookup: Lookup, *, force: bool = False) -> int:
    """Write what broke the row's model, the suite's breaks and others', the strongest of each example.

    The file holds `inputs` (float32, what was judged), `inputs_uint8` (rounded to 8 bits), `exact_uint8` (whether these
    are the same image), `clean`, `labels`, `predictions`, `indices` in the official split and `class_names`; so it is
    data that `--dataset FILE.npz` takes, too.

    Args:
        path: of the row.
        file: where to write it, a name that ends in `.npz`.
        lookup: where the data is found.
        force: replace a file that is there.

    Returns:
        The number of examples in it.

    Raises:
        BenchError: if the row has no stored breaks, its data is not at hand, or the file is there.
    """
    if file.suffix.lower() != ".npz":
        raise BenchError(f"Expected the name of a file that ends in .npz, but got {str(file)!r:.80}.")
    if file.exists() and not force:
        raise BenchError(f"There is a file {file}; --force replaces it.")
    record = leaderboard.read(path)
    dataset = data.load(
        dataset_name(record, lookup),
        data_dir=lookup.data_dir,
        class_names=lookup.class_names,
        preprocessing=Preprocessing.parse(record.preprocessing) if record.preprocessing is not None else None,
    )
    if dataset.notice is not None:
        raise BenchError(f"The row needs the data {record.dataset}, but here is only a sample: {dataset.notice}")
    found = []
    checks = [check_data(record, dataset)]
    for kind in EvidenceKind:
        breaks, check = check_file(path, record, kind, dataset.shape)
        checks.append(check)
        if breaks is not None:
            found.append(breaks)
    wrong = next((check for check in checks if check.level is Level.FAIL), None)
    if wrong is not None:
        raise BenchError(f"Row {path} cannot be exported: {wrong.evidence}.")
    if not found:
        raise BenchError(f"Row {path} has no stored adversarial examples: {checks[1].evidence}.")
    breaks = merge_breaks(*found)
    clean = clean_inputs(breaks, dataset)
    inputs = breaks.inputs(clean)
    rounded = np.rint(inputs.astype(np.float64) * LEVELS).astype(np.uint8)
    arrays = {
        "inputs": inputs,
        "inputs_uint8": rounded,
        "exact_uint8": (rounded.astype(np.float32) / LEVELS == inputs).all(axis=(1, 2, 3)),
        "clean": clean,
        "labels": breaks.labels,
        "predictions": breaks.predictions,
        "indices": breaks.indices,
        "class_names": np.array(dataset.class_names, dtype=np.str_),
    }
    write_durably(file, dump_arrays(arrays))
    return len(breaks)
