"""What all of zoo stands on: the machine described, atomic writes, a quiet start of TensorFlow, Keras' settings."""
