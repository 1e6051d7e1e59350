"""Check that a model and a dataset fit together: image shape, classes, pixel range."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from zoo.data import Dataset
from zoo.errors import DataError, ModelError
from zoo.evaluation.subject import Ensemble, Subject
from zoo.inference import ForwardPass
from zoo.tasks.measures.probabilities import log_probabilities, non_finite
from zoo.training.own_model import takes_reshaped, with_image_input

LOOKED_AT = 500  # test images that a file of unknown origin is tried on before it is measured


def matched(subject: Subject | Ensemble, dataset: Dataset) -> tuple[Subject | Ensemble, Dataset]:
    """Return the models and the dataset as they fit each other.

    A model that takes the same numbers as (N, H, W) or in one row gets an input (N, H, W, C). Labels are counted as the
    model counts its classes, where it has all of the dataset's: so a few images of one's own, in which some classes do
    not occur, are measured by the classes' names.

    Raises:
        ModelError: the models cannot be evaluated, or not together.
        DataError: the images have another shape than the model takes, or more classes than it tells apart.
    """
    members = [_for_images_of(member, dataset) for member in subject.members]
    for member in members:
        _check_fits(member, dataset)
    counts = sorted({member.num_classes for member in members})
    if len(counts) > 1:
        raise ModelError(
            f"The models tell apart {', '.join(map(str, counts))} classes, so their predictions cannot be averaged. "
            "Name models of the same classes."
        )
    names = {_class_names(member, dataset) for member in members}
    if len(names) == 1:
        dataset = dataset.with_classes_of(*names)
    return (members[0] if len(members) == 1 else Ensemble(tuple(members))), dataset


def _for_images_of(member: Subject, dataset: Dataset) -> Subject:
    takes = member.shape("input_shape")
    if takes is None or not takes_reshaped(takes[1:], dataset.image_shape):
        return member
    return replace(member, network=with_image_input(member.network, dataset.image_shape))


def _check_fits(member: Subject, dataset: Dataset) -> None:
    member.task.check_evaluated(member.path.name, member.network)
    takes = member.shape("input_shape") or ()
    fits = all(wanted in (None, size) for wanted, size in zip(takes[1:], dataset.image_shape, strict=True))
    if not fits:
        raise DataError(
            f"{member.path.name} takes images {takes[1:]}, but {dataset.name} has {dataset.image_shape}. Choose a "
            "dataset of the same shape."
        )
    if not member.task.takes_classes(member.num_classes, dataset.num_classes):
        raise DataError(
            f"{member.path.name} tells {member.num_classes} classes apart, but {dataset.name} has "
            f"{dataset.num_classes}. Use others."
        )


def _class_names(member: Subject, dataset: Dataset) -> tuple[str, ...]:
    """The classes that the model was trained with; of a file, which names none, those that numbers for names count."""
    if member.run is not None:
        return tuple(member.run.document["class_names"])
    numbers = [int(name) for name in dataset.class_names if name.isdecimal()]
    is_counted = len(numbers) == dataset.num_classes and max(numbers) < member.num_classes
    return tuple(map(str, range(max(numbers) + 1))) if is_counted else dataset.class_names


def cautions_of(members: Sequence[Subject], dataset: Dataset) -> list[str]:
    """Return what to know about the numbers of an evaluation, one sentence each."""
    lines = [caution_about_scaling(member, dataset) for member in members]
    if any(member.same_data(dataset) is False for member in members):
        lines.append(
            f"These test images of {dataset.name} are not the ones that the run was measured on: their digests differ."
        )
    return [line for line in lines if line]


def caution_about_scaling(member: Subject, dataset: Dataset) -> str | None:
    """Return a warning if a file of unknown origin does far better on pixels in 0..1 than on raw ones."""
    if member.run is not None:
        return None
    few = dataset.test.take(slice(LOOKED_AT))
    raw, unit = (
        _outputs(lambda images, training, by=by: member.network(images * by, training=training), few.images)
        for by in (1.0, 1 / 255)
    )
    if non_finite(raw) or non_finite(unit):
        return None
    labels = member.task.targets(dataset, few)
    (raw_hits, raw_loss), (unit_hits, unit_loss) = (_hits_and_loss(outputs, labels) for outputs in (raw, unit))
    if unit_hits < raw_hits or unit_loss > raw_loss / 2:
        return None
    return (
        f"{member.path.name} takes raw 0..255 images here, and does better on 0..1: of {len(few)} test images "
        f"{unit_hits:.1%} right instead of {raw_hits:.1%}, a loss of {unit_loss:.3g} instead of {raw_loss:.3g}. If it "
        "was trained on images divided by 255, save it with keras.layers.Rescaling(1 / 255) in front."
    )


def _outputs(model: Callable[..., Any], images: np.ndarray) -> np.ndarray:
    return np.concatenate(list(ForwardPass(model, images.shape[1:]).over(images, LOOKED_AT)))


def _hits_and_loss(outputs: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    chosen = log_probabilities(outputs)
    return float((chosen.argmax(axis=1) == labels).mean()), float(-chosen[np.arange(len(labels)), labels].mean())
