"""The conformance kit: zoo's own models keep every promise, and each check catches a model that breaks its own."""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import random
import re
import warnings

import numpy as np
import pytest
from built_in_models import LARGE, LARGE_SCENES, SCENES, SMALL

from zoo import registry, testing
from zoo.errors import ModelError, ZooError
from zoo.lazy import keras
from zoo.spec import ModelSpec, Origin, Recipe, spec_of
from zoo.testing import CHECKS, ConformanceError, ModelConformance, backends, check_model, temporary_registry

pytest_plugins = "pytester"

needs_other_backend = pytest.mark.skipif(
    not any(importlib.util.find_spec(name) for name in backends.BACKENDS), reason="neither jax nor torch is installed"
)


class TestBuiltIns(ModelConformance):
    """What plugin authors write, for zoo's own models."""

    models = SMALL


class TestScenes(ModelConformance):
    """The same for the cheapest of those for scenes."""

    models = ("fcn",)


@pytest.mark.slow
class TestMoreScenes(ModelConformance):
    """The same for the others of them."""

    models = tuple(name for name in SCENES if name not in TestScenes.models)


@pytest.mark.slow
class TestLargeBuiltIns(ModelConformance):
    """The same for those that take photographs."""

    models = LARGE


@pytest.mark.slow
class TestLargeScenes(ModelConformance):
    """The same for detectors of photographs, which scenes of digits as large would keep busy for hours."""

    models = LARGE_SCENES
    test_learns_digits = None


# Small models that each break one promise. `tiny` is the one that breaks none.


def tiny(*, input_shape=(8, 8, 1), num_classes=10):
    """One dense layer: 650 parameters, 640 multiply-accumulates."""
    return keras.Sequential(
        [
            keras.layers.Input(input_shape),
            keras.layers.Flatten(),
            keras.layers.Dense(num_classes, dtype="float32"),
        ]
    )


def ends_in(head, input_shape, num_classes, **options):
    """The same with another last layer, or layers before it."""
    layers = [keras.layers.Input(input_shape), keras.layers.Flatten(), *head]
    return keras.Sequential([*layers, keras.layers.Dense(num_classes, **{"dtype": "float32", **options})])


def raises(*, input_shape=(8, 8, 1), num_classes=10):
    raise KeyError("kernel")


def returns_nothing(*, input_shape=(8, 8, 1), num_classes=10):
    tiny(input_shape=input_shape, num_classes=num_classes)


def has_no_input(*, input_shape=(8, 8, 1), num_classes=10):
    return keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(num_classes)])


def exits(*, input_shape=(8, 8, 1), num_classes=10):
    raise SystemExit(3)


def ignores_arguments(*, input_shape=(8, 8, 1), num_classes=10):
    return tiny()


def takes_one_size(*, input_shape=(8, 8, 1), num_classes=10):
    if input_shape != (8, 8, 1):
        raise ValueError("only 8x8 here")
    return tiny(num_classes=num_classes)


def takes_multiples_of_eight(*, input_shape=(8, 8, 1), num_classes=10):
    if any(side % 8 for side in input_shape[:2]):
        raise ModelError(f"patches are 8x8: received {input_shape}. Use multiples of eight.")
    return tiny(input_shape=input_shape, num_classes=num_classes)


def ends_in_softmax(*, input_shape=(8, 8, 1), num_classes=10):
    return ends_in([], input_shape, num_classes, activation="softmax")


def ends_in_relu(*, input_shape=(8, 8, 1), num_classes=10):
    return ends_in([], input_shape, num_classes, activation="relu")


def keeps_the_map(*, input_shape=(8, 8, 1), num_classes=10):
    return keras.Sequential([keras.layers.Input(input_shape), keras.layers.Conv2D(num_classes, 1, dtype="float32")])


def ends_in_half(*, input_shape=(8, 8, 1), num_classes=10):
    return ends_in([], input_shape, num_classes, dtype=None)


