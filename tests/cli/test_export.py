"""`bench export`: what other tools get."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from bench import data, models

BOARD = Path(__file__).resolve().parents[2] / "leaderboard"
ROW = ("pgd-at", "found.npz", "--dataset", "digits", "--suite", "standard-v1", "--leaderboard", str(BOARD))


def test_a_rows_adversarial_examples_are_plain_arrays(bench, here):
    """Within the ball, misclassified as the file says, in 8 bits as near as can be, and data for bench again."""
    done = bench("export", *ROW)
    assert done.code == 0, done.err
    with np.load(here / "found.npz", allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    assert done.out == f"{len(arrays['indices'])} adversarial examples: found.npz\n" and len(arrays["indices"]) > 5
    assert (arrays["inputs"].dtype, arrays["inputs_uint8"].dtype) == (np.float32, np.uint8)
    digits = data.load("digits")
    own = digits.examples[torch.from_numpy(arrays["indices"])]
    assert (own.labels.numpy() == arrays["labels"]).all() and (own.inputs.numpy() == arrays["clean"]).all()
    assert np.abs(arrays["inputs"].astype(np.float64) - arrays["clean"]).max() <= 0.1 + 2**-23
    eighths = arrays["inputs_uint8"].astype(np.float32) / 255
    assert np.abs(eighths - arrays["inputs"]).max() <= 0.5 / 255 + 1e-6
    assert ((eighths == arrays["inputs"]).all(axis=(1, 2, 3)) == arrays["exact_uint8"]).all()
    model = models.load("pgd-at", dataset=digits)
    assert (model.module(torch.from_numpy(arrays["inputs"])).argmax(1).numpy() == arrays["predictions"]).all()
    again = data.load("found.npz")
    assert again.class_names == digits.class_names and len(again) == len(arrays["indices"])


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("pgd-at", "found.txt", *ROW[2:]), "ends in .npz"),
        (("pgd-at", "there.npz", *ROW[2:]), "--force replaces it"),
        (("pgd_at", "found.npz", *ROW[2:]), "Did you mean 'pgd-at'"),
        (("standard", "there.npz/found.npz", *ROW[2:]), "there.npz"),
    ],
)
def test_what_cannot_be_exported(bench, here, words, says):
    """One line, exit 2, and no file."""
    (here / "there.npz").write_bytes(b"mine")
    done = bench("export", *words)
    assert done.code == 2 and says in done.message
    assert (here / "there.npz").read_bytes() == b"mine" and not (here / "found.npz").exists()
