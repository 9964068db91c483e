"""What the headers of image files say, and what is refused before anything is decoded."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.core.errors import BenchError
from bench.data import images, memory

COLOURS = np.random.default_rng(0).integers(0, 256, (6, 5, 3), dtype=np.uint8)


def _huge_png(path: Path, side: int) -> Path:
    """A file of some bytes that promises `side` x `side` pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    )
    return path


def _saved(path: Path, image: Image.Image, **more: object) -> Path:
    image.save(path, **more)
    return path


def test_an_image_of_too_many_pixels_is_refused_by_its_header(tmp_path, recwarn):
    """13,000 x 13,000 in a file of some bytes; the file is named, and Pillow does not warn beside it."""
    path = _huge_png(tmp_path / "huge.png", 13_000)
    for look in (images.survey, images.read):
        with pytest.raises(BenchError, match=r"at most .* pixels, but .*huge\.png has 13000x13000"):
            look([path])
    assert not [each for each in recwarn if issubclass(each.category, Image.DecompressionBombWarning)]


def test_images_that_do_not_fit_into_memory_together_are_refused_before_they_are_read(tmp_path, monkeypatch):
    """With what they would take and what there is; the first alone was decoded."""
    monkeypatch.setattr(memory, "_memory", lambda: 1 << 20)
    path = _saved(tmp_path / "a.png", Image.new("RGB", (100, 100)))
    assert images.read([path]).shape == (1, 3, 100, 100)
    with pytest.raises(BenchError, match=r"1000 images of 100x100 .*a\.png: it would take 0.3 GiB .* Resize"):
        images.read([path] * 1000)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "CMYK", "YCbCr", "LA", "L", "1"])
def test_every_mode_becomes_what_torchvision_makes_of_it(tmp_path, mode):
    """Red, green and blue, as its loader converts them."""
    kind = ".jpg" if mode in ("CMYK", "YCbCr") else ".png"
    path = _saved(tmp_path / f"image{kind}", Image.fromarray(COLOURS).convert(mode))
    with Image.open(path) as image:
        expected = np.asarray(image.convert("RGB"))
    assert np.array_equal(images.read([path])[0].transpose(1, 2, 0), expected)


def test_transparency_and_rotation_are_said(tmp_path):
    """As torchvision, bench leaves out the one and does not do the other."""
    exif = Image.Exif()
    exif[0x0112] = 6
    plain = _saved(tmp_path / "plain.png", Image.fromarray(COLOURS))
    clear = _saved(tmp_path / "clear.png", Image.fromarray(COLOURS).convert("RGBA"))
    turned = _saved(tmp_path / "turned.jpg", Image.fromarray(COLOURS), exif=exif)
    assert images.survey([plain]).remarks == ()
    transparency, rotation = images.survey([plain, clear, turned]).remarks
    assert transparency.startswith("1 images lose their transparency") and transparency.endswith("clear.png")
    assert rotation.startswith("1 images are not turned") and rotation.endswith("turned.jpg")
    assert images.read([turned]).shape == (1, 3, 6, 5)


def test_damaged_exif_is_no_rotation(tmp_path):
    """The pixels can be read all the same."""
    path = _saved(tmp_path / "image.png", Image.fromarray(COLOURS), exif=b"Exif\0\0MM\0*\xff\xff\xff\xff")
    assert images.survey([path]).remarks == ()
