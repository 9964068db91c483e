"""The strongest break of each broken example, as it will be published."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bench.core.types import Examples, ThreatModel
from bench.evaluation import Evaluation, evaluate, result_of
from bench.evaluation.verify import judge
from bench.row.arrays import evidence_file
from bench.row.arrays.adversarials import Breaks


def judged(found: Evaluation, module: nn.Module, examples: Examples) -> Any:
    """Judge the published breaks of examples whose indices are their positions."""
    part = examples[torch.from_numpy(found.breaks.indices)]
    points = torch.from_numpy(found.breaks.inputs(part.inputs.numpy()))
    return judge(module, points, part, found.threat_model)


def broken(found: Evaluation) -> list[int]:
    pairs = zip(found.indices, found.clean, found.robust, strict=True)
    return sorted(index for index, clean, robust in pairs if clean and not robust)


@pytest.mark.parametrize("threat_model", ["Linf:0.05", "Linf:8/255", "L2:0.1", "L2:0.13", "Linf:0.6"])
def test_every_broken_example_has_one_break_that_holds(
    linear: nn.Module, examples: Examples, gradient_suite: Any, threat_model: str
) -> None:
    """Inside the threat model and misclassified, with the margin, label and prediction that are written down."""
    found = evaluate(linear, examples, threat_model=threat_model, suite=gradient_suite)
    breaks = found.breaks
    assert breaks.indices.tolist() == broken(found) and len(breaks) > 10
    again = judged(found, linear, examples)
    assert not again.robust.any() and not again.moved.any()
    np.testing.assert_allclose(again.margin.numpy(), breaks.margins, atol=1e-5)
    assert breaks.labels.tolist() == examples.labels[breaks.indices].tolist()
    assert breaks.predictions.tolist() == again.predicted.tolist() == (1 - breaks.labels).tolist()


def test_most_breaks_are_eight_bit_and_near_the_best_margin(
    linear: nn.Module, examples: Examples, gradient_suite: Any
) -> None:
    """On the 8-bit grid a saturated Linf perturbation is whole steps: rounding costs no margin at 8/255."""
    levels = Examples(inputs=(examples.inputs * 255).round() / 255, labels=examples.labels, indices=examples.indices)
    found = evaluate(linear, levels, threat_model="Linf:8/255", suite=gradient_suite)
    breaks = found.breaks
    assert breaks.rounded.all() and set(np.unique(np.abs(breaks.deltas))) == {8}
    best = np.array([min(attack.margin[index] for attack in found.attacks) for index in breaks.indices])
    np.testing.assert_allclose(breaks.margins, best, atol=1e-5)


def test_a_break_that_rounding_would_undo_is_kept_as_it_was_found(examples: Examples, make: dict[str, Any]) -> None:
    """A model that errs only off the grid of 8-bit changes: whole float32 inputs, bit for bit."""

    class OffGrid(nn.Module):
        def forward(self, inputs: Tensor) -> Tensor:
            steps = (inputs - 0.5) * 255
            off = (steps - steps.round()).abs().amax((1, 2, 3)) > 0.1
            return torch.stack([off.float() - 0.5, 0.5 - off.float()], dim=1)

    grey = Examples(
        inputs=torch.full_like(examples.inputs, 0.5), labels=torch.ones_like(examples.labels), indices=examples.indices
    )
    shift = make["Scripted"](act=lambda _, part, __: part.inputs + 0.3 / 255)
    found = evaluate(OffGrid(), grey, threat_model="Linf:8/255", suite=make["suite"](shift))
    assert len(found.breaks) == len(examples) and not found.breaks.rounded.any()
    assert (found.breaks.exact == np.float32(0.5) + np.float32(0.3 / 255)).all()


def test_a_break_without_margin_is_kept_as_it_was_found(linear: nn.Module, make: dict[str, Any]) -> None:
    """Where only rounding decides, rounding again to 8 bits would make it no clearer, but changes what was judged."""

    class Tie(nn.Module):
        def forward(self, inputs: Tensor) -> Tensor:
            moved = inputs.flatten(1).amax(1) > 0.5
            return torch.stack([torch.where(moved, 3.0, 0.0), torch.full(moved.shape, 3.0)], dim=1)

    one = Examples(inputs=torch.full((1, 1, 2, 2), 0.5), labels=torch.tensor([1]), indices=torch.tensor([6]))
    shift = make["Scripted"](act=lambda _, part, __: part.inputs + 2 / 255)
    found = evaluate(Tie(), one, threat_model="Linf:8/255", suite=make["suite"](shift))
    assert found.breaks.indices.tolist() == [6] and found.breaks.margins.tolist() == [0.0]
    assert not found.breaks.rounded.any()


def test_the_largest_margin_over_all_attacks_counts(
    linear: nn.Module, examples: Examples, threat_model: ThreatModel, make: dict[str, Any]
) -> None:
    """A weaker attack before or after the strong one changes nothing that is published."""
    direction = -(2 * examples.labels - 1)[:, None] * linear.weight.detach().sign()  # type: ignore[union-attr]

    def push(name: str, share: float) -> Any:
        def act(_: Any, part: Examples, __: Any) -> Tensor:
            return (part.inputs + share * 0.05 * direction[part.indices].view_as(part.inputs)).clamp(0, 1)

        return make["Scripted"](name=name, act=act)

    weak, strong, again = push("weak", 0.6), push("strong", 1.0), push("again", 0.8)
    alone = evaluate(linear, examples, threat_model=threat_model, suite=make["suite"](strong))
    found = evaluate(linear, examples, threat_model=threat_model, suite=make["suite"](weak, strong, again))
    assert evidence_file.dump_evidence(found.breaks) == evidence_file.dump_evidence(alone.breaks)
    only_weak = evaluate(linear, examples, threat_model=threat_model, suite=make["suite"](weak))
    shared = np.isin(alone.breaks.indices, only_weak.breaks.indices)
    assert 0 < len(only_weak.breaks) < len(alone.breaks)
    assert (alone.breaks.margins[shared] < only_weak.breaks.margins).all()


def test_a_misclassified_input_counts_before_logits_that_are_not_finite(
    linear: nn.Module, examples: Examples, threat_model: ThreatModel, make: dict[str, Any]
) -> None:
    """NaN is a break, shown where there is nothing better; its margin is minus infinity and it predicts nothing."""
    grey = make["Scripted"](name="grey", act=lambda _, part, __: torch.full_like(part.inputs, 0.5))

    class Fragile(nn.Module):
        def forward(self, inputs: Tensor) -> Tensor:
            flat = ((inputs - 0.5).abs() < 0.01).flatten(1).all(1, keepdim=True)
            return torch.where(flat, torch.nan, linear(inputs))

    wide = ThreatModel.parse("Linf:0.9")
    direction = -(2 * examples.labels - 1)[:, None] * linear.weight.detach().sign()  # type: ignore[union-attr]
    push = make["Scripted"](
        name="push",
        act=lambda _, part, __: (part.inputs + 0.05 * direction[part.indices].view_as(part.inputs)).clamp(0, 1),
    )
    nan = evaluate(Fragile(), examples, threat_model=wide, suite=make["suite"](grey))
    both = evaluate(Fragile(), examples, threat_model=wide, suite=make["suite"](grey, push))
    assert nan.breaks.indices.tolist() == both.breaks.indices.tolist() == broken(nan)
    assert np.isneginf(nan.breaks.margins).all() and (nan.breaks.predictions == -1).all()
    finite = np.isfinite(both.breaks.margins)
    assert 0 < finite.sum() < len(finite) and (both.breaks.predictions[finite] >= 0).all()


def test_a_resumed_run_publishes_the_same_bytes(
    tmp_path: Path, linear: nn.Module, examples: Examples, gradient_suite: Any, threat_model: ThreatModel
) -> None:
    """From a whole journal, from one that lost an entry, and from one of fewer examples."""
    usual = {"threat_model": threat_model, "suite": gradient_suite}
    fresh = evaluate(linear, examples, **usual)
    evaluate(linear, examples[:100], **usual, journal=tmp_path / "journal")
    assert len(fresh.breaks) > 100
    for lost in (None, "fgsm/000001-64-127.json", "pgd-20/000000-0-63.json", None):
        if lost is not None:
            (tmp_path / "journal" / lost).unlink()
        again = evaluate(linear, examples, **usual, journal=tmp_path / "journal")
        assert evidence_file.dump_evidence(again.breaks) == evidence_file.dump_evidence(fresh.breaks)
        assert result_of(again) == result_of(fresh)


def test_where_nothing_breaks_nothing_is_kept(linear: nn.Module, examples: Examples, make: dict[str, Any]) -> None:
    """No breaks, of the examples' shape; and the attack's passes are its own."""
    still = make["Scripted"](act=lambda _, part, __: part.inputs)
    found = evaluate(linear, examples, threat_model="Linf:8/255", suite=make["suite"](still))
    assert isinstance(found.breaks, Breaks) and len(found.breaks) == 0 and found.breaks.shape == (1, 4, 4)
    assert found.attacks[0].forwards == 0
