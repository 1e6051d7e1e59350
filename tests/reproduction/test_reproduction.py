"""Published recipes trained anew: verdicts by hand-computed numbers, the table, the page, the command."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from zoo import registry
from zoo.errors import ModelError, RecipeError, RunError
from zoo.report import reproduction as report
from zoo.reproduction import compare, find, measure, published_recipes, reproduce
from zoo.spec import Recipe
from zoo.spec.claims import Claim, Published

ROOT = Path(__file__).parents[2]

# Verdicts. By hand, for five seeds with mean 0.9770 and deviation 0.0010: t(0.995, 4) = 4.6041 (any printed table), so
# three further seeds have a band of 0.9770 ± 4.6041 * 0.0010 * sqrt(1/5 + 1/3) = 0.9770 ± 0.0033624.
EXPECTED = {"mean": 0.9770, "deviation": 0.0010, "seeds": 5}


def verdicts(claim: Claim, *values: float) -> tuple[str, str]:
    result = compare(claim, values)
    return result["against_publication"]["verdict"], result["against_expectation"]["verdict"]


def test_the_expected_band_is_a_prediction_interval():
    """99% for the mean of m seeds given n: wider by both, by Student's t."""
    band = compare(Claim("", **EXPECTED), [0.977, 0.977, 0.977])["against_expectation"]
    assert band["low"] == pytest.approx(0.9770 - 0.0033624, abs=1e-6)
    assert band["high"] == pytest.approx(0.9770 + 0.0033624, abs=1e-6)
    assert (band["verdict"], band["difference"]) == ("as expected", 0.0)
    single = compare(Claim("", **EXPECTED), [0.977])["against_expectation"]
    assert single["high"] == pytest.approx(0.9770 + 4.6041 * 0.0010 * 1.2**0.5, abs=1e-6)


@pytest.mark.parametrize(
    ("mean", "verdict", "outside"),
    [(0.97365, "as expected", 0), (0.9736, "below its band", -0.0000376), (0.9810, "above its band", 0.0006376)],
)
def test_a_mean_outside_its_band_is_told_by_how_much(mean, verdict, outside):
    """Signed, from the nearer end, in shares."""
    band = compare(Claim("", **EXPECTED), [mean] * 3)["against_expectation"]
    assert band["verdict"] == verdict
    assert band["difference"] == pytest.approx(outside, abs=1e-6)


def test_what_was_never_measured_has_no_band():
    """Neither an expectation nor a run is made up."""
    assert verdicts(Claim(""), 0.97) == ("nothing published", "no expectation yet")
    assert verdicts(Claim("test 97%", value=0.97, **EXPECTED)) == ("not measured", "not measured")


@pytest.mark.parametrize(
    ("kind", "values", "verdict", "difference"),
    [
        ("at least", [0.9799, 0.9801], "reached", 0.0),
        ("at least", [0.9798, 0.9800], "missed", -0.0001),
        ("at least", [0.9777], "missed", -0.0023),
        ("about", [0.9751], "agrees", -0.0049),
        ("about", [0.9749], "missed", -0.0051),
        ("about", [0.9900], "reached", 0.01),
        ("exact", [0.9800], "reached", 0.0),
        ("exact", [0.9799], "undecided", -0.0001),
    ],
)
def test_a_claim_of_98_percent_is_judged_as_it_is_worded(kind, values, verdict, difference):
    """ "Above" is a bound, "about" a whole percent, and a number alone needs a spread to be judged by."""
    result = compare(Claim("98%", value=0.98, kind=kind), values)["against_publication"]
    assert result["verdict"] == verdict
    assert result["difference"] == pytest.approx(difference, abs=1e-9)


def test_one_number_agrees_within_one_seeds_spread():
    """By hand: values 0.976, 0.977, 0.978 deviate by 0.001; t(0.995, 2) = 9.9248; times sqrt(4/3): 0.01146."""
    result = compare(Claim("x", value=0.988), [0.976, 0.977, 0.978])["against_publication"]
    assert result["reach"] == pytest.approx(0.0114602, abs=1e-6)
    assert result["verdict"] == "agrees"
    assert verdicts(Claim("x", value=0.9885), 0.976, 0.977, 0.978)[0] == "missed"


