"""Weights files: told by content, and no code of theirs is ever run."""

from __future__ import annotations

import argparse
import io
import os
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save as save_safetensors
from safetensors.torch import save_file

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
        archive.writestr("w/net.pth", CONTENTS["zip"])
    refused(lambda: weights.read(tmp_path / "w.pt"), "w.pt", "hello.txt, w/net.pth; unpack it")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty"),
        (b"\n<!DOCTYPE html><html><head><title>Google Drive - Virus scan warning</title>", "web page"),
        (b"<html>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "Git LFS"),
        (pickle.dumps(STATE), "torch.save has not written"),
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
    refused(lambda: weights.read(Path("https://example.com/w.pt")), "download it first")


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


def test_a_changed_tensor_is_refused(tmp_path, refused):
    """No checksum is checked by torch: it would load what a disk or a download damaged, and give other logits."""
    bias = STATE["layer.bias"].numpy().tobytes()
    assert CONTENTS["zip"].count(bias) == 1
    (tmp_path / "w.pt").write_bytes(CONTENTS["zip"].replace(bias, bytes(len(bias))))
    refused(lambda: weights.read(tmp_path / "w.pt"), "damaged", "checksum of", "/data/1")


def test_checksums_may_be_switched_off(tmp_path):
    """As torch lets whoever saves a file do."""
    torch.serialization.set_crc32_options(False)
    try:
        torch.save(STATE, tmp_path / "w.pt")
    finally:
        torch.serialization.set_crc32_options(True)
    assert torch.equal(weights.read(tmp_path / "w.pt")["layer.bias"], STATE["layer.bias"])


@pytest.mark.parametrize("zipped", [True, False])
def test_another_protocol_of_pickle_is_no_damage(tmp_path, refused, zipped):
    """Said as it is, with the way out."""
    torch.save(STATE, tmp_path / "w.pt", pickle_protocol=4, _use_new_zipfile_serialization=zipped)
    refused(lambda: weights.read(tmp_path / "w.pt"), "another protocol", "weights_only=False")


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


def test_every_state_dict_of_a_file_is_found_the_likeliest_first(tmp_path):
    """By the dotted path of where it lies; an optimizer's numbers, and a module's own dicts, are no state dicts."""
    content = {
        "ema": STATE,
        "net": {"state_dict": STATE},
        "model": STATE | {"_extra_state": {"scale": torch.ones(1)}},
        "optimizer": {"state": {0: {"exp_avg": torch.ones(2)}}},
        "best": torch.tensor(3.0),
    }
    torch.save(content, tmp_path / "w.pt")
    assert list(weights.state_dicts(tmp_path / "w.pt")) == ["model", "net.state_dict", "ema", ""]


@pytest.mark.parametrize("key", ["model_state.net", "model_state.net.layer", "a.b", "a"])
def test_a_key_says_where_the_weights_lie(tmp_path, key):
    """Names of dicts, names with dots in them, and what names start with."""
    torch.save({"model_state": {"net": STATE, "gan": STATE}, "a.b": STATE, "a": {"c": STATE}}, tmp_path / "w.pt")
    (found, *rest) = weights.state_dicts(tmp_path / "w.pt", key=key)
    assert not rest
    assert found == ("a.c" if key == "a" else key)
    names = weights.state_dicts(tmp_path / "w.pt", key=key)[found].keys()
    assert names == {name.removeprefix("layer.") if key.endswith("layer") else name for name in STATE}


@pytest.mark.parametrize(("key", "hint"), [("model_stat", "nearest: 'model_state'"), ("epoch.x", "dict"), ("", "dict")])
def test_a_key_that_leads_nowhere_is_named(tmp_path, refused, key, hint):
    """With what is there, and the nearest of it."""
    torch.save({"model_state": STATE, "epoch": 3}, tmp_path / "w.pt")
    refused(lambda: weights.state_dicts(tmp_path / "w.pt", key=key), "w.pt", repr(key), hint)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize(
    "number", [np.float64(97.5), np.int64(-3), np.float32(0.5), np.bool_(True), np.dtype(">f8").type(2)]
)
def test_numbers_of_numpy_beside_the_weights_are_read(tmp_path, zipped, number):
    """An accuracy or an epoch that numpy computed does not stand in the way, and no code of numpy's is run for it."""
    (tmp_path / "w.pt").write_bytes(_torch_bytes({"net": STATE, "best": number}, zipped=zipped))
    assert weights.read(tmp_path / "w.pt").keys() == STATE.keys()
    (tmp_path / "w.pt").write_bytes(_torch_bytes(STATE | {"best": number}, zipped=zipped))
    assert weights.read(tmp_path / "w.pt")["best"] == number


@pytest.mark.parametrize("value", [np.zeros(3), np.datetime64("2020-01-01"), argparse.Namespace(lr=0.1)])
def test_what_is_more_than_a_number_is_refused_with_what_to_do(tmp_path, refused, value):
    """Arrays, dates and the settings of a training script: one line, with the two that save the weights alone."""
    torch.save({"state_dict": STATE, "args": value}, tmp_path / "w.pt")
    refused(lambda: weights.read(tmp_path / "w.pt"), "w.pt")


def test_the_settings_of_a_script_are_named_with_the_way_out(tmp_path, refused):
    """What is asked for, that it is not run, and how to save the weights without it."""
    torch.save({"state_dict": STATE, "args": argparse.Namespace(lr=0.1)}, tmp_path / "w.pt")
    message = refused(lambda: weights.read(tmp_path / "w.pt"), "'argparse.Namespace'", "refused")
    assert "c = torch.load(FILE, weights_only=False); torch.save(c['state_dict'], NEW)" in message
    assert len(message.replace(str(tmp_path), "")) < 300


def test_a_compressed_archive_is_refused_unread(tmp_path, refused):
    """A file of a few kilobytes must not become one of gigabytes."""
    torch.save({"weight": torch.zeros(1 << 20)}, tmp_path / "plain.pt")
    with zipfile.ZipFile(tmp_path / "plain.pt") as plain, zipfile.ZipFile(tmp_path / "w.pt", "w") as small:
        for entry in plain.infolist():
            small.writestr(entry.filename, plain.read(entry), compress_type=zipfile.ZIP_DEFLATED)
    assert (tmp_path / "w.pt").stat().st_size < 1 << 16
    refused(lambda: weights.read(tmp_path / "w.pt"), "compressed", "w.pt")


@pytest.mark.filterwarnings("ignore")
def test_other_peoples_archives_are_named(tmp_path, refused):
    """NumPy's and TorchScript's, with what to do."""
    np.savez(tmp_path / "w.npz", **{name: tensor.numpy() for name, tensor in STATE.items()})
    refused(lambda: weights.read(tmp_path / "w.npz"), "NumPy archive", "torch.from_numpy")
    torch.jit.script(torch.nn.Linear(2, 2)).save(str(tmp_path / "w.pt"))
    refused(lambda: weights.read(tmp_path / "w.pt"), "TorchScript", "torch.jit.load")


def test_pipes_and_devices_are_refused_at_once(tmp_path, refused):
    """Nobody waits for what will never be written, or reads what never ends."""
    os.mkfifo(tmp_path / "pipe.pth")
    refused(lambda: weights.read(tmp_path / "pipe.pth"), "named pipe")
    refused(lambda: weights.read(Path("/dev/zero")), "device")


def test_what_is_no_weights_file_is_told_without_reading_it(tmp_path, refused):
    """A page, and an archive of something else; weights of either kind pass."""
    page, archive, pickled, plain = (tmp_path / name for name in ("a.bin", "b.bin", "c.bin", "d.bin"))
    page.write_text("<html></html>")
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("notes.txt", "x")
    torch.save({"x": torch.zeros(1)}, pickled)
    save_file({"x": torch.zeros(1)}, plain)
    refused(lambda: weights.check(page), "web page")
    refused(lambda: weights.check(archive), "notes.txt")
    weights.check(pickled)
    weights.check(plain)
