"""Weights files: told by content, and no code of theirs is ever run."""

from __future__ import annotations

import io
import os
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save as save_safetensors

from bench.core.errors import BenchError
from bench.models import weights

STATE = {"layer.weight": torch.arange(6.0).reshape(2, 3), "layer.bias": torch.tensor([1.0, -1.0])}


def _torch_bytes(content: object, *, zipped: bool = True) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer, _use_new_zipfile_serialization=zipped)
    return buffer.getvalue()


CONTENTS = {
    "safetensors": save_safetensors(STATE),
    "zip": _torch_bytes(STATE),
    "legacy": _torch_bytes(STATE, zipped=False),
}


class _Payload:
    """What an attacker would pickle: a command that is run on loading."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.marker),)


@pytest.mark.parametrize("kind", CONTENTS)
@pytest.mark.parametrize("name", ["weights.safetensors", "weights.pt", "weights"])
def test_content_decides_not_the_name(tmp_path, kind, name):
    """Every format is read under any file name, bit for bit."""
    (tmp_path / name).write_bytes(CONTENTS[kind])
    read = weights.read(tmp_path / name)
    assert read.keys() == STATE.keys()
    assert all(torch.equal(read[key], STATE[key]) for key in STATE)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: {"state_dict": state, "epoch": 3},
        lambda state: {"model": state, "optimizer": {"lr": 0.1}},
        lambda state: {"net": {"state_dict": OrderedDict(state)}},
        lambda state: {"model_state_dict": state},
    ],
)
def test_wrappers_are_unwrapped(tmp_path, wrap):
    """A state dict is found inside what training scripts save around it."""
    torch.save(wrap(STATE), tmp_path / "w.pt")
    assert weights.read(tmp_path / "w.pt").keys() == STATE.keys()


@pytest.mark.parametrize("content", [{"epoch": 3, "lr": 0.1}, [1, 2], torch.zeros(3), {}, {"model": {"model": 1}}])
def test_other_contents_are_refused(tmp_path, refused, content):
    """A torch file without a state dict is refused with what was found instead."""
    torch.save(content, tmp_path / "w.pt")
    refused(lambda: weights.read(tmp_path / "w.pt"), "state dict", "w.pt")


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("wrapped", [True, False])
def test_a_malicious_pickle_is_not_run(tmp_path, refused, zipped, wrapped):
    """A file that asks for a command to be run is refused by the command's name, and the command is not run."""
    marker = tmp_path / "executed"
    payload = {"state_dict": dict(STATE), "evil": _Payload(marker)} if wrapped else _Payload(marker)
    (tmp_path / "w.pt").write_bytes(_torch_bytes(payload, zipped=zipped))
    refused(lambda: weights.read(tmp_path / "w.pt"), "mkdir", "refused")
    assert not marker.exists()


def test_the_malicious_pickle_is_a_real_one(tmp_path, refused):
    """A plain pickle of the same payload does run when unpickled, and does not when read as weights."""
    marker = tmp_path / "executed"
    content = pickle.dumps(_Payload(marker), protocol=2)
    (tmp_path / "w.pt").write_bytes(content)
    refused(lambda: weights.read(tmp_path / "w.pt"), "w.pt")
    assert not marker.exists()
    pickle.loads(content)
    assert marker.is_dir()


def test_a_whole_module_is_refused(tmp_path, refused):
    """A pickled module, which would need code to be run, is refused with how to save it instead."""
    torch.save(torch.nn.Linear(2, 2), tmp_path / "w.pt")
    refused(lambda: weights.read(tmp_path / "w.pt"), "torch.nn.modules.linear.Linear", "state_dict()")


def test_other_archives_are_refused(tmp_path, refused):
    """A zip archive that is no torch checkpoint is refused."""
    with zipfile.ZipFile(tmp_path / "w.pt", "w") as archive:
        archive.writestr("hello.txt", "hello")
    refused(lambda: weights.read(tmp_path / "w.pt"), "w.pt")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty"),
        (b"\n<!DOCTYPE html><html><head><title>Google Drive - Virus scan warning</title>", "web page"),
        (b"<html>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "Git LFS"),
        (b"hello, I am no weights file", "neither"),
        (b"\x1f\x8b" + b"\x00" * 50, "neither"),
    ],
)
def test_other_files_are_told_apart(tmp_path, refused, content, says):
    """What people have instead of weights is recognised and said."""
    (tmp_path / "w.pt").write_bytes(content)
    refused(lambda: weights.read(tmp_path / "w.pt"), says, "w.pt")


def test_missing_files_and_folders(tmp_path, refused):
    """A path without a file is named."""
    refused(lambda: weights.read(tmp_path / "none.pt"), "none.pt")
    refused(lambda: weights.read(tmp_path), str(tmp_path))


@pytest.mark.parametrize("kind", CONTENTS)
@settings(max_examples=60, deadline=None)
@given(part=st.floats(0, 1, exclude_max=True))
def test_a_truncated_file_is_one_line(tmp_path_factory, kind, part):
    """Cut anywhere, a file is refused in one line and never half read."""
    path = tmp_path_factory.mktemp("cut") / "w.pt"
    path.write_bytes(CONTENTS[kind][: int(part * len(CONTENTS[kind]))])
    with pytest.raises(BenchError) as caught:
        weights.read(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", CONTENTS)
@settings(max_examples=150, deadline=None)
@given(place=st.floats(0, 1, exclude_max=True), value=st.integers(0, 255))
def test_a_changed_byte_never_ends_in_a_traceback(tmp_path_factory, kind, place, value):
    """With any byte changed, a file gives a state dict or one line."""
    content = bytearray(CONTENTS[kind])
    content[int(place * len(content))] = value
    path = tmp_path_factory.mktemp("changed") / "w.pt"
    path.write_bytes(content)
    try:
        read = weights.read(path)
    except BenchError as error:
        assert "\n" not in str(error)
    else:
        assert all(isinstance(tensor, torch.Tensor) for tensor in read.values())


@pytest.mark.parametrize("zipped", [True, False])
def test_weights_saved_on_cuda_load_on_the_cpu(tmp_path, monkeypatch, zipped):
    """A file that says "cuda:0" of its tensors is read on a machine without CUDA."""
    monkeypatch.setattr(torch.serialization, "location_tag", lambda storage: "cuda:0")
    (tmp_path / "w.pt").write_bytes(_torch_bytes(STATE, zipped=zipped))
    assert b"cuda:0" in (tmp_path / "w.pt").read_bytes()
    assert weights.read(tmp_path / "w.pt")["layer.bias"].device.type == "cpu"