def draws_from_numpy(*, input_shape=(8, 8, 1), num_classes=10):
    noise = np.random.default_rng().random()
    return ends_in([], input_shape, num_classes, bias_initializer=keras.initializers.Constant(noise))


def has_a_lambda(*, input_shape=(8, 8, 1), num_classes=10):
    return ends_in([keras.layers.Lambda(lambda x: x * 2)], input_shape, num_classes)


def forgets_its_factor(*, input_shape=(8, 8, 1), num_classes=10):
    @keras.saving.register_keras_serializable(package="test_conformance")
    class Factor(keras.layers.Layer):
        factor = 1.0

        def call(self, x):
            return x * self.factor

    layer = Factor()
    layer.factor = 3.0
    return ends_in([layer], input_shape, num_classes)


def uses_tensorflow(*, input_shape=(8, 8, 1), num_classes=10):
    import tensorflow

    assert tensorflow
    return tiny(input_shape=input_shape, num_classes=num_classes)


def depends_on_the_backend(*, input_shape=(8, 8, 1), num_classes=10):
    factor = 1.0 if keras.config.backend() == "tensorflow" else 2.0
    return ends_in([keras.layers.Rescaling(factor)], input_shape, num_classes)


def is_frozen(*, input_shape=(8, 8, 1), num_classes=10):
    model = tiny(input_shape=input_shape, num_classes=num_classes)
    model.trainable = False
    return model


def stops_gradients(*, input_shape=(8, 8, 1), num_classes=10):
    inner = tiny(input_shape=input_shape, num_classes=num_classes)
    image = keras.Input(input_shape)
    return keras.Model(image, keras.ops.stop_gradient(inner(image)))


def sees_nothing(*, input_shape=(8, 8, 1), num_classes=10):
    return ends_in([keras.layers.Rescaling(0.0)], input_shape, num_classes)


def is_not_finite(*, input_shape=(8, 8, 1), num_classes=10):
    inner = tiny(input_shape=input_shape, num_classes=num_classes)
    image = keras.Input(input_shape)
    return keras.Model(image, keras.ops.log(-keras.ops.abs(inner(image))))


def drops_nearly_all(*, input_shape=(8, 8, 1), num_classes=10):
    return ends_in([keras.layers.Dropout(0.99)], input_shape, num_classes)


def sets_the_policy(*, input_shape=(8, 8, 1), num_classes=10):
    keras.config.set_dtype_policy("mixed_bfloat16")
    return tiny(input_shape=input_shape, num_classes=num_classes)


def sets_a_seed(*, input_shape=(8, 8, 1), num_classes=10):
    keras.utils.set_random_seed(0)
    return tiny(input_shape=input_shape, num_classes=num_classes)


def sets_the_environment(*, input_shape=(8, 8, 1), num_classes=10):
    os.environ["TF_FAST"] = "secret"
    warnings.simplefilter("ignore")
    return tiny(input_shape=input_shape, num_classes=num_classes)


def spec_for(builder, **facts):
    return dataclasses.replace(spec_of(builder), **facts)


