"""What a model and a dataset must agree on before one is measured on the other: shapes, classes, range of pixels."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from zoo.data import Dataset
from zoo.errors import DataError, ModelError
from zoo.evaluation.outputs import Outputs, compute_outputs
from zoo.evaluation.subject import Ensemble, Subject
from zoo.training.own_model import takes_reshaped, with_image_input

LOOKED_AT = 500  # test images that a file of unknown origin is tried on before it is measured


def for_images_of(subject: Subject | Ensemble, dataset: Dataset) -> Subject | Ensemble:
    """Return the models with an input (N, H, W, C), where they take the same numbers as (N, H, W) or in one row."""
    if isinstance(subject, Ensemble):
        return Ensemble(tuple(_for_images_of(member, dataset) for member in subject.members))
    return _for_images_of(subject, dataset)


def _for_images_of(member: Subject, dataset: Dataset) -> Subject:
    takes = _shape(member.network, "input_shape")
    if takes is None or not takes_reshaped(takes[1:], dataset.image_shape):
        return member
    return replace(member, network=with_image_input(member.network, dataset.image_shape))


def check_fits(subject: Subject | Ensemble, dataset: Dataset) -> None:
    """Refuse a dataset whose images or labels the model cannot mean anything about.

    Raises:
        ModelError: the model does not take one image and answer with one row of numbers.
        DataError: with both shapes.
    """
    for member in subject.members:
        _check_fits(member, dataset)
    answers = [member.network.output_shape[1] for member in subject.members]
    if len(set(answers)) > 1:
        raise ModelError(
            f"The models tell apart {', '.join(map(str, answers))} classes, so their answers cannot be averaged. "
            "Name models of the same classes."
        )


def _check_fits(member: Subject, dataset: Dataset) -> None:
    label = member.place.name
    takes, answers = (_shape(member.network, end) for end in ("input_shape", "output_shape"))
    if takes is None or len(takes) != 4 or answers is None or len(answers) != 2 or answers[1] is None:
        raise ModelError(
            f"{label} takes {_shown(takes)} and answers {_shown(answers)}; an evaluation needs one input of images "
            "(N, H, W, C) and one output (N, classes). Name a classifier of images."
        )
    fits = all(wanted in (None, size) for wanted, size in zip(takes[1:], dataset.image_shape, strict=True))
    if not fits or answers[1] < dataset.num_classes:
        raise DataError(
            f"{label} takes images {takes[1:]} of {answers[1]} classes, but {dataset.name} has "
            f"{dataset.image_shape} of {dataset.num_classes}. Choose a dataset of the same shape."
        )


def with_classes_of(subject: Subject | Ensemble, dataset: Dataset) -> Dataset:
    """Return the dataset with its labels counted as the model counts classes, where it has all of the dataset's.

    So a few images of one's own, in which some classes do not occur, are measured by the classes' names.
    """
    known = [_class_names(member, dataset) for member in subject.members]
    return dataset.with_classes_of(known[0]) if all(names == known[0] for names in known) else dataset


def _class_names(member: Subject, dataset: Dataset) -> tuple[str, ...]:
    """The classes that the model was trained with; of a file, which names none, those that numbers for names count."""
    if member.run is not None:
        return tuple(member.run.document["class_names"])
    numbers = [int(name) for name in dataset.class_names if name.isdecimal()]
    is_counted = len(numbers) == dataset.num_classes and max(numbers) < member.network.output_shape[1]
    return tuple(map(str, range(max(numbers) + 1))) if is_counted else dataset.class_names


def caution_about_scaling(member: Subject, dataset: Dataset) -> str | None:
    """Say so if a file of unknown origin does far better on pixels in 0..1 than on the raw ones that it is given."""
    if member.run is not None:
        return None
    few = dataset.test.take(slice(LOOKED_AT))
    raw, unit = (
        compute_outputs(lambda images, training, by=by: member.network(images * by, training=training), few.images)
        for by in (1.0, 1 / 255)
    )
    if raw.non_finite or unit.non_finite:
        return None
    (raw_hits, raw_loss), (unit_hits, unit_loss) = (_hits_and_loss(outputs, few.labels) for outputs in (raw, unit))
    if unit_hits < raw_hits or unit_loss > raw_loss / 2:
        return None
    return (
        f"{member.place.name} takes raw 0..255 images here, and does better on 0..1: of {len(few)} test images "
        f"{unit_hits:.1%} right instead of {raw_hits:.1%}, a loss of {unit_loss:.3g} instead of {raw_loss:.3g}. If it "
        "was trained on images divided by 255, save it with keras.layers.Rescaling(1 / 255) in front."
    )


def _hits_and_loss(outputs: Outputs, labels: np.ndarray) -> tuple[float, float]:
    chosen = outputs.log_probabilities()
    return float((chosen.argmax(axis=1) == labels).mean()), float(-chosen[np.arange(len(labels)), labels].mean())


def _shape(network: Any, name: str) -> tuple[Any, ...] | None:
    """The shape of a model's one input or output; None where it has several, or does not know."""
    try:
        shape = getattr(network, name)
    except (AttributeError, ValueError):
        return None
    is_one = isinstance(shape, tuple) and not any(isinstance(part, tuple | list | dict) for part in shape)
    return shape if is_one else None


def _shown(shape: tuple[Any, ...] | None) -> str:
    return "something else" if shape is None else str(shape)
