"""The text output of ``zoo evaluate`` and ``zoo predict``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from zoo.report.evaluation.probabilities import prediction_lines
from zoo.report.shared.numbers import number, share
from zoo.report.shared.tables import Column, print_table
from zoo.report.shared.text import printable

Document = Mapping[str, Any]


def print_evaluation(document: Document) -> None:
    """What ``zoo evaluate`` shows: the headline, the other numbers, what goes wrong, and where the page is."""
    if "words" in document:
        _print_scenes(document)
        return
    metrics, images = document["metrics"], document["images"]
    wrong = images - round(metrics["test_accuracy"] * images)
    print(printable(f"{document['model']} on the {images:,} test images of {document['dataset']}:"))
    if document["non_finite_images"]:
        print(
            f"accuracy {metrics['test_accuracy']:.2%}, but {document['non_finite_images']:,} outputs are not finite "
            "numbers: training diverged. Train again with a lower --learning-rate."
        )
    else:
        _print_scores(document, wrong)
    if document["members"]:
        rows = [(m["model"], f"{m['test_accuracy']:.2%}", m["place"]) for m in document["members"]]
        print("\nEach alone:")
        print_table(["model", Column("accuracy", "right"), "where"], rows)
    print()
    print(printable(f"Report  {document['folder']}/report.html"))


def _print_scenes(document: Document) -> None:
    """The same for a model that finds places in the image."""
    metrics = document["metrics"]
    print(printable(f"{document['model']} on the {document['images']:,} test images of {document['dataset']}:"))
    for name, words in document["words"].items():
        print(f"{words:12} {share(metrics[f'test_{name}'])}")
    print(f"{'accuracy':12} {share(metrics['test_accuracy'])}\n")
    names = [name for name in document["per_class"][0] if name != "name"]
    rows = [(row["name"], *(share(row[name]) for name in names)) for row in document["per_class"]]
    print_table(["class", *(Column(name, "right") for name in names)], rows)
    print()
    print(printable(f"Report  {document['folder']}/report.html"))


def _print_scores(document: Document, wrong: int) -> None:
    metrics, intervals = document["metrics"], document["confidence_intervals"]
    low, high = intervals["test_accuracy"]
    print(f"accuracy {metrics['test_accuracy']:.2%} ({low:.2%} to {high:.2%}), {wrong:,} wrong\n")
    calibration = document["calibration"]["expected_calibration_error"]
    rows = [
        ("log-loss", metrics["test_loss"], intervals["test_loss"]),
        ("Brier score", document["brier_score"], intervals["brier_score"]),
        ("macro F1", document["averages"]["f1"], intervals["macro_f1"]),
        ("macro AUC", document["roc"]["macro_auc"], intervals["macro_auc"]),
        ("calibration error (ECE)", calibration, intervals["expected_calibration_error"]),
    ]
    right = [Column(name, "right") for name in ("value", "95% interval")]
    print_table(["measure", *right], [(name, number(value), _interval(bounds)) for name, value, bounds in rows])
    known = [row for row in document["per_class"] if row["f1"] is not None]
    worst = sorted(known, key=lambda row: row["f1"])[:3]
    print()
    print(printable("Hardest classes: " + ", ".join(f"{row['name']} (F1 {row['f1']:.2%})" for row in worst)))
    pairs = document["top_confusions"][:3]
    if pairs:
        told = (f"{pair['truth_name']} taken for {pair['predicted_name']} ({pair['count']:,})" for pair in pairs)
        print(printable("Top confusions:  " + ", ".join(told)))


def _interval(bounds: Sequence[float] | None) -> str:
    return f"{bounds[0]:.4f} to {bounds[1]:.4f}" if bounds and bounds[0] is not None else ""


def print_predictions(document: Document) -> None:
    """What ``zoo predict`` shows, image by image."""
    for prediction in document["predictions"]:
        if "picture" in prediction:
            _print_places(prediction)
            continue
        lines = prediction_lines(prediction["path"], prediction["probabilities"], document["class_names"])
        print("\n".join(lines))


def _print_places(prediction: Document) -> None:
    """What a detector or a segmenter found in one image, and where it is drawn."""
    print(printable(prediction["path"]))
    for found in prediction.get("objects", ()):
        box = ", ".join(f"{edge:.0f}" for edge in found["box"])
        print(printable(f"  {found['label']}  {found['score']:.1%}  left, top, right, bottom: {box}"))
    for name, count in prediction.get("pixels", {}).items():
        print(printable(f"  {name}: {count:,} pixels"))
    print(printable(f"  drawn in {prediction['picture']}"))