@pytest.mark.parametrize(
    ("check", "model", "words"),
    [
        ("builds", raises, r"make raises\(\) build: it raised KeyError: 'kernel'"),
        ("builds", exits, r"make exits\(\) build: it raised SystemExit: 3"),
        ("builds", returns_nothing, r"return a keras.Model from returns_nothing\(\): it returned None"),
        ("builds", has_no_input, r"begin has_no_input with keras.Input\(input_shape\)"),
        (
            "builds",
            ignores_arguments,
            r"use input_shape: .* takes \(None, 8, 8, 1\), where \(None, 12, 16, 3\) is meant",
        ),
        (
            "builds",
            ignores_arguments,
            r"use num_classes: .* logits of shape \(None, 7\), but its output is float32 of shape \(None, 10\)",
        ),
        (
            "builds",
            takes_one_size,
            r"make takes_one_size\(input_shape=\(12, 16, 3\), num_classes=7\) build: it raised ValueError: only 8x8",
        ),
        ("builds", spec_for(tiny, min_size=(9, 9)), r"declare a min_size that .* \(9, 9\) is more than \(8, 8, 1\)"),
        (
            "counts",
            spec_for(tiny, params=651),
            "declare params=650: the built model has 650 parameters, the spec says 651",
        ),
        ("counts", spec_for(tiny, macs=7), "declare macs=640: the built model has 640 multiply-accumulates, .* says 7"),
        ("counts", tiny, r"declare params=650, macs=640 in @zoo.register\(...\)"),
        (
            "counts",
            spec_for(is_frozen, params=650, macs=640, trainable_params=650),
            "declare trainable_params=0: the built model has 0 trainable parameters, the spec says 650",
        ),
        ("output", ends_in_softmax, "end ends_in_softmax in logits: .* remove the final softmax"),
        ("output", ends_in_relu, "end ends_in_relu in logits: remove activation='relu' from the last layer"),
        (
            "output",
            keeps_the_map,
            r"keeps_the_map must end in float32 logits of shape \(None, 10\), .* of shape \(None, 8, 8, 10\)",
        ),
        (
            "entry_point_name",
            spec_for(tiny, name="huge", origin=Origin("zoo-huge", "1.0", "test_conformance:tiny")),
            'name the entry point as its builder, tiny = "test_conformance:tiny" in pyproject.toml: there it is huge',
        ),
        ("precision", ends_in_half, 'dtype="float32": under mixed_bfloat16 the output is bfloat16'),
        ("precision", ends_in_half, 'dtype="float32": under mixed_float16 the output is float16'),
        ("same_seed", draws_from_numpy, "draw .*/bias by Keras' own initializers: built twice"),
        ("saves", has_a_lambda, "no Lambda: saved, has_a_lambda does not load: ValueError"),
        (
            "saves",
            forgets_its_factor,
            "get_config of forgets_its_factor's custom layers .* the outputs differ by up to",
        ),
        ("overfits_one_batch", is_frozen, "give is_frozen weights to train: all of its 2 weights are frozen"),
        (
            "overfits_one_batch",
            stops_gradients,
            "make stops_gradients train: .* No gradients .* Look for stop",
        ),
        ("overfits_one_batch", sees_nothing, "let sees_nothing learn: on one batch, repeated 60 times, the loss went"),
        ("overfits_one_batch", is_not_finite, "keep the loss finite: on one batch it is nan at step 1"),
        (
            "leaves_global_state",
            sets_the_policy,
            "leave keras.config.dtype_policy alone: .* leaves it as 'mixed_bfloat16' where it was 'float32'",
        ),
        ("leaves_global_state", sets_a_seed, "set no seed inside the builder: .* `random` is in the same state"),
        ("leaves_global_state", sets_a_seed, "set no seed inside the builder: .* `numpy.random` is in the same state"),
        ("leaves_global_state", sets_the_environment, r"leave os.environ\['TF_FAST'\] alone: .* sets it "),
        ("leaves_global_state", sets_the_environment, "leave warnings.filters alone: building sets_the_environment"),
        (
            "learns_digits",
            spec_for(tiny, recipes={"default": Recipe(learning_rate=0.0)}),
            r"give tiny a default recipe that learns: .* where 0.90 is the floor. .* learning_rate first \(now 0\)",
        ),
    ],
)
def test_a_broken_promise_is_caught(check, model, words):
    """One check alone raises, and its text is an instruction about this very model."""
    with pytest.raises(ConformanceError) as raised:
        getattr(testing, f"check_{check}")(model)
    instructions = [line for line in str(raised.value).splitlines() if line.endswith(f" [{check}]")]
    assert any(re.search(words, line) for line in instructions), raised.value


