"""What the present code computes, to the bit: `python tests/frozen/make.py [CASE ...]` remakes `values.json`.

The file holds verdicts, best margins and passes of every attack and suite, in float32, with the digests of the weights
that they belong to. It may be remade where weights were replaced, where a suite, an attack or a check was added, or
where a change of numbers is meant; the commit says which, and for the latter why. A change that should change no number
never comes with another file. CIFAR-10 must be at hand (`BENCH_DATA_DIR`), and the machine should be idle.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import importlib.metadata
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import bench
from bench import Examples, attacks, suites
from bench.core.types import AuditRules
from bench.diagnostics import diagnose
from bench.suites import AttackSuite

VALUES = Path(__file__).with_name("values.json")
BATCHES = 1, 2, 3, 5, 8, 13, 16, 32, 64
SHORT = {
    "steps": 6,
    "queries": 60,
    "targets": 4,
    "cycles": 2,
    "rounds": 1,
    "binary_search_steps": 3,
    "passes": 4,
    "weights": (Fraction(-1), Fraction(1, 2)),
}
SHORT_CASCADE = {"least_closest": 2, "least_audited": 3, "largest_gap": Fraction(1)}
SHORT_AUDIT = {"rate": Fraction(1, 3), "most_broken": Fraction(1, 2), "largest_gap": Fraction(1)}
PLAIN = "fgsm", "pgd-20", "pgd-100", "cw", "apgd-ce", "apgd-t", "fab-t", "square", "constraint-relaxation"
WITH_ENGINES = "apgd-ce", "apgd-t", "fab-t", "square"
QUICK = "apgd-t", "constraint-relaxation"
ON_PAIRS = "merged", "joint", "joint-t", "relaxed-pairs"
ON_ROUTES = "frozen-route", "steered", "relaxed-steering"


@dataclass(frozen=True, kw_only=True)
class Case:
    """Suites or attacks on the first examples of a test split.

    Args:
        suites: names, each on the journal of the suite that it extends, if it extends one.
        attacks: names, as a suite of their own.
        n: how many examples: fewer where many withstand what is slow.
        short: with few steps, so that every stage sees many examples.
        restarts: of attacks that have them.
        noise: deviation of Gaussian noise on the model's input; 0 for none.
        surrogates: models that a suite transfers from.
    """

    model: str
    threat_model: str
    dataset: str = "digits"
    suites: tuple[str, ...] = ()
    attacks: tuple[str, ...] = ()
    engine: str = "fast"
    n: int = 64
    short: bool = False
    restarts: int = 1
    noise: float = 0.0
    surrogates: tuple[str, ...] = ()


class Noisy(nn.Module):
    """A model behind Gaussian noise."""

    stochastic = True

    def __init__(self, module: nn.Module, noise: float) -> None:
        super().__init__()
        self.module, self.noise = module, noise

    def forward(self, inputs: Tensor) -> Any:
        return self.module(inputs + self.noise * torch.randn_like(inputs))


ALL = "adaptive-v1", "cascade-v1", "quick-v1", "standard-v1"
ADAPTIVE = "standard-v1", "adaptive-v1"
CASES = {
    "suites, short": Case(model="pgd-at", threat_model="Linf:1/10", suites=ALL, short=True),
    "suites, short, reference": Case(
        model="pgd-at", threat_model="Linf:1/10", suites=ALL, engine="reference", n=16, short=True
    ),
    "suites": Case(model="pgd-at", threat_model="Linf:2/9", suites=("quick-v1", *ADAPTIVE)),
    "suites, reference": Case(
        model="pgd-at", threat_model="Linf:2/9", suites=("standard-v1",), engine="reference", n=8
    ),
    "attacks": Case(model="pgd-at", threat_model="Linf:1/4", attacks=PLAIN),
    "attacks, reference": Case(
        model="pgd-at", threat_model="Linf:1/4", attacks=WITH_ENGINES, engine="reference", n=16, short=True
    ),
    "attacks, restarted": Case(
        model="pgd-at", threat_model="Linf:1/7", attacks=("pgd-20", "cw", *WITH_ENGINES), n=16, short=True, restarts=2
    ),
    "attacks in L2": Case(model="pgd-at", threat_model="L2:5/4", attacks=(*PLAIN, "autoattack")),
    "attacks in L2, reference": Case(
        model="pgd-at", threat_model="L2:5/4", attacks=WITH_ENGINES, engine="reference", n=16, short=True
    ),
    "adaptive-v2": Case(model="pgd-at", threat_model="Linf:1/10", suites=("adaptive-v2",), n=24, short=True),
    "audit, short": Case(model="pgd-at", threat_model="Linf:1/10", suites=("swift-v1",), short=True),
    "audit, dummy classes": Case(model="ducat", threat_model="Linf:1/10", suites=("swift-v1",), n=24, short=True),
    "audit, router": Case(model="aw-net", threat_model="Linf:1/10", suites=("swift-v1",), n=24, short=True),
    "stochastic, short": Case(
        model="pgd-at", threat_model="Linf:1/5", suites=("rand-v1",), n=16, short=True, noise=0.1
    ),
    "black box, short": Case(
        model="pgd-at",
        threat_model="Linf:1/10",
        suites=("blackbox-v1",),
        n=24,
        short=True,
        surrogates=("trades", "standard"),
    ),
    "carlini-wagner": Case(model="pgd-at", threat_model="L2:1", attacks=("carlini-wagner-l2",), short=True),
    "dummy classes, short": Case(
        model="ducat", threat_model="Linf:1/10", attacks=("adaptive-pairs", *ON_PAIRS), n=24, short=True
    ),
    "dummy classes": Case(model="ducat", threat_model="Linf:1/4", suites=ADAPTIVE, attacks=ON_PAIRS, n=16),
    "dummy classes in L2": Case(
        model="ducat", threat_model="L2:1/2", attacks=("adaptive-pairs", *ON_PAIRS), n=16, short=True
    ),
    "router, short": Case(
        model="aw-net", threat_model="Linf:1/10", attacks=("adaptive-routes", *ON_ROUTES), n=24, short=True
    ),
    "router": Case(model="aw-net", threat_model="Linf:1/4", suites=ADAPTIVE, attacks=ON_ROUTES, n=8),
    "router in L2": Case(
        model="aw-net", threat_model="L2:1/2", attacks=("adaptive-routes", *ON_ROUTES), n=8, short=True
    ),
    "images": Case(
        dataset="cifar10",
        model="pgd-at",
        threat_model="Linf:24/255",
        suites=ADAPTIVE,
        attacks=QUICK,
        n=8,
    ),
    "images, dummy classes": Case(
        dataset="cifar10",
        model="ducat",
        threat_model="Linf:16/255",
        attacks=(*QUICK, "adaptive-pairs", "relaxed-pairs"),
        n=8,
    ),
    "images, router": Case(
        dataset="cifar10",
        model="aw-net",
        threat_model="Linf:16/255",
        attacks=(*QUICK, "adaptive-routes", "relaxed-steering"),
        n=4,
    ),
}
EXAMINED = Case(model="pgd-at", threat_model="Linf:1/10", n=8)


def compute(case: Case) -> dict[str, Any]:
    """All numbers of a case as JSON values, with what they depend on: weights, machine, how it rounds."""
    with one_thread(), tempfile.TemporaryDirectory() as folder:
        model, examples = _loaded(case)
        dataset = bench.load_dataset(case.dataset)
        chosen = [suites.get(name) for name in case.suites]
        if case.attacks:
            chosen.append(AttackSuite(name="frozen", version=1, attacks=tuple(map(attacks.get, case.attacks))))
        found = {}
        for suite in chosen:
            run = bench.evaluate(
                Noisy(model.module, case.noise) if case.noise else model.module,
                examples,
                threat_model=case.threat_model,
                suite=_suite_of(case, suite),
                journal=f"{folder}/{(suite.extends or suite).label}",
                device="cpu",
                batch_size=64,
                precision="float32",
                surrogates={name: bench.load_model(name, dataset=dataset).module for name in case.surrogates},
            )
            found[suite.label] = _numbers(run)
        return {**_depends(model, examples), "suites": found}


def examined() -> dict[str, Any]:
    """The full form of the doctor, as JSON values."""
    with one_thread():
        model, examples = _loaded(EXAMINED)
        found = diagnose(model.module, examples, threat_model=EXAMINED.threat_model, num_classes=model.num_classes)
        levels = {each.id: [each.status, each.statistic, each.threshold] for each in found}
        return {**_depends(model, examples), "levels": levels}


def pack_floats(values: Sequence[float]) -> str:
    """Float32 numbers, little-endian, in hexadecimal."""
    return np.asarray(values, "<f4").tobytes().hex()


def unpack_floats(text: str) -> np.ndarray:
    """The numbers that `pack_floats` packed."""
    return np.frombuffer(bytes.fromhex(text), "<f4")


def machine() -> str:
    """Digest of what decides how this machine rounds, as far as it can be asked."""
    parts = [_versions(), torch.__config__.show(), torch.backends.cpu.get_cpu_capability(), platform.processor()]
    parts += [os.environ.get(name, "") for name in ("ONEDNN_MAX_CPU_ISA", "MKL_ENABLE_INSTRUCTIONS", "MKL_CBWR")]
    cpu = Path("/proc/cpuinfo")
    if cpu.exists():
        kept = ("model", "flags", "Features", "stepping", "CPU part")
        parts += [line for line in cpu.read_text().split("\n\n")[0].splitlines() if line.startswith(kept)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Sums of several threads are other sums."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _loaded(case: Case) -> tuple[bench.models.LoadedModel, Examples]:
    dataset = bench.load_dataset(case.dataset)
    return bench.load_model(case.model, dataset=dataset), dataset.examples[: case.n]


def _suite_of(case: Case, suite: AttackSuite) -> AttackSuite:
    """The suite on the case's engine, with few steps where it is short; so are its rules and the one it extends."""
    rules = tuple(dataclasses.replace(rule, attacks=_attacks_of(case, rule.attacks)) for rule in suite.rules)
    extends = _suite_of(case, suite.extends) if suite.extends is not None else None
    return dataclasses.replace(suite, attacks=_attacks_of(case, suite.attacks), extends=extends, rules=rules)


