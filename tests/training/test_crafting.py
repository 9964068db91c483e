from __future__ import annotations

from fractions import Fraction

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from bench.core.types import Norm, ThreatModel
from bench.ops import norms
from bench.training.crafting import N_FGSM, TrainingAttack, as_attacked
from bench.training.recipes import RECIPES


def run(attack: TrainingAttack, model, batch, threat_model: str, *, seed: int = 1) -> Tensor:
    def loss(logits: Tensor) -> Tensor:
        return functional.cross_entropy(logits, batch.labels, reduction="sum")

    generator = torch.Generator().manual_seed(seed)
    return attack.run(model, batch.inputs, loss, ThreatModel.parse(threat_model), generator)


@pytest.mark.parametrize("start", ["uniform", "gaussian"])
@pytest.mark.parametrize("steps", [0, 1, 4])
@pytest.mark.parametrize("threat_model", ["Linf:8/255", "Linf:1/4", "L2:1/2", "L2:3"])
def test_every_iterate_stays_in_the_ball_and_in_the_image_range(threat_model, steps, start, linear, batch):
    """Whatever the norm, the start and the step size, the result is a permitted image."""
    attack = TrainingAttack(steps=steps, relative_step_size=Fraction(5, 4), start=start)
    moved = run(attack, linear, batch, threat_model)
    allowed = ThreatModel.parse(threat_model)
    size = norms.size((moved.double() - batch.inputs.double()), allowed.norm)
    assert (size <= float(allowed.epsilon) + 1e-6).all()
    assert ((moved >= 0) & (moved <= 1)).all()
    assert not torch.equal(moved, batch.inputs)


@pytest.mark.parametrize("name", RECIPES.names())
def test_what_recipes_train_on_stays_in_the_ball(name, make_model, batch, make_context):
    """The images that any recipe crafts, at any scale, are in the ball of the threat model and in [0, 1]."""
    for plan in RECIPES.get(name).scales.values():
        architecture = plan.architecture if plan.architecture in ("ducat", "aw-resnet18-high-pass") else "resnet18"
        moved = plan.objective.craft(make_model(architecture), batch.inputs, batch.labels, make_context())
        assert (norms.size(moved.double() - batch.inputs.double(), Norm.LINF) <= 0.1 + 1e-6).all()
        assert ((moved >= 0) & (moved <= 1)).all()


def test_n_fgsm_adds_its_step_to_the_noise(batch):
    """On a linear model: noise of up to twice epsilon, then epsilon along the gradient's sign; never projected."""
    inputs = 0.5 + 0.02 * (batch.inputs - 0.5)  # far from the ends of the range
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 2, bias=False))
    with torch.no_grad():
        model[1].weight.copy_(torch.tensor([[-1.0], [1.0]]).expand(2, 64))
    labels = torch.zeros(len(inputs), dtype=torch.int64)
    noise = run(N_FGSM, model, batch._replace(inputs=inputs, labels=labels), "Linf:1/20") - inputs - 0.05
    assert (noise.abs() <= 0.1 + 1e-6).all()
    assert noise.abs().max() > 0.09 and noise.mean().abs() < 0.02
    moved = run(N_FGSM, model, batch._replace(labels=labels), "Linf:1/2")
    assert moved.min() >= 0 and moved.max() == 1


@pytest.mark.parametrize("threat_model", ["Linf:1/10", "L2:1"])
def test_attack_on_a_linear_model_of_two_classes_reaches_the_optimum(threat_model, batch):
    """Against a linear model the worst perturbation is known: sign (Linf) or direction (L2) of the weights."""
    inputs = 0.5 + 0.02 * (batch.inputs - 0.5)  # far from the ends of the range
    weights = torch.randn(64, generator=torch.Generator().manual_seed(5))
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 2, bias=False))
    with torch.no_grad():
        model[1].weight.copy_(torch.stack((weights, -weights)))
    labels = torch.zeros(len(inputs), dtype=torch.int64)
    moved = run(
        TrainingAttack(steps=60, relative_step_size=Fraction(1, 4)),
        model,
        batch._replace(inputs=inputs, labels=labels),
        threat_model,
    )
    allowed = ThreatModel.parse(threat_model)
    best = -float(allowed.epsilon) * norms.direction(weights[None], allowed.norm)
    torch.testing.assert_close((moved - inputs).flatten(1), best.expand(len(inputs), -1), rtol=1e-3, atol=1e-4)


def test_draws_come_from_the_generator_alone(linear, batch):
    """The same generator state gives the same images; another one gives others; torch's own state is left alone."""
    attack = TrainingAttack(steps=1, relative_step_size=Fraction(1, 4))
    state = torch.random.get_rng_state()
    first, again, other = (run(attack, linear, batch, "Linf:8/255", seed=seed) for seed in (1, 1, 2))
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_model_is_attacked_frozen_and_in_evaluation_mode(make_model):
    """Inside, the model is as an attacker meets it; afterwards, also after a failure, it is as it was."""
    model = make_model()
    model.conv1.weight.requires_grad_(False)
    with pytest.raises(RuntimeError, match="stop"), as_attacked(model):
        assert not model.training
        assert not any(parameter.requires_grad for parameter in model.parameters())
        raise RuntimeError("stop")
    assert model.training and model.bn.training
    assert [name for name, value in model.named_parameters() if not value.requires_grad] == ["conv1.weight"]


def test_unknown_start_is_refused(linear, batch):
    """A start that does not exist is named."""
    attack = TrainingAttack(steps=1, relative_step_size=Fraction(1, 4), start="corner")
    with pytest.raises(ValueError, match="Expected `start` to be 'uniform' or 'gaussian', but got 'corner'"):
        run(attack, linear, batch, "Linf:8/255")
