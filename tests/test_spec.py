"""Recipes: typed values, checked when made, overridden without surprises."""

from __future__ import annotations

import json

import pytest

from zoo.commands.settings import parse_settings
from zoo.errors import RecipeError, UnknownNameError
from zoo.spec import Recipe


def test_recipe_survives_json():
    """What is written beside a run can be trained again."""
    recipe = Recipe(epochs=3, optimizer_options={"beta_1": 0.8}, xla=True)
    assert Recipe.from_dict(json.loads(json.dumps(recipe.to_dict()))) == recipe


def test_override_leaves_what_is_none():
    """A command line passes every option; those not given change nothing."""
    assert Recipe(epochs=3).override(epochs=None, batch_size=8) == Recipe(epochs=3, batch_size=8)


def test_override_merges_options():
    """One option of a model can be set without repeating the others."""
    recipe = Recipe(model_options={"dropout": 0.1}).override(**{"model_options.filters": [8, 16]})
    assert recipe.model_options == {"dropout": 0.1, "filters": [8, 16]}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"epochs": 0}, "epochs must be at least 1, received 0"),
        ({"epochs": 2.5}, "epochs must be int, received 2.5"),
        ({"epochs": True}, "epochs must be int, received True"),
        ({"batch_size": "many"}, "batch_size must be int, received 'many'"),
        ({"learning_rate": float("nan")}, "learning_rate must be at least 0, received nan"),
        ({"validation_split": 1.0}, "validation_split must be from 0 to below 1, received 1.0"),
        ({"precision": "float16"}, "precision must be one of float32, mixed_bfloat16, mixed_float16"),
        ({"schedule": "onecycle"}, "received 'onecycle'. Did you mean 'one_cycle'"),
        ({"xla": "yes"}, "xla must be bool or nothing, received 'yes'"),
    ],
)
def test_value_out_of_bounds_is_refused(changes, words):
    """The message carries the field, the rule and the value."""
    with pytest.raises(RecipeError, match=words.replace(".", r"\.")):
        Recipe().override(**changes)


def test_unknown_field_is_refused_with_a_suggestion():
    """A wrong key never passes in silence."""
    with pytest.raises(UnknownNameError, match="'epoch' is not a field of a recipe. Did you mean 'epochs'"):
        Recipe().override(epoch=3)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("0.5", 0.5),
        ("1e-3", 1e-3),
        ("true", True),
        ("none", None),
        ("[512, 256]", [512, 256]),
        ("adam", "adam"),
    ],
)
def test_settings_are_read_as_what_they_look_like(text, value):
    """Numbers, words and lists come out typed."""
    assert parse_settings([f"key={text}"]) == {"key": value}


def test_setting_without_a_value_is_refused():
    """The error shows how to write it."""
    with pytest.raises(RecipeError, match="--set takes KEY=VALUE, received 'epochs'"):
        parse_settings(["epochs"])
