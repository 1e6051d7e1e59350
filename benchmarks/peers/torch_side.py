"""PyTorch by its own advice for a CPU: data in memory, batches by permutation, fused Adam, autocast for bfloat16."""

from __future__ import annotations

import numpy as np
import torch
from networks import NETWORKS, Convolution, Dense, Dropout, Flatten, Layer, Pool, kernels
from side import BETAS, EPSILON, EVALUATION_BATCH, LEARNING_RATE, Side, Sums, Work, scaled
from torch import nn

ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh}


class TorchLoop:
    """A loop of eager steps, or of steps whose forward and backward pass is compiled; see `side.Side`."""

    def __init__(self, work: Work, *, channels_last: bool, compiled: bool) -> None:
        torch.set_num_threads(work.threads)
        torch.manual_seed(work.seed)
        layers = NETWORKS[work.model](**work.options)
        self.work, self._kernels = work, kernels(layers)
        self.model = nn.Sequential(*[module for layer in layers for module in _modules(layer)])
        self.params = sum(parameter.numel() for parameter in self.model.parameters())
        self._set_weights()
        if channels_last:
            self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimizer = torch.optim.Adam(
            self.model.parameters(), lr=LEARNING_RATE, betas=BETAS, eps=EPSILON, fused=True
        )
        # One shape at a time: the short batch at the end must not make a variable of the others' size.
        self._forward = torch.compile(self._score, dynamic=False) if compiled else self._score

    def load(self, images: np.ndarray, labels: np.ndarray) -> None:
        self.images, self.labels = _tensor(images), torch.from_numpy(np.ascontiguousarray(labels))

    def train(self) -> Sums:
        self.model.train()
        losses, correct = torch.zeros((), dtype=torch.float64), torch.zeros((), dtype=torch.int64)
        for rows in torch.randperm(len(self.labels)).split(self.work.batch_size):
            loss, hits = self._forward(self.images[rows], self.labels[rows])
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            losses += loss.detach() * len(rows)
            correct += hits
        return Sums(losses.item(), int(correct))

    def count_correct(self, images: np.ndarray, labels: np.ndarray) -> int:
        self.model.eval()
        with torch.no_grad():
            batches = _tensor(images).split(EVALUATION_BATCH)
            classes = torch.cat([self._logits(batch).argmax(dim=1) for batch in batches])
        return int((classes.numpy() == labels).sum())

    def weights(self) -> list[np.ndarray]:
        arrays = [parameter.detach().numpy() for parameter in self.model.parameters()]
        for index, (height, width, channels, units) in enumerate(self._kernels):
            kernel = arrays[2 * index]
            turned = kernel.reshape(units, channels, height, width).transpose(2, 3, 1, 0)
            arrays[2 * index] = turned if kernel.ndim == 4 else turned.reshape(-1, units)
        return arrays

    def _set_weights(self) -> None:
        arrays = list(self.work.weights)
        for index, shape in enumerate(self._kernels):
            arrays[2 * index] = arrays[2 * index].reshape(shape).transpose(3, 2, 0, 1)
        with torch.no_grad():
            for parameter, array in zip(self.model.parameters(), arrays, strict=True):
                parameter.copy_(torch.from_numpy(np.ascontiguousarray(array)).reshape(parameter.shape))

    def _logits(self, images: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.work.precision == "bfloat16"):
            logits: torch.Tensor = self.model(images)
        return logits.float()

    def _score(self, images: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the mean loss of a batch and how many of it are right."""
        logits = self._logits(images)
        return nn.functional.cross_entropy(logits, labels), (logits.argmax(dim=1) == labels).sum()


def _tensor(images: np.ndarray) -> torch.Tensor:
    """Return scaled images as (N, C, H, W)."""
    return torch.from_numpy(np.ascontiguousarray(scaled(images).transpose(0, 3, 1, 2)))


def _modules(layer: Layer) -> list[nn.Module]:
    match layer:
        case Convolution():
            padding = layer.size // 2 if layer.padded else 0
            convolution = nn.Conv2d(layer.channels_in, layer.channels, layer.size, padding=padding)
            return [convolution, ACTIVATIONS[layer.activation]()]
        case Pool():
            return [nn.AvgPool2d(2) if layer.kind == "average" else nn.MaxPool2d(2)]
        case Flatten():
            return [nn.Flatten()]
        case Dense():
            activation = [ACTIVATIONS[layer.activation]()] if layer.activation else []
            return [nn.Linear(layer.units_in, layer.units), *activation]
        case Dropout():
            return [nn.Dropout(layer.share)]


def prepare(work: Work, variant: str) -> Side:
    """Return the side; `variant` is eager or compile, and may add channels_last."""
    return TorchLoop(work, channels_last="channels_last" in variant, compiled="compile" in variant)
