"""Comparing two benchmarks: what is claimed, what is put down to noise, what is refused, and how it reads."""

from __future__ import annotations

import importlib.util
import json
import math
import os
import re
import statistics
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType, SimpleNamespace

import benchmark_samples as samples
import numpy as np
import pytest

from zoo.benchmarking.comparison import compare, slower_than
from zoo.benchmarking.noise import ratio_interval
from zoo.errors import RecipeError, RunError
from zoo.report.benchmark.comparison import comparison_markdown, print_comparison
from zoo.report.shared.statistics import welch_interval

ROOT = Path(__file__).parents[2]


def _rounds(scale: float = 1.0, step_s: float = 0.010) -> list[list[float]]:
    """Five rounds that differ by a percent, of six blocks that differ by half a percent."""
    return [[scale * step_s * (1 + 0.01 * n + 0.005 * k) for k in range(6)] for n in range(5)]


def _cell(scale: float = 1.0, **facts):
    return samples.cell(rounds=_rounds(scale), **facts)


def _one(old, new, **options):
    """Compare two documents of one cell each; return the row."""
    (row,) = compare(samples.document(old), samples.document(new), **options)["cells"]
    return row


def _noisy(random: np.random.Generator, scale: float, rounds: int = 5) -> list[list[float]]:
    """Rounds that vary by 3%, blocks within them by 5% (standard deviations of logarithms)."""
    by_round = random.normal(0, 0.03, (rounds, 1))
    return (0.010 * scale * np.exp(by_round + random.normal(0, 0.05, (rounds, 20)))).tolist()


def _simulated(scale: float, cells: int = 200) -> list[str]:
    """The verdicts on so many pairs of noisy cells, the second of each slowed by `scale`.

    A quarter of the usual resamples, for speed: with five rounds it is Welch's interval that is the wider one.
    """
    random = np.random.default_rng(20_261_124)
    sides = [
        samples.document(*(samples.cell(f"m{n}", rounds=_noisy(random, factor)) for n in range(cells)))
        for factor in (1.0, scale)
    ]
    return [row["verdict"] for row in compare(*sides, resamples=500)["cells"]]


def _with_yardsticks(cell, seconds: Sequence[float]):
    """The cell, with as many yardsticks of these seconds in each of its rounds as it has blocks."""
    for each, value in zip(cell["rounds"], seconds, strict=True):
        each["yardstick_s"] = [value] * len(each["step_s"])
    return cell


def _on_a_busy_machine(drift: Sequence[float], scale: float = 1.0, follows: Sequence[float] | None = None):
    """A cell whose steps take so many times as long as usual, round by round, and yardsticks that `follow`."""
    rounds = [[0.010 * scale * by * (1 + 0.005 * k) for k in range(6)] for by in drift]
    return _with_yardsticks(samples.cell(rounds=rounds), [0.004 * by for by in (follows or drift)])


# What is claimed


def test_the_same_twice_is_mostly_no_change():
    """Of 200 pairs with realistic noise at most 10% may be called a change; 99% intervals do far better than that."""
    verdicts = _simulated(1.0)
    assert verdicts.count("no change") >= 0.9 * len(verdicts)
    assert verdicts.count("no change") >= 0.98 * len(verdicts)


def test_a_slow_down_of_15_percent_is_found():
    """In at least 90% of 200 pairs, with five rounds and the default settings; never called faster."""
    verdicts = _simulated(1.15)
    assert verdicts.count("slower") >= 0.9 * len(verdicts)
    assert "faster" not in verdicts


def test_taking_blocks_for_independent_would_claim_too_much():
    """The reason for all this: a bootstrap over all blocks alike calls far more than 1% of unchanged pairs changed."""
    random, claims = np.random.default_rng(1), 0
    for _ in range(100):
        medians = [
            np.median(random.choice(np.ravel(_noisy(random, 1.0)), (500, 100)), axis=1) for _side in ("old", "new")
        ]
        low, high = np.quantile(medians[1] / medians[0], [0.005, 0.995])
        claims += not low <= 1 <= high
    assert claims >= 10


