"""Loading: what torch accepts and what wrappers renamed loads, all else is named, and what is done beyond is said."""

from __future__ import annotations

import copy
import warnings
from pathlib import Path

import pytest
import torch
from torch import nn

from bench.core.errors import BenchError
from bench.models import fitting, weights
from bench.models.fitting import fit

PATH = Path("folder/w.safetensors")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # that the interface may change
    NESTED = torch.nested.nested_tensor([torch.ones(2), torch.ones(1)])


def _net(seed: int = 0) -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))


def _named(seed: int = 0) -> nn.Module:
    """A network whose parts are called as people call them."""
    net = nn.Module()
    net.features, net.head = _net(seed), nn.Linear(4, 2)
    return net


def _load(module: nn.Module, state: dict, **options: object) -> str:
    """Load one state dict that is the whole file; what is said of it."""
    return " ".join(fit(module, {"": state}, name="net", path=PATH, **options))


def _prefixed(state, prefix: str) -> dict:
    return {prefix + name: tensor for name, tensor in state.items()}


def _same(first: nn.Module, second: nn.Module) -> bool:
    ours, theirs = first.state_dict(), second.state_dict()
    return all(torch.equal(ours[one], theirs[other]) for one, other in zip(ours, theirs, strict=True))


def test_loads_in_the_modules_own_dtype():
    """Half-precision weights end as float32, counters of batches as whole numbers, and it is said."""
    source, net = _net(), _net(1)
    said = _load(net, {name: tensor.half() for name, tensor in source.state_dict().items()})
    assert net[0].weight.dtype == torch.float32
    assert torch.equal(net[0].weight, source[0].weight.half().float())
    assert net[1].num_batches_tracked.dtype == torch.int64
    assert said == "Weights w.safetensors: float16 in the file, float32 in the model."


def test_a_counter_that_half_precision_cannot_hold_does_not_matter():
    """Nothing reads how many batches there were in eval mode."""
    state = {name: tensor.half() for name, tensor in _net().state_dict().items()}
    state["1.num_batches_tracked"] = torch.tensor(float("inf"), dtype=torch.float16)
    _load(_net(1), state)


@pytest.mark.parametrize(
    "prefix",
    ["module.", "_orig_mod.", "module._orig_mod.", "model.", "basic_net.", "module.attacker.model.", "a.b.c."],
)
def test_prefixes_of_wrappers_are_dropped(prefix):
    """Whatever stands before every name; it is said where no wrapper of torch and no habit explains it."""
    source, net = _net(), _net(1)
    said = _load(net, _prefixed(source.state_dict(), prefix))
    assert _same(net, source)
    usual = set(prefix[:-1].split(".")) <= set(weights.WRAPPERS)
    assert ("taken from" in said) is not usual


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("head", "head.module"),
        ("head", "head._orig_mod"),
        ("head.module", "head"),
        ("head._orig_mod", "module.head"),
        ("_orig_mod.head", "head"),
    ],
)
def test_a_wrapper_in_the_middle_of_names_does_not_matter(ours, theirs):
    """DataParallel or torch.compile around a part, in the file or in the model."""
    state = {"features.weight": torch.rand(2, 2), f"{theirs}.weight": torch.rand(2, 2)}
    net = nn.Module()
    net.features = nn.Linear(2, 2, bias=False)
    *outer, last = ours.split(".")
    place = net
    for part in outer:
        place.add_module(part, nn.Module())
        place = getattr(place, part)
    place.add_module(last, nn.Linear(2, 2, bias=False))
    assert _load(net, state) == ""
    assert torch.equal(net.get_submodule(ours).weight, state[f"{theirs}.weight"])


def test_a_child_that_is_called_module_keeps_its_name():
    """A prefix that belongs to the network itself is not dropped."""
    net = nn.Module()
    net.module = nn.Linear(2, 2)
    _load(net, {"module.weight": torch.ones(2, 2), "module.bias": torch.ones(2)})
    assert net.module.bias.tolist() == [1, 1]


