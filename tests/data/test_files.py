"""Examples that stay in their files."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from bench.core.errors import BenchError
from bench.data.files import FileExamples, open_files
from bench.data.preprocessing import Preprocessing

PREPARE = Preprocessing(resize=10, crop=8)


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    """Twelve small images."""
    found = [tmp_path / f"{number}.png" for number in range(12)]
    for number, path in enumerate(found):
        pixels = np.random.default_rng(number).integers(0, 256, (10 + number, 12, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)
    return found


@pytest.fixture
def examples(paths: list[Path]) -> FileExamples:
    return open_files(paths, np.arange(12) % 3, PREPARE)


def test_inputs_are_the_files_pixels_as_fractions_of_255(examples: FileExamples, paths: list[Path]) -> None:
    """Float32 in [0, 1], in order, each file prepared; anew each time."""
    inputs = examples.inputs
    assert inputs.shape == (12, *examples.shape) == (12, 3, 8, 8) and inputs.dtype == torch.float32
    for path, found in zip(paths, inputs, strict=True):
        expected = PREPARE(path.read_bytes(), source=path).astype(np.float32) / np.float32(255)
        assert np.array_equal(found.numpy(), expected)
    assert examples.inputs.data_ptr() != inputs.data_ptr()
    assert examples.labels.tolist() == [0, 1, 2] * 4 and examples.indices.tolist() == list(range(12))


@pytest.mark.parametrize(
    "which", [slice(3, 9), slice(None, None, 5), torch.arange(12) % 2 == 0, torch.tensor([7, 1, 7]), slice(0, 0)]
)
def test_a_part_is_what_the_part_in_memory_is(examples: FileExamples, which: slice | torch.Tensor) -> None:
    """Slices, masks and index tensors, an empty one too; on the device the part is ordinary examples."""
    part, here = examples[which], examples.to("cpu")[which]
    assert not part.in_memory and here.in_memory and not isinstance(here, FileExamples)
    assert len(part) == len(here) and part.shape == examples.shape
    for one, other in ((part, here), (part.to("cpu"), here), (part.clone(), here)):
        assert torch.equal(one.inputs, other.inputs)
        assert torch.equal(one.labels, other.labels) and torch.equal(one.indices, other.indices)
    assert [len(each) for each in examples.split(5)] == [5, 5, 2]


def test_nothing_is_decoded_until_inputs_are_asked_for(paths: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Opening, digests, parts, order and pickling read no image."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr(Preprocessing, "__call__", refuse)
    examples = open_files(paths, np.zeros(12, np.int64), PREPARE)
    part = pickle.loads(pickle.dumps(examples[torch.arange(12).flip(0)][2:8].clone()))
    assert part.indices.tolist() == [9, 8, 7, 6, 5, 4] and part.digest
    with pytest.raises(AssertionError, match="decoded"):
        _ = part.inputs


def test_the_digest_is_of_content_labels_places_and_preparation(paths: list[Path], examples: FileExamples) -> None:
    """Other bytes, labels, order or preparation give another; where the files lie does not."""
    labels = np.arange(12) % 3
    moved = [path.rename(path.with_name(f"moved-{path.name}")) for path in paths]
    assert open_files(moved, labels, PREPARE).digest == examples.digest
    others = [
        open_files(moved, labels + 1, PREPARE).digest,
        open_files(moved[::-1], labels, PREPARE).digest,
        open_files(moved, labels, Preprocessing(resize=11, crop=8)).digest,
        open_files([moved[0], *moved[:-1]], labels, PREPARE).digest,
        examples[:11].digest,
    ]
    assert len({examples.digest, *others}) == 6


def test_a_file_that_changes_or_goes_is_noticed(paths: list[Path], examples: FileExamples) -> None:
    """Verdicts on other pixels than those of the digest are worth nothing."""
    paths[5].write_bytes(paths[4].read_bytes())
    assert examples[:5].inputs.shape[0] == 5
    with pytest.raises(BenchError, match=r"5\.png was changed while it was in use"):
        _ = examples.inputs
    paths[5].unlink()
    with pytest.raises(BenchError, match=r"Cannot read data file .*5\.png: No such file"):
        _ = examples.inputs
    with pytest.raises(BenchError, match=r"5\.png"):
        open_files(paths, np.zeros(12, np.int64), PREPARE)


def test_as_many_files_as_labels(examples: FileExamples) -> None:
    """Anything else is the programmer's error."""
    with pytest.raises(ValueError, match="Expected as many `files`"):
        FileExamples(files=(), labels=examples.labels, indices=examples.indices, prepare=PREPARE)
