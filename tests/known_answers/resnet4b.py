"""ResNet-4B in the form of a user's own file."""

from __future__ import annotations

from bench.jobs.known_answers import ResNet4B


def make() -> ResNet4B:
    """The network, without its weights."""
    return ResNet4B()
