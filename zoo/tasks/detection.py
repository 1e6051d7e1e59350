"""Detection: boxes with classes, what their detector makes of them, average precision."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from zoo.errors import DataError, ModelError
from zoo.imaging.drawing import draw_objects
from zoo.lazy import keras, np, tf
from zoo.spec import ModelSpec
from zoo.spec.recipe import Recipe
from zoo.tasks.boxes import overlaps
from zoo.tasks.coco import average_precision, coco_evaluation, coco_rows, coco_truth, mean_precision
from zoo.tasks.detectors import Detector
from zoo.tasks.task import MOVES, SceneTask, refuse

if TYPE_CHECKING:
    from zoo.data import Dataset, Split

Answer = tuple["np.ndarray", "np.ndarray"]
"""Objects (100, 5), rows of -1 behind the last, and their scores (100,)."""
LEAST = 0.01  # a score below this is not worth a box
SAME = 0.45  # boxes of one class that overlap by more than this are taken for one (Liu et al. 2016, section 2.2)
MOST = 100  # boxes of an image, as COCO counts them
SURE = 0.5  # a score from which an object counts as found


@dataclass(frozen=True)
class Detection(SceneTask):
    """Scores a detector's outputs against objects (N, M, 5), float32; see `zoo.tasks.detectors`.

    Its accuracy is the share of an image's objects for which some box overlaps them by half or more and gives their
    class a score of a half or more, before boxes are weeded out. In an image without objects there are none to miss:
    its share is 1.
    """

    detector: Detector
    image_shape: tuple[int, ...]
    ends_in_logits: ClassVar[bool] = False
    words: ClassVar[dict[str, str]] = {"ap": "AP (COCO)", "ap50": "AP50", "voc_ap": "AP (VOC 2007)"}

    @classmethod
    def of(
        cls, recipe: Recipe, targets: np.ndarray, num_classes: int, *, spec: ModelSpec, image_shape: tuple[int, ...]
    ) -> Detection:
        """Return the task with the model's detector."""
        refuse(recipe, f"{spec.name} finds boxes", "loss", "class_weights", "label_smoothing", *MOVES)
        del targets, num_classes
        return cls(_detector(spec), image_shape)

    @classmethod
    def targets(cls, data: Dataset, split: Split) -> np.ndarray:
        """Return the boxes."""
        if split.boxes is None:
            raise DataError(f"{data.name} has no boxes to learn detection from. Use for example mnist_scenes.")
        return split.boxes

    @classmethod
    def check_outputs(cls, spec: ModelSpec, model: keras.Model, num_classes: int) -> None:
        """One output, as the detector reads it."""
        wanted = (None, *_detector(spec).output_shape(model.inputs[0].shape[1:], num_classes))
        for output in model.outputs:
            shape, dtype = tuple(output.shape), keras.backend.standardize_dtype(output.dtype)
            if shape != wanted or dtype != "float32":
                raise ModelError(
                    f"{spec.name} must end in float32 numbers of shape {wanted}, as its detector reads them, but its "
                    f"output is {dtype} of shape {shape}. Change the model, or its detector."
                )

    @classmethod
    def invented(cls, spec: ModelSpec, images: np.ndarray, rng: np.random.Generator) -> tuple[Split, tuple[str, ...]]:
        """Give each image two objects, one in its upper half and one in its lower."""
        from zoo.data import Split

        corners = rng.uniform(0.05, 0.15, (len(images), 2, 2)) + np.array([[0.0, 0.0], [0.5, 0.4]])
        sizes = rng.uniform(0.2, 0.35, (len(images), 2, 2))
        labels = rng.integers(0, spec.num_classes, (len(images), 2, 1))
        boxes = np.concatenate([labels, corners, corners + sizes], axis=2).astype(np.float32)
        return Split(images, np.full(len(images), 2), boxes=boxes), tuple(map(str, range(spec.num_classes)))

    def loss(self, targets: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
        """Return the detector's loss of each image."""
        return self.detector.loss(targets, outputs, self.image_shape)

    def count_correct(self, targets: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
        """Return the sum of the images' shares of found objects."""
        boxes, scores = self.detector.decode(tf.stop_gradient(outputs), self.image_shape)
        labels = tf.cast(targets[..., 0], tf.int32)
        present = tf.cast(labels >= 0, tf.float64)
        own = tf.gather(scores, tf.maximum(labels, 0), axis=2, batch_dims=1)  # (N, P, M)
        found = tf.reduce_any((own >= SURE) & (overlaps(boxes, targets[..., 1:]) >= 0.5), axis=1)
        missed = tf.reduce_sum(present * tf.cast(~found, tf.float64), axis=1) / tf.maximum(tf.reduce_sum(present, 1), 1)
        return tf.reduce_sum(1 - missed)

    def plain(self) -> Detection:
        """There is nothing in it for training alone."""
        return self

    def read(self, outputs: np.ndarray) -> list[Answer]:
        """Return the objects found in each image (100, 5), rows of -1 behind the last, and their scores (100,)."""
        return list(zip(*self.objects(outputs), strict=True))

    def quality(self, target: np.ndarray, answer: Answer) -> float:
        """Return F1 of the objects whose score is a half or more: right are those that overlap one of their class."""
        objects, scores = answer
        said, there = objects[(objects[:, 0] >= 0) & (scores >= SURE)], target[target[:, 0] >= 0]
        if not len(said) or not len(there):
            return float(len(said) == len(there))
        alike = overlaps(tf.constant(said[:, 1:]), tf.constant(there[:, 1:])).numpy() >= 0.5
        right = alike & (said[:, None, 0] == there[None, :, 0])
        return float((right.any(axis=0).sum() + right.any(axis=1).sum()) / (len(said) + len(there)))

    def details(self, targets: np.ndarray, answers: list[Answer], names: tuple[str, ...]) -> dict[str, Any]:
        """Return ``ap`` and ``ap50`` of each class, and its precision-recall curve at an overlap of a half.

        Curves have COCO's 101 points.
        """
        found, scores = (np.stack(part) for part in zip(*answers, strict=True))
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

    def files(self, targets: np.ndarray, answers: list[Answer]) -> dict[str, Any]:
        """Return truth and predictions as COCO writes them, so that pycocotools can be run on them by hand."""
        found, scores = (np.stack(part) for part in zip(*answers, strict=True))
        height, width = self.image_shape[:2]
        return {
            "truth.json": coco_truth(targets, height, width),
            "predictions.json": coco_rows(found, height, width, scores),
        }

    def draw(self, image: np.ndarray, answer: Any, names: tuple[str, ...], *, target: bool = False) -> np.ndarray:
        """Draw the boxes, those found with a score of a half or more."""
        if target:
            return draw_objects(image, answer, names)
        objects, scores = answer
        sure = (objects[:, 0] >= 0) & (scores >= SURE)
        return draw_objects(image, objects[sure], names, scores=scores[sure])

    def describe(self, answer: Answer, names: tuple[str, ...], image_shape: tuple[int, ...]) -> dict[str, Any]:
        """Return ``objects``: `label`, `score` and `box` (left, top, right, bottom, in pixels), surest first."""
        height, width = image_shape[:2]
        objects, scores = answer
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
                if row[0] >= 0 and score >= SURE
            ]
        }

    def objects(self, outputs: tf.Tensor) -> tuple[np.ndarray, np.ndarray]:
        """Return what is found in each image: objects (N, 100, 5), rows of -1 behind the last, and scores (N, 100).

        TensorFlow's non-maximum suppression weeds out boxes of one class that overlap.
        """
        boxes, scores = self.detector.decode(tf.convert_to_tensor(outputs), self.image_shape)
        found = tf.image.combined_non_max_suppression(
            boxes[:, :, None], scores, MOST, MOST, iou_threshold=SAME, score_threshold=LEAST, clip_boxes=True
        )
        objects = np.concatenate([found.nmsed_classes.numpy()[..., None], found.nmsed_boxes.numpy()], axis=2)
        objects[np.arange(MOST) >= found.valid_detections.numpy()[:, None]] = -1
        return objects, found.nmsed_scores.numpy()

    def measure(self, answers: Iterable[tuple[np.ndarray, np.ndarray]]) -> dict[str, float]:
        """Return ``ap`` (COCO's), ``ap50`` and ``voc_ap`` (that of VOC 2007), by pycocotools."""
        truth, found, scores = [], [], []
        for objects, outputs in answers:
            truth.append(objects)
            said, sure = self.objects(outputs)
            found.append(said)
            scores.append(sure)
        return average_precision(np.concatenate(truth), np.concatenate(found), np.concatenate(scores), self.image_shape)


def _detector(spec: ModelSpec) -> Detector:
    if not isinstance(spec.detector, Detector):
        raise ModelError(
            f"{spec.name} names no detector, so nobody can read its boxes. Name one: "
            "@zoo.register(task='detection', detector=zoo.tasks.detectors.SSD(...))."
        )
    return spec.detector
