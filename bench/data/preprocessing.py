"""One image file to pixels: resized, then the centre cropped, as torchvision does it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bench.data import images

__all__ = ["Preprocessing"]


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """What torchvision's `Resize(resize)` and `CenterCrop(crop)` do to an image, antialiased.

    Args:
        resize: length of the shorter side, or height and width; None to leave the image as large as it is.
        crop: side of the square that is cut out of the centre, with a black border where the image is smaller; None
            for the whole image, whose size `resize` must then say.
        interpolation: as torchvision calls it, such as "bilinear" or "bicubic".

    Raises:
        ValueError: if images would come out in different sizes.
    """

    resize: int | tuple[int, int] | None
    crop: int | None
    interpolation: str = "bilinear"

    def __post_init__(self) -> None:
        if self.crop is None and not isinstance(self.resize, tuple):
            raise ValueError(f"Expected `crop`, or `resize` to height and width, but got {self}.")

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape `(C, H, W)` of what comes out."""
        if self.crop is not None:
            return 3, self.crop, self.crop
        assert isinstance(self.resize, tuple)
        return 3, *self.resize

    def __str__(self) -> str:
        steps = []
        if self.resize is not None:
            steps.append(f"Resize({self.resize}, {self.interpolation})")
        if self.crop is not None:
            steps.append(f"CenterCrop({self.crop})")
        return ", ".join(steps)

    def parameters(self) -> dict[str, object]:
        """What a digest is taken of: the arguments, less those at their default."""
        return {field.name: value for field in fields(self) if (value := getattr(self, field.name)) != field.default}

    def __call__(self, content: bytes, *, source: Path) -> NDArray[np.uint8]:
        """Decode the bytes of an image file; grey becomes red, green and blue, and what EXIF says is ignored.

        Args:
            content: of the file.
            source: the file, for messages.

        Returns:
            uint8 `(3, H, W)`.

        Raises:
            BenchError: if they are no image.
        """
        with images.opened(content, source=source) as image:
            colours = image.convert("RGB")
        return self.prepared(colours)

    def prepared(self, image: Image.Image) -> NDArray[np.uint8]:
        """Prepare an image in red, green and blue; as uint8 `(3, H, W)`."""
        from torchvision.transforms import InterpolationMode, functional

        if self.resize is not None:
            size = [self.resize] if isinstance(self.resize, int) else list(self.resize)
            image = functional.resize(image, size, InterpolationMode(self.interpolation), antialias=True)
        cropped = image if self.crop is None else functional.center_crop(image, [self.crop])
        pixels: NDArray[np.uint8] = np.asarray(cropped, dtype=np.uint8).transpose(2, 0, 1)
        return pixels
