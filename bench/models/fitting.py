"""Loading of a state dict into the network that it is of: whatever torch itself accepts, and what wrappers renamed.

Every parameter and every buffer that torch expects comes from the file, but for constants that the factory made, such
as a normalisation's. What goes beyond strict loading is said: which of several networks was taken, what was left out
or cast, which part of a network was filled, what stayed as the factory made it.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from bench.core.errors import BenchError, nearest
from bench.core.plain_text import reason_of
from bench.models.renaming import views
from bench.models.weights import EXTRA_STATE, WRAPPERS

__all__ = ["fit"]

State = Mapping[str, Any]

_OF_TRAINING = frozenset({"n_averaged", "total_ops", "total_params", "criterion", "loss", "loss_fn"})
"""Parts of names that training adds to a network's own: averaging, counting of operations, losses."""
_COUNTER = "num_batches_tracked"
"""Nothing reads it in eval mode, and files from before torch 0.4.1 lack it."""
_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
_DEEPEST_PART = 3
_SHOWN = 3


def fit(
    module: nn.Module, states: Mapping[str, State], *, name: str, path: Path, assign: bool = False
) -> tuple[str, ...]:
    """Load the state dict that fits into `module`, in the module's own dtypes.

    Args:
        module: the network.
        states: what a weights file holds, by where in it, the likeliest first; see `weights.state_dicts`.
        name: of the architecture or factory, for messages.
        path: of the file, for messages.
        assign: take the tensors themselves instead of copying, as a module without memory ("meta") needs.

    Returns:
        What a user should know of it, a line each.

    Raises:
        BenchError: if none fits, naming the first tensor that is missing, unexpected or of another shape or kind; or if
            several fit that differ, naming them.
    """
    found = [each for place, state in states.items() for each in _fitting(module, place, state)]
    if not found:
        found = [each for place, state in states.items() for each in _fitting_parts(module, place, state)]
    if not found:
        raise BenchError(f"Weights {path} do not fit {name}: {_closest_problem(module, states)}.")
    chosen = next((each for each in found if each.is_usual), found[0])
    others = [each for each in found if each is not chosen]
    differing = [each for each in others if not _alike(each, chosen)]
    if differing and (chosen.part or not chosen.is_usual):
        raise BenchError(_several(chosen, differing, name, path))
    said = _said(chosen, others, module)
    try:
        chosen.load(assign=assign)
    except Exception as error:
        raise BenchError(f"Weights {path} do not load into {name}: {reason_of(error)}.") from error
    return (f"Weights {path.name}: {'; '.join(said)}.",) if said else ()


@dataclass(frozen=True, kw_only=True, eq=False)
class _Fit:
    """A state dict that fits.

    Args:
        place: where it lies: a dotted path in the file, then a prefix of names.
        module: what it fits.
        part: the name of that part of the network; "" for the network.
        state: in the module's names, or in names that the module translates.
        left_out: names in the file that nothing reads.
    """

    place: str
    module: nn.Module
    part: str
    state: State
    left_out: tuple[str, ...]

    @property
    def is_usual(self) -> bool:
        """Whether it lies where a network's own weights usually do."""
        return all(segment in WRAPPERS for segment in self.place.split(".") if segment)

    def load(self, *, assign: bool) -> None:
        """Load it."""
        wanted = self.module.state_dict()
        state = copy.copy(self.state)  # keeps what torch has written down of versions
        for key, tensor in self.state.items():
            if isinstance(tensor, Tensor) and isinstance(wanted.get(key), Tensor) and not is_lazy(wanted[key]):
                state[key] = tensor.detach().resolve_conj().resolve_neg().to(wanted[key].dtype)  # type: ignore[index]
        lacking = {"strict": False} if _without_need(self.module, wanted, state) else {}
        self.module.load_state_dict(state, **lacking, **({"assign": True} if assign else {}))


def _fitting(module: nn.Module, place: str, state: State, part: str = "") -> Iterator[_Fit]:
    """The ways in which `state` fits: as it is, or else under each prefix that fits."""
    wanted = module.state_dict()
    for view in views(state, wanted):
        spare = [key for key, each in view.entries.items() if key not in wanted and _is_spare(key, each)]
        kept = copy.copy(view.entries)
        for key in spare:
            del kept[key]  # type: ignore[attr-defined]
        if not _problems(module, wanted, kept) or _is_translated(module, kept):
            at = ".".join(each for each in (place, view.prefix) if each)
            names = [f"{view.prefix}.{key}" if view.prefix else key for key in spare]
            yield _Fit(place=at, module=module, part=part, state=kept, left_out=(*names, *view.outside))
            if not view.prefix:
                return