@pytest.mark.parametrize(
    ("check", "model"),
    [
        ("builds", takes_multiples_of_eight),
        ("builds", "test_conformance:tiny"),
        ("counts", spec_for(tiny, params=650, macs=640, trainable_params=650)),
        ("entry_point_name", spec_for(tiny, origin=Origin("zoo-tiny", "1.0", "test_conformance:tiny"))),
        ("overfits_one_batch", drops_nearly_all),
        ("leaves_global_state", tiny),
        ("learns_digits", spec_for(tiny, min_size=(40, 40))),
    ],
)
def test_a_kept_promise_passes(check, model):
    """What only looks wrong passes: a grid that sizes must fit, dropout, images larger than digits."""
    assert getattr(testing, f"check_{check}")(model).status == "passed"


def test_every_check_catches_something():
    """A check without a wrong model that it catches would prove nothing."""
    (cases,) = (mark for mark in test_a_broken_promise_is_caught.pytestmark if mark.name == "parametrize")
    assert {case[0] for case in cases.args[1]} | {"runs_without_tensorflow"} == set(CHECKS)


def test_all_failures_come_in_one_error():
    """`check_model` goes on after a failure, and says what nearly every check says only once."""
    with pytest.raises(ConformanceError) as raised:
        check_model(ends_in_half)
    text = str(raised.value)
    assert text.startswith("ends_in_half does not conform. To change:\n- ")
    assert "[counts]" in text
    assert "[precision]" in text
    assert isinstance(raised.value, ZooError)
    assert isinstance(raised.value, AssertionError)

    with pytest.raises(ConformanceError) as raised:
        check_model(raises)
    assert str(raised.value).count("make raises() build:") == 1


def test_results_name_what_was_skipped_and_why():
    """A model without a fault gives one result per check, in their order."""
    results = check_model(spec_for(tiny, params=650, macs=640, trainable_params=650))
    assert [result.check for result in results] == list(CHECKS)
    assert "learns_digits: skipped (slow: ask for it with slow=True)" in [str(result) for result in results]
    assert "entry_point_name: skipped (tiny is not from an entry point)" in [str(result) for result in results]


def test_other_tasks_are_held_to_what_they_demand():
    """A detector need not end in one row of logits, but in what its detector reads."""
    with pytest.raises(ConformanceError, match="keeps_the_map names no detector"):
        testing.check_output(spec_for(keeps_the_map, task="detection"))


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("lenet", "There is no model 'lenet'. Did you mean 'lenet5'"),
        ("test_conformance:huge", "'test_conformance:huge' cannot be imported: .* has no attribute 'huge'"),
        ("test_conformance:np", "'test_conformance:np' is a module, not a builder"),
        (lambda input_shape=(8, 8, 1): None, "lacks the keyword argument num_classes"),
        (7, "Pass a model's name, 'module:builder', a builder or a ModelSpec; received 7"),
    ],
)
def test_what_is_no_model_is_said_so(model, words):
    """A wrong name or signature is one line, before any check."""
    with pytest.raises(ConformanceError, match=words):
        check_model(model)


def test_checks_put_back_what_models_change():
    """A badly behaved model does not spoil the process that checks it."""
    keras.config.set_dtype_policy("float32")
    filters, state = list(warnings.filters), random.getstate()
    for builder in (sets_the_policy, sets_the_environment, sets_a_seed):
        with pytest.raises(ConformanceError):
            testing.check_leaves_global_state(builder)
        testing.check_same_seed(builder)
    assert keras.config.dtype_policy().name == "float32"
    assert "TF_FAST" not in os.environ
    assert (list(warnings.filters), random.getstate()) == (filters, state)


def test_a_plugins_guard_hides_nothing_from_its_author():
    """Users are protected by a guard that puts settings back; the kit looks behind it."""
    spec = spec_for(sets_the_policy, guard=lambda build: pytest.fail("the guard was used"))
    with pytest.raises(ConformanceError, match="leave keras.config.dtype_policy alone"):
        testing.check_leaves_global_state(spec)


