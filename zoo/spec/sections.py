"""The sections of a recipe, with each setting's meaning, allowed values and default."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from zoo.errors import RecipeError
from zoo.spec.settings import Section, check_choice, setting

PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")
"""Keras' dtype policies that a model may be built and trained with."""

SCALINGS = ("unit", "standard", "none")
SCHEDULES = ("constant", "cosine", "one_cycle", "reduce_on_plateau")
LOSSES = ("cross_entropy", "squared_error")
FLIPS = ("none", "horizontal", "vertical", "both")
PIPELINES = ("resident", "tf_data")
MONITORS = ("val_loss", "val_accuracy", "loss", "accuracy")


@dataclass(frozen=True)
class Data(Section):
    """Which images, and how they reach the model."""

    dataset: str = setting("mnist", "mnist, digits, fashion_mnist, or a TFDS name.")
    batch_size: int = setting(128, "Images per step.", low=1)
    scaling: str = setting("unit", "unit: 0..255 to 0..1; standard: mean 0, deviation 1; none.", choices=SCALINGS)
    shuffle: bool = setting(True, "Shuffle the training images anew in each epoch.")
    pipeline: str = setting(
        "resident", "resident: images stay on the device; tf_data: they are streamed to it.", choices=PIPELINES
    )
    cache: bool = setting(True, "tf_data: hold the images in memory instead of reading each where it lies.")
    shuffle_buffer: int = setting(0, "tf_data: images that the next one is drawn from; 0: all.", low=0)
    prefetch: bool = setting(True, "tf_data: prepare batches while the device is busy.")


@dataclass(frozen=True)
class Augmentation(Section):
    """Random changes of the training images."""

    shift: int = setting(0, "Shift each batch by up to this many pixels, in both directions.", low=0)
    rotation: float = setting(0.0, "Rotate each image by up to this many degrees, either way.", low=0, high=180)
    zoom: float = setting(0.0, "Scale each image up or down by up to this fraction.", low=0, high=1, open_end=True)
    translation: float = setting(
        0.0, "Shift each image by up to this fraction of its sides, in both directions.", low=0, high=1, open_end=True
    )
    elastic: float = setting(
        0.0, "Elastic distortion of each image: random displacements of up to this standard deviation in pixels.", low=0
    )
    flip: str = setting("none", "Flip images at random. Not for digits: a mirrored 2 is not a 2.", choices=FLIPS)


@dataclass(frozen=True)
class Model(Section):
    """How the network is built."""

    options: Mapping[str, Any] = setting({}, "Passed to the model's builder.", short=("model_options",))


@dataclass(frozen=True)
class Optimizer(Section):
    """What a step does to the weights."""

    name: str = setting(
        "adam", "Any optimizer of Keras, by its class name in any case: adam, sgd, muon ...", short=("optimizer",)
    )
    options: Mapping[str, Any] = setting({}, "Passed to the optimizer's class.", short=("optimizer_options",))
    learning_rate: float = setting(1e-3, "Learning rate; with a schedule, its highest value.", low=0, open_end=True)
    weight_averaging: float = setting(
        0.0, "Momentum of an exponential moving average of the weights, 0.99 for example; 0: none.",
        low=0, high=1, open_end=True,
    )  # fmt: skip
    gradient_accumulation: int = setting(1, "Steps whose gradients are averaged into one update.", low=1)


@dataclass(frozen=True)
class Schedule(Section):
    """How long to train, and how the learning rate changes on the way."""

    name: str = setting("constant", "Schedule of the learning rate.", choices=SCHEDULES, short=("schedule",))
    epochs: int = setting(10, "Number of epochs.", low=1)
    warmup: float = setting(0.25, "one_cycle: fraction of the steps in which the rate rises.", low=0, high=1)
    plateau_patience: int = setting(3, "reduce_on_plateau: epochs without improvement before each cut.", low=1)
    plateau_factor: float = setting(
        0.1, "reduce_on_plateau: what the rate is multiplied by.", low=0, high=1, open_end=True
    )


@dataclass(frozen=True)
class Loss(Section):
    """What is minimised."""

    name: str = setting(
        "cross_entropy", "Of the logits; squared_error is against one-hot targets.", choices=LOSSES, short=("loss",)
    )
    label_smoothing: float = setting(
        0.0, "Fraction of each target spread over all classes.", low=0, high=1, open_end=True
    )
    class_weights: str | Mapping[str, Any] = setting({}, "Factor of the loss by class: balanced, or {3: 2.0, 8: 1.5}.")

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.class_weights, str):
            check_choice("loss.class_weights", self.class_weights, ("balanced",))
            return
        for label, weight in self.class_weights.items():
            if not label.isdecimal() or isinstance(weight, bool) or not isinstance(weight, int | float) or weight < 0:
                raise RecipeError(
                    "loss.class_weights must map labels (0, 1, ...) to factors of at least 0, received "
                    f"{label}: {weight!r}. Write for example {{3: 2.0}}."
                )


@dataclass(frozen=True)
class Validation(Section):
    """What is measured after each epoch, and what follows from it."""

    split: float = setting(
        0.0, "Fraction of the training images held out, measured after each epoch.",
        low=0, high=1, open_end=True, short=("validation_split",),
    )  # fmt: skip
    on_test: bool = setting(
        False, "Watch the test images after each epoch, and select nothing by them.", short=("validate_on_test",)
    )
    monitor: str = setting("val_loss", "What early_stopping and reduce_on_plateau watch.", choices=MONITORS)
    early_stopping: int = setting(
        0, "Stop after this many epochs without improvement and keep the best epoch's weights; 0: never.", low=0
    )
    save_best: str = setting(
        "none", "Also keep the best epoch's model, by this, as best.keras.", choices=("none", *MONITORS)
    )


@dataclass(frozen=True)
class Execution(Section):
    """How the arithmetic is done."""

    precision: str = setting("float32", "Keras' dtype policy.", choices=PRECISIONS)
    xla: bool | None = setting(
        None, "Compile the step by XLA; none: what is fastest here (off on a CPU, on with a GPU)."
    )
    micro_batches: int = setting(
        0, "Micro-batches computed in parallel; 0: one per core, where that changes only the time. With 2 or more, "
        "batch normalisation sees one at a time.",
        low=0, short=("micro_batches", "shares"),
    )  # fmt: skip
