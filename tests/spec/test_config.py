"""Recipes as TOML files: what is printed is read back, what is wrong is one line, and options override the file."""

from __future__ import annotations

import json
import random
import tomllib
from pathlib import Path

import pytest

from zoo import registry
from zoo.errors import RecipeError, UnknownNameError
from zoo.spec import Recipe, read_recipe, recipe_toml
from zoo.spec.recipe import SETTINGS

NASTY = (
    None, "none", "'none'", "''none''", "None", "", "it's \"quoted\"", "a\\b\nc\td\r", "\x00\x1b[2J\x7f\x85",
    "日本 ± 𝄞", True, False, 0, -3, 2**70, 0.1, 1e-7, 1e22, -0.0, [], [1, None, "none"], [[0.5], {"a b": None}], {},
    {"3": {"x.y": 1}},
)  # fmt: skip


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def _read_back(recipe: Recipe) -> Recipe:
    Path("recipe.toml").write_text(recipe_toml(recipe), encoding="utf-8")
    return read_recipe("recipe.toml")


def test_every_recipe_of_the_zoo_is_read_back_as_it_is():
    """Whatever its settings are, the note with its signs included."""
    recipes = [recipe for name in registry.built_ins() for recipe in registry.get(name).recipes.values()]
    assert len(recipes) > 20
    for recipe in recipes:
        assert _read_back(recipe) == recipe


@pytest.mark.parametrize("seed", range(40))
def test_any_recipe_is_read_back_as_it_is(seed):
    """Options with and without a value, nested, with any keys and texts; weights of classes; a choice for XLA."""
    draw = random.Random(seed)
    keys = ["width", "7", "a.b", "with space", "", "ü", 'q"uote', "none"]
    options = [{key: draw.choice(NASTY) for key in draw.sample(keys, draw.randrange(5))} for _ in range(2)]
    recipe = Recipe(
        note=draw.choice([text for text in NASTY if isinstance(text, str)]),
        model_options=options[0],
        optimizer_options=options[1],
        class_weights=draw.choice([{}, "balanced", {3: 2.0, 8: 1}]),
        xla=draw.choice([None, True, False]),
        learning_rate=10 ** draw.uniform(-9, 3),
        save_best=draw.choice(["none", "loss"]),
        flip=draw.choice(["none", "both"]),
        shuffle=draw.choice([True, False]),
        seed=draw.randrange(2**32),
    )
    assert _read_back(recipe) == recipe


def test_every_setting_is_printed_with_its_meaning():
    """One table for each section, and a line of comment above each key."""
    lines = recipe_toml(Recipe()).splitlines()
    for name, field in SETTINGS.items():
        comment = next(line for line in lines if line.startswith(f"# {field.metadata['meaning']}"))
        assert lines[lines.index(comment) + 1].startswith(f"{name.rpartition('.')[2]} = ")
        assert all(choice in comment for choice in field.metadata["choices"])
    assert [line for line in lines if line.startswith("[")][:2] == ["[data]", "[augmentation]"]


def test_a_file_may_name_few_settings_and_by_short_names():
    """The rest have their defaults; a table and a short name may stand side by side."""
    Path("few.toml").write_text(
        'epochs = 3\noptimizer = "sgd"\nmodel_options = {dropout = "none"}\n'
        '[schedule]\nname = "cosine"\n[loss.class_weights]\n3 = 2\n[augmentation]\nrotation = 10\n'
    )
    assert read_recipe("few.toml") == Recipe(
        epochs=3, optimizer="sgd", model_options={"dropout": None}, schedule="cosine", class_weights={3: 2}, rotation=10
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[optimiser]\nname = 'sgd'", "r.toml: 'optimiser' is not a setting of a recipe. Did you mean 'optimizer'?"),
        (
            "[optimizer]\nlearning_rat = 1",
            "'optimizer.learning_rat' is not a setting of a recipe. Did you mean 'optimiz",
        ),
        ("epoch = 1", "r.toml: 'epoch' is not a setting of a recipe. Did you mean 'epochs'?"),
        (
            "[schedule]\nepochs = 'many'",
            "r.toml: schedule.epochs must be int, received 'many'. Change schedule.epochs.",
        ),
        ("[data]\nshuffle = 1", "r.toml: data.shuffle must be bool, received 1."),
        ("data = 'mnist'", "r.toml: data is a section of a recipe, received 'mnist'. Name a setting in it: data.data"),
        ("[model.options]\nday = 2020-01-01", "r.toml: model.options must be plain values"),
        ("[execution]\nxla = 'auto'", "r.toml: execution.xla must be bool or nothing, received 'auto'."),
        ("epochs = 3\n[schedule]\nepochs = 4", "r.toml sets schedule.epochs twice"),
        ("[schedule]\nepochs = ", "r.toml is no TOML file: Invalid value (at end of document). Write settings as"),
        ("epochs = 3\nepochs = 4", "r.toml is no TOML file: Cannot overwrite a value"),
        ("\xff", "r.toml is no TOML file: 'utf-8' codec can't decode byte"),
    ],
)
def test_what_is_wrong_in_a_file_is_named(zoo, text, words):
    """The file and the key, what was received and what is meant, in one line, before TensorFlow loads."""
    Path("r.toml").write_text(text, encoding="latin-1")
    with pytest.raises((RecipeError, UnknownNameError)) as error:
        read_recipe("r.toml")
    assert words in str(error.value)
    assert "\n" not in str(error.value)
    result = zoo("train", "mlp", "--config", "r.toml")
    assert result.exit_code == 1
    assert result.stderr == f"Error: {error.value}\n"


