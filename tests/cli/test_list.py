from __future__ import annotations

import importlib.util
import json

import pytest

from bench import attacks, data, models, suites
from bench.core.types import COMMON_THREAT_MODELS
from bench.training.recipes import RECIPES


@pytest.mark.parametrize(
    ("what", "names"),
    [
        ("models", models.names),
        ("datasets", data.names),
        ("threat-models", lambda: tuple(str(threat_model) for threat_model, _ in COMMON_THREAT_MODELS)),
        ("attacks", attacks.names),
        ("suites", suites.names),
        ("recipes", RECIPES.names),
    ],
)
def test_everything_that_exists_is_listed(bench, what, names):
    """Each name is there, in the table and in the JSON, and nothing else is on stdout."""
    listed = json.loads(bench("list", what, "--json").out)
    assert tuple(entry["name"] for entry in listed) == names()
    table = bench("list", what).out
    assert [line.split()[0] for line in table.splitlines()[2:]] == list(names())


def test_no_attack_is_listed_without_saying_what_it_does(bench):
    """Every line has a summary."""
    assert all(entry["summary"] for entry in json.loads(bench("list", "attacks", "--json").out))


def test_models_of_a_library_are_listed_with_its_numbers(bench):
    """Torchvision's, of ImageNet; the zoo's that have a checkpoint for a dataset."""
    listed = json.loads(bench("list", "models", "--source", "torchvision", "--json").out)
    found = {entry["name"]: entry["clean"] for entry in listed}
    assert found["torchvision:resnet18@IMAGENET1K_V1"] == "69.76"
    assert json.loads(bench("list", "models", "--source", "torchvision", "--dataset", "cifar10", "--json").out) == []
    part = json.loads(bench("list", "models", "--source", "torchvision", "--dataset", "imagenet-5000", "--json").out)
    assert part == listed
    of_digits = json.loads(bench("list", "models", "--dataset", "digits", "--json").out)
    assert of_digits
    assert all("digits" in entry["checkpoints"] for entry in of_digits)


@pytest.mark.skipif(importlib.util.find_spec("robustbench") is None, reason="needs the extra `zoo`")
def test_robustbenchs_models_are_listed_with_the_published_numbers(bench):
    """Those of a dataset, under each norm with its epsilon."""
    listed = json.loads(bench("list", "models", "--source", "robustbench", "--dataset", "cifar10", "--json").out)
    wong = next(entry for entry in listed if entry["name"] == "robustbench:Wong2020Fast")
    assert (wong["threat model"], wong["clean"], wong["robust"]) == ("Linf:8/255", "83.34", "43.21")
    assert {entry["threat model"] for entry in listed} == {"Linf:8/255", "L2:1/2"}


def test_what_cannot_be_listed_is_said(bench):
    """An unknown source, a dataset that RobustBench does not have, and options that belong to models."""
    unknown = bench("list", "models", "--source", "torchvison")
    assert unknown.code == 2
    assert "Did you mean 'torchvision'?" in unknown.message
    assert "leave them out" in bench("list", "suites", "--source", "timm").message
    misspelt = bench("list", "models", "--dataset", "cfar10")
    assert misspelt.code == 2 and "Did you mean 'cifar10'?" in misspelt.message


def test_in_json_a_list_is_a_list(bench):
    """And a number a number: nothing has to be taken apart again."""
    listed = {
        what: json.loads(bench("list", what, "--json").out) for what in ("models", "datasets", "suites", "checks")
    }
    assert all(isinstance(entry["checkpoints"], list) for entry in listed["models"])
    digits = next(entry for entry in listed["datasets"] if entry["name"] == "digits")
    assert digits["threat models"] == ["Linf:1/10", "L2:1/4"] and digits["test examples"] == 360
    assert listed["suites"][0]["attacks"] and isinstance(listed["suites"][0]["attacks"], list)
    assert {entry["in every run"] for entry in listed["checks"]} == {True, False}
