"""Training: from a model's name and a recipe to a run folder. Start reading at `zoo.training.trainer.train`."""
