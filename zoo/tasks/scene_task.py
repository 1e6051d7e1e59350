"""The common base of detection and segmentation: predictions drawn beside the ground truth."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from zoo.errors import ModelError
from zoo.lazy import np, tf
from zoo.spec.evaluation import METRIC_LABELS, Annotations, Evaluation, Example
from zoo.tasks.task import Task

if TYPE_CHECKING:
    from zoo.data import Dataset, Split
    from zoo.data.appearance import Preprocessing

SHOWN = 24  # examples: half of them the worst, the others spread evenly over the rest


class SceneTask(Task):
    """A task whose predictions are places in the image."""

    evaluation_schema: ClassVar[str] = "zoo.scene_evaluation/1"
    predictions_schema: ClassVar[str] = "zoo.scene_predictions/1"
    batch: ClassVar[int] = 100  # outputs are maps

    @abstractmethod
    def quality(self, target: np.ndarray, prediction: Any) -> float:
        """Return how good a prediction is, 0 to 1, to look at the worst first."""

    @abstractmethod
    def details(self, targets: np.ndarray, predictions: list[Any], names: tuple[str, ...]) -> dict[str, Any]:
        """Return what is known class by class.

        Returns:
            ``per_class``, a row for each: `name`, and what the task measures of it, 0 to 1, None where it is nowhere.
            Where the task has curves, ``precision_recall``: `average_precision` and `curves`, one for each class.
        """

    @abstractmethod
    def annotations(self, prediction: Any) -> Annotations:
        """Return what a prediction marks in its image."""

    @abstractmethod
    def truth(self, target: np.ndarray) -> Annotations:
        """Return what a target marks in its image."""

    def files(self, targets: np.ndarray, predictions: list[Any]) -> dict[str, Any]:
        """Return what others need to measure the predictions themselves: JSON documents by file name."""
        del targets, predictions
        return {}

    def preprocessing(self, images: np.ndarray, dataset: str) -> Preprocessing:
        """A picture is resized: nothing in it is scaled or centred."""
        from zoo.data.appearance import PHOTO

        del images, dataset
        return PHOTO

    def evaluate(self, outputs: Sequence[Iterable[np.ndarray]], data: Dataset, split: Split) -> Evaluation:
        """Return metrics, what is known class by class, and the worst examples; see `Task.evaluate`."""
        targets, names = self.targets(data, split), self.output_names(data.class_names)
        if len(outputs) > 1:
            raise ModelError("Only classifiers' predictions can be averaged. Name one model, or classifiers alone.")
        sums = _Sums(self.for_evaluation(), len(names))
        own = self.measure(sums.watch(targets, outputs[0]))
        predictions = sums.predictions
        qualities = np.array([self.quality(*pair) for pair in zip(targets, predictions, strict=True)])
        order = np.argsort(qualities, kind="stable")
        return Evaluation(
            schema=self.evaluation_schema,
            class_names=names,
            numbers={
                "metrics": {**sums.metrics(), **{f"test_{name}": value for name, value in own.items()}},
                "words": {name: METRIC_LABELS[name] for name in self.metrics},
                **self.details(targets, predictions, names),
                "class_names": names,
                "worst": [{"image": int(row), "quality": float(qualities[row])} for row in order[:SHOWN]],
            },
            examples=tuple(
                Example(
                    image=row,
                    quality=float(qualities[row]),
                    truth=self.truth(targets[row]),
                    prediction=self.annotations(predictions[row]),
                )
                for row in _shown(order)
            ),
            files=self.files(targets, predictions),
        )


class _Sums:
    """What is added up while the outputs pass by."""

    def __init__(self, task: SceneTask, num_classes: int) -> None:
        self.task, self.num_classes = task, num_classes
        self.predictions: list[Any] = []
        self._loss, self._correct = 0.0, 0.0

    def watch(self, targets: np.ndarray, outputs: Iterable[np.ndarray]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield targets and outputs, batch by batch, and keep their loss, their hits and the predictions."""
        for batch in outputs:
            own = targets[len(self.predictions) :][: len(batch)]
            self._loss += float(tf.reduce_sum(self.task.loss(tf.constant(own), tf.constant(batch))))
            self._correct += float(self.task.count_correct(tf.constant(own), tf.constant(batch)))
            self.predictions += self.task.read(batch, self.num_classes)
            yield own, batch

    def metrics(self) -> dict[str, float]:
        """Return the means, as a training has them."""
        count = len(self.predictions)
        return {"test_accuracy": self._correct / count, "test_loss": self._loss / count}


def _shown(order: np.ndarray) -> list[int]:
    """The worst, then some drawn evenly from all others."""
    worst, rest = order[: SHOWN // 2], np.sort(order[SHOWN // 2 :])
    return [*worst.tolist(), *rest[:: max(1, len(rest) // (SHOWN // 2))][: SHOWN // 2].tolist()]
