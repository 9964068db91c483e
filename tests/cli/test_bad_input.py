"""Every mistake that a user can make: one line that names it, exit 2, and nothing written."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from bench import data
from bench.models import Accuracy, ArchitectureSpec, Manifest, checkpoint, store
from bench.models.architectures import ARCHITECTURES
from bench.storage import atomic_write

KWARGS = {"num_classes": 10, "in_channels": 1, "width": 2}


def contents(folder: Path) -> list[Path]:
    """All that lies in `folder`, but for what Python keeps of an imported file."""
    return sorted(path for path in folder.rglob("*") if "__pycache__" not in path.parts)


@pytest.fixture
def refused(run, here):
    """Run with more words, expect a refusal that contains every given text, and nothing new on the disk."""

    def check(*words: str, says: tuple[str, ...], code: int = 2) -> None:
        before = contents(here)
        result = run(*words)
        assert result.code == code, result.err
        assert result.out == ""
        message = result.message
        for text in says:
            assert text in message
        assert contents(here) == before

    return check


@pytest.fixture
def zoo(here, monkeypatch):
    """A checkpoint of `pgd-at` for the digits, as bench would ship it."""
    network = ARCHITECTURES.get("resnet18").build(**KWARGS)
    root = here / "shipped"
    manifest = Manifest(
        model="pgd-at",
        dataset="digits",
        architecture=ArchitectureSpec(name="resnet18", kwargs=KWARGS),
        recipe="pgd-at",
        scale="tiny",
        seed=0,
        data_digest="d" * 64,
        commit="c" * 40,
        date="2026-01-02",
        training_seconds=1.0,
        hardware="2 cores",
        licence="MIT",
        accuracies=(Accuracy(name="clean", checkpoint="best", split="test", n_examples=360, n_correct=360),),
    )
    checkpoint.write_checkpoint(root / "pgd-at", "digits", network.state_dict(), manifest)
    monkeypatch.setattr(store, "root", lambda: root)
    return root / "pgd-at"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--model", "aw-nett"), ("Unknown model 'aw-nett'", "Did you mean 'aw-net'?")),
        (("--dataset", "digit"), ("Unknown dataset 'digit'", "Did you mean 'digits'?")),
        (("--suite", "standart-v1"), ("Unknown suite 'standart-v1'", "Did you mean 'standard-v1'?")),
        (("--suite", "standard-v9"), ("Unknown suite 'standard-v9'", "Did you mean 'standard-v1'?")),
        (("--suite", "rand-v1"), ("does not declare itself", "--suite standard-v1", "--stochastic")),
        (("--stochastic",), ("declares itself stochastic", "--suite rand-v1")),
        (("--suite", "rand-v1", "--stochastic"), ("the same logits", "--suite standard-v1")),
        (("--engine", "warp"), ("Unknown engine 'warp'", "reference")),
        (("--threat-model", "Linf:0"), ("above 0", "Linf:8/255")),
        (("--threat-model", "Linf:-8/255"), ("above 0", "Linf:8/255")),
        (("--threat-model", "8"), ("NORM:EPSILON", "'8'")),
        (("--threat-model", "Linf:8"), ("below 1", "Linf:8/255")),
        (("--threat-model", "Linf:300/255"), ("below 1", "Linf:8/255")),
        (("--threat-model", "L7:0.5"), ("Unknown norm 'L7'", "Linf, L2, L1")),
        (("--threat-model", "L1:12"), ("does not know the norm L1", "--engine reference")),
        (("--threat-model", "L1:64", "--engine", "reference"), ("below 64", "L1:12")),
        (("--samples", "0"), ("at least 1 sample",)),
        (("--samples", "361"), ("at most 360", "digits")),
        (("--indices", "5:5"), ("A below B",)),
        (("--indices", "5"), ("A:B", "'5'")),
        (("--batch-size", "0"), ("at least 1",)),
        (("--device", "tpu"), ("No device 'tpu'", "cpu")),
        (("--device", "cuda:77"), ("No device 'cuda:77'", "cpu")),
        (("--data-dir", "nowhere", "--dataset", "cifar10"), ("No such data folder", "nowhere")),
        (("--data-dir", "nowhere"), ("No such data folder", "nowhere")),
        (("--weights", "nowhere.pth"), ("nowhere.pth",)),
        (("--dataset", "nowhere.npz"), ("nowhere.npz",)),
        (("--dataset", "folder:nowhere"), ("nowhere",)),
    ],
)
def test_a_wrong_name_or_value(refused, words, says):
    """The message has the value, what was expected, and the nearest thing that would do."""
    refused(*words, says=says)


@pytest.mark.parametrize(
    ("factory", "says"),
    [
        ("nets.py:goood", ("Unknown factory", "Did you mean 'good'?")),
        ("nowhere.py:good", ("nowhere.py",)),
        ("nets.py", ("path/to/file.py:factory",)),
        ("nets.py:raises", ("nets.py:raises", "RuntimeError: no such layer", "line")),
        ("nets.py:no_module", ("torch.nn.Module", "int")),
        ("nets.py:probabilities", ("probabilities", "logits")),
        ("nets.py:pair", ("tuple", "logits")),
        ("nets.py:three_classes", ("10 logits", "3")),
        ("nets.py:restless", ("is stochastic", "--stochastic", "--suite rand-v1")),
    ],
)
def test_a_model_that_is_none(refused, factory, says):
    """A factory that fails, or a model that does not answer with logits, is refused by name."""
    refused("--model", factory, says=says)


def good_state() -> dict[str, torch.Tensor]:
    return {"1.weight": torch.zeros(10, 64), "1.bias": torch.zeros(10)}


class Malicious:
    """A pickle that would make a file if anything executed it."""

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, ("executed", "w")


@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
def test_corrupt_and_truncated_weights(refused, here, name):
    """Noise and a half file are refused by name, whatever the ending."""
    (here / name).write_bytes(b"\x01noise" * 100)
    refused("--weights", name, says=(name,))
    save = save_file if name.endswith("safetensors") else torch.save
    save(good_state(), here / name)
    whole = (here / name).read_bytes()
    (here / name).write_bytes(whole[: len(whole) // 2])
    refused("--weights", name, says=(name,))


def test_weights_of_another_architecture(refused, here):
    """The message names the parameter and both shapes."""
    torch.save({**good_state(), "1.weight": torch.zeros(10, 65)}, here / "w.pth")
    refused("--weights", "w.pth", says=("1.weight", "10, 64", "10, 65"))
    torch.save({"2.weight": torch.zeros(10, 64)}, here / "w.pth")
    refused("--weights", "w.pth", says=("1.weight",))


def test_a_malicious_pickle_is_not_executed(refused, here):
    """Weights are data: a pickle with code in it is refused and does nothing."""
    torch.save({**good_state(), "x": Malicious()}, here / "zipped.pth")
    (here / "plain.pth").write_bytes(pickle.dumps({"x": Malicious()}))
    for name in ("zipped.pth", "plain.pth"):
        refused("--weights", name, says=(name,))
    assert not (here / "executed").exists()


def test_a_checkpoint_that_was_changed(refused, zoo):
    """One flipped byte, and the sha256 is off."""
    path = zoo / "digits.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    refused("--model", "pgd-at", says=("digits.safetensors", "sha256"))


def test_a_model_without_a_checkpoint_for_the_dataset(refused, zoo, cifar10_dir):
    """The message says for which there is one, and how to make this one."""
    refused(
        *("--model", "pgd-at", "--dataset", "cifar10", "--data-dir", str(cifar10_dir)),
        says=("has no checkpoint for 'cifar10'", "digits", "bench train --recipe pgd-at"),
    )


def test_a_clean_accuracy_that_is_not_what_the_manifest_claims(run, zoo):
    """No refusal, but a warning beside the number."""
    result = run("--model", "pgd-at", "--samples", "360")
    assert result.code == 0, result.err
    assert "manifest claims 360 of 360" in result.err


def test_a_damaged_batch_of_data(refused, here):
    """The file is named, and nothing of it is unpickled."""
    folder = here / "data" / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    for name in (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch", "batches.meta"):
        (folder / name).write_bytes(pickle.dumps({"x": Malicious()}))
    refused("--dataset", "cifar10", "--data-dir", "data", says=("Damaged data file", "data_batch_1", "MD5"))
    assert not (here / "executed").exists()


def test_labels_out_of_range(refused, here):
    """The label and its position are named."""
    labels = np.arange(20) % 3
    labels[7] = 3
    np.savez(here / "mine.npz", inputs=np.zeros((20, 1, 8, 8), np.uint8), labels=labels, class_names=["a", "b", "c"])
    refused("--dataset", "mine.npz", says=("labels from 0 to 2", "label 3 of example 7"))


def test_a_leaderboard_that_cannot_be_written(refused, here):
    """It is found before the work, not after."""
    (here / "file").touch()
    refused("--leaderboard", "file/board", says=("file/board", "Choose another folder"))


def test_a_journal_that_cannot_be_written(refused, here):
    """The folder is named."""
    (here / "file").touch()
    refused("--journal", "file/journal", says=("file/journal", "Choose a folder"))


@pytest.mark.skipif(os.name == "nt", reason="permissions of POSIX")
def test_no_write_permission(refused, here, run, monkeypatch):
    """As somebody who may not write there; the superuser steps down for it."""
    assert run("--leaderboard", "elsewhere", "--journal", "elsewhere/journal").code == 0  # all imports are done
    # Installed packages may lie where nobody else can read them, and then the model's own run needs nothing of them.
    digits = data.load("digits")
    monkeypatch.setattr("bench.data.load", lambda *_, **__: digits)
    monkeypatch.setattr("bench.models.store.root", unreadable)
    board = here / "board"
    board.mkdir(mode=0o555)
    (here / "open").mkdir()
    (here / "open").chmod(0o777)
    with nobody(here):
        refused("--leaderboard", "board", says=("board", "no permission"))
        refused("--leaderboard", "open", "--journal", "board/journal", says=("board/journal", "Permission denied"))


def unreadable():
    raise PermissionError(errno.EACCES, "Permission denied", "checkpoints")


@contextlib.contextmanager
def nobody(folder: Path):
    """Be a user without rights, where this is the superuser; `folder` stays readable."""
    if os.geteuid() != 0:
        yield
        return
    for path in (folder, *folder.parents[:3]):
        path.chmod(path.stat().st_mode | 0o055)
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_full_disk(run, here, monkeypatch):
    """One line, exit 3, since what was finished is kept; with space again, the same command completes the row."""
    real, left = os.fsync, [4]

    def full(descriptor: int) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(descriptor)

    monkeypatch.setattr(atomic_write.os, "fsync", full)
    result = run("--json")
    assert result.code == 3
    assert result.out == ""
    assert "No space left" in result.message
    assert not list((here / "leaderboard").rglob("*.json"))
    monkeypatch.undo()
    monkeypatch.chdir(here)
    assert json.loads(run("--json").out)["outcome"] == "written"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--suite", "blackbox-v1", "--queries", "0"), ("at least 10 queries", "got 0")),
        (("--queries", "50"), ("quick-v1 has no budget of queries", "--suite blackbox-v1")),
        (("--surrogate", "nets.py:good"), ("quick-v1 transfers from no other model",)),
        (("--suite", "blackbox-v1", *("--surrogate", "trades") * 3), ("1 to 2 surrogates for blackbox-v1", "got 3")),
        (("--suite", "blackbox-v1", "--surrogate", "tradse"), ("Unknown model 'tradse'", "'trades'")),
        (("--model", "onnx:none.onnx", "--suite", "blackbox-v1"), ("none.onnx",)),
    ],
)
def test_a_black_box_that_is_asked_for_wrongly(refused, words, says):
    """A budget that does not do, surrogates that are none, and a file that is not there."""
    refused(*words, says=says)
