"""AutoAttack's stages as the authors' own package runs them.

The objects are the ones that `pyautoattack.AutoAttack` holds, called as its `run_standard_evaluation` calls them: each
stage on the examples still robust, after seeding torch with the run's seed. So a chunk's verdicts equal the package's
on the same chunk and seed. The package draws for a whole batch at once, so verdicts depend on the batch; chunks are
therefore never joined (see `per_chunk`).

Differences: the number of targets is at most K - 1. The targeted DLR loss needs the fourth largest logit; with fewer
classes the plain difference of logits `z_t - z_y` takes its place (OUR CHOICE, the same as in our own engine: it does
not saturate, and a ratio over two or three logits is constant for one of the targets). FAB's `backward()` fills
no parameter's gradient. The package's warnings go to its logger `auto-attack`, which shows nothing unless configured.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import torch
from pyautoattack import AutoAttack as Package
from torch import Tensor

from bench.attacks.isolation import IsolatedClassifier
from bench.core.types import Classifier, Examples, ThreatModel

if TYPE_CHECKING:
    from bench.attacks.autoattack.stages import ApgdCe, ApgdT, FabT, Square

__all__ = ["apgd_ce", "apgd_t", "fab_t", "square"]

TARGETED_DLR_CLASSES = 4

# Without a handler of its own, Python would print its warnings.
logging.getLogger("auto-attack").addHandler(logging.NullHandler())


def apgd_ce(
    stage: ApgdCe, classifier: Classifier, examples: Examples, threat_model: ThreatModel, *, seed: int
) -> Tensor:
    """The package's APGD on the cross-entropy."""
    search = _package(classifier, examples, threat_model, seed).apgd
    _set_apgd(search, stage, seed)
    search.loss = "ce"
    return _run(search.perturb, examples)


def apgd_t(stage: ApgdT, classifier: Classifier, examples: Examples, threat_model: ThreatModel, *, seed: int) -> Tensor:
    """The package's APGD on the targeted DLR loss, or on the difference of logits below four classes."""
    search = _package(classifier, examples, threat_model, seed).apgd_targeted
    _set_apgd(search, stage, seed)
    classes = _count_classes(classifier, examples)
    search.n_target_classes = min(stage.targets, classes - 1)
    if classes < TARGETED_DLR_CLASSES:
        search.dlr_loss_targeted = lambda logits, labels: _difference(logits, labels, search.y_target)
    return _run(search.perturb, examples)


def fab_t(stage: FabT, classifier: Classifier, examples: Examples, threat_model: ThreatModel, *, seed: int) -> Tensor:
    """The package's targeted FAB."""
    search = _package(classifier, examples, threat_model, seed).fab
    search.targeted = True
    search.seed = seed
    search.n_iter, search.n_restarts = stage.steps, stage.restarts
    search.alpha_max, search.eta, search.beta = stage.alpha_max, stage.eta, stage.beta
    search.n_target_classes = min(stage.targets, _count_classes(classifier, examples) - 1)
    return _run(search.perturb, examples)


def square(
    stage: Square, classifier: Classifier, examples: Examples, threat_model: ThreatModel, *, seed: int
) -> Tensor:
    """The package's Square attack."""
    search = _package(classifier, examples, threat_model, seed).square
    search.seed = seed
    search.n_queries, search.n_restarts, search.p_init = stage.queries, stage.restarts, stage.initial_share
    return _run(search.perturb, examples)


def _package(classifier: Classifier, examples: Examples, threat_model: ThreatModel, seed: int) -> Package:
    return Package(
        IsolatedClassifier(classifier),
        norm=str(threat_model.norm),
        eps=float(threat_model.epsilon),
        seed=seed,
        device=examples.inputs.device,
        attacks=[],
        version="custom",
    )


def _difference(logits: Tensor, labels: Tensor, targets: Tensor) -> Tensor:
    own, target = (logits.gather(1, which[:, None]).squeeze(1) for which in (labels, targets))
    return target - own


def _set_apgd(search: object, stage: ApgdCe | ApgdT, seed: int) -> None:
    for name, value in (("seed", seed), ("n_iter", stage.steps), ("n_restarts", stage.restarts)):
        setattr(search, name, value)
    search.thr_decr = stage.rho  # type: ignore[attr-defined]


def _count_classes(classifier: Classifier, examples: Examples) -> int:
    if not len(examples):
        return TARGETED_DLR_CLASSES
    with torch.no_grad():
        return classifier(examples.inputs[:1]).shape[1]


def _run(perturb: Callable[[Tensor, Tensor], Tensor], examples: Examples) -> Tensor:
    if not len(examples):
        return examples.inputs
    with _random_state_kept(examples.inputs.device), torch.no_grad():
        return perturb(examples.inputs.clone(), examples.labels.clone()).detach()


@contextmanager
def _random_state_kept(device: torch.device) -> Iterator[None]:
    """Hand back torch's and NumPy's random state as it was; the package seeds both globally."""
    numpy_state = np.random.get_state()
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        try:
            yield
        finally:
            np.random.set_state(numpy_state)
