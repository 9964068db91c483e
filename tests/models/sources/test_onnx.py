"""Networks in ONNX files: the logits of torch, one identity wherever they lie, and one line for what is none."""

from __future__ import annotations

import copy
import functools
import importlib.util
import os
import warnings

import numpy as np
import pytest
import torch

from bench import models
from bench.core.types import ThreatModel
from bench.jobs.card import card_of
from bench.jobs.request import row_name
from bench.models import blueprint_of, dump_state, load_state, rebuild
from bench.models.registry import load

pytestmark = pytest.mark.skipif(importlib.util.find_spec("onnxruntime") is None, reason="needs the extra `onnx`")


@pytest.fixture
def get(digits):
    return functools.partial(load, dataset=digits)


@pytest.fixture
def saved(tmp_path):
    """Write a linear network on digits, with something about it changed."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    def made(kind: str = "good"):
        shape = [4 if kind == "fixed" else "N", 64] if kind == "rank" else [4 if kind == "fixed" else "N", 1, 8, 8]
        double = kind == "double"
        number = TensorProto.DOUBLE if double else TensorProto.FLOAT
        weight = np.random.default_rng(0).normal(size=(64, 10)).astype(np.float64 if double else np.float32)
        outputs = [helper.make_tensor_value_info("logits", number, ["N", 10])]
        nodes = [
            helper.make_node("Flatten", ["images"], ["flat"]),
            helper.make_node("MatMul", ["flat", "weight"], ["logits"]),
        ]
        inputs = [helper.make_tensor_value_info("images", number, shape)]
        if kind == "two outputs":
            outputs.append(helper.make_tensor_value_info("flat", number, ["N", 64]))
        if kind == "two inputs":
            inputs.append(helper.make_tensor_value_info("mask", number, ["N", 10]))
            nodes[1] = helper.make_node("MatMul", ["flat", "weight"], ["free"])
            nodes.append(helper.make_node("Mul", ["free", "mask"], ["logits"]))
        if kind == "labels":
            nodes[1] = helper.make_node("MatMul", ["flat", "weight"], ["scores"])
            nodes.append(helper.make_node("ArgMax", ["scores"], ["logits"], axis=1, keepdims=0))
            outputs = [helper.make_tensor_value_info("logits", TensorProto.INT64, ["N"])]
        if kind == "unknown operation":
            nodes[0] = helper.make_node("Flatter", ["images"], ["flat"])
        tensors = [numpy_helper.from_array(weight, "weight")]
        graph = helper.make_graph(nodes, "net", inputs, outputs, tensors)
        file = tmp_path / "net.onnx"
        network = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        options = {"save_as_external_data": True, "location": "weights", "size_threshold": 0}
        onnx.save_model(network, file, **(options if kind == "external" else {}))
        return file, weight

    return made


def test_it_answers_as_written_and_gives_no_gradient(get, saved, digits):
    """Logits are those of the numbers in the file; they hang on no input, and nothing of the model is trained."""
    file, weight = saved()
    loaded = get(f"onnx:{file}")
    images = digits.examples[:40].inputs
    logits = loaded.module(images.clone().requires_grad_())
    torch.testing.assert_close(logits, images.flatten(1) @ torch.from_numpy(weight))
    assert not logits.requires_grad
    assert torch.equal(loaded.module(images), logits)
    assert torch.equal(copy.deepcopy(loaded.module)(images), logits)
    assert card_of(loaded).n_parameters == 640


def test_an_export_of_a_shipped_model_is_that_model(get, digits, tmp_path):
    """What torch exports of pgd-at gives pgd-at's logits, up to rounding."""
    pgd_at = models.load("pgd-at", dataset=digits)
    images = digits.examples[:64].inputs
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the older exporter, which needs no further package
        torch.onnx.export(
            pgd_at.module, (images[:2],), tmp_path / "net.onnx", dynamo=False, input_names=["images"],
            dynamic_axes={"images": {0: "N"}},
        )  # fmt: skip
    loaded = get(f"onnx:{tmp_path / 'net.onnx'}")
    torch.testing.assert_close(loaded.module(images), pgd_at.module(images), rtol=1e-4, atol=1e-4)
    # The exporter folds batch norms into convolutions, which loses two numbers a channel and gives one of bias.
    size, trained = card_of(loaded).n_parameters, card_of(pgd_at).n_parameters
    assert 0.9 * trained < size < 1.1 * trained


