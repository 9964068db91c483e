"""Preparation of one image."""

from __future__ import annotations

import io
import re
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torchvision import transforms

from bench.core.errors import BenchError
from bench.data.preprocessing import Preprocessing


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
    prepare = Preprocessing(resize=256, crop=224)
    found = prepare(content, source=Path("x"))
    assert found.shape == prepare.shape and np.array_equal(found, expected)


@pytest.mark.parametrize("content", [b"", b"no image", _file(64, 64)[:900]])
def test_what_is_no_image_is_named(content: bytes) -> None:
    """Empty, of another kind, or cut short."""
    with pytest.raises(BenchError, match=r"Cannot read cat\.JPEG as an image"):
        Preprocessing(resize=8, crop=8)(content, source=Path("cat.JPEG"))


@pytest.mark.parametrize(
    ("prepare", "theirs"),
    [
        (Preprocessing(resize=None, crop=288), [transforms.CenterCrop(288)]),
        (
            Preprocessing(resize=256, crop=224, interpolation="bicubic"),
            [transforms.Resize(256, transforms.InterpolationMode.BICUBIC), transforms.CenterCrop(224)],
        ),
        (Preprocessing(resize=(224, 200), crop=None), [transforms.Resize([224, 200])]),
    ],
    ids=str,
)
@pytest.mark.parametrize(("width", "height"), [(500, 375), (281, 97), (333, 501)])
def test_other_preprocessings_are_torchvisions_too(
    prepare: Preprocessing, theirs: list[object], width: int, height: int
) -> None:
    """Bicubic, a crop alone (with a black border where the image is small), and a resize of both sides."""
    content = _file(width, height)
    compose = transforms.Compose([*theirs, transforms.PILToTensor()])
    expected = compose(Image.open(io.BytesIO(content)).convert("RGB")).numpy()
    found = prepare(content, source=Path("x"))
    assert found.shape == prepare.shape and np.array_equal(found, expected)


def test_it_says_what_it_does() -> None:
    """In the words of torchvision, as rows show it."""
    assert str(Preprocessing(resize=256, crop=224)) == "Resize(256, bilinear), CenterCrop(224)"
    assert str(Preprocessing(resize=None, crop=288)) == "CenterCrop(288)"
    assert str(Preprocessing(resize=(224, 224), crop=None)) == "Resize((224, 224), bilinear)"


def test_images_of_all_sizes_come_out_in_one() -> None:
    """What would leave them unequal is refused."""
    for resize in (None, 256):
        with pytest.raises(ValueError, match="Expected `crop`"):
            Preprocessing(resize=resize, crop=None)


def test_parameters_tell_preprocessings_apart() -> None:
    """And leave out what is usual, so that digests from before there was a choice still hold."""
    usual = Preprocessing(resize=256, crop=224)
    assert usual.parameters() == {"resize": 256, "crop": 224}
    others = [
        Preprocessing(resize=None, crop=224),
        Preprocessing(resize=256, crop=224, interpolation="bicubic"),
        Preprocessing(resize=(256, 256), crop=224),
        Preprocessing(resize=(256, 224), crop=None),
    ]
    assert len({str(each.parameters()) for each in (usual, *others)}) == 5


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("256", 224, None), "Resize(256, bilinear), CenterCrop(224)"),
        (("32x48", None, "bicubic"), "Resize((32, 48), bicubic)"),
        (("32x48", 16, "nearest-exact"), "Resize((32, 48), nearest-exact), CenterCrop(16)"),
        ((None, 64, None), "CenterCrop(64)"),
    ],
)
def test_words_are_read_as_torchvision_would_be_called_and_its_text_is_read_back(words, says):
    """What a user types, what a row says, and what verifies the row are one preprocessing."""
    asked = Preprocessing.asked(*words)
    assert str(asked) == says and Preprocessing.parse(says) == asked


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("224", None, None), "add --crop 224, or say --resize 224x224"),
        (("224x", None, None), "but got '224x'"),
        (("0x8", None, None), "from 1 to 4096"),
        (("9999", 8, None), "from 1 to 4096"),
        ((None, -1, None), "from 1 to 4096"),
        ((None, 8, "bicubic"), "name the size too"),
        (("8x8", None, "bicubik"), "Did you mean 'bicubic'"),
    ],
)
def test_words_that_say_no_size_or_too_large_a_one(words, says):
    """One line each, with the way out."""
    with pytest.raises(BenchError, match=re.escape(says)):
        Preprocessing.asked(*words)


@pytest.mark.parametrize(
    "text", ["", "Resize(8, bilinear)", "Resize((9999, 9999), box)", "Resize(8)", "x, CenterCrop(8)"]
)
def test_a_row_that_says_no_preprocessing(text):
    """Rows are untrusted: neither code nor sizes without bound."""
    with pytest.raises(BenchError):
        Preprocessing.parse(text)


@pytest.mark.parametrize("mode", ["I;16", "I", "F"])
def test_deep_images_are_refused_by_it_too(mode: str) -> None:
    """Pillow would clip them: a ramp of 16 bits becomes white."""
    file = io.BytesIO()
    Image.new(mode, (8, 8)).save(file, "TIFF")
    with pytest.raises(BenchError, match=r"8 bits per channel, but deep\.tif has mode"):
        Preprocessing(resize=8, crop=8)(file.getvalue(), source=Path("deep.tif"))


def png(colour: int, channels: int) -> bytes:
    """2 x 2 pixels of 16 bits, which Pillow does not write."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", 2, 2, 16, colour, 0, 0, 0)
    row = b"\0" + struct.pack(f">{2 * channels}H", *range(1_000, 1_000 + 2 * channels))
    parts = chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(row + row)), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.mark.parametrize(
    "content",
    [png(0, 1), png(2, 3), png(4, 2), png(6, 4), b"P6 2 2 65535\n" + b"\1\2" * 12, b"P5 2 2 65535\n" + b"\1\2" * 4],
    ids=["grey", "colour", "grey with alpha", "colour with alpha", "ppm", "pgm"],
)
def test_deep_pixels_are_refused_whatever_mode_they_are_read_as(content: bytes) -> None:
    """Pillow reads 16 bits a channel as mode RGB and keeps the high ones."""
    with pytest.raises(BenchError, match=r"8 bits per channel, but deep\.png has (mode|pixels of more)"):
        Preprocessing(resize=8, crop=8)(content, source=Path("deep.png"))


@pytest.mark.parametrize("content", [b"P6 2 2 255\n" + b"\1" * 12, b"P6 2 2 15\n" + b"\1" * 12])
def test_shallow_pixels_are_read(content: bytes) -> None:
    """A PPM names the largest value that it uses."""
    assert Preprocessing(resize=8, crop=8)(content, source=Path("a.ppm")).shape == (3, 8, 8)


def test_a_thin_image_does_not_become_a_huge_one() -> None:
    """A few kilobytes whose shorter side is made 256 times as long."""
    file = io.BytesIO()
    Image.new("L", (1, 60_000)).save(file, "PNG")
    with pytest.raises(BenchError, match=r"thin\.png of 1x60000 has more once its shorter side is 256"):
        Preprocessing(resize=256, crop=224)(file.getvalue(), source=Path("thin.png"))
