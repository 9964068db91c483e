"""What strangers may send, made by chance from a seed, and what bench makes of it: `python malformed.py SEED COUNT`.

Runs in an empty working folder. Prints one JSON object: how many inputs were tried, each that was not answered as it
must be, the memory that was needed beyond that of a plain run, and the processor's time. `test_strangers.py` starts it.
"""

from __future__ import annotations

import base64
import contextlib
import copy
import io
import json
import os
import random
import resource
import shutil
import signal
import sys
import traceback
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save as save_tensors
from torch import nn

from bench import data
from bench.attacks.fgsm import FGSM
from bench.cli.main import app
from bench.core import digest
from bench.core.errors import BenchError
from bench.core.types import ThreatModel
from bench.evaluation import evaluate
from bench.models import checkpoint
from bench.models.fitting import fit
from bench.suites import AttackSuite

SECONDS = 60  # on a machine that is busy otherwise; alone, the slowest takes one
CODES = (0, 1, 2, 3)
NET = """
import torch
from torch import nn


def make():
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
"""
ODD_NUMBERS = (-1, 0, 1, 2**31, 2**63, 10**19, 1e308, -0.0, 0.5, float("inf"), float("nan"), 10**400)
ODD_TEXTS = (
    *("", " ", "\x00", "\x1b[31m", "\u202e", "\ud800", "../..", "/etc/passwd", "a" * 300, "a" * 5000, "~nosuchuser/x"),
    *(
        "0:100000000",
        "0:" + "9" * 4000,
        "5:4",
        "L2:1e999999999",
        "Linf:8/" + "9" * 4000,
        "L2:1e-99",
        "Linf:nan",
        "None",
    ),
    *("http://x", "foo://x", "memory://", "://", "s3://../x", "file://x", "zip://a", "github://a/b", "meta", "cuda:99"),
    *("1e400s", "99999999999h", "-5m", "1/0", "0/3", "9/3", "[0]", "<b>", "=1+1", "|", "`", "-", "--", "%s", "{}"),
)
ODD = (None, True, [], {}, [[]], {"a": 1}, *ODD_NUMBERS, *ODD_TEXTS)


class HungError(Exception):
    """An input took longer than any answer may."""


# --- how bytes, JSON and arrays go wrong ---


def odd_bytes(draw: random.Random, content: bytes) -> bytes:
    """Bytes flipped, cut, doubled, moved, or others altogether."""
    changed = bytearray(content)
    for _ in range(draw.choice((1, 1, 2, 8))):
        place = draw.randrange(len(changed) + 1)
        what = draw.randrange(6)
        if what == 0 and place < len(changed):
            changed[place] = draw.randrange(256)
        elif what == 1:
            del changed[place:]
        elif what == 2:
            del changed[place : place + draw.randrange(1, 64)]
        elif what == 3:
            changed[place:place] = draw.randbytes(draw.randrange(1, 64))
        elif what == 4:
            changed[place:place] = changed[: draw.randrange(1, 200)]
        elif place < len(changed):
            changed[place : place + 4] = draw.choice((b"\xff" * 4, bytes(4), b"\x7f\xff\xff\xff"))
    return bytes(changed)


def odd_json(draw: random.Random, value: Any) -> Any:
    """The value with one to three of its parts replaced, removed, doubled or added."""
    changed = copy.deepcopy(value)
    for _ in range(draw.choice((1, 1, 2, 3))):
        places = list(_places(changed))
        if not places:
            return draw.choice(ODD)
        inside, key = draw.choice(places)
        what = draw.randrange(6)
        if what == 0:
            del inside[key]
        elif what == 1 and isinstance(inside, list):
            inside += inside[: draw.choice((1, 300))]
        elif what == 2 and isinstance(inside, dict):
            inside[draw.choice(ODD_TEXTS)] = draw.choice(ODD)
        elif what == 3 and isinstance(inside[key], str):
            text = inside[key]
            inside[key] = draw.choice((text[:-4], text + text, text[::-1], text + draw.choice(ODD_TEXTS)))
        elif what == 4 and isinstance(inside[key], (int, float)) and inside[key] == inside[key]:
            inside[key] = draw.choice((-inside[key], inside[key] + 1, not inside[key], str(inside[key])))
        else:
            inside[key] = draw.choice(ODD)
    return changed


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in list(pairs):
        yield value, key
        yield from _places(each)