QUIET, BUSY, BUSIER = (1.0, 1.01, 0.99, 1.0, 1.02), (1.3, 1.1, 1.0, 1.2, 1.4), (1.5, 1.7, 1.6, 1.5, 1.6)


def test_the_machine_that_became_slower_is_no_slower_code():
    """Steady rounds on both sides, all of them longer: the yardstick between the steps tells why."""
    row = _one(_on_a_busy_machine(QUIET), _on_a_busy_machine(BUSIER))
    assert (row["verdict"], row["in_yardsticks"]) == ("no change", True)
    assert row["seconds_ratio"] == pytest.approx(1.6, abs=0.02)
    assert row["yardstick_ratio"] == pytest.approx(1.6)
    assert row["ratio"] == pytest.approx(1.0, abs=0.01)
    without = [samples.cell(rounds=[[0.010 * by] * 6 for by in drift]) for drift in (QUIET, BUSIER)]
    assert _one(*without)["verdict"] == "slower"
    assert _one(*without)["yardstick_ratio"] is None


def test_slower_code_is_found_on_a_machine_that_drifts():
    """By 15%, under noise of 15% from round to round; seconds alone say nothing."""
    old, new = _on_a_busy_machine(BUSY), _on_a_busy_machine(BUSY[::-1], scale=1.15)
    row = _one(old, new)
    assert (row["verdict"], row["in_yardsticks"]) == ("slower", True)
    assert row["ratio"] == pytest.approx(1.15)
    for cell in (old, new):
        for each in cell["rounds"]:
            del each["yardstick_s"]
    assert _one(old, new)["verdict"] == "no change"


def test_a_yardstick_that_steps_do_not_follow_is_left_alone():
    """It varies, the steps do not: dividing would only add its noise."""
    row = _one(_on_a_busy_machine(QUIET, follows=BUSY), _on_a_busy_machine(QUIET, scale=1.15, follows=BUSY))
    assert (row["verdict"], row["in_yardsticks"]) == ("slower", False)
    assert row["ratio"] == row["seconds_ratio"]


@pytest.mark.parametrize("changed", [{"tensorflow": "2.22.0"}, {"gpu": {"name": "A GPU"}}])
def test_a_yardstick_of_other_software_or_of_a_gpu_measures_nothing(changed):
    """Its own operations may have become faster with TensorFlow; on a GPU they measure the start of kernels."""
    documents = [samples.document(_on_a_busy_machine(drift)) for drift in (QUIET, BUSIER)]
    documents[1]["environment"] = {**documents[1]["environment"], **changed}
    (row,) = compare(*documents, anyway=True)["cells"]
    assert (row["yardstick_ratio"], row["in_yardsticks"]) == (None, False)


def test_a_comparison_in_yardsticks_says_so():
    """Or a reader would divide the milliseconds, and wonder."""
    documents = [samples.document(_on_a_busy_machine(drift)) for drift in (QUIET, BUSIER)]
    words = "1 of 1 cells are compared in units of the yardstick measured between their steps"
    assert any(words in line and "1.60 to 1.60 times as long" in line for line in compare(*documents)["cautions"])


def test_the_interval_is_the_union_of_both():
    """At least as wide as Welch's on the rounds' logarithms, which by itself is wide with few rounds."""
    old, new = _rounds(), _rounds(1.2)
    low, high = ratio_interval(old, new, confidence=0.99, resamples=500, seed=0)
    welch = welch_interval(*([math.log(statistics.median(r)) for r in side] for side in (old, new)), 0.99)
    assert low <= math.exp(welch[0]) < 1.2 < math.exp(welch[1]) <= high
    fewer = ratio_interval(old[:2], new[:2], confidence=0.99, resamples=500, seed=0)
    assert fewer[0] < low < high < fewer[1]


def test_the_bootstrap_counts_where_the_rounds_medians_do_not_differ():
    """Without spread between rounds there is no t interval; what remains comes from the blocks within them."""
    old, new = [[1.0, 1.0, 1.0, 3.0, 3.0]] * 4, [[2.0, 2.0, 2.0, 6.0, 6.0]] * 4
    low, high = ratio_interval(old, new, confidence=0.99, resamples=500, seed=0)
    assert low < 2 < high
    assert ratio_interval([[1.0]] * 2, [[2.0]] * 2, confidence=0.99, resamples=500, seed=0) == (2.0, 2.0)


