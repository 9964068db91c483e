"""The zoo's models of full width, `-r18`: a ResNet-18 of 11 million parameters, made by the recipes at scale `medium`.

Their weights lie in a checkout, not in the package, which they would make ten times as large.
"""

from __future__ import annotations

from dataclasses import replace

from bench.models.zoo import at_awp, aw_net, ducat, pgd_at, standard, trades

ENTRY = tuple(
    replace(
        spec,
        name=f"{spec.name}-r18",
        title=f"{spec.title}, ResNet-18",
        summary=f"{spec.summary.removesuffix('.')}; the network at its full width of 64.",
        scale="medium",
    )
    for spec in (at_awp.ENTRY, aw_net.ENTRY, ducat.ENTRY, pgd_at.ENTRY, standard.ENTRY, trades.ENTRY)
)
