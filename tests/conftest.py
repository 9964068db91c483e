"""What every test may use: real data where it is, published answers, and no trace left in the user's folders."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from bench.core.errors import BenchError
from bench.row.manifest import Accuracy, ArchitectureSpec, Manifest

if TYPE_CHECKING:
    from torch import nn

    from bench.core.types import Examples

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    marked = [item for item in items if item.get_closest_marker("gpu")]
    if not marked:
        return
    import torch

    if not torch.cuda.is_available():
        for item in marked:
            item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))


def missing(what: str) -> None:
    """Skip, or fail where the environment promises that all material is there."""
    if os.environ.get("BENCH_REQUIRE_DATA") == "1":
        pytest.fail(f"BENCH_REQUIRE_DATA=1, but {what}")
    pytest.skip(what)


@pytest.fixture(autouse=True)
def private_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Journals and downloads of a test go to a folder of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """A server that speaks S3, in this process."""
    pytest.importorskip("s3fs", reason="s3fs is not installed")
    server = pytest.importorskip("moto.server", reason="moto is not installed").ThreadedMotoServer(
        ip_address="127.0.0.1", port=0, verbose=False
    )
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3_bucket(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URL of an empty bucket; processes that a test starts find it too."""
    import s3fs

    from bench.storage import remote

    settings = {"ENDPOINT_URL": s3_endpoint, "ACCESS_KEY_ID": "key", "SECRET_ACCESS_KEY": "secret"}
    for name, value in {**settings, "DEFAULT_REGION": "us-east-1", "EC2_METADATA_DISABLED": "true"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    remote.filesystem.cache_clear()
    s3fs.S3FileSystem.clear_instance_cache()
    name = f"bench-{secrets.token_hex(8)}"
    remote.filesystem("s3").mkdir(name)
    yield f"s3://{name}"
    remote.filesystem.cache_clear()
    s3fs.S3FileSystem.clear_instance_cache()


@pytest.fixture
def refuse_to_list(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path, int], None]:
    """Have the system refuse to list one folder, also for a user who may do everything."""

    def refuse(folder: Path, code: int) -> None:
        def refusing(usual: Callable[[Any], Any]) -> Callable[[Any], Any]:
            def listed(path: Any = ".") -> Any:
                if Path(os.fspath(path)).resolve() == folder.resolve():
                    raise OSError(code, os.strerror(code), str(path))
                return usual(path)

            return listed

        for owner, name in ((os, "listdir"), (os, "scandir"), (Path, "iterdir")):  # Python 3.10 bound the first two
            monkeypatch.setattr(owner, name, refusing(getattr(owner, name)))

    return refuse


@pytest.fixture
def memory() -> str:
    """The URL of an empty folder in fsspec's store in memory."""
    return f"memory://bench-{secrets.token_hex(8)}"


@pytest.fixture(params=["memory", "s3_bucket"])
def store(request: pytest.FixtureRequest) -> str:
    """The URL of an empty folder, in memory and on a server that speaks S3."""
    return str(request.getfixturevalue(request.param))


@pytest.fixture(scope="session")
def cifar10_dir() -> Path:
    """The folder that holds `cifar-10-batches-py`."""
    named = os.environ.get("BENCH_DATA_DIR")
    if named is None or not (Path(named) / "cifar-10-batches-py").is_dir():
        missing("CIFAR-10 is not here: set BENCH_DATA_DIR to the folder that holds cifar-10-batches-py")
    return Path(str(named))


@pytest.fixture(scope="session")
def known_answers() -> Path:
    """The folder of models with published numbers."""
    folder = SHARED / "known_answers"
    if not folder.is_dir():
        missing("the known answers are not here: expected them in ../shared/known_answers")
    return folder


@pytest.fixture(scope="session")
def digits() -> Examples:
    """The first 60 test images of digits."""
    from bench import data

    return data.load("digits").examples[:60]


@pytest.fixture(scope="session")
def net() -> nn.Module:
    """A small convolutional network, adversarially trained on digits for a few steps."""
    import torch
    from torch import nn
    from torch.nn import functional

    from bench import data

    def one_step(chosen: Examples) -> torch.Tensor:
        leaf = chosen.inputs.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(functional.cross_entropy(model(leaf), chosen.labels), leaf)
        return (chosen.inputs + 0.1 * gradient.sign()).clamp(0, 1)

    generator = torch.Generator().manual_seed(0)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(16, 32, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(32 * 16, 10),
        )
    train = data.load("digits", split="train").examples
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(150):
        chosen = train[torch.randint(len(train), (128,), generator=generator)]
        moved = one_step(chosen)
        optimizer.zero_grad()
        functional.cross_entropy(model(moved), chosen.labels).backward()
        optimizer.step()
    return model.eval().requires_grad_(False)


@pytest.fixture
def manifest() -> Manifest:
    return Manifest(
        model="pgd-at",
        dataset="digits",
        architecture=ArchitectureSpec(name="resnet18", kwargs={"num_classes": 10, "in_channels": 1, "width": 2}),
        recipe="pgd-at",
        scale="tiny",
        seed=3,
        data_digest="d" * 64,
        commit="c" * 40,
        date="2026-01-02T03:04:05+00:00",
        training_seconds=12.5,
        hardware="2 cores",
        licence="MIT",
        accuracies=(Accuracy(name="clean", checkpoint="best", split="validation", n_examples=200, n_correct=150),),
        differences=("a network of width 2",),
        versions={"torch": "2.6.0"},
    )


@pytest.fixture
def refused():
    """Run something that must raise a `BenchError` of one line that contains every given text."""

    def check(call, *texts: str) -> str:
        with pytest.raises(BenchError) as caught:
            call()
        message = str(caught.value)
        assert "\n" not in message
        for text in texts:
            assert text in message
        return message

    return check
