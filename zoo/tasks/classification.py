"""Classification: one label per image, a loss on logits, accuracy."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from zoo.errors import DataError, ModelError, RecipeError
from zoo.lazy import keras, np, tf
from zoo.spec.evaluation import Evaluation
from zoo.spec.recipe import Recipe
from zoo.tasks.measures import probabilities
from zoo.tasks.measures.calibration import log_softmax
from zoo.tasks.measures.scores import sample_predictions, score, top_confusions
from zoo.tasks.task import Task

if TYPE_CHECKING:
    from zoo.data import Dataset, Split


@dataclass(frozen=True)
class Classification(Task):
    """Scores logits (N, classes), float32, against labels (N,), int64.

    Where a model ends in several logits, those after the first are auxiliary: they add to the loss in training, and
    are not the prediction.
    """

    name: ClassVar[str] = "classification"
    evaluation_schema: ClassVar[str] = "zoo.evaluation/2"
    predictions_schema: ClassVar[str] = "zoo.predictions/1"
    counts_in: ClassVar[str] = "int64"
    takes_own_models: ClassVar[bool] = True
    objective: str = "cross_entropy"
    label_smoothing: float = 0.0
    class_weights: tuple[float, ...] = ()  # one per class; empty: all count alike
    auxiliary: float = 0.3  # weight of the loss of each auxiliary output (Szegedy et al. 2014, section 5)

    def for_training(
        self,
        recipe: Recipe,
        targets: np.ndarray,
        num_classes: int,
        *,
        image_shape: tuple[int, ...] = (),
        model: str = "",
    ) -> Classification:
        """Return the task as a recipe trains it: `loss`, `label_smoothing` and `class_weights` are read.

        With class weights `balanced` each class gets its inverse frequency in `targets`, labels (N,), so that the
        weights average to one over the images.

        Raises:
            RecipeError: a weight for a class that does not exist.
        """
        del image_shape, model
        return dataclasses.replace(
            self,
            objective=recipe.loss.name,
            label_smoothing=recipe.loss.label_smoothing,
            class_weights=_weights(recipe, targets, num_classes),
        )

    def for_evaluation(self) -> Classification:
        """Return the same loss without smoothing, weights and auxiliary outputs."""
        return dataclasses.replace(self, label_smoothing=0.0, class_weights=(), auxiliary=0.0)

    def targets(self, data: Dataset, split: Split) -> np.ndarray:
        """Return the labels."""
        if split.labels is None:
            raise DataError(
                f"{data.name} says what is where in its images, and has no one label for each. Use another."
            )
        return split.labels

    def check_outputs(self, name: str, model: keras.Model, num_classes: int) -> None:
        """One row of logits, or a list of them with auxiliary ones after the first."""
        named = getattr(model, "output", None)  # a Sequential of layers alone has none
        if isinstance(named, dict):
            raise ModelError(
                f"{name} must end in float32 logits, or in a list whose first they are, but its output is a "
                f"dictionary of {', '.join(named)}. Return the logits."
            )
        for output in model.outputs:
            shape, dtype = tuple(output.shape), keras.backend.standardize_dtype(output.dtype)
            if shape != (None, num_classes) or dtype != "float32":
                raise ModelError(
                    f"{name} must end in float32 logits of shape {(None, num_classes)}, but its output is {dtype} "
                    f'of shape {shape}. End it with Dense(num_classes, dtype="float32").'
                )

    def check_evaluated(self, name: str, model: Any) -> None:
        """One input of images, and one output: a row of numbers for each."""
        takes, returns = (single_shape(model, end) for end in ("input_shape", "output_shape"))
        if takes is None or len(takes) != 4 or returns is None or len(returns) != 2 or returns[1] is None:
            known = ["something else" if shape is None else str(shape) for shape in (takes, returns)]
            raise ModelError(
                f"{name} takes {known[0]} and returns {known[1]}; an evaluation needs one input of images "
                "(N, H, W, C) and one output (N, classes). Name a classifier of images."
            )

    def takes_classes(self, known: int, present: int) -> bool:
        """A model may tell apart more classes than the test images show."""
        return known >= present

    def synthetic(
        self, num_classes: int, images: np.ndarray, rng: np.random.Generator
    ) -> tuple[Split, tuple[str, ...]]:
        """Give each image a label, in turn."""
        from zoo.data import Split

        del rng
        return Split(images, np.arange(len(images)) % num_classes), tuple(map(str, range(num_classes)))

    def loss(self, targets: tf.Tensor, outputs: tf.Tensor | Sequence[tf.Tensor]) -> tf.Tensor:
        """Return the loss of each example, shape (N,), float32: cross-entropy in nats, or squared error.

        With label smoothing (Szegedy et al. 2016, "Rethinking the Inception Architecture", section 7) that
        fraction of each target is spread evenly over all classes. The squared error is summed over the classes.
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

    def keras_metrics(self) -> list[keras.metrics.Metric]:
        """Return the same metrics as Keras objects, for ``model.compile``."""
        return [keras.metrics.SparseCategoricalAccuracy(name="accuracy")]

    def evaluate(self, outputs: Sequence[Iterable[np.ndarray]], data: Dataset, split: Split) -> Evaluation:
        """Return scores with intervals, curves, calibration and mistakes; several models' probabilities are averaged.

        Of a model whose training diverged only the accuracy is known, counted as in training.
        """
        targets = self.targets(data, split)
        single = [np.concatenate([np.asarray(batch, np.float32) for batch in batches]) for batches in outputs]
        lost = [probabilities.non_finite(each) for each in single]
        whole = single[0] if any(lost) else probabilities.averaged(single)
        known = self.output_names(data.class_names)
        names = (*known, *(f"output {k}" for k in range(len(known), whole.shape[1])))
        numbers: dict[str, Any] = {
            "class_names": names,
            "outputs": "probabilities" if probabilities.are_probabilities(whole) else "logits",
            "non_finite_images": sum(lost),
        }
        if any(lost):
            numbers["metrics"] = {"test_accuracy": _accuracy(whole, targets), "test_loss": None}
        else:
            logs = probabilities.log_probabilities(whole)
            samples = sample_predictions(logs, targets)
            numbers |= score(logs, targets, names)
            numbers["top_confusions"] = top_confusions(logs, targets, names)
            numbers |= {"mistakes": samples["mistakes"], "right_predictions": samples["right"]}
        members = tuple({"test_accuracy": _accuracy(each, targets)} for each in single) if len(single) > 1 else ()
        return Evaluation(self.evaluation_schema, names, numbers, non_finite=tuple(lost), members=members)

    def read(self, outputs: np.ndarray, num_classes: int) -> list[np.ndarray]:
        """Return the probabilities of each image, float64 (classes,), of logits or probabilities (N, classes)."""
        if outputs.ndim != 2 or outputs.shape[1] != num_classes:
            raise ModelError(
                f"the model's outputs for {len(outputs)} images have the shape {outputs.shape}; {num_classes} classes "
                f"need ({len(outputs)}, {num_classes}). Was it trained on another dataset?"
            )
        if probabilities.non_finite(outputs):
            raise ModelError(
                "the model's outputs are not finite numbers: its training diverged. Train it again with a lower "
                "learning rate."
            )
        values = outputs.astype(np.float64)
        return list(values if probabilities.are_probabilities(values) else np.exp(log_softmax(values)))

    def describe(self, prediction: np.ndarray, names: tuple[str, ...], image_shape: tuple[int, ...]) -> dict[str, Any]:
        """Return `label`, its `index`, and all `probabilities`, in the classes' order."""
        del image_shape
        index = int(prediction.argmax())
        return {"label": names[index], "index": index, "probabilities": prediction.tolist()}


