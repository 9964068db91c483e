"""Train a checkpoint: recipe and data to weights with a manifest that says what they are worth."""

from __future__ import annotations

import copy
import math
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path

import torch
from torch import nn

from bench import data, models, suites
from bench.core import digest
from bench.core.errors import BenchError
from bench.core.plain_text import counted
from bench.core.types import Examples
from bench.data import Dataset
from bench.evaluation import evaluate
from bench.jobs.provenance import collect_provenance
from bench.jobs.request import pick_device
from bench.models import (
    Accuracy,
    ArchitectureSpec,
    Manifest,
    build_empty,
    rounded_state,
    weights_path,
    write_checkpoint,
)
from bench.models.architectures import ARCHITECTURES
from bench.suites import AttackSuite
from bench.training import (
    MEASURED,
    EpochResult,
    EventLog,
    Plan,
    Recipe,
    Run,
    SplitData,
    TrainingProgress,
    Validated,
    code_digest,
    held_out_size,
    model_name,
    unfinished,
    validated,
    write_csv,
)
from bench.training import train as train_loop
from bench.training.recipes import RECIPES

__all__ = ["TrainRequest", "Trained", "train"]

LICENCE = "MIT"


@dataclass(frozen=True, kw_only=True)
class TrainRequest:
    """What to train.

    Args:
        recipe: name of the recipe.
        dataset: name of the dataset.
        scale: `paper`, `medium`, `small` or `tiny`; None for what fits the dataset.
        epochs: another number of epochs than the plan's, or None.
        minutes: as many epochs as fit in so many minutes, or None; what is measured on test images comes after them.
        seed: of every draw.
        out: folder of checkpoints; the result is `out/<model>/<dataset>.safetensors`.
        data_dir: where the dataset lies.
        device: torch device, or None for a GPU where there is one.
        test_samples: the finished weights are tried on the first so many test examples; None for all.
        force: train over a finished checkpoint, and over what another run left; what is unfinished of this run goes on.
    """

    recipe: str
    dataset: str
    out: Path
    scale: str | None = None
    epochs: int | None = None
    minutes: float | None = None
    seed: int = 0
    data_dir: Path | None = None
    device: str | None = None
    test_samples: int | None = None
    force: bool = False


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A finished checkpoint: the weights file, its manifest, the epochs, and the TensorBoard log if one was written."""

    weights: Path
    manifest: Manifest
    history: tuple[EpochResult, ...]
    event_log: Path | None


def train(
    request: TrainRequest,
    *,
    on_progress: Callable[[TrainingProgress], None] = lambda progress: None,
    on_epoch: Callable[[EpochResult, int], None] = lambda result, epochs: None,
) -> Trained:
    """Train as asked, or continue an interrupted run of the same kind.

    Args:
        request: what to train.
        on_progress: called about once a second.
        on_epoch: called with each finished epoch and the number of all.

    Raises:
        BenchError: if a name is unknown, a teacher is missing or of another dataset, the checkpoint exists, a snapshot
            in the way belongs to another run, or not one epoch fits in the minutes.
        WorkFailedError: if the loss is no longer finite or the disk is full.
    """
    began = time.monotonic()
    recipe = RECIPES.get(request.recipe)
    dataset = data.load(request.dataset, data_dir=request.data_dir, split="train")
    scale = request.scale or ("tiny" if max(dataset.shape) < 32 else "small")
    plan = usual = recipe.plan(scale)
    if request.epochs is not None:
        plan = replace(plan, epochs=request.epochs)
    schedule = _schedule(request, plan)
    if request.test_samples is not None:
        _test_images(request)  # so that a number which cannot be is told before the training
    name = model_name(recipe.name, scale)
    folder = request.out / name
    _check_free(folder, dataset.name, request.force)
    device = pick_device(request.device)
    spec = ArchitectureSpec(
        name=plan.architecture,
        kwargs={**plan.arguments, "num_classes": dataset.num_classes, "in_channels": dataset.shape[0]},
    )
    model = _initial(spec, request.seed)
    origins = {}
    if plan.starts_from is not None:
        start = model_name(plan.starts_from, scale)
        source = _trained(start, scale, request, dataset, device)
        _warm_start(model, spec, source)
        origins[start] = models.state_digest(source.state_dict())
    teachers = _teachers(recipe, scale, request, dataset, device)
    for role, teacher in teachers.items():
        origins[model_name(recipe.teachers[role], scale)] = models.state_digest(teacher.state_dict())
    identity = _identity(recipe, scale, plan, schedule, dataset, request.seed, model, spec, origins, device)
    snapshot = folder / f"{dataset.name}.snapshot.pt"
    if request.force and not unfinished(snapshot, identity):
        snapshot.unlink(missing_ok=True)
    run = Run(model=model, identity=identity)

    events = EventLog(folder / f"{dataset.name}.tensorboard")

    def finished(run: Run) -> None:
        write_csv(folder / f"{dataset.name}.csv", run.history)
        events.add(run.history)
        on_epoch(run.history[-1], run.epochs)

    with events:
        run = train_loop(
            run,
            plan,
            dataset.examples,
            dataset.default_threat_model,
            seed=request.seed,
            device=device,
            snapshot_path=snapshot,
            seconds=None if request.minutes is None else 60 * request.minutes - (time.monotonic() - began),
            teachers=teachers,
            on_progress=on_progress,
            on_epoch=finished,
        )
    stored = rounded_state(run.best)
    module = copy.deepcopy(run.kept)
    module.load_state_dict(stored)
    manifest = replace(_manifest(recipe, scale, plan, spec, dataset, run, request.seed, device), origins=origins)
    if run.epochs != usual.epochs:
        shorter = f"{counted(run.epochs, 'epoch')} instead of the recipe's {usual.epochs}"
        manifest = replace(manifest, differences=(*manifest.differences, shorter))
    manifest = replace(manifest, accuracies=_accuracies(module, run.history[-1], plan, dataset, request, device))
    manifest = write_checkpoint(folder, dataset.name, stored, manifest)
    return Trained(
        weights=weights_path(folder, dataset.name),
        manifest=manifest,
        history=tuple(run.history),
        event_log=events.folder if events.available else None,
    )


def _schedule(request: TrainRequest, plan: Plan) -> str:
    """How long training is, in words.

    Raises:
        BenchError: if both or no sensible numbers are given.
    """
    if plan.epochs < 1:
        raise BenchError(f"Expected at least 1 epoch, but got {plan.epochs}.")
    if request.minutes is None:
        return f"{plan.epochs} epochs"
    if request.epochs is not None:
        raise BenchError("Expected --epochs or --minutes, but got both; leave one out.")
    if not 0 < request.minutes < math.inf:
        raise BenchError(f"Expected --minutes to be a number above 0, but got {request.minutes:g}.")
    return f"what fits in {request.minutes:g} minutes"


def _check_free(folder: Path, dataset: str, force: bool) -> None:
    """Make sure that nothing finished is overwritten unasked."""
    if not force and weights_path(folder, dataset).exists():
        raise BenchError(
            f"There is already a checkpoint {weights_path(folder, dataset)}."
            " Choose another --out, or --force to train it again."
        )


def _initial(spec: ArchitectureSpec, seed: int) -> nn.Module:
    build_empty(spec)  # refuses in one line what does not fit the dataset
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return ARCHITECTURES.get(spec.name).build(**spec.kwargs)


def _warm_start(model: nn.Module, spec: ArchitectureSpec, source: nn.Module) -> None:
    """Start `model` from the trained weights of `source`, translated by its architecture."""
    translate = ARCHITECTURES.get(spec.name).translate
    if translate is None:
        raise ValueError(f"Expected architecture {spec.name!r} to translate other weights, but it does not.")
    model.load_state_dict(translate({name: value.cpu() for name, value in source.state_dict().items()}, model))


def _identity(
    recipe: Recipe,
    scale: str,
    plan: Plan,
    schedule: str,
    dataset: Dataset,
    seed: int,
    model: nn.Module,
    spec: ArchitectureSpec,
    origins: Mapping[str, str],
    device: torch.device,
) -> dict[str, str]:
    """What two runs must share for one to go on where the other stopped."""
    return {
        "recipe": recipe.name,
        "scale": scale,
        "dataset": dataset.digest,
        "seed": str(seed),
        "schedule": schedule,
        "plan": digest.of_bytes(repr(replace(plan, epochs=0)).encode()),
        "code": digest.of_bytes(code_digest().encode(), models.architecture_digest(model, spec).encode()),
        "torch": str(torch.__version__),
        "device": device.type,
        **{f"{name} that it learns from": weights for name, weights in origins.items()},
    }


def _teachers(
    recipe: Recipe, scale: str, request: TrainRequest, dataset: Dataset, device: torch.device
) -> Mapping[str, nn.Module]:
    """The frozen teachers by role."""
    names = {role: model_name(teacher, scale) for role, teacher in recipe.teachers.items()}
    found = {role: _trained(name, scale, request, dataset, device) for role, name in names.items()}
    return {role: teacher.to(memory_format=torch.channels_last) for role, teacher in found.items()}


def _trained(name: str, scale: str, request: TrainRequest, dataset: Dataset, device: torch.device) -> nn.Module:
    """The model called `name`, from the folder of this run or from those that come with bench.

    Raises:
        BenchError: if there is none, or its manifest says that it was trained on other data or at another scale.
    """
    own = weights_path(request.out / name, dataset.name)
    loaded = models.load(name, weights=own if own.exists() else None, dataset=dataset, device=device)
    if loaded.manifest is not None and loaded.manifest.dataset != dataset.name:
        raise BenchError(
            f"Expected {own} to be trained on {dataset.name!r}, but its manifest says {loaded.manifest.dataset!r}."
            f" Train it again: bench train --recipe {loaded.manifest.recipe} --dataset {dataset.name}"
        )
    if loaded.manifest is not None and loaded.manifest.scale != scale:
        where = own if own.exists() else f"{name!r} that comes with bench"
        raise BenchError(
            f"Expected {name!r} of scale {scale} to learn from, but {where} is of scale {loaded.manifest.scale}. Train"
            f" it first: bench train --recipe {loaded.manifest.recipe} --dataset {dataset.name} --scale {scale} --out"
            f" {request.out}"
        )
    return loaded.module


def _manifest(
    recipe: Recipe,
    scale: str,
    plan: Plan,
    spec: ArchitectureSpec,
    dataset: Dataset,
    run: Run,
    seed: int,
    device: torch.device,
) -> Manifest:
    origin = collect_provenance(["bench", "train", "--recipe", recipe.name, "--dataset", dataset.name])
    return Manifest(
        model=model_name(recipe.name, scale),
        dataset=dataset.name,
        architecture=spec,
        recipe=recipe.name,
        scale=scale,
        seed=seed,
        data_digest=dataset.digest,
        commit=origin.commit or "",
        date=datetime.now(timezone.utc).date().isoformat(),
        training_seconds=round(run.seconds, 1),
        hardware=_hardware(device),
        licence=LICENCE,
        differences=plan.differences,
        versions=origin.versions,
        epochs=run.epochs,
        images=run.epochs * ((len(dataset) - held_out_size(len(dataset))) // plan.batch_size * plan.batch_size),
        starts_from=None if plan.starts_from is None else model_name(plan.starts_from, scale),
        teachers=tuple(model_name(teacher, scale) for teacher in recipe.teachers.values()),
    )


def _accuracies(
    module: nn.Module, last: EpochResult, plan: Plan, dataset: Dataset, request: TrainRequest, device: torch.device
) -> tuple[Accuracy, ...]:
    """What the weights that are stored are worth, held out and on test images, and what those of the last epoch were.

    Args:
        module: with the weights of the best epoch, as they are stored.
        last: the last epoch.
        plan: of the run.
        dataset: the training split.
        request: which test images.
        device: where the module is.
    """
    best = validated(module, plan, SplitData.of(dataset.examples, device), dataset.default_threat_model)
    ends = Validated(last.clean, last.robust, last.measured)
    held_out = held_out_size(len(dataset))
    found = []
    for which, result in (("best", best), ("last", ends)):
        fractions = [("clean", result.clean, held_out), ("pgd10", result.robust, held_out)]
        fractions += [(name, value, min(MEASURED, held_out)) for name, value in result.measured.items()]
        for name, fraction, total in fractions:
            correct = round(fraction * total)
            found.append(Accuracy(name=name, checkpoint=which, split="validation", n_examples=total, n_correct=correct))
    return (*found, *_on_test(module, request))


def _on_test(module: nn.Module, request: TrainRequest) -> list[Accuracy]:
    """Clean and PGD-20 accuracy on the test split, by the harness itself."""
    test, examples = _test_images(request)
    pgd = next(attack for attack in suites.get("standard-v1").attacks if attack.name == "pgd-20")
    evaluation = evaluate(
        module,
        examples,
        threat_model=test.default_threat_model,
        suite=AttackSuite(name="manifest", version=1, attacks=(pgd,)),
        device=request.device,
    )
    counts = (("clean", evaluation.n_clean), ("pgd20", evaluation.n_robust))
    total = len(examples)
    return [Accuracy(name=n, checkpoint="best", split="test", n_examples=total, n_correct=c) for n, c in counts]


def _test_images(request: TrainRequest) -> tuple[Dataset, Examples]:
    test = data.load(request.dataset, data_dir=request.data_dir, split="test")
    return test, data.select(test, samples=request.test_samples)


def _hardware(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{platform.machine()} CPU, {torch.get_num_threads()} threads"