def test_its_identity_is_the_file_s_content(get, saved, tmp_path, monkeypatch):
    """Wherever the file lies it is one model with one row; another byte is another model."""
    file, _ = saved()
    first = get(f"onnx:{file}")
    monkeypatch.chdir(tmp_path)
    second = get("onnx:net.onnx")
    assert (second.digest, second.factory_digest) == (first.digest, first.factory_digest)
    assert row_name(second, None) == row_name(first, None) == f"net.onnx-{first.digest[:8]}"
    content = file.read_bytes()
    file.write_bytes(content.replace(b"images", b"pixels"))
    assert get(f"onnx:{file}").digest != first.digest


def test_a_worker_needs_no_file(get, saved, digits):
    """What another process builds takes its network from the driver's state, and answers to the bit."""
    file, _ = saved()
    loaded = get(f"onnx:{file}")
    blueprint = blueprint_of(loaded, dataset="digits", threat_model=ThreatModel.parse("Linf:0.1"))
    file.unlink()
    there = rebuild(blueprint, device=torch.device("cpu"))
    load_state(there, dump_state(loaded.module))
    images = digits.examples[:8].inputs
    assert torch.equal(there(images), loaded.module(images))


def test_a_tracer_is_refused(get, saved):
    """What traces a network gets an error to catch, where onnxruntime would take the process down."""
    file, _ = saved()
    with pytest.raises(TypeError, match="Proxy"):
        torch.fx.symbolic_trace(get(f"onnx:{file}").module)


@pytest.mark.parametrize(
    ("kind", "texts"),
    [
        ("fixed", ("images (4, 1, 8, 8) of float", "batches of any size", "dynamic_axes")),
        ("rank", ("images (N, 64) of float", "(N, C, H, W)")),
        ("double", ("images (N, 1, 8, 8) of double", "float32")),
        ("two inputs", ("images (N, 1, 8, 8) of float, mask (N, 10) of float", "one batch of images")),
        ("two outputs", ("logits (N, 10) of float, flat (N, 64) of float", "the logits alone")),
        ("labels", ("logits (N) of int64", "logits (N, K) in float32")),
        ("external", ("'weight'", "another file", "without external data")),
        ("unknown operation", ("onnxruntime cannot run", "Flatter")),
    ],
)
def test_what_is_no_classifier_is_one_line(get, saved, refused, monkeypatch, kind, texts):
    """What the file takes or gives instead is said; weights in another file are not looked for."""
    file, _ = saved(kind)
    monkeypatch.chdir(file.parent)
    refused(lambda: get(f"onnx:{file}"), str(file), *texts)


def test_files_that_are_none(get, saved, refused, tmp_path):
    """A file that is not there, is another thing, is cut off or is too large is one line, and is not waited for."""
    file, _ = saved()
    refused(lambda: get("onnx:none.onnx"), "No file none.onnx", "'onnx:none.onnx'")
    refused(lambda: get(f"onnx:{tmp_path}"), "it is a folder, not a file")
    os.mkfifo(tmp_path / "pipe.onnx")
    refused(lambda: get(f"onnx:{tmp_path / 'pipe.onnx'}"), "it is a named pipe")
    refused(lambda: get(f"onnx:{file}", weights=file), "--weights")
    with (tmp_path / "large.onnx").open("wb") as large:
        large.truncate(1 << 31)
    refused(lambda: get(f"onnx:{tmp_path / 'large.onnx'}"), "2,147,483,648 bytes")
    for content in (b"", b"no protocol buffer", file.read_bytes()[:-40]):
        file.write_bytes(content)
        refused(lambda: get(f"onnx:{file}"), str(file))


def test_other_classes_than_the_data_s_are_counted(get, saved, refused, tmp_path):
    """A network for other data is told by what it answers, as any other model."""
    import onnx

    file, _ = saved()
    network = onnx.load(file)
    network.graph.initializer[0].CopyFrom(onnx.numpy_helper.from_array(np.ones((64, 7), np.float32), "weight"))
    network.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 7
    onnx.save(network, file)
    refused(lambda: get(f"onnx:{file}"), "Expected 10 logits", "got 7")
