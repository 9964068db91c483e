"""How the board's page behaves in a browser."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.leaderboard import read, write
from bench.leaderboard.pages import report

TABLE = "standard-v1-digits-linf-1_10"
ROWS = f"#{TABLE} table.rows tbody tr"


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

    WebDriverWait(shown, 20).until(lambda _: condition())


def opened(shown: Any) -> Any:
    """The panel that is open, or about to be."""
    wait(shown, lambda: shown.find_elements("css selector", "dialog[open] .chart svg"))
    return shown.find_element("css selector", "dialog[open]")


def head(shown: Any, name: str) -> Any:
    """The button that sorts by a column."""
    buttons = shown.find_elements("css selector", f"#{TABLE} table.rows thead button")
    return next(button for button in buttons if button.text.split()[0] == name)


def test_the_page_opens_with_the_most_ranked_table(shown: Any, hostile_title: str) -> None:
    """Ranked rows first; the hostile title is text, and no dialog of its making opened."""
    assert titles(shown) == ["First", "Second", hostile_title, "Doubted", "Short"]
    assert shown.find_element("id", "status").text == "5 rows"
    first = shown.find_element("css selector", ROWS).text
    assert "83.33" in first and "98.61" in first
    assert shown.execute_script("return performance.getEntriesByType('resource').length") == 0


def test_sorting_by_mouse_and_by_keyboard(shown: Any, hostile_title: str) -> None:
    """Numbers fall first, then rise; the column says so to a screen reader; names rise first."""
    head(shown, "clean").click()
    falling = titles(shown)
    assert falling == ["First", hostile_title, "Doubted", "Second", "Short"]
    assert head(shown, "clean").find_element("xpath", "..").get_attribute("aria-sort") == "descending"
    head(shown, "clean").send_keys("\ue007")
    assert titles(shown) == falling[::-1]
    assert len(shown.find_elements("css selector", f"#{TABLE} table.rows th[aria-sort]")) == 1
    head(shown, "model").click()
    assert titles(shown)[1:] == ["Doubted", "First", "Second", "Short"]
    head(shown, "rank").click()
    assert titles(shown)[0] == "First"


def test_filtering_rows_filters_the_chart(shown: Any, hostile_title: str) -> None:
    """Words, ranked rows only, and both; the count is told; nothing left is no error."""
    circles = f"#{TABLE} .chart[data-chart=scatter] g[data-mark=dot] a"
    wait(shown, lambda: len(shown.find_elements("css selector", circles)) == 5)
    shown.find_element("id", "ranked").click()
    wait(shown, lambda: titles(shown) == ["First", "Second", hostile_title])
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
    points = shown.find_elements("css selector", f"#{TABLE} .chart g[data-mark=dot] a")
    shown.execute_script("arguments[0].dispatchEvent(new MouseEvent('click', {bubbles: true}))", points[1])
    assert opened(shown).find_element("css selector", "h2").text == "Second"


def test_every_point_has_its_label(shown: Any, hostile_title: str) -> None:
    """None is left out where points are close, and none covers another; published ones obey the filter too."""
    chosen = f"#{TABLE} .chart[data-chart=scatter] text.label"
    wait(shown, lambda: len(shown.find_elements("css selector", chosen)) == 5)
    labels = shown.find_elements("css selector", chosen)
    assert {label.text for label in labels} == {
        "First",
        "Second",
        "Doubted",
        "Short",
        f"{hostile_title[:25]}\N{HORIZONTAL ELLIPSIS}",
    }
    boxes = [label.rect for label in labels]
    assert not any(
        one["x"] < other["x"] + other["width"] - 1
        and other["x"] < one["x"] + one["width"] - 1
        and one["y"] < other["y"] + other["height"] - 4
        and other["y"] < one["y"] + one["height"] - 4
        for place, one in enumerate(boxes)
        for other in boxes[:place]
    )


def test_two_models_stand_side_by_side(shown: Any, page: Path) -> None:
    """By an address that can be sent: their numbers, which examples differ, and pictures of those that are stored."""
    first, second = f"{TABLE}--second", f"{TABLE}--first"
    shown.get(f"{page.as_uri()}#{first}~{second}")
    panel = opened(shown)
    assert panel.find_element("css selector", "h2").text == "Second and First"
    assert "240 withstand in both models, 0 in Second alone, 60 in First alone, 60 in neither" in panel.text
    assert "First withstands, Second does not" in panel.text and "#240 #241" in panel.text
    assert shown.execute_script("return mcnemar(0, 5)") == 0.0625
    shown.get("about:blank")
    shown.get(f"{page.as_uri()}#{first}")
    opened(shown)
    shown.execute_script(
        "const s = document.querySelector('select.compare'); s.value = arguments[0];"
        "s.dispatchEvent(new Event('input'))",
        second,
    )
    wait(shown, lambda: shown.find_element("css selector", "dialog[open] h2").text == "Second and First")
    assert shown.current_url.endswith(f"#{first}~{second}")


def test_numbers_that_do_not_count_are_in_the_panel_alone_in_words(shown: Any) -> None:
    """No column of the table, no raw key."""
    assert "naive" not in shown.find_element("css selector", f"#{TABLE} table.rows").text
    next(each for each in shown.find_elements("css selector", f"{ROWS} th a") if each.text == "Doubted").click()
    text = opened(shown).text
    assert "not counted: what the router takes images for" in text and "clean images taken for clean 96.60 %" in text
    assert "clean_called_clean" not in text and "Does the gradient predict what happens?" in text


def test_a_report_draws_what_it_says(shown: Any, page: Path, tmp_path: Path) -> None:
    """Charts, pictures and the comparison, with nothing fetched and an empty console."""
    rows = [page.parent / "standard-v1" / "digits" / "Linf-1_10" / f"{name}.json" for name in ("first", "second")]
    (tmp_path / "report.html").write_text(report(rows[0], rows[1:]))
    shown.get((tmp_path / "report.html").as_uri())
    wait(shown, lambda: len(shown.find_elements("css selector", ".report .chart svg")) == 5)
    assert len(shown.find_elements("css selector", ".report .gallery figure canvas")) == 2
    text = shown.find_element("css selector", "main").text
    assert "First withstands, Second does not" in text and "60 in First alone" in text
    assert "@misc{bench-first-standard-v1-digits-linf-1-10,\n  title = {" in text
    assert shown.execute_script("return performance.getEntriesByType('resource').length") == 0


@pytest.mark.parametrize("other", ["Linf-1_4/first", "data", "seed"])
def test_verdicts_on_other_questions_are_not_compared(shown: Any, page: Path, tmp_path: Path, other: str) -> None:
    """Examples of one number in two rows may be other images, or have met other attacks: as `bench compare` has it."""
    folder = page.parent / "standard-v1" / "digits" / "Linf-1_10"
    against = folder.parent / f"{other}.json"
    if other in ("data", "seed"):
        row = read(folder / "second.json")
        digests = dataclasses.replace(row.digests, dataset="9" * 64) if other == "data" else row.digests
        result = dataclasses.replace(row.result, seed=int(other == "seed"))
        against = write(dataclasses.replace(row, digests=digests, result=result), tmp_path / "board").path
    (tmp_path / "report.html").write_text(report(folder / "first.json", [against]))
    shown.get((tmp_path / "report.html").as_uri())
    wait(shown, lambda: "cannot be told here" in shown.find_element("css selector", "main").text)
    text = shown.find_element("css selector", "main").text
    named = {"data": "version of the data", "seed": "seed"}.get(other, "threat model")
    assert f"the rows are not of the same {named}." in text and "McNemar" not in text


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
    crosses = shown.find_elements("css selector", ".question.shown .chart g[data-mark=dot] path")
    assert len(crosses) == 21
    shown.find_element("id", "filter").send_keys("Wu2020")
    wait(shown, lambda: len(shown.find_elements("css selector", ".question.shown .chart g[data-mark=dot] path")) == 2)
    shown.find_element("id", "filter").clear()
    shown.execute_script("document.getElementById('filter').dispatchEvent(new Event('input'))")
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
        wait(shown, lambda: _chart_width(shown) <= 390)  # drawn anew, it moves the table that the click aims at
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


def _chart_width(shown: Any) -> float:
    """The width that the chart above the table was drawn for."""
    return float(shown.find_element("css selector", f"#{TABLE} .chart svg").get_attribute("width"))


def _luminance(colour: str) -> float:
    """The relative luminance of `rgb(...)` (WCAG 2.2)."""
    channels = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(first: str, second: str) -> float:
    low, high = sorted((_luminance(first), _luminance(second)))
    return (high + 0.05) / (low + 0.05)
