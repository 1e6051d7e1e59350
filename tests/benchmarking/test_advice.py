"""Advice from a benchmark: what was fastest, what did not pay, and nothing that noise could have said."""

from __future__ import annotations

import benchmark_samples as samples

from zoo.benchmarking.advice import advise


def _rounds(step_s: float, spread: float = 0.01) -> list[list[float]]:
    """Two rounds around a step's seconds; every block within `spread` of it."""
    return [[step_s * (1 + spread * x) for x in (-1, 0, 1)], [step_s * (1 + spread * x) for x in (-0.5, 0, 0.5)]]


def _cell(precision: str = "float32", batch_size: int = 128, *, images_per_s: float, spread: float = 0.01, **facts):
    rounds = _rounds(batch_size / images_per_s, spread)
    return samples.cell(precision=precision, batch_size=batch_size, rounds=rounds, **facts)


def _advice(*cells) -> list[str]:
    return advise(samples.document(*cells))


def test_the_fastest_setting_is_named_with_its_gain():
    """Against float32 at the same batch, whatever other batches reach."""
    assert _advice(
        _cell(batch_size=128, images_per_s=15_000),
        _cell(batch_size=512, images_per_s=19_000),
        _cell("mixed_bfloat16", 128, images_per_s=17_000),
        _cell("mixed_bfloat16", 512, images_per_s=22_040),
    ) == [
        "lenet5, training: fastest with mixed_bfloat16 at batch 512: 22,040 images/s, 1.16 times float32 at that batch."
    ]


def test_mixed_precision_that_did_not_pay():
    """Said with the ratio; that float32 at the only batch size is then the fastest needs no words."""
    assert _advice(
        _cell(model="mlp", images_per_s=50_000), _cell("mixed_bfloat16", model="mlp", images_per_s=49_500)
    ) == ["mlp, training: mixed_bfloat16 did not pay: 0.99 times float32 at batch 128."]


def test_a_gain_within_noise_is_called_that():
    """A median 3% better, or 10% better while the blocks overlap, is no reason to change anything."""
    for gain, spread in ((1.03, 0.001), (1.10, 0.2)):
        assert _advice(
            _cell(images_per_s=10_000, spread=spread),
            _cell("mixed_bfloat16", images_per_s=gain * 10_000, spread=spread),
        ) == [
            f"lenet5, training: mixed_bfloat16 made no difference beyond noise: {gain:.2f} times float32 at batch 128."
        ]


def test_one_round_on_the_wrong_side_is_noise():
    """All blocks together have their middle halves apart, but in one round float32 was as fast as the other."""
    fast, slow = 0.0080, 0.0100
    plain = samples.cell(rounds=[[slow] * 9, [slow] * 9, [fast] * 3])
    mixed = samples.cell(precision="mixed_bfloat16", rounds=[[fast] * 7] * 3)
    assert plain["step_s"]["q1"] > mixed["step_s"]["q3"]
    assert "no difference beyond noise: 1.25 times" in _advice(plain, mixed)[0]


def test_this_test_can_fail():
    """The same gain with every round on its side is advice."""
    plain = samples.cell(rounds=[[0.0100] * 9] * 3)
    mixed = samples.cell(precision="mixed_bfloat16", rounds=[[0.0080] * 9] * 3)
    assert _advice(plain, mixed) == [
        "lenet5, training: fastest with mixed_bfloat16 at batch 128: 16,000 images/s, 1.25 times float32 at that batch."
    ]


def test_xla_is_told_apart():
    """By the settings that really ran; its own sentence where it was nowhere faster."""
    pays = _advice(_cell(images_per_s=10_000), _cell(images_per_s=13_000, xla=True))
    assert pays == [
        "lenet5, training: fastest with float32 with XLA at batch 128: 13,000 images/s, 1.30 times float32 without XLA "
        "at that batch."
    ]
    does_not = _advice(
        _cell(images_per_s=10_000),
        _cell(images_per_s=8_000, xla=True),
        _cell(batch_size=512, images_per_s=12_000),
        _cell(batch_size=512, images_per_s=11_400, xla=True),
    )
    assert does_not == [
        "lenet5, training: fastest with float32 without XLA at batch 512: 12,000 images/s. "
        "XLA did not pay: at best 0.95 times float32 without XLA at batch 512."
    ]


def test_without_a_baseline_no_gain_is_made_up():
    """Float32 was not measured at the batch that was fastest, so the sentence says that."""
    (advice,) = _advice(_cell(batch_size=32, images_per_s=9_000), _cell("mixed_bfloat16", 512, images_per_s=20_000))
    assert advice.endswith("20,000 images/s (float32 without XLA was not measured at that batch).")


def test_a_tie_is_named():
    """Another setting that the fastest does not beat beyond noise."""
    (advice,) = _advice(
        _cell(batch_size=128, images_per_s=10_000),
        _cell(batch_size=512, images_per_s=13_000),
        _cell(batch_size=2048, images_per_s=13_100),
    )
    assert advice == (
        "lenet5, training: fastest with float32 at batch 2,048: 13,100 images/s. "
        "As fast, within noise: float32 at batch 512."
    )


def test_only_what_was_measured_counts():
    """A cell that failed, timed out or was skipped is neither best nor baseline; a single setting gives no advice."""
    assert (
        _advice(
            _cell(images_per_s=10_000),
            samples.failed_cell("out_of_memory", "no memory", precision="mixed_bfloat16"),
            samples.failed_cell("skipped", "no time", batch_size=512),
        )
        == []
    )
    assert advise(samples.document()) == []


def test_a_batch_that_was_halved_counts_as_what_ran():
    """1,024 images did not fit: what was measured is batch 512, beside the 512 that was asked for."""
    halved = _cell("mixed_bfloat16", 512, images_per_s=13_000, retried_from=1024)
    halved["requested"] |= {"batch_size": 1024}
    assert _advice(_cell(batch_size=512, images_per_s=10_000), halved) == [
        "lenet5, training: fastest with mixed_bfloat16 at batch 512: 13,000 images/s, 1.30 times float32 at that batch."
    ]


def test_models_modes_and_devices_are_kept_apart():
    """One string each; devices are named where there are several."""
    on_gpu = [_cell(images_per_s=90_000), _cell("mixed_float16", images_per_s=180_000)]
    for cell in on_gpu:
        cell["resolved"] |= {"device": "gpu:0"}
    advice = _advice(
        _cell(images_per_s=10_000),
        _cell("mixed_bfloat16", images_per_s=12_000),
        _cell(images_per_s=30_000, mode="infer"),
        _cell("mixed_bfloat16", images_per_s=24_000, mode="infer"),
        *on_gpu,
    )
    assert [line.partition(": ")[0] for line in advice] == [
        "lenet5, training on cpu",
        "lenet5, inference on cpu",
        "lenet5, training on gpu:0",
    ]
