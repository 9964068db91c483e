"""What `bench run` is asked for, and what the names in it stand for."""

from __future__ import annotations

import dataclasses
import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from bench import data, models, suites
from bench.core import digest
from bench.core.errors import BenchError
from bench.core.plain_text import plain
from bench.core.types import Examples, ThreatModel
from bench.data import Dataset, Preprocessing
from bench.evaluation import (
    AUTO,
    FINGERPRINT_IMAGES,
    InputDigests,
    RunPlan,
    check_surrogates,
    default_journal,
    make_plan,
    precision_of_suite,
    take_fingerprint,
)
from bench.jobs.surrogates import chosen_surrogates
from bench.leaderboard.store import Identity
from bench.models import LoadedModel, preprocessing, source_of
from bench.storage import Place

__all__ = [
    "ROBUSTBENCH",
    "SAMPLES_ON_CPU",
    "ResolvedRun",
    "RunRequest",
    "check_name",
    "digests_of",
    "fingerprinted",
    "load_data",
    "pick_device",
    "resolve",
    "row_name",
]

SAMPLES_ON_CPU = 256
ROBUSTBENCH = "robustbench-"
"""How the names of the rows of RobustBench's models begin."""


@dataclass(frozen=True, kw_only=True)
class RunRequest:
    """What to evaluate, by name.

    Args:
        model: in any form of `bench.models.sources`.
        dataset: a dataset, `file.npz` or `folder:PATH`.
        leaderboard: folder of the rows, or its URL.
        suite: such as "standard-v1".
        stochastic: declare that the model is, whatever it says itself.
        queries: budget of an example, for a suite that has one; None for the suite's own.
        surrogates: models that the suite transfers from, in the same forms; none for those of the zoo.
        weights: a weights file for the model, or None.
        weights_key: where in that file, a dotted path; None for anywhere.
        name: what the row calls the model; None for `row_name`.
        data_dir: where data is looked up first, or None.
        class_names: a file with the model's classes, of which the user's own data may have some, or None.
        preprocessing: from the images of a folder to pixels, or None for what the model asks for.
        threat_model: such as "Linf:8/255"; None for the dataset's default.
        samples: the first so many examples; None with `indices`, or for the default.
        indices: a range `A:B` of examples, or None.
        budget: seconds that the run may take; it decides how many of the examples are evaluated. None for no limit.
        seed: of the attacks' draws.
        device: torch device; None for a GPU where there is one.
        engine: what runs attacks that have a choice; None for the suites' default.
        batch_size: most examples computed at once; None for the device's default.
        precision: of the fast engine's searches: "auto", "measured", "float32" or "bf16+float32".
        journal: folder, or URL, that keeps what is done; None for one in the user's cache.
        force: replace a row that differs.
        no_row: leave the leaderboard alone.
        command: the words that the row records as its command.
    """

    model: str
    dataset: str
    leaderboard: Place
    suite: str = "standard-v1"
    stochastic: bool = False
    queries: int | None = None
    surrogates: tuple[str, ...] = ()
    weights: Path | None = None
    weights_key: str | None = None
    name: str | None = None
    data_dir: Path | None = None
    class_names: Path | None = None
    preprocessing: Preprocessing | None = None
    threat_model: str | None = None
    samples: int | None = None
    indices: str | None = None
    budget: float | None = None
    seed: int = 0
    device: str | None = None
    engine: str | None = None
    batch_size: int | None = None
    precision: str = AUTO
    journal: Place | None = None
    force: bool = False
    no_row: bool = False
    command: tuple[str, ...] = ("bench", "run")


@dataclass(frozen=True, kw_only=True)
class ResolvedRun:
    """The things that a request names, and the plan of the run.

    Args:
        request: what was asked for.
        model: loaded and probed, with its fingerprint.
        dataset: the whole split.
        plan: of the evaluation.
        surrogates: the other models that it transfers from, in the plan's order.
    """

    request: RunRequest
    model: LoadedModel
    dataset: Dataset
    plan: RunPlan
    surrogates: tuple[LoadedModel, ...] = ()


def resolve(request: RunRequest, notify: Callable[[str], None], *, computed_on: str | None = None) -> ResolvedRun:
    """Look everything up, the quick things first.

    Args:
        request: what is asked for.
        notify: called with each thing that the user should know, one line.
        computed_on: kind of the workers' devices; None for that of the request.

    Raises:
        BenchError: if something in the request does not exist, or does not fit the rest.
    """
    if request.name is not None:
        check_name(request.name)
    asked = ThreatModel.parse(request.threat_model) if request.threat_model is not None else None
    suite = suites.get(request.suite, engine=request.engine or suites.DEFAULT_ENGINE, queries=request.queries)
    if request.surrogates:
        check_surrogates(suite, request.surrogates)
    precision_of_suite(request.precision, suite)
    if request.batch_size is not None and request.batch_size < 1:
        raise BenchError(f"Expected a batch size of at least 1, but got {request.batch_size}.")
    device = pick_device(request.device)
    dataset = load_data(
        request.dataset,
        models=[request.model, *request.surrogates],
        data_dir=request.data_dir,
        class_names=request.class_names,
        prepare=request.preprocessing,
        threat_model=asked,
        notify=notify,
    )
    examples = data.select(dataset, samples=request.samples, indices=request.indices)
    threat_model = asked or models.default_threat_model([request.model], dataset)
    model = models.load(
        request.model,
        weights=request.weights,
        weights_key=request.weights_key,
        dataset=dataset,
        threat_model=threat_model,
        device=device,
        stochastic=request.stochastic,
    )
    for remark in model.remarks:
        notify(remark)
    model = fingerprinted(model, dataset, device)
    surrogates = chosen_surrogates(
        request.surrogates, suite, model, dataset=dataset, threat_model=threat_model, device=device
    )
    if request.samples is None and request.indices is None and request.budget is None:
        examples = _by_default(examples, device, notify)
    plan = make_plan(
        model.module,
        examples,
        threat_model=threat_model,
        suite=suite,
        seed=request.seed,
        device=device,
        computed_on=computed_on,
        batch_size=request.batch_size,
        precision=request.precision,
        identity=digests_of(model, dataset),
        journal=request.journal or default_journal,
        surrogates={row_name(each, None): each.module for each in surrogates},
    )
    command = f"cd {shlex.quote(str(Path.cwd()))} && {shlex.join(request.command)}"
    plan = dataclasses.replace(plan, header=dataclasses.replace(plan.header, command=command))
    return ResolvedRun(request=request, model=model, dataset=dataset, plan=plan, surrogates=surrogates)


