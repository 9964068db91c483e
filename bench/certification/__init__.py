"""What no attack can break: bounds from below, the counterpart of `bench.attacks`."""

from __future__ import annotations

from bench.certification.bounds import METHOD, Bounded, Box, Certifier, Margin

__all__ = ["METHOD", "Bounded", "Box", "Certifier", "Margin"]
