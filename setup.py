"""What setup.cfg cannot say: the folders that stand beside `bench/` in a checkout, and where the project lives."""

import os
import re
from pathlib import Path

from setuptools import find_packages, setup

# A checkout keeps weights and published suites at its top, where people look for them; a wheel
# carries them inside the package, so that an installed `bench` works from any directory.
SHIPPED = {
    "bench._checkpoints": ("checkpoints", ["*/*.safetensors", "*/*.json"]),
    "bench._leaderboard": ("leaderboard", ["*/suite.json"]),
}

# Whoever publishes a package says where its sources are; the links of the README are relative to them.
REPOSITORY = os.environ.get("BENCH_REPOSITORY_URL", "").rstrip("/")


def described(text: str) -> str:
    """The README as a package index can show it: its links absolute, or words alone where nobody said whereto."""

    def link(found: re.Match[str]) -> str:
        image, words, target = found.groups()
        if not REPOSITORY:
            return "" if image else words
        return f"{image}[{words}]({REPOSITORY}/{'raw' if image else 'blob'}/HEAD/{target})"

    return re.sub(r"(!?)\[([^]]*)\]\((?!https?:|#)([^)\s]+)\)", link, text)


def urls() -> dict[str, str]:
    """Links beside the description on a package index."""
    pages = {
        "Source": "",
        "Documentation": "/tree/HEAD/docs",
        "Issues": "/issues",
        "Changes": "/blob/HEAD/CHANGELOG.md",
    }
    return {name: REPOSITORY + page for name, page in pages.items() if REPOSITORY}


setup(
    long_description=described(Path("README.md").read_text(encoding="utf-8")),
    long_description_content_type="text/markdown",
    project_urls=urls(),
    packages=[*find_packages(include=["bench", "bench.*"]), *SHIPPED],
    package_dir={package: folder for package, (folder, _) in SHIPPED.items()},
    package_data={
        "bench": ["py.typed"],
        "bench.data.datasets": ["*.txt"],
        "bench.leaderboard.pages.html": ["*.html", "*.css", "*.js", "vendor/*"],
        **{package: patterns for package, (_, patterns) in SHIPPED.items()},
    },
    exclude_package_data={"bench._checkpoints": ["*-r18/*"]},  # 20 MB each: in a checkout alone
)
