"""What fails after the attacks costs the row nothing but itself."""

from __future__ import annotations

import errno
import json

import pytest

from bench import leaderboard
from bench.storage import atomic_write

QUICK = {"R1", "R2", "R3", "R4", "R5", "R6", "R7", "R8", "R9", "R12", "R13", "R14", "R18", "R21"}


def boom(*_args, **_options):
    raise OverflowError("int too large")


def stored(here):
    """The only row of the board."""
    ((_, record),) = leaderboard.read_all(here / "leaderboard")
    return record


@pytest.mark.parametrize(
    ("place", "missing"),
    [
        ("bench.diagnostics.checks.r08_fidelity.slope", {"R8"}),
        ("bench.diagnostics.verdicts._order", {"R10"}),
        ("bench.diagnostics.checks.r19_claim.binomial_tail", {"R19"}),
        ("bench.jobs.run.claim_of", {"R4", "R10", "R13", "R19"}),
        ("bench.jobs.findings.diagnose_briefly", QUICK),
        ("bench.jobs.run.pack", {"evidence"}),
        ("bench.jobs.evidence._gallery", {"evidence"}),
        ("bench.jobs.run.card_of", {"card"}),
        ("bench.jobs.provenance.commit_of", {"provenance"}),
    ],
)
def test_the_row_is_written_without_what_failed_and_completed_by_the_same_command(
    run, bench, here, monkeypatch, place, missing
):
    """In its place stands "not run" with the reason, the exit code is 3, and one line says so."""
    with monkeypatch.context() as patch:
        patch.setattr(place, boom)
        failed = run("--json")
    assert failed.code == 3
    assert "not run" in failed.message and "OverflowError: int too large" in failed.message
    assert all(name in failed.message for name in missing)
    value = json.loads(failed.out)
    assert set(value["not_run"]) == missing and value["outcome"] == "written"
    row = stored(here)
    assert set(row.unfinished) == missing
    statuses = {check.id: (check.status, check.evidence) for check in row.result.diagnostics}
    unanswered = ("not run", "not run: OverflowError: int too large")
    assert {name for name, found in statuses.items() if found == unanswered} == missing & statuses.keys()
    assert bench("publish").code == 0
    looked = bench("check")
    assert looked.code == 0 and "OverflowError" in looked.out
    again = run("--json")
    assert again.code == 0 and json.loads(again.out)["outcome"] == "completed", again.err
    assert stored(here).unfinished == {}
    whole = stored(here)
    assert whole.card is not None and whole.evidence is not None
    assert run("--journal", "other", "--json").code == 0
    assert stored(here) == whole


def test_a_whole_row_is_not_replaced_by_one_that_lacks_a_check(run, here, monkeypatch):
    """The result is reproduced, the row stays as it was, and the exit code tells of the check."""
    assert run().code == 0
    whole = stored(here)
    monkeypatch.setattr("bench.diagnostics.checks.r08_fidelity.slope", boom)
    again = run("--journal", "other")
    assert again.code == 3 and "Reproduces the row" in again.out and "R8" in again.message
    assert stored(here) == whole


@pytest.mark.parametrize(("number", "code"), [(errno.ENOSPC, 3), (errno.EACCES, 2), (errno.EROFS, 2)])
def test_a_board_that_cannot_be_written_gives_one_line_and_the_journal_keeps_all(run, here, monkeypatch, number, code):
    """The same command goes on from there, without an attack."""

    def refuse(contents, write=atomic_write.write_together):
        for path in contents:
            if path.suffix == ".json" and "leaderboard" in path.parts:
                with atomic_write.explain_write_errors(path):
                    raise OSError(number, "no")
        write(contents)

    with monkeypatch.context() as patch:
        patch.setattr(atomic_write, "write_together", refuse)
        failed = run()
    assert failed.code == code and failed.message.count("\n") == 0
    assert not list((here / "leaderboard").rglob("good*.json"))
    monkeypatch.setattr("bench.attacks.pgd.PGD.perturb", boom)  # nothing is attacked again
    assert "Row written" in run().out


def test_what_lacks_a_check_is_listed_without_a_rank(bench, here, monkeypatch, run):
    """On the board too: in silence it would have taken one."""
    monkeypatch.setattr("bench.diagnostics.checks.r08_fidelity.slope", boom)
    run()
    assert bench("publish").code == 0
    assert "checks not run: R8" in (here / "leaderboard" / "README.md").read_text()


def test_the_doctor_ends_with_3_where_a_check_could_not_run(bench, monkeypatch):
    """It is neither a pass nor the model's fault, and the other checks have their say."""
    monkeypatch.setattr("bench.diagnostics.checks.r08_fidelity.slope", boom)
    words = ["--model", "nets.py:good", "--dataset", "digits", "--samples", "16", "--checks", "R5,R8", "--json"]
    found = bench("doctor", *words, "--quiet", "--device", "cpu")
    value = json.loads(found.out)
    assert found.code == 3 and value["status"] == "not run"
    assert [check["status"] for check in value["checks"]] == ["pass", "not run"]
