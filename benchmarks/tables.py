"""Puts the measured tables into README.md, docs/reference/, targets.md and peers/peers.md, from the committed records.

    python benchmarks/tables.py            writes them
    python benchmarks/tables.py --check    exits 1 if other ones stand there

In the README and the documentation, what stands between the lines ``<!-- table: NAME -->`` and ``<!-- end -->`` is
replaced.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import re
import statistics
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from zoo import registry
from zoo.benchmarking import record
from zoo.report.benchmark import sentences as benchmark_sentences
from zoo.report.shared import markdown
from zoo.spec import ModelSpec
from zoo.utils.files import atomic_write

FOLDER = Path(__file__).resolve().parent
README = FOLDER.parent / "README.md"
REFERENCE = FOLDER.parent / "docs" / "reference"
SERIES = FOLDER / "series-mnist.json", FOLDER / "series-fashion-mnist.json"
SCENES = FOLDER / "series-mnist-scenes.json"
BATCH = 128


def _module(path: Path) -> ModuleType:
    """Load a script's neighbour by its path: its name is too plain to be put on the import path."""
    spec = importlib.util.spec_from_file_location(f"zoo_benchmarks_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


peers = _module(FOLDER / "peers" / "report.py")
COLUMNS = (("train", "float32"), ("train", "mixed_bfloat16"), ("infer", "float32"), ("infer", "mixed_bfloat16"))
TARGETS = {
    ("mlp", 32): (6.0, 6.0),
    ("mlp", 128): (3.5, 4.0),
    ("lenet5", 32): (1.8, 2.0),
    ("lenet5", 128): (1.8, 2.2),
    ("simple_cnn", 32): (1.5, 2.3),
    ("simple_cnn", 128): (1.5, 2.3),
}
"""Times the tutorials' `fit` in float32: by zoo in float32, and in its best precision."""
TARGET_TEXT = (
    "zoo's images per second in training, as multiples of others': medians of the rounds' own ratios, and in brackets "
    "the target. `fit` is the tutorials' plain one in float32, whatever zoo's precision; PyTorch's and JAX's figures "
    "are the best of all their sides in the same precision. [How it was measured](peers/peers.md)."
)
TARGET_HEADERS = (
    "model", "batch", "× fit, float32", "× fit, best precision", "× PyTorch, float32", "× PyTorch, bfloat16",
    "× JAX, float32", "× JAX, bfloat16",
)  # fmt: skip
PEER_HEADERS = (
    "model", "precision", "batch", "zoo", "best Keras", "best PyTorch", "best JAX", "× fit", "× best Keras",
    "× best PyTorch", "× best JAX",
)  # fmt: skip
PUBLISHED_HEADERS = ("name", "paper", "input", "parameters", "10^9 MACs", "10^9 MACs elsewhere")
SERIES_HEADERS = (
    "model", "paper", "parameters", "MACs", "accuracy, %", "training, s", "to 99%, s", "n", "one image, ms",
    "Fashion-MNIST, %",
)  # fmt: skip
HEADLINE = ("mlp", "lenet5", "speedrun", "simple_cnn", "googlenet_small", "vgg_small", "resnet20", "marathon")
HEADLINE_HEADERS = ("model", "paper", "parameters", "test accuracy, %", "training, s", "n")
SCENES_HEADERS = ("model", "paper", "parameters", "MACs", "AP50", "AP (COCO)", "mean IoU", "training, s", "n")
HEADERS = (
    "model", "training, float32", "training, bfloat16", "inference, float32", "inference, bfloat16", "one image, ms",
)  # fmt: skip


def published_table() -> list[str]:
    """Return the lines of the table of networks for photographs, from their specs."""
    rows = []
    own = registry.built_ins()
    for spec in (registry.get(name) for name in registry.list_models() if name in own):
        if spec.paper is None or not spec.large_input:
            continue
        paper = _cited(spec)
        size = "x".join(map(str, spec.input_shape[:2]))
        others = ", ".join(dict.fromkeys(f"{cited.macs / 1e9:.3g}" for cited in spec.cited_macs))
        rows.append((spec.name, paper, size, f"{spec.params:,}", f"{spec.macs / 1e9:.2f}", others))
    return markdown.table(PUBLISHED_HEADERS, rows, right=[False, False, False, True, True, True])


def headline_table(record: Mapping[str, Any]) -> list[str]:
    """Return the lines of the README's table: what some of the classifiers reach by their default recipes."""
    own, rows = _by_recipe(record), []
    for name in HEADLINE:
        spec, runs = registry.get(name), own[name, "default"]
        accuracy, seconds = _mean_of(runs, "test_accuracy", 100), _mean_of(runs, "train_s")
        rows.append((name, _cited(spec), f"{runs[0]['params']:,}", accuracy, seconds, str(len(runs))))
    return [
        *markdown.table(HEADLINE_HEADERS, rows, right=[False, False] + [True] * 4),
        "",
        "MNIST, default recipes: mean ± standard deviation of n seeds. Our own networks and recipes were chosen by "
        f"these test images. {_circumstances(record)}",
    ]


def headline_speed(document: Mapping[str, Any], speedrun: Mapping[str, Any]) -> list[str]:
    """Return the README's sentences about speed: the smallest and the largest multiple of each table column."""
    found: dict[str, list[float]] = {"fit": [], **{word: [] for word in peers.RIVALS.values()}}
    for name in dict.fromkeys(row["model"] for row in document["rows"]):
        model = peers.Model(name, document["rows"])
        for batch, precision in model.columns:
            zoo = model.of("zoo", batch, precision)
            sides = {word: model.best(word, batch, precision) for word in peers.RIVALS.values()}
            if precision == "float32":
                sides["fit"] = model.of("keras fit", batch, "float32")
            for word, side in sides.items():
                values = peers.ratio(side, zoo)
                if values is not None:
                    found[word].append(values[0])
    fit, pytorch, jax = (f"{min(found[word]):.2f} to {max(found[word]):.2f}" for word in ("fit", "pytorch", "jax"))
    return [
        f"On two cores zoo trains the same networks {fit} times as fast as Keras `fit` as tutorials write it, in "
        "float32, with the [same accuracy](benchmarks/agreement.md). Against the best of several PyTorch variants it "
        f"is {pytorch} times as fast, against JAX {jax}: medians of {document['rounds']} rounds, "
        "[every row](docs/reference/speed.md).",
        "",
        f"`zoo train speedrun` reaches {_fastest(speedrun, 'default')} of training; with `--recipe 99.6` it reaches "
        f"{_fastest(speedrun, '99.6')}: test accuracy on MNIST, means of ten seeds, [on the same two "
        "cores](benchmarks/speedrun.md).",
    ]


def _fastest(record: Mapping[str, Any], recipe: str) -> str:
    """Return the accuracy and the seconds of a recipe of speedrun, means of ten seeds."""
    row = next(row for row in record["rows"] if (row["model"], row["recipe"]) == ("speedrun", recipe))
    accuracy, seconds = (row[name] for name in ("test_accuracy", "train_s"))
    if len(accuracy) != 10 or len(seconds) != 10:
        sys.exit(f"speedrun.json has not ten seeds of the recipe {recipe}. Run benchmarks/speedrun.py --seeds 10.")
    return f"{statistics.fmean(accuracy):.2%} after {statistics.fmean(seconds):.1f} s"


def series_table(record: Mapping[str, Any], fashion: Mapping[str, Any]) -> list[str]:
    """Return the lines of the table of small classifiers by their recipes, and what they reach on another dataset."""
    own, other = _by_recipe(record), _by_recipe(fashion)
    rows = []
    for model, recipe in sorted({*_small("classification"), *own}, key=lambda pair: (registry.get(pair[0]).macs, pair)):
        spec, runs = registry.get(model), own.get((model, recipe), [])
        rows.append(
            (
                model if recipe == "default" else f"{model}, {recipe}",
                _cited(spec),
                f"{runs[0]['params'] if runs else spec.params:,}",
                f"{runs[0]['macs'] if runs else spec.macs:,}",
                _mean_of(runs, "test_accuracy", 100),
                _mean_of(runs, "train_s"),
                _mean_of(runs, "seconds_to_target"),
                str(len(runs)),
                _latency(record, runs),
                _mean_of(other.get((model, recipe)) or other.get((model, "fashion"), []), "test_accuracy", 100),
            )
        )
    return [
        *markdown.table(SERIES_HEADERS, rows, right=[False, False] + [True] * 8),
        "",
        "Test accuracy on MNIST in percent after the recipe's last epoch, and seconds of training: mean ± standard "
        "deviation of n seeds; – where it has not been measured, or not every seed gets there. To 99%: until the end "
        "of the epoch after which the test images reach it. Our own networks and recipes were chosen by these test "
        "images ([notes](../../benchmarks/NOTES.md)), so a little of their accuracy may be luck. One image: the median "
        "latency in float32. Fashion-MNIST: by the same recipe, or by "
        "`fashion` where the model has one, which may build a smaller network; one seed.",
        "",
        *_together(record.get("ensemble")),
        f"{_circumstances(record)} `python benchmarks/series.py --again --keep runs/series` measures it anew, with "
        "`--dataset fashion_mnist --seeds 1` the last column; the records: "
        "[MNIST](../../benchmarks/series-mnist.json), [Fashion-MNIST](../../benchmarks/series-fashion-mnist.json).",
    ]


def _together(ensemble: Mapping[str, Any] | None) -> list[str]:
    """Return what several of the networks reach as one, where it was measured."""
    if ensemble is None:
        return []
    counts = Counter(model for model, _ in ensemble["members"])
    members = " and ".join(f"{count} of {model}" for model, count in counts.items())
    return [
        f"The average of five, {members} (`zoo evaluate RUN RUN RUN RUN RUN`): "
        f"**{ensemble['test_accuracy']:.2%}**, n = 1.",
        "",
    ]


def scenes_table(record: Mapping[str, Any]) -> list[str]:
    """Return the lines of the table of detectors and segmenters."""
    own, rows = _by_recipe(record), []
    pairs = [*_small("detection"), *_small("segmentation")]
    for model, recipe in sorted(pairs, key=lambda pair: (registry.get(pair[0]).task, registry.get(pair[0]).macs)):
        spec, runs = registry.get(model), own.get((model, recipe), [])
        rows.append(
            (
                model,
                _cited(spec),
                f"{spec.params:,}",
                f"{spec.macs:,}",
                *(_mean_of(runs, f"test_{name}", 100) for name in ("ap50", "ap", "mean_iou")),
                _mean_of(runs, "train_s"),
                str(len(runs)),
            )
        )
    return [
        *markdown.table(SCENES_HEADERS, rows, right=[False, False] + [True] * 7),
        "",
        "2,000 test scenes of 64x64 pixels, in percent, and seconds of training: mean ± standard deviation of n seeds. "
        f"{_circumstances(record)} `python benchmarks/series.py --again --dataset mnist_scenes` measures it anew; "
        "[the record](../../benchmarks/series-mnist-scenes.json).",
    ]


def _small(task: str) -> list[tuple[str, str]]:
    """Return the models of a task that take small images, each with its default recipe."""
    specs = [registry.get(name) for name in registry.built_ins()]
    return [(spec.name, "default") for spec in specs if spec.task == task and not spec.large_input]


def _by_recipe(record: Mapping[str, Any]) -> dict[tuple[str, str], list[Mapping[str, Any]]]:
    """Return the record's runs by model and recipe."""
    found: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for row in record["rows"]:
        found.setdefault((row["model"], row["recipe"]), []).append(row)
    return found


def _cited(spec: ModelSpec) -> str:
    """Return who published it, and when."""
    return f"{spec.paper.authors.partition(',')[0].split()[-1]} et al. {spec.paper.year}" if spec.paper else "our own"


def _circumstances(record: Mapping[str, Any]) -> str:
    """Return what the rows were measured on, everything that there was where it is not one thing."""
    cpu, tensorflow, keras = (
        ", ".join(dict.fromkeys(row[name] for row in record["rows"])) for name in ("cpu", "tensorflow", "keras")
    )
    processors = record["environment"]["cpus_allowed"]
    return (
        f"{markdown.plain_text(cpu)}, {processors} processors; tensorflow {tensorflow}, keras {keras}. "
        "Not run on a GPU."
    )


def _mean_of(runs: Sequence[Mapping[str, Any]], name: str, scale: float = 1) -> str:
    values = [scale * run[name] for run in runs if run.get(name) is not None]
    if not values or len(values) < len(runs):
        return "–"  # not measured, or not every seed gets there
    digits = 2 if scale > 1 or max(values) < 10 else 1 if max(values) < 100 else 0
    mean = f"{statistics.fmean(values):,.{digits}f}"
    return mean if len(values) == 1 else f"{mean} ± {statistics.stdev(values):,.{digits}f}"


def _latency(record: Mapping[str, Any], runs: Sequence[Mapping[str, Any]]) -> str:
    """Of the model by its default recipe: others may change its layers."""
    seconds = record["latency"].get(runs[0]["model"]) if runs and runs[0]["recipe"] == "default" else None
    return f"{1e3 * seconds['median']:.2f}" if seconds else "–"


def speed_table(document: Mapping[str, Any]) -> list[str]:
    """Return the lines of a table of images per second at batch 128, and the milliseconds of a single image.

    Cells are the median of the steps, with the middle half of them.
    """
    rows = [[model, *_row(document, model)] for model in dict.fromkeys(cell["model"] for cell in document["cells"])]
    return [
        *markdown.table(HEADERS, rows, right=[False] + [True] * 5),
        "",
        f"Images per second in batches of {BATCH}, and the latency of one image in float32: medians (middle half). "
        + markdown.plain_text(benchmark_sentences.procedure(document)),
        "",
        f"{markdown.plain_text(benchmark_sentences.machine(document))}, {document['date']}. Not run on a GPU. "
        f"{markdown.code(document['command'])}; [the record](../../benchmarks/records/standard.jsonl).",
    ]


def _row(document: Mapping[str, Any], model: str) -> Iterator[str]:
    for mode, precision in COLUMNS:
        cell = _cell(document, model, mode, precision, BATCH)
        steps = cell["step_s"]
        yield f"{cell['images_per_s']:,.0f} ({BATCH / steps['q3']:,.0f}–{BATCH / steps['q1']:,.0f})"
    steps = _cell(document, model, "infer", "float32", 1)["step_s"]
    yield f"{1e3 * steps['median']:.2f} ({1e3 * steps['q1']:.2f}–{1e3 * steps['q3']:.2f})"


def _cell(document: Mapping[str, Any], model: str, mode: str, precision: str, batch_size: int) -> Mapping[str, Any]:
    for cell in document["cells"]:
        asked = cell["requested"]["precision"], cell["requested"]["batch_size"]
        if (cell["model"], cell["mode"], *asked) == (model, mode, precision, batch_size):
            return cell
    raise SystemExit(f"The record holds no {model}, {mode}, {precision}, batch {batch_size}.")


def peers_table(document: Mapping[str, Any]) -> list[str]:
    """Return the lines of a table of zoo beside what a user would pick instead, by model, precision and batch size."""
    rows = []
    for name in dict.fromkeys(row["model"] for row in document["rows"]):
        model = peers.Model(name, document["rows"])
        for batch, precision in model.columns:
            zoo = model.of("zoo", batch, precision)
            rivals = [model.best(word, batch, precision) for word in ("keras", *peers.RIVALS.values())]
            fit = model.of("keras fit", batch, "float32")
            speeds = [f"{row['images_per_s']['median']:,.0f}" if row else "–" for row in (zoo, *rivals)]
            times = [_times(peers.ratio(other, zoo)) for other in (fit, *rivals)]
            rows.append([name, precision, str(batch), *speeds, *times])
    return [*markdown.table(PEER_HEADERS, rows, right=[False, False] + [True] * 9), "", *_peer_notes(document)]


def targets(document: Mapping[str, Any]) -> str:
    """Return the page that holds what was aimed at beside what was reached."""
    rows = []
    for name in dict.fromkeys(row["model"] for row in document["rows"]):
        model = peers.Model(name, document["rows"])
        for batch in sorted({batch for batch, _ in model.columns}):
            ours = [model.of("zoo", batch, precision) for precision in ("float32", "bfloat16")]
            fit = model.of("keras fit", batch, "float32")
            single, half = (peers.ratio(fit, row) for row in ours)
            best = max((each for each in (single, half) if each), default=None)
            cells = [
                _beside(value, aim)
                for value, aim in zip((single, best), TARGETS.get((name, batch), (None, None)), strict=True)
            ]
            for word, aim in (("pytorch", 1.2), ("jax", 1.0)):
                for precision, row in zip(("float32", "bfloat16"), ours, strict=True):
                    cells.append(_beside(peers.ratio(model.best(word, batch, precision), row), aim))
            rows.append([name, str(batch), *cells])
    table = markdown.table(TARGET_HEADERS, rows, right=[False] + [True] * 7)
    return "\n".join(["# Targets and results", "", TARGET_TEXT, "", *table, "", *_peer_notes(document)[2:]]) + "\n"


def _beside(values: tuple[float, float, float] | None, aim: float | None) -> str:
    """The median of the rounds' ratios, and the target unless there is none: ``4.64 (6: missed)``."""
    if values is None:
        return "–"
    if aim is None:
        return f"{values[0]:.2f}"
    return f"{values[0]:.2f} ({aim:g}: {'met' if values[0] >= aim else 'missed'})"


def _peer_notes(document: Mapping[str, Any]) -> list[str]:
    facts = document["environment"]
    versions = ", ".join(f"{name} {facts[name]}" for name in ("tensorflow", "keras", "torch", "jax"))
    return [
        "Images per second in training, and zoo's as a multiple of another's: medians of "
        f"{document['rounds']} rounds in which all took turns, the same network, data, batch and Adam on both sides; "
        "a multiple is the median of the rounds' own, not the quotient of two medians. “fit” is Keras' `fit` as "
        "tutorials write it, in float32; “best Keras” its best with any option, the others their best of several too. "
        "A round of `fit` may end late, waiting for its input pipeline's autotuner.",
        "",
        f"{markdown.plain_text(facts['cpu'])}, {facts['cpus_allowed']} processors; {versions}; {document['date']}. "
        "Not run on a GPU.",
    ]


def _times(values: tuple[float, float, float] | None) -> str:
    return "–" if values is None else f"{values[0]:.2f}"


def pages() -> dict[Path, str]:
    """Return what each file with measured tables should hold."""
    beside = FOLDER / "peers"
    measured = json.loads((beside / "peers.json").read_text(encoding="utf-8"))
    speed = speed_table(record.read(FOLDER / "records" / "standard.jsonl"))
    mnist, fashion = (json.loads(path.read_text(encoding="utf-8")) for path in SERIES)
    speedrun = json.loads((FOLDER / "speedrun.json").read_text(encoding="utf-8"))
    scenes = json.loads(SCENES.read_text(encoding="utf-8"))
    tables = {
        README: {"speed": headline_speed(measured, speedrun), "headline": headline_table(mnist)},
        REFERENCE / "models.md": {
            "series": series_table(mnist, fashion),
            "scenes": scenes_table(scenes),
            "photographs": published_table(),
        },
        REFERENCE / "speed.md": {"peers": peers_table(measured), "speed": speed},
    }
    filled = {path: with_tables(path.read_text(encoding="utf-8"), contents) for path, contents in tables.items()}
    return {**filled, FOLDER / "targets.md": targets(measured), beside / "peers.md": peers.markdown(measured)}


def stale() -> dict[Path, str]:
    """Return the files that do not hold what they should, with what that is."""
    return {path: text for path, text in pages().items() if _held(path) != text}


def _held(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None


def with_tables(text: str, contents: Mapping[str, list[str]]) -> str:
    """Return the text with what stands between the markers replaced.

    Raises:
        SystemExit: a table has no place in the text, so that it would be held against nothing.
    """
    for name, lines in contents.items():
        marker = re.compile(rf"(<!-- table: {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        text, count = marker.subn(lambda found, lines=lines: found[1] + "\n".join(lines) + "\n" + found[2], text)  # type: ignore[misc]
        if count != 1:
            sys.exit(f"The table '{name}' has {count} places in its page. Give it one: <!-- table: {name} -->.")
    return text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if they are others")
    arguments = parser.parse_args()
    others = stale()
    if arguments.check:
        sys.exit(f"Not as the records say: {', '.join(path.name for path in others)}." if others else 0)
    for path, text in others.items():
        atomic_write(path, text)


if __name__ == "__main__":
    main()
