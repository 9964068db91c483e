"""One image file to pixels: resized, then the centre cropped, as torchvision does it."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bench.core.errors import BenchError, UnknownNameError
from bench.data import images

__all__ = ["Preprocessing"]

_INTERPOLATIONS = ("nearest", "nearest-exact", "bilinear", "bicubic", "box", "hamming", "lanczos")
_MOST_PIXELS = 4096
_SIZE = re.compile(r"([0-9]{1,4})(?:x([0-9]{1,4}))?")
_STEPS = re.compile(
    r"(?:Resize\((?:(?P<side>[0-9]{1,4})|\((?P<height>[0-9]{1,4}), (?P<width>[0-9]{1,4})\)), (?P<how>[a-z-]{1,16})\))?"
    r"(?:(?:^|, )CenterCrop\((?P<crop>[0-9]{1,4})\))?"
)


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

    @classmethod
    def asked(cls, resize: str | None, crop: int | None, interpolation: str | None) -> Preprocessing | None:
        """What a user asks for in words: `256` or `224x224`, the side of the crop, the interpolation; None for nothing.

        >>> str(Preprocessing.asked("256", 224, None))
        'Resize(256, bilinear), CenterCrop(224)'

        Raises:
            BenchError: if a word is none of these, or images would come out in different sizes.
        """
        if interpolation is not None and resize is None:
            raise BenchError("--interpolation says how --resize is done; name the size too.")
        if interpolation is not None and interpolation not in _INTERPOLATIONS:
            raise UnknownNameError("interpolation", interpolation, _INTERPOLATIONS)
        if resize is None and crop is None:
            return None
        size = _SIZE.fullmatch(resize) if resize is not None else None
        if resize is not None and size is None:
            raise BenchError(f"Expected --resize to be the shorter side, 256, or 224x224, but got {resize!r:.40}.")
        sides = [int(side) for side in size.groups() if side is not None] if size is not None else []
        if any(not 1 <= side <= _MOST_PIXELS for side in [*sides, *([crop] if crop is not None else [])]):
            raise BenchError(f"Expected --resize and --crop from 1 to {_MOST_PIXELS} pixels.")
        if crop is None and len(sides) == 1:
            raise BenchError(
                f"--resize {resize} alone leaves images as long as they are: add --crop {resize}, or say"
                f" --resize {resize}x{resize}."
            )
        target = None if not sides else sides[0] if len(sides) == 1 else (sides[0], sides[1])
        return cls(resize=target, crop=crop, interpolation=interpolation or "bilinear")

    @classmethod
    def parse(cls, text: str) -> Preprocessing:
        """What `str` of one was, such as a row's.

        >>> Preprocessing.parse("Resize((32, 48), bicubic)").shape
        (3, 32, 48)

        Raises:
            BenchError: if it is none.
        """
        found = _STEPS.fullmatch(text)
        if found is None:
            raise BenchError(f"Expected a resize, a crop or both, but got {text!r:.80}.")
        side, height, width, how, crop = found.group("side", "height", "width", "how", "crop")
        resize = f"{height}x{width}" if height is not None else side
        parsed = cls.asked(resize, int(crop) if crop is not None else None, how)
        if parsed is None:
            raise BenchError("Expected a resize, a crop or both, but got nothing.")
        return parsed

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
            BenchError: if they are no image, or one that is so long and thin that resized it would be too large.
        """
        with images.opened(content, source=source) as image:
            short, long = sorted(image.size)
            if isinstance(self.resize, int) and self.resize**2 * long > images.MOST_PIXELS * short:
                raise BenchError(
                    f"Expected images of at most {images.MOST_PIXELS:,} pixels, but {source} of"
                    f" {image.width}x{image.height} has more once its shorter side is {self.resize}. Leave it out, or"
                    f" give both sides: --resize {self.resize}x{self.resize}."
                )
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
