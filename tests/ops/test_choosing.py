from __future__ import annotations

import torch

from bench.ops.choosing import chosen, chosen_rows


def test_it_is_where_to_the_bit() -> None:
    """Row by row and pixel by pixel, with tiny and huge values on either side."""
    generator = torch.Generator().manual_seed(0)
    old, new = (
        torch.randn(50, 3, 4, 5, generator=generator)
        * 10.0 ** torch.randint(-30, 30, (50, 1, 1, 1), generator=generator)
        for _ in "ab"
    )
    mask = torch.rand(50, 1, 4, 5, generator=generator) < 0.5
    assert torch.equal(chosen(mask.float(), new, old), torch.where(mask, new, old))
    rows = mask[:, 0, 0, 0]
    assert torch.equal(chosen_rows(rows, new, old), torch.where(rows[:, None, None, None], new, old))
