"""Training: from a model's name and a recipe to a run folder."""

from zoo.training.saving import load_run
from zoo.training.trainer import train, train_seeds

__all__ = ["load_run", "train", "train_seeds"]
