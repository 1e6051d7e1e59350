"""The text output of ``zoo list`` and ``zoo show``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from zoo.report.models.bibtex import split_venue
from zoo.report.shared.tables import Column, print_table
from zoo.report.shared.text import printable

Document = Mapping[str, Any]


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


def _citation(paper: Document | None) -> str:
    if not paper:
        return ""
    year = None if split_venue(paper["venue"])[1] else paper["year"]  # "CVPR 2016" says it already
    facts = (paper["authors"], f"“{paper['title']}”", paper["venue"], year, paper["url"])
    return ", ".join(str(fact) for fact in facts if fact)
