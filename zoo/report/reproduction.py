"""The results of ``zoo reproduce``, as a table with notes and as a documentation page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from zoo.report.shared.numbers import mean_and_deviation
from zoo.report.shared.tables import Column, print_table
from zoo.report.shared.text import printable
from zoo.spec.recipe import full_names

Document = Mapping[str, Any]

LEGEND = "Accuracies in percent and seconds of training: mean ± standard deviation (number of seeds)."
COLUMNS = ("recipe", "published", "expected", "this run", "the claim is", "the run is", "seconds")


def print_published(recipes: Sequence[Document]) -> None:
    """What ``zoo reproduce --list`` shows: a line per claim."""
    rows = [
        (
            recipe["name"],
            _stated(claim),
            _summary(_expectation(claim)) or "not measured yet",
            recipe["note"] if number == 0 else "",
        )
        for recipe in recipes
        for number, claim in enumerate(recipe["claims"])
    ]
    if rows:
        print_table(["recipe", "published", "expected here, %", "what it is"], rows)
    else:
        print("No recipe has published numbers.")


def print_reproduction(document: Document) -> None:
    """What ``zoo reproduce`` ends with."""
    *texts, seconds = COLUMNS
    print_table([*texts, Column(seconds, "right")], _table(document))
    print(f"\n{LEGEND}")
    for line in [*findings(document), *_deviations(document), *_to_copy(document)]:
        print(printable(line))


def findings(document: Document) -> list[str]:
    """What a reader should not have to search the table for, a sentence each: misses, surprises, failures."""
    sentences = [sentence for row in document["rows"] for sentence in _findings_of(row, document)]
    if document["remaining"]:
        sentences.append(f"Not trained: {', '.join(document['remaining'])}.")
    return [*sentences, *_totals(document)]


def markdown(document: Document) -> str:
    """Return the page: how it was made, the table, what it shows, and each recipe in full."""
    lines = [
        "# Published recipes, trained anew",
        "",
        "<!-- Written by zoo reproduce --markdown. Do not edit. -->",
        "",
        *_how(document),
        "",
        f"| {' | '.join(COLUMNS)} |",
        f"|{'---|' * len(COLUMNS)}",
        *(f"| {' | '.join(_escaped(cell) for cell in row)} |" for row in _table(document)),
        "",
        LEGEND,
        "A run is as expected when its mean lies in the 99% prediction interval of earlier trainings with other seeds.",
        "A claim that gives one number is also met when that lies within one seed's spread of the mean, again at 99%.",
        "",
        "## What the table shows",
        "",
        *(f"- {_escaped(finding)}" for finding in findings(document)),
    ]
    for row in document["rows"]:
        lines += ["", *_section(row)]
    return "\n".join(lines) + "\n"


def _table(document: Document) -> list[tuple[str, ...]]:
    """A line per claim; the seconds stand beside a recipe's first."""
    lines: list[tuple[str, ...]] = []
    for row in document["rows"]:
        for number, claim in enumerate(row["claims"]):
            seconds = _summary(row["train_s"], scale=1, digits=1) if number == 0 else ""
            accuracies = (_summary(claim["expected"]), _summary(claim["measured"]))
            verdicts = (claim_verdict(claim), run_verdict(claim))
            lines.append((row["name"], _stated(claim), *accuracies, *verdicts, seconds))
    return lines


def claim_verdict(claim: Document) -> str:
    """Whether this run reaches what was published, in words."""
    verdict, difference = (claim["against_publication"][key] for key in ("verdict", "difference"))
    if verdict == "nothing published":
        return ""
    if verdict == "reached":
        return f"reached, {_points(difference)} above"
    if verdict == "missed":
        return f"missed by {_points(difference)}"
    if verdict == "agrees":
        reason = "within one seed's spread" if claim["kind"] == "exact" else "the same whole percent"
        return f"met: {_points(difference)} below, {reason}"
    if verdict == "undecided":
        return f"open: {_points(difference)} below, no spread known"
    return str(verdict)


def run_verdict(claim: Document) -> str:
    """Whether this run is what zoo's earlier measurements let expect, in words."""
    verdict, difference = (claim["against_expectation"][key] for key in ("verdict", "difference"))
    return f"{_points(difference)} {verdict}" if difference else str(verdict)


def _findings_of(row: Document, document: Document) -> Iterator[str]:
    """One recipe's misses, surprises and failures."""
    for claim in row["claims"]:
        here = f"{_summary(claim['measured'])} %"
        if claim["against_publication"]["verdict"] == "missed":
            missed = _points(claim["against_publication"]["difference"])
            yield (
                f"{row['name']}: published '{claim['text']}', here {here}: missed by {missed} points."
                f"{_improvement(row, claim, document)}"
            )
        band = claim["against_expectation"]
        if band["difference"]:
            yield (
                f"{row['name']}: {_metric(claim['metric'])} accuracy is {here}, {_points(band['difference'])} points "
                f"{band['verdict']}, {band['low']:.2%} to {band['high']:.2%}."
            )
        if claim["problem"]:
            yield f"{row['name']}: {claim['problem']}"
    if row["error"]:
        trained = len(row["runs"])
        yield f"{row['name']} failed after {trained} of {len(document['seeds'])} trainings: {row['error']}"


