"""RobustBench's models: clear errors without the extra or the network, real networks with the extra."""

from __future__ import annotations

import dataclasses
import importlib.util
import io
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import transforms

from bench import data
from bench.core.types import ThreatModel
from bench.models.architectures import ARCHITECTURES
from bench.models.registry import default_threat_model, load, preprocessing
from bench.models.sources import robustbench
from bench.models.sources.source import Wanted

LINF = ThreatModel.parse("Linf:8/255")
L2 = ThreatModel.parse("L2:0.5")
IMAGENET = ThreatModel.parse("Linf:4/255")
installed = pytest.mark.skipif(importlib.util.find_spec("robustbench") is None, reason="needs the extra `zoo`")
IDS = ["Standard", "Wong2020Fast", "Rice2020Overfitting", "Huang2021Exploring", "Wu2020Adversarial"]


@pytest.fixture
def cifar(digits):
    """The digits under CIFAR-10's name: enough to ask for a model."""
    return dataclasses.replace(digits, name="cifar10")


def test_without_the_extra_says_what_to_install(cifar, refused, monkeypatch):
    """Without robustbench the error is the command that installs it."""
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "robustbench" else find(name))
    refused(lambda: load("robustbench:Standard", dataset=cifar), "pip install 'robust-bench[zoo]'")


def test_other_datasets_are_refused(digits, refused):
    """A dataset that RobustBench does not know is refused with those that it does."""
    refused(lambda: load("robustbench:Standard", dataset=digits), "'digits'", "cifar10")


@installed
def test_weights_that_were_fetched_by_hand_are_taken(cifar, refused, tmp_path):
    """Under any name and from anywhere; what is no weights file is refused before anything reads it."""
    network = robustbench.factories(dataset="cifar10", threat_model=LINF)["Wong2020Fast"]()
    torch.save(network.state_dict(), tmp_path / "fetched")
    images = torch.rand(2, 3, 32, 32)
    loaded = load("robustbench:Wong2020Fast", dataset=cifar, weights=tmp_path / "fetched", check=False)
    assert torch.equal(loaded.module(images), network.eval()(images))
    (tmp_path / "page").write_text("<!DOCTYPE html><html></html>")
    refused(lambda: load("robustbench:Wong2020Fast", dataset=cifar, weights=tmp_path / "page"), "web page")
    refused(lambda: load("robustbench:Carmon2019Unlabeled", dataset=cifar, weights=tmp_path / "fetched"), "do not load")
    refused(lambda: load("robustbench:Bai2024MixedNUTS", dataset=cifar, weights=tmp_path / "fetched"), "2 files")


@installed
def test_every_model_has_the_published_numbers():
    """Of each list, as many as RobustBench can load, with its epsilon."""
    listed = robustbench.published()
    for dataset, threat_model in (("cifar10", "Linf:8/255"), ("cifar10", "L2:0.5"), ("imagenet", "Linf:4/255")):
        wanted = ThreatModel.parse(threat_model)
        here = {each.identifier for each in listed if (each.dataset, each.threat_model) == (dataset, wanted)}
        assert here == set(robustbench.names(dataset=dataset, threat_model=wanted))
    rice = {each.threat_model: each for each in robustbench.published("cifar10") if "Rice2020" in each.identifier}
    assert (rice[LINF].clean, rice[LINF].robust) == ("85.34", "53.42")
    assert (rice[L2].clean, rice[L2].robust) == ("88.67", "67.68")
    assert all(0 <= float(each.robust) <= float(each.clean) <= 100 for each in listed)


@installed
def test_models_of_the_l2_list_mean_half(cifar, refused):
    """One that is listed under L2 alone is evaluated there, and the list's epsilon is said beside another one."""
    assert default_threat_model(["robustbench:Augustin2020Adversarial"], cifar) == L2
    assert default_threat_model(["robustbench:Rice2020Overfitting"], cifar) == cifar.default_threat_model
    both = ["robustbench:Augustin2020Adversarial", "robustbench:Wong2020Fast"]
    refused(lambda: default_threat_model(both, cifar), "L2:1/2", "--threat-model")
    refused(lambda: load("robustbench:Augustin2020Adversarial", dataset=cifar, threat_model=LINF), "cifar10 and L2:1/2")


@installed
def test_a_bare_id_gets_its_prefix(cifar, refused):
    """As RobustBench's own functions take it."""
    refused(lambda: load("Wong2020Fast", dataset=cifar), "robustbench:Wong2020Fast")


@installed
@pytest.mark.parametrize("identifier", ["Salman2020Do_R18", "Singh2023Revisiting_ViT-S-ConvStem"])
def test_attacks_on_its_imagenet_networks_are_no_weaker_than_pgd(identifier, no_weaker_than_pgd):
    """A residual network and a transformer, with weights drawn at random."""
    network = robustbench.factories(dataset="imagenet", threat_model=IMAGENET)[identifier]().eval()
    no_weaker_than_pgd(network.requires_grad_(requires_grad=False), torch.rand(1, 3, 224, 224))


