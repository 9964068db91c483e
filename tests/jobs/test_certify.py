"""What is proved lies beside the rows of the same model, and never contradicts them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from bench import data, leaderboard, models
from bench.core.errors import BenchError, FoundSomethingError
from bench.jobs.certify import CertifyRequest, certify
from bench.jobs.lookup import Lookup
from bench.jobs.replay import proofs_to_make_again, replay_certificate
from bench.jobs.run import RunRequest, run
from bench.jobs.verify import verify
from bench.row import CheckResult, Level, Record, pack_verdicts
from bench.row.serialization import dump_row

MODEL = """
import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn


def make():
    bunch = load_digits()
    images, classes = bunch.images.reshape(-1, 64) / 16, np.eye(10)[bunch.target]
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 10, bias=False))
    solved = np.linalg.solve(images.T @ images + np.eye(64), images.T @ classes)
    network[1].weight.data = torch.tensor(solved.T, dtype=torch.float32)
    return network
"""
THREAT_MODEL = "Linf:1/40"


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A linear classifier, and the board with its row on 24 examples."""
    folder = tmp_path_factory.mktemp("certify")
    (folder / "net.py").write_text(MODEL)
    run(
        RunRequest(
            model=f"{folder}/net.py:make",
            dataset="digits",
            name="linear",
            suite="quick-v1",
            threat_model=THREAT_MODEL,
            samples=24,
            device="cpu",
            leaderboard=folder / "board",
            journal=folder / "journal",
        )
    )
    return folder / "net.py", folder / "board"


@pytest.fixture
def request_for(evaluated: tuple[Path, Path], tmp_path: Path) -> CertifyRequest:
    """To certify it, on a board of the test's own."""
    import shutil

    file, board = evaluated
    shutil.copytree(board, tmp_path / "board")
    return CertifyRequest(
        model=f"{file}:make",
        dataset="digits",
        name="linear",
        threat_model=THREAT_MODEL,
        device="cpu",
        leaderboard=tmp_path / "board",
    )


def row_of(request: CertifyRequest) -> Record:
    (found,) = [record for _, record in leaderboard.read_all(request.leaderboard)]
    return found


def test_a_linear_classifier_is_certified_exactly(request_for: CertifyRequest) -> None:
    """Example by example what the dual norm says: the row's own examples by default, stored with method and digests."""
    found = certify(request_for)
    examples = data.load("digits").examples[:24]
    network = models.load(request_for.model, dataset=data.load("digits")).module
    inputs, weight = examples.inputs.flatten(1).double(), network[1].weight.double()
    epsilon = 1 / 40
    apart = weight[examples.labels][:, None] - weight  # (N, K, pixels)
    least = torch.where(apart > 0, (inputs - epsilon).clamp_min(0)[:, None], (inputs + epsilon).clamp_max(1)[:, None])
    margins = (apart * least).sum(2).masked_fill(torch.eye(10, dtype=torch.bool)[examples.labels], torch.inf).amin(1)
    record = row_of(request_for)
    assert record.certified() == tuple((margins > 0).tolist())
    assert 0 < found.certificate.n_proved < found.n_clean <= found.n_tried == 24
    assert found.certificate.n_proved <= record.n_robust, "from below, what attacks bound from above"
    assert record.certificate == found.certificate and record.contradicted() == ()
    assert (record.certificate.model, record.certificate.indices) == (record.digests.model, "0:24")
    assert [path for path, _ in found.rows] == list(leaderboard.row_paths(request_for.leaderboard))


def test_parts_add_up(request_for: CertifyRequest) -> None:
    """Examples that were tried earlier stay, in a row that knows nothing of those that it has not."""
    certify(dataclasses.replace(request_for, indices="0:8"))
    certify(dataclasses.replace(request_for, indices="16:40"))
    parts = row_of(request_for).certificate
    certify(dataclasses.replace(request_for, indices="8:16"))
    whole = row_of(request_for).certificate
    assert parts.indices == "0:8,16:24" and whole.indices == "0:24"
    certify(request_for)
    assert row_of(request_for).certificate == whole


def test_proofs_of_other_code_that_go_are_said(request_for: CertifyRequest) -> None:
    """They cannot be added to, however many they were."""
    certify(request_for)
    record, told = row_of(request_for), []
    old = dataclasses.replace(record.certificate, code="another version")
    leaderboard.amend(
        leaderboard.Identity.of(record).path(request_for.leaderboard), dataclasses.replace(record, certificate=old)
    )
    found = certify(dataclasses.replace(request_for, samples=2), notify=told.append)
    assert row_of(request_for).certificate == found.certificate and found.certificate.n_proved < old.n_proved
    assert any(f"{old.n_proved} proofs of other code go" in line for line in told)


def test_a_budget_ends_it_after_an_example(request_for: CertifyRequest) -> None:
    """One is always tried; of the others nothing is claimed."""
    found = certify(dataclasses.replace(request_for, budget=1e-9))
    assert (found.n_tried, found.n_asked) == (1, 24)
    assert row_of(request_for).certificate.indices == "0:1"


