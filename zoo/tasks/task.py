"""The interface of a task, so that training, testing and benchmarks need not know which one it is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, Any, ClassVar, Self

from zoo.errors import RecipeError
from zoo.lazy import keras, np, tf
from zoo.spec.evaluation import Annotations, Evaluation
from zoo.spec.recipe import Recipe

if TYPE_CHECKING:
    from zoo.data import Dataset, Split
    from zoo.data.appearance import Preprocessing

GENERAL = Recipe()
GEOMETRIC_AUGMENTATIONS = ("shift", "rotation", "zoom", "translation", "elastic", "flip")
"""Fields of a recipe that would move an image from under its boxes and masks."""
Outputs = Any
"""What a model returns for a batch: a tensor, or a list of them."""


class Task(ABC):
    """How a model's outputs are trained, measured and read. N images; outputs and targets have N first.

    A model's spec holds one. `for_training` returns it as a recipe trains it, `for_evaluation` as finished models are
    measured.
    """

    name: ClassVar[str]
    evaluation_schema: ClassVar[str]
    predictions_schema: ClassVar[str]
    metrics: ClassVar[tuple[str, ...]] = ()
    """What `measure` returns, the headline first; `METRIC_LABELS` has their names for people."""
    counts_in: ClassVar[str] = "float64"
    """The type of what `count_correct` returns; whole numbers are added up faster."""
    ends_in_logits: ClassVar[bool] = True
    """Whether the outputs' last axis holds a logit for each class: nothing that has been through a softmax."""
    batch: ClassVar[int] = 500
    """Images whose outputs are computed at once outside training."""
    takes_own_models: ClassVar[bool] = False
    """Whether any ``keras.Model`` can be trained and evaluated, registered or not."""

    @abstractmethod
    def for_training(
        self, recipe: Recipe, targets: np.ndarray, num_classes: int, *, image_shape: tuple[int, ...], model: str = ""
    ) -> Self:
        """Return the task as a recipe trains a model.

        Args:
            recipe: what it says of the loss is read.
            targets: of the training images.
            num_classes: how many classes the outputs tell apart.
            image_shape: (height, width, channels).
            model: its name, for errors.

        Raises:
            RecipeError: the recipe asks for what this task does not have.
        """

    @abstractmethod
    def for_evaluation(self) -> Self:
        """Return the task as finished models are measured: without what is there for training alone."""

    # Data and models

    @abstractmethod
    def targets(self, data: Dataset, split: Split) -> np.ndarray:
        """Return what the outputs are compared with. Raises `DataError` if the dataset does not hold it."""

    def output_names(self, class_names: Sequence[str]) -> tuple[str, ...]:
        """Return the classes that the outputs tell apart, in their order, where a dataset has these classes."""
        return tuple(class_names)

    @abstractmethod
    def check_outputs(self, name: str, model: keras.Model, num_classes: int) -> None:
        """Check shape and dtype of a built model's outputs. Raises `ModelError`, with the model's name."""

    def check_evaluated(self, name: str, model: Any) -> None:  # noqa: B027 (a registered model is checked when built)
        """Check that a model of any origin can be evaluated. Raises `ModelError`, with the model's name."""

    def takes_classes(self, known: int, present: int) -> bool:
        """Whether a model of `known` classes can be evaluated on a dataset that has `present` ones."""
        return known == present

    @abstractmethod
    def synthetic(
        self, num_classes: int, images: np.ndarray, rng: np.random.Generator
    ) -> tuple[Split, tuple[str, ...]]:
        """Return images with made-up targets, and the classes' names: for a benchmark or a test."""

    def preprocessing(self, images: np.ndarray, dataset: str) -> Preprocessing:
        """Return how a picture is prepared for a model that was trained on these images, uint8 (N, H, W, C)."""
        from zoo.data.appearance import preprocessing_of

        return preprocessing_of(images, dataset)

    # Training

    @abstractmethod
    def loss(self, targets: tf.Tensor, outputs: Outputs) -> tf.Tensor:
        """Return the loss of each example, (N,), float32."""

    @abstractmethod
    def count_correct(self, targets: tf.Tensor, outputs: Outputs) -> tf.Tensor:
        """Return how many examples are right, a scalar of `counts_in`; one that is right in part may count in part."""

    def keras_loss(self) -> Callable[[tf.Tensor, Outputs], tf.Tensor]:
        """Return the loss of an evaluation as ``model.compile`` takes it."""
        return self.for_evaluation().loss

    def keras_metrics(self) -> list[keras.metrics.Metric]:
        """Return the accuracy as a Keras object, for ``model.compile``."""

        def accuracy(targets: tf.Tensor, outputs: Outputs) -> tf.Tensor:
            return tf.cast(self.count_correct(targets, outputs), tf.float32) / tf.cast(tf.shape(targets)[0], tf.float32)

        return [keras.metrics.MeanMetricWrapper(accuracy, name="accuracy")]

    # Finished models

    def measure(self, batches: Iterable[tuple[np.ndarray, np.ndarray]]) -> dict[str, float]:
        """Return the metrics beside loss and accuracy, by the names in `metrics`.

        Args:
            batches: targets and outputs, batch by batch.
        """
        del batches
        return {}

    @abstractmethod
    def evaluate(self, outputs: Sequence[Iterable[np.ndarray]], data: Dataset, split: Split) -> Evaluation:
        """Return how good one model is, or several together.

        Args:
            outputs: of each model, batch by batch.
            data: names the classes.
            split: the images, with what is known about them.

        Raises:
            DataError: the dataset does not hold what the outputs are compared with.
        """

    @abstractmethod
    def read(self, outputs: np.ndarray, num_classes: int) -> list[Any]:
        """Return the prediction for each image, as `describe` and `annotations` take it.

        Raises:
            ModelError: the outputs are not those of a finished model of so many classes.
        """

    @abstractmethod
    def describe(self, prediction: Any, names: tuple[str, ...], image_shape: tuple[int, ...]) -> dict[str, Any]:
        """Return a prediction as plain values; positions are in pixels of an image of that shape."""

    def annotations(self, prediction: Any) -> Annotations | None:
        """Return what a prediction marks in its image; None where it says nothing of places."""
        del prediction
        return None


def refuse(recipe: Recipe, why: str, *fields: str) -> None:
    """Raise `RecipeError` if a recipe asks for one of the fields.

    Args:
        recipe: of the training.
        why: what the model is for, as in "unet masks pixels".
        fields: those that would do nothing, or harm.
    """
    asked = [name for name in fields if attrgetter(name)(recipe) != attrgetter(name)(GENERAL)]
    if asked:
        raise RecipeError(f"{why}: a recipe for it cannot have {', '.join(asked)}. Leave it out.")
