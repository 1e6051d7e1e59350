"""Backbones for detectors and segmenters: the feature maps of any classifier in the zoo."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from zoo import registry
from zoo.errors import ModelError
from zoo.lazy import keras

Options = Mapping[str, Any]

VGG_SMALL: Mapping[str, Options] = {"vgg_small": {"filters": [16, 32, 64]}}
"""The usual options of the backbone of our own small variants: half its filters."""


def stages(
    backbone: str,
    options: Options | None,
    input_shape: tuple[int, int, int],
    *,
    usual: Mapping[str, Options],
    strides: Sequence[int] = (),
) -> tuple[keras.KerasTensor, dict[int, keras.KerasTensor]]:
    """Build a classifier without its head.

    Args:
        backbone: the name of a classifier that returns its maps with ``features=True``.
        options: passed to its builder; None for those that `usual` has for it, if any.
        input_shape: (height, width, channels).
        usual: options by the backbone's name.
        strides: of maps that it must have.

    Returns:
        The image, and maps (N, H, W, C) by their strides, the finest first.

    Raises:
        ModelError: it returns no maps, not all of those strides, or smaller ones than the image has places.
    """
    spec, chosen = registry.get(backbone), usual.get(backbone, {}) if options is None else options
    if "features" not in spec.options:
        raise ModelError(f"{backbone} does not return its maps: it has no option 'features'. Choose another backbone.")
    trunk = spec.build(input_shape=input_shape, features=True, **chosen)
    by_stride = {int(name.removeprefix("stride_")): maps for name, maps in trunk.output.items()}
    absent = [stride for stride in strides if stride not in by_stride]
    if absent:
        raise ModelError(
            f"{backbone} has maps of strides {', '.join(map(str, sorted(by_stride)))}, and "
            f"{', '.join(map(str, absent))} is wanted. Choose another backbone."
        )
    for stride in strides:
        got, wanted = by_stride[stride].shape[1:3], tuple(math.ceil(side / stride) for side in input_shape[:2])
        if got != wanted:
            raise ModelError(
                f"{backbone} has a map of {got[0]}x{got[1]} at stride {stride}, where {wanted[0]}x{wanted[1]} is "
                f"wanted for images of {input_shape[0]}x{input_shape[1]}: it pads less. Choose another backbone."
            )
    return trunk.inputs[0], dict(sorted(by_stride.items()))