def digests_of(model: LoadedModel, dataset: Dataset) -> InputDigests:
    """What a journal says of the model and the data."""
    return InputDigests(
        model=model.digest, factory=model.factory_digest, dataset=dataset.digest, fingerprint=model.fingerprint
    )


def load_data(
    name: str,
    *,
    models: Sequence[str],
    data_dir: Path | None,
    class_names: Path | None,
    threat_model: ThreatModel | None,
    prepare: Preprocessing | None = None,
    notify: Callable[[str], None] = lambda line: None,
) -> Dataset:
    """Load the test split, with the pixels that the models are made for.

    Args:
        name: a dataset, `file.npz` or `folder:PATH`.
        models: names of those that will be asked, at least one.
        data_dir: where data is looked up first, or None.
        class_names: a file with the models' classes, of which the user's own data may have some, or None.
        threat_model: what was asked for, or None.
        prepare: from the images of a folder to pixels, whatever the models are made for; None for what they are.
        notify: called with each thing that the user should know of the data, one line.

    Raises:
        BenchError: if the data is missing or unusable, or the models take other pixels than each other.
    """
    if prepare is not None and not name.startswith(data.FOLDER):
        raise BenchError(
            f"--resize, --crop and --interpolation are for images in a folder, folder:PATH, but got {name!r}."
        )
    wanted = {each: prepare or preprocessing(each, dataset=name, threat_model=threat_model) for each in models}
    first, *others = wanted
    differs = next((each for each in others if wanted[each] != wanted[first]), None)
    if differs is not None:
        raise BenchError(
            f"Models {first!r} and {differs!r} take other pixels of {name}: {wanted[first]} and {wanted[differs]}."
            " Take models with the same."
        )
    dataset = data.load(name, data_dir=data_dir, class_names=class_names, preprocessing=wanted[first])
    for line in filter(None, (dataset.notice, *dataset.remarks)):
        notify(line)
    usual = data.DATASETS.get(name).preprocessing if name in data.DATASETS else None
    if dataset.preprocessing != usual:
        notify(f"Images as {'asked for' if prepare else f'{first} takes them'}: {dataset.preprocessing}")
    return dataset


def pick_device(name: str | None) -> torch.device:
    """The device called `name`; None picks a GPU where there is one.

    Raises:
        BenchError: if there is no such device on this machine.
    """
    available = [*(f"cuda:{number}" for number in range(torch.cuda.device_count())), "cpu"]
    if name is None:
        return torch.device(available[0])
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()  # a device that computes nothing has no numbers either
    except (RuntimeError, AssertionError, NotImplementedError, ImportError):
        raise BenchError(f"No device {name!r} on this machine. Available: {', '.join(available)}.") from None
    return device


def fingerprinted(model: LoadedModel, dataset: Dataset, device: torch.device) -> LoadedModel:
    """The model with its logits on fixed inputs of the data, which say what its weights and sources do not.

    Raises:
        BenchError: if it fails on them.
    """
    images = dataset.examples[:FINGERPRINT_IMAGES].inputs.to(device)
    return dataclasses.replace(model, fingerprint=take_fingerprint(model.module, images))


def check_name(name: str) -> None:
    """Refuse what a row cannot call a user's model.

    Raises:
        BenchError: if it leads to another model, or could not be a file's name.
    """
    if name in models.names() or name.startswith(ROBUSTBENCH):
        owner = "bench" if name in models.names() else "RobustBench"
        raise BenchError(f"The name {name!r} is that of a model of {owner}. Choose another --name.")
    Identity(suite="any", dataset="any", threat_model="Linf:1/2", model=name)


def row_name(model: LoadedModel, weights: Path | None) -> str:
    """What the row calls the model: its name, with a digest of what the name does not fix.

    So two weights files for a model of the zoo never share a row, nor do two models out of files of one name: of other
    weights, or of the same under other code.
    """
    stem = Path(plain(model.name).removeprefix("onnx:")).name.replace(".py:", "-")
    stem = re.sub(r"[^A-Za-z0-9._+=]+", "-", stem).strip("-.")[:80]
    if model.spec is not None:
        return stem if weights is None else f"{stem}-{model.digest[:8]}"
    if model.name.startswith("robustbench:") and weights is None:
        return stem
    if source_of(model.name).matches is None:  # a library's: its weights say which of all it is
        return f"{stem}-{model.digest[:8]}"
    return f"{stem}-{digest.of_json([model.digest, model.factory_digest])[:8]}"


def _by_default(examples: Examples, device: torch.device, notify: Callable[[str], None]) -> Examples:
    """All examples on an accelerator; on a CPU the first few, saying so."""
    total = len(examples)
    if device.type != "cpu" or total <= SAMPLES_ON_CPU:
        return examples
    notify(f"On a CPU, the first {SAMPLES_ON_CPU} of {total} examples. All of them: --samples {total}")
    return examples[:SAMPLES_ON_CPU]