def odd_text(draw: random.Random, value: Any) -> bytes:
    """JSON text that is not what it should be, often before any field is looked at."""
    what = draw.randrange(10)
    if what == 0:
        return draw.choice(
            (b"", b"5", b"null", b"NaN", b"[]", b"{}", b'"x"', b"\xff\xfe", b"[" * 10_000, b'{"a":' * 9999)
        )
    if what == 1:
        return odd_bytes(draw, json.dumps(value).encode())
    if what == 2:
        text = json.dumps(value)
        return (text[:1] + text[1 : text.index(",") + 1] + text[1:]).encode()  # the first key twice
    return json.dumps(odd_json(draw, value)).encode()


def sealed_row(draw: random.Random, row: dict[str, Any]) -> bytes:
    """A row whose checksum is right, whatever else is wrong."""
    value = {key: each for key, each in row.items() if key != "checksum"}
    value = odd_json(draw, value)
    with contextlib.suppress(ValueError):
        if isinstance(value, dict):
            value["checksum"] = digest.of_json(value)
    return json.dumps(value).encode()


def odd_arrays(draw: random.Random, arrays: dict[str, Any]) -> bytes:
    """A `.npz` with arrays of other types and shapes, too few, too many, or headers that promise what is not there."""
    changed = dict(arrays)
    for _ in range(draw.choice((1, 1, 2))):
        name = draw.choice(list(changed) or ["inputs"])
        array = np.asarray(changed.get(name, 0))
        what = draw.randrange(9)
        if what == 0:
            changed.pop(name, None)
        elif what == 1:
            changed[draw.choice(("more", "../x", "indices", name + "2"))] = np.zeros(draw.choice((0, 3, 10**6)))
        elif what == 2:
            kind = draw.choice(("float64", "float16", "int8", "uint64", "bool", "U3", "complex64"))
            changed[name] = np.zeros(array.shape, kind)
        elif what == 3:
            changed[name] = np.full(array.shape, draw.choice((-1, 255, 10**9)), "int64")
        elif what == 4:
            changed[name] = np.full(array.shape, draw.choice((np.nan, np.inf, -np.inf, 1e30)), "float32")
        elif what == 5:
            changed[name] = array[..., None] if draw.random() < 0.5 else array.ravel()
        elif what == 6:
            changed[name] = np.zeros((0, *array.shape[1:]), array.dtype)
        elif what == 7:
            changed[name] = np.repeat(array[None] if array.ndim == 0 else array, draw.choice((2, 50)), axis=0)
        else:
            changed[name] = np.array(["\x1b[0m", "b" * 40])
    return zipped(draw, changed)