def test_a_break_of_a_certified_example_is_a_finding(request_for: CertifyRequest) -> None:
    """Nothing is stored then: either the bound or the break is wrong."""
    record = row_of(request_for)
    nothing = pack_verdicts([False] * 24)
    attacks = tuple(dataclasses.replace(each, n_robust=0, robust=nothing) for each in record.result.attacks)
    broken = dataclasses.replace(record, result=dataclasses.replace(record.result, n_robust=0, attacks=attacks))
    leaderboard.amend(leaderboard.Identity.of(record).path(request_for.leaderboard), broken)
    with pytest.raises(FoundSomethingError, match="are certified, and row"):
        certify(request_for)
    assert row_of(request_for).certificate is None


def test_rows_of_other_weights_are_left_alone(request_for: CertifyRequest, tmp_path: Path) -> None:
    """The name is not enough."""
    (tmp_path / "net.py").write_text(MODEL.replace("np.eye(64)", "2 * np.eye(64)"))
    found = certify(dataclasses.replace(request_for, model=f"{tmp_path}/net.py:make", samples=2))
    assert found.rows == () and row_of(request_for).certificate is None


@pytest.mark.parametrize("fingerprint", [True, False], ids=["with a fingerprint", "without"])
def test_rows_of_another_function_are_left_alone(
    request_for: CertifyRequest, tmp_path: Path, fingerprint: bool
) -> None:
    """The same weights behind changed code: what is proved of one is not laid beside what was found of the other."""
    ((path, record),) = leaderboard.read_all(request_for.leaderboard)
    if not fingerprint:
        leaderboard.amend(path, dataclasses.replace(record, fingerprint=None))
    assert certify(dataclasses.replace(request_for, samples=2)).rows, "the same function"
    blurred = MODEL.replace("nn.Flatten()", "nn.Sequential(nn.AvgPool2d(3, 1, 1), nn.Flatten())")
    (tmp_path / "net.py").write_text(blurred)
    before = path.read_bytes()
    found = certify(dataclasses.replace(request_for, model=f"{tmp_path}/net.py:make", samples=2))
    assert found.certificate.model == record.digests.model
    assert found.rows == () and path.read_bytes() == before


def test_no_row_leaves_the_board_alone(request_for: CertifyRequest) -> None:
    """As in `bench run`."""
    assert certify(dataclasses.replace(request_for, no_row=True, samples=2)).rows == ()
    assert row_of(request_for).certificate is None


def test_a_model_that_decides_by_values_is_refused(request_for: CertifyRequest) -> None:
    """A router has no fixed list of operations."""
    with pytest.raises(BenchError, match="Cannot bound model 'aw-net'"):
        certify(dataclasses.replace(request_for, model="aw-net", name=None))


@pytest.mark.parametrize("code", ["", "another version"])
def test_verify_makes_proofs_again(request_for: CertifyRequest, code: str) -> None:
    """A row whose certificate claims an example that is not proved is found out, whatever code it names."""
    certify(request_for)
    record = row_of(request_for)
    path = leaderboard.Identity.of(record).path(request_for.leaderboard)
    lookup = Lookup(model=request_for.model, device="cpu")

    def said() -> CheckResult:
        (found,) = (check for check in verify(path, lookup).checks if check.what == "certificate")
        return found

    n_proved = record.certificate.n_proved
    assert said().level is Level.PASS and f"{n_proved} of {n_proved} proofs made again" in said().evidence
    claimed = record.certificate.of(range(24), range(24))
    assert claimed.n_proved > n_proved
    forged = dataclasses.replace(record, certificate=dataclasses.replace(claimed, code=code or claimed.code))
    leaderboard.amend(path, forged)
    assert said().level is Level.FAIL and "no proof was found again of examples" in said().evidence
    assert ("other code made it" in said().evidence) is bool(code)


def test_which_proofs_are_made_again_is_not_known_beforehand(request_for: CertifyRequest) -> None:
    """Of many a part, and of the same claim others each time: a key that a forger can compute he can also satisfy."""
    certify(request_for)
    claimed = row_of(request_for).certificate.of(range(300), range(300))
    first, second = proofs_to_make_again(claimed), proofs_to_make_again(claimed)
    assert len(first) == len(set(first)) == 64 and set(first) <= set(range(300)) and first != second
    assert proofs_to_make_again(claimed.of(range(300), range(5))) == (0, 1, 2, 3, 4)


def test_a_certificate_on_a_network_that_cannot_be_bounded_is_false(request_for: CertifyRequest) -> None:
    """The other checks of the row are made all the same."""
    dataset = data.load("digits")
    model = models.load("aw-net", dataset=dataset).module
    certify(request_for)
    found = replay_certificate(
        row_of(request_for), dataset, model, device=torch.device("cpu"), advance=lambda count: None
    )
    assert found.level is Level.FAIL and "called certified, but Cannot bound" in found.evidence


def test_nothing_is_stored_where_one_of_several_rows_contradicts(request_for: CertifyRequest) -> None:
    """Not even in those before it."""
    first = row_of(request_for)
    second = dataclasses.replace(first, suite="standard-v1")
    nothing = pack_verdicts([False] * 24)
    attacks = tuple(dataclasses.replace(each, n_robust=0, robust=nothing) for each in first.result.attacks)
    second = dataclasses.replace(second, result=dataclasses.replace(first.result, n_robust=0, attacks=attacks))
    paths = [leaderboard.Identity.of(each).path(request_for.leaderboard) for each in (first, second)]
    paths[1].parent.mkdir(parents=True)
    paths[1].write_text(dump_row(second))
    with pytest.raises(FoundSomethingError, match="Nothing was stored"):
        certify(request_for)
    assert [leaderboard.read(path).certificate for path in paths] == [None, None]