def test_the_same_input_gives_the_same_interval():
    """The bootstrap's seed is fixed, and cells do not depend on their neighbours."""
    alone = _one(_cell(), _cell(1.02))
    document = compare(samples.document(_cell(model="mlp"), _cell()), samples.document(_cell(model="mlp"), _cell(1.02)))
    assert document["cells"][1] == alone


def test_rounds_of_different_length_are_compared():
    """A round that timed more blocks, and one that is missing, are no hindrance."""
    old = [[0.010, 0.0101, 0.0102], [0.0101] * 9, [0.0102] * 4]
    row = _one(samples.cell(rounds=old), samples.cell(rounds=[[0.0200] * 5, [0.0202] * 3]))
    assert row["rounds"] == {"old": 3, "new": 2}
    assert row["interval"]["low"] < row["ratio"] < row["interval"]["high"]


@pytest.mark.parametrize(
    ("scale", "verdict", "reason"),
    [
        (1.15, "slower", None),
        (0.85, "faster", None),
        (1.01, "no change", "within noise"),
        (1.04, "no change", "beyond noise, but less than 5%"),
        (0.96, "no change", "beyond noise, but less than 5%"),
    ],
)
def test_a_change_is_beyond_noise_and_worth_a_word(scale, verdict, reason):
    """The interval leaves out 1, and the ratio is beyond the threshold."""
    row = _one(_cell(), _cell(scale))
    assert (row["verdict"], row["reason"]) == (verdict, reason)
    assert row["ratio"] == pytest.approx(scale)
    assert row["new_step_s"] == pytest.approx(scale * row["old_step_s"])
    assert _one(_cell(), _cell(1.04), threshold=0.03)["verdict"] == "slower"


# What cannot be compared


def test_one_round_says_nothing_about_noise():
    """The ratio is given, but no verdict on it."""
    row = _one(samples.cell(rounds=_rounds()[:1]), samples.cell(rounds=_rounds(2.0)))
    assert (row["verdict"], row["interval"]) == ("not comparable", None)
    assert row["reason"] == "one round does not tell noise from change: measure with --rounds 5"
    assert row["ratio"] is not None


def test_no_result_is_said_with_its_reason():
    """Of either side; a cell that broke in a later round has rounds, but no result."""
    row = _one(_cell(), samples.failed_cell("timed_out", "it did not end within 300 s"))
    assert (row["verdict"], row["ratio"]) == ("not comparable", None)
    assert row["reason"] == "new: timed out (it did not end within 300 s)"
    assert _one(_cell(status="failed", reason="it died of SIGSEGV"), _cell())["reason"] == (
        "old: failed (it died of SIGSEGV)"
    )


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"xla": True}, "xla was False, then True"),
        ({"device": "gpu:0"}, "device was cpu, then gpu:0"),
        ({"compute_dtype": "bfloat16"}, "compute_dtype was float32, then bfloat16"),
        ({"onednn": False}, "onednn was True, then False"),
        ({"threads": {"intra_op": 1}}, "threads was {'intra_op': 2, 'inter_op': 2, 'cores': 2}, then {'intra_op': 1}"),
    ],
)
def test_what_ran_otherwise_is_not_comparable(changed, words):
    """Although the same was asked for."""
    new = _cell(2.0)
    row = _one(_cell(), new | {"resolved": new["resolved"] | changed})
    assert (row["verdict"], row["reason"]) == ("not comparable", words)


def test_a_batch_that_was_halved_is_not_comparable():
    """After memory ran out in one of them."""
    new = _cell(0.5, retried_from=128)
    new["resolved"] |= {"batch_size": 64}
    assert _one(_cell(), new)["reason"] == "batch_size was 128, then 64; memory ran out in new"


def test_cells_of_one_record_only_are_listed():
    """By all that was asked for."""
    old = samples.document(_cell(), _cell(batch_size=32), _cell(precision="mixed_bfloat16", xla=None))
    new = samples.document(_cell(), _cell(mode="infer"))
    result = compare(old, new)
    assert [row["name"] for row in result["cells"]] == ["lenet5, train, float32, no XLA, batch 128"]
    assert result["only_in_old"] == [
        "lenet5, train, float32, no XLA, batch 32",
        "lenet5, train, mixed_bfloat16, batch 128",
    ]
    assert result["only_in_new"] == ["lenet5, infer, float32, no XLA, batch 128"]