def _improvement(row: Document, claim: Document, document: Document) -> str:
    """Which improvement reaches a missed claim: by this run's numbers, or else which one there is to try."""
    trained = {other["name"]: other for other in document["rows"]}
    for name in row["improved_by"]:
        if name not in trained:
            return f" {name} improves it and was not part of this run."
        for other in trained[name]["claims"]:
            if (other["text"], other["metric"]) == (claim["text"], claim["metric"]):
                reached = other["against_publication"]["verdict"] == "reached"
                verb = "reaches it" if reached else "does not reach it either"
                return f" {name} {verb}: {_summary(other['measured']) or 'not measured'} %."
    return ""


def _totals(document: Document) -> list[str]:
    """The two questions that the whole table answers; an improvement's claim is its original's, and counts there."""
    claims = [claim for row in document["rows"] if not row["improves"] for claim in row["claims"]]
    judged = [claim["against_publication"]["verdict"] for claim in claims]
    decided = [verdict for verdict in judged if verdict in ("reached", "agrees", "missed")]
    lines = []
    if decided:
        lines.append(f"Published numbers met: {len(decided) - decided.count('missed')} of {len(decided)}.")
    if document["within_expectation"]:
        lines.append("Every accuracy lies within the band that is expected of it.")
    elif document["within_expectation"] is None:
        lines.append("Nothing is expected of these recipes yet.")
    return lines


def _deviations(document: Document) -> Iterator[str]:
    for row in document["rows"]:
        if row["deviations"]:
            yield ""
            yield f"Where {row['name']} differs from its source:"
            yield from (f"  - {deviation}" for deviation in row["deviations"])


def _to_copy(document: Document) -> Iterator[str]:
    """The measured numbers as a model's file takes them, when the seeds are those kept for expectations."""
    if not document["for_expectations"]:
        return
    yield ""
    yield "As expectations, to copy into the model's file:"
    for row in document["rows"]:
        for claim in row["claims"]:
            measured = claim["measured"]
            if measured["standard_deviation"] is not None:
                numbers = f"mean={measured['mean']:.6f}, deviation={measured['standard_deviation']:.6f}"
                yield f"  {row['name']}, {_stated(claim)}: {numbers}, seeds={measured['n']}"


def _how(document: Document) -> list[str]:
    """Command, machine, versions and date."""
    environment, device = document["environment"], document["device"]
    versions = ", ".join(f"{name} {environment[name]}" for name in ("zoo", "tensorflow", "keras", "numpy", "python"))
    commit = (environment["commit"] or "none")[:12] + (" with changes" if environment["modified"] else "")
    machine = f"{device['device']}, {device['device_name']}" if device else environment["cpu"]
    return [
        f"`{document['command']}` trained these on {document['date']}, with seeds {_seeds(document['seeds'])}.",
        f"On {machine}; {environment['cpus_allowed']} processors, {environment['memory_gib']} GiB; {versions}; "
        f"commit {commit}.",
    ]


def _section(row: Document) -> Iterator[str]:
    """One recipe: what it is, what it sets, where it differs, and how long it trained."""
    yield f"## {row['name']}"
    yield ""
    yield _escaped(row["note"])
    yield ""
    if row["improves"]:
        yield f"- improves: {row['model']}/{row['improves']}"
    if row["source"]:
        yield f"- source: {_escaped(row['source'])}"
    yield f"- recipe: {', '.join(f'`{key}={value!r}`' for key, value in full_names(row['settings']).items())}"
    epochs = sorted({run["epochs"] for run in row["runs"]})
    if epochs:
        yield f"- epochs trained: {' to '.join(map(str, epochs[:: max(1, len(epochs) - 1)]))}"
    for claim in row["claims"]:
        values = ", ".join(f"{value:.2%}" for value in claim["measured"]["values"])
        yield f"- {_escaped(_stated(claim))}; here, seed by seed: {values or 'nothing measured'}"
    if row["deviations"]:
        yield "- differs from its source:"
        yield from (f"  - {_escaped(deviation)}" for deviation in row["deviations"])


def _stated(claim: Document) -> str:
    return claim["text"] or f"({_metric(claim['metric'])}: nothing stated)"


def _metric(metric: str) -> str:
    """The metric in words."""
    kind, _, epoch = metric.partition("@")
    word = {"test_accuracy": "test", "train_accuracy": "train"}.get(kind, "validation")
    return f"{word} after epoch {epoch}" if epoch else word


def _expectation(claim: Document) -> Document:
    """A claim's own numbers, as a summary."""
    return {"mean": claim["mean"], "standard_deviation": claim["deviation"], "n": claim["seeds"]}


def _summary(summary: Document | None, scale: float = 100, digits: int = 2) -> str:
    """``97.76 ± 0.16 (3)``, or nothing."""
    if summary is None or summary["mean"] is None:
        return ""
    return f"{mean_and_deviation(summary, lambda value: f'{value * scale:.{digits}f}')} ({summary['n']})"


def _points(difference: float) -> str:
    """A distance in percentage points; what two digits would call nothing gets a third."""
    points = abs(difference) * 100
    return f"{points:.2f}" if points >= 0.005 or points < 1e-6 else f"{points:.3f}"


def _seeds(seeds: Sequence[int]) -> str:
    return str(seeds[0]) if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"


def _escaped(text: object) -> str:
    """Text that a cell of a Markdown table can hold."""
    return printable(text).replace("|", "\\|")
