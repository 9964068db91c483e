"""`index.html`: the whole board as one page that needs no network."""

from bench.leaderboard.pages.html.render import html_page

__all__ = ["html_page"]