def test_spread_of_expectation_and_run_is_pooled():
    """By hand: deviations 0.001 (n = 5) and 0.002 (n = 3) pool to sqrt((4*1 + 2*4)/6) * 0.001 = 0.0014142."""
    result = compare(Claim("x", value=0.98, **EXPECTED), [0.975, 0.977, 0.979])["against_publication"]
    assert result["reach"] == pytest.approx(3.7074 * 0.0014142 * (4 / 3) ** 0.5, abs=1e-6)  # t(0.995, 6) = 3.7074
    alone = compare(Claim("x", value=0.98, **EXPECTED), [0.977])["against_publication"]
    assert alone["reach"] == pytest.approx(4.6041 * 0.001 * 2**0.5, abs=1e-6)


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"value": 98}, "a claim's value must be a share from 0 to 1, received 98. Divide it by 100."),
        ({"kind": "above"}, "a claim's kind must be one of exact, at least, about, received 'above'"),
        ({"metric": "accuracy"}, "received 'accuracy'"),
        ({"metric": "val_accuracy@0"}, "an epoch N from 1 on"),
        ({"mean": 0.97}, "needs its deviation and at least 2 seeds, received deviation None and seeds 0"),
    ],
)
def test_a_claim_that_cannot_be_judged_is_refused(facts, words):
    """When it is written, not after the training."""
    with pytest.raises(ModelError, match=words.replace("(", r"\(")):
        Claim("text", **facts)


# What a run has measured

RUN = {
    "model": "mlp",
    "seed": 0,
    "metrics": {"test_accuracy": 0.97},
    "history": [{"accuracy": 0.90, "val_accuracy": 0.91}, {"accuracy": 0.95}],
}


def test_each_metric_comes_from_its_place():
    """The test set's from the metrics, the training's from the last epoch, the validation's from the epoch named."""
    assert measure(RUN, "test_accuracy") == 0.97
    assert measure(RUN, "train_accuracy") == 0.95
    assert measure(RUN, "val_accuracy@1") == 0.91


@pytest.mark.parametrize(
    ("metric", "words"),
    [
        ("val_accuracy@2", "The run of mlp with seed 0 has not measured val_accuracy@2"),
        ("val_accuracy@3", "The run ended after 2 epochs, so there is no val_accuracy@3"),
    ],
)
def test_a_number_that_a_run_lacks_is_an_error(metric, words):
    """No nearby number takes its place."""
    with pytest.raises(RunError, match=words):
        measure(RUN, metric)


# The table and the page, of a document by hand


def _row(name: str, claims: list[dict], **changes) -> dict:
    model, _, recipe = name.rpartition("/")
    row = {
        "name": name,
        "model": model,
        "recipe": recipe,
        "note": "A recipe | with a pipe.",
        "settings": {"epochs": 5, "optimizer": "adam"},
        "improved_by": [],
        "improves": "",
        "source": "",
        "deviations": [],
        "claims": [{**claim, "problem": None} for claim in claims],
        "train_s": {"mean": 4.04, "standard_deviation": 0.24, "n": 3},
        "runs": [{"seed": seed, "epochs": 5, "train_s": 4.0, "folder": f"s{seed}"} for seed in range(3)],
        "error": None,
    }
    return row | changes


def _document(*rows: dict, **changes) -> dict:
    environment = dict.fromkeys(("zoo", "tensorflow", "keras", "numpy", "python"), "1.2")
    environment |= {"commit": None, "modified": None, "cpu": "A CPU", "cpus_allowed": 2, "memory_gib": 8}
    document = {
        "command": "zoo reproduce --all --seeds 3",
        "date": "2026-11-24 08:00 UTC",
        "environment": environment,
        "device": {"device": "cpu", "device_name": "A CPU"},
        "seeds": [0, 1, 2],
        "for_expectations": False,
        "within_expectation": None,
        "rows": list(rows),
        "remaining": [],
    }
    return document | changes


