"""Reports: records in, text and pictures out. Pure: nothing here imports TensorFlow or Keras."""
