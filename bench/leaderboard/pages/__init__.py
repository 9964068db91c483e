"""Everything that is made of rows for readers: markdown, HTML, CSV, the changelog."""

from bench.leaderboard.pages.data_frame import csv_of, frame_of, rows
from bench.leaderboard.pages.publication import Publication, outdated, publish

__all__ = ["Publication", "csv_of", "frame_of", "outdated", "publish", "rows"]
