"""Published suites never change."""

from __future__ import annotations

import pytest

from bench import suites
from bench.core.errors import UnknownNameError

PUBLISHED = {
    "cascade-v1": "ecdc496c2c16c63242819d516a4595b5aec8a559455ae04381c0a52db0b735dc",
    "quick-v1": "04149afb5db91850175b2c64026855194480d79f1f7fd66b841a5d0f41f334c2",
    "standard-v1": "edbc90c1454393bfb8db846007d6c0bd3b15898798e2bcb402812e0466db08e1",
}


@pytest.mark.parametrize("name", suites.names())
def test_a_published_suite_keeps_its_digest(name):
    """A suite's attacks and parameters are what they were when it was published."""
    message = f"{name} changed: put it back, and make the next version in a new file of bench/suites"
    assert suites.get(name).digest == PUBLISHED.get(name, "not listed in this test"), message


@pytest.mark.parametrize("name", suites.names())
def test_the_engine_is_no_part_of_the_digest(name):
    """Every engine runs the same suite."""
    assert len({suites.get(name, engine=engine).digest for engine in suites.ENGINES}) == 1


def test_a_suite_without_version_is_the_newest():
    """`standard` is the highest version of it."""
    assert suites.get("standard").label == max(name for name in suites.names() if name.startswith("standard-"))


def test_columns_of_the_standard_suite():
    """The columns of a standard row, and AutoAttack's stages, have the names that people look for."""
    attacks = suites.get("standard-v1").attacks
    assert [attack.name for attack in attacks] == ["fgsm", "pgd-20", "pgd-100", "cw", "autoattack"]
    assert [stage.name for stage in attacks[-1].stages] == ["apgd-ce", "apgd-t", "fab-t", "square"]


def test_the_cascade_is_the_standard_ensemble():
    """Its stages are AutoAttack's own; only who sees them differs."""
    (cascade,) = suites.get("cascade-v1").attacks
    assert cascade.stages == suites.get("standard-v1").attacks[-1].stages


@pytest.mark.parametrize(
    ("name", "expected"), [("standrad-v1", "mean 'standard-v1'"), ("nope", "Known: cascade-v1, quick-v1")]
)
def test_an_unknown_suite_names_the_nearest(name, expected):
    """A wrong name is answered with the nearest one."""
    with pytest.raises(UnknownNameError, match=expected):
        suites.get(name)


def test_an_unknown_engine_is_refused():
    """An engine that does not exist is named."""
    with pytest.raises(UnknownNameError, match="Unknown engine 'warp'"):
        suites.get("standard", engine="warp")
