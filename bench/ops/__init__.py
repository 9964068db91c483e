"""Stateless tensor functions that attacks, evaluation and training share."""