@installed
def test_an_unknown_id_gets_the_nearest(cifar, refused):
    """A misspelt ID is answered with the nearest one of the dataset's and norm's list."""
    refused(lambda: load("robustbench:Wong2020Fats", dataset=cifar), "Did you mean 'Wong2020Fast'?", "cifar10 and Linf")


@installed
def test_the_norm_picks_the_list():
    """Each norm has its own list."""
    linf = robustbench.names(dataset="cifar10", threat_model=LINF)
    l2 = robustbench.names(dataset="cifar10", threat_model=ThreatModel.parse("L2:0.5"))
    assert "Wong2020Fast" in linf
    assert "Wong2020Fast" not in l2
    assert "Rice2020Overfitting" in l2


@installed
def test_the_alias_is_gone_afterwards():
    """`autoattack` names nothing once RobustBench is imported."""
    robustbench.names(dataset="cifar10", threat_model=LINF)
    assert "autoattack" not in sys.modules


@installed
def test_without_a_network_says_where_a_file_may_be_put(cifar, refused, monkeypatch, tmp_path, capsys):
    """A download that fails is one line, with the place for a file that was downloaded by hand; stdout stays clean."""
    monkeypatch.setattr(robustbench, "cache_folder", lambda: tmp_path)
    utils = robustbench._imported()

    def offline(*_args, **_kwargs):
        raise OSError("no route to host")

    monkeypatch.setattr(utils, "download_gdrive_new", offline)
    refused(
        lambda: load("robustbench:Wong2020Fast", dataset=cifar),
        "no route to host",
        "Wong2020Fast.pt",
        "https://drive.google.com/uc?id=",
    )
    assert capsys.readouterr().out == ""


@installed
def test_a_web_page_instead_of_weights_is_removed(cifar, refused, monkeypatch, tmp_path):
    """A download that is Google Drive's page is recognised and removed, so that the next try downloads again."""
    monkeypatch.setattr(robustbench, "cache_folder", lambda: tmp_path)
    file = tmp_path / "cifar10" / "Linf" / "Wong2020Fast.pt"
    file.parent.mkdir(parents=True)
    file.write_text("<!DOCTYPE html><html>too many users</html>")
    refused(lambda: load("robustbench:Wong2020Fast", dataset=cifar), "web page", "removed")
    assert not file.exists()


@installed
def test_a_file_in_the_cache_that_is_no_page_is_left_alone(cifar, refused, monkeypatch, tmp_path):
    """Somebody may have put it there; what is wrong with it is said, and where it lies."""
    monkeypatch.setattr(robustbench, "cache_folder", lambda: tmp_path)
    file = tmp_path / "cifar10" / "Linf" / "Wong2020Fast.pt"
    file.parent.mkdir(parents=True)
    torch.save({"weight": torch.zeros(3)}, file)
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    refused(lambda: load("robustbench:Wong2020Fast", dataset=cifar), "Wong2020Fast.pt", "once it is removed")
    assert file.exists()


@installed
@pytest.mark.parametrize("identifier", ["Wong2020Fast", "Debenedetti2022Light_XCiT-S12"])
def test_a_worker_looks_for_no_file(monkeypatch, identifier):
    """It gets the tensors of the model that was loaded, so that only the network is built, RobustBench's or timm's."""

    def looked(*arguments, **options):
        raise AssertionError("looked for a file")

    monkeypatch.setattr(robustbench, "_loaded", looked)
    name = f"robustbench:{identifier}"
    wanted = Wanted(name=name, dataset="cifar10", num_classes=10, threat_model=LINF, empty=True)
    module = robustbench.ENTRY.load(wanted).module
    assert module(torch.rand(2, 3, 32, 32)).shape == (2, 10) and not module.training


@installed
def test_weights_of_a_network_of_timms_are_read(tmp_path):
    """RobustBench has no file of its own for these, and takes one's own; nothing is downloaded."""
    name = "robustbench:Debenedetti2022Light_XCiT-S12"
    asked = {"name": name, "dataset": "cifar10", "num_classes": 10, "threat_model": LINF}
    state = robustbench.ENTRY.load(Wanted(**asked, empty=True)).module.state_dict()
    state = {key: torch.full_like(entry, 0.25) if entry.is_floating_point() else entry for key, entry in state.items()}
    torch.save(state, tmp_path / "mine.pt")
    loaded = robustbench.ENTRY.load(Wanted(**asked, weights=tmp_path / "mine.pt")).module.state_dict()
    assert [*loaded] == [*state]
    assert all(torch.equal(loaded[key], entry) for key, entry in state.items())


@installed
def test_weights_that_nothing_would_read_are_refused(cifar, refused, tmp_path):
    """ImageNet's standard models come from torchvision whole."""
    torch.save({"weight": torch.zeros(3)}, tmp_path / "mine.pt")
    wanted = Wanted(
        name="robustbench:Standard_R50",
        dataset="imagenet",
        num_classes=1000,
        threat_model=IMAGENET,
        weights=tmp_path / "mine.pt",
    )
    refused(lambda: robustbench.ENTRY.load(wanted), "from torchvision", "leave --weights out")


