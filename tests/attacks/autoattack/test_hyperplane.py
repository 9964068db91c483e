from __future__ import annotations

import numpy as np
import pytest
import torch
from pyautoattack.fab_projections import projection_l2, projection_linf
from scipy.optimize import linprog, minimize
from torch import Tensor

from bench.attacks.autoattack.hyperplane import move_onto_hyperplane
from bench.core.types import Norm

SORTED = {Norm.LINF: projection_linf, Norm.L2: projection_l2}


def problem(kind: str, *, rows: int = 64, size: int = 300, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Points in [0, 1], weights, offsets: of the usual kind, or nasty in one way."""
    generator = torch.Generator().manual_seed(seed)
    points = torch.rand(rows, size, generator=generator)
    weights = torch.randn(rows, size, generator=generator)
    if kind == "heavy tails":
        weights = weights / torch.rand(rows, size, generator=generator).clamp_min(1e-3)
    if kind == "at the bounds":
        points = points.round()
    if kind == "sparse":
        weights = weights * (torch.rand(rows, size, generator=generator) < 0.05)
    reach = (weights.abs().sum(1)) * (0.05 if kind != "far" else 0.4)
    offsets = (weights * points).sum(1) + reach * (2 * torch.rand(rows, generator=generator) - 1)
    return points, weights, offsets


@pytest.mark.parametrize("norm", [Norm.LINF, Norm.L2])
@pytest.mark.parametrize("kind", ["usual", "heavy tails", "at the bounds", "sparse", "far"])
def test_moves_equal_those_found_by_sorting(norm: Norm, kind: str) -> None:
    """Newton's method finds the same move as the reference's projection, which sorts."""
    points, weights, offsets = problem(kind)
    residual = (weights * points).sum(1) - offsets
    ours = move_onto_hyperplane(points, weights, residual, norm)
    theirs = SORTED[norm](points.clone(), weights.clone(), offsets.clone())
    lengths = [torch.linalg.vector_norm(d, ord=float("inf") if norm is Norm.LINF else 2, dim=1) for d in (ours, theirs)]
    torch.testing.assert_close(lengths[0], lengths[1], rtol=2e-4, atol=2e-6)
    torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=2e-5)


@pytest.mark.parametrize("norm", [Norm.LINF, Norm.L2])
def test_moves_are_optimal_in_float64(norm: Norm) -> None:
    """On small problems the move is the optimum that a general solver finds."""
    points, weights, offsets = (each.double() for each in problem("usual", rows=6, size=8))
    residual = (weights * points).sum(1) - offsets
    ours = move_onto_hyperplane(points, weights, residual, norm)
    for row in range(len(points)):
        t, w, b = points[row].numpy(), weights[row].numpy(), float(offsets[row])
        length = torch.linalg.vector_norm(ours[row], ord=float("inf") if norm is Norm.LINF else 2).item()
        assert length == pytest.approx(best_length(t, w, b, norm), rel=1e-4)


def best_length(t: np.ndarray, w: np.ndarray, b: float, norm: Norm) -> float:
    if norm is Norm.LINF:  # minimise s over (d, s) with |d| <= s
        eye, ones = np.eye(len(t)), -np.ones((len(t), 1))
        above = np.block([[eye, ones], [-eye, ones]])
        found = linprog(
            np.append(np.zeros(len(t)), 1.0),
            A_ub=above,
            b_ub=np.zeros(2 * len(t)),
            A_eq=np.append(w, 0.0)[None],
            b_eq=[b - w @ t],
            bounds=[*zip(-t, 1 - t, strict=True), (0, None)],
        )
        return float(found.fun)
    found = minimize(
        lambda d: d @ d,
        np.zeros(len(t)),
        jac=lambda d: 2 * d,
        bounds=list(zip(-t, 1 - t, strict=True)),
        constraints={"type": "eq", "fun": lambda d: w @ (t + d) - b, "jac": lambda d: w},
        method="SLSQP",
        options={"ftol": 1e-14},
    )
    return float(np.sqrt(found.fun))


@pytest.mark.parametrize("norm", [Norm.LINF, Norm.L2])
def test_an_unreachable_hyperplane_is_approached_as_far_as_the_box_allows(norm: Norm) -> None:
    """Where no point of the box satisfies the equation, every coordinate goes to its bound."""
    points, weights = torch.full((1, 4), 0.5), torch.tensor([[1.0, -2.0, 0.0, 4.0]])
    move = move_onto_hyperplane(points, weights, torch.tensor([100.0]), norm)
    assert (points + move).tolist() == [[0.0, 1.0, 0.5, 0.0]]


@pytest.mark.parametrize("norm", [Norm.LINF, Norm.L2])
@pytest.mark.parametrize("scale", [1e-30, 1e-12, 1e12, 1e30])
def test_the_scale_of_the_gradient_does_not_matter(norm: Norm, scale: float) -> None:
    """Saturated and exploding models alike get the move that the geometry asks for."""
    points, weights, offsets = problem("usual", rows=8)
    residual = (weights * points).sum(1) - offsets
    plain = move_onto_hyperplane(points, weights, residual, norm)
    scaled = move_onto_hyperplane(points, weights * scale, residual * scale, norm)
    torch.testing.assert_close(scaled, plain, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("norm", [Norm.LINF, Norm.L2])
def test_a_zero_gradient_moves_nothing(norm: Norm) -> None:
    """Without a direction there is no move, and no division by zero."""
    move = move_onto_hyperplane(torch.rand(2, 5), torch.zeros(2, 5), torch.tensor([-1.0, 0.0]), norm)
    assert torch.equal(move, torch.zeros(2, 5))
