"""The evaluation: its numbers against scikit-learn's, its intervals against simulation, its files and errors."""

from __future__ import annotations

import json
import os
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as reference

from zoo import data
from zoo.data import Dataset, Split
from zoo.errors import DataError, ModelError, RunError
from zoo.evaluation.evaluate import evaluate
from zoo.runs.folder import load_run
from zoo.tasks.measures.calibration import fit_temperature, log_softmax, reliability, temperature_scaling
from zoo.tasks.measures.intervals import (
    auc_influence,
    auc_intervals,
    basic_interval,
    f1_intervals,
    mean_auc_interval,
    percentile_interval,
    resampled_sums,
    wilson,
)
from zoo.tasks.measures.probabilities import are_probabilities, averaged, log_probabilities
from zoo.tasks.measures.scores import CURVE_POINTS, score, top_confusions

PLOTS = ("confusion", "roc", "precision_recall", "calibration", "mistakes", "predictions")
FILES = {"evaluation.json", "report.html", *(f"{name}.png" for name in PLOTS)}


@pytest.fixture(scope="module")
def run_folder(trained_run, tmp_path_factory) -> Path:
    """A copy of the trained run, so that what is written here stays here."""
    return Path(shutil.copytree(trained_run, tmp_path_factory.mktemp("evaluated") / "run"))


@pytest.fixture(scope="module")
def evaluated(run_folder) -> dict:
    """The evaluation of the run on its own dataset, once for all tests that read it."""
    return evaluate(run_folder)


@pytest.fixture(scope="module")
def answers(run_folder) -> tuple[np.ndarray, np.ndarray]:
    """What the model says by Keras' own predict: probabilities (N, 10) float64, and labels."""
    digits = data.load("digits").test
    logits = load_run(run_folder).model.predict(digits.images, verbose=0).astype(np.float64)
    return np.exp(log_softmax(logits)), digits.labels


