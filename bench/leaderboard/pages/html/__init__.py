"""`index.html`, the whole board as one page that needs no network, and reports on single rows in the same form."""

from bench.leaderboard.pages.html.render import html_page, report_html

__all__ = ["html_page", "report_html"]
