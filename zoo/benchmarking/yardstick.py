"""A fixed workload, timed between steps: it tells a slower machine from slower code."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

SIDE = 64  # of the matrix: 16 KiB, so that it is never the memory that is measured
OPERATIONS = 60
CALLS = 10


def yardstick() -> Callable[[], None]:
    """Return work that takes some milliseconds on a CPU and ends when the device has ended it.

    A chain of small operations, as the steps of small networks are: what a shared machine takes away from those (time
    on a core, and the waking of threads) it takes from these. Between stretches of 18 s on two shared cores the
    training step of a LeNet-5 varied by 7% (standard deviation of logarithms), these chains by 6%, with a correlation
    of 0.97, and the quotient by 3%; a large matrix product varied by 2.5%, too little to make up for it.
    """

    def chain(values: tf.Tensor) -> tf.Tensor:
        for _ in range(OPERATIONS):
            values = tf.tanh(values) * 1.01
        return tf.reduce_sum(values)

    compiled = tf.function(chain, autograph=False)
    start = tf.random.stateless_normal((SIDE, SIDE), seed=(0, 0))

    def work() -> None:
        for _ in range(CALLS):
            answer = compiled(start)
        float(answer)  # waits for the device

    work()
    return work
