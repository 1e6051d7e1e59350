"""Reproduce published recipes: compare the claim, zoo's reference value and this run.

    reproduce(find("mlp"), seeds=3)

Importing this package imports no TensorFlow; `reproduce` does when it trains.
"""

from __future__ import annotations

from zoo.reproduction.recipes import PublishedRecipe, find, published_recipes
from zoo.reproduction.record import EXPECTATION_SEED, reproduce
from zoo.reproduction.verdicts import compare, measure

__all__ = [
    "EXPECTATION_SEED",
    "PublishedRecipe",
    "compare",
    "find",
    "measure",
    "published_recipes",
    "reproduce",
]
