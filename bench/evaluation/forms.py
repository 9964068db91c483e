"""The model in the forms that attacks search on, every pass counted, and which of them an attack searches on."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence

from torch import Tensor, nn

from bench.acceleration import FastForms
from bench.attacks import Transfer
from bench.attacks.search import ModelForms, Searched, search_and_settle
from bench.core.errors import BenchError
from bench.core.structure import is_stochastic
from bench.core.types import Attack, Classifier, Examples, ThreatModel
from bench.evaluation.counting import CountingClassifier, Passes
from bench.evaluation.search_precision import LADDER

__all__ = ["Forms", "Searched"]


class Forms:
    """One model in up to three forms; each attack gets the one that it may search on.

    An attack that asks for logits alone gets the form that answers fastest. One that declares a finish searches in
    lower precision where there is such a form, and its breaks are settled on the original. All others get the original.

    Args:
        original: the model.
        exact: float32, as fast as may be; the original itself where nothing faster is wanted.
        low: in lower precision, or None.
        surrogates: other models, for attacks that transfer from some; what is asked of them is not counted.
    """

    def __init__(
        self,
        original: nn.Module,
        *,
        exact: nn.Module | None = None,
        low: nn.Module | None = None,
        surrogates: Sequence[nn.Module] = (),
    ) -> None:
        self._surrogates = tuple(surrogates)
        self.original = CountingClassifier(original)
        self.exact = CountingClassifier(exact) if exact is not None else self.original
        self.low = CountingClassifier(low) if low is not None else None

    @classmethod
    def of(
        cls, module: nn.Module, inputs: Tensor, *, engine: str, precision: str, surrogates: Sequence[nn.Module] = ()
    ) -> Forms:
        """The forms that a run needs: the same for the same model, whichever examples it is tried on.

        Args:
            module: the model, in eval mode, on its device.
            inputs: some examples' inputs, `(N, C, H, W)`, on that device; their shape alone matters.
            engine: "reference" keeps every attack on the model itself, as on a stochastic model all are.
            precision: of the search.
            surrogates: other models, for attacks that transfer from some.

        Raises:
            BenchError: if a lower precision is wanted and the model does not work in it.
        """
        return cls.chosen(FastForms(module, inputs), engine=engine, precision=precision, surrogates=surrogates)

    @classmethod
    def chosen(cls, made: FastForms, *, engine: str, precision: str, surrogates: Sequence[nn.Module] = ()) -> Forms:
        """Of the forms of a model those that a run needs; raises as `of` does."""
        if engine == "reference" or is_stochastic(made.module):
            return cls(made.module, surrogates=surrogates)
        if precision != LADDER:
            return cls(made.module, exact=made.exact, surrogates=surrogates)
        if made.low is None:
            raise BenchError("This model does not work in bfloat16: choose --precision float32.")
        return cls(made.module, exact=made.exact, low=made.low, surrogates=surrogates)

    def in_float32(self) -> Forms:
        """The same without the form in lower precision."""
        return Forms(self.original.module, exact=self.exact.module, surrogates=self._surrogates)

    def search(self, attack: Attack, examples: Examples, threat_model: ThreatModel, *, seed: int) -> Searched:
        """Run an attack on what it may search on."""
        if isinstance(attack, Transfer):
            attack = dataclasses.replace(attack, surrogates=self._surrogates)
        finish = attack.finish
        if finish is None or (finish == "nothing" and self.low is None):
            classifier = self.exact if attack.logits_only else self.original
            return Searched.without_claims(attack.perturb(classifier, examples, threat_model, seed=seed))
        forms = ModelForms(original=self.original, exact=self.exact, low=self.low)
        perturb = functools.partial(_perturb, attack=attack, threat_model=threat_model, seed=seed)
        searched = search_and_settle(perturb, forms, examples, threat_model, finish=finish)
        return searched if self.low is not None else Searched.without_claims(searched.points)

    def reset(self) -> None:
        """Start counting from zero."""
        for form in self._distinct():
            form.reset()

    @property
    def passes(self) -> Passes:
        """What was asked of all forms together since the start or the last `reset`."""
        forms = self._distinct()
        return Passes(sum(form.forwards for form in forms), sum(form.backwards for form in forms))

    def _distinct(self) -> tuple[CountingClassifier, ...]:
        forms = (self.original, self.exact, self.low)
        return tuple({id(form): form for form in forms if form is not None}.values())


def _perturb(
    classifier: Classifier, examples: Examples, *, attack: Attack, threat_model: ThreatModel, seed: int
) -> Tensor:
    return attack.perturb(classifier, examples, threat_model, seed=seed)
