"""Fixed inputs tell two functions apart, whatever makes them two, and one function from none."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench import data
from bench.core import digest
from bench.core.errors import BenchError
from bench.evaluation.fingerprint import fixed_inputs, take_fingerprint
from bench.row.fingerprint import same_function


@pytest.fixture(scope="module")
def images() -> Tensor:
    return data.load("digits").examples[:8].inputs


class Net(nn.Module):
    """A network in front of which a defence may do something to the inputs."""

    def __init__(self, defence: Any = None) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.weight = nn.Parameter(torch.randn(64, 10, generator=generator))
        self.defence = defence

    def forward(self, inputs: Tensor) -> Tensor:
        return (self.defence(inputs) if self.defence else inputs).flatten(1) @ self.weight


def roughness(inputs: Tensor) -> Tensor:
    """Mean difference of neighbouring pixels, `(N, 1, 1, 1)`."""
    return (inputs[..., 1:] - inputs[..., :-1]).abs().mean((1, 2, 3), keepdim=True)


def against_noise(images: Tensor, above: float, upto: float) -> Any:
    """A defence that answers only inputs with the images' pixels and noise of a strength in a range."""

    def act(inputs: Tensor) -> Tensor:
        strength = torch.stack([(inputs - image).abs().amax((1, 2, 3)) for image in images]).amin(0)
        seen = (strength > above) & (strength <= upto)
        return torch.where(seen.view(-1, 1, 1, 1), inputs.flip(3), inputs)

    return act


@pytest.mark.parametrize(("above", "upto"), [(0.0, 0.02), (0.02, 0.05), (0.05, 0.15), (0.15, 0.4)])
def test_a_defence_that_acts_on_noise_of_one_strength_shows(images: Tensor, above: float, upto: float) -> None:
    """On clean images it does nothing; at each of four strengths there are inputs that it acts on."""
    plain, acting = Net(), Net(against_noise(images, above, upto))
    assert torch.equal(plain(images), acting(images))
    assert same_function(take_fingerprint(plain, images), take_fingerprint(acting, images)) is False


@pytest.mark.parametrize(
    "defence",
    [
        lambda inputs: inputs.clamp(0.02, 0.98),
        lambda inputs: (inputs * 64).round() / 64,
        lambda inputs: torch.where(roughness(inputs) > 0.3, inputs.mean((2, 3), keepdim=True), inputs),
        lambda inputs: torch.where(inputs.mean((1, 2, 3), keepdim=True) > 0.45, 1 - inputs, inputs),
        lambda inputs: inputs + 1e-3 * inputs.roll(1, 3),
    ],
)
def test_small_and_rare_changes_show(images: Tensor, defence: Any) -> None:
    """Clipping, quantising, what acts on rough or bright inputs alone, and a thousandth of a shift."""
    assert same_function(take_fingerprint(Net(), images), take_fingerprint(Net(defence), images)) is False


def test_rounding_does_not_show(images: Tensor) -> None:
    """The same function in float64, with weights in another memory format, or on one image at a time."""

    class Double(Net):
        def forward(self, inputs: Tensor) -> Tensor:
            return (inputs.double().flatten(1) @ self.weight.double()).float()

    class Single(Net):
        def forward(self, inputs: Tensor) -> Tensor:
            return torch.cat([super(Single, self).forward(one[None]) for one in inputs])

    found = [take_fingerprint(make(), images) for make in (Net, Double, Single)]
    assert all(same_function(found[0], other) is True for other in found)


def test_the_inputs_are_the_same_on_every_machine(images: Tensor) -> None:
    """To the bit, in [0, 1], each another one; the first eight images are all that is looked at."""
    assert digest.of_json(list(take_fingerprint(Net(), images).logits))[:16] == "da56b530e103d1cb"
    inputs = fixed_inputs(images)
    assert inputs.shape == (20, 1, 8, 8) and inputs.min() >= 0 and inputs.max() <= 1
    assert len({one.numpy().tobytes() for one in inputs}) == 20
    assert take_fingerprint(Net(), torch.cat([images, images.flip(0)])) == take_fingerprint(Net(), images)


def test_a_model_that_changes_its_input_in_place_is_asked_the_same(images: Tensor) -> None:
    """The images stay as they are, and so do the names of the fixed inputs."""
    before = images.clone()
    changing, plain = Net(lambda inputs: inputs.mul_(0.5)), Net(lambda inputs: inputs * 0.5)
    assert take_fingerprint(changing, images) == take_fingerprint(plain, images) and torch.equal(images, before)


def test_one_image_of_any_shape_is_enough(images: Tensor) -> None:
    """Colour, not square, smaller than a grain; what two sets of images have in common is compared."""
    few, other = take_fingerprint(Net(), images[:1]), take_fingerprint(Net(), images[4:])
    assert same_function(few, take_fingerprint(Net(), images)) is True
    assert same_function(few, other) is True
    assert same_function(few, take_fingerprint(Net(lambda inputs: 2 * inputs), images[4:])) is False
    assert fixed_inputs(torch.rand(1, 3, 3, 5)).shape == (13, 3, 3, 5)


def test_the_module_is_handed_back_and_draws_nothing(images: Tensor) -> None:
    """Mode, buffers, gradients and the random state are as before, though dropout and batch norms would change them."""
    module = nn.Sequential(nn.BatchNorm2d(1), nn.Dropout(0.5), nn.Flatten(), nn.Linear(64, 10)).train()
    state = {name: value.clone() for name, value in module.state_dict().items()}
    before = torch.get_rng_state()
    take_fingerprint(module, images)
    assert module.training and torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(value, state[name]) for name, value in module.state_dict().items())
    assert all(parameter.requires_grad for parameter in module.parameters())


@pytest.mark.parametrize(
    ("wrap", "message"),
    [
        (lambda logits: (logits, logits), "got a tuple"),
        (lambda logits: logits[:3], r"logits \(20, num_classes\)"),
        (lambda logits: logits.new_zeros(2) + logits, "fails on images with noise.*RuntimeError: The size of tensor"),
    ],
)
def test_what_gives_no_logits_is_refused(images: Tensor, wrap: Any, message: str) -> None:
    """In one line."""

    class Wrapped(Net):
        def forward(self, inputs: Tensor) -> Any:
            return wrap(super().forward(inputs))

    with pytest.raises(BenchError, match=message) as caught:
        take_fingerprint(Wrapped(), images)
    assert "\n" not in str(caught.value)


def test_logits_that_are_not_finite_are_part_of_it(images: Tensor) -> None:
    """A model that answers NaN to noise is another one than one that does not, and the same as itself."""
    nan = Net(lambda inputs: torch.where(roughness(inputs) > 0.3, torch.nan, inputs))
    assert same_function(take_fingerprint(nan, images), take_fingerprint(nan, images)) is True
    assert same_function(take_fingerprint(nan, images), take_fingerprint(Net(), images)) is False