ABOVE_98 = Claim("test above 98%", value=0.98, kind="at least")
MISSED = _row("mlp/dropout", [compare(ABOVE_98, [0.976, 0.977, 0.978])], improved_by=["mlp/better"])
REACHED = _row(
    "mlp/better", [compare(ABOVE_98, [0.982, 0.983, 0.984])], improves="dropout", deviations=["It is other."]
)


def test_the_table_sets_the_three_numbers_beside_each_other(capsys):
    """A line per claim: published, expected, this run, both verdicts and the seconds."""
    both = [
        compare(Claim("test 97.85%", value=0.9785, **EXPECTED), [0.976, 0.977, 0.978]),
        compare(Claim("98.06% after epoch 1", "val_accuracy@1", value=0.9806), []),
    ]
    report.print_reproduction(_document(_row("cnn/64", both)))
    header, first, second = capsys.readouterr().out.splitlines()[:3]
    assert header.split("  ")[0] == "recipe"
    for cell in ("cnn/64", "test 97.85%", "97.70 ± 0.10 (5)", "97.70 ± 0.10 (3)", "4.0 ± 0.2 (3)"):
        assert cell in first
    assert "met: 0.15 below, within one seed's spread" in first
    assert "as expected" in first
    assert "not measured" in second
    assert "4.0 ± 0.2" not in second


def test_a_missed_claim_stands_below_with_the_improvement_that_reaches_it():
    """By how much, and what reaches it with which numbers."""
    assert report.findings(_document(MISSED, REACHED)) == [
        "mlp/dropout: published 'test above 98%', here 97.70 ± 0.10 (3) %: missed by 0.30 points. "
        "mlp/better reaches it: 98.30 ± 0.10 (3) %.",
        "Published numbers met: 0 of 1.",
        "Nothing is expected of these recipes yet.",
    ]


def test_an_improvement_is_not_claimed_to_reach_what_it_was_not_seen_to_reach():
    """Not trained in this run, or missed as well: it says so."""
    assert "mlp/better improves it and was not part of this run." in report.findings(_document(MISSED))[0]
    missed_too = _row("mlp/better", MISSED["claims"], improves="dropout")
    assert "mlp/better does not reach it either: 97.70" in report.findings(_document(MISSED, missed_too))[0]


def test_surprises_failures_and_gaps_are_sentences_too():
    """A mean outside its band, a recipe that failed, a claim without its number, and what Ctrl-C left untrained."""
    surprise = _row("a/x", [compare(Claim("", **EXPECTED), [0.9730] * 3)])
    failed = _row("a/y", [compare(ABOVE_98, [])], error="The disk is full.", runs=[])
    failed["claims"][0]["problem"] = "The run ended after 2 epochs."
    lines = report.findings(_document(surprise, failed, remaining=["a/z"], within_expectation=False))
    assert lines == [
        "a/x: test accuracy is 97.30 ± 0.00 (3) %, 0.06 points below its band, 97.36% to 98.04%.",
        "a/y: The run ended after 2 epochs.",
        "a/y failed after 0 of 3 trainings: The disk is full.",
        "Not trained: a/z.",
    ]


def test_expectations_are_printed_to_be_copied(capsys):
    """Six digits, and only of the seeds that are kept for them."""
    report.print_reproduction(_document(MISSED, for_expectations=True))
    assert "mlp/dropout, test above 98%: mean=0.977000, deviation=0.001000, seeds=3" in capsys.readouterr().out
    report.print_reproduction(_document(MISSED))
    assert "mean=" not in capsys.readouterr().out


