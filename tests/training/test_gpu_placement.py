"""No operation of a step is left to the host for want of a GPU kernel: TensorFlow's registry says so without a GPU."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import tensorflow as tf
from tensorflow.core.framework import types_pb2
from tensorflow.python.framework import kernels

from zoo import registry
from zoo.benchmarking.workload import random_images
from zoo.spec import Recipe
from zoo.training.devices import place
from zoo.training.session import Session

CONTROL = {"Placeholder", "NoOp", "While", "StatelessWhile", "If", "StatelessIf", "PartitionedCall"}
CONTROL |= {"StatefulPartitionedCall"}  # these only call others
AUGMENTATIONS = {"shift": 2, "rotation": 10.0, "zoom": 0.1, "translation": 0.1, "elastic": 1.0, "flip": "horizontal"}

pytestmark = pytest.mark.skipif(not tf.test.is_built_with_cuda(), reason="this TensorFlow knows no GPU kernels")


def _nodes(graph: tf.Graph) -> Iterator:
    """Every operation of a graph, those of the functions that it calls included."""
    definition = graph.as_graph_def()
    yield from definition.node
    for function in definition.library.function:
        yield from function.node_def


def _has_gpu_kernel(node) -> bool:
    """Whether a kernel for GPUs, or for any device, admits the operation's types."""

    def admits(constraint) -> bool:
        allowed = constraint.allowed_values.list.type
        value = node.attr[constraint.name]
        return not allowed or all(kind in allowed for kind in (list(value.list.type) or [value.type]))

    known = kernels.get_registered_kernels_for_op(node.op).kernel
    return any(
        kernel.device_type in ("GPU", "DEFAULT") and all(admits(each) for each in kernel.constraint) for kernel in known
    )


def _left_to_the_host(graph: tf.Graph) -> set[tuple[str, str]]:
    """Return operation and type of what only a CPU can do; texts, of assertions, are no arithmetic."""
    found = set()
    for node in _nodes(graph):
        if node.op in CONTROL or _has_gpu_kernel(node):
            continue
        kind = next((node.attr[name].type for name in ("T", "dtype", "Tparams") if name in node.attr), 0)
        if kind != types_pb2.DT_STRING:
            found.add((node.op, types_pb2.DataType.Name(kind)))
    return found


@pytest.mark.parametrize(
    ("model", "fields"),
    [
        ("lenet5", {}),
        ("lenet5", AUGMENTATIONS),
        ("lenet5", {"precision": "mixed_float16", "weight_averaging": 0.9, "gradient_accumulation": 2}),
        ("mlp", {"optimizer": "muon"}),
        ("resnet20", {"precision": "mixed_bfloat16"}),
        ("alexnet_small", {}),
        ("ssd", {}),
        ("yolo_v3", {}),
        ("unet", {}),
    ],
)
def test_every_operation_of_a_step_has_a_gpu_kernel(model, fields):
    """An operation without one would copy its inputs to the host in each step, perhaps all images of the data set."""
    spec, recipe = registry.get(model), Recipe(batch_size=8, **fields).override(xla=False)
    data = random_images(spec, 8, 16)
    session = Session(spec, recipe, place(recipe, device="cpu"), data)
    session.loop.evaluate.compile(session.loop.feed.image_shape, session.loop.feed.targets)
    (evaluation,) = session.loop.evaluate._compiled.values()
    assert _left_to_the_host(session.loop._compiled_steps(8).graph) == set()
    assert _left_to_the_host(evaluation.graph) == set()


def test_an_operation_without_a_gpu_kernel_is_seen():
    """The check can fail: TensorFlow gathers no uint8 on a GPU."""

    @tf.function(input_signature=[tf.TensorSpec((5, 3), tf.uint8)])
    def gather(values):
        return tf.gather(values, tf.constant([1], tf.int64))

    assert _left_to_the_host(gather.get_concrete_function().graph) == {("GatherV2", "DT_UINT8")}


@pytest.mark.parametrize("shape", [(3, 3, 1), (5, 2, 1), (2, 2, 3), (4, 4, 3)])
def test_images_of_any_size_are_gathered_as_they_are(shape):
    """Whatever words a row's bytes divide into: 9, 10, 12 and 48 bytes."""
    from zoo.training.input_pipeline import _gathered

    images = tf.random.stateless_uniform((7, *shape), (0, 1), 0, 256, tf.int32)
    images = tf.cast(images, tf.uint8)
    rows = tf.constant([6, 0, 3, 3], tf.int64)
    assert (_gathered(images, rows).numpy() == images.numpy()[rows.numpy()]).all()
