"""Helpers for all of zoo: machine description, atomic writes, quiet start of TensorFlow, Keras' settings."""