def guesses(images: int, classes: int, *, seed: int = 0, sharpness: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    """Log-probabilities and labels of a model that knows something."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, classes, images)
    logits = generator.normal(size=(images, classes))
    logits[np.arange(images), labels] += sharpness
    return log_softmax(logits), labels


# The numbers


def test_numbers_agree_with_scikit_learn(evaluated, answers):
    """Every measure is what scikit-learn says of the same predictions."""
    probabilities, labels = answers
    predicted = probabilities.argmax(axis=1)
    truth = np.eye(10)[labels]
    assert evaluated["images"] == len(labels) == 360
    assert evaluated["metrics"]["test_accuracy"] == reference.accuracy_score(labels, predicted)
    assert evaluated["metrics"]["test_loss"] == pytest.approx(reference.log_loss(labels, probabilities), rel=1e-5)
    brier = reference.brier_score_loss(labels, probabilities, scale_by_half=False)
    assert evaluated["brier_score"] == pytest.approx(brier, rel=1e-5)
    assert evaluated["confusion"] == reference.confusion_matrix(labels, predicted).tolist()
    rows = evaluated["per_class"]
    columns = reference.precision_recall_fscore_support(labels, predicted)
    for name, column in zip(("precision", "recall", "f1", "images"), columns, strict=True):
        assert [row[name] for row in rows] == pytest.approx(column)
    for name in ("precision", "recall", "f1"):
        assert evaluated["averages"][name] == pytest.approx(np.mean([row[name] for row in rows]))
    areas = [reference.roc_auc_score(truth[:, k], probabilities[:, k]) for k in range(10)]
    assert [row["auc"] for row in rows] == pytest.approx(areas, rel=1e-6)
    for average in ("macro", "weighted", "micro"):
        expected = reference.roc_auc_score(truth, probabilities, average=average)
        assert evaluated["roc"][f"{average}_auc"] == pytest.approx(expected, rel=1e-6)
    precision = [reference.average_precision_score(truth[:, k], probabilities[:, k]) for k in range(10)]
    assert evaluated["precision_recall"]["average_precision"] == pytest.approx(precision, rel=1e-5)


def test_accuracy_and_loss_are_the_ones_of_the_run(evaluated, run_folder):
    """They mean what run.json's mean, and agree with it."""
    measured = json.loads((run_folder / "run.json").read_text())["metrics"]
    assert evaluated["metrics"]["test_accuracy"] == pytest.approx(measured["test_accuracy"])
    assert evaluated["metrics"]["test_loss"] == pytest.approx(measured["test_loss"], rel=1e-5)


def test_curves_are_thinned_but_true():
    """At most 200 points of each are kept, both ends among them, and all lie on the full curve."""
    log_probabilities, labels = guesses(5000, 3, sharpness=0.5)
    found = score(log_probabilities, labels, "abc")
    curve = found["roc"]["curves"][1]
    false, true, _ = reference.roc_curve(labels == 1, log_probabilities[:, 1])
    assert len(false) > CURVE_POINTS >= len(curve["false_positive_rate"]) > CURVE_POINTS / 2
    full = set(zip(false.round(6), true.round(6), strict=True))
    assert set(zip(*curve.values(), strict=True)) <= full
    assert [values[0] for values in curve.values()] == [0, 0]
    assert [values[-1] for values in curve.values()] == [1, 1]
    area = reference.auc(*curve.values())
    assert area == pytest.approx(found["per_class"][1]["auc"], abs=1e-3)
    recall_and_precision = found["precision_recall"]["curves"][1]
    assert len(recall_and_precision["recall"]) <= CURVE_POINTS
    assert recall_and_precision["recall"][0] == 0


def test_top_confusions_and_mistakes_are_the_ones_there_are(evaluated, answers):
    """Pairs by their count, mistakes by how sure the model was, each with what it was given."""
    probabilities, labels = answers
    predicted = probabilities.argmax(axis=1)
    wrong = np.flatnonzero(predicted != labels)
    mistakes = evaluated["mistakes"]
    assert len(mistakes) == min(24, len(wrong))
    assert mistakes[0]["image"] == wrong[probabilities[wrong].max(axis=1).argmax()]
    sure = [mistake["probability"] for mistake in mistakes]
    assert sure == sorted(sure, reverse=True)
    for mistake in mistakes:
        row = mistake["image"]
        assert (mistake["truth"], mistake["predicted"]) == (labels[row], predicted[row])
        assert mistake["probabilities"] == pytest.approx(probabilities[row], abs=1e-5)
    top = evaluated["top_confusions"][0]
    off_diagonal = np.array(evaluated["confusion"]) * (1 - np.eye(10))
    assert top["count"] == off_diagonal.max() == off_diagonal[top["truth"], top["predicted"]]
    assert all(labels[row] == top["truth"] and predicted[row] == top["predicted"] for row in top["images"])
    assert all(entry["truth"] == entry["predicted"] for entry in evaluated["right_predictions"])


def test_a_model_without_mistakes_has_no_confusions():
    """Nothing is mixed up, every interval keeps its width, and no AUC's collapses."""
    labels = np.arange(60) % 3
    log_probabilities = log_softmax(9.0 * np.eye(3)[labels])
    found = score(log_probabilities, labels, "abc")
    assert top_confusions(log_probabilities, labels, "abc") == []
    assert found["metrics"]["test_accuracy"] == 1
    assert found["confidence_intervals"]["test_accuracy"] == pytest.approx([0.9398, 1], abs=1e-4)
    assert 0.8 < found["per_class"][0]["auc_interval"][0] < 0.99


@pytest.mark.parametrize("classes", [1, 2, 100])
def test_few_and_many_classes_with_few_images(classes):
    """One, two and a hundred classes on 60 images: what is undefined is NaN, and nothing warns."""
    log_probabilities, labels = guesses(60, classes)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = score(log_probabilities, labels, [str(k) for k in range(classes)])
    present = set(labels.tolist())
    for k, row in enumerate(found["per_class"]):
        assert np.isfinite(row["recall"]) == (k in present)
        assert np.isfinite(row["auc"]) == (k in present and classes > 1)
    assert found["metrics"]["test_accuracy"] == np.mean(log_probabilities.argmax(axis=1) == labels)


def test_a_class_never_predicted_has_no_precision():
    """Its recall is 0 and its F1 too; its precision does not exist, nor does an absent class's recall."""
    labels = np.array([0, 0, 1, 1, 2, 2] * 10)
    logits = np.zeros((60, 4))
    logits[np.arange(60), np.where(labels == 2, 0, labels)] = 3.0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rows = score(log_softmax(logits), labels, "abcd")["per_class"]
    assert np.isnan(rows[2]["precision"])
    assert (rows[2]["recall"], rows[2]["f1"]) == (0, 0)
    assert np.isnan([rows[3][name] for name in ("precision", "recall", "f1", "auc")]).all()


# Calibration


def test_calibration_error_by_its_definition():
    """Guo's equation 3, worked out bin by bin; the bins' counts add up to the images."""
    log_probabilities, labels = guesses(2000, 4)
    probabilities = np.exp(log_probabilities)
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    expected = 0.0
    for m in range(15):
        inside = (confidence > m / 15) & (confidence <= (m + 1) / 15)
        if inside.any():
            expected += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    error, bins = reliability(probabilities, labels)
    assert error == pytest.approx(expected)
    assert sum(b["images"] for b in bins) == 2000
    assert bins[0]["accuracy"] is None  # of four classes the likeliest has a quarter or more


def test_temperature_is_found():
    """Logits that were made three times too large get a temperature of three, and then are calibrated."""
    generator = np.random.default_rng(0)
    log_probabilities = log_softmax(generator.normal(size=(20_000, 5)) * 2)
    draws = generator.random((20_000, 1))
    labels = (np.exp(log_probabilities).cumsum(axis=1) < draws).sum(axis=1)
    sharpened = log_softmax(3 * log_probabilities)
    assert fit_temperature(sharpened, labels) == pytest.approx(3, rel=0.05)
    scaling = temperature_scaling(sharpened, labels)
    assert scaling["temperatures"] == pytest.approx([3, 3], rel=0.05)
    assert scaling["expected_calibration_error_before"] > 0.1
    assert scaling["expected_calibration_error_after"] < 0.02
    assert scaling["log_loss_after"] < scaling["log_loss_before"]


def test_temperature_is_not_measured_where_it_was_fitted():
    """With labels that mean nothing, a half's own temperature would gain on it; the other half's does not."""
    log_probabilities, _ = guesses(60, 3, sharpness=0.0)
    labels = np.random.default_rng(1).integers(0, 3, 60)
    fitted = fit_temperature(log_probabilities, labels)
    own = -log_softmax(log_probabilities / fitted)[np.arange(60), labels].mean()
    assert temperature_scaling(log_probabilities, labels)["log_loss_after"] > own
    assert temperature_scaling(log_probabilities[:1], labels[:1]) is None


# Intervals


@pytest.mark.parametrize(("hits", "images"), [(0, 10), (10, 10), (9847, 10_000), (1, 7)])
def test_wilson_is_scipys(hits, images):
    """The interval of a share is the one that SciPy gives."""
    expected = stats.binomtest(hits, images).proportion_ci(method="wilson")
    assert wilson(np.array([hits]), np.array([images]))[0] == pytest.approx([expected.low, expected.high])


def test_wilson_of_nothing_is_undefined():
    """No image, no interval."""
    assert np.isnan(wilson(np.array([0]), np.array([0]))).all()


@pytest.mark.parametrize("errors", [0.01, 0.3])
def test_f1_intervals_cover_the_truth(errors):
    """Of 2,000 simulated classes of 100 images about 95% of the intervals hold the true F1."""
    hits, misses, alarms = (
        np.random.default_rng(0).multinomial(1000, [0.1 * (1 - errors), 0.1 * errors, 0.1 * errors, 0], 2000)[:, k]
        for k in range(3)
    )
    low, high = f1_intervals(hits, hits + misses + alarms).T
    assert 0.93 < ((low <= 1 - errors) & (1 - errors <= high)).mean() < 0.98


@pytest.mark.parametrize("distance", [0.5, 2.0, 3.5])
def test_auc_intervals_cover_the_truth(distance):
    """Of the intervals of simulated classes about 95% hold the true area, near 1 too."""
    true = stats.norm.cdf(distance / np.sqrt(2))
    generator = np.random.default_rng(0)
    is_positive = np.arange(400) < 60
    areas = np.array(
        [auc_influence(generator.normal(size=400) + distance * is_positive, is_positive)[0] for _ in range(400)]
    )
    intervals = auc_intervals(areas, np.full(400, 60), np.full(400, 340))
    covered = ((intervals[:, 0] <= true) & (true <= intervals[:, 1])).mean()
    assert 0.92 < covered <= 1


def test_mean_auc_interval_covers_the_truth():
    """The interval of the mean of three correlated areas holds the true one in about 95% of simulations."""
    generator = np.random.default_rng(0)
    true, covered = stats.norm.cdf(1.5 / np.sqrt(2)), []
    for _ in range(300):
        labels = generator.integers(0, 3, 300)
        scores = generator.normal(size=(300, 3)) + 1.5 * np.eye(3)[labels]
        parts = [auc_influence(scores[:, k], labels == k) for k in range(3)]
        areas = np.array([area for area, _ in parts])
        low, high = mean_auc_interval(areas, np.stack([influence for _, influence in parts], axis=1))
        covered.append(low <= true <= high)
    assert 0.91 < np.mean(covered) < 0.99


def test_auc_influence_knows_ties():
    """The area counts a tie as half, as scikit-learn does."""
    generator = np.random.default_rng(0)
    scores, truth = generator.integers(0, 5, 500), generator.random(500) < 0.3
    area, influence = auc_influence(scores, truth)
    assert area == pytest.approx(reference.roc_auc_score(truth, scores))
    assert influence.mean() == pytest.approx(0, abs=1e-12)


def test_bootstrap_of_a_mean_has_the_textbooks_width():
    """The resampled mean spreads as its standard error says, and the same seed draws the same."""
    losses = np.random.default_rng(0).exponential(size=(4000, 1))
    draws = resampled_sums(losses)[:, 0] / 4000
    low, high = percentile_interval(draws)
    assert high - low == pytest.approx(2 * 1.96 * losses.std() / np.sqrt(4000), rel=0.1)
    assert (draws == resampled_sums(losses)[:, 0] / 4000).all()
    assert len(draws) >= 1000


def test_basic_interval_takes_off_what_resampling_adds():
    """Draws above the estimate lower the interval, which never goes below 0."""
    assert basic_interval(0.010, np.linspace(0.011, 0.019, 1000)) == pytest.approx([0.0012, 0.0088], abs=1e-4)
    assert basic_interval(0.001, np.linspace(0.002, 0.004, 1000))[0] == 0


def test_every_estimate_has_an_interval_around_it(evaluated):
    """At 95%, with the method named; the calibration error's lies below it, for it is biased upwards."""
    intervals = evaluated["confidence_intervals"]
    assert intervals["level"] == 0.95
    for name, value in (
        ("test_accuracy", evaluated["metrics"]["test_accuracy"]),
        ("test_loss", evaluated["metrics"]["test_loss"]),
        ("brier_score", evaluated["brier_score"]),
        ("macro_f1", evaluated["averages"]["f1"]),
        ("macro_auc", evaluated["roc"]["macro_auc"]),
    ):
        low, high = intervals[name]
        assert low < value < high
        assert name in intervals["methods"]
    for row in evaluated["per_class"]:
        for name in ("precision", "recall", "f1", "auc"):
            low, high = row[f"{name}_interval"]
            assert low <= row[name] <= high
            assert low < high


# Files, places, errors


def test_every_file_is_written_and_the_document_is_what_is_returned(evaluated, run_folder):
    """Into the run folder, all that `files` lists and nothing temporary; valid JSON without NaN."""
    assert set(evaluated["files"]) == FILES
    names = {path.name for path in run_folder.iterdir()}
    assert names == FILES | {"run.json", "history.csv", "model.keras", "curves.png"}
    text = (run_folder / "evaluation.json").read_text(encoding="utf-8")
    assert json.loads(text, parse_constant=pytest.fail) == evaluated
    assert evaluated["schema"] == "zoo.evaluation/2"
    assert evaluated["outputs"] == "logits"
    assert evaluated["same_data"] is True
    assert evaluated["run"] == str(run_folder)
    assert evaluated["command"] == f"zoo evaluate {run_folder}"


def test_another_dataset_gets_a_folder_of_its_own(run_folder, tiny_digits):
    """Its name stands in the folder's name, classes of other names are compared by number and this is said."""
    classes = ("零", "один", "<two>", "$3$", "४", "5", "6", "7", "8", "9")
    other = Dataset("other", tiny_digits.train, tiny_digits.test, classes, "made up", {})
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # no glyph that the font lacks is worth a warning
        document = evaluate(run_folder, dataset=other)
    folder = run_folder / "evaluation-other"
    assert {path.name for path in folder.iterdir()} == FILES
    assert document["same_classes"] is False
    assert document["same_data"] is None
    assert document["images"] == 60
    assert "--dataset other" in document["command"]
    shutil.rmtree(folder)


def test_other_bytes_under_the_same_name_are_announced(run_folder, tmp_path, tiny_digits):
    """The digests of the test images differ from the run's: the document and the user are told."""
    digests = {"test_images": "0" * 64, "test_labels": "0" * 64}
    digits = Dataset("digits", tiny_digits.train, tiny_digits.test, tiny_digits.class_names, "changed", digests)
    told: list[str] = []
    document = evaluate(run_folder, dataset=digits, output=tmp_path / "out", announce=told.append)
    assert document["same_data"] is False
    assert "digests differ" in " ".join(told)
    assert "digests" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


def their_file(path: Path, units: int, *, seed: int = 0) -> Path:
    """Write a .keras file from elsewhere: two layers, ending in softmax, its weights drawn small."""
    import keras

    draw = keras.initializers.RandomNormal(stddev=1e-4, seed=seed)
    last = keras.layers.Dense(units, activation="softmax", kernel_initializer=draw)
    keras.Sequential([keras.Input((28, 28, 1)), keras.layers.Flatten(), last], name="theirs").save(path)
    return path


@pytest.fixture
def softmax_file(tmp_path) -> Path:
    """A file with two outputs more than there are digits."""
    return their_file(tmp_path / "their model.keras", 12)


def test_a_keras_file_with_softmax(softmax_file, tiny_digits):
    """Its outputs are taken as the probabilities that they are; results lie beside it; spare outputs have names."""
    import keras

    document = evaluate(softmax_file, dataset=tiny_digits)
    probabilities = keras.models.load_model(softmax_file).predict(tiny_digits.test.images, verbose=0)
    assert document["outputs"] == "probabilities"
    assert (document["run"], document["file"], document["model"]) == (None, str(softmax_file), "theirs")
    assert document["folder"] == str(softmax_file.with_name("their model-evaluation"))
    assert (document["class_names"][10], len(document["class_names"])) == ("output 10", 12)
    labels = tiny_digits.test.labels
    accuracy = (probabilities.argmax(axis=1) == labels).mean()
    assert document["metrics"]["test_accuracy"] == pytest.approx(accuracy)
    loss = reference.log_loss(labels, probabilities, labels=range(12))
    assert document["metrics"]["test_loss"] == pytest.approx(loss, rel=1e-4)
    assert {path.name for path in Path(document["folder"]).iterdir()} == FILES


def test_a_file_whose_outputs_are_not_finite(softmax_file, tiny_digits):
    """One clear error, and no folder is left behind."""
    import keras

    model = keras.models.load_model(softmax_file)
    model.set_weights([weights * np.nan for weights in model.get_weights()])
    model.save(softmax_file)
    with pytest.raises(ModelError, match="returns numbers that are not finite for 60 of 60 images"):
        evaluate(softmax_file, dataset=tiny_digits)
    assert not softmax_file.with_name("their model-evaluation").exists()


def test_what_cannot_be_read_is_one_clear_error(tmp_path, zoo):
    """A damaged file, a missing one, one of another format, a run that is not there."""
    Path("broken.keras").write_bytes(b"PK\x03\x04 this is no archive")
    Path("weights.h5").write_bytes(b"")
    for name, words in (
        ("broken.keras", "cannot be read as a Keras model"),
        ("absent.keras", "is missing"),
        ("weights.h5", "is not a .keras file"),
        ("nowhere", "There is no run 'nowhere'"),
    ):
        result = zoo("evaluate", name)
        assert result.exit_code == 1
        assert words in result.stderr
        assert result.stderr.count("\n") == 1


def test_a_dataset_of_another_shape_is_refused(run_folder, tiny_digits):
    """Both shapes are named."""
    small = Split(tiny_digits.test.images[:, :20], tiny_digits.test.labels)
    other = Dataset("small", small, small, tiny_digits.class_names, "made up", {})
    with pytest.raises(DataError, match=r"\(28, 28, 1\), but small has \(20, 28, 1\)"):
        evaluate(run_folder, dataset=other)


def test_scenes_are_no_test_of_a_classifier(run_folder, tiny_digits):
    """They have the right shape and classes, and no label to hold an output against."""
    images = tiny_digits.test.images
    scenes = Split(images, boxes=np.full((len(images), 1, 5), -1, np.float32))
    other = Dataset("photos", scenes, scenes, tiny_digits.class_names, "made up", {})
    with pytest.raises(DataError, match="photos says what is where in its images, and has no one label for each"):
        evaluate(run_folder, dataset=other)


def test_a_model_that_classifies_no_images_is_refused(tmp_path, tiny_digits):
    """One that answers with pictures is told so."""
    import keras

    path = tmp_path / "segmenter.keras"
    keras.Sequential([keras.Input((28, 28, 1)), keras.layers.Conv2D(3, 3)]).save(path)
    with pytest.raises(ModelError, match=r"needs one input of images \(N, H, W, C\) and one output"):
        evaluate(path, dataset=tiny_digits)


def test_a_folder_that_cannot_be_written(run_folder, tiny_digits, tmp_path):
    """A file stands where the folder should be: one error, which says what to change."""
    (tmp_path / "taken").write_text("")
    with pytest.raises(RunError, match=r"taken cannot be written: .*Choose another --output"):
        evaluate(run_folder, dataset=tiny_digits, output=tmp_path / "taken")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission(run_folder, tiny_digits, tmp_path):
    """One error, before anything is measured."""
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    with pytest.raises(RunError, match="cannot be written: Permission denied"):
        evaluate(run_folder, dataset=tiny_digits, output=locked / "inside")


def test_the_command_prints_what_matters(zoo, run_folder, tiny_digits, monkeypatch):
    """Accuracy with its interval, the measures, the hardest classes, the confusions, and where the page is."""
    monkeypatch.setattr("zoo.evaluation.evaluate.load_dataset", lambda *_, **__: tiny_digits)
    result = zoo("evaluate", run_folder, "--output", "out")
    assert result.exit_code == 0
    for words in ("on the 60 test images of digits", " wrong", "Brier score", "macro AUC", "Hardest classes: "):
        assert words in result.stdout
    assert result.stdout.splitlines()[-1] == f"Report  {Path('out').resolve() / 'report.html'}"


# Ensembles


def test_an_ensemble_averages_probabilities(run_folder, answers, tmp_path):
    """A run and a file: the numbers are those of the mean of both answers, and each member's own stands beside."""
    import keras

    path = their_file(tmp_path / "other.keras", 10)
    digits = data.load("digits").test
    others = keras.models.load_model(path).predict(digits.images, verbose=0).astype(np.float64)
    probabilities, labels = answers
    together = (probabilities + others) / 2
    document = evaluate([run_folder, path], dataset="digits", output=tmp_path / "out")
    assert document["metrics"]["test_accuracy"] == (together.argmax(axis=1) == labels).mean()
    assert document["metrics"]["test_loss"] == pytest.approx(reference.log_loss(labels, together), rel=1e-4)
    alone = [(each.argmax(axis=1) == labels).mean() for each in (probabilities, others)]
    assert [member["test_accuracy"] for member in document["members"]] == pytest.approx(alone)
    assert (document["run"], document["file"], document["model"]) == (None, None, "ensemble of 2 models")
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "The probabilities of 2 models were averaged" in page
    assert "What was trained" not in page


def test_the_command_takes_several_runs(zoo, run_folder, tiny_digits, monkeypatch, tmp_path):
    """They are listed with what each reaches alone; the results lie in a folder of their own below runs/."""
    monkeypatch.setattr("zoo.evaluation.evaluate.load_dataset", lambda *_, **__: tiny_digits)
    again = shutil.copytree(run_folder, tmp_path / "again")
    result = zoo("evaluate", run_folder, again)
    assert result.exit_code == 0
    assert "ensemble of 2 mlp on the 60 test images of digits:" in result.stdout
    assert str(again) in result.stdout[result.stdout.index("Each alone:") :]
    (folder,) = Path("runs").glob("ensemble-*")
    assert {path.name for path in folder.iterdir()} == FILES


def test_what_cannot_answer_together_is_refused(run_folder, softmax_file, tiny_digits, tmp_path):
    """One model twice, other classes, answers that are no numbers, other datasets, nothing at all."""
    import keras

    with pytest.raises(RunError, match="run is named twice"):
        evaluate([run_folder, run_folder])
    with pytest.raises(ModelError, match="tell apart 10, 12 classes"):
        evaluate([run_folder, softmax_file], dataset=tiny_digits)
    with pytest.raises(DataError, match=r"trained on digits, mnist\. Choose one with --dataset"):
        evaluate([run_folder, softmax_file])
    with pytest.raises(RunError, match="No model is named"):
        evaluate([])
    path = their_file(tmp_path / "diverged.keras", 10)
    model = keras.models.load_model(path)
    model.set_weights([weights * np.nan for weights in model.get_weights()])
    model.save(path)
    with pytest.raises(
        ModelError, match=r"diverged\.keras returns numbers that are not finite for 60 of 60 .* Leave it out"
    ):
        evaluate([run_folder, path], dataset=tiny_digits)


def test_an_ensemble_may_be_as_sure_as_its_members():
    """Where each gives the truth one in a billion, so do they together: the loss is that of the members."""
    answers = [np.array([[0.0, -20.7, sure]], np.float32) for sure in (-30.0, -25.0)]
    together = averaged(answers)
    assert are_probabilities(together)
    members = np.array([log_probabilities(answer)[0] for answer in answers])
    np.testing.assert_allclose(log_probabilities(together)[0], np.logaddexp(*members) - np.log(2), atol=1e-12)