@pytest.mark.parametrize(("name", "words"), [("none.toml", "No such file or directory"), (".", "Is a directory")])
def test_a_file_that_cannot_be_read_is_one_line(zoo, name, words):
    """With the command that prints one."""
    result = zoo("train", "mlp", "--config", name)
    assert result.exit_code == 1
    assert result.stderr == (
        f"Error: {name} cannot be read: {words}. Name a TOML file; 'zoo train NAME --print-config' prints one.\n"
    )


def test_what_is_printed_trains_the_same(zoo):
    """--config reads what --print-config prints; --set overrides an option, and both override the file."""
    printed = zoo("train", "mlp", "--recipe", "dropout", "--rotation", "5", "--print-config").stdout
    Path("recipe.toml").write_text(printed, encoding="utf-8")
    wanted = registry.get("mlp").recipe("dropout").override(rotation=5.0)
    assert read_recipe("recipe.toml") == wanted
    assert zoo("train", "mlp", "--config", "recipe.toml", "--print-config").stdout == printed
    words = ["--epochs", "3", "--learning-rate", "0.5", "--set", "optimizer.learning_rate=0.25", "--set", "shares=2"]
    document = json.loads(zoo("train", "mlp", "--config", "recipe.toml", *words, "--print-config", "--json").stdout)
    assert Recipe.from_dict(document) == wanted.override(epochs=3, learning_rate=0.25, shares=2)
    assert not Path("runs").exists()


def test_a_run_by_a_file_records_its_settings(zoo):
    """Under the name that a recipe of one's own has."""
    Path("recipe.toml").write_text("[data]\ndataset = 'digits'\n[model]\noptions = {hidden_sizes = [8]}\n")
    words = [
        "--epochs",
        "1",
        "--limit",
        "100",
        "--set",
        "model.options.dropout=0.5",
        "--set",
        "data={'batch_size': 50}",
    ]
    result = zoo("train", "mlp", "--config", "recipe.toml", *words, "--no-report", "--json", "--output", "run")
    assert result.exit_code == 0, result.stderr
    document = json.loads(result.stdout)
    options = {"hidden_sizes": [8], "dropout": 0.5}
    expected = Recipe(dataset="digits", epochs=1, model_options=options, batch_size=50)
    assert Recipe.from_dict(document["recipe_values"]) == expected
    assert document["recipe"] == "custom"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["mlp", "--config", "r.toml", "--recipe", "dropout"], "--recipe and --config name two recipes"),
        (["--print-config", "--resume", "run"], "Name a model"),
        (["--print-config"], "Name a model"),
    ],
)
def test_what_excludes_each_other_is_wrong_usage(zoo, words, message):
    """A file is a recipe of its own; a run that is continued has one."""
    Path("r.toml").write_text("epochs = 1")
    result = zoo("train", *words)
    assert result.exit_code == 2
    assert message in result.stderr


def test_a_file_takes_nobody_round_the_models_name(zoo):
    """A name that no model has is refused, also where its recipes are not asked for."""
    Path("r.toml").write_text("epochs = 1")
    for more in ([], ["--print-config"]):
        result = zoo("train", "lenet6", "--config", "r.toml", *more)
        assert result.exit_code == 1
        assert "Did you mean 'lenet5'?" in result.stderr


def test_printing_loads_no_tensorflow(python):
    """It is as quick as a listing."""
    code = "import sys, zoo.cli; zoo.cli.main(['train', 'lenet5', '--print-config'], standalone_mode=False); "
    result = python("-c", f"{code}print(sorted(sys.modules), file=sys.stderr)")
    assert result.returncode == 0, result.stderr
    assert tomllib.loads(result.stdout)["schedule"]["epochs"] == registry.get("lenet5").recipe().schedule.epochs
    assert not [name for name in ("tensorflow", "keras") if f"'{name}'" in result.stderr]
