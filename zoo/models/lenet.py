"""LeNet-5, the convolutional network that read cheques (LeCun, Bottou, Bengio, Haffner 1998)."""

from __future__ import annotations

from zoo.errors import ModelError
from zoo.lazy import keras
from zoo.registry import register
from zoo.spec import Claim, Paper, Published, Recipe

GRADIENT_BASED_LEARNING = Paper(
    title="Gradient-Based Learning Applied to Document Recognition",
    authors="Y. LeCun, L. Bottou, Y. Bengio, P. Haffner",
    year=1998,
    venue="Proceedings of the IEEE 86(11)",
    url="http://yann.lecun.com/exdb/publis/pdf/lecun-98.pdf",
)

RECIPES = {
    "default": Recipe(
        note="One-cycle Adam with the digits moved by up to a pixel: 99.14 ± 0.13 % on MNIST's test images (mean "
        "and standard deviation, n = 3 seeds).",
        epochs=10,
        learning_rate=5e-3,
        schedule="one_cycle",
        shift=1,
    ),
    "speedrun": Recipe(
        note="To 99% in two epochs: ReLU, max pooling, short memories in Adam: 99.15 ± 0.06 % (n = 3 seeds).",
        epochs=2,
        learning_rate=8e-3,
        schedule="one_cycle",
        label_smoothing=0.1,
        optimizer_options={"beta_1": 0.8, "beta_2": 0.95},
        model_options={"activation": "relu", "pooling": "max"},
    ),
    "paper": Recipe(
        note="Twenty passes of gradient descent, pixels at mean 0 and deviation 1, nothing added to the data: the "
        "training of the paper's section III.B, as far as zoo has its parts.",
        epochs=20,
        batch_size=32,
        optimizer="sgd",
        learning_rate=0.05,
        schedule="cosine",
        scaling="standard",
    ),
}

START = "Weights start by Glorot's rule, where the paper draws them uniformly from -2.4/F to 2.4/F of fan-in F."
PUBLISHED = {
    "paper": Published(
        (Claim("test error 0.95%", value=0.9905, mean=0.991560, deviation=0.000329, seeds=5),),
        source="LeCun et al. 1998, section III.B: 60,000 training images, without distortions.",
        deviations=(
            "The gradient's step is the same for every weight, where the paper scales each by an estimate of its "
            "second derivative (stochastic diagonal Levenberg-Marquardt).",
            "One update per 32 images, where the paper's comes after each image.",
            "The learning rate falls along a cosine, where the paper's falls in five steps.",
            "The loss is the softmax cross-entropy, where the paper's is the squared distance to fixed codes of 84 "
            "pixels, with a term that pushes the wrong ones away (equation 9).",
            START,
        ),
    ),
}


@register(
    task="classification",
    params=61_706,
    macs=416_520,
    paper=GRADIENT_BASED_LEARNING,
    deviations=(
        "C3 connects to all six maps of S2, where the paper's Table I connects each map to some of them: "
        "2,416 parameters instead of 1,516.",
        "S2 and S4 are plain averages, where the paper's subsampling has a trained coefficient and bias per "
        "map followed by the squashing function.",
        "The squashing function is tanh, where the paper scales it: 1.7159 tanh(2x/3).",
        "The output is a dense layer of logits, where the paper uses radial basis functions on fixed codes.",
        START,
        "C1 pads a 28x28 image by two pixels, where the paper's input is the digit placed in 32x32.",
    ),
    min_size=(12, 12),
    recipes=RECIPES,
    published=PUBLISHED,
)
def lenet5(
    *,
    input_shape: tuple[int, int, int] = (28, 28, 1),
    num_classes: int = 10,
    activation: str = "tanh",
    pooling: str = "average",
) -> keras.Model:
    """LeNet-5: two convolutions with pooling, three dense layers (paper, figure 2).

    Args:
        input_shape: (height, width, channels), at least 12x12.
        num_classes: number of logits.
        activation: tanh as published; relu is the usual modern choice.
        pooling: average as published, or max.
    """
    layers = keras.layers
    if pooling not in ("average", "max"):
        raise ModelError(f"lenet5's pooling must be average or max, received '{pooling}'. Choose one of them.")
    pool = layers.AveragePooling2D if pooling == "average" else layers.MaxPooling2D
    return keras.Sequential(
        [
            layers.Input(input_shape, name="image"),
            layers.Conv2D(6, 5, padding="same", activation=activation, name="c1"),
            pool(2, name="s2"),
            layers.Conv2D(16, 5, activation=activation, name="c3"),
            pool(2, name="s4"),
            layers.Flatten(name="flatten"),
            layers.Dense(120, activation=activation, name="c5"),
            layers.Dense(84, activation=activation, name="f6"),
            layers.Dense(num_classes, dtype="float32", name="logits"),
        ],
        name="lenet5",
    )
