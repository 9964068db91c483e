"""Preparation of one image."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torchvision import transforms

from bench.core.errors import BenchError
from bench.data.resized_crop import ResizedCrop


def _file(width: int, height: int, mode: str = "RGB", kind: str = "JPEG") -> bytes:
    pixels = np.random.default_rng(width * height).integers(0, 256, (height, width, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(file, kind)
    return file.getvalue()


@pytest.mark.parametrize(
    ("width", "height", "mode"),
    [(500, 375, "RGB"), (333, 501, "RGB"), (256, 256, "RGB"), (100, 30, "L"), (281, 97, "CMYK"), (257, 1000, "RGB")],
)
def test_the_pixels_are_torchvisions(width: int, height: int, mode: str) -> None:
    """Wide, high, small, grey and CMYK images; sides that leave odd margins too."""
    content = _file(width, height, mode)
    theirs = transforms.Compose([transforms.Resize(256), transforms.CenterCrop(224), transforms.PILToTensor()])
    expected = theirs(Image.open(io.BytesIO(content)).convert("RGB")).numpy()
    prepare = ResizedCrop(resize=256, crop=224)
    found = prepare(content, source=Path("x"))
    assert found.shape == prepare.shape and np.array_equal(found, expected)


@pytest.mark.parametrize("content", [b"", b"no image", _file(64, 64)[:900]])
def test_what_is_no_image_is_named(content: bytes) -> None:
    """Empty, of another kind, or cut short."""
    with pytest.raises(BenchError, match=r"Cannot read cat\.JPEG as an image"):
        ResizedCrop(resize=8, crop=8)(content, source=Path("cat.JPEG"))
