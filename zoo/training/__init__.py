"""Training: from a model's name and a recipe to a run folder. `zoo.training.trainer.train` is where it begins."""
