from __future__ import annotations

import copy
import dataclasses

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from bench import data, models
from bench.core.structure import Route
from bench.models.architectures import aw_high_pass
from bench.models.architectures.mixbn import ADVERSARIAL, CLEAN, MixBN
from bench.training.loop import train
from bench.training.objectives.aw_net import AwNetDistillation, AwNetWithoutTeachers, distillation, type_loss
from bench.training.recipes import RECIPES
from bench.training.run import Run
from bench.training.scales import FEW_STEPS

ALONE = AwNetWithoutTeachers(attack=FEW_STEPS)
ARCHITECTURE = "aw-resnet18-high-pass"


def with_open_heads(model: nn.Module) -> nn.Module:
    """The same network with signals that depend on the input, as after some training."""
    draw = torch.Generator().manual_seed(6)
    with torch.no_grad():
        for head in model.router.signal_heads:
            head.weight.copy_(0.3 * torch.randn(head.weight.shape, generator=draw))
    return model


@pytest.mark.parametrize(("mine", "other"), [(CLEAN, ADVERSARIAL), (ADVERSARIAL, CLEAN)])
def test_mixbn_updates_the_branch_of_the_batch_alone(mine, other, make_model, batch):
    """In training a batch passes, and updates, the branch of its known type; the other one stays as it was."""
    model = make_model("aw-resnet18")
    before = copy.deepcopy(model)
    logits, _ = model.typed(batch.inputs, mine)
    logits.sum().backward()
    pairs = [
        (now, was)
        for now, was in zip(model.modules(), before.modules(), strict=True)
        if isinstance(now, MixBN) and isinstance(was, MixBN)
    ]
    assert len(pairs) == 20  # the stem, two in each of eight blocks, three shortcuts
    for now, was in pairs:
        assert not torch.equal(now.branches[mine].running_mean, was.branches[mine].running_mean)
        assert torch.equal(now.branches[other].running_mean, was.branches[other].running_mean)
        assert torch.equal(now.branches[other].running_var, was.branches[other].running_var)
        assert now.branches[other].num_batches_tracked == 0
        assert now.branches[other].weight.grad is None and now.branches[mine].weight.grad is not None


def test_soft_mix_is_the_weighted_sum_of_both_branches():
    """At test time MixBN gives P_clean BN_clean(z) + P_adv BN_adv(z), with each example's own weights."""
    draw = torch.Generator().manual_seed(7)
    layer = MixBN(3).eval()
    for branch in layer.branches:
        branch.running_mean.copy_(torch.randn(3, generator=draw))
        branch.running_var.copy_(torch.rand(3, generator=draw) + 0.5)
        branch.weight.data.copy_(torch.randn(3, generator=draw))
        branch.bias.data.copy_(torch.randn(3, generator=draw))
    features = torch.randn((5, 3, 2, 2), generator=draw)
    mix = functional.softmax(torch.randn((5, 2), generator=draw), dim=1)
    expected = sum(mix[:, kind, None, None, None] * layer.branches[kind](features) for kind in (CLEAN, ADVERSARIAL))
    torch.testing.assert_close(layer(features, mix), expected, rtol=1e-5, atol=1e-5)


def test_scaling_filters_equals_scaling_output_channels(make_model, batch):
    """A signal multiplies filters: the same logits come from a network whose filters are multiplied themselves."""
    model = with_open_heads(make_model("aw-resnet18")).eval()
    image = batch.inputs[:1]
    route = model.route(image)
    scaled = copy.deepcopy(model)
    signals = iter(route.signals)
    with torch.no_grad():
        for block in scaled.backbone.blocks:
            for conv in (block.conv1, block.conv2):
                conv.weight.mul_(next(signals)[0][:, None, None, None])
    ones = Route(tuple(torch.ones_like(signal) for signal in route.signals), route.mix)
    torch.testing.assert_close(scaled.routed(image, ones), model(image), rtol=1e-4, atol=1e-5)
    assert not torch.allclose(model.routed(image, ones), model(image), atol=1e-4)