def _attacks_of(case: Case, chosen: Sequence[Any]) -> tuple[Any, ...]:
    return tuple(_attack_of(case, attack) for attack in chosen)


def _attack_of(case: Case, attack: Any) -> Any:
    fields = {field.name for field in dataclasses.fields(attack)}
    changed = {"engine": case.engine, "restarts": case.restarts, **(SHORT if case.short else {})}
    if "attack" in fields:
        changed["attack"] = _attack_of(case, attack.attack)
    if "stages" in fields:
        changed["stages"] = _attacks_of(case, attack.stages)
    if "cascade_rules" in fields and case.short:
        short = SHORT_AUDIT if isinstance(attack.cascade_rules, AuditRules) else SHORT_CASCADE
        changed["cascade_rules"] = dataclasses.replace(attack.cascade_rules, **short)
    return dataclasses.replace(attack, **{name: value for name, value in changed.items() if name in fields})


def _numbers(run: Any) -> dict[str, Any]:
    return {
        "clean": _bits(run.clean),
        "clean_margin": pack_floats(run.clean_margin),
        "attacks": {
            attack.name: {
                "margin": pack_floats(attack.margin),
                "stages": {
                    stage.name: {"robust": _bits(stage.robust), "passes": [stage.forwards, stage.backwards]}
                    for stage in attack.stages
                },
            }
            for attack in run.attacks
        },
        "audit": _counts(run.audit) if run.audit is not None else None,
        "reported": json.loads(json.dumps([dataclasses.asdict(each) for each in run.reported])),
        "not_run": run.not_run,
    }


