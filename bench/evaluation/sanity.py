"""What is refused before any attack runs: inputs, labels and models that no number could be believed for."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

import torch
from torch import Tensor, nn

from bench.core.errors import BenchError
from bench.core.plain_text import reason_of
from bench.core.structure import is_stochastic
from bench.core.types import Attack, Examples, Norm, ThreatModel
from bench.models import check_repeated, differs
from bench.ops.generators import seed_generators
from bench.suites import VERDICT_PASSES, AttackSuite, with_engine

__all__ = [
    "check_attacks",
    "check_ball",
    "check_examples",
    "check_gradients",
    "check_model",
    "check_stochastic",
    "check_surrogates",
    "gives_gradient",
]

_CUT_OFF = "torch.no_grad, inference_mode, detach or numpy in its forward pass cuts it off"


def check_examples(examples: Examples) -> None:
    """Refuse examples that are not what `Examples` promises.

    Raises:
        BenchError: if there are none, an index occurs twice, a label is negative, labels or indices are not int64, or
            inputs are not float32 images in [0, 1].
    """
    if not len(examples):
        raise BenchError("Expected at least one example, but got none.")
    # Bytes that are read from files later become nothing but float32 images in [0, 1].
    first = examples if examples.in_memory else examples[:1]
    inputs, labels, indices = first.inputs, examples.labels, examples.indices
    if inputs.ndim != 4 or inputs.dtype != torch.float32:
        got = f"{tuple(inputs.shape)} of {inputs.dtype}".replace("torch.", "")
        raise BenchError(f"Expected inputs of shape (N, C, H, W) and type float32, but got {got}.")
    if not bool(((inputs >= 0) & (inputs <= 1)).all()):
        raise BenchError("Expected inputs in [0, 1]. Normalise inside the model, not before it.")
    for name, column in (("labels", labels), ("indices", indices)):
        if column.dtype != torch.int64:
            raise BenchError(f"Expected {name} of type int64, but got {str(column.dtype).removeprefix('torch.')}.")
    if int(labels.min()) < 0:
        raise BenchError(f"Expected labels to be whole numbers from 0, but got {labels.min().item()}.")
    if int(indices.min()) < 0 or len(set(indices.tolist())) < len(indices):
        raise BenchError("Expected every example to have its own index from 0, but one is negative or occurs twice.")


def check_attacks(attacks: Sequence[Attack], threat_model: ThreatModel) -> None:
    """Refuse attacks of which one does not know the threat model's norm.

    Args:
        attacks: all that will run.
        threat_model: what the attacker may do.

    Raises:
        BenchError: naming the attack and the norms that it knows.
        ValueError: if two attacks have one name.
    """
    names = [attack.name for attack in attacks]
    if len(set(names)) < len(names):
        raise ValueError(f"Expected the suite to name every attack differently, but got {names}.")
    for attack in attacks:
        if threat_model.norm not in attack.norms:
            known = ", ".join(sorted(map(str, attack.norms)))
            other = " Its authors' package does: --engine reference." if _known_elsewhere(attack, threat_model) else ""
            raise BenchError(f"Attack {attack.name} does not know the norm {threat_model.norm}, only {known}.{other}")


def check_surrogates(suite: AttackSuite, names: Collection[str]) -> None:
    """Refuse surrogates for a suite that transfers from none, and none or too many for one that does.

    Raises:
        BenchError: saying how many it takes.
    """
    most = suite.most_surrogates
    if not most and names:
        raise BenchError(f"Suite {suite.label} transfers from no other model: leave the surrogates out.")
    if most and not 1 <= len(names) <= most:
        raise BenchError(
            f"Expected 1 to {most} surrogates for {suite.label}, other models of the same classes, but got"
            f" {len(names) or 'none'}: --surrogate MODEL, or in Python `surrogates`."
        )


def check_gradients(surrogates: Mapping[str, nn.Module], inputs: Tensor) -> None:
    """Refuse surrogates through which nothing can be crafted.

    Args:
        surrogates: models by name, in eval mode.
        inputs: a few clean inputs, on their device.

    Raises:
        BenchError: naming the first.
    """
    for name, surrogate in surrogates.items():
        if not gives_gradient(surrogate, inputs[:1]):
            raise BenchError(f"Surrogate {name!r} gives no gradient, so nothing can be crafted on it: name another.")


def gives_gradient(module: nn.Module, inputs: Tensor) -> bool:
    """Whether a gradient flows from the model's logits to its inputs; raises what the model raises.

    Args:
        module: the model, in eval mode.
        inputs: `(N, C, H, W)`, on its device.
    """
    leaf = inputs.detach().clone().requires_grad_()
    with torch.enable_grad():
        logits = module(leaf)
        return logits.requires_grad and torch.autograd.grad(logits.sum(), leaf, allow_unused=True)[0] is not None


def _known_elsewhere(attack: Attack, threat_model: ThreatModel) -> bool:
    """Whether the other engine knows the norm."""
    from_package = with_engine(AttackSuite(name="any", version=1, attacks=(attack,)), "reference")
    return any(threat_model.norm in each.norms for each in from_package.attacks)


def check_ball(threat_model: ThreatModel, examples: Examples) -> None:
    """Refuse a ball of L1 or L2 that holds the whole box, in which nothing limits the attacker.

    Raises:
        BenchError: with the box's size, which is the number of pixels in L1, and its root in L2.
    """
    pixels, norm, epsilon = math.prod(examples.shape), threat_model.norm, threat_model.epsilon
    if norm is Norm.L1 and epsilon >= pixels:
        raise BenchError(
            f"Expected an L1 epsilon below {pixels}, the sum of all pixels' ranges, but got {epsilon}. Example: L1:12."
        )
    if norm is Norm.L2 and epsilon**2 >= pixels:
        raise BenchError(
            f"Expected an L2 epsilon below {math.sqrt(pixels):.4g}, the largest distance between two images, but got"
            f" {epsilon}: pixels lie in [0, 1]. Example: L2:1/2."
        )


def check_stochastic(module: nn.Module, suite: AttackSuite) -> None:
    """Refuse a model that says it is stochastic where the suite is for deterministic ones, and the reverse.

    Raises:
        BenchError: naming the suite to use.
    """
    if is_stochastic(module) and not suite.stochastic:
        raise BenchError(
            f"The model declares itself stochastic, and suite {suite.label} is for deterministic ones: choose --suite"
            " rand-v1."
        )
    if suite.stochastic and not is_stochastic(module):
        raise BenchError(
            f"Suite {suite.label} is for stochastic models, and this one does not declare itself one: choose --suite"
            " standard-v1, or declare it by --stochastic or an attribute `stochastic = True`."
        )


def check_model(module: nn.Module, inputs: Tensor, attacks: Sequence[Attack]) -> None:
    """Refuse a model that fails, or gives probabilities, other logits the second time, or no gradient to who needs one.

    One that is declared stochastic is refused where it does not differ from pass to pass, or does so under one seed.

    Args:
        module: the model, in eval mode.
        inputs: a few clean inputs, on its device.
        attacks: those that will run on it.

    Raises:
        BenchError: saying which.
    """
    try:
        with torch.no_grad():
            first, second = module(inputs), module(inputs)
    except Exception as error:
        raise BenchError(f"The model fails on images of shape {tuple(inputs.shape)}: {reason_of(error)}") from error
    if not isinstance(first, Tensor) or not isinstance(second, Tensor) or first.ndim != 2:
        return  # The clean judgement names what is wrong with the output.
    check_repeated(first, second, stochastic=is_stochastic(module))
    if is_stochastic(module):
        _check_draws(module, inputs)
    needing = [part.name for each in attacks for part in each.stages if part.needs_gradients]
    if needing:
        _check_gradient(module, inputs[:1], needing[0])


def _check_draws(module: nn.Module, inputs: Tensor) -> None:
    """Passes of other draws differ, and those of equal draws are equal."""

    def drawn(number: int) -> Tensor:
        seed_generators("sanity", number)
        with torch.no_grad():
            logits: Tensor = module(inputs)
        return logits

    first = drawn(0)
    if differs(first, drawn(0)):
        raise BenchError(
            "Expected the model to draw from torch's, NumPy's or Python's global generators, but with these seeded"
            " alike it gives different logits for the same inputs: it has a generator or a state of its own."
        )
    if not any(differs(first, drawn(number)) for number in range(1, VERDICT_PASSES)):
        raise BenchError(
            f"The model is declared stochastic, but {VERDICT_PASSES} passes over the same inputs gave the same logits:"
            " leave the declaration out, and choose --suite standard-v1."
        )


def _check_gradient(module: nn.Module, inputs: Tensor, attack: str) -> None:
    try:
        flows = gives_gradient(module, inputs)
    except Exception as error:
        raise BenchError(
            f"The model fails where its gradient at the input is asked for, as attacks such as {attack} do:"
            f" {reason_of(error)}"
        ) from error
    if not flows:
        why = "it is quantised" if _is_quantised(module) else _CUT_OFF
        raise BenchError(
            f"The model gives no gradient at its input ({why}), so attacks that need one, such as {attack}, cannot run."
            " Let the gradient through, with a smooth stand-in where an operation has none (BPDA), or take"
            " --suite blackbox-v1, which needs none."
        )


def _is_quantised(module: nn.Module) -> bool:
    return any(".quantized." in type(part).__module__ for part in module.modules())
