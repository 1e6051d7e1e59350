"""Recipes: typed values, checked when made, overridden without surprises."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import json
import pickle
from pathlib import Path

import pytest

from zoo.commands.settings import parse_settings
from zoo.errors import RecipeError, UnknownNameError
from zoo.spec import Recipe
from zoo.spec.recipe import SECTIONS, SETTINGS, SHORT, full_names
from zoo.spec.sections import Optimizer, Schedule

FLAT_RUN = Path(__file__).parents[1] / "fixtures" / "run-flat-recipe.json"
"""A run's record as it was written before the settings of a recipe had sections."""


def test_recipe_survives_json():
    """What is written beside a run can be trained again."""
    recipe = Recipe(epochs=3, optimizer_options={"beta_1": 0.8}, xla=True)
    assert Recipe.from_dict(json.loads(json.dumps(recipe.to_dict()))) == recipe


SGD = Recipe(
    note="By short names.", optimizer="sgd", optimizer_options={"momentum": 0.9}, learning_rate=0.1, epochs=3,
    schedule="cosine", loss="squared_error", validation_split=0.1, shares=2, scaling="standard", shift=1,
    model_options={"dropout": 0.5},
)  # fmt: skip


def test_a_recipe_is_given_by_short_names_by_sections_or_by_both():
    """Mappings, values of the sections, and the names that model files have always used mean the same recipe."""
    sections = {
        "optimizer": {"name": "sgd", "options": {"momentum": 0.9}, "learning_rate": 0.1},
        "schedule": Schedule(name="cosine", epochs=3),
        "loss": {"name": "squared_error"},
        "validation": {"split": 0.1},
        "execution": {"micro_batches": 2},
        "data": {"scaling": "standard"},
        "augmentation": {"shift": 1},
        "model": {"options": {"dropout": 0.5}},
    }
    assert Recipe(note="By short names.", **sections) == SGD
    assert SGD.optimizer == Optimizer(name="sgd", options={"momentum": 0.9}, learning_rate=0.1)
    single = {"optimizer.name": "sgd", "optimizer.options": {"momentum": 0.9}, "learning_rate": 0.1}
    assert Recipe(note="By short names.", **{**sections, "optimizer": {"learning_rate": 9.0}}, **single) == SGD


def test_settings_are_read_in_their_sections_and_by_short_names():
    """All but those whose short names are sections: an optimizer, a schedule and a loss have settings themselves."""
    assert set(SECTIONS) & set(SHORT) == {"optimizer", "schedule", "loss"}
    values = SGD.settings()
    assert list(values) == list(SETTINGS)
    for short, name in SHORT.items():
        if short not in SECTIONS:
            assert getattr(SGD, short) == values[name]
    assert (SGD.optimizer.name, SGD.schedule.name, SGD.loss.name) == ("sgd", "cosine", "squared_error")
    assert (SGD.shares, SGD.micro_batches, SGD.execution.micro_batches) == (2, 2, 2)
    assert not hasattr(SGD, "momentum")


def test_every_form_of_a_name_overrides():
    """Short, full, a section's mapping; options are merged, and the value of a section takes its place whole."""
    assert SGD.override(learning_rate=0.2) == SGD.override(**{"optimizer.learning_rate": 0.2})
    assert SGD.override(learning_rate=0.2) == SGD.override(optimizer={"learning_rate": 0.2})
    assert SGD.override(optimizer="adam").optimizer == dataclasses.replace(SGD.optimizer, name="adam")
    nesterov = {"momentum": 0.9, "nesterov": True}
    for change in (
        {"optimizer_options": {"nesterov": True}},
        {"optimizer_options.nesterov": True},
        {"optimizer.options.nesterov": True},
        {"optimizer.options": {"nesterov": True}},
        {"optimizer": {"options": {"nesterov": True}}},
    ):
        assert SGD.override(**change) == SGD.override(optimizer=dataclasses.replace(SGD.optimizer, options=nesterov))
    assert SGD.override(optimizer=Optimizer(name="sgd")).optimizer.options == {}
    assert dataclasses.replace(SGD, epochs=7) == SGD.override(epochs=7)


def test_help_knows_what_a_recipe_takes():
    """Notebooks complete the names of settings and sections from the signature."""
    parameters = inspect.signature(Recipe).parameters
    assert set(parameters) == {*SHORT, *SECTIONS}
    assert (parameters["epochs"].default, parameters["optimizer"].default) == (10, "adam")
    assert parameters["data"].default == Recipe().data


def test_a_recipe_is_a_value():
    """It cannot be changed, and copies of it are equal."""
    assert copy.deepcopy(SGD) == SGD == pickle.loads(pickle.dumps(SGD))
    for holder, name in ((SGD, "optimizer"), (SGD, "epochs"), (SGD.optimizer, "name")):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(holder, name, 3)


def test_records_from_before_there_were_sections_are_read():
    """Each setting that they name arrives, and what is written now has sections."""
    flat = json.loads(FLAT_RUN.read_text())["recipe_values"]
    recipe = Recipe.from_dict(flat)
    assert full_names(flat) == recipe.settings()
    assert (recipe.optimizer.options, recipe.execution.micro_batches) == ({"momentum": 0.9}, 1)
    assert recipe.model.options == {"hidden_sizes": [8], "dropout": None}
    assert set(recipe.to_dict()) == {"note", "seed", *SECTIONS}
    assert Recipe.from_dict(recipe.to_dict()) == recipe


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
        ({"validation_split": 1.0}, "validation.split must be from 0 to below 1, received 1.0"),
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
    with pytest.raises(UnknownNameError, match="'epoch' is not a setting of a recipe. Did you mean 'epochs'"):
        Recipe().override(epoch=3)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"optimizer": {"nme": "sgd"}}, "'optimizer.nme' is not a setting of a recipe. Did you mean 'optimizer.name'?"),
        ({"optimiser": {"name": "sgd"}}, "'optimiser' is not a setting of a recipe. Did you mean 'optimizer'?"),
        ({"schedule": Optimizer()}, "'schedule.options' is not a setting of a recipe"),
        ({"data.batchsize": 3}, "Did you mean 'data.batch_size'? The settings are: data.dataset, data.batch_size"),
        ({"data": 3}, "data is a section of a recipe, received 3. Name a setting in it: data.dataset"),
        ({"optimizer": 3}, "optimizer.name must be str, received 3. Change optimizer.name."),
        ({"model": {"options": 3}}, "model.options must be Mapping, received 3"),
    ],
)
def test_what_is_no_setting_of_a_section_is_refused(changes, words):
    """By the constructor as by an override, with the nearest name."""
    for make in (Recipe, Recipe().override):
        with pytest.raises((UnknownNameError, RecipeError)) as error:
            make(**changes)
        assert words in str(error.value)


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


def test_none_is_a_word_where_it_is_one_of_the_choices():
    """flip=none turns flips off; anywhere else none is the absence of a value."""
    settings = ["flip=none", "augmentation.flip=none", "save_best=none", "xla=none", "model.options.dropout=none"]
    assert list(parse_settings(settings).values()) == ["none", "none", "none", None, None]


def test_setting_without_a_value_is_refused():
    """The error shows how to write it."""
    with pytest.raises(RecipeError, match="--set takes KEY=VALUE, received 'epochs'"):
        parse_settings(["epochs"])
