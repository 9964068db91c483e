"""Everything that is made of rows for readers: markdown, HTML, CSV, the changelog."""

from bench.leaderboard.pages.publication import Publication, outdated, publish

__all__ = ["Publication", "outdated", "publish"]