def test_the_page_says_how_it_was_made_and_holds_every_recipe():
    """Command, date, versions, machine; the table; each recipe with its settings, seeds and deviations."""
    page = report.markdown(_document(MISSED, REACHED))
    assert "`zoo reproduce --all --seeds 3` trained these on 2026-11-24 08:00 UTC, with seeds 0 to 2." in page
    assert "On cpu, A CPU; 2 processors, 8 GiB; zoo 1.2, tensorflow 1.2" in page
    assert "| mlp/dropout | test above 98% |  | 97.70 ± 0.10 (3) | missed by 0.30 | no expectation yet |" in page
    better = page.partition("## mlp/better\n")[2]
    assert "A recipe \\| with a pipe." in better
    assert "- improves: mlp/dropout" in better
    assert "- recipe: `schedule.epochs=5`, `optimizer.name='adam'`" in better
    assert "here, seed by seed: 98.20%, 98.30%, 98.40%" in better
    assert "  - It is other." in better


# Which recipes there are


def test_an_improvement_stands_right_below_what_it_improves():
    """Models in natural order, recipes as their file lists them."""
    names = [row.name for row in published_recipes()]
    assert names.index("mlp/dropout-improved") == names.index("mlp/dropout") + 1
    assert names.index("lenet5/paper") < names.index("mlp/dropout") < names.index("simple_cnn/64")
    assert next(row for row in published_recipes() if row.name == "mlp/dropout").improved_by == ["mlp/dropout-improved"]


def test_the_recipes_of_the_tutorials_are_all_there():
    """Seven published by tutorials, one by a paper."""
    names = {row.name for row in published_recipes() if not row.published.improves}
    assert names >= {"mlp/dropout", "mlp/512", "mlp/128-64", "mlp/mean-square", "simple_cnn/64", "simple_cnn/128",
                     "simple_cnn/dropout", "lenet5/paper"}  # fmt: skip


def test_a_model_alone_means_all_of_its_recipes():
    """And model/recipe one of them; what stands behind the last slash is the recipe."""
    assert {row.spec.name for row in find("mlp")} == {"mlp"}
    assert len(find("mlp")) > 3
    assert [row.name for row in find("mlp/512")] == ["mlp/512"]
    assert [row.name for row in find("cnn-zoo/mlp/512")] == ["mlp/512"]


def _tiny(name="tiny", *, recipes=None, published=None):
    """Register a model of one dense layer on digits, with a reachable and an unreachable claim."""
    once = Recipe(dataset="digits", epochs=1, note="One pass over digits.")
    claims = (Claim("above 1%", value=0.01, kind="at least"), Claim("train 100%", "train_accuracy", value=1.0))

    def builder(*, input_shape=(28, 28, 1), num_classes=10):
        import keras

        layers = keras.layers
        return keras.Sequential([layers.Input(input_shape), layers.Flatten(), layers.Dense(num_classes)])

    builder.__name__ = builder.__qualname__ = name
    registry.register(
        recipes=recipes if recipes is not None else {"once": once},
        published=published if published is not None else {"once": Published(claims)},
    )(builder)


@pytest.mark.usefixtures("registry_undone")
def test_each_improvement_follows_its_own_original():
    """Wherever the model's file has it."""
    improves = {"a+": "a", "a": "", "b": "", "b+": "b"}
    published = {name: Published((ABOVE_98,), improves=other) for name, other in improves.items()}
    _tiny(recipes={name: Recipe() for name in improves}, published=published)
    assert [row.recipe_name for row in find("tiny")] == ["a", "a+", "b", "b+"]
    assert [row.improved_by for row in find("tiny")] == [["tiny/a+"], [], ["tiny/b+"], []]


@pytest.mark.usefixtures("registry_undone")
@pytest.mark.parametrize(
    ("published", "words"),
    [
        ({"twice": Published(())}, "published numbers for 'twice', which is none of its recipes: once"),
        ({"once": Published((), improves="never")}, "'once' of tiny improves 'never', which is no published recipe"),
    ],
)
def test_published_numbers_belong_to_a_recipe(published, words):
    """A slip in a model's file is found when it is registered."""
    with pytest.raises(ModelError, match=words):
        _tiny(published=published)


# Trained


