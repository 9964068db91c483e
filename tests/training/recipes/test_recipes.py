from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from bench import data
from bench.core.types import ThreatModel
from bench.models.architectures import ARCHITECTURES
from bench.models.zoo import ZOO
from bench.ops.precision import autocast
from bench.training import loop
from bench.training.averaging import Averaged
from bench.training.loop import train
from bench.training.objectives.objective import Batch, Context
from bench.training.recipe import Plan, model_name
from bench.training.recipes import RECIPES
from bench.training.run import Run
from bench.training.step import augmented, optimizer_of, step

LARGEST_CHECKPOINT = {"tiny": 4 << 20, "small": 4 << 20, "medium": 24 << 20}
# Wide networks of the paper scale are stepped with the same depth and fewer channels.
REDUCED: Mapping[str, Mapping[str, object]] = {
    "wrn": {"depth": 34, "width": 1},
    "robust-wrn": {"channels": [20, 40, 32]},
}

LARGEST_LOSS = {"ibp": 1000}  # intervals are wide before weights are trained on them


def build(plan: Plan, *, num_classes: int, in_channels: int, **arguments: object) -> nn.Module:
    return ARCHITECTURES.get(plan.architecture).build(
        **{**plan.arguments, **arguments}, num_classes=num_classes, in_channels=in_channels
    )


def teachers(plan: Plan, *, in_channels: int) -> dict[str, nn.Module]:
    """An untrained network in the place of each teacher."""
    teacher = ARCHITECTURES.get("resnet18").build(num_classes=10, in_channels=in_channels, width=4)
    return dict.fromkeys(plan.objective.teacher_roles, teacher.eval().requires_grad_(False))


def quickly(plan: Plan, **changes: object) -> Plan:
    """The plan with `changes`, and with a warm-up of a few batches where its objective has one."""
    if hasattr(plan.objective, "warm_up_steps"):
        plan = dataclasses.replace(plan, objective=dataclasses.replace(plan.objective, warm_up_steps=3))
    return dataclasses.replace(plan, **changes)


def changed(before: Mapping[str, Tensor], after: Mapping[str, Tensor]) -> bool:
    return any(not torch.equal(value, after[name]) for name, value in before.items() if "weight" in name)


