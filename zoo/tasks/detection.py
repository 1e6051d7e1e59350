"""Detection: boxes with classes, a detector's loss and decoding, average precision."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from zoo.errors import DataError, ModelError
from zoo.lazy import keras, np, tf
from zoo.spec.evaluation import Annotations
from zoo.spec.recipe import Recipe
from zoo.tasks.boxes import box_iou
from zoo.tasks.detectors import Detector
from zoo.tasks.measures.coco import average_precision, coco_evaluation, coco_rows, coco_truth, mean_precision
from zoo.tasks.scene_task import SceneTask
from zoo.tasks.task import GEOMETRIC_AUGMENTATIONS, refuse

if TYPE_CHECKING:
    from zoo.data import Dataset, Split

Objects = tuple["np.ndarray", "np.ndarray"]
"""What is found in an image: objects (100, 5), rows of -1 behind the last, and their scores (100,)."""
SCORE_THRESHOLD = 0.01  # boxes with a lower score are dropped
NMS_IOU = 0.45  # of two boxes of one class that overlap by more, the surer one stays (Liu et al. 2016, section 2.2)
MAX_DETECTIONS = 100  # of an image, as COCO counts them
CONFIDENCE = 0.5  # a score from which an object counts as found


@dataclass(frozen=True)
class Detection(SceneTask):
    """Scores a detector's outputs against objects (N, M, 5), float32; see `zoo.tasks.detectors`.

    Its accuracy is the share of an image's objects for which some box overlaps them by half or more and gives their
    class a score of a half or more, before boxes are weeded out. In an image without objects there are none to miss:
    its share is 1.
    """

    name: ClassVar[str] = "detection"
    ends_in_logits: ClassVar[bool] = False
    metrics: ClassVar[tuple[str, ...]] = ("ap", "ap50", "voc_ap")
    detector: Detector | None = None
    image_shape: tuple[int, ...] = ()

    def for_training(
        self, recipe: Recipe, targets: np.ndarray, num_classes: int, *, image_shape: tuple[int, ...], model: str = ""
    ) -> Detection:
        """Return the task for images of that shape."""
        unused = ("loss.name", "class_weights", "label_smoothing")
        refuse(recipe, f"{model} finds boxes", *unused, *GEOMETRIC_AUGMENTATIONS)
        del targets, num_classes
        self._detector(model)
        return dataclasses.replace(self, image_shape=image_shape)

    def for_evaluation(self) -> Detection:
        """There is nothing in it for training alone."""
        return self

    def targets(self, data: Dataset, split: Split) -> np.ndarray:
        """Return the boxes."""
        if split.boxes is None:
            raise DataError(f"{data.name} has no boxes to learn detection from. Use for example mnist_scenes.")
        return split.boxes

    def check_outputs(self, name: str, model: keras.Model, num_classes: int) -> None:
        """One output, as the detector reads it."""
        wanted = (None, *self._detector(name).output_shape(model.inputs[0].shape[1:], num_classes))
        for output in model.outputs:
            shape, dtype = tuple(output.shape), keras.backend.standardize_dtype(output.dtype)
            if shape != wanted or dtype != "float32":
                raise ModelError(
                    f"{name} must end in float32 numbers of shape {wanted}, as its detector reads them, but its "
                    f"output is {dtype} of shape {shape}. Change the model, or its detector."
                )

    def synthetic(
        self, num_classes: int, images: np.ndarray, rng: np.random.Generator
    ) -> tuple[Split, tuple[str, ...]]:
        """Give each image two objects, one in its upper half and one in its lower."""
        from zoo.data import Split

        corners = rng.uniform(0.05, 0.15, (len(images), 2, 2)) + np.array([[0.0, 0.0], [0.5, 0.4]])
        sizes = rng.uniform(0.2, 0.35, (len(images), 2, 2))
        labels = rng.integers(0, num_classes, (len(images), 2, 1))
        boxes = np.concatenate([labels, corners, corners + sizes], axis=2).astype(np.float32)
        return Split(images, boxes=boxes), tuple(map(str, range(num_classes)))

    def loss(self, targets: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
        """Return the detector's loss of each image."""
        return self._detector().loss(targets, outputs, self.image_shape)

    def count_correct(self, targets: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
        """Return the sum over images of the fraction of objects found."""
        boxes, scores = self._detector().decode(tf.stop_gradient(outputs), self.image_shape)
        labels = tf.cast(targets[..., 0], tf.int32)
        present = tf.cast(labels >= 0, tf.float64)
        own = tf.gather(scores, tf.maximum(labels, 0), axis=2, batch_dims=1)  # (N, P, M)
        found = tf.reduce_any((own >= CONFIDENCE) & (box_iou(boxes, targets[..., 1:]) >= 0.5), axis=1)
        missed = tf.reduce_sum(present * tf.cast(~found, tf.float64), axis=1) / tf.maximum(tf.reduce_sum(present, 1), 1)
        return tf.reduce_sum(1 - missed)

    def read(self, outputs: np.ndarray, num_classes: int) -> list[Objects]:
        """Return the objects found in each image (100, 5), rows of -1 behind the last, and their scores (100,)."""
        del num_classes
        objects, scores = self.find(tf.convert_to_tensor(outputs))
        return list(zip(objects.numpy(), scores.numpy(), strict=True))

    def quality(self, target: np.ndarray, prediction: Objects) -> float:
        """Return F1 of the objects whose score is a half or more: right are those that overlap one of their class."""
        objects, scores = prediction
        found, there = objects[(objects[:, 0] >= 0) & (scores >= CONFIDENCE)], target[target[:, 0] >= 0]
        if not len(found) or not len(there):
            return float(len(found) == len(there))
        alike = box_iou(tf.constant(found[:, 1:]), tf.constant(there[:, 1:])).numpy() >= 0.5
        right = alike & (found[:, None, 0] == there[None, :, 0])
        return float((right.any(axis=0).sum() + right.any(axis=1).sum()) / (len(found) + len(there)))

    def details(self, targets: np.ndarray, predictions: list[Objects], names: tuple[str, ...]) -> dict[str, Any]:
        """Return ``ap`` and ``ap50`` of each class, and its precision-recall curve at an overlap of a half.

        Curves have COCO's 101 points.
        """
        found, scores = (np.stack(part) for part in zip(*predictions, strict=True))
        evaluated = coco_evaluation(targets, found, scores, self.image_shape)
        precision = evaluated.eval["precision"][..., 0, -1]  # (overlaps, recalls, classes)
        recall = np.linspace(0, 1, precision.shape[1]).tolist()
        rows: list[dict[str, Any]] = [{"name": name, "ap": None, "ap50": None} for name in names]
        curves: list[dict[str, list[float]] | None] = [None] * len(names)
        for number, label in enumerate(evaluated.params.catIds):
            own = precision[:, :, number]
            rows[label] |= {"ap": mean_precision(own), "ap50": mean_precision(own[0])}
            curves[label] = {"recall": recall, "precision": np.maximum(own[0], 0).tolist()}
        areas = [row["ap50"] for row in rows]
        return {"per_class": rows, "precision_recall": {"average_precision": areas, "curves": curves}}

    def files(self, targets: np.ndarray, predictions: list[Objects]) -> dict[str, Any]:
        """Return truth and predictions as COCO writes them, so that pycocotools can be run on them by hand."""
        found, scores = (np.stack(part) for part in zip(*predictions, strict=True))
        height, width = self.image_shape[:2]
        return {
            "truth.json": coco_truth(targets, height, width),
            "predictions.json": coco_rows(found, height, width, scores),
        }

    def annotations(self, prediction: Objects) -> Annotations:
        """The boxes found with a score of a half or more."""
        objects, scores = prediction
        sure = (objects[:, 0] >= 0) & (scores >= CONFIDENCE)
        return Annotations(boxes=objects[sure], scores=scores[sure])

    def truth(self, target: np.ndarray) -> Annotations:
        """The boxes that there are."""
        return Annotations(boxes=target)

    def describe(self, prediction: Objects, names: tuple[str, ...], image_shape: tuple[int, ...]) -> dict[str, Any]:
        """Return ``objects``: `label`, `score` and `box` (left, top, right, bottom, in pixels), surest first."""
        height, width = image_shape[:2]
        objects, scores = prediction
        return {
            "objects": [
                {
                    "label": names[int(row[0])],
                    "score": float(score),
                    "box": [
                        float(row[2]) * width,
                        float(row[1]) * height,
                        float(row[4]) * width,
                        float(row[3]) * height,
                    ],
                }
                for row, score in zip(objects, scores, strict=True)
                if row[0] >= 0 and score >= CONFIDENCE
            ]
        }

    def find(self, outputs: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Return what is found in each image: objects (N, 100, 5), rows of -1 behind the last, and scores (N, 100).

        Of boxes of one class that overlap the surest stays (non-maximum suppression). It is all TensorFlow: a graph
        that is exported can end in it.
        """
        boxes, scores = self._detector().decode(outputs, self.image_shape)
        found = tf.image.combined_non_max_suppression(
            boxes[:, :, None],
            scores,
            MAX_DETECTIONS,
            MAX_DETECTIONS,
            iou_threshold=NMS_IOU,
            score_threshold=SCORE_THRESHOLD,
            clip_boxes=True,
        )
        objects = tf.concat([found.nmsed_classes[..., None], found.nmsed_boxes], axis=2)
        is_there = tf.range(MAX_DETECTIONS)[None] < found.valid_detections[:, None]
        return tf.where(is_there[..., None], objects, -1.0), found.nmsed_scores

    def measure(self, batches: Iterable[tuple[np.ndarray, np.ndarray]]) -> dict[str, float]:
        """Return ``ap`` (COCO's), ``ap50`` and ``voc_ap`` (that of VOC 2007), by pycocotools."""
        rows = [(truth, *self.find(tf.convert_to_tensor(outputs))) for truth, outputs in batches]
        truth, found, scores = (np.concatenate(part) for part in zip(*rows, strict=True))
        return average_precision(truth, found, scores, self.image_shape)

    def _detector(self, model: str = "The model") -> Detector:
        if not isinstance(self.detector, Detector):
            raise ModelError(
                f"{model} names no detector, so nobody can read its boxes. Name one: "
                "@zoo.register(task=zoo.tasks.Detection(zoo.tasks.detectors.SSD(...)))."
            )
        return self.detector