def test_gradients_reach_the_router(make_model, batch, make_context):
    """Class losses train extractor and signal heads; the type head is trained by the type loss alone."""
    for weight, reached in ((0.0, False), (1.0, True)):
        model = with_open_heads(make_model("aw-resnet18"))
        objective = AwNetWithoutTeachers(attack=FEW_STEPS, type_weight=weight)
        objective.loss(model, batch, make_context()).backward()
        for part in (model.router.extractor[0], model.router.signal_heads[0], model.router.signal_heads[-1]):
            assert part.weight.grad.norm() > 0
        assert bool(model.router.type_head[0].weight.grad.norm() > 0) is reached


def test_each_type_of_input_passes_its_own_branch(make_model, batch, make_context):
    """The loss is half of each cross-entropy, clean inputs in the clean branch and adversarial ones in the other."""
    model = with_open_heads(make_model("aw-resnet18"))
    found = ALONE.loss(copy.deepcopy(model), batch, make_context()).item()
    logits, types = zip(model.typed(batch.inputs, CLEAN), model.typed(batch.adversarial, ADVERSARIAL), strict=True)
    expected = sum(0.5 * functional.cross_entropy(each, batch.labels) for each in logits) + type_loss(*types)
    assert found == pytest.approx(expected.item(), rel=1e-5)


def test_first_step_opens_the_signal_heads(make_model, batch, make_context):
    """Training starts from the static network, all signals 1, and the first step already changes the signals."""
    model = make_model("aw-resnet18")
    signals, _ = model.router(batch.inputs)
    assert all(torch.equal(signal, torch.ones_like(signal)) for signal in signals)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    ALONE.loss(model, batch, make_context()).backward()
    optimizer.step()
    signals, _ = model.router(batch.inputs)
    assert all((signal != 1).any() for signal in signals)


def test_weights_follow_the_relative_losses(make_model, batch, make_context):
    """MTARD: w_nat <- w_nat - 0.025 (w_nat - r_nat / (r_nat + r_adv)), with losses relative to the first step's."""
    context = make_context()
    losses = iter([(2.0, 4.0), (1.0, 4.0), (1.0, 1.0)])

    class Scripted(AwNetWithoutTeachers):
        def class_losses(self, clean, adversarial, batch, context):
            return tuple(torch.tensor(value) for value in next(losses))

    objective = Scripted(attack=FEW_STEPS, type_weight=0.0)
    model = make_model("aw-resnet18")
    weight, expected = 0.5, []
    for natural, robust in ((2.0, 4.0), (1.0, 4.0), (1.0, 1.0)):
        expected.append(weight * natural + (1 - weight) * robust)
        relative = natural / 2.0, robust / 4.0
        weight -= 0.025 * (weight - relative[0] / sum(relative))
    found = [objective.loss(model, batch, context).item() for _ in range(3)]
    assert found == pytest.approx(expected)
    assert context.memory["clean_weight"] == pytest.approx(weight)
    assert weight != 0.5


def test_distillation_is_the_mean_over_batch_and_classes():
    """L = mean over examples and classes of q (log(q + 1e-5) - log p), computed in float64."""
    draw = np.random.default_rng(0)
    teacher, student = draw.normal(size=(2, 5, 4))
    q, p = (np.exp(logits) / np.exp(logits).sum(1, keepdims=True) for logits in (teacher, student))
    expected = np.mean(q * (np.log(q + 1e-5) - np.log(p)))
    found = distillation(torch.tensor(teacher, dtype=torch.float32), torch.tensor(student, dtype=torch.float32))
    assert found.item() == pytest.approx(expected, rel=1e-4)


