"""The sections of the evaluation page, each a function from the records to HTML; an empty string omits it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from zoo.report.evaluation.predictions import percent as likelihood
from zoo.report.shared.page_text import number, percent, picture_tag, points, text
from zoo.spec import Recipe, RunDocument
from zoo.spec.recipe import full_names

Document = Mapping[str, Any]

SHOWN_MISTAKES = 12
SHOWN_BARS = 4
SLIGHT = 0.02
"""Up to this far from its accuracy, a confidence is only slightly wrong."""

METHODS = (
    "The model was given the test images as raw 0..255 values; preprocessing is part of it. Its outputs are {outputs}.",
    "Precision, recall, F1, ROC, AUC and average precision come from scikit-learn; ROC and precision-recall "
    "take one class against the rest. Macro averages give each class the same weight.",
    "Log-loss is the mean of −ln p(truth) in nats. The Brier score is the squared distance between probabilities and "
    "truth, summed over the classes (Brier 1950), 0 to 2.",
    "The calibration error (ECE) has 15 bins of equal width over the probability of the predicted class (Guo et al. "
    "2017). Temperature scaling is fitted on one half of the test images and measured on the other, both ways; the "
    "halves are drawn with seed {seed}.",
    "Intervals are 95%: Wilson's (1927) for accuracy, precision, recall and bins, and by way of F* (Hand et al. 2021) "
    "for a class's F1; for macro F1, log-loss and Brier score a percentile bootstrap of 1,000 resamples of the images, "
    "for the calibration error a basic one, since resampling overstates it; for an AUC Newcombe's method 5 (2006), "
    "for their mean DeLong's (1988). They say how far another draw of test images would move the number, not another "
    "training.",
)


def training(document: Document, run: RunDocument) -> str:
    """What was trained and how: the recipe where it differs from the general one, time, device, data."""
    environment = _mapping(document.get("environment"))
    timing, recipe = _mapping(run.get("timing")), _mapping(run.get("recipe_values"))
    facts = [
        ("Model", f"{text(run.get('model'))}, {_count(run.get('params'))} parameters"),
        ("Trained on", _trained_on(run)),
        ("Recipe", _changes(run, recipe)),
        ("Time", _time(timing)),
        ("Device", text(_device(run))),
        ("Seed", text(run.get("seed"))),
        ("Versions then", text(_versions(_mapping(run.get("environment")) or environment))),
    ]
    rows = "".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in facts if value)
    return f'<dl class="facts">{rows}</dl>'


def members(document: Document) -> str:
    """How good each model of an ensemble is alone."""
    if not document["members"]:
        return ""
    rows = "".join(
        f"<dt>{percent(member['test_accuracy'])}</dt><dd>{text(member['model'])}, {text(member['place'])}</dd>"
        for member in document["members"]
    )
    return (
        f"<p>The probabilities of {len(document['members'])} models were averaged. The accuracy of each alone:</p>"
        f'<dl class="facts">{rows}</dl>'
    )


def _trained_on(run: RunDocument) -> str:
    limit = run.get("limit")
    return text(run.get("dataset")) + (f", {_count(limit)} of its images" if limit else "")


def _changes(run: RunDocument, recipe: Document) -> str:
    """The recipe's name, and its values that differ from zoo's general recipe."""
    general, values = Recipe().settings(), full_names(recipe)
    changed = [
        f"{text(name)} <b>{text(value)}</b>"
        for name, value in values.items()
        if name not in ("note", "data.dataset", "seed") and value != general.get(name) and value not in ({}, None)
    ]
    if values.get("schedule.epochs") == general["schedule.epochs"]:
        changed.insert(0, f"schedule.epochs <b>{text(values['schedule.epochs'])}</b>")
    return f"{text(run.get('recipe', 'custom'))}: " + (", ".join(changed) or "zoo's general values")


def _time(timing: Document) -> str:
    seconds, speed = timing.get("train_s"), timing.get("images_per_s")
    if not isinstance(seconds, int | float):
        return ""
    pace = f", {speed:,.0f} images/s" if isinstance(speed, int | float) else ""
    return f"{seconds:,.1f} s of training{pace}"


def _device(run: RunDocument) -> str:
    name = f" ({run['device_name']})" if run.get("device_name") else ""
    compiled = ", XLA" if run.get("xla") else ""
    return f"{run.get('device', 'unknown')}{name}, {run.get('precision', 'float32')}{compiled}"


def curves(run: RunDocument, drawing: str) -> str:
    """Loss and accuracy over the epochs."""
    if not drawing:
        return ""
    epochs = len(run.get("history", ()))
    return f"<p>{epochs:,} epoch{'s' if epochs != 1 else ''} of training.</p>" + _plot(drawing)


def predictions(document: Document, images: np.ndarray) -> str:
    """The mistakes that the model was surest about, then some images that it got right."""
    mistakes, right = document["mistakes"], document["right_predictions"]
    first = _samples(document, images, mistakes[:SHOWN_MISTAKES])
    more = mistakes[SHOWN_MISTAKES:]
    html = (
        "<p>First the mistakes that it was surest about. The bars are the probabilities that it gave: "
        'blue is the truth, <span class="wrong-word">orange</span> what it said instead.</p>' + first
        if mistakes
        else "<p>Every test image is named right.</p>"
    )
    if more:
        html += f"<details><summary>{len(more)} more mistakes</summary>{_samples(document, images, more)}</details>"
    if right:
        html += f"<h3>Some that are right</h3>{_samples(document, images, right[:6])}"
    return html


def _samples(document: Document, images: np.ndarray, samples: list[Document]) -> str:
    cards = []
    for sample in samples:
        truth, said = (document["class_names"][sample[key]] for key in ("truth", "predicted"))
        is_right = sample["truth"] == sample["predicted"]
        description = f"Test image {sample['image']}: {truth}" + ("" if is_right else f", taken for {said}")
        words = "right" if is_right else f"truth: {text(truth)}"
        cards.append(
            f'<li class="sample {"right" if is_right else "wrong"}">'
            f"{picture_tag(images[sample['image']], description)}"
            f'<div><p class="said"><b>{text(said)}</b> <span>{words}</span></p>'
            f"{_bars(document, sample)}</div></li>"
        )
    return f'<ul class="samples">{"".join(cards)}</ul>'


def _bars(document: Document, sample: Document) -> str:
    """The likeliest classes in falling order; the truth is always among them."""
    probabilities = sample["probabilities"]
    ranking = sorted(range(len(probabilities)), key=lambda k: (-probabilities[k], k))
    top = ranking[:SHOWN_BARS]
    shown = top if sample["truth"] in top else [*top[:-1], sample["truth"]]
    lines = []
    for k in shown:
        kind = "truth" if k == sample["truth"] else "mistake" if k == sample["predicted"] else ""
        lines.append(
            f'<li class="{kind}"><span class="name">{text(document["class_names"][k])}</span>'
            f'<span class="track"><i style="width:{100 * probabilities[k]:.1f}%"></i></span>'
            f'<span class="share">{text(likelihood(probabilities[k]))}</span></li>'
        )
    return f'<ul class="bars">{"".join(lines)}</ul>'


def matrix(drawing: str) -> str:
    """The confusion matrix."""
    return (
        "<p>Each row is a class as it is, each column what it was taken for. Orange cells are mistakes, the stronger "
        "the more of them (on a logarithmic scale); the diagonal, in blue, is right.</p>" + _plot(drawing)
    )


def ranking(document: Document, roc: str, precision_recall: str) -> str:
    """ROC and precision-recall side by side, with the averages."""
    if not roc:
        return ""
    areas, precision = document["roc"], document["precision_recall"]
    return (
        "<p>How well its probabilities put the images of a class before all others. Averaged over the classes, the "
        f"area under the ROC curve is <b>{number(areas['macro_auc'], 5)}</b> (weighted by class size "
        f"{number(areas['weighted_auc'], 5)}, over all decisions together {number(areas['micro_auc'], 5)}), and the "
        f"average precision <b>{number(precision['macro_average_precision'], 5)}</b>. Both plots enlarge the corner in "
        "which the curves differ; the classes that rank worst are named.</p>"
        f'<div class="pair">{_plot(roc)}{_plot(precision_recall)}</div>'
    )


def calibration(document: Document, drawing: str) -> str:
    """The calibration of the model, as text and as a plot."""
    block = document["calibration"]
    confidence, accuracy = block["mean_confidence"], document["metrics"]["test_accuracy"]
    low, high = document["confidence_intervals"]["test_accuracy"]
    verdict = "about as sure as it should be"
    if not low <= confidence <= high:
        slightly = "slightly " if abs(confidence - accuracy) < SLIGHT else ""
        verdict = f"{slightly}{'too sure of itself' if confidence > high else 'too modest'}"
    words = (
        f"On average it gives its predictions a probability of {percent(confidence)}, and {percent(accuracy)} of them "
        f"are right: it is <b>{verdict}</b>. Bin by bin, the two differ by "
        f"{points(block['expected_calibration_error'])} percentage points on average, its expected "
        "calibration error (ECE)."
    )
    scaling = block["temperature_scaling"]
    if scaling:
        one, other = scaling["temperatures"]
        words += (
            f" Dividing its logits by a temperature fitted on the other half of the images ({one:.2f} and {other:.2f}) "
            f"would take the ECE from {points(scaling['expected_calibration_error_before'])} to "
            f"{points(scaling['expected_calibration_error_after'])} points and the log-loss from "
            f"{number(scaling['log_loss_before'])} to {number(scaling['log_loss_after'])}."
        )
    return f"<p>{words}</p>" + _plot(drawing)


def method(document: Document) -> str:
    """How the numbers came about, and how to get them again."""
    scaling = _mapping(_mapping(document.get("calibration")).get("temperature_scaling"))
    outputs = "logits" if document["outputs"] == "logits" else "probabilities, taken as they are"
    notes = METHODS if "calibration" in document else METHODS[:1]
    items = "".join(
        f"<li>{text(note.format(outputs=outputs, seed=scaling.get('split_seed', 0)))}</li>" for note in notes
    )
    timing = document["timing"]
    facts = [
        ("Data", f"{document['images']:,} test images of {text(document['dataset'])}, {text(document['data_source'])}"),
        ("Device", text(f"{document['device']} ({document['device_name']})")),
        ("Time", f"{timing['evaluate_s']:.1f} s for the images, {timing['total_s']:.1f} s in all but this page"),
        ("Versions", text(_versions(document["environment"]))),
        ("Files", ", ".join(text(name) for name in document["files"])),
    ]
    rows = "".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in facts)
    return (
        f'<ul class="notes">{items}</ul><dl class="facts">{rows}</dl>'
        f"<h3>To measure it again</h3><pre><code>{text(document['command'])}</code></pre>"
    )


def _versions(environment: Document) -> str:
    names = ("zoo", "python", "tensorflow", "keras", "numpy", "scikit-learn", "scipy")
    return ", ".join(f"{name} {environment[name]}" for name in names if environment.get(name))


def _count(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else "?"


def _mapping(value: Any) -> Document:
    return value if isinstance(value, Mapping) else {}


def _plot(drawing: str) -> str:
    return f'<div class="plot">{drawing}</div>' if drawing else ""
