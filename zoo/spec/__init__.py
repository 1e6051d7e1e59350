"""Frozen value types: model specs, recipes, published claims, runs and evaluations.

Nothing here imports TensorFlow. Every value turns into plain JSON with `to_dict` and back with `from_dict`.
"""

from zoo.spec.claims import Claim, Counted, Published
from zoo.spec.config import read_recipe, recipe_toml
from zoo.spec.model import BUILT_IN, TASKS, ModelSpec, Origin, Paper, spec_of
from zoo.spec.recipe import PRECISIONS, Recipe
from zoo.spec.run import Run, RunDocument

__all__ = [
    "BUILT_IN",
    "PRECISIONS",
    "TASKS",
    "Claim",
    "Counted",
    "ModelSpec",
    "Origin",
    "Paper",
    "Published",
    "Recipe",
    "Run",
    "RunDocument",
    "read_recipe",
    "recipe_toml",
    "spec_of",
]
