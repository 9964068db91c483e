"""What the tests of the sources share: four photographs of noise, private caches, and plain PGD to compare with."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn.functional import cross_entropy

from bench import data
from bench.attacks.autoattack import ApgdCe
from bench.attacks.pgd import PGD
from bench.core.types import Examples, ThreatModel
from bench.evaluation import evaluate
from bench.models import preprocessing
from bench.models.registry import load
from bench.suites import AttackSuite

THREAT_MODEL = ThreatModel.parse("Linf:1/255")
BRIEF = AttackSuite(name="brief", version=1, attacks=(PGD(steps=2), ApgdCe(steps=3)))
"""Real classes at 224 pixels cost seconds a step."""


@pytest.fixture(autouse=True)
def seeded() -> Iterator[None]:
    """The same weights drawn at random in every run."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


@pytest.fixture
def caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Empty caches of torch and of the hub, which nothing can be downloaded into: `torch` and `hub` in a folder."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))

    def offline(*_args, **_kwargs):
        raise OSError("no route to host")

    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)
    if importlib.util.find_spec("huggingface_hub") is not None:
        import huggingface_hub.constants

        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
        monkeypatch.setattr(huggingface_hub.HfApi, "model_info", offline)
    return tmp_path


@pytest.fixture
def in_hub(caches):
    """Make the folder of a cached repository, of one commit."""

    def made(repository: str, commit: str = "c" * 40, revision: str = "main") -> Path:
        root = caches / "hub" / f"models--{repository.replace('/', '--')}"
        (root / "refs").mkdir(parents=True, exist_ok=True)
        (root / "refs" / revision).write_text(commit)
        (root / "snapshots" / commit).mkdir(parents=True)
        return root / "snapshots" / commit

    return made


@pytest.fixture(scope="session")
def photographs(tmp_path_factory) -> Path:
    """A folder of four images of noise, of different sizes, two in each of two classes."""
    root = tmp_path_factory.mktemp("photographs")
    draw = np.random.default_rng(0)
    for number in range(4):
        file = root / f"class{number // 2}" / f"{number}.png"
        file.parent.mkdir(exist_ok=True)
        Image.fromarray(draw.integers(0, 256, (250 + 7 * number, 300, 3), dtype=np.uint8)).save(file)
    return root


@pytest.fixture
def files(photographs) -> list[Path]:
    """The photographs' files, in the order of the examples."""
    return [photographs / f"class{label}" / f"{2 * label + turn}.png" for turn in range(2) for label in range(2)]


@pytest.fixture
def loaded(photographs, tmp_path):
    """Load a model by name, with the photographs as it takes them; further classes have no photographs."""

    def made(name: str, num_classes: int = 1000, **options):
        names = tmp_path / "names.txt"
        names.write_text("\n".join(f"class{number}" for number in range(num_classes)))
        prepare = preprocessing(name, dataset=f"folder:{photographs}")
        dataset = data.load(f"folder:{photographs}", class_names=names, preprocessing=prepare)
        return load(name, dataset=dataset, **options), dataset

    return made


@pytest.fixture
def no_weaker_than_pgd():
    """Hold a suite against a few lines of PGD, on what the model itself says of the first images."""

    def check(module: torch.nn.Module, inputs: torch.Tensor, suite: AttackSuite | str = BRIEF) -> None:
        with torch.no_grad():
            labels = module(inputs).argmax(1)
        examples = Examples(inputs=inputs, labels=labels, indices=torch.arange(len(labels)))
        found = evaluate(module, examples, threat_model=THREAT_MODEL, suite=suite, precision="float32")
        broken = _plain_pgd(module, inputs, labels, float(THREAT_MODEL.epsilon), steps=2)
        assert all(found.clean)
        assert not any(robust and lost for robust, lost in zip(found.robust, broken.tolist(), strict=True))

    return check


def _plain_pgd(module, inputs, labels, epsilon, *, steps):
    moved = inputs
    broken = torch.zeros(len(labels), dtype=torch.bool)
    for _ in range(steps):
        moved = moved.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(cross_entropy(module(moved), labels, reduction="sum"), moved)
        moved = (inputs + (moved + epsilon * gradient.sign() - inputs).clamp(-epsilon, epsilon)).clamp(0, 1).detach()
        with torch.no_grad():
            broken |= module(moved).argmax(1) != labels
    return broken
