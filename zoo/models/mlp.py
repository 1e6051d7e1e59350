"""The multilayer perceptron that MNIST tutorials begin with: no convolution, the baseline to beat."""

from __future__ import annotations

from collections.abc import Sequence

from zoo.lazy import keras
from zoo.registry import register
from zoo.spec import Claim, Published, Recipe

RECIPES = {
    "default": Recipe(
        note="One-cycle Adam with the digits moved by up to a pixel: 98.55 ± 0.08 % on MNIST's test images (mean "
        "and standard deviation, n = 3 seeds).",
        epochs=12,
        learning_rate=5e-3,
        schedule="one_cycle",
        shift=1,
    ),
    "dropout": Recipe(
        note="The beginners' tutorial: one hidden layer of 128, dropout, five passes of Adam.",
        epochs=5,
        batch_size=32,
    ),
    "dropout-improved": Recipe(
        note="The beginners' tutorial with a rate that rises to 0.003 and falls again, and the digits moved by up to a "
        "pixel: 98.34 ± 0.10 % (n = 3 seeds) in the same five passes, where the tutorial's constant 0.001 reaches "
        "97.76 ± 0.16 %. The schedule alone reaches 98.05 ± 0.08 %, the moving alone 98.01 ± 0.09 %.",
        epochs=5,
        batch_size=32,
        learning_rate=3e-3,
        schedule="one_cycle",
        shift=1,
    ),
    "512": Recipe(
        note="One wide hidden layer and RMSprop.",
        epochs=5,
        optimizer="rmsprop",
        model_options={"hidden_sizes": [512], "dropout": 0.0},
    ),
    "128-64": Recipe(
        note="Two hidden layers, 48,000 images to train on and 12,000 to validate with.",
        epochs=5,
        batch_size=32,
        validation_split=0.2,
        model_options={"hidden_sizes": [128, 64], "dropout": 0.0},
    ),
    "mean-square": Recipe(
        note="The tutorial that writes its own loop: plain SGD on the squared error against one-hot targets, summed "
        "over a batch of 32 and divided by 32, ten passes in the files' order.",
        epochs=10,
        batch_size=32,
        optimizer="sgd",
        learning_rate=0.01,
        loss="squared_error",
        shuffle=False,
        model_options={"hidden_sizes": [256, 128], "dropout": 0.0},
    ),
}

PUBLISHED = {
    "dropout": Published(
        (Claim("test above 98%", value=0.98, kind="at least", mean=0.977280, deviation=0.001322, seeds=5),)
    ),
    "dropout-improved": Published(
        (Claim("test above 98%", value=0.98, kind="at least", mean=0.983200, deviation=0.000354, seeds=5),),
        deviations=(
            "The learning rate rises from 0.00012 to 0.003 over a quarter of the steps and falls to nothing, where the "
            "tutorial's stays at 0.001.",
            "Each batch of digits is moved by up to a pixel, where the tutorial's stay in place.",
        ),
        improves="dropout",
    ),
    "512": Published((Claim("test 97.85%", value=0.9785, mean=0.979380, deviation=0.001246, seeds=5),)),
    "128-64": Published(
        (Claim("test about 97%", value=0.97, kind="about", mean=0.973800, deviation=0.002754, seeds=5),)
    ),
    "mean-square": Published(
        (
            Claim(
                "train about 97%",
                "train_accuracy",
                value=0.97,
                kind="about",
                mean=0.970387,
                deviation=0.000895,
                seeds=5,
            ),
            Claim("", mean=0.967320, deviation=0.000626, seeds=5),
        )
    ),
}


@register(
    task="classification",
    params=101_770,
    macs=101_632,
    source="The first network of the TensorFlow and Keras MNIST tutorials: 784-128-10 with dropout 0.2.",
    deviations=("Ends in logits, where the tutorials' earliest version ends in a softmax.",),
    recipes=RECIPES,
    published=PUBLISHED,
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
        dropout: fraction of the last hidden layer's units dropped in training; 0 leaves the layer out.
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
