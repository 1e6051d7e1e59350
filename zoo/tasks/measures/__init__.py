"""What is measured of predictions, in NumPy alone: scores, calibration, intervals, average precision."""