def _fitting_parts(module: nn.Module, place: str, state: State) -> Iterator[_Fit]:
    """The parts of the network that `state` fits, the outermost of nested ones, where all else is constant.

    A file with names of the whole network is of that, and lacks something.
    """
    wanted = module.state_dict()
    if any(not view.prefix and wanted.keys() & view.entries.keys() for view in views(state, wanted)):
        return
    inside: tuple[str, ...] = ()
    for part, child in module.named_modules():
        if not part or part.count(".") >= _DEEPEST_PART or part.startswith(inside) or not child.state_dict():
            continue
        outside = [
            name
            for name, parameter in module.named_parameters()
            if parameter.requires_grad and not name.startswith(f"{part}.")
        ]
        for found in _fitting(child, place, state, part) if not outside else ():
            if not f".{found.place}".endswith(f".{part}"):
                inside = (*inside, f"{part}.")
                yield found


def _is_spare(key: str, entry: Any) -> bool:
    """Whether an entry that the network does not have is none of a network."""
    return not isinstance(entry, Tensor) or not _OF_TRAINING.isdisjoint(key.split("."))


def _is_translated(module: nn.Module, state: State) -> bool:
    """Whether the module accepts these names all the same, having translated them, as torch lets it do."""
    custom = type(module).load_state_dict is not nn.Module.load_state_dict or any(
        part._load_state_dict_pre_hooks
        or not type(part)._load_from_state_dict.__module__.startswith("torch.nn.modules.")
        for part in module.modules()
    )
    if not custom or any(_oddity(each) for each in state.values() if isinstance(each, Tensor)):
        return False
    try:
        copy.deepcopy(module).load_state_dict(state)
    except Exception:  # noqa: BLE001 - torch and the module's own code may raise anything for what does not fit
        return False
    return True


def _closest_problem(module: nn.Module, states: Mapping[str, State]) -> str:
    """Why what has most names in common with the network, or else is largest, does not fit it."""
    wanted = module.state_dict()
    tried = [view.entries for state in states.values() for view in views(state, wanted)]
    closest = min(tried, key=lambda each: (-len(wanted.keys() & each.keys()), -len(each)))
    problems = _problems(module, wanted, closest)
    more = f" ({len(problems) - 1} more differ)" if len(problems) > 1 else ""
    missing = wanted.keys() - closest.keys()
    if len(problems) <= len(missing) and missing.isdisjoint(dict(module.named_parameters())):
        more += "; register what is a constant of the code with persistent=False"
    first = problems[0]
    return f"{first.key!r} {first.why}{_hint(first.key, first.others)}{more}"


class _Problem(NamedTuple):
    """An entry that keeps a state dict from fitting, why, and among which names the one that was meant may be."""

    key: str
    why: str
    others: Sequence[str]


def _problems(module: nn.Module, wanted: State, state: State) -> list[_Problem]:
    """What keeps `state` from fitting, the most telling first."""
    lacking = _without_need(module, wanted, state)
    misfits = [(key, _misfit(key, wanted[key], state[key])) for key in wanted if key in state]
    missing = [key for key in wanted if key not in state and key not in lacking]
    unexpected = [key for key in state if key not in wanted]
    return [
        *(_Problem(key, why, ()) for key, why in misfits if why is not None),
        *(_Problem(key, "is missing in the file", unexpected) for key in missing),
        *(_Problem(key, "in the file is not in the model", missing) for key in unexpected),
    ]


def _without_need(module: nn.Module, wanted: State, state: State) -> set[str]:
    """Names that `state` lacks and does not need: counters, constants, what shares memory with one that is there."""
    lacking = {key for key in wanted if key not in state}
    there = {_memory(wanted[key]) for key in wanted.keys() - lacking} - {None}
    spare = {key for key in lacking if key.endswith(_COUNTER) or _memory(wanted[key]) in there}
    return spare | _constants(module, wanted, state) if lacking - spare else spare


def _constants(module: nn.Module, wanted: State, state: State) -> set[str]:
    """Buffers of the user's own modules of which nothing else is learned, and none of whose entries is in `state`.

    The factory has given them their values. Those of torch's modules, as the statistics of a batch norm, are learned.
    """
    found: set[str] = set()
    for name, part in module.named_modules():
        own = {f"{name}.{key}" if name else key for key in part._buffers} & wanted.keys()
        if own and not (part._parameters or own & state.keys() or type(part).__module__.startswith("torch.")):
            found |= {key for key in own if _memory(wanted[key]) is not None}
    return found if len(found) < len(wanted) else set()


