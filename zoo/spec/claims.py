"""Published accuracies of recipes, and zoo's own measurements of them, as validated frozen values."""

from __future__ import annotations

import re
from dataclasses import dataclass

from zoo.errors import ModelError
from zoo.spec.recipe import check_choice

KINDS = ("exact", "at least", "about")
METRIC = re.compile(r"test_accuracy|train_accuracy|val_accuracy@([1-9][0-9]*)")


@dataclass(frozen=True)
class Claim:
    """One accuracy that a recipe's source states, beside what zoo has measured for it.

    `zoo reproduce` trains the recipe again and compares its result with both. Accuracies are fractions, 0 to 1.

    Raises:
        ModelError: an unknown kind or metric, a value outside 0 to 1, or a mean without its deviation and seeds.
    """

    text: str  # in the source's words; empty where it states nothing
    metric: str = "test_accuracy"  # or train_accuracy (the last epoch's running mean), or val_accuracy@N after epoch N
    value: float | None = None  # the fraction that the text states: 0.98
    kind: str = "exact"  # how the text states it: exact ("97.85%"), at least ("above 98%"), about ("about 97%")
    mean: float | None = None  # measured here over `seeds` seeds; None: not yet
    deviation: float | None = None  # sample standard deviation between those seeds
    seeds: int = 0

    def __post_init__(self) -> None:
        check_choice("a claim's kind", self.kind, KINDS, ModelError)
        if not METRIC.fullmatch(self.metric):
            raise ModelError(
                "a claim's metric must be test_accuracy, train_accuracy or val_accuracy@N with an epoch N from 1 on, "
                f"received '{self.metric}'. Change it."
            )
        for name in ("value", "mean"):
            share = getattr(self, name)
            if share is not None and not 0 <= share <= 1:
                raise ModelError(f"a claim's {name} must be a share from 0 to 1, received {share!r}. Divide it by 100.")
        if self.mean is not None and (self.deviation is None or self.seeds < 2):
            raise ModelError(
                f"a claim's mean {self.mean} needs its deviation and at least 2 seeds, received deviation "
                f"{self.deviation} and seeds {self.seeds}. 'zoo reproduce NAME --seeds 5 --seed 100' prints all three."
            )


@dataclass(frozen=True)
class Published:
    """What the source of a recipe claims for it, claim by claim."""

    claims: tuple[Claim, ...]
    source: str = ""
    deviations: tuple[str, ...] = ()  # where the recipe differs from the source
    improves: str = ""  # the recipe whose missed claim this one reaches


@dataclass(frozen=True)
class Counted:
    """What somebody else has counted: multiply-accumulates of one image's forward pass."""

    macs: float
    source: str  # who, where, and of which variant