def test_nothing_in_common_is_an_error():
    """So that no check passes for having compared nothing."""
    with pytest.raises(RunError, match="no cell and no training in common. Measure both with the same options."):
        compare(samples.document(_cell()), samples.document(_cell(batch_size=32)))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"confidence": 1.0}, "confidence must lie between 0 and 1, received 1.0"),
        ({"threshold": -0.1}, "threshold must be at least 0, received -0.1"),
        ({"threshold": math.nan}, "threshold must be at least 0, received nan"),
        ({"resamples": 10}, "resamples must be at least 100, received 10"),
    ],
)
def test_rules_that_mean_nothing_are_refused(options, words):
    """With the value and the rule."""
    with pytest.raises(RecipeError, match=words):
        compare(samples.document(_cell()), samples.document(_cell()), **options)


# Machines, versions, settings


def _elsewhere(*cells, **environment):
    return samples.document(*cells, environment=samples.ENVIRONMENT | environment)


def test_two_machines_are_refused_unless_anyway():
    """With what differs; anyway, they are compared, marked, and cells are not held to the other machine's name."""
    new = _cell(2.0)
    new["resolved"] |= {"device_name": "Another CPU", "threads": {"intra_op": 8}}
    documents = samples.document(_cell()), _elsewhere(new, cpu="Another CPU", cpus_allowed=8, memory_gib=32.0)
    with pytest.raises(RunError, match="different machines: cpu is A CPU in old and Another CPU in new, cpus_allowed"):
        compare(*documents)
    result = compare(*documents, anyway=True)
    assert [row["name"] for row in result["machine_differences"]] == ["cpu", "cpus_allowed", "memory_gib"]
    assert result["cells"][0]["verdict"] == "slower"
    assert comparison_markdown(result).count("> **NOT THE SAME MACHINE") == 1


def test_a_gpu_is_part_of_the_machine_and_its_driver_a_version():
    """Another GPU is refused; another driver is what one may want to compare."""
    gpu = {"name": "H100", "driver": "550.1", "cuda": "12.5", "cudnn": "9", "compute_capability": "9.0"}
    old = _elsewhere(_cell(), gpu=gpu)
    with pytest.raises(RunError, match="gpu name is H100 in old and H200 in new"):
        compare(old, _elsewhere(_cell(), gpu=gpu | {"name": "H200"}))
    with pytest.raises(RunError, match="gpu name is None in old and H100 in new"):
        compare(samples.document(_cell()), old)
    assert compare(old, _elsewhere(_cell(), gpu=gpu | {"driver": "560.2"}))["version_differences"] == [
        {"name": "gpu driver", "old": "550.1", "new": "560.2"}
    ]


def test_versions_are_a_purpose_and_settings_no_hindrance():
    """Both are listed; a few MiB that a kernel keeps to itself are no other machine."""
    old = samples.document(_cell())
    new = _elsewhere(_cell(), tensorflow="2.22.0", platform="Linux-6.2", memory_gib=7.9, plugins={"zoo-net": "1.0"})
    new["settings"] = old["settings"] | {"rounds": 5, "timeout_s": 10.0}
    result = compare(old, new)
    assert result["machine_differences"] == []
    assert [row["name"] for row in result["version_differences"]] == ["tensorflow", "platform", "plugin zoo-net"]
    assert result["settings_differences"] == [{"name": "rounds", "old": 2, "new": 5}]


def test_a_slower_machine_is_a_caution():
    """More than 10% between the peaks is said; the ratios stay as measured."""
    old, new = samples.document(_cell()), samples.document(_cell(1.2))
    new["peaks"] = [peak | {"flops_per_s": 0.88 * peak["flops_per_s"]} for peak in old["peaks"][:1]]
    result = compare(old, new)
    (caution,) = result["cautions"]
    assert caution.startswith(
        "The machine itself was 12% slower in new (float32 matrix products on cpu: 150, then 132 GFLOP/s)"
    )
    assert result["cells"][0]["ratio"] == pytest.approx(1.2)
    new["peaks"] = [peak | {"flops_per_s": 0.95 * peak["flops_per_s"]} for peak in old["peaks"]]
    assert compare(old, new)["cautions"] == []


