"""The interface of a detector."""

from __future__ import annotations

from abc import ABC, abstractmethod

from zoo.lazy import tf

SIZE_LIMIT = 4.0  # of the logarithm of a predicted size: what is larger is nonsense, and its square infinite


class Detector(ABC):
    """Compares a network's outputs with the boxes that are there, and reads boxes out of its outputs."""

    @abstractmethod
    def output_shape(self, image_shape: tuple[int, ...], num_classes: int) -> tuple[int, ...]:
        """Return the shape that the network's output must have, N aside."""

    @abstractmethod
    def loss(self, objects: tf.Tensor, outputs: tf.Tensor, image_shape: tuple[int, ...]) -> tf.Tensor:
        """Return the loss of each image, (N,), float32.

        Args:
            objects: float32 (N, M, 5).
            outputs: float32 (N, ...), of the shape of `output_shape`.
            image_shape: (height, width, channels).
        """

    @abstractmethod
    def decode(self, outputs: tf.Tensor, image_shape: tuple[int, ...]) -> tuple[tf.Tensor, tf.Tensor]:
        """Return all boxes that the outputs hold, (N, P, 4), and each one's score for each class, (N, P, classes)."""