def test_distillation_of_a_hundred_classes_counts_ten_times():
    """As in the authors' code for CIFAR-100, where the mean over the classes is a tenth of what it is for ten."""
    teacher, student = torch.randn(2, 5, 100, generator=torch.Generator().manual_seed(0))
    q, log_p = teacher.softmax(1), student.log_softmax(1)
    expected = 10 * (q * (torch.log(q + 1e-5) - log_p)).mean()
    torch.testing.assert_close(distillation(teacher, student), expected)


def test_each_teacher_sees_its_own_kind_of_input(make_model, batch, make_context):
    """The natural teacher is asked about clean inputs only, the robust one about adversarial inputs only."""
    seen = {}

    class Teacher(nn.Module):
        def __init__(self, role: str) -> None:
            super().__init__()
            self.role = role

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            seen[self.role] = inputs
            return torch.zeros(len(inputs), 4)

    teachers = {role: Teacher(role) for role in AwNetDistillation.teacher_roles}
    objective = AwNetDistillation(attack=FEW_STEPS)
    objective.loss(make_model("aw-resnet18"), batch, make_context(teachers=teachers))
    assert torch.equal(seen["natural"], batch.inputs)
    assert torch.equal(seen["robust"], batch.adversarial)


def test_type_loss_is_small_only_where_both_types_are_told():
    """The type head is right when it calls clean inputs clean and adversarial ones adversarial."""
    says_clean, says_adversarial = torch.tensor([[9.0, -9.0]]), torch.tensor([[-9.0, 9.0]])
    assert type_loss(says_clean, says_adversarial).item() < 1e-6
    assert type_loss(says_clean, says_clean).item() == pytest.approx(9.0, rel=1e-4)
    assert type_loss(says_adversarial, says_clean).item() == pytest.approx(18.0, rel=1e-4)


def with_other_statistics(model: nn.Module, branch: int) -> nn.Module:
    """The same network, but that one branch of every MixBN normalises otherwise."""
    other = copy.deepcopy(model)
    for layer in other.modules():
        if isinstance(layer, MixBN):
            layer.branches[branch].running_mean.add_(0.5)
            layer.branches[branch].running_var.mul_(3.0)
    return other


@pytest.mark.parametrize(("through", "sees_clean_branch"), [("adversarial branch", False), ("soft mix", True)])
def test_attacks_are_crafted_through_what_the_objective_says(
    through, sees_clean_branch, make_model, batch, make_context
):
    """Through the adversarial branch the clean one does not count; through the soft mix both do. The mode is kept."""
    objective = AwNetWithoutTeachers(attack=FEW_STEPS, craft_through=through)
    model = with_open_heads(make_model(ARCHITECTURE))
    found = objective.craft(model, batch.inputs, batch.labels, make_context())
    for branch, counts in ((CLEAN, sees_clean_branch), (ADVERSARIAL, True)):
        other = with_other_statistics(model, branch)
        changed = objective.craft(other, batch.inputs, batch.labels, make_context())
        assert torch.equal(changed, found) is not counts
    assert all(module.training for module in model.modules())
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_crafting_follows_the_weights(make_model, batch, make_context):
    """The form that is attacked is made once; after a step of training it computes the new network."""
    objective = AwNetWithoutTeachers(attack=FEW_STEPS)
    model = with_open_heads(make_model(ARCHITECTURE))
    objective.craft(model, batch.inputs, batch.labels, make_context())
    model.load_state_dict(with_other_statistics(model, ADVERSARIAL).state_dict())
    with torch.no_grad():
        model.backbone.linear.weight.mul_(-1)
    fresh = objective.craft(copy.deepcopy(model), batch.inputs, batch.labels, make_context())
    assert torch.equal(objective.craft(model, batch.inputs, batch.labels, make_context()), fresh)


