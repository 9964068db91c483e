"""What the board's page consists of, read without a browser."""

from __future__ import annotations

import base64
import hashlib
import io
import re
import struct
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from bench.leaderboard.pages import html as page_package
from bench.leaderboard.pages.html.pictures import all_pictures, pairs_each, pictures, png
from bench.row.arrays import Gallery

VENDOR = Path(page_package.__file__).parent / "vendor"


class _Outline(HTMLParser):
    """Start tags of a page, with what the checks need."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


@pytest.fixture(scope="module")
def outline(page: Path) -> list[tuple[str, dict[str, str | None]]]:
    """Every start tag of the page."""
    parser = _Outline()
    parser.feed(page.read_text())
    return parser.tags


def test_the_page_fetches_nothing(page: Path, outline: list[tuple[str, dict[str, str | None]]]) -> None:
    """No tag loads anything from elsewhere, and the policy would not let it; a few MB at most."""
    assert not [tag for tag, _ in outline if tag in ("link", "iframe", "object", "embed", "base")]
    sources = [value for _, attributes in outline for name, value in attributes.items() if name == "src"]
    assert all(str(source).startswith("data:") for source in sources)
    (policy,) = (attributes["content"] for _, attributes in outline if "http-equiv" in attributes)
    assert str(policy).startswith("default-src 'none';")
    assert page.stat().st_size < 1_500_000


def test_only_the_pages_own_scripts_may_run(page: Path) -> None:
    """The policy lists the digest of every script that is there, and nothing else."""
    text = page.read_text()
    scripts = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    digests = {base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts}
    assert len(scripts) == 5
    assert set(re.findall(r"sha256-([^'&]+)", text[: text.index("<title>")])) == digests


def test_bundled_libraries_are_what_their_authors_published() -> None:
    """Their digests are on the licence's page, and nothing in them could end a script."""
    licences = (VENDOR / "LICENSES.txt").read_text()
    for path in VENDOR.glob("*.js"):
        assert f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}" in licences
        assert "</script" not in path.read_text().lower() and "\r" not in path.read_text()


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 32, 32), (3, 224, 224)])
def test_pictures_are_png(shape: tuple[int, ...]) -> None:
    """An independent library reads back every pixel, also where the data needs several blocks."""
    image = pytest.importorskip("PIL.Image")
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    read = np.asarray(image.open(io.BytesIO(png(pixels))))
    assert (read.reshape(*shape[1:], shape[0]).transpose(2, 0, 1) == pixels).all()


def test_every_id_is_there_once_and_every_control_has_a_name(
    outline: list[tuple[str, dict[str, str | None]]],
) -> None:
    """What a screen reader and a link need."""
    names = [attributes["id"] for _, attributes in outline if "id" in attributes]
    assert len(names) == len(set(names))
    labels = {attributes.get("aria-labelledby") for _, attributes in outline} - {None}
    assert labels <= set(names)
    assert all(attributes.get("scope") for tag, attributes in outline if tag == "th")
    assert dict(outline)["html"] == {"lang": "en"}


def test_nothing_of_a_row_is_markup(page: Path, outline: list[tuple[str, dict[str, str | None]]]) -> None:
    """A title that is HTML is text, also inside the data of the charts."""
    assert "alert('t')</script>" not in page.read_text()
    assert not [attributes for tag, attributes in outline if tag == "img" and attributes.get("src") == "x"]
    assert not [attributes for _, attributes in outline if "onerror" in attributes]


def test_large_pictures_are_scaled_down_and_many_rows_show_fewer() -> None:
    """224 x 224 pixels become 74 x 74, the means of squares; the pictures of all rows stay a few MB."""
    clean = np.zeros((8, 3, 224, 224), np.uint8)
    clean[:, :, :3, :3] = 9
    gallery = Gallery(indices=np.arange(8), clean=clean, adversarial=clean + 1, classes=np.array([["a", "b"]] * 8))
    entry = SimpleNamespace(row=SimpleNamespace(gallery=gallery))
    found = all_pictures([entry])
    (first, second) = (base64.b64decode(address.partition(",")[2]) for address in found.values())
    assert {struct.unpack(">II", picture[16:24]) for picture in (first, second)} == {(74, 74)}
    assert len(pictures(entry)) == 8 and pairs_each([entry]) == 8
    assert 0 < pairs_each([entry] * 100) < 8 and pictures(entry, 2) == pictures(entry)[:2]
