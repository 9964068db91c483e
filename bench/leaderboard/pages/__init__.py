"""Everything that is made of rows for readers: markdown, HTML, CSV, the changelog."""

from bench.leaderboard.pages.data_frame import csv_of, frame_of, rows
from bench.leaderboard.pages.publication import MODEL_INDEX, Publication, outdated, publish
from bench.leaderboard.pages.report_page import report
from bench.leaderboard.pages.wording import PROTOCOLS

__all__ = ["MODEL_INDEX", "PROTOCOLS", "Publication", "csv_of", "frame_of", "outdated", "publish", "report", "rows"]