@pytest.mark.usefixtures("registry_undone")
def test_a_recipe_is_trained_recorded_and_judged(zoo, tmp_path):
    """Two seeds: the table, the record, the page and the run folders, and a miss is no error."""
    _tiny()
    files = ["--record", "kept/record.json", "--markdown", "kept/page.md", "--output", "out"]
    result = zoo("reproduce", "tiny/once", "--seeds", 2, *files)
    assert result.exit_code == 0, result.stderr
    assert "reached, " in result.stdout
    assert "not trained" not in result.stdout.lower()
    assert [line[:18] for line in result.stderr.splitlines()] == ["tiny/once, seed 0:", "tiny/once, seed 1:"]
    document = json.loads(Path("kept/record.json").read_text())
    assert (document["schema"], document["seeds"], document["remaining"]) == ("zoo.reproduction/1", [0, 1], [])
    assert document["command"] == (
        "zoo reproduce tiny/once --seeds 2 --record kept/record.json --markdown kept/page.md"
    )
    assert document["environment"]["tensorflow"]
    (row,) = document["rows"]
    runs = [json.loads((tmp_path / "out" / f"tiny-once-s{seed}" / "run.json").read_text()) for seed in (0, 1)]
    assert row["claims"][0]["measured"]["values"] == [run["metrics"]["test_accuracy"] for run in runs]
    assert row["claims"][1]["measured"]["values"] == [run["history"][-1]["accuracy"] for run in runs]
    assert row["settings"] == {
        "data.dataset": "digits", "data.batch_size": 128, "optimizer.name": "adam", "optimizer.learning_rate": 0.001,
        "schedule.epochs": 1, "loss.name": "cross_entropy",
    }  # fmt: skip
    assert Path("kept/page.md").read_text() == report.markdown(document)
    assert str(tmp_path) not in Path("kept/record.json").read_text()


@pytest.mark.usefixtures("registry_undone")
def test_one_failing_recipe_does_not_lose_the_others(zoo):
    """Its row says the error, the rest is recorded, and the command exits 1."""
    broken = Recipe(dataset="digits", epochs=1, model_options={"width": 3})
    whole = Recipe(dataset="digits", epochs=1)
    late = Published((Claim("after epoch 9", "val_accuracy@9"), Claim("above 1%", value=0.01, kind="at least")))
    _tiny(recipes={"broken": broken, "whole": whole}, published={"broken": Published((ABOVE_98,)), "whole": late})
    result = zoo("reproduce", "tiny", "--record", "record.json", "--json")
    assert result.exit_code == 1
    document = json.loads(result.stdout)
    assert document == json.loads(Path("record.json").read_text())
    first, second = document["rows"]
    assert "tiny has no option 'width'" in first["error"]
    assert first["claims"][0]["against_publication"]["verdict"] == "not measured"
    assert second["error"] is None
    assert "The run ended after 1 epochs" in second["claims"][0]["problem"]
    assert second["claims"][1]["against_publication"]["verdict"] == "reached"
    assert document["within_expectation"] is None


@pytest.mark.usefixtures("registry_undone")
def test_ctrl_c_loses_only_the_recipe_that_was_training(monkeypatch):
    """What was finished stands in the record, and the rest is named there."""
    from zoo.training import trainer

    _tiny()
    _tiny("tiny2")
    train = trainer.train

    def interrupted(*, model, **arguments):
        if model == "tiny2":
            raise KeyboardInterrupt
        return train(model, **arguments)

    monkeypatch.setattr(trainer, "train", interrupted)
    with pytest.raises(KeyboardInterrupt):
        reproduce([*find("tiny"), *find("tiny2")], record="record.json", markdown="page.md")
    document = json.loads(Path("record.json").read_text())
    assert [row["name"] for row in document["rows"]] == ["tiny/once"]
    assert document["remaining"] == ["tiny2/once"]
    assert "Not trained: tiny2/once." in Path("page.md").read_text()