def _memory(entry: Any) -> tuple[object, ...] | None:
    if not isinstance(entry, Tensor) or is_lazy(entry) or entry.is_meta or not entry.numel():
        return None
    return (entry.data_ptr(), entry.shape, entry.stride()) if entry.layout is torch.strided else None


def _misfit(key: str, ours: Any, theirs: Any) -> str | None:
    """Why an entry of the file does not fit the module's, or None where it does."""
    if key.endswith(EXTRA_STATE):
        return None  # whatever the module has put there
    if not isinstance(theirs, Tensor) or not isinstance(ours, Tensor):
        return f"is a {type(theirs).__name__} in the file, but a {type(ours).__name__} in the model"
    odd = _oddity(theirs)
    if odd is not None and (theirs.dtype is not ours.dtype or not theirs.is_complex()):
        return f"is {odd} in the file; expected a plain tensor of numbers"
    if is_lazy(ours):
        few = theirs.untyped_storage().nbytes() < theirs.numel() * theirs.element_size()
        return "repeats few numbers (stride 0) in the file; expected a plain tensor of numbers" if few else None
    if ours.shape != theirs.shape:
        return f"has shape {tuple(theirs.shape)} in the file, but {tuple(ours.shape)} in the model"
    whole = theirs.is_floating_point() and (key.endswith(_COUNTER) or bool((theirs == theirs.trunc()).all()))
    if ours.is_floating_point() != theirs.is_floating_point() and not whole:
        return f"is {theirs.dtype} in the file, but {ours.dtype} in the model"
    return None


def _oddity(tensor: Tensor) -> str | None:
    """What a tensor is that cannot be copied into an ordinary one, or None."""
    kinds = (
        (tensor.is_nested, "nested"),
        (tensor.layout is not torch.strided, "sparse"),
        (tensor.is_meta, "without values (on device meta)"),
        (tensor.is_quantized, f"quantised ({_named(tensor.dtype)})"),
        (tensor.is_complex(), _named(tensor.dtype)),
        (tensor.is_floating_point() and tensor.dtype not in _FLOATS, _named(tensor.dtype)),
    )
    return next((kind for holds, kind in kinds if holds), None)


def _alike(first: _Fit, second: _Fit) -> bool:
    """Whether both load the same numbers into the same place."""
    if first.part != second.part or first.state.keys() != second.state.keys():
        return False
    pairs = ((first.state[key], second.state[key]) for key in first.state)
    return all(
        torch.equal(one, other) if isinstance(one, Tensor) and isinstance(other, Tensor) else one is other
        for one, other in pairs
    )


def _several(chosen: _Fit, others: Sequence[_Fit], name: str, path: Path) -> str:
    if chosen.part:
        parts = ", ".join(repr(part) for part in sorted({each.part for each in (chosen, *others)}))
        return f"Weights {path} fit several parts of {name}: {parts}. Load them in its factory."
    places = ", ".join(repr(each.place) for each in (chosen, *others))
    return (
        f"Weights {path} hold several networks that fit {name} and differ: {places}."
        f" Choose one: --weights-key {chosen.place}."
    )


def _said(chosen: _Fit, others: Sequence[_Fit], module: nn.Module) -> list[str]:
    said = []
    if others or not chosen.is_usual:
        also = f" (also fit: {_few([each.place for each in others])}; --weights-key takes another)" if others else ""
        said.append(f"taken from {chosen.place or 'its top level'!r}{also}")
    wanted = chosen.module.state_dict()
    kept = _constants(chosen.module, wanted, chosen.state) - chosen.state.keys() if not chosen.part else set()
    if kept:
        said.append(f"{_few(sorted(kept))} as the factory made them")
    if chosen.part:
        rest = [key for key in module.state_dict() if not key.startswith(f"{chosen.part}.")]
        beside = f", with {_few(rest)} as the factory made them" if rest else ""
        said.append(f"loaded into {chosen.part!r} ({type(chosen.module).__name__}){beside}")
    if chosen.left_out:
        said.append(f"left out: {_few(chosen.left_out)}")
    ours = {each.dtype for each in chosen.module.parameters()}
    theirs = {each.dtype for each in chosen.state.values() if isinstance(each, Tensor) and each.is_floating_point()}
    if len(ours) == 1 and theirs - ours:
        cast = ", ".join(sorted(map(_named, theirs - ours)))
        said.append(f"{cast} in the file, {_named(ours.pop())} in the model")
    return said


def _few(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(f"{name!r:.60}" for name in names[:_SHOWN]) + more


def _hint(key: str, choices: Sequence[str]) -> str:
    close = nearest(key, choices)
    return f" (nearest: {close!r})" if close else ""


def _named(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