def copied(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


@pytest.mark.parametrize("name", RECIPES.names())
def test_tiny_scale_trains_on_digits(name, tmp_path):
    """Every recipe trains an epoch on handwritten digits and ends with other, finite weights."""
    digits = data.load("digits", split="train")
    plan = quickly(RECIPES.get(name).plan("tiny"), epochs=1, batch_size=36)
    model = build(plan, num_classes=10, in_channels=1)
    before = copied(model)
    run = train(
        Run(model=model, identity={}),
        plan,
        digits.examples[:200],  # five steps, of which DUCAT's last has dummy targets
        digits.default_threat_model,
        seed=0,
        device=torch.device("cpu"),
        snapshot_path=tmp_path / "snapshot.pt",
        teachers=teachers(plan, in_channels=1),
    )
    assert changed(before, run.best) and changed(before, run.model.state_dict())
    assert all(torch.isfinite(value).all() for value in run.model.state_dict().values())


@pytest.mark.parametrize("name", RECIPES.names())
def test_interrupted_run_ends_with_the_same_weights(name, tmp_path, monkeypatch):
    """Whatever an objective keeps between steps, a run that goes on from its snapshot ends with the same bits."""
    monkeypatch.setattr(loop, "SNAPSHOT_WORTH", 0)
    digits = data.load("digits", split="train")
    plan = quickly(RECIPES.get(name).plan("tiny"), epochs=2, batch_size=30)
    taught = teachers(plan, in_channels=1)

    def go(folder: str, stop: bool) -> Run:
        def on_epoch(run: Run) -> None:
            if stop:
                raise KeyboardInterrupt

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            model = build(plan, num_classes=10, in_channels=1)
        (tmp_path / folder).mkdir(exist_ok=True)
        return train(
            Run(model=model, identity={}),
            plan,
            digits.examples[:70],
            digits.default_threat_model,
            seed=0,
            device=torch.device("cpu"),
            snapshot_path=tmp_path / folder / "snapshot.pt",
            teachers=taught,
            on_epoch=on_epoch,
        )

    whole = go("whole", stop=False)
    with pytest.raises(KeyboardInterrupt):
        go("parts", stop=True)
    resumed = go("parts", stop=False)
    for kept in ("model", "kept"):
        one, other = getattr(whole, kept).state_dict(), getattr(resumed, kept).state_dict()
        assert all(torch.equal(value, other[key]) for key, value in one.items())
    assert whole.memory == resumed.memory


@pytest.mark.parametrize("name", RECIPES.names())
def test_paper_scale_takes_a_step(name):
    """Every recipe as published, its attack of ten steps included, takes a step on two small images."""
    plan = RECIPES.get(name).plan("paper")
    model = build(plan, num_classes=10, in_channels=3, **REDUCED.get(plan.architecture, {})).train()
    before = copied(model)
    generator = torch.Generator().manual_seed(0)
    context = Context(
        epoch=0.9 * plan.epochs,  # past all warm-ups
        epochs=plan.epochs,
        threat_model=ThreatModel.parse("Linf:8/255"),
        generator=generator,
        teachers=teachers(plan, in_channels=3),
    )
    inputs, labels = torch.rand((2, 3, 8, 8), generator=generator), torch.tensor([3, 5])
    optimizer = torch.optim.SGD(model.parameters(), lr=plan.schedule.at(context.epoch, plan.epochs))
    with autocast(torch.device("cpu")):
        batch = Batch(inputs, labels, plan.objective.craft(model, inputs, labels, context))
        with plan.objective.perturbed_weights(model, batch, context):
            loss = plan.objective.loss(model, batch, context)
            loss.backward()
            optimizer.step()
    assert 0 < loss.item() < LARGEST_LOSS.get(name, 50)
    assert changed(before, model.state_dict())


@pytest.mark.parametrize("name", RECIPES.names())
def test_every_plan_can_be_instantiated(name):
    """At every scale the network exists; in float16 small ones fit a checkpoint of 4 MB, medium ones of 24 MB."""
    for scale, plan in RECIPES.get(name).scales.items():
        with torch.device("meta"):
            model = build(plan, num_classes=10, in_channels=3)
        n_parameters = sum(parameter.numel() for parameter in model.parameters())
        assert 2 * n_parameters < LARGEST_CHECKPOINT.get(scale, math.inf)


class NoWaiting(TorchDispatchMode):
    """Refuses what would make a GPU wait for its result: reading a number, or a shape that depends on one."""

    READS = (
        torch.ops.aten._local_scalar_dense.default,
        torch.ops.aten.nonzero.default,
        torch.ops.aten.masked_select.default,
        torch.ops.aten.equal.default,
    )

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        assert func not in self.READS, f"a step of training reads the device: {func}"
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("name", [recipe.name for recipe in RECIPES if "medium" in recipe.scales])
def test_no_step_of_medium_waits_for_the_device(name):
    """From the batch to the averaged weights, no number is read from the device."""
    plan = RECIPES.get(name).plan("medium")
    model = build(plan, num_classes=10, in_channels=3, width=8)
    run = Run(model=model, identity={}, average=Averaged(model, 0.9))
    optimizer = optimizer_of(model, plan)
    generator = torch.Generator().manual_seed(0)
    context = Context(
        epoch=0.9 * plan.epochs,
        epochs=plan.epochs,
        threat_model=ThreatModel.parse("Linf:8/255"),
        generator=generator,
        teachers=teachers(plan, in_channels=3),
        memory=run.memory,
    )
    inputs, labels = torch.rand((4, 3, 8, 8), generator=generator), torch.tensor([3, 5, 0, 9])
    with NoWaiting():
        for _ in range(2):
            step(run, plan, augmented(plan, inputs, generator), labels, optimizer, context)
    with pytest.raises(AssertionError, match="reads the device"), NoWaiting():
        float(inputs.sum())


@pytest.mark.parametrize("name", RECIPES.names())
@pytest.mark.parametrize("scale", ["small", "medium"])
def test_every_plan_in_bfloat16_says_so(name, scale):
    """All but that on interval bounds, which are in float32."""
    if scale in RECIPES.get(name).scales:
        found = [each for each in RECIPES.get(name).plan(scale).differences if each.startswith("bfloat16 autocast")]
        assert len(found) == (name != "ibp")


@pytest.mark.parametrize("scale", ["paper", "small", "tiny"])
def test_robust_wrn_and_its_twin_differ_in_the_channels_alone(scale):
    """The pair has as many parameters, and the same plan but for the architecture."""
    pair = [RECIPES.get(name).plan(scale) for name in ("robust-wrn", "wrn")]
    with torch.device("meta"):
        networks = [build(plan, num_classes=10, in_channels=3) for plan in pair]
    robust, plain = (sum(parameter.numel() for parameter in network.parameters()) for network in networks)
    assert robust / plain == pytest.approx(1, abs=0.03)
    if scale == "paper":
        assert (robust, plain) == (68_116_698, 66_457_818)
    else:
        assert pair[0].arguments["channels"][2] < pair[0].arguments["channels"][1]
        assert pair[1].arguments["channels"][2] == 2 * pair[1].arguments["channels"][1]
    alike = [dataclasses.replace(plan, architecture="", arguments={}) for plan in pair]
    assert alike[0] == alike[1]


def test_every_model_of_the_zoo_has_its_recipe():
    """Recipes are called like the models that they make, full-width ones with -r18 behind, and none is missing."""
    assert {spec.recipe for spec in ZOO} == set(RECIPES.names())
    assert all(spec.name == model_name(spec.recipe, spec.scale or "small") for spec in ZOO)
    full = {spec.recipe for spec in ZOO if spec.scale == "medium"}
    assert full == {recipe.name for recipe in RECIPES if "medium" in recipe.scales} - {"aw-net-e2e"}


@pytest.mark.parametrize("name", RECIPES.names())
def test_recipe_says_what_it_is(name):
    """A recipe has all scales, its sources, what differs from them, and a model for each teacher."""
    recipe = RECIPES.get(name)
    assert set(recipe.scales) - {"medium"} == {"paper", "small", "tiny"}
    assert recipe.title and recipe.paper
    assert all(plan.differences for scale, plan in recipe.scales.items() if scale != "paper")
    assert all(set(recipe.teachers) == set(plan.objective.teacher_roles) for plan in recipe.scales.values())
    assert all(teacher in RECIPES and teacher != name for teacher in recipe.teachers.values())


@pytest.mark.parametrize(
    ("name", "epochs", "rates", "decay"),
    [
        ("at-awp", 200, {0: 0.1, 100: 0.01, 150: 0.001}, 5e-4),
        ("trades-awp", 200, {99.9: 0.1, 100: 0.01, 150: 0.001}, 5e-4),
        ("ducat", 130, {99.9: 0.1, 100: 0.01, 105: 0.001}, 5e-4),
        ("trades-ducat", 130, {99.9: 0.1, 100: 0.01, 105: 0.001}, 5e-4),
        ("mart", 120, {74.9: 0.01, 75: 0.001, 90: 1e-4, 100: 1e-5}, 3.5e-3),
        ("fgsm-rs", 15, {0: 0, 3.75: 0.1, 7.5: 0.2, 11.25: 0.1}, 5e-4),
        ("robust-wrn", 100, {74.9: 0.1, 75: 0.01, 90: 0.001}, 2e-4),
        ("aw-net", 300, {214.9: 0.1, 215: 0.01, 260: 0.001, 285: 1e-4}, 2e-4),
    ],
)
def test_published_schedules(name, epochs, rates, decay):
    """Epochs, learning rates and weight decay of the paper scale are the published ones."""
    plan = RECIPES.get(name).plan("paper")
    assert (plan.epochs, plan.batch_size, plan.momentum, plan.weight_decay) == (epochs, 128, 0.9, decay)
    assert plan.ema is None
    for epoch, rate in rates.items():
        assert plan.schedule.at(epoch, epochs) == pytest.approx(rate)
