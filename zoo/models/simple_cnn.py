"""The two-convolution network of the MNIST tutorials: the smallest thing that feels like a modern CNN."""

from __future__ import annotations

from collections.abc import Sequence

from zoo.lazy import keras
from zoo.registry import register
from zoo.spec import Claim, Published, Recipe

RECIPES = {
    "default": Recipe(
        note="One-cycle Adam with the digits moved by up to a pixel: 99.41 ± 0.03 % on MNIST's test images (mean "
        "and standard deviation, n = 3 seeds).",
        epochs=5,
        learning_rate=4e-3,
        schedule="one_cycle",
        shift=1,
    ),
    "64": Recipe(
        note="The convolutional tutorial: ten passes of Adam, watching the test images.",
        epochs=10,
        batch_size=32,
        validate_on_test=True,
    ),
    "128": Recipe(
        note="The same with a dense layer of 128, a fifth of the training images held out.",
        epochs=5,
        batch_size=32,
        validation_split=0.2,
        model_options={"dense_size": 128},
    ),
    "dropout": Recipe(
        note="With dropout, up to 50 passes: the learning rate falls to a tenth when the validation loss has not "
        "improved for 3 epochs, and after 5 the best epoch's weights are taken.",
        epochs=50,
        batch_size=32,
        schedule="reduce_on_plateau",
        plateau_patience=3,
        plateau_factor=0.1,
        early_stopping=5,
        save_best="val_accuracy",
        validation_split=0.2,
        model_options={"dense_size": 128, "dropout": 0.5},
    ),
    "dropout-improved": Recipe(
        note="The same with ten passes over which the learning rate rises and falls, instead of watching the "
        "validation loss: 99.38 ± 0.02 % (n = 3 seeds).",
        epochs=10,
        batch_size=32,
        schedule="one_cycle",
        validation_split=0.2,
        model_options={"dense_size": 128, "dropout": 0.5},
    ),
}

PUBLISHED = {
    "64": Published(
        (
            Claim("test 99.05%", value=0.9905, mean=0.991440, deviation=0.000899, seeds=5),
            Claim("98.06% after epoch 1", "val_accuracy@1", value=0.9806, mean=0.984480, deviation=0.001099, seeds=5),
        )
    ),
    "128": Published(
        (Claim("more than the 97% of an mlp", value=0.97, kind="at least", mean=0.989000, deviation=0.002559, seeds=5),)
    ),
    "dropout": Published(
        (Claim("test above 99.2%", value=0.992, kind="at least", mean=0.992940, deviation=0.001137, seeds=5),)
    ),
    "dropout-improved": Published(
        (Claim("test above 99.2%", value=0.992, kind="at least", mean=0.993180, deviation=0.000669, seeds=5),),
        deviations=(
            "The learning rate rises from 0.00004 to 0.001 over a quarter of the steps and falls to nothing, where the "
            "tutorial's stays at 0.001 until the validation loss stands still.",
            "Ten passes and the last one's weights, where the tutorial's are up to 50 and the best one's.",
        ),
        improves="dropout",
    ),
}


@register(
    task="classification",
    params=121_930,
    macs=2_528_000,
    source="The convolutional network of the TensorFlow and Keras tutorials: 3x3 convolutions of 32 and 64 "
    "filters without padding, each followed by 2x2 max pooling, and a dense layer of 64.",
    min_size=(10, 10),
    recipes=RECIPES,
    published=PUBLISHED,
)
def simple_cnn(
    *,
    input_shape: tuple[int, int, int] = (28, 28, 1),
    num_classes: int = 10,
    filters: Sequence[int] = (32, 64),
    dense_size: int = 64,
    dropout: float = 0.0,
) -> keras.Model:
    """Simple CNN: two valid 3x3 convolutions with max pooling, one dense layer, logits.

    Args:
        input_shape: (height, width, channels), at least 10x10.
        num_classes: number of logits.
        filters: of the convolutions, first to last.
        dense_size: units of the dense layer.
        dropout: fraction of those units dropped in training; 0 leaves the layer out.
    """
    layers = keras.layers
    model = keras.Sequential(name="simple_cnn")
    model.add(layers.Input(input_shape, name="image"))
    for number, width in enumerate(filters, start=1):
        model.add(layers.Conv2D(width, 3, activation="relu", name=f"conv{number}"))
        model.add(layers.MaxPooling2D(2, name=f"pool{number}"))
    model.add(layers.Flatten(name="flatten"))
    model.add(layers.Dense(dense_size, activation="relu", name="dense"))
    if dropout:
        model.add(layers.Dropout(dropout, name="dropout"))
    model.add(layers.Dense(num_classes, dtype="float32", name="logits"))
    return model
