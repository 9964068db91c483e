"""One row for a reviewer."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.core.errors import BenchError
from bench.leaderboard import amend, read, write
from bench.leaderboard.pages import report
from bench.row import Card, Certificate, Diagnostic, Record, pack_verdicts

Make = Callable[..., Record]
TITLE = "<b>Strong</b>"


@pytest.fixture
def rows(tmp_path: Path, record: Make) -> tuple[Path, Path]:
    """Two rows on digits; a check of the first failed, and it has a hostile title."""
    failed = Diagnostic(id="R8", status="fail", statistic=0.2, threshold=0.5, evidence="says who?", next="cw")
    card = Card(title=TITLE, reference="arXiv 2306.03430", architecture="net", n_parameters=12, extra_data="no")
    strong = record([True] * 350 + [False] * 10, dataset="digits", model="strong", card=card)
    result = dataclasses.replace(strong.result, diagnostics=(failed,))
    weak = record([True] * 300 + [False] * 60, dataset="digits", model="weak")
    first, second = (write(row, tmp_path / "board").path for row in (dataclasses.replace(strong, result=result), weak))
    assert isinstance(first, Path) and isinstance(second, Path)
    return first, second


def test_a_report_says_what_was_run_found_and_doubted_and_how_to_check_it(rows: tuple[Path, Path]) -> None:
    """In one file that fetches nothing, with everything from the row as text; the same bytes each time."""
    text = report(rows[0])
    assert "Of 360 test images, &lt;b&gt;Strong&lt;/b&gt; classifies 360 correctly, and 350" in text
    assert "97.22 % robust (95 % interval 94.96 to 98.48)" in text and "change every pixel by up to 8/255" in text
    assert "upper bound only: R8 failed" in text and "Does the gradient predict what happens?" in text
    assert "0 of 1 checks find nothing against it. R8 failed: the robust accuracy is an upper bound only." in text
    assert "bench check standard-v1/digits/Linf-8_255/strong.json" in text and "@misc{" in text
    assert "default-src &#39;none&#39;" in text and 'src="http' not in text and TITLE not in text
    assert text == report(rows[0])


def test_chosen_rows_stand_beside_it(rows: tuple[Path, Path]) -> None:
    """Each once, and never the row itself."""
    assert 'data-rows="row-0~row-1"' in report(rows[0], [rows[1]])
    for against in ([rows[0]], [rows[1], rows[1]]):
        with pytest.raises(BenchError, match="each once"):
            report(rows[0], against)


def test_a_row_on_no_board_has_a_report_too(rows: tuple[Path, Path], tmp_path: Path) -> None:
    """A file that somebody sent."""
    sent = Path(shutil.copy(rows[1], tmp_path / "sent.json"))
    assert "weak <span>robustness report</span>" in report(sent)


def test_a_certificate_is_part_of_the_verdict(rows: tuple[Path, Path]) -> None:
    """What is proved stands beside what no attack broke."""
    assert "it is proved" not in report(rows[1])
    row = read(rows[1])
    proved = pack_verdicts([True] * 36)
    certificate = Certificate(
        method="by hand", code="c", model=row.digests.model, indices="0:36", n_proved=36, proved=proved
    )
    amend(rows[1], dataclasses.replace(row, certificate=certificate))
    text = report(rows[1])
    assert "Of 36 it is proved that no attack can (10.00 %)." in text and "[10.00, 83.33]" in text
