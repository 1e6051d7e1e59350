"""A trained model's answers for image files."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from zoo import registry
from zoo.data.appearance import Preprocessing
from zoo.errors import ImageError, ModelError, RunError
from zoo.evaluation.outputs import Outputs
from zoo.evaluation.picture_names import picture_paths
from zoo.files import atomic_path
from zoo.imaging.load import load_image, prepare_photo
from zoo.imaging.preparation import Prepare, Shape, caution_of, preparation
from zoo.report.shared.text import printable
from zoo.runs.folder import load_run
from zoo.spec import Run
from zoo.tasks import task_for
from zoo.tasks.task import SceneTask

SCHEMA, SCENE_SCHEMA = "zoo.predictions/1", "zoo.scene_predictions/1"

BATCH = 128
"""Images per call of the model: more would only take more memory."""


@dataclass(frozen=True)
class Prediction:
    """What a model says one image file shows."""

    path: str
    label: str
    index: int
    probabilities: tuple[float, ...]
    """One per class, in the classes' order; they sum to 1."""

    def to_dict(self) -> dict[str, Any]:
        """Return the fields, ready for JSON."""
        return asdict(self) | {"probabilities": list(self.probabilities)}


def predict(
    run: Run | str | Path,
    images: Sequence[str | os.PathLike[str]],
    *,
    output: str | Path | None = None,
    announce: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Ask a run's model about image files, each prepared as the images it was trained on were.

    How, was measured on those images and is recorded in the run (`zoo.data.appearance`): drawings in MNIST's manner go
    through MNIST's own preparation (`prepare_digit`), anything else is resized.

    Args:
        run: a `Run`, its folder, or the folder's name inside ``runs/``.
        images: files.
        output: for a model that finds places in images, the folder for its pictures; the current one if not given.
        announce: told of each picture that is light where the training images are dark, or the other way; without it,
            that is a Python warning.

    Returns:
        A JSON-able document: `class_names`, and `predictions`, one per file in the same order. A classifier's hold
        `label` and `probabilities`; those of a detector `objects`, of a segmenter `pixels`, and both a `picture`.

    Raises:
        RunError: there is no such run, or its model or its record cannot be read.
        ImageError: a file cannot be read as an image; the message names it. Or a picture cannot be written.
    """
    run = run if isinstance(run, Run) else load_run(run)
    document = run.document
    kind = task_for(document["task"])
    if issubclass(kind, SceneTask):
        return predict_scenes(run, kind, images, Path(output or "."))
    preprocessing, tell = _preprocessing(run), announce or warnings.warn

    def look(path: str | os.PathLike[str], image: np.ndarray) -> None:
        if caution := caution_of(preprocessing, image):
            tell(f"{printable(path)}: {caution}")

    predictions = predict_images(
        run.model,
        images,
        image_shape=tuple(run.model.input_shape[1:]),
        class_names=document["class_names"],
        prepare=preparation(preprocessing),
        look=look,
    )
    return {
        "schema": SCHEMA,
        "run": str(run.folder),
        "model": document["model"],
        "class_names": list(document["class_names"]),
        "predictions": [prediction.to_dict() for prediction in predictions],
    }


def predict_images(
    model: Any,
    paths: Sequence[str | os.PathLike[str]],
    *,
    image_shape: Shape,
    class_names: Sequence[str],
    prepare: Prepare,
    look: Callable[[str | os.PathLike[str], np.ndarray], None] | None = None,
) -> list[Prediction]:
    """Classify image files, one `Prediction` for each path, in the same order.

    Args:
        model: takes raw 0..255 images (N, H, W, C), float32, and returns logits (N, classes); or probabilities, where
            all are at least 0 and each row sums to 1.
        paths: image files. All are read before the model is asked, so a bad one costs no waiting.
        image_shape: (H, W, C) that the model takes.
        class_names: one per class.
        prepare: brings an opened image to `image_shape`, uint8: `prepare_digit`, `prepare_photo`, or
            a function of one's own.
        look: is shown each path and its prepared image.

    Raises:
        ImageError: a file cannot be read as an image, or shows no digit; the message names it.
        ModelError: the model's output is not (N, classes) logits, or not finite.
    """
    images = [prepared(path, image_shape, prepare) for path in paths]
    for path, image in zip(paths, images, strict=True):
        if look:
            look(path, image)
    predictions: list[Prediction] = []
    for start in range(0, len(images), BATCH):
        batch = np.stack(images[start : start + BATCH]).astype(np.float32)
        logits = np.asarray(model(batch, training=False)).astype(np.float64)
        _check_logits(logits, len(batch), len(class_names))
        are_probabilities = Outputs(logits, 0.0).kind == "probabilities"
        rows = logits if are_probabilities else softmax(logits)
        for path, row in zip(paths[start : start + BATCH], rows, strict=True):
            index = int(row.argmax())
            predictions.append(Prediction(os.fspath(path), class_names[index], index, tuple(row.tolist())))
    return predictions


def softmax(logits: np.ndarray) -> np.ndarray:
    """Return probabilities for finite logits, both float64 (N, classes); big logits do not overflow."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def predict_scenes(
    run: Run, kind: type[SceneTask], paths: Sequence[str | os.PathLike[str]], folder: Path
) -> dict[str, Any]:
    """Say what places a run's model finds in image files, and draw each into ``<name>-<model>.png`` in `folder`.

    `zoo.evaluation.picture_names` tells images of one name apart. Places are given in the pixels of the file. Returns
    and raises as `predict`.
    """
    document = run.document
    shape, names = tuple(run.model.input_shape[1:]), kind.named(document["class_names"])
    task = kind.of(run.recipe, np.zeros(0), len(names), spec=registry.get(document["model"]), image_shape=shape)
    images = [prepared(path, shape, prepare_photo) for path in paths]
    predictions = []
    pictures = picture_paths(paths, document["model"], folder)
    for path, image, picture in zip(paths, images, pictures, strict=True):
        (answer,) = task.read(np.asarray(run.model(image[None].astype(np.float32), training=False)))
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with atomic_path(picture) as temporary:
                Image.fromarray(task.draw(image, answer, names)).save(temporary, "PNG")
        except OSError as error:
            raise ImageError(
                f"{picture} cannot be written: {error.strerror or error}. Choose another --output."
            ) from error
        size = load_image(path).size
        said = task.describe(answer, names, (size[1], size[0], shape[2]))
        predictions.append({"path": os.fspath(path), "picture": str(picture), **said})
    return {
        "schema": SCENE_SCHEMA,
        "run": str(run.folder),
        "model": document["model"],
        "class_names": list(names),
        "predictions": predictions,
    }


def prepared(path: str | os.PathLike[str], image_shape: Shape, prepare: Prepare) -> np.ndarray:
    image = load_image(path)
    try:
        return prepare(image, image_shape)
    except ImageError as error:  # it knows the picture, not the file that it came from
        raise ImageError(f"{printable(path)}: {error}") from error


def _preprocessing(run: Run) -> Preprocessing:
    """How the run's training images looked; a run that does not record it follows its data set's name."""
    document = run.document
    if "preprocessing" not in document:
        return Preprocessing.by_name(document["dataset"])
    try:
        return Preprocessing.from_dict(document["preprocessing"])
    except (ValueError, TypeError, AttributeError) as error:
        raise RunError(
            f"{run.folder / 'run.json'} cannot be read: {error}. Train again, or take the field out."
        ) from error


def _check_logits(logits: np.ndarray, images: int, classes: int) -> None:
    if logits.shape != (images, classes):
        raise ModelError(
            f"the model answers {images} images with an array of shape {logits.shape}; "
            f"{classes} classes need ({images}, {classes}). Was it trained on another dataset?"
        )
    if not np.isfinite(logits).all():
        raise ModelError(
            "the model answers with numbers that are not finite: its training diverged. Train it again "
            "with a lower learning rate."
        )
