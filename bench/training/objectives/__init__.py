"""Training objectives, one a file, each with its equation and its source."""