def test_what_to_keep_in_mind_is_said():
    """Another network under the same name, a warm-up that had no end, noise that hides what one looks for, luck."""
    unsteady = _cell()
    unsteady["rounds"][2]["steady"] = False
    wild = samples.cell("mlp", rounds=[[0.010] * 3, [0.015] * 3])
    old, new = samples.document(_cell(), wild), samples.document(unsteady | {"params": 70_000}, wild)
    cautions = compare(old, new)["cautions"]
    assert "batch 128: The network itself changed: 61,706, then 70,000 parameters." in cautions[0]
    assert "In new steps were still getting faster when the timing began." in cautions[1]
    assert cautions[2].startswith("1 of 2 cells are too noisy to show a change of 10%")
    many = samples.document(*(_cell(model=f"m{n}") for n in range(100)))
    assert compare(many, many, resamples=100)["cautions"] == [
        "With 100 cells, each at 99%, about 1 may lie outside its interval by chance: measure again what has changed."
    ]


# A limit


def test_only_what_is_slower_by_the_limit_counts():
    """Cells and trainings alike; noise and speed-ups never do."""
    old = samples.document(_cell(), _cell(batch_size=32), samples.training(seconds=(10.0, 10.1, 10.2)))
    new = samples.document(_cell(1.2), _cell(0.8, batch_size=32), samples.training(seconds=(15.0, 15.1, 15.2)))
    result = compare(old, new)
    assert [row["ratio"] for row in slower_than(result, 1.1)] == pytest.approx([1.2, 1.495], abs=0.01)
    assert len(slower_than(result, 1.3)) == 1
    assert slower_than(result, 1.6) == []


@pytest.mark.parametrize("limit", [1.0, 0.9, math.nan, math.inf])
def test_a_limit_is_a_ratio_above_1(limit):
    """10 for 10% is not caught, but nothing that could never, or always, be passed."""
    result = compare(samples.document(_cell()), samples.document(_cell()))
    with pytest.raises(RecipeError, match=f"must be a ratio new/old above 1, as in 1.1, received {limit}"):
        slower_than(result, limit)


# Trainings


def _trainings(old: dict, new: dict):
    (row,) = compare(samples.document(samples.training(**old)), samples.document(samples.training(**new)))["trainings"]
    return row


def test_trainings_are_compared_by_their_seeds():
    """Ratio of geometric means with Welch's interval on logarithms, by hand from the seconds of each seed."""
    row = _trainings({"seconds": (10.0, 10.2, 10.4)}, {"seconds": (13.0, 13.1, 13.5)})
    logarithms = [[math.log(s) for s in seconds] for seconds in ((10.0, 10.2, 10.4), (13.0, 13.1, 13.5))]
    low, high = welch_interval(*logarithms, 0.99)
    assert row["name"] == "lenet5/default on mnist to 99.00%"
    assert row["ratio"] == pytest.approx((13.0 * 13.1 * 13.5 / (10.0 * 10.2 * 10.4)) ** (1 / 3))
    assert row["interval"] == {"low": pytest.approx(math.exp(low)), "high": pytest.approx(math.exp(high))}
    assert row["verdict"] == "slower"
    assert row["cautions"] == []


def test_seeds_that_failed_are_counted_and_left_out():
    """On both sides, with a word about it; a target that nobody reached leaves nothing to compare."""
    row = _trainings({"seconds": (10.0, 10.1, None)}, {"seconds": (10.0, 10.1, 10.2)})
    assert row["failures"] == {"old": {"count": 1, "seeds": 3}, "new": {"count": 0, "seeds": 3}}
    assert row["cautions"] == ["Only the seeds that reached the target are in the seconds."]
    row = _trainings({"seconds": (10.0, 10.1)}, {"seconds": (None, None)})
    assert (row["verdict"], row["reason"]) == ("not comparable", "no seed reached the target in new")


