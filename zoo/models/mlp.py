"""The multilayer perceptron that MNIST tutorials begin with: no convolution, the baseline to beat."""

from __future__ import annotations

from collections.abc import Sequence

from zoo.lazy import keras
from zoo.registry import register
from zoo.spec import Recipe


@register(
    task="classification",
    params=101_770,
    macs=101_632,
    source="The first network of the TensorFlow and Keras MNIST tutorials: 784-128-10 with dropout 0.2.",
    deviations=("Ends in logits, where the tutorials' earliest version ends in a softmax.",),
    recipes={
        "default": Recipe(
            note="One-cycle Adam with the digits moved by up to a pixel: 98.52 ± 0.05 % on MNIST's test images (mean "
            "and standard deviation, n = 3 seeds), in 9 s of training on 2 CPU cores (n = 1).",
            epochs=12,
            learning_rate=5e-3,
            schedule="one_cycle",
            shift=1,
        )
    },
)
def mlp(
    *,
    input_shape: tuple[int, int, int] = (28, 28, 1),
    num_classes: int = 10,
    hidden_sizes: Sequence[int] = (128,),
    dropout: float = 0.2,
    activation: str = "relu",
) -> keras.Model:
    """Multilayer perceptron: flattened pixels, hidden layers with dropout after the last, logits.

    Args:
        input_shape: (height, width, channels).
        num_classes: number of logits.
        hidden_sizes: units of each hidden layer, first to last.
        dropout: share of the last hidden layer's units dropped in training; 0 leaves the layer out.
        activation: of the hidden layers, by Keras name.
    """
    layers = keras.layers
    model = keras.Sequential(name="mlp")
    model.add(layers.Input(input_shape, name="image"))
    model.add(layers.Flatten(name="flatten"))
    for number, units in enumerate(hidden_sizes, start=1):
        model.add(layers.Dense(units, activation=activation, name=f"hidden{number}"))
    if dropout:
        model.add(layers.Dropout(dropout, name="dropout"))
    model.add(layers.Dense(num_classes, dtype="float32", name="logits"))
    return model
