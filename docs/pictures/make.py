"""The pictures of the README and the start page, from real output.

python docs/pictures/make.py run       `bench run`, as a terminal shows it: run.svg
python docs/pictures/make.py board     the top of the board in Chromium, with the whole chart: board.png
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

FOLDER = Path(__file__).resolve().parent
BOARD = FOLDER.parent.parent / "leaderboard" / "index.html"
WORDS = ["run", "--model", "pgd-at", "--dataset", "digits", "--suite", "quick-v1", "--samples", "64"]
COLUMNS = 88
FETCHED = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)  # rich's template asks a server for a font


def run() -> None:
    """Write run.svg: the command above, in an empty folder."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, "-m", "bench", *WORDS, "--quiet", "--journal", "journal"],
            cwd=folder,
            capture_output=True,
            text=True,
            check=True,
        )
    with Path("/dev/null").open("w") as nowhere:
        console = Console(record=True, width=COLUMNS, file=nowhere, force_terminal=True)
        console.print(Text(f"$ bench {' '.join(WORDS)}\n", style="bold"))
        shown = Text(f"{done.stdout.rstrip()}\n")
        shown.highlight_regex(r"Robust accuracy.*", "bold green")
        console.print(shown)
    picture = FETCHED.sub("", console.export_svg(title="bench", unique_id="bench"))
    (FOLDER / "run.svg").write_text(picture.replace("Fira Code, monospace", "Fira Code, Consolas, Menlo, monospace"))


def board() -> None:
    """Write board.png."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    for word in ("--headless=new", "--no-sandbox", "--hide-scrollbars", "--window-size=1200,1115"):
        options.add_argument(word)
    with webdriver.Chrome(options=options) as browser:
        browser.get(BOARD.as_uri())
        browser.save_screenshot(str(FOLDER / "board.png"))


if __name__ == "__main__":
    for name in sys.argv[1:]:
        {"run": run, "board": board}[name]()