def logits_of(outputs: tf.Tensor | Sequence[tf.Tensor]) -> tf.Tensor:
    """Return what a model predicts: its only output, or the first of several."""
    return outputs[0] if isinstance(outputs, list | tuple) else outputs


def single_shape(model: Any, end: str) -> tuple[Any, ...] | None:
    """Return the shape of a model's one input or output; None where it has several, or does not know.

    Args:
        model: a ``keras.Model``.
        end: "input_shape" or "output_shape".
    """
    try:
        shape = getattr(model, end)
    except (AttributeError, ValueError):
        return None
    is_one = isinstance(shape, tuple) and not any(isinstance(part, tuple | list | dict) for part in shape)
    return shape if is_one else None


def _accuracy(outputs: np.ndarray, labels: np.ndarray) -> float:
    """The fraction of rows whose largest number is the label's; one that is not a number is never the largest."""
    return float((np.nan_to_num(outputs, nan=-np.inf).argmax(axis=1) == labels).mean())


def _weights(recipe: Recipe, labels: np.ndarray, num_classes: int) -> tuple[float, ...]:
    """Return one weight per class, or nothing where all count alike."""
    if not recipe.loss.class_weights:
        return ()
    if isinstance(recipe.loss.class_weights, str):
        counts = np.bincount(labels, minlength=num_classes)
        present = counts > 0
        return tuple(np.divide(len(labels), present.sum() * counts, out=np.ones(num_classes), where=present).tolist())
    weights = [1.0] * num_classes
    for label, weight in recipe.loss.class_weights.items():
        if int(label) >= num_classes:
            raise RecipeError(
                f"class_weights names class {label}, but the labels are 0 to {num_classes - 1}. Change class_weights."
            )
        weights[int(label)] = float(weight)
    return tuple(weights)