def test_one_seed_each_has_no_interval():
    """The ratio is shown, and how to get more than that."""
    row = _trainings({"seconds": (10.0,)}, {"seconds": (20.0,)})
    assert (row["ratio"], row["verdict"]) == (pytest.approx(2.0), "not comparable")
    assert row["reason"] == "it takes two seeds that reached the target on each side: measure with --seeds 3"


def test_test_accuracy_is_compared_too():
    """Means over the seeds, the difference and whether it is more than chance; None where seeds cannot tell."""
    old, new = ({"seconds": (10.0, 10.1, 10.2), "target": None} for _side in ("old", "new"))
    pair = [samples.training(**old), samples.training(**new)]
    for document, accuracies in zip(pair, ((0.990, 0.991, 0.992), (0.980, 0.981, 0.982)), strict=True):
        for run, accuracy in zip(document["runs"], accuracies, strict=True):
            run["test_accuracy"] = accuracy
    (row,) = compare(*map(samples.document, pair))["trainings"]
    assert row["name"] == "lenet5/default on mnist to its recipe's end"
    assert row["accuracy"]["difference"] == pytest.approx(-0.010)
    assert row["accuracy"]["interval"]["low"] < -0.010 < row["accuracy"]["interval"]["high"] < 0
    assert row["accuracy"]["more_than_chance"]
    assert not _trainings(old, new)["accuracy"]["more_than_chance"]


# How it reads


def _everything():
    """Documents with one of each."""
    trainings = [samples.training(seconds=seconds) for seconds in ((10.0, 10.1, None), (10.0, 10.1, 10.2))]
    reason = "it broke: <b>a|b</b>\nTraceback"
    old = samples.document(
        _cell(), _cell(batch_size=32), _cell(batch_size=64), _cell(batch_size=512), _cell(batch_size=1), trainings[0]
    )
    new = _elsewhere(
        _cell(1.2), _cell(0.8, batch_size=32), _cell(batch_size=64), trainings[1], tensorflow="2.22.0",
    )  # fmt: skip
    new["cells"].append(samples.failed_cell("failed", reason, batch_size=512))
    return compare(old, new)


def test_the_table_says_it_all(capsys):
    """A line per cell with times, ratio, interval and verdict, and the rest in sentences."""
    print_comparison(_everything())
    out = capsys.readouterr().out
    lines = out.splitlines()
    assert re.split("  +", lines[0]) == ["cell", "old ms", "new ms", "new / old", "99% interval", "verdict"]
    cells = re.split("  +", lines[1])
    assert cells[:4] == ["lenet5, train, float32, no XLA, batch 128", "10.3", "12.4", "1.20"]
    assert cells[4:] == ["1.16 to 1.24", "slower"]
    assert "not comparable: new: failed (it broke: <b>a|b</b>?Traceback)" in out
    assert "1 slower, 1 faster, 2 without a change, 1 not comparable." in lines
    assert "Only in old: lenet5, train, float32, no XLA, batch 1." in lines
    assert "Versions differ: tensorflow 2.21.0, then 2.22.0." in lines
    assert "1 of 3, then 0 of 3" in out
    assert "Only the seeds that reached the target are in the seconds." in out


def test_another_machine_is_said_first_and_last(capsys):
    """A warning that a long table cannot carry away."""
    print_comparison(compare(samples.document(_cell()), _elsewhere(_cell(), cpu="Another CPU"), anyway=True))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == lines[-1]
    assert lines[0].endswith("no difference below says anything about code: cpu A CPU, then Another CPU.")


def test_markdown_shows_changes_and_folds_the_rest():
    """Slower first; what did not change behind <details>; nothing in a reason can break the table or be a tag."""
    text = comparison_markdown(_everything())
    shown, folded = text.split("<details>")
    assert text.startswith("### Benchmark: 1 slower, 1 faster, 2 without a change, 1 not comparable\n")
    assert "- Versions differ: tensorflow 2.21.0, then 2.22.0." in shown
    assert shown.index("**slower**") < shown.index("**faster**") < shown.index("not comparable: new: failed")
    assert "batch 64" not in shown
    assert "| lenet5, train, float32, no XLA, batch 64 |" in folded
    assert "lenet5/default on mnist to 99.00%" in folded
    assert "&lt;b>a\\|b&lt;/b>?Traceback" in shown
    for line in text.splitlines():
        if line.startswith("|"):
            assert line.replace("\\|", "").count("|") in (7, 9)


