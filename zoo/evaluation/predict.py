"""Predict image files with a trained model."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from zoo.errors import ImageError
from zoo.evaluation.picture_names import picture_paths
from zoo.imaging.load import load_image
from zoo.inference import Predictor
from zoo.report.shared.drawing import draw_annotations
from zoo.report.shared.text import printable
from zoo.runs.folder import load_run
from zoo.spec import Run
from zoo.utils.files import atomic_path, writing

AnyPath = str | os.PathLike[str]


def predict(
    run: Run | str | Path,
    images: Sequence[AnyPath],
    *,
    output: str | Path | None = None,
    announce: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Run a run's model on image files, each prepared as the images it was trained on were.

    How, was measured on those images and is recorded in the run (`zoo.data.appearance`): drawings in MNIST's manner go
    through MNIST's own preparation (`prepare_digit`), anything else is resized.

    Args:
        run: a `Run`, its folder, or the folder's name inside ``runs/``.
        images: files. All are read before the model is run, so a bad one costs no waiting.
        output: for a model that finds places in images, the folder for its pictures; the current one if not given.
        announce: told of each picture that is light where the training images are dark, or the other way; without it,
            that is a Python warning.

    Returns:
        A JSON-able document: `class_names`, and `predictions`, one per file in the same order. A classifier's hold
        `label` and `probabilities`; those of a detector `objects`, of a segmenter `pixels`, and both a `picture`.

    Raises:
        RunError: there is no such run, or its model or its record cannot be read.
        ImageError: a file cannot be read as an image; the message names it. Or a picture cannot be written.
        ModelError: the model's outputs are not those of a finished training.
    """
    run = run if isinstance(run, Run) else load_run(run)
    predictor = Predictor.of(run)
    return {
        "schema": predictor.task.predictions_schema,
        "run": str(run.folder),
        "model": run.document["model"],
        "class_names": list(predictor.class_names),
        "predictions": predict_files(
            predictor, images, model=run.document["model"], folder=Path(output or "."), tell=announce or warnings.warn
        ),
    }


def predict_files(
    predictor: Predictor, paths: Sequence[AnyPath], *, model: str, folder: Path, tell: Callable[[str], None]
) -> list[dict[str, Any]]:
    """Return the prediction for each file, in the same order, and draw what can be drawn.

    Boxes and masks are drawn into ``<name>-<model>.png`` in `folder`; `zoo.evaluation.picture_names` tells images of
    one name apart. Positions are given in the pixels of the file. Arguments and errors otherwise as for `predict`.
    """
    sizes, inputs = [], []
    for path in paths:
        picture = load_image(path)
        sizes.append(picture.size)
        try:
            inputs.append(predictor.prepare(picture))
        except ImageError as error:  # it knows the picture, not the file that it came from
            raise ImageError(f"{printable(path)}: {error}") from error
        if caution := predictor.caution(inputs[-1]):
            tell(f"{printable(path)}: {caution}")
    described = []
    pictures = picture_paths(paths, model, folder)
    for path, size, image, prediction, drawn in zip(paths, sizes, inputs, predictor.run(inputs), pictures, strict=True):
        marked = predictor.task.annotations(prediction)
        where = {}
        if marked is not None:
            with writing(drawn, kind=ImageError), atomic_path(drawn) as temporary:
                Image.fromarray(draw_annotations(image, marked, predictor.class_names)).save(temporary, "PNG")
            where = {"picture": str(drawn)}
        described.append({"path": os.fspath(path), **where, **predictor.describe(prediction, size)})
    return described
