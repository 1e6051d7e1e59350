"""`Run`, a finished training run, and `RunDocument`, its record."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from zoo.errors import RunError
from zoo.spec.recipe import Recipe, plain

if TYPE_CHECKING:
    from zoo.data.appearance import Preprocessing

SCHEMA = "zoo.run/1"


class RunDocument(TypedDict, total=False):
    """The content of ``run.json``; ``run.schema.json`` in this folder describes each key.

    A stopped run has only the keys that are known before training; older versions may lack some.
    """

    schema: str
    model: str
    builder: str
    task: str
    dataset: str
    data_dir: str | None
    seed: int
    recipe: str
    recipe_values: Mapping[str, Any]
    limit: int | None
    tensorboard: bool
    preprocessing: Mapping[str, Any]
    device: str
    device_name: str
    precision: str
    xla: bool
    deterministic: bool
    threads: Mapping[str, int]
    side_by_side: int
    class_names: Sequence[str]
    images: Mapping[str, int]
    environment: Mapping[str, Any]
    continued_at: Sequence[int]
    metrics: Mapping[str, float]
    timing: Mapping[str, float]
    params: int
    selected_epoch: int | None
    history: Sequence[Mapping[str, float]]
    run: str


@dataclass(frozen=True)
class Run:
    """A finished training run: its folder, its metrics, and the trained model.

    `document` is the output of ``zoo train --json`` and the content of ``run.json``. A run can be pickled and sent to
    another process: the model is left out, and read from the folder when it is first used there.
    """

    folder: Path
    document: RunDocument
    recipe: Recipe
    load: Callable[[], Any] = field(repr=False, compare=False)

    @functools.cached_property
    def model(self) -> Any:
        """The trained ``keras.Model``: raw images (N, H, W, C) in 0..255 to float32 logits (N, classes).

        It computes in float32, in whatever precision it was trained: a run's metrics are those of this model.
        """
        return self.load()

    def __getstate__(self) -> dict[str, Any]:
        """Return the state to pickle or copy, without the model."""
        return {name: value for name, value in vars(self).items() if name != "model"}

    @property
    def metrics(self) -> Mapping[str, float]:
        """Test and validation metrics: `test_accuracy`, `test_loss`, `validation_accuracy` ..."""
        return self.document["metrics"]

    @property
    def preprocessing(self) -> Preprocessing:
        """How a picture is prepared for the model; a run that does not record it follows its dataset's name.

        Raises:
            RunError: what ``run.json`` holds is no such thing.
        """
        from zoo.data.appearance import Preprocessing

        if "preprocessing" not in self.document:
            return Preprocessing.by_name(self.document["dataset"])
        try:
            return Preprocessing.from_dict(self.document["preprocessing"])
        except (ValueError, TypeError, AttributeError) as error:
            raise RunError(
                f"{self.folder / 'run.json'} cannot be read: {error}. Train again, or take the field out."
            ) from error

    def to_dict(self) -> dict[str, Any]:
        """Return the document as plain JSON values."""
        document: dict[str, Any] = plain(self.document)
        return document
