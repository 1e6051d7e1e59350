"""A benchmark as one self-contained HTML page: no network, no other files, no fonts.

Whatever comes from a document, names above all, passes through `text` on its way into the page.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from zoo.report.benchmark import sentences
from zoo.report.benchmark.columns import STATUS, Document, Field, Item, Table, cell_table, training_table
from zoo.report.benchmark.plots import accuracy_by_params_figure, accuracy_by_time_figure, throughput_figure
from zoo.report.benchmark.tables import ADVICE
from zoo.report.evaluation.tables import LONG
from zoo.report.shared.figure import svg
from zoo.report.shared.numbers import significant
from zoo.report.shared.page_frame import whole_page
from zoo.report.shared.page_text import text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HEADINGS = {
    "advice": ADVICE,
    "missing": "What could not be measured",
    "cells": "Speed",
    "throughput": "Throughput and batch size",
    "trainings": "Training to an accuracy",
    "accuracy": "Accuracy and what it costs",
    "method": "How it was measured",
}

NO_THROUGHPUT = "Throughput over the batch size is drawn once several were measured: repeat <code>--batch-size</code>."
NO_CELLS = "No cell was measured: <code>zoo bench</code> without <code>--until</code> measures speed."
NO_TRAININGS = (
    "Nothing was trained. <code>zoo bench … --accuracy</code> adds trainings to the end of a recipe, and "
    "<code>zoo bench … --until 0.99</code> measures how long each model takes to a test accuracy."
)
NO_POINTS = (
    "Accuracy is drawn against time and parameters once a training has come to its end or target: see above for what "
    "stopped these."
)


def benchmark_page(document: Document, advice: Sequence[str] = ()) -> str:
    """Return the page.

    Args:
        document: what ``zoo bench --format json`` prints.
        advice: sentences about what was fastest; plain text.
    """
    sections = {
        "advice": _list(advice),
        "missing": _list(sentences.failures(document)),
        "cells": _section(cell_table(document), sentences.CELL_LEGEND, "Cells") or f"<p>{NO_CELLS}</p>",
        "throughput": _throughput(document),
        "trainings": _section(training_table(document), sentences.TRAINING_LEGEND, "Trainings")
        or f"<p>{NO_TRAININGS}</p>",
        "accuracy": _accuracy(document),
        "method": _method(document),
    }
    return whole_page(f"Benchmark of {_models(document)}", _headline(document), sections, HEADINGS)


def _models(document: Document) -> str:
    """The models by name while they are few, in their order."""
    names = list(dict.fromkeys(entry["model"] for entry in (*document["cells"], *document["trainings"])))
    if not names:
        return "no models"
    if len(names) > 4:
        return f"{len(names)} models"
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _headline(document: Document) -> str:
    """What was measured, where and when, by which command; then the counts and the peaks."""
    command = f"<pre><code>{text(document['command'])}</code></pre>" if document["command"] else ""
    return (
        f'<p class="eyebrow">Benchmark, {text(document["date"])}</p>'
        f"<h1>{text(_models(document))}</h1>"
        f"<p>{text(sentences.hardware(document))}</p>{command}"
        f'<dl class="figures">{"".join(_figures(document))}</dl>'
    )


def _figures(document: Document) -> list[str]:
    settings = document["settings"]
    rounds = f"{settings['rounds']} × {settings['seconds']:g} s each"
    figures = []
    for name, entries, how in (
        ("Cells measured", document["cells"], rounds),
        ("Models trained", document["trainings"], "by their recipes"),
    ):
        if entries:
            whole = sum(entry["status"] == "ok" for entry in entries)
            figures.append((name, f"{whole} of {len(entries)}", how))
    figures += [
        (f"Peak, {peak['dtype']}", significant(peak["flops_per_s"] / 1e9), f"GFLOP/s on {peak['device']}")
        for peak in document["peaks"]
    ]
    return [
        f"<div><dt>{text(name)}</dt><dd>{text(value)}<small>{text(below)}</small></dd></div>"
        for name, value, below in figures
    ]


def _list(lines: Sequence[str]) -> str:
    items = "".join(f"<li>{text(line)}</li>" for line in lines)
    return f'<ul class="notes">{items}</ul>' if items else ""


def _section(table: Table, legend: Sequence[str], label: str) -> str:
    """A sortable table and what it does not say; nothing where it has no rows."""
    if not table.rows:
        return ""
    head = "".join(
        f'<th scope="col"{_class(field)}><button type="button">{text(field.header)}</button></th>'
        for field in table.fields
    )
    rows = "".join(f"<tr>{_row(table.fields, row)}</tr>" for row in table.rows)
    scrolls = " tall" if len(table.rows) > LONG else ""
    return (
        f"<p>{text(sentences.in_common(table))}</p>"
        f'<div class="scroll wide{scrolls}" tabindex="0" role="region" aria-label="{label}">'
        f'<table class="{label.lower()}"><caption>A click on a heading sorts.</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>{_list(legend)}"
    )


def _row(fields: Sequence[Field], row: Sequence[Item]) -> str:
    first, *others = (
        (f'{_class(field, item)} data-value="{_sorting(item)}"', text(item.text))
        for field, item in zip(fields, row, strict=True)
    )
    cells = "".join(f"<td{attributes}>{shown}</td>" for attributes, shown in others)
    return f'<th scope="row"{first[0]}>{first[1]}</th>{cells}'


def _class(field: Field, item: Item | None = None) -> str:
    """Words stand on the left; a status that has a value is a problem."""
    if field is STATUS and item is not None and item.value is not None:
        return ' class="name problem"'
    return "" if field.right else ' class="name"'


def _sorting(item: Item) -> str:
    if item.value is None:
        return ""
    return text(item.value) if isinstance(item.value, str) else f"{item.value:.8g}"


def _throughput(document: Document) -> str:
    if not document["cells"]:
        return ""
    figure = throughput_figure(document)
    if figure is None:
        return f"<p>{NO_THROUGHPUT}</p>"
    words = "All panels share their scales, which are logarithmic."
    return f"<p>{words}</p>{_plot(figure, 'Throughput over the batch size; the numbers are in the table above')}"


def _accuracy(document: Document) -> str:
    """Both pictures, or what is missing for them."""
    if not document["trainings"]:
        return ""
    drawings = [
        _plot(figure, f"Test accuracy over {against}; the numbers are in the table above")
        for against, figure in (
            ("the seconds of training", accuracy_by_time_figure(document)),
            ("the number of parameters", accuracy_by_params_figure(document)),
        )
        if figure is not None
    ]
    return f'<div class="pair">{"".join(drawings)}</div>' if drawings else f"<p>{NO_POINTS}</p>"


def _plot(figure: Figure, description: str) -> str:
    return f'<div class="plot">{svg(figure, description=description)}</div>'


def _method(document: Document) -> str:
    known = document["environment"]
    plugins = ", ".join(f"{name} {version}" for name, version in known["plugins"].items())
    facts = [
        ("Machine", sentences.hardware(document)),
        ("CPU features", ", ".join(known["cpu_features"])),
        ("System", known["platform"]),
        ("Versions", sentences.versions(document)),
        ("Commit", sentences.commit(document)),
        ("Plugins", plugins),
        ("Peaks", sentences.peaks(document)),
    ]
    rows = "".join(f"<dt>{name}</dt><dd>{text(value)}</dd>" for name, value in facts if value)
    procedure = sentences.procedure(document)
    how = f"<p>{text(procedure)}</p>" if procedure else ""
    return f'{how}{_list(sentences.notes(document))}<dl class="facts">{rows}</dl>'
