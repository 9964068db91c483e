"""Training recipes, one a file; a recipe states only what differs from `scales`."""

from __future__ import annotations

from bench.core.registry import Registry
from bench.training.recipe import Recipe

__all__ = ["RECIPES"]

RECIPES: Registry[Recipe] = Registry("recipe", "bench.training.recipes")
