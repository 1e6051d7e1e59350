"""Results as text for a person: one function per kind of document, each printing to standard output."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from zoo.report.evaluation.probabilities import prediction_lines
from zoo.report.models.bibtex import split_venue
from zoo.report.shared.tables import Column, print_table
from zoo.report.shared.text import printable

Document = Mapping[str, Any]
OTHER_MEASURES = {"ap": "AP (COCO)", "ap50": "AP50", "voc_ap": "AP (VOC 2007)", "mean_iou": "Mean IoU"}


def print_models(models: Sequence[Document]) -> None:
    """What ``zoo list`` shows."""
    rows = [
        (m["name"], m["task"], m["params"], m["macs"], str(m["year"] or ""), m["provider"], m["description"])
        for m in models
    ]
    right = [Column(name, align="right") for name in ("params", "MACs", "year")]
    if models:
        print_table(["name", "task", *right, "from", "what it is"], rows)
    else:
        print("No model matches.")


def print_model(model: Document) -> None:
    """What ``zoo show`` shows: facts, deviations, options, recipes, layers."""
    anatomy = model["anatomy"]
    field = anatomy["receptive_field"]
    print(printable(f"{model['name']}: {model['description']}") + "\n")
    facts = [
        ("task", model["task"]),
        ("paper", _citation(model["paper"]) or model["source"]),
        ("parameters", f"{anatomy['params']:,} ({anatomy['trainable_params']:,} trainable)"),
        ("MACs", f"{anatomy['macs']:,} for one image (FLOPs are twice as many)"),
        *[("", f"{cited['macs']:,.0f} by {cited['source']}") for cited in model["cited_macs"]],
        ("receptive field", f"{field} x {field} pixels, of the last convolution" if field else "not known"),
        ("smallest input", "x".join(map(str, model["min_size"]))),
        ("options", ", ".join(f"{key}={value!r}" for key, value in model["options"].items()) or "none"),
        ("from", " ".join(filter(None, (model["origin"]["distribution"], model["origin"]["version"])))),
    ]
    for name, value in facts:
        print(f"{name + ':' if name else '':17}{printable(value)}")
    if model["deviations"]:
        print("\nWhere it differs from the paper:")
        for deviation in model["deviations"]:
            print(f"  - {printable(deviation)}")
    for name, recipe in model["recipes"].items():
        print("\n" + printable(f"Recipe {name}: {recipe['note']}"))
        for deviation in model["published"].get(name, {}).get("deviations", ()):
            print(f"  - {printable(deviation)}")
    print()
    rows = [
        (row["name"], row["kind"], " x ".join(map(str, row["output_shape"])), row["params"], row["macs"])
        for row in anatomy["layers"]
    ]
    print_table(["layer", "kind", Column("output", "right"), "parameters", "MACs"], rows)


def print_run(run: Document) -> None:
    """What ``zoo train`` ends with."""
    metrics, timing = run["metrics"], run["timing"]
    print()
    print(f"Test accuracy  {metrics['test_accuracy']:.2%}   (loss {_number(metrics['test_loss'])})")
    for name, words in OTHER_MEASURES.items():
        if f"test_{name}" in metrics:
            print(f"{words:15}{_share(metrics[f'test_{name}'])}")
    if "validation_accuracy" in metrics:
        print(f"Validation     {metrics['validation_accuracy']:.2%}   (loss {_number(metrics['validation_loss'])})")
    print(
        f"Training       {timing['train_s']:.1f} s at {timing['images_per_s']:,.0f} images/s"
        f"   ({timing['total_s']:.1f} s in all: data {timing['data_s']:.1f}, "
        f"compiling {timing['first_call_s']:.1f}, evaluation {timing['evaluate_s']:.1f})"
    )
    processor = f"{run['device']} ({run['device_name']})"
    print(f"On             {processor}, {run['precision']}, XLA {'on' if run['xla'] else 'off'}")
    print(f"Run folder     {run['run']}")


def print_pages(pages: Sequence[str | None]) -> None:
    """Where ``zoo train`` has left its reports."""
    for page in pages:
        if page is not None:
            print(f"Report         {printable(page)}")


def print_seeds(document: Document) -> None:
    """What ``zoo train --seeds N`` ends with."""
    rows = [
        (run["seed"], f"{run['metrics']['test_accuracy']:.2%}", f"{run['timing']['train_s']:.1f}", run["run"])
        for run in document["runs"]
    ]
    print()
    print_table(["seed", Column("test accuracy", "right"), Column("train s", "right"), "run folder"], rows)
    accuracy, seconds = document["summary"]["test_accuracy"], document["summary"]["train_s"]
    print(f"\nTest accuracy  {_mean(accuracy, 100)} %   training {_mean(seconds)} s")
    print(f"               (mean ± standard deviation, n = {accuracy['n']})")


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
            f"accuracy {metrics['test_accuracy']:.2%}, but {document['non_finite_images']:,} answers are not finite "
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
    """The same for a model whose answers are places in the image."""
    metrics = document["metrics"]
    print(printable(f"{document['model']} on the {document['images']:,} test images of {document['dataset']}:"))
    for name, words in document["words"].items():
        print(f"{words:12} {_share(metrics[f'test_{name}'])}")
    print(f"{'accuracy':12} {_share(metrics['test_accuracy'])}\n")
    names = [name for name in document["per_class"][0] if name != "name"]
    rows = [(row["name"], *(_share(row[name]) for name in names)) for row in document["per_class"]]
    print_table(["class", *(Column(name, "right") for name in names)], rows)
    print()
    print(printable(f"Report  {document['folder']}/report.html"))


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.2%}"


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
    print_table(["measure", *right], [(name, _number(value), _interval(bounds)) for name, value, bounds in rows])
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


def print_datasets(datasets: Sequence[Document]) -> None:
    """What ``zoo data list`` shows."""
    rows = [
        (
            d["name"],
            d["train_size"],
            d["test_size"],
            "x".join(map(str, d["image_shape"])),
            d["num_classes"],
            d["description"],
        )
        for d in datasets
    ]
    print_table(["name", "train", "test", "image", "classes", "what it is"], rows)
    print(
        "\nAny TFDS dataset of images with labels or boxes loads by its TFDS name; IDX and COCO folders by --data-dir."
    )


def print_prepared(document: Document) -> None:
    """What ``zoo data prepare`` ends with."""
    print(f"{document['name']} is ready in {document['folder']}")


def print_verification(rows: Sequence[Document]) -> None:
    """What ``zoo data verify`` shows."""
    print_table(
        ["file", "sha256", "state"],
        [(row["file"], row["found"], "ok" if row["ok"] else f"should be {row['expected']}") for row in rows],
    )


def print_samples(document: Document) -> None:
    """What ``zoo data show`` ends with."""
    print(f"Wrote {document['path']}")


def print_plugins(rows: Sequence[Document]) -> None:
    """What ``zoo plugins`` shows."""
    if not rows:
        print("No plugin is installed. 'zoo new-plugin NAME' begins one.")
        return
    names = ("distribution", "version", "model", "status", "location")
    print_table(names, [tuple(row[name] for name in names) for row in rows])
    for row in rows:
        if row["reason"]:
            print(f"\n{row['distribution']} {row['model']}".rstrip() + f": {row['reason']}")


def print_scaffold(document: Document) -> None:
    """What ``zoo new-plugin`` ends with."""
    print(f"Wrote {document['folder']}. Next:")
    for step in document["next_steps"]:
        print(f"  {step}")


def print_findings(document: Document) -> None:
    """What ``zoo doctor`` shows: first what is wrong."""
    print(document["summary"] + "\n")
    for finding in document["findings"]:
        print(f"{finding['status']:8} {finding['topic'] + ':':22} {finding['value']}")
        if finding["advice"]:
            print(f"{'':8} {'':22} {finding['advice']}")


def _citation(paper: Document | None) -> str:
    if not paper:
        return ""
    year = None if split_venue(paper["venue"])[1] else paper["year"]  # "CVPR 2016" says it already
    facts = (paper["authors"], f"“{paper['title']}”", paper["venue"], year, paper["url"])
    return ", ".join(str(fact) for fact in facts if fact)


def _number(value: float | None) -> str:
    return "not finite" if value is None else f"{value:.4f}"


def _mean(summary: Document, scale: float = 1) -> str:
    if summary["mean"] is None:
        return "not finite"
    mean = f"{summary['mean'] * scale:.2f}"
    deviation = summary["standard_deviation"]
    return mean if deviation is None else f"{mean} ± {deviation * scale:.2f}"
