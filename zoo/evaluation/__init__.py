"""Evaluation: a trained model and images in, numbers and predictions out."""

from zoo.evaluation.evaluate import evaluate
from zoo.evaluation.predict import predict

__all__ = ["evaluate", "predict"]
