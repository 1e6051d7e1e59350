"""Where data sets come from: the package index, TensorFlow Datasets, scikit-learn, drawn scenes."""
