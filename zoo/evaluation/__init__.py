"""Evaluation: a trained model and images in, numbers and predictions out."""
