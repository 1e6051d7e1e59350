"""my_net, a model for zoo. Importing this imports neither TensorFlow nor Keras."""

from my_net.model import my_net

__all__ = ["my_net"]
