"""R21: is it as sure of copies that nobody could know?

A model that has its test images by heart is right of each, in the whole ball around it, whatever is tried there.
Shifted by a pixel or mirrored they are images that it does not know: for an honest model hardly any other, for this
one what its network makes of them. Looked at: how many copies lose two thirds of their margin, or the robustness that
the originals have. Copies count where the model still knows most of them (digits mirrored are no digits), and fail it
only where it knows them well: a network that never saw shifts, or a linear one, may know six in ten copies of small
images, honestly, and be much less sure of them.

OUR CHOICE of numbers; of 64 images, honest models lose the margin of 5 at most.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from torch import Tensor
from torch.nn import functional

from bench.diagnostics.check import Check, by_share, worse
from bench.diagnostics.queries import predict
from bench.diagnostics.search import Search
from bench.diagnostics.subject import Subject
from bench.ops import losses
from bench.row import CheckResult, Level

__all__ = ["ENTRY"]

KEPT = 1 / 3
"""Of the margin."""
KNOWN = 0.5
"""Share of the copies that the model has to get right for the attack of them to count."""
KNOWN_WELL = 0.7
"""The same for what is lost to be more than a warning."""
TOLERATED = 0.15
FALLEN = 0.35
"""Share of the robust examples that may have a copy that is not: some are robust by little."""
ATTACK = Search(name="copies", objective=losses.negative_margin, steps=20, step=1 / 8)
ATTACK_IN_SHORT = Search(name="copies", objective=losses.negative_margin, steps=5, step=1 / 4)
FEW = 16


def _examine(subject: Subject) -> CheckResult:
    examples = subject.correct
    sure = losses.margin(subject.correct_logits, examples.labels)
    lost, name, known, n_known = -1, "", examples.inputs, 0
    for each, copies in _copies(examples.inputs):
        now = losses.margin(predict(subject.classifier, copies), examples.labels)
        n_right = int((now > 0).sum())
        if n_right < KNOWN * len(examples):
            continue
        count = int((now < KEPT * sure).sum()) - int((KEPT * now > sure).sum())
        if count > lost:
            lost, name, known, n_known = count, each, copies, n_right
    if not name:
        evidence = "The model knows too few copies of its images, mirrored or shifted, to compare them."
        return CheckResult(level=Level.NOT_APPLICABLE, evidence=evidence)
    lost = max(0, lost)
    evidence = f"Of {len(examples)} correct examples, {lost} lose two thirds of their margin as copies {name}"
    rows = subject.white_box.left
    attack = ATTACK if subject.thorough else ATTACK_IN_SHORT
    fallen = int(subject.search(attack, replace(examples[rows], inputs=known[rows])).broken.sum())
    evidence = f"{evidence}, and {fallen} of {len(rows)} robust ones are not robust as such."
    worst = Level.FAIL if n_known >= KNOWN_WELL * len(examples) else Level.WARN
    by_margin = by_share(lost, len(examples), tolerated=TOLERATED, evidence=evidence, worst=worst)
    by_attack = by_share(fallen, len(rows), tolerated=FALLEN, evidence=evidence, worst=worst)
    return worse(by_margin, by_attack)


def _copies(inputs: Tensor) -> Iterator[tuple[str, Tensor]]:
    """What a copy is, and the copies `(N, C, H, W)`; shifted images repeat their edge."""
    pixels, width = max(1, inputs.shape[3] // 16), inputs.shape[3]
    wide = functional.pad(inputs, (pixels, pixels, 0, 0), "replicate")
    yield "shifted right", wide[..., :width]
    yield "shifted left", wide[..., 2 * pixels :]
    yield "mirrored", inputs.flip(3)


ENTRY = Check(
    id="R21",
    question="Is it as sure of shifted and mirrored copies?",
    examine=_examine,
    next="Evaluate on images that nobody could have seen: copies that are mirrored or shifted, or newly taken ones.",
    effort=30,
    short=8.5,
)
