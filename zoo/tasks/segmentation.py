"""Segmentation: a class for each pixel, a loss on logits, mean intersection over union."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from zoo.errors import DataError, ModelError
from zoo.lazy import keras, np, tf
from zoo.spec.evaluation import Annotations
from zoo.spec.recipe import Recipe
from zoo.tasks.scene_task import SceneTask
from zoo.tasks.task import GEOMETRIC_AUGMENTATIONS, refuse

if TYPE_CHECKING:
    from zoo.data import Dataset, Split


@dataclass(frozen=True)
class Segmentation(SceneTask):
    """Scores logits (N, H, W, classes), float32, against masks (N, H, W), uint8: 0 is the background.

    Its accuracy is the fraction of pixels classified correctly.
    """

    name: ClassVar[str] = "segmentation"
    metrics: ClassVar[tuple[str, ...]] = ("mean_iou",)
    num_classes: int = 0
    label_smoothing: float = 0.0

    def for_training(
        self, recipe: Recipe, targets: np.ndarray, num_classes: int, *, image_shape: tuple[int, ...], model: str = ""
    ) -> Segmentation:
        """Return the task as a recipe trains it: `label_smoothing` is read."""
        refuse(recipe, f"{model} masks pixels", "loss.name", "class_weights", *GEOMETRIC_AUGMENTATIONS)
        del targets, image_shape
        return Segmentation(num_classes, recipe.loss.label_smoothing)

    def for_evaluation(self) -> Segmentation:
        """Return it without label smoothing."""
        return Segmentation(self.num_classes)

    def targets(self, data: Dataset, split: Split) -> np.ndarray:
        """Return the masks."""
        if split.masks is None:
            raise DataError(f"{data.name} has no masks to learn segmentation from. Use for example mnist_scenes.")
        return split.masks

    def output_names(self, class_names: Sequence[str]) -> tuple[str, ...]:
        """Return the background, then the classes."""
        return ("background", *class_names)

    def check_outputs(self, name: str, model: keras.Model, num_classes: int) -> None:
        """A class's logit for each pixel of the image."""
        wanted = (*model.inputs[0].shape[:3], num_classes)
        for output in model.outputs:
            shape, dtype = tuple(output.shape), keras.backend.standardize_dtype(output.dtype)
            if shape != wanted or dtype != "float32":
                raise ModelError(
                    f"{name} must end in float32 logits of shape {wanted}, one for each pixel and class, but its "
                    f'output is {dtype} of shape {shape}. End it with Conv2D(num_classes, 1, dtype="float32").'
                )

    def synthetic(
        self, num_classes: int, images: np.ndarray, rng: np.random.Generator
    ) -> tuple[Split, tuple[str, ...]]:
        """Give each image a rectangle of some class."""
        from zoo.data import Split

        height, width = images.shape[1:3]
        masks = np.zeros(images.shape[:3], np.uint8)
        for mask, label in zip(masks, rng.integers(0, num_classes, len(images)), strict=True):
            top, left = rng.integers(0, max(1, height // 2)), rng.integers(0, max(1, width // 2))
            mask[top : top + height // 2, left : left + width // 2] = label
        names = tuple(map(str, range(1, num_classes)))
        return Split(images, masks=masks), names

    def loss(self, targets: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
        """Return the mean cross-entropy of each image's pixels, in nats."""
        if not self.label_smoothing:
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=tf.cast(targets, tf.int32), logits=outputs)
        else:
            spread = self.label_smoothing / self.num_classes
            smooth = tf.one_hot(
                tf.cast(targets, tf.int32), self.num_classes, 1.0 - self.label_smoothing + spread, spread
            )
            losses = tf.nn.softmax_cross_entropy_with_logits(labels=smooth, logits=outputs)
        return tf.reduce_mean(losses, axis=(1, 2))

    def count_correct(self, targets: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
        """Return the sum over images of the fraction of correct pixels."""
        right = tf.equal(tf.argmax(outputs, axis=-1, output_type=tf.int32), tf.cast(targets, tf.int32))
        pixels = tf.cast(tf.size(targets[0]), tf.float64)
        return tf.math.count_nonzero(right, dtype=tf.float64) / pixels

    def measure(self, batches: Iterable[tuple[np.ndarray, np.ndarray]]) -> dict[str, float]:
        """Return ``mean_iou``: intersection over union of each class over all pixels, averaged over the classes."""
        metric = keras.metrics.MeanIoU(self.num_classes, sparse_y_pred=False)
        for masks, outputs in batches:
            metric.update_state(masks, outputs)
        return {"mean_iou": float(metric.result())}

    def read(self, outputs: np.ndarray, num_classes: int) -> list[np.ndarray]:
        """Return the likeliest class of each pixel, uint8 (H, W)."""
        del num_classes
        return list(outputs.argmax(axis=-1).astype(np.uint8))

    def quality(self, target: np.ndarray, prediction: np.ndarray) -> float:
        """Return the mean intersection over union of the classes that are in the image, or are said to be."""
        intersection, union = self._overlap(target, prediction)
        return float((intersection[union > 0] / union[union > 0]).mean())

    def details(self, targets: np.ndarray, predictions: list[np.ndarray], names: tuple[str, ...]) -> dict[str, Any]:
        """Return ``iou`` of each class over all pixels."""
        intersection, union = self._overlap(targets, np.stack(predictions))
        shares = zip(names, intersection.tolist(), union.tolist(), strict=True)
        return {
            "per_class": [{"name": name, "iou": both / either if either else None} for name, both, either in shares]
        }

    def annotations(self, prediction: np.ndarray) -> Annotations:
        """Each pixel's class."""
        return Annotations(mask=prediction)

    def truth(self, target: np.ndarray) -> Annotations:
        """Each pixel's class."""
        return Annotations(mask=target)

    def describe(self, prediction: np.ndarray, names: tuple[str, ...], image_shape: tuple[int, ...]) -> dict[str, Any]:
        """Return ``pixels``, how many each class that is there has."""
        del image_shape
        found, counts = np.unique(prediction, return_counts=True)
        return {"pixels": {names[label]: int(count) for label, count in zip(found, counts, strict=True)}}

    def _overlap(self, targets: np.ndarray, predictions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return intersection and union of each class, in pixels."""
        pairs = targets.astype(np.int64) * self.num_classes + predictions
        counts = np.bincount(pairs.ravel(), minlength=self.num_classes**2).reshape(self.num_classes, -1)
        intersection = np.diagonal(counts)
        return intersection, counts.sum(axis=0) + counts.sum(axis=1) - intersection
