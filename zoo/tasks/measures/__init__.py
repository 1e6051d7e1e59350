"""Metrics of predictions, without TensorFlow: scores, calibration, intervals, average precision."""
