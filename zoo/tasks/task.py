"""What every task must say of itself, so that the trainer, the kit and the benchmark need not know which it is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self

from zoo.errors import RecipeError
from zoo.lazy import keras, np, tf
from zoo.spec import ModelSpec
from zoo.spec.recipe import Recipe

if TYPE_CHECKING:
    from zoo.data import Dataset, Split

GENERAL = Recipe()
MOVES = ("shift", "rotation", "zoom", "translation", "elastic", "flip")
"""Fields of a recipe that move an image from under its boxes and masks."""
Outputs = Any
"""What a model answers to a batch: a tensor, or a list of them."""


class Task(ABC):
    """How a model's outputs are trained, scored and read. N images; outputs and targets have N first."""

    words: ClassVar[dict[str, str]] = {}
    """The names of the metrics that `measure` adds, for people."""
    counts_in: ClassVar[str] = "float64"
    """The type of what `count_correct` returns; whole numbers are added up faster."""
    ends_in_logits: ClassVar[bool] = True
    """Whether the outputs' last axis holds a logit for each class: nothing that has been through a softmax."""

    @classmethod
    @abstractmethod
    def of(
        cls, recipe: Recipe, targets: np.ndarray, num_classes: int, *, spec: ModelSpec, image_shape: tuple[int, ...]
    ) -> Self:
        """Return the task as a recipe trains a model.

        Args:
            recipe: what it says of the loss is read.
            targets: of the training images.
            num_classes: how many classes the outputs tell apart.
            spec: of the model.
            image_shape: (height, width, channels).

        Raises:
            RecipeError: the recipe asks for what this task does not have.
        """

    @classmethod
    @abstractmethod
    def targets(cls, data: Dataset, split: Split) -> np.ndarray:
        """Return what the outputs are held against. Raises `DataError` if the dataset does not say it."""

    @classmethod
    def named(cls, class_names: Sequence[str]) -> tuple[str, ...]:
        """Return what the outputs tell apart, in their order, where a dataset has these classes."""
        return tuple(class_names)

    @classmethod
    @abstractmethod
    def check_outputs(cls, spec: ModelSpec, model: keras.Model, num_classes: int) -> None:
        """Hold a built model's outputs to shape and dtype. Raises `ModelError`."""

    @classmethod
    @abstractmethod
    def invented(cls, spec: ModelSpec, images: np.ndarray, rng: np.random.Generator) -> tuple[Split, tuple[str, ...]]:
        """Return images with what could be learned from them, and the classes' names: for a benchmark or a test."""

    @abstractmethod
    def loss(self, targets: tf.Tensor, outputs: Outputs) -> tf.Tensor:
        """Return the loss of each example, (N,), float32."""

    @abstractmethod
    def count_correct(self, targets: tf.Tensor, outputs: Outputs) -> tf.Tensor:
        """Return how many examples are right, a scalar of `counts_in`; one that is right in part may count in part."""

    @abstractmethod
    def plain(self) -> Self:
        """Return the task as finished models are measured: without what is there for training alone."""

    def measure(self, answers: Iterable[tuple[np.ndarray, np.ndarray]]) -> dict[str, float]:
        """Return what else is known of a finished model, beside its loss and its accuracy.

        Args:
            answers: targets and outputs, batch by batch.
        """
        del answers
        return {}

    def keras_loss(self) -> Callable[[tf.Tensor, Outputs], tf.Tensor]:
        """Return the plain loss as ``model.compile`` takes it."""
        return self.plain().loss

    def keras_metrics(self) -> list[keras.metrics.Metric]:
        """Return the accuracy as a Keras object, for ``model.compile``."""

        def accuracy(targets: tf.Tensor, outputs: Outputs) -> tf.Tensor:
            return tf.cast(self.count_correct(targets, outputs), tf.float32) / tf.cast(tf.shape(targets)[0], tf.float32)

        return [keras.metrics.MeanMetricWrapper(accuracy, name="accuracy")]


class SceneTask(Task):
    """A task whose answers are places in the image: they are looked at over the image, not counted alone."""

    @abstractmethod
    def read(self, outputs: np.ndarray) -> list[Any]:
        """Return the answer to each image, as the other methods take it."""

    @abstractmethod
    def quality(self, target: np.ndarray, answer: Any) -> float:
        """Return how good an answer is, 0 to 1, to look at the worst first."""

    @abstractmethod
    def details(self, targets: np.ndarray, answers: list[Any], names: tuple[str, ...]) -> dict[str, Any]:
        """Return what is known class by class.

        Returns:
            ``per_class``, a row for each: `name`, and what the task measures of it, 0 to 1, None where it is nowhere.
            Where the task has curves, ``precision_recall``: `average_precision` and `curves`, one for each class.
        """

    @abstractmethod
    def draw(self, image: np.ndarray, answer: Any, names: tuple[str, ...], *, target: bool = False) -> np.ndarray:
        """Return the image with an answer, or a target, over it: uint8 (h, w, 3)."""

    @abstractmethod
    def describe(self, answer: Any, names: tuple[str, ...], image_shape: tuple[int, ...]) -> dict[str, Any]:
        """Return an answer as plain values, in pixels of an image of that shape."""

    def files(self, targets: np.ndarray, answers: list[Any]) -> dict[str, Any]:
        """Return what others need to measure the answers themselves: JSON documents by file name."""
        del targets, answers
        return {}


def refuse(recipe: Recipe, why: str, *fields: str) -> None:
    """Raise `RecipeError` if a recipe asks for one of the fields.

    Args:
        recipe: of the training.
        why: what the model is for, as in "unet masks pixels".
        fields: those that would do nothing, or harm.
    """
    asked = [name for name in fields if getattr(recipe, name) != getattr(GENERAL, name)]
    if asked:
        raise RecipeError(f"{why}: a recipe for it cannot have {', '.join(asked)}. Leave it out.")