def zipped(draw: random.Random, arrays: dict[str, Any]) -> bytes:
    """An archive of arrays, and sometimes a header that lies, a member twice, or a bomb."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", draw.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as archive:
        for name, array in arrays.items():
            member = io.BytesIO()
            np.lib.format.write_array(member, np.asarray(array))
            content = member.getvalue()
            lie = draw.randrange(30)
            if lie == 0:
                header = "{'descr': '<U0', 'fortran_order': False, 'shape': (10000000000000, 2), }"
                content = _npy(header)
            elif lie == 1:
                content = _npy("{'descr': '<f4', 'fortran_order': False, 'shape': (" + "9" * 400 + ",), }")
            elif lie == 2:
                content = _npy("(" * 5000)
            elif lie == 3:
                content = odd_bytes(draw, content)
            elif lie == 4:
                content += bytes(32 << 20)
            archive.writestr(f"{name}.npy", content)
        if draw.randrange(20) == 0:
            for number in range(3000):
                archive.writestr(f"{number}.npy", b"")
    content = buffer.getvalue()
    return odd_bytes(draw, content) if draw.randrange(6) == 0 else content


def _npy(header: str) -> bytes:
    text = header.encode() + b"\n"
    return b"\x93NUMPY\x02\x00" + len(text).to_bytes(4, "little") + text


def odd_place(draw: random.Random, path: Path) -> bool:
    """Put something in the place of a file that is none; whether it was done."""
    what = draw.randrange(25)
    if what > 3:
        return False
    path.unlink(missing_ok=True)
    if what == 0:
        os.mkfifo(path)
    elif what == 1:
        path.mkdir()
    elif what == 2:
        path.symlink_to("/dev/zero")
    else:
        path.symlink_to(path.name)
    return True


# --- the kinds of input ---


class World:
    """A row with all that belongs to it, which each kind of input is made from."""

    def __init__(self) -> None:
        Path("net.py").write_text(NET)
        usual = ["--model", "net.py:make", "--dataset", "digits", "--suite", "quick-v1", "--samples", "8"]
        self.run = ["run", *usual, "--device", "cpu", "--quiet", "--journal", "journal", "--leaderboard", "whole"]
        assert called(self.run)[0] == 0
        assert called(["publish", "--leaderboard", "whole"])[0] == 0
        (self.row,) = Path("whole").glob("*/*/*/*.json")
        (self.evidence,) = Path("whole").glob("*/*/*/*.npz")
        self.record = json.loads(self.row.read_text())
        with np.load(self.evidence) as arrays:
            self.arrays = {name: arrays[name] for name in arrays.files}
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(64, 10)).eval()
        self.examples = data.load("digits").examples[:8]
        self.suite = AttackSuite(name="one", version=1, attacks=(FGSM(),))
        self.evaluate("entries")
        self.entries = sorted(Path("entries").glob("*/*.json"))

    def evaluate(self, journal: str) -> None:
        threat_model = ThreatModel.parse("Linf:1/10")
        evaluate(self.net, self.examples, threat_model=threat_model, suite=self.suite, journal=Path(journal))

    @contextlib.contextmanager
    def board(self) -> Iterator[Path]:
        shutil.copytree("whole", "board")
        try:
            yield Path("board")
        finally:
            shutil.rmtree("board")

    def look(self, draw: random.Random) -> None:
        """What is done to a board that a stranger changed."""
        words = draw.choice(
            (["check"], ["check", "--format", "github"], ["show"], ["publish"], ["show", self.row.stem])
        )
        code, _ = called(
            [*words, "--leaderboard", "board", *(["--checkpoints", "none"] if words[0] == "check" else [])]
        )
        if words == ["publish"]:
            # All or nothing: what was refused has changed no page.
            same = all(
                (Path("board") / path.relative_to("whole")).read_bytes() == path.read_bytes()
                for path in Path("whole").rglob("*.md")
                if (Path("board") / path.relative_to("whole")).is_file()
            )
            assert code == 0 or same, "half of a board was published"


def rows(draw: random.Random, world: World) -> None:
    with world.board() as board:
        path = board / world.row.relative_to("whole")
        if not odd_place(draw, path):
            seal = draw.random() < 0.7
            path.write_bytes(sealed_row(draw, world.record) if seal else odd_text(draw, world.record))
        world.look(draw)


def suites(draw: random.Random, world: World) -> None:
    with world.board() as board:
        path = board / "quick-v1" / "suite.json"
        definition = json.loads(path.read_text())
        if not odd_place(draw, path):
            path.write_bytes(odd_text(draw, definition))
        world.look(draw)


def pages(draw: random.Random, world: World) -> None:
    with world.board() as board:
        path = draw.choice([*board.glob("*.*"), *board.glob("model-index/*"), board / "model-index" / "stray.md"])
        if not odd_place(draw, path):
            before = path.read_bytes() if path.exists() else b""
            path.write_bytes(draw.choice((odd_bytes(draw, before), b'"' + b"x" * 200_000, b"\0\n", before * 2)))
        if draw.randrange(4) == 0:
            (board / os.fsdecode(b"\xff\x1b[31m.json")).touch()
        world.look(draw)


def evidence(draw: random.Random, world: World) -> None:
    with world.board() as board:
        old = board / world.evidence.relative_to("whole")
        old.unlink()
        content = odd_arrays(draw, world.arrays)
        sha256 = digest.of_content(content)
        path = old.with_name(f"{world.row.stem}.evidence.{sha256[:12]}.npz")
        record = {key: each for key, each in world.record.items() if key != "checksum"}
        record["evidence"] = {**record["evidence"], "sha256": sha256}
        (board / world.row.relative_to("whole")).write_text(json.dumps({**record, "checksum": digest.of_json(record)}))
        if not odd_place(draw, path):
            path.write_bytes(content)
        world.look(draw)


def weights(draw: random.Random, world: World) -> None:
    path = Path("w.pth")
    state: Any = {name: tensor.clone() for name, tensor in world.net.state_dict().items()}
    what = draw.randrange(6)
    if what == 0:
        state["1.weight"] = state["1.weight"].to(draw.choice((torch.float64, torch.int64, torch.bool, torch.complex64)))
    elif what == 1:
        state["1.weight"] = draw.choice((torch.zeros(10, 65), torch.zeros(1).expand(10, 64), torch.zeros(0), "x"))
    elif what == 2:
        state = draw.choice(({"model": state}, {"a": {"b": state}}, [state], {}, {"model": {"model": {}}}, 5, {1: 2}))
    buffer = io.BytesIO()
    try:
        if what % 2 and draw.random() < 0.5:
            buffer.write(save_tensors(state))
        else:
            torch.save(state, buffer, _use_new_zipfile_serialization=draw.random() < 0.7)
    except (AttributeError, TypeError, ValueError, RuntimeError):
        buffer.write(b"\x80\x02]")
    content = buffer.getvalue()
    if not odd_place(draw, path):
        path.write_bytes(odd_bytes(draw, content) if draw.random() < 0.7 else content)
    try:
        found = checkpoint.load_states(path, key=draw.choice((None, None, "model", "a.b")))
        fit(copy.deepcopy(world.net), found, name="net", path=path)
    finally:
        _remove(path)


def data_files(draw: random.Random, world: World) -> None:
    del world
    if draw.random() < 0.5:
        path = Path("mine.npz")
        usual = {
            "inputs": np.zeros((4, 1, 8, 8), np.uint8),
            "labels": np.arange(4),
            "class_names": np.array(list("abcd")),
        }
        if not odd_place(draw, path):
            path.write_bytes(odd_arrays(draw, usual))
        try:
            data.load(str(path))
        finally:
            _remove(path)
        return
    folder = Path("images")
    try:
        for name in ("a", "b"):
            (folder / name).mkdir(parents=True)
            Image.fromarray(np.zeros((8, 8), np.uint8)).save(folder / name / "0.png")
        path = folder / "b" / "0.png"
        kind = draw.choice(("PNG", "BMP", "TIFF", "WEBP", "JPEG", "PPM", "EPS", "GIF"))
        buffer = io.BytesIO()
        Image.fromarray(np.zeros((8, draw.choice((8, 9, 3000))), np.uint8)).convert("RGB").save(buffer, kind)
        if not odd_place(draw, path):
            path.write_bytes(odd_bytes(draw, buffer.getvalue()) if draw.random() < 0.8 else buffer.getvalue())
        data.load(f"folder:{folder}")
    finally:
        shutil.rmtree(folder)


def entries(draw: random.Random, world: World) -> None:
    shutil.copytree("entries", "changed")
    try:
        path = Path("changed") / draw.choice(world.entries).relative_to("entries")
        entry = json.loads(path.read_bytes().partition(b"\n")[2])
        if entry.get("breaks") and draw.random() < 0.4:
            entry["breaks"] = base64.b64encode(
                odd_arrays(draw, dict(np.load(io.BytesIO(base64.b64decode(entry["breaks"])))))
            ).decode()
            body = json.dumps(entry).encode()
        else:
            body = odd_text(draw, entry)
        if not odd_place(draw, path):
            path.write_bytes(digest.of_bytes(body).encode() + b"\n" + body + b"\n")
        world.evaluate("changed")
    finally:
        shutil.rmtree("changed")


OPTIONS = {
    "run": (
        *("--model", "--weights", "--dataset", "--data-dir", "--threat-model", "--suite", "--samples", "--indices"),
        *("--budget", "--seed", "--device", "--engine", "--precision", "--batch-size", "--executor", "--workers"),
        *("--devices", "--address", "--shard", "--leaderboard", "--journal"),
    ),
    "check": (
        "--against",
        "--dataset",
        "--threat-model",
        "--suite",
        "--leaderboard",
        "--checkpoints",
        "--junit",
        "--probe",
    ),
    "show": ("--dataset", "--threat-model", "--suite", "--leaderboard"),
    "verify": (
        "--dataset",
        "--threat-model",
        "--model",
        "--weights",
        "--add",
        "--data-dir",
        "--device",
        "--leaderboard",
    ),
    "doctor": ("--model", "--weights", "--dataset", "--threat-model", "--seconds", "--checks", "--device"),
    "merge": ("--journal", "--seed", "--samples", "--computed-on"),
    "publish": ("--leaderboard",),
    "list": (),
}


def arguments(draw: random.Random, world: World) -> None:
    command = draw.choice([*["run"] * 6, *OPTIONS])
    odd = draw.choice((*ODD_TEXTS, *map(str, ODD_NUMBERS[:-1]), "9" * 4000, "99999999999", "9" * 18))
    words = list(world.run) if command == "run" else [command, *([] if command in ("publish", "check") else ["x"])]
    if command == "doctor":
        words = ["doctor", "--model", "net.py:make", "--dataset", "digits", "--threat-model", "nothing"]
    if OPTIONS[command] and draw.random() < 0.9:
        option = draw.choice(OPTIONS[command])
        if command == "run" and option in ("--seed", "--batch-size", "--workers"):
            words += ["--threat-model", "nothing"] if draw.random() < 0.9 else []  # most of these would run
        words += [f"{option}={odd}"] if draw.random() < 0.2 else [option, odd]
    else:
        words += [odd]
    called(words)


KINDS: dict[Callable[[random.Random, World], None], int] = {
    rows: 6,
    suites: 2,
    pages: 2,
    evidence: 4,
    weights: 4,
    data_files: 4,
    entries: 4,
    arguments: 4,
}


# --- how it is answered ---


def called(words: list[str]) -> tuple[int, str]:
    """Call bench; its exit code and what it printed, which is held to what may be printed."""
    out, err = io.StringIO(), io.StringIO()
    code: object = None
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            app(words, prog_name="bench")
        except SystemExit as stop:
            code = stop.code
    told = out.getvalue() + err.getvalue()
    assert code in CODES, f"exit code {code}: {told[-300:]}"
    told.encode()
    assert all(letter.isprintable() or letter in "\n\t" for letter in told), f"unprintable: {told[-300:]!r}"
    for line in err.getvalue().splitlines():
        assert not line.startswith("bench: ") or len(line) <= 307, f"{len(line)} characters: {line:.400}"
    return int(str(code)), told


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        path.rmdir()
    else:
        path.unlink(missing_ok=True)


def _hung(*_: object) -> None:
    raise HungError(f"no answer within {SECONDS} seconds")


def main(seed: int, count: int) -> None:
    world = World()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    signal.signal(signal.SIGALRM, _hung)
    wrong = []
    kinds = [kind for kind, share in KINDS.items() for _ in range(share)]
    for number in range(count):
        draw = random.Random(f"{seed} {number}")
        kind = kinds[number % len(kinds)]
        signal.alarm(SECONDS)
        try:
            kind(draw, world)
        except BenchError as error:
            if error.exit_code not in CODES:
                wrong.append(f"{number} {kind.__name__}: exit code {error.exit_code}")
        except BaseException:  # noqa: BLE001 - each is a finding
            wrong.append(f"{number} {kind.__name__}: {traceback.format_exc()[-1500:]}")
        finally:
            signal.alarm(0)
    most = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) << 10
    seconds = resource.getrusage(resource.RUSAGE_SELF).ru_utime
    sys.stdout.write(json.dumps({"tried": count, "wrong": wrong, "most_bytes": most, "seconds": seconds}) + "\n")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