def test_warm_up_trains_the_router_alone(make_model, batch, make_context):
    """Extractor and type head learn the types; signals, backbone and running statistics stay as they were."""
    model = make_model(ARCHITECTURE)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    context = make_context()
    steps = 30

    def batches():
        for _ in range(steps):
            context.generator.manual_seed(1)
            yield batch.inputs, batch.labels

    def loss() -> float:
        adversarial = ALONE.craft(model, batch.inputs, batch.labels, make_context())
        return type_loss(model.router(batch.inputs)[1], model.router(adversarial)[1]).item()

    first = loss()
    AwNetWithoutTeachers(attack=FEW_STEPS, warm_up_steps=steps).warm_up(model, batches(), context)
    assert loss() < 0.8 * first
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed and all(name.startswith(("router.extractor", "router.type_head")) for name in changed)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_warm_up_sees_the_weights_that_it_has_changed(make_model, batch, make_context):
    """Under one autocast around all of it, as in training, each step goes by the weights of that moment."""
    model = make_model(ARCHITECTURE)

    def batches():
        for _ in range(3):
            with torch.autocast("cpu", torch.bfloat16, cache_enabled=False):
                _, fresh = model.router(batch.inputs)
            assert torch.equal(model.router(batch.inputs)[1], fresh)
            yield batch.inputs, batch.labels

    with torch.autocast("cpu", torch.bfloat16):
        AwNetWithoutTeachers(attack=FEW_STEPS, warm_up_steps=3).warm_up(model, batches(), make_context())


def test_router_is_measured_on_what_it_may_meet(make_model, batch, make_context):
    """A router that calls everything clean is right on clean inputs; one that calls nothing clean, on the others."""
    model = make_model(ARCHITECTURE)
    for kind, right in ((CLEAN, (6, 0, 0, 0)), (ADVERSARIAL, (0, 6, 6, 6))):
        with torch.no_grad():
            model.router.type_head[2].weight.zero_()
            model.router.type_head[2].bias.copy_(torch.eye(2)[kind])
        found = ALONE.measure(model, batch.inputs, batch.labels, make_context())
        names = ("router_clean", "router_training_attack", "router_pgd20", "router_steered")
        assert found == dict(zip(names, right, strict=True))


def test_router_tells_the_types_after_a_short_run(tmp_path):
    """On digits, after the warm-up and four epochs, over 90 % of held-out images are told to be clean or attacked."""
    digits = data.load("digits", split="train")
    recipe = RECIPES.get("aw-net")
    plan = dataclasses.replace(recipe.plan("tiny"), epochs=4)
    torch.manual_seed(0)
    run = train(
        Run(model=aw_high_pass.build(in_channels=1, width=8), identity={}),
        plan,
        digits.examples,
        digits.default_threat_model,
        seed=0,
        device=torch.device("cpu"),
        snapshot_path=tmp_path / "snapshot.pt",
        teachers={role: models.load(name, dataset=digits).module for role, name in recipe.teachers.items()},
    )
    assert run.history[-1].measured["router_clean"] > 0.9
    assert run.history[-1].measured["router_training_attack"] > 0.9


def test_router_learns_at_a_tenth_of_the_rate(make_model):
    """Every parameter is in one group, the router's at a tenth of the schedule's rate."""
    model = make_model(ARCHITECTURE)
    groups = {share: {id(each) for each in part} for share, part in ALONE.rates(model).items()}
    assert groups[0.1] == {id(each) for each in model.router.parameters()}
    assert groups[0.1] | groups[1.0] == {id(each) for each in model.parameters()}
    assert not groups[0.1] & groups[1.0]


@pytest.mark.parametrize(("through", "kept"), [("adversarial branch", [0, 1, 2]), ("soft mix", [2])])
def test_crafted_end_to_end_the_last_epoch_is_kept(through, kept):
    """PGD that does not steer calls the first epochs best, before the router stands an attack that does."""
    objective = AwNetDistillation(attack=FEW_STEPS, craft_through=through)
    assert [epoch for epoch in range(3) if objective.eligible(epoch, 3)] == kept