def _counts(audit: Any) -> dict[str, Any]:
    """Of a cascade, which has no rate, as before there were audits by key."""
    counts = dataclasses.asdict(audit)
    rate = counts.pop("rate")
    return counts if rate is None else {**counts, "rate": str(rate)}


def _depends(model: bench.models.LoadedModel, examples: Examples) -> dict[str, str]:
    return {"weights": model.digest, "machine": machine(), "probe": _probe(model.module, examples)}


def _probe(module: nn.Module, examples: Examples) -> str:
    """Digest of logits and input gradients in batches of many sizes, in both memory formats: how the machine rounds."""
    state = hashlib.sha256(_versions().encode())
    for size in [size for size in BATCHES if size < len(examples)] + [len(examples)]:
        for memory_format in (torch.contiguous_format, torch.channels_last):
            inputs = examples.inputs[:size].clone(memory_format=memory_format).requires_grad_()
            logits = module(inputs)
            (slope,) = torch.autograd.grad(F.cross_entropy(logits, examples.labels[:size], reduction="sum"), inputs)
            state.update(_bytes(logits) + _bytes(slope))
    return state.hexdigest()


def _bytes(values: Tensor) -> bytes:
    content: bytes = values.detach().contiguous().numpy().tobytes()
    return content


def _versions() -> str:
    return " ".join(importlib.metadata.version(name) for name in ("torch", "pyautoattack"))


def _bits(verdicts: Sequence[bool]) -> str:
    """Such as "1101": first example first."""
    return "".join(str(int(verdict)) for verdict in verdicts)


def main(names: Sequence[str]) -> None:
    """Compute the cases named, or all, and write them."""
    values = json.loads(VALUES.read_text()) if names else {}
    for name in names or [*CASES, "doctor"]:
        start = time.process_time()
        values[name] = examined() if name == "doctor" else compute(CASES[name])
        sys.stdout.write(f"{name}: {time.process_time() - start:.1f} s\n")
    VALUES.write_text(json.dumps(values, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