def test_a_comparison_is_json():
    """No NaN, no infinity, nothing that is not plain, even where two rounds are worlds apart."""
    wild = samples.cell(rounds=[[1e-6] * 3, [1e3] * 3])
    json.dumps(compare(samples.document(wild), samples.document(wild)), allow_nan=False)
    json.dumps(_everything(), allow_nan=False)


# benchmarks/honesty.py


@pytest.fixture
def honesty() -> ModuleType:
    """The script as a module."""
    spec = importlib.util.spec_from_file_location("honesty", ROOT / "benchmarks" / "honesty.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class _OwnProcess:
    """Stands for the process in which a turn of work is measured: ten microseconds."""

    def __init__(self, *_arguments, **_options) -> None: ...

    def __enter__(self):
        return self

    def __exit__(self, *_error) -> None: ...

    def submit(self, *_call):
        return SimpleNamespace(result=lambda: 1e-5)


def test_honesty_counts_claims_and_finds(honesty, monkeypatch, tmp_path, capsys):
    """By what zoo bench prints, faked here: the work of the slowed plugin reaches its command, and makes it slower."""

    def run(command, *, env, **_options):
        plugin = Path(env["PYTHONPATH"].split(os.pathsep)[0])
        source = (plugin / "zoo_steady.py").read_text()
        compile(source, "zoo_steady.py", "exec")
        (turns,) = re.findall("^TURNS = (.+)$", source, re.MULTILINE)
        assert "steady = zoo_steady:steady" in (plugin / "zoo_steady-1.0.dist-info" / "entry_points.txt").read_text()
        assert command[3:7] == ["bench", "steady", "--mode", "train"]
        rounds = [[step + 1e-5 * int(turns) for step in blocks] for blocks in _rounds()]
        document = samples.document(_with_yardsticks(samples.cell("steady", rounds=rounds), [1.0] * 5))
        return SimpleNamespace(returncode=0, stdout=json.dumps(document))

    monkeypatch.setattr(honesty, "ProcessPoolExecutor", _OwnProcess)
    monkeypatch.setattr(honesty.subprocess, "run", run)
    honesty.main(["--repetitions", "2", "--output", str(tmp_path / "result.md")])
    text = (tmp_path / "result.md").read_text()
    assert text in capsys.readouterr().out
    assert "- Nothing changed: 2 of 2 times no change was claimed." in text
    assert "- Steps made 15% longer: 2 of 2 times it was found to be slower." in text
    assert text.count("| the same | 10.33 | 10.33 | 1.000 | 1.000 | milliseconds | 1.000 |") == 2
    assert text.count("| 15% longer steps | 10.33 | 11.88 | 1.150 | 1.000 | milliseconds | 1.150 |") == 2


def test_honesty_ends_when_the_benchmark_does_not_work(honesty, monkeypatch):
    """With what zoo bench printed."""
    answer = SimpleNamespace(returncode=1, stdout="no such model")
    monkeypatch.setattr(honesty, "ProcessPoolExecutor", _OwnProcess)
    monkeypatch.setattr(honesty.subprocess, "run", lambda *_arguments, **_options: answer)
    with pytest.raises(SystemExit, match="exit code 1: no such model"):
        honesty.main([])


def test_honesty_tells_what_the_yardstick_explains(honesty):
    """Much where both follow the machine; where they do not, the quotient has the noise of both."""

    def spread(steps: list[float], yardsticks: list[float]):
        cell = samples.cell(rounds=[[step] for step in steps])
        return honesty.drift([samples.document(_with_yardsticks(cell, yardsticks))])

    together = spread([1.2, 1.2 / 1.1, 1.0], [1.2, 1.2 / 1.1, 1.0])
    assert together["correlation"] == pytest.approx(1)
    assert together["quotients"] == pytest.approx(0, abs=1e-12)
    apart = spread([1.0, 1.01, 1.0], [1.2, 1.0, 1.1])
    assert apart["quotients"] > apart["steps"]