@pytest.mark.parametrize(
    ("change", "texts"),
    [
        ({"0.weight": torch.ones(5, 3)}, ("'0.weight'", "(5, 3)", "(4, 3)")),
        ({"0.weight": None}, ("'0.weight' is missing",)),
        ({"0.weight": None, "0.weigth": torch.ones(4, 3)}, ("'0.weight' is missing", "nearest: '0.weigth'", "1 more")),
        ({"extra": torch.ones(1)}, ("'extra' in the file is not in the model",)),
        ({"2.weight": torch.ones(4, 4)}, ("'2.weight' in the file is not in the model",)),
        ({"0.bias": torch.ones(4, dtype=torch.int64)}, ("'0.bias'", "torch.int64", "torch.float32")),
        ({"1.running_mean": None}, ("'1.running_mean' is missing", "persistent=False")),
        ({"0.bias": torch.eye(4).to_sparse()[0]}, ("'0.bias'", "sparse")),
        ({"0.bias": torch.ones(4, device="meta")}, ("'0.bias'", "without values")),
        ({"0.bias": NESTED}, ("'0.bias'", "nested")),
        ({"0.bias": torch.ones(4, dtype=torch.complex64)}, ("'0.bias'", "complex64")),
        ({"0.bias": torch.ones(4, dtype=torch.complex64).conj()}, ("'0.bias'", "complex64")),
        ({"0.bias": torch.ones(4).to(torch.float8_e4m3fn)}, ("'0.bias'", "float8_e4m3fn")),
        ({"0.bias": 3.0}, ("'0.bias'", "float", "Tensor")),
        ({"1.num_batches_tracked": torch.tensor([1, 2])}, ("'1.num_batches_tracked'", "(2,)")),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_what_does_not_fit_is_named(refused, change, texts):
    """Wrong shapes, missing and unexpected names, and odd tensors are refused by name, and nothing is loaded."""
    net = _net()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    state = {name: tensor for name, tensor in (_net(1).state_dict() | change).items() if tensor is not None}
    refused(lambda: _load(net, state), "w.safetensors", "net", *texts)
    assert all(torch.equal(net.state_dict()[name], tensor) for name, tensor in before.items())


def test_views_of_few_numbers_and_negated_ones_load():
    """A tensor that repeats a number, and one that torch negates when it is read, have the values that they show."""
    net, state = _net(), _net(1).state_dict()
    negated = torch.tensor([1 + 2j, 3j, 1, 4 - 1j]).conj().imag
    assert negated.is_neg()
    _load(net, state | {"0.bias": negated, "1.bias": torch.full((1,), 0.5).expand(4)})
    assert net[0].bias.tolist() == [-2, -3, 0, 1]
    assert net[1].bias.tolist() == [0.5] * 4


def test_old_files_without_batch_counters_load():
    """Files from before torch counted batches in batch normalisation load."""
    _load(_net(), {name: tensor for name, tensor in _net(1).state_dict().items() if "num_batches" not in name})


def test_a_tensor_that_is_tied_may_be_there_once():
    """Two names of one parameter are both filled by either; a name of its own is not."""
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    net[1].weight = net[0].weight
    state = {name: torch.rand_like(tensor) for name, tensor in net.state_dict().items() if name != "1.weight"}
    _load(net, state)
    assert torch.equal(net[1].weight, state["0.weight"])


@pytest.mark.parametrize("names", [["n_averaged"], ["total_ops", "0.total_params"], ["criterion.weight"], ["epoch"]])
def test_what_training_adds_is_left_out_and_said(names):
    """Counters of averaging and of operations, losses, and plain numbers among the tensors."""
    net, source = _net(), _net(1)
    said = _load(net, source.state_dict() | {name: 3 if name == "epoch" else torch.ones(1) for name in names})
    assert _same(net, source)
    assert said == f"Weights w.safetensors: left out: {', '.join(map(repr, names))}."


def test_what_stands_beside_the_network_is_left_out_and_said():
    """A normalisation, a teacher or a loss beside the names under the prefix that fits."""
    net, source = _net(), _net(1)
    said = _load(net, _prefixed(source.state_dict(), "model.") | {"norm.mean": torch.ones(1), "other.a": torch.ones(9)})
    assert _same(net, source)
    assert said == "Weights w.safetensors: left out: 'norm.mean', 'other.a'."


@pytest.mark.parametrize("prefix", ["", "model.", "module.model."])
def test_a_copy_beside_the_raw_weights_is_not_taken(prefix):
    """A moving average within the network's own names leaves these what they are, under whatever prefix."""
    source, net = _net(1), _net()
    said = _load(net, _prefixed({**_prefixed(_net(2).state_dict(), "ema."), **source.state_dict()}, prefix))
    assert _same(net, source)
    assert f"left out: '{prefix}ema.0.weight'" in said


def test_several_networks_that_differ_are_refused_by_name(refused):
    """Neither of two is guessed; the same numbers twice are one network."""
    states = [_prefixed(_net(seed).state_dict(), prefix) for seed, prefix in ((1, "student."), (2, "teacher."))]
    refused(lambda: _load(_net(), states[0] | states[1]), "'student', 'teacher'", "--weights-key student")
    net = _net()
    said = _load(net, states[0] | _prefixed(_net(1).state_dict(), "teacher."))
    assert _same(net, _net(1))
    assert "'student'" in said


def test_the_usual_place_in_a_file_is_taken_and_said():
    """Of raw and averaged weights in a file the raw ones, whatever comes first; of averaged ones alone those."""
    raw, averaged, net = _net(1), _net(2), _net()
    states = {"state_dict": raw.state_dict(), "state_dict_ema": averaged.state_dict()}
    (said,) = fit(net, states, name="net", path=PATH)
    assert _same(net, raw)
    assert "taken from 'state_dict' (also fit: 'state_dict_ema'" in said
    (said,) = fit(net, {"ema": averaged.state_dict()}, name="net", path=PATH)
    assert _same(net, averaged)
    assert "taken from 'ema'" in said


class Normalize(nn.Module):
    """Constants of the code, which no file needs to hold."""

    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.tensor(0.25))


@pytest.mark.parametrize("wrap", [nn.DataParallel, lambda net: torch.compile(net, backend="eager")])
def test_plain_weights_load_into_a_wrapped_network(wrap):
    """What torch's own wrappers add to names needs no word."""
    net, source = wrap(_net()), _net(1)
    assert _load(net, source.state_dict()) == ""
    assert _same(net, source)


def test_plain_weights_load_into_the_part_that_they_fit():
    """A network behind a normalisation: the part is named, and what stays as it was made."""
    net, source = nn.Sequential(Normalize(), nn.DataParallel(_net())), _net(1)
    said = _load(net, source.state_dict())
    assert _same(net[1], source)
    assert said == "Weights w.safetensors: loaded into '1' (DataParallel), with '0.mean' as the factory made them."


@pytest.mark.parametrize("prefix", ["", "module.", "model."])
def test_constants_of_the_factory_need_not_be_in_the_file(prefix):
    """A normalisation's buffers, in a part or beside the network's own names, stay as made, and that is said."""
    net, source = nn.Sequential(Normalize(), _net()), nn.Sequential(Normalize(), _net(1))
    state = {name: tensor for name, tensor in source.state_dict().items() if name != "0.mean"}
    said = _load(net, _prefixed(state, prefix))
    assert _same(net[1], source[1])
    assert "'0.mean' as the factory made them" in said

    class Normalized(nn.Module):
        def __init__(self):
            super().__init__()
            self.features, self.head = _net(), nn.Linear(4, 2)
            self.register_buffer("mu", torch.tensor(0.5))
            self.register_buffer("sigma", torch.tensor(2.0))

    net, source = Normalized(), _named(1)
    said = _load(net, _prefixed(source.state_dict(), prefix))
    assert all(torch.equal(net.state_dict()[name], tensor) for name, tensor in source.state_dict().items())
    assert (net.mu, net.sigma) == (0.5, 2.0)
    assert "'mu', 'sigma' as the factory made them" in said


@pytest.mark.parametrize("lacking", [["mean"], ["mean", "std"]])
def test_learned_statistics_are_no_constants(refused, lacking):
    """Buffers beside parameters, some of several, and those of torch's own modules have to be in the file."""

    class Learned(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("mean", torch.zeros(3))
            self.register_buffer("std", torch.ones(3))
            self.scale = nn.Parameter(torch.ones(3)) if len(lacking) == 2 else None

    net = nn.Sequential(Learned(), _net())
    state = {name: tensor for name, tensor in net.state_dict().items() if name.removeprefix("0.") not in lacking}
    refused(lambda: _load(net, state), "'0.mean' is missing")
    plain = nn.Sequential(nn.BatchNorm1d(3, affine=False), _net())
    refused(
        lambda: _load(plain, {name: each for name, each in plain.state_dict().items() if name[0] == "1"}), "0.running"
    )


def test_a_part_beside_other_parameters_is_not_enough(refused):
    """A head that would stay random is named, and so are two parts that fit alike."""
    refused(lambda: _load(_named(), _net(1).state_dict()), "'features.0.weight' is missing")
    pair = nn.ModuleList([_net(), _net(1)]).requires_grad_(False)
    refused(lambda: _load(pair, _net(2).state_dict()), "several parts", "'0', '1'")


class Renaming(nn.Module):
    """Translates its old names when it loads, as torch documents."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(3, 2)

    def _load_from_state_dict(self, state, prefix, metadata, *rest):
        for key in [key for key in state if key.startswith(f"{prefix}classifier.")]:
            assert metadata.get("version", 1) == 1
            state[key.replace("classifier.", "head.")] = state.pop(key)
        super()._load_from_state_dict(state, prefix, metadata, *rest)


class Loading(nn.Module):
    """Has its own idea of loading altogether."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(3, 2)

    def load_state_dict(self, state, strict=True):
        super().load_state_dict({f"head.{key[4:]}": tensor for key, tensor in state.items()}, strict)


def _hooked() -> nn.Module:
    net = nn.Module()
    net.head = nn.Linear(3, 2)

    def rename(state, prefix, *_):
        for key in [key for key in state if key.startswith(f"{prefix}old.")]:
            state[key.replace("old.", "head.")] = state.pop(key)

    net._register_load_state_dict_pre_hook(rename)
    return net


@pytest.mark.parametrize(
    ("make", "old"),
    [(Renaming, "classifier."), (_hooked, "old."), (Loading, "old_")],
    ids=["_load_from_state_dict", "hook", "load_state_dict"],
)
@pytest.mark.parametrize("prefix", ["", "module."])
def test_a_module_translates_its_old_names(make, old, prefix):
    """What `module.load_state_dict(file)` takes loads, and so it does behind a wrapper's prefix."""
    net, state = make(), nn.Linear(3, 2).state_dict()
    _load(net, _prefixed(state, prefix + old))
    assert torch.equal(net.head.weight, state["weight"])


def test_a_module_that_cannot_translate_a_file_refuses_it(refused):
    """Its own names are named as missing, and nothing is loaded."""
    net = Renaming()
    before = copy.deepcopy(net.state_dict())
    refused(lambda: _load(net, {"classifier.weight": torch.ones(2, 3)}), "'head.weight' is missing")
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("prefix", ["", "module."])
def test_weight_norm_of_older_versions_loads(prefix):
    """Torch translates `weight_g` and `weight_v`."""
    old, new = nn.utils.weight_norm(nn.Linear(3, 2)), nn.utils.parametrizations.weight_norm(nn.Linear(3, 2))
    _load(new, _prefixed(old.state_dict(), prefix))
    inputs = torch.rand(4, 3)
    assert torch.allclose(new(inputs), old(inputs))


def test_the_versions_in_a_file_reach_the_module(tmp_path):
    """A module that reads them translates the files that are old, and only those."""
    net = Renaming()
    state = net.state_dict()
    state._metadata[""]["version"] = 2
    torch.save(state, tmp_path / "w.pth")
    (found,) = weights.state_dicts(tmp_path / "w.pth").values()
    assert found._metadata[""]["version"] == 2


def test_lazy_layers_take_their_shape_from_the_file(refused):
    """A file gives them values; one that repeats few numbers could ask for any amount of memory."""
    net = nn.Sequential(nn.LazyLinear(2))
    _load(net, {"0.weight": torch.ones(2, 5), "0.bias": torch.zeros(2)})
    assert net(torch.ones(1, 5)).tolist() == [[5, 5]]
    huge = {"0.weight": torch.ones(1).expand(2, 1 << 40), "0.bias": torch.zeros(2)}
    refused(lambda: _load(nn.Sequential(nn.LazyLinear(2)), huge), "'0.weight'", "stride 0")


class Scaled(nn.Module):
    """Keeps a number beside its tensors."""

    def __init__(self):
        super().__init__()
        self.linear, self.scale = nn.Linear(2, 2), 1.0

    def get_extra_state(self):
        return {"scale": self.scale}

    def set_extra_state(self, state):
        self.scale = state["scale"]


def test_extra_state_is_part_of_a_file(refused):
    """It is handed to the module, must be there, and what the module says of a wrong one is in the line."""
    source, net = Scaled(), Scaled()
    source.scale = 3.0
    assert _load(net, source.state_dict()) == ""
    assert net.scale == 3.0
    lacking = {key: each for key, each in source.state_dict().items() if key != "_extra_state"}
    refused(lambda: _load(net, lacking), "'_extra_state' is missing")
    refused(lambda: _load(net, source.state_dict() | {"_extra_state": {"size": 1}}), "KeyError", "scale")


def test_names_that_are_meant_are_looked_for_once(monkeypatch):
    """For the first problem that is told: on a deep network each look takes long, and what fits needs none."""
    looks = []
    monkeypatch.setattr(fitting, "nearest", lambda key, choices: looks.append(key))
    net = nn.Sequential(*(nn.Linear(2, 2) for _ in range(50)))
    _load(net, _prefixed(net.state_dict(), "module."))
    assert not looks
    with pytest.raises(BenchError, match=r"'0.weight' is missing in the file \(199 more differ\)"):
        _load(net, {f"other{key}": each for key, each in net.state_dict().items()})
    assert looks == ["0.weight"]
