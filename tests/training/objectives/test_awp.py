from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from bench.training.objectives.aw_net import AwNetWithoutTeachers
from bench.training.objectives.awp import AdversarialWeights, perturbable
from bench.training.objectives.ducat import DummyClasses
from bench.training.objectives.mart import Mart
from bench.training.objectives.pgd_at import PgdAt
from bench.training.objectives.trades import Trades
from bench.training.scales import FEW_STEPS

GAMMA = 0.01
AT_AWP = AdversarialWeights(base=PgdAt(attack=FEW_STEPS), gamma=GAMMA)

BASES = {
    "pgd-at": (PgdAt(attack=FEW_STEPS), "preact-resnet18"),
    "trades": (Trades(attack=FEW_STEPS), "resnet18"),
    "mart": (Mart(attack=FEW_STEPS), "resnet18"),
    "ducat": (DummyClasses(base=PgdAt(attack=FEW_STEPS), start=0.0), "ducat"),
    "aw-net": (AwNetWithoutTeachers(attack=FEW_STEPS), "aw-resnet18"),
}


def parameters_of(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in model.named_parameters()}


def gradients(objective, model, batch, context) -> dict[str, torch.Tensor]:
    model = copy.deepcopy(model)
    objective.loss(model, batch, context).backward()
    return {name: parameter.grad for name, parameter in model.named_parameters()}


@pytest.mark.parametrize("name", BASES)
def test_every_weight_moves_by_gamma_of_its_norm(name, make_model, batch, make_context):
    """Around any objective, each convolution and linear weight moves along its gradient by gamma times its norm."""
    base, architecture = BASES[name]
    model = make_model(architecture)
    before = parameters_of(model)
    expected = gradients(base, model, batch, make_context())
    moved = {id(weight) for weight in perturbable(model)}
    with AdversarialWeights(base=base, gamma=GAMMA).perturbed_weights(model, batch, make_context()):
        for key, parameter in model.named_parameters():
            move = parameter.detach() - before[key]
            if id(parameter) not in moved or before[key].norm() == 0:
                assert torch.equal(parameter, before[key]), key
                continue
            assert (move.norm() / before[key].norm()).item() == pytest.approx(GAMMA, rel=1e-3), key
            cosine = nn.functional.cosine_similarity(move.flatten(), expected[key].flatten(), dim=0)
            assert cosine.item() == pytest.approx(1.0, abs=1e-3), key


def test_only_convolutions_and_linear_layers_are_perturbed(make_model):
    """Biases, normalisations and everything else with one dimension stay where they are."""
    model = make_model()
    found = {name for name, value in model.named_parameters() for weight in perturbable(model) if weight is value}
    assert found == {name for name, value in model.named_parameters() if value.dim() > 1}
    assert any("conv" in name for name in found) and "linear.weight" in found
    assert not any("bn" in name or "bias" in name for name in found)


def test_loss_is_larger_at_the_perturbed_weights(make_model, batch, make_context):
    """The perturbation is adversarial: it raises the loss that is then minimised."""
    model = make_model()
    plain = AT_AWP.loss(model, batch, make_context()).item()
    with AT_AWP.perturbed_weights(model, batch, make_context()):
        assert AT_AWP.loss(model, batch, make_context()).item() > plain


def test_step_at_perturbed_weights_is_taken_from_the_plain_ones(make_model, batch, make_context):
    """After the step and the restore, w is w - lr * gradient(w + v): the perturbation itself leaves no trace."""
    model = make_model()
    before = parameters_of(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with AT_AWP.perturbed_weights(model, batch, make_context()):
        at_perturbed = gradients(AT_AWP, model, batch, make_context())
        AT_AWP.loss(model, batch, make_context()).backward()
        optimizer.step()
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.detach(), before[name] - 0.1 * at_perturbed[name], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("objective", [AdversarialWeights(base=PgdAt(attack=FEW_STEPS), gamma=0.0)])
def test_no_perturbation_is_the_plain_step(objective, make_model, batch, make_context):
    """With gamma 0 the step is that of the base objective, bit for bit, and so are the running statistics."""
    states = []
    for each in (objective, objective.base):
        model = make_model()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        with each.perturbed_weights(model, batch, make_context()):
            each.loss(model, batch, make_context()).backward()
            optimizer.step()
        states.append(model.state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_nothing_moves_before_the_end_of_the_warm_up(make_model, batch, make_context):
    """The weight adversary of a warm-up of 9/200 starts with the tenth of 200 epochs."""
    objective = AdversarialWeights(base=PgdAt(attack=FEW_STEPS), gamma=GAMMA, warmup=9 / 200)
    model = make_model()
    before = model.conv1.weight.detach().clone()
    for epoch, moves in ((0.0, False), (8.99, False), (9.0, True)):
        with objective.perturbed_weights(model, batch, make_context(epoch=epoch, epochs=200)):
            assert torch.equal(model.conv1.weight, before) is not moves
        torch.testing.assert_close(model.conv1.weight.detach(), before)


def test_search_leaves_no_trace_in_statistics_gradients_or_memory(make_model, batch, make_context):
    """Finding the perturbation changes no running statistic, no gradient and no number that the objective keeps."""
    base, architecture = BASES["aw-net"]
    model, context = make_model(architecture), make_context()
    before = {name: value.clone() for name, value in model.named_buffers()}
    with AdversarialWeights(base=base, gamma=GAMMA).perturbed_weights(model, batch, context):
        assert all(torch.equal(value, before[name]) for name, value in model.named_buffers())
        assert all(parameter.grad is None for parameter in model.parameters())
        assert context.memory == {}


def test_autocast_sees_the_perturbed_weights(make_model, batch, make_context):
    """Under autocast, whose cache holds casts of the weights, the loss is that of the weights as they are now."""
    model = make_model()
    with torch.autocast("cpu", torch.bfloat16):
        with AT_AWP.perturbed_weights(model, batch, make_context()):
            found = AT_AWP.loss(model, batch, make_context()).item()
            fresh = copy.deepcopy(model)
        after = AT_AWP.loss(model, batch, make_context()).item()
    with torch.autocast("cpu", torch.bfloat16):
        assert found == AT_AWP.loss(fresh, batch, make_context()).item()
    with torch.autocast("cpu", torch.bfloat16):
        assert after == AT_AWP.loss(copy.deepcopy(model), batch, make_context()).item()
    assert found != after


def test_weights_come_back_when_the_step_fails(make_model, batch, make_context):
    """An interruption during the step leaves no perturbed weights behind."""
    model = make_model()
    before = parameters_of(model)
    with pytest.raises(KeyboardInterrupt), AT_AWP.perturbed_weights(model, batch, make_context()):
        raise KeyboardInterrupt
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.detach(), before[name], rtol=1e-5, atol=1e-7)
