"""One image file to pixels: the shorter side resized, then the centre cropped."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bench.data import images

__all__ = ["ResizedCrop"]


@dataclass(frozen=True, kw_only=True)
class ResizedCrop:
    """What torchvision's `Resize(resize)` and `CenterCrop(crop)` do to an image (bilinear, antialiased), to the pixel.

    Args:
        resize: length of the shorter side, at least `crop`.
        crop: side of the square that is cut out of the centre.
    """

    resize: int
    crop: int

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape `(C, H, W)` of what comes out."""
        return 3, self.crop, self.crop

    def __call__(self, content: bytes, *, source: Path) -> NDArray[np.uint8]:
        """Decode the bytes of an image file; grey becomes red, green and blue.

        Args:
            content: of the file.
            source: the file, for messages.

        Returns:
            uint8 `(3, H, W)`.

        Raises:
            BenchError: if they are no image.
        """
        with images.opened(content, source=source) as image:
            pixels = np.asarray(self._resized(image.convert("RGB")), dtype=np.uint8)
        height, width, _ = pixels.shape
        top, left = round((height - self.crop) / 2), round((width - self.crop) / 2)
        cut: NDArray[np.uint8] = pixels[top : top + self.crop, left : left + self.crop].transpose(2, 0, 1)
        return cut

    def _resized(self, image: Image.Image) -> Image.Image:
        short, long = sorted(image.size)
        longer = int(self.resize * long / short)
        width, height = (self.resize, longer) if image.width <= image.height else (longer, self.resize)
        return image.resize((width, height), Image.Resampling.BILINEAR)
