"""Classification: one label per image, softmax cross-entropy on logits, accuracy."""

from __future__ import annotations

from dataclasses import dataclass

from zoo.lazy import keras, tf


@dataclass(frozen=True)
class Classification:
    """Scores logits (N, classes), float32, against labels (N,), int64."""

    label_smoothing: float = 0.0

    def loss(self, labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        """Return the cross-entropy of each example in nats, shape (N,), float32.

        With label smoothing (Szegedy et al. 2016, "Rethinking the Inception Architecture", section 7) that
        share of each target is spread evenly over all classes.
        """
        if not self.label_smoothing:
            return tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
        num_classes = logits.shape[-1]
        spread = self.label_smoothing / num_classes
        targets = tf.one_hot(labels, num_classes, on_value=1.0 - self.label_smoothing + spread, off_value=spread)
        return tf.nn.softmax_cross_entropy_with_logits(labels=targets, logits=logits)

    def count_correct(self, labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        """Return how many of the batch are right, int32 scalar."""
        return tf.math.count_nonzero(tf.equal(tf.argmax(logits, axis=-1), labels), dtype=tf.int32)

    def keras_loss(self) -> keras.losses.Loss:
        """Return the cross-entropy as a Keras object, without label smoothing, for ``model.compile``."""
        return keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    def keras_metrics(self) -> list[keras.metrics.Metric]:
        """Return the same metrics as Keras objects, for ``model.compile``."""
        return [keras.metrics.SparseCategoricalAccuracy(name="accuracy")]
