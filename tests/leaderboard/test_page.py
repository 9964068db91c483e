"""`index.html`, as text and in a real browser."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import io
import re
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.core import digest, evidence
from bench.core.breaks import Breaks
from bench.core.evidence import Gallery
from bench.core.packing import pack_verdicts
from bench.core.record import AttackCost, Card, Diagnostic, EvidenceFile, Record
from bench.leaderboard import page as page_package
from bench.leaderboard import write
from bench.leaderboard.page.pictures import png
from bench.leaderboard.publish import publish

VENDOR = Path(page_package.__file__).parent / "vendor"
EVIL = "<script>alert('t')</script><img src=x onerror=alert(1)>"
TABLE = "standard-v1-digits-linf-1_10"
ROWS = f"#{TABLE} table.rows tbody tr"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory, record: Callable[..., Record]) -> Path:
    """A board of five models on digits, of which one is short and one has a hostile title, and a row on cifar10."""
    root = tmp_path_factory.mktemp("board")
    failed = Diagnostic(id="R8", status="fail", statistic=0.25, threshold=0.5, evidence="says who?", next="cw")
    for model, title, n_clean, n_robust in [
        ("first", "First", 355, 300),
        ("second", "Second", 340, 240),
        ("evil", EVIL, 350, 200),
        ("doubted", "Doubted", 345, 290),
        ("short", "Short", 60, 30),
    ]:
        n_examples = 64 if model == "short" else 360
        row = record([place < n_robust for place in range(n_examples)], dataset="digits", threat_model="Linf:1/10")
        clean = [place < n_clean for place in range(n_examples)]
        result = dataclasses.replace(
            row.result,
            n_clean=n_clean,
            clean=pack_verdicts(clean),
            attacks=(*row.result.attacks, dataclasses.replace(row.result.attacks[0], name="cw")),
            diagnostics=(failed,) if model == "doubted" else (),
        )
        costs = tuple(AttackCost(name=name, seconds=1.0, forwards=9000, backwards=8000) for name in ("pgd-20", "cw"))
        card = Card(title=title, reference="arXiv 2306.03430", architecture="net", n_parameters=12, extra_data="no")
        changed = dataclasses.replace(
            row, model=model, result=result, card=card, cost=dataclasses.replace(row.cost, attacks=costs)
        )
        if model == "first":
            write(dataclasses.replace(changed, threat_model="Linf:1/4"), root)
            content = stored_breaks(first=n_robust, stop=n_clean)
            link = EvidenceFile(sha256=digest.of_content(content), n_breaks=n_clean - n_robust)
            write(dataclasses.replace(changed, evidence=link), root, evidence=content)
        else:
            write(changed, root)
    write(record([True, False], model="other", suite="quick-v1"), root)
    publish(root)
    return root / "index.html"


def stored_breaks(*, first: int, stop: int) -> bytes:
    """A file of made-up breaks of 8 x 8 images, of which two are shown; a class name is hostile."""
    count = stop - first
    breaks = Breaks(
        indices=np.arange(first, stop),
        labels=np.zeros(count, np.int64),
        predictions=np.ones(count, np.int64),
        margins=-np.ones(count, np.float32),
        rounded=np.ones(count, np.bool_),
        deltas=np.full((count, 1, 8, 8), 10, np.int8),
        exact=np.empty((0, 1, 8, 8), np.float32),
    )
    clean = np.arange(128, dtype=np.uint8).reshape(2, 1, 8, 8)
    gallery = Gallery(
        indices=np.arange(first, first + 2),
        clean=clean,
        adversarial=clean + np.uint8(10),
        classes=np.array([["zero", "<i>one</i>"]] * 2),
    )
    return evidence.dumps(breaks, gallery)


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
    assert len(scripts) == 3
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


# ---- in a browser ----


@pytest.fixture
def shown(browser: Any, page: Path) -> Iterator[Any]:
    """The browser with the page freshly opened; afterwards its console must be empty."""
    browser.get("about:blank")
    browser.get(page.as_uri())
    yield browser
    assert browser.get_log("browser") == []


def titles(shown: Any) -> list[str]:
    """Models of the visible rows, in their order."""
    return [link.text for link in shown.find_elements("css selector", f"{ROWS} th a") if link.is_displayed()]


def wait(shown: Any, condition: Callable[[], object]) -> None:
    """Until something is so; the browser tells of some things a moment later."""
    from selenium.webdriver.support.ui import WebDriverWait

    WebDriverWait(shown, 5).until(lambda _: condition())


def opened(shown: Any) -> Any:
    """The panel that is open, or about to be."""
    wait(shown, lambda: shown.find_elements("css selector", "dialog[open] .chart svg"))
    return shown.find_element("css selector", "dialog[open]")


def head(shown: Any, name: str) -> Any:
    """The button that sorts by a column."""
    buttons = shown.find_elements("css selector", f"#{TABLE} table.rows thead button")
    return next(button for button in buttons if button.text.split()[0] == name)


def test_the_page_opens_with_the_most_ranked_table(shown: Any) -> None:
    """Ranked rows first; the hostile title is text, and no dialog of its making opened."""
    assert titles(shown) == ["First", "Second", EVIL, "Doubted", "Short"]
    assert shown.find_element("id", "status").text == "5 rows"
    first = shown.find_element("css selector", ROWS).text
    assert "83.33" in first and "98.61" in first
    assert shown.execute_script("return performance.getEntriesByType('resource').length") == 0


def test_sorting_by_mouse_and_by_keyboard(shown: Any) -> None:
    """Numbers fall first, then rise; the column says so to a screen reader; names rise first."""
    head(shown, "clean").click()
    falling = titles(shown)
    assert falling == ["First", EVIL, "Doubted", "Second", "Short"]
    assert head(shown, "clean").find_element("xpath", "..").get_attribute("aria-sort") == "descending"
    head(shown, "clean").send_keys("\ue007")
    assert titles(shown) == falling[::-1]
    assert len(shown.find_elements("css selector", f"#{TABLE} table.rows th[aria-sort]")) == 1
    head(shown, "model").click()
    assert titles(shown)[1:] == ["Doubted", "First", "Second", "Short"]
    head(shown, "rank").click()
    assert titles(shown)[0] == "First"


def test_filtering_rows_filters_the_chart(shown: Any) -> None:
    """Words, ranked rows only, and both; the count is told; nothing left is no error."""
    circles = f"#{TABLE} .chart[data-chart=scatter] g[aria-label=dot] a"
    wait(shown, lambda: len(shown.find_elements("css selector", circles)) == 5)
    shown.find_element("id", "ranked").click()
    wait(shown, lambda: titles(shown) == ["First", "Second", EVIL])
    shown.find_element("id", "filter").send_keys("SEC")
    wait(shown, lambda: titles(shown) == ["Second"])
    wait(shown, lambda: shown.find_element("id", "status").text == "1 of 5 rows")
    wait(shown, lambda: len(shown.find_elements("css selector", circles)) == 1)
    shown.find_element("id", "filter").send_keys("nobody")
    wait(shown, lambda: titles(shown) == [])


def test_a_model_opens_closes_and_gives_the_focus_back(shown: Any) -> None:
    """By its link, with its attacks, curves, diagnostics and command; closed by Escape and by the button."""
    link = next(each for each in shown.find_elements("css selector", f"{ROWS} th a") if each.text == "Doubted")
    link.send_keys("\ue007")
    panel = opened(shown)
    assert "upper bound only: R8 failed" in panel.text and "says who?" in panel.text and "bench run" in panel.text
    assert len(panel.find_elements("css selector", ".chart svg")) == 2
    assert shown.switch_to.active_element.text == "Doubted"
    shown.switch_to.active_element.send_keys("\ue00c")
    assert not shown.find_elements("css selector", "dialog[open]")
    wait(shown, lambda: shown.switch_to.active_element == link)
    assert "#" not in shown.current_url
    link.click()
    opened(shown).find_element("css selector", ".close").click()
    assert not shown.find_elements("css selector", "dialog[open]")


def test_a_panel_can_be_linked_to(shown: Any, page: Path) -> None:
    """The address opens the model, in its table; several epsilons make a curve."""
    shown.get(f"{page.as_uri()}#standard-v1-digits-linf-1_4--first")
    panel = opened(shown)
    assert (
        panel.find_element("css selector", ".chart[data-chart=epsilon] svg").get_attribute("aria-label").count("1/")
        == 2
    )
    assert shown.find_element("id", "question").get_attribute("value") == "standard-v1-digits-linf-1_4"


def test_a_point_of_the_chart_opens_its_model(shown: Any) -> None:
    """Each is a link with a name, so the keyboard reaches it."""
    points = shown.find_elements("css selector", f"#{TABLE} .chart g[aria-label=dot] a")
    shown.execute_script("arguments[0].dispatchEvent(new MouseEvent('click', {bubbles: true}))", points[1])
    assert opened(shown).find_element("css selector", "h2").text == "Second"


def test_stored_breaks_are_shown(shown: Any) -> None:
    """Each as the image, what the attack made of it, and their difference, with a text for whoever cannot see them."""
    shown.find_element("css selector", f"{ROWS} th a").click()
    pairs = opened(shown).find_elements("css selector", ".gallery figure")
    assert [pair.text for pair in pairs] == ["#300: zero → <i>one</i>", "#301: zero → <i>one</i>"]
    images = pairs[0].find_elements("css selector", "img")
    wait(shown, lambda: shown.execute_script("return arguments[0].naturalWidth", images[1]) == 8)
    assert "taken for <i>one</i>" in images[1].get_attribute("alt")
    canvas = pairs[0].find_element("css selector", "canvas")
    pixel = "return [...arguments[0].getContext('2d').getImageData(0, 0, 1, 1).data]"
    wait(shown, lambda: shown.execute_script(pixel, canvas) == [255, 255, 255, 255])


def test_published_numbers_are_apart(shown: Any) -> None:
    """Shown on demand, in their own table, never among the rows."""
    shown.execute_script("document.getElementById('question').value = 'quick-v1-cifar10-linf-8_255'")
    shown.find_element("id", "published").click()
    crosses = shown.find_elements("css selector", ".question.shown .chart g[aria-label=dot] path")
    assert len(crosses) == 21
    text = shown.find_element("css selector", ".question.shown table.rows").text
    assert "Wu2020Adversarial" not in text and "other" in text


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_it_without_scrolling_sideways(shown: Any, scheme: str) -> None:
    """In both colour schemes, with contrast that text needs (4.5 to 1), table and panel."""
    size = {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}
    shown.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    shown.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    try:
        assert shown.execute_script("return document.documentElement.scrollWidth") <= 390
        shown.find_element("css selector", f"{ROWS} th a").click()
        panel = opened(shown)
        assert shown.execute_script("return arguments[0].scrollWidth", panel) <= 390
        paper = shown.execute_script("return getComputedStyle(document.body).backgroundColor")
        for selector in ("body", ".lead", ".where", "th small.doubtful", "td a, th a"):
            ink = shown.execute_script(f"return getComputedStyle(document.querySelector('{selector}')).color")
            assert _contrast(ink, paper) >= 4.5, selector
        assert (_luminance(paper) < 0.5) == (scheme == "dark")
    finally:
        shown.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        shown.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def _luminance(colour: str) -> float:
    """The relative luminance of `rgb(...)` (WCAG 2.2)."""
    channels = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(first: str, second: str) -> float:
    low, high = sorted((_luminance(first), _luminance(second)))
    return (high + 0.05) / (low + 0.05)