@pytest.mark.usefixtures("registry_undone")
def test_a_mean_outside_its_band_is_in_the_document(monkeypatch):
    """`within_expectation` is false for one mean outside its band, and for one that was expected and not measured."""
    surprise = Claim("", mean=0.99999, deviation=1e-9, seeds=5)
    expected = Claim("", mean=0.5, deviation=0.5, seeds=5)
    _tiny(published={"once": Published((expected, surprise))})
    assert reproduce(find("tiny"))["within_expectation"] is False
    monkeypatch.setitem(find("tiny")[0].spec.published, "once", Published((expected,)))
    assert reproduce(find("tiny"))["within_expectation"] is True
    unmeasured = Claim("", "val_accuracy@1", mean=0.5, deviation=0.5, seeds=5)
    monkeypatch.setitem(find("tiny")[0].spec.published, "once", Published((expected, unmeasured)))
    assert reproduce(find("tiny"))["within_expectation"] is False


# What is refused


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["mlp/dropot"], "mlp has no recipe 'dropot'. Did you mean 'mlp/dropout'?"),
        (["dropout"], "There is no model or published recipe 'dropout'. Did you mean 'mlp/dropout'?"),
        (["lenet/paper"], "There is no model 'lenet', so no recipe 'lenet/paper'. Did you mean 'lenet5/paper'?"),
        (["mlp/default"], "has no published numbers to compare with. Train it with: zoo train mlp --recipe default."),
        (["alexnet_small"], "alexnet_small has no recipe with published numbers"),
        (["mlp/512", "--seeds", "0"], "seeds must be at least 1, received 0"),
        (["mlp/512", "--seed", "-1"], "seed must be"),
        (["mlp/512", "--device", "gpu:9"], "gpu"),
        (["mlp/512", "--record", "folder"], "folder cannot be written: it is a folder"),
        (["mlp/512", "--markdown", "file/page.md"], "file/page.md cannot be written"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_mistakes_are_told_before_any_training(zoo, arguments, words, tmp_path):
    """One line, exit 1, nothing written."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("in the way")
    result = zoo("reproduce", *arguments)
    assert result.exit_code == 1
    assert words in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""
    assert sorted(path.name for path in tmp_path.rglob("*") if path.suffix) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [([], "Name a RECIPE, such as mlp/dropout, or pass --all"), (["mlp", "--all"], "'mlp' and --all exclude")],
)
def test_wrong_usage_names_the_ways_there_are(zoo, arguments, words):
    """Exit 2, as for every wrong command line."""
    result = zoo("reproduce", *arguments)
    assert result.exit_code == 2
    assert words in result.stderr


def test_too_few_seeds_are_refused_from_python():
    """The same rule for callers."""
    with pytest.raises(RecipeError, match="received 0"):
        reproduce(find("mlp/512"), seeds=0)


def test_the_list_needs_no_tensorflow(python):
    """And shows what is published."""
    code = "import sys, zoo.cli; zoo.cli.main(['reproduce', '--list'], standalone_mode=False)"
    result = python("-c", f"{code}; print('tensorflow' in sys.modules, 'scipy' in sys.modules)")
    assert result.returncode == 0, result.stderr
    assert any(line.split()[:4] == ["mlp/dropout", "test", "above", "98%"] for line in result.stdout.splitlines())
    assert result.stdout.splitlines()[-1] == "False False"


def test_the_list_can_be_narrowed_and_read_by_machines(zoo):
    """One JSON row per recipe, with settings and claims."""
    (row,) = json.loads(zoo("reproduce", "mlp/512", "--list", "--json").stdout)
    assert row["settings"]["optimizer.name"] == "rmsprop"
    assert row["claims"][0]["value"] == 0.9785


# The committed record


def test_the_page_is_the_record_as_text():
    """docs/recipes.md is what --markdown writes for benchmarks/reproduced.json."""
    document = json.loads((ROOT / "benchmarks" / "reproduced.json").read_text())
    assert (ROOT / "docs" / "recipes.md").read_text() == report.markdown(document)


def test_the_record_holds_every_published_recipe():
    """Of the built-ins, each trained without an error."""
    document = json.loads((ROOT / "benchmarks" / "reproduced.json").read_text())
    recorded = {row["name"]: row["error"] for row in document["rows"]}
    published = [row.name for row in published_recipes() if row.spec.name in registry.built_ins()]
    assert {name: recorded.get(name, "missing") for name in published} == dict.fromkeys(published)
