"""Names to specs: registering, finding, listing, and what is said when there is nothing to find."""

from __future__ import annotations

import json

import pytest

import zoo as package
from zoo.errors import DuplicateModelError, ModelError, UnknownNameError
from zoo.registry import get, list_models, register
from zoo.spec import Recipe

pytestmark = pytest.mark.usefixtures("registry_undone")


def _builder(name: str, module: str = "__main__"):
    def builder(*, input_shape=(28, 28, 1), num_classes=10):
        """Something small."""

    builder.__name__ = builder.__qualname__ = name
    builder.__module__ = module
    return builder


def test_built_ins_are_found_by_scanning():
    """The four models of the package are listed without anybody having imported them."""
    assert set(list_models()) >= {"mlp", "lenet5", "simple_cnn", "alexnet_small"}


def test_registered_function_is_found_under_its_own_name():
    """The decorator needs no name: the function has one, and its docstring is the description."""
    register(params=7)(_builder("my_net"))
    assert get("my_net").params == 7
    assert get("my_net").trainable_params == 7
    assert get("my_net").description == "Something small."


def test_names_are_listed_in_natural_order():
    """deep9 comes before deep11."""
    for name in ("deep11", "deep9", "deep100"):
        register()(_builder(name))
    assert list_models("deep*") == ["deep9", "deep11", "deep100"]


def test_listing_takes_wildcards_exclusions_and_tasks():
    """A pattern admits, exclusions remove, and a task filters."""
    register(task="detection")(_builder("spotter"))
    assert list_models("[al]*net*", exclude="alex*") == ["lenet5"]
    assert "lenet5" not in list_models(exclude=["le*", "mlp"])
    assert list_models("s*", task="detection") == ["spotter", "ssd", "ssd300"]


def test_second_builder_of_a_name_is_refused():
    """Strict duplicates: the message names who has the name."""
    with pytest.raises(DuplicateModelError, match=r"'lenet5' is already registered by zoo\.models\.lenet:lenet5"):
        register()(_builder("lenet5"))


def test_running_a_notebook_cell_again_replaces_its_model():
    """The same function defined anew is not a duplicate."""
    register(params=1)(_builder("cell"))
    register(params=2)(_builder("cell"))
    assert get("cell").params == 2


def test_builder_without_the_two_arguments_is_refused_by_name():
    """The error names what is missing and shows the line to write."""

    def bare(input_shape=(28, 28, 1)):
        pass

    with pytest.raises(ModelError, match="'bare' lacks the keyword argument num_classes with a default"):
        register()(bare)


def test_unknown_task_is_refused():
    """The tasks are three."""
    with pytest.raises(ModelError, match="received 'clasification'. Did you mean 'classification'"):
        register(task="clasification")(_builder("my_net"))


@pytest.mark.parametrize(
    ("asked", "meant"),
    [("lenet", "lenet5"), ("LeNet-5", "lenet5"), ("lenet_5", "lenet5"), ("SimpleCNN", "simple_cnn")],
)
def test_unknown_name_suggests_what_was_meant(asked, meant):
    """First the same letters written otherwise, then the closest name."""
    with pytest.raises(UnknownNameError, match=f"no model '{asked}'. Did you mean '{meant}'"):
        get(asked)


def test_name_like_nothing_gets_no_suggestion():
    """A suggestion that is far off is worse than none."""
    with pytest.raises(UnknownNameError, match="no model 'qqqq'. 'zoo list' shows all"):
        get("qqqq")


def test_spec_is_plain_json():
    """A spec can be written down and read by any program."""
    facts = json.loads(json.dumps(get("lenet5").to_dict()))
    assert facts["paper"]["year"] == 1998
    assert facts["builder"] == "zoo.models.lenet:lenet5"
    assert Recipe.from_dict(facts["recipes"]["default"]) == get("lenet5").recipe()


def test_unknown_recipe_lists_the_known_ones():
    """The recipes of a model are few: say them."""
    with pytest.raises(UnknownNameError, match="lenet5 has no recipe 'defualt'. Did you mean 'default'"):
        get("lenet5").recipe("defualt")


def test_public_names_are_all_there():
    """Everything that ``dir(zoo)`` promises can be had."""
    assert all(getattr(package, name) is not None for name in package.__all__)
    with pytest.raises(AttributeError, match="no attribute 'lenet'"):
        package.lenet  # noqa: B018