def test_the_backend_check_says_why_it_is_skipped(monkeypatch):
    """No other framework, or a builder that another process cannot import."""
    monkeypatch.setattr(backends, "BACKENDS", ("no_such_framework",))
    assert "neither jax nor torch is installed" in testing.check_runs_without_tensorflow(tiny).reason

    def local(*, input_shape=(8, 8, 1), num_classes=10):
        return tiny(input_shape=input_shape, num_classes=num_classes)

    assert "local was defined where another process cannot import it" in (
        testing.check_runs_without_tensorflow(local).reason
    )


def test_tensorflow_inside_a_builder_is_caught(monkeypatch):
    """TensorFlow is blocked before the builder runs, so the process finds this whatever is installed."""
    monkeypatch.setattr(backends, "BACKENDS", ("tensorflow",))
    with pytest.raises(ConformanceError, match="use keras.layers .* uses_tensorflow imports tensorflow"):
        testing.check_runs_without_tensorflow(uses_tensorflow)


@needs_other_backend
def test_another_backend_computes_the_same():
    """Under JAX or PyTorch: what runs passes, what computes something else does not."""
    assert testing.check_runs_without_tensorflow(tiny).status == "passed"
    with pytest.raises(ConformanceError, match="depends_on_the_backend's outputs differ by up to"):
        testing.check_runs_without_tensorflow(depends_on_the_backend)


PLUGIN_TEST = """
    from zoo.testing import ModelConformance

    def my_net(*, input_shape=(8, 8, 1), num_classes=10):
        import keras
        layers = keras.layers
        return keras.Sequential([layers.Input(input_shape), layers.Flatten(), layers.Dense(num_classes)])

    class TestMyNet(ModelConformance):
        model = my_net
"""


def test_the_class_needs_no_configuration(pytester):
    """Five lines give a test per check under strict markers, the slow one marked, with readable names."""
    pytester.makepyfile(test_my_net=PLUGIN_TEST)
    strict = ("--strict-markers", "-Werror", "-pno:cacheprovider")
    listed = pytester.runpytest_subprocess(*strict, "--collect-only", "-q").stdout.str()
    assert [f"test_my_net.py::TestMyNet::test_{name}[my_net]" for name in CHECKS] == listed.split("\n\n")[0].split()
    quick = pytester.runpytest_subprocess(*strict, "--collect-only", "-q", "-m", "not slow").stdout.str()
    assert "test_learns_digits" not in quick
    assert "test_builds[my_net]" in quick


def test_the_class_reports_instructions(pytester):
    """A failure is its instruction, without the kit's frames; a skipped check says why."""
    pytester.makepyfile(test_my_net=PLUGIN_TEST)
    chosen = "counts or entry_point or precision or builds or saves"
    result = pytester.runpytest_subprocess("-rs", "-Werror", "-k", chosen)
    result.assert_outcomes(passed=2, failed=2, skipped=1)
    result.stdout.fnmatch_lines(
        ["declare params=650, macs=640 in @zoo.register(...)*", "*my_net is not from an entry*"]
    )
    result.stdout.no_fnmatch_line("*suite.py:* in test*")


def test_the_class_asks_for_a_model(pytester):
    """Forgetting the one line that matters is an error that shows it."""
    pytester.makepyfile("from zoo.testing import ModelConformance\nclass TestNothing(ModelConformance): pass")
    result = pytester.runpytest_subprocess("--collect-only")
    result.stdout.fnmatch_lines(['*TestNothing has no model to check. Set model = "my_net" in the class.*'])


def test_registrations_can_be_temporary():
    """What is registered inside is gone outside."""
    with temporary_registry():
        registry.register()(tiny)
        assert "tiny" in registry.list_models()
        assert isinstance(registry.get("tiny"), ModelSpec)
    assert "tiny" not in registry.list_models()


def test_the_kit_is_light_to_import(python):
    """Collecting tests loads neither Keras nor TensorFlow, and zoo does not need pytest."""
    script = "import sys, zoo.testing; print({'keras', 'tensorflow', 'pytest'} & set(sys.modules))"
    assert python("-c", script).stdout.strip() == "set()"
