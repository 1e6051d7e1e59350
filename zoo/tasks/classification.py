"""Classification: one label per image, a loss on logits, accuracy."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from zoo.errors import DataError, ModelError, RecipeError
from zoo.lazy import keras, np, tf
from zoo.spec import ModelSpec
from zoo.spec.recipe import Recipe
from zoo.tasks.task import Task

if TYPE_CHECKING:
    from zoo.data import Dataset, Split


@dataclass(frozen=True)
class Classification(Task):
    """Scores logits (N, classes), float32, against labels (N,), int64.

    Where a model ends in several logits, those after the first are auxiliary: they add to the loss in training, and
    are nobody's answer.
    """

    counts_in: ClassVar[str] = "int64"
    objective: str = "cross_entropy"
    label_smoothing: float = 0.0
    class_weights: tuple[float, ...] = ()  # one per class; empty: all count alike
    auxiliary: float = 0.3  # weight of the loss of each auxiliary output (Szegedy et al. 2014, section 5)

    @classmethod
    def of(
        cls,
        recipe: Recipe,
        targets: np.ndarray,
        num_classes: int,
        *,
        spec: ModelSpec | None = None,
        image_shape: tuple[int, ...] = (),
    ) -> Classification:
        """Return the task as a recipe trains it: `loss`, `label_smoothing` and `class_weights` are read.

        With class weights `balanced` each class gets its inverse frequency in `targets`, labels (N,), so that the
        weights average to one over the images.

        Raises:
            RecipeError: a weight for a class that does not exist.
        """
        del spec, image_shape
        return cls(recipe.loss, recipe.label_smoothing, _weights(recipe, targets, num_classes))

    @classmethod
    def targets(cls, data: Dataset, split: Split) -> np.ndarray:
        """Return the labels."""
        if split.boxes is not None or split.masks is not None:
            raise DataError(
                f"{data.name} says what is where in its images, and has no one label for each. Use another."
            )
        return split.labels

    @classmethod
    def check_outputs(cls, spec: ModelSpec, model: keras.Model, num_classes: int) -> None:
        """One row of logits, or a list of them with auxiliary ones after the first."""
        named = getattr(model, "output", None)  # a Sequential of layers alone has none
        if isinstance(named, dict):
            raise ModelError(
                f"{spec.name} must end in float32 logits, or in a list whose first they are, but its output is a "
                f"dictionary of {', '.join(named)}. Return the logits."
            )
        for output in model.outputs:
            shape, dtype = tuple(output.shape), keras.backend.standardize_dtype(output.dtype)
            if shape != (None, num_classes) or dtype != "float32":
                raise ModelError(
                    f"{spec.name} must end in float32 logits of shape {(None, num_classes)}, but its output is {dtype} "
                    f'of shape {shape}. End it with Dense(num_classes, dtype="float32").'
                )

    @classmethod
    def invented(cls, spec: ModelSpec, images: np.ndarray, rng: np.random.Generator) -> tuple[Split, tuple[str, ...]]:
        """Give each image a label, in turn."""
        from zoo.data import Split

        del rng
        names = tuple(map(str, range(spec.num_classes)))
        return Split(images, np.arange(len(images)) % spec.num_classes), names

    def loss(self, targets: tf.Tensor, outputs: tf.Tensor | Sequence[tf.Tensor]) -> tf.Tensor:
        """Return the loss of each example, shape (N,), float32: cross-entropy in nats, or squared error.

        With label smoothing (Szegedy et al. 2016, "Rethinking the Inception Architecture", section 7) that
        share of each target is spread evenly over all classes. The squared error is summed over the classes.
        """
        labels = tf.cast(targets, tf.int64)  # inside Keras' own losses they arrive as floats
        losses = self._unweighted(labels, logits_of(outputs))
        if isinstance(outputs, list | tuple) and self.auxiliary:
            losses += self.auxiliary * tf.add_n([self._unweighted(labels, logits) for logits in outputs[1:]])
        return losses * tf.gather(tf.constant(self.class_weights), labels) if self.class_weights else losses

    def _unweighted(self, labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        if self.objective == "cross_entropy" and not self.label_smoothing:
            return tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
        num_classes = logits.shape[-1]
        spread = self.label_smoothing / num_classes
        targets = tf.one_hot(labels, num_classes, on_value=1.0 - self.label_smoothing + spread, off_value=spread)
        if self.objective == "squared_error":
            return tf.reduce_sum(tf.math.squared_difference(logits, targets), axis=-1)
        return tf.nn.softmax_cross_entropy_with_logits(labels=targets, logits=logits)

    def count_correct(self, targets: tf.Tensor, outputs: tf.Tensor | Sequence[tf.Tensor]) -> tf.Tensor:
        """Return how many of the batch are right."""
        return tf.math.count_nonzero(
            tf.equal(tf.argmax(logits_of(outputs), axis=-1), tf.cast(targets, tf.int64)), dtype=tf.int64
        )

    def plain(self) -> Classification:
        """Return the task as finished models are measured: the same loss, no smoothing, no weights, no auxiliary."""
        return dataclasses.replace(self, label_smoothing=0.0, class_weights=(), auxiliary=0.0)

    def keras_metrics(self) -> list[keras.metrics.Metric]:
        """Return the same metrics as Keras objects, for ``model.compile``."""
        return [keras.metrics.SparseCategoricalAccuracy(name="accuracy")]


def logits_of(outputs: tf.Tensor | Sequence[tf.Tensor]) -> tf.Tensor:
    """Return a model's answer: its only output, or the first of several."""
    return outputs[0] if isinstance(outputs, list | tuple) else outputs


def _weights(recipe: Recipe, labels: np.ndarray, num_classes: int) -> tuple[float, ...]:
    """Return one weight per class, or nothing where all count alike."""
    if not recipe.class_weights:
        return ()
    if isinstance(recipe.class_weights, str):
        counts = np.bincount(labels, minlength=num_classes)
        present = counts > 0
        return tuple(np.divide(len(labels), present.sum() * counts, out=np.ones(num_classes), where=present).tolist())
    weights = [1.0] * num_classes
    for label, weight in recipe.class_weights.items():
        if int(label) >= num_classes:
            raise RecipeError(
                f"class_weights names class {label}, but the labels are 0 to {num_classes - 1}. Change class_weights."
            )
        weights[int(label)] = float(weight)
    return tuple(weights)