@installed
def test_weights_in_the_cache_are_loaded(cifar, monkeypatch, tmp_path):
    """A file that lies in the cache is loaded, eval and frozen, without a network."""
    monkeypatch.setattr(robustbench, "cache_folder", lambda: tmp_path)
    network = robustbench.factories(dataset="cifar10", threat_model=LINF)["Wong2020Fast"]()
    (tmp_path / "cifar10" / "Linf").mkdir(parents=True)
    torch.save(network.state_dict(), tmp_path / "cifar10" / "Linf" / "Wong2020Fast.pt")
    images = torch.rand(2, 3, 32, 32)
    loaded = load("robustbench:Wong2020Fast", dataset=cifar, check=False)
    assert torch.equal(loaded.module(images), network.eval()(images))
    assert not any(parameter.requires_grad for parameter in loaded.module.parameters())


@installed
def test_each_imagenet_model_gets_the_pixels_that_robustbench_gives_it():
    """Of all in its list, what its own transforms make of an image, to the pixel; in every dataset of ImageNet."""
    listed = robustbench.names(dataset="imagenet", threat_model=IMAGENET)
    table = importlib.import_module("robustbench.data")
    utils = robustbench._imported()
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (281, 397, 3), dtype=np.uint8)).save(file, "PNG")
    found = {}
    for name in listed:
        if name.startswith("Debenedetti"):  # each is built for its configuration: one is enough, below
            continue
        prepared = preprocessing(f"robustbench:{name}", dataset="imagenet-5000")
        assert prepared == preprocessing(f"robustbench:{name}", dataset="imagenet")
        found.setdefault(prepared, name)
    small = "Debenedetti2022Light_XCiT-S12"
    found[preprocessing(f"robustbench:{small}", dataset="imagenet")] = small
    assert {str(each) for each in found} == {
        "CenterCrop(288)",
        "Resize(256, bilinear), CenterCrop(224)",
        "Resize(256, bicubic), CenterCrop(224)",
        "Resize(224, bicubic), CenterCrop(224)",
        "Resize((224, 224), bilinear)",
    }
    for prepared, name in found.items():
        theirs = table.get_preprocessing(utils.BenchmarkDataset("imagenet"), utils.ThreatModel("Linf"), name, None)
        expected = theirs(Image.open(file)).mul(255).round().byte()
        assert torch.equal(torch.from_numpy(prepared(file.getvalue(), source=Path("x")).copy()), expected), name


@installed
def test_pixels_of_other_models_are_the_datasets(refused):
    """A file of the user's takes what the dataset says; own data and CIFAR-10 are not read from image files."""
    usual = data.DATASETS.get("imagenet").preprocessing
    assert preprocessing("net.py:make", dataset="imagenet-5000") == usual
    assert preprocessing("robustbench:Salman2020Do_R50", dataset="imagenet") == usual
    assert preprocessing("robustbench:Wong2020Fast", dataset="cifar10") is None
    assert preprocessing("net.py:make", dataset="folder:images") is None
    refused(lambda: preprocessing("robustbench:Salman2020Do_R51", dataset="imagenet"), "Did you mean")


@installed
def test_transforms_that_bench_does_not_know_are_refused(refused, monkeypatch):
    """Rather than other pixels in silence."""
    table = importlib.import_module("robustbench.data")
    name = "robustbench:Salman2020Do_R50"
    crop = transforms.CenterCrop(9)
    for odd in ([transforms.RandomCrop(9)], [transforms.ToTensor()], [crop, transforms.Resize(9)], [crop, crop]):
        monkeypatch.setattr(table, "get_preprocessing", lambda *_, odd=odd: transforms.Compose(odd))
        refused(lambda: preprocessing(name, dataset="imagenet"), name, "does not know")


@installed
@pytest.mark.parametrize("identifier", IDS)
def test_its_architectures_instantiate(identifier):
    """The networks of the papers that this project follows can be built, and answer CIFAR-10 images."""
    module = robustbench.factories(dataset="cifar10", threat_model=LINF)[identifier]().eval()
    with torch.no_grad():
        assert module(torch.rand(1, 3, 32, 32)).shape == (1, 10)


@installed
@pytest.mark.parametrize(
    ("identifier", "name", "kwargs"),
    [
        ("Wu2020Adversarial", "wrn", {"depth": 34, "width": 10}),
        ("Huang2021Exploring", "robust-wrn", {}),
    ],
)
def test_our_networks_are_theirs(identifier, name, kwargs):
    """With their weights, in order, our wide ResNets give their logits."""
    theirs = robustbench.factories(dataset="cifar10", threat_model=LINF)[identifier]().eval()
    ours = ARCHITECTURES.get(name).build(**kwargs).eval()
    state = dict(zip(ours.state_dict(), theirs.state_dict().values(), strict=True))
    ours.load_state_dict(state)
    images = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(ours(images), theirs(images), rtol=1e-4, atol=1e-4)
