"""What zoo bench shows: tables, Markdown, CSV and the page, all of the same document, by hand-made ones."""

from __future__ import annotations

import csv
import io
import json
import re
import warnings
from importlib import resources
from typing import Any

import pytest
from benchmark_samples import ENVIRONMENT, cell, document, failed_cell, training
from test_report_page import CHROMIUM, Reader, browse

from zoo.report.benchmark import tables as benchmark_tables
from zoo.report.benchmark.columns import cell_table, training_table
from zoo.report.benchmark.page import benchmark_page
from zoo.report.benchmark.plots import throughput_figure
from zoo.report.benchmark.tables import benchmark_csv, benchmark_markdown, print_benchmark
from zoo.report.shared import markdown
from zoo.report.shared.labels import Box, apart, place
from zoo.report.shared.numbers import compact, significant

HOSTILE = "<b>|x\x1b[31m`*_y_"
MEASURED = (
    "images/s", "step ms", "IQR", "p50", "p90", "p95", "p99", "n", "first s", "host MiB", "params", "MACs", "GFLOP/s",
    "% of peak",
)  # fmt: skip
NAMES = ("model", "mode", "precision", "XLA", "batch")


def rich_document() -> dict[str, Any]:
    """Four models, two modes, two precisions, three batch sizes; one cell failed, one needed a smaller batch."""
    models = {"mlp": 1.0, "lenet5": 1.7, "simple_cnn": 6.0, "alexnet_small": 11.0}
    cells = [
        cell(model, mode, precision=precision, batch_size=size, rounds=[[seconds, 1.1 * seconds], [seconds, seconds]])
        for model, slowness in models.items()
        for mode in ("train", "infer")
        for precision in ("float32", "mixed_bfloat16")
        for size in (32, 128, 512)
        for seconds in [2e-3 + 1e-5 * slowness * size * (3 if mode == "train" else 1)]
    ]
    cells[5] = failed_cell(
        "timed_out", "it took more than 300 s", model="mlp", precision="mixed_bfloat16", batch_size=512
    )
    cells[-1]["retried_from"], cells[-1]["resolved"]["batch_size"] = 512, 256
    cells[7]["rounds"][1]["steady"] = False
    cells[8]["rounds"][0]["load"] = 3.7
    trainings = [
        training(model, target=None, seconds=[60 * slowness, 63 * slowness], accuracy=0.98 + 0.001 * slowness)
        for model, slowness in models.items()
    ]
    return document(*cells, *trainings, command="zoo bench --preset standard --accuracy")


def printed(capsys: pytest.CaptureFixture[str], *arguments: Any) -> str:
    """What print_benchmark prints."""
    print_benchmark(*arguments)
    return capsys.readouterr().out


def markdown_rows(text: str) -> list[list[str]]:
    """The cells of all tables of a Markdown document, as a reader of Markdown sees them."""
    parser = pytest.importorskip("markdown_it").MarkdownIt("commonmark").enable("table")
    html = parser.render(text)
    rows = re.findall("<tr>(.*?)</tr>", html, flags=re.DOTALL)
    return [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, flags=re.DOTALL) for row in rows]


# Tables


def test_every_measurement_has_its_column(capsys):
    """First call, step, spread, percentiles, n, throughput, memory, size, FLOP/s and share, after the row's names."""
    cells = [cell(), cell("mlp", "infer", precision="mixed_bfloat16", xla=True, batch_size=32)]
    cells[0]["peak_device_bytes"] = 3 * 2**20
    headers = cell_table(document(*cells)).headers
    assert headers == [*NAMES, *MEASURED[:10], "device MiB", *MEASURED[10:]]
    text = printed(capsys, document(*cells))
    assert re.split(r"\s{2,}", text.splitlines()[0]) == headers


def test_numbers_are_in_the_units_of_their_headers():
    """Milliseconds, mebibytes, billions and percent, each computed by hand."""
    one = cell(rounds=[[0.010, 0.012, 0.020]], peak_host_bytes=5 * 2**20, flops_per_s=3e9, peak_share=0.02)
    table = cell_table(document(one))
    row = dict(zip(table.headers, (item.text for item in table.rows[0]), strict=True))
    assert row["step ms"] == row["p50"] == "12.0"
    assert row["IQR"] == "5.0"
    assert (row["p99"], row["n"], row["first s"]) == ("20.0", "3", "1.50")
    assert (row["host MiB"], row["GFLOP/s"], row["% of peak"]) == ("5", "3.00", "2.00")
    assert (row["images/s"], row["params"], row["MACs"]) == ("10,667", "61,706", "416,520")


def test_what_is_the_same_everywhere_is_said_once(capsys):
    """A setting that all cells share is in a sentence below the table; one in which they differ is a column."""
    alike = printed(capsys, document(cell(), cell("mlp")))
    assert alike.splitlines()[0].split()[:2] == ["model", "images/s"]
    assert "In all rows: mode train; float32; XLA off; batch 128; device cpu; A CPU; threads intra-op 2" in alike
    assert "oneDNN on; from cnn-zoo 0.1.0." in alike
    other = cell("mlp")
    other["resolved"] |= {"onednn": False, "threads": {"intra_op": 1}}
    table = cell_table(document(cell(), other))
    assert {"threads", "oneDNN"} <= set(table.headers)
    assert not any("oneDNN" in words for words in table.in_common)


def test_a_failed_cell_is_a_row_with_its_status_and_its_reason_below(capsys):
    """The status column stands only where something failed; the reason is a sentence of its own."""
    assert "status" not in cell_table(document(cell())).headers
    broken = document(cell(), failed_cell("out_of_memory", "even batch 1 does not fit", model="huge"))
    for text in (printed(capsys, broken), benchmark_markdown(broken), benchmark_page(broken)):
        assert "out of memory" in text
        assert "huge, train, float32, no XLA, batch 128: out of memory: even batch 1 does not fit" in text
    row = next(row for row in cell_table(broken).rows if row[0].text == "huge")
    assert [item.text for item in row][:3] == ["huge", "out of memory", ""]


def test_a_cell_that_failed_late_keeps_what_was_measured(capsys):
    """The numbers of its good rounds stand beside its status."""
    text = printed(capsys, document(cell(status="failed", reason="the second round broke")))
    assert "failed" in text.splitlines()[1]
    assert "12,190" in text.splitlines()[1]


def test_notes_name_what_to_be_careful_with(capsys):
    """Smaller batches, a warm-up without end, a busy machine, other settings than asked for, missed targets."""
    whole = rich_document()
    whole["cells"][0]["resolved"]["precision"] = "mixed_float16"
    whole["cells"][1]["requested"]["xla"] = True
    whole["trainings"].append(training(seconds=(10.0, None, None)))
    text = printed(capsys, whole)
    assert "256 (of 512)" in text
    assert "alexnet_small, infer, mixed_bfloat16, no XLA, batch 512: ran out of memory; measured with batch 256" in text
    assert "reached its limit: mlp, infer, float32, no XLA, batch 128 (1 of 2 rounds)." in text
    assert "1 of 94 rounds began with a load average above the 2 CPUs (up to 3.7)" in text
    assert "mlp, train, float32, no XLA, batch 32: what ran is mixed_float16." in text
    assert "mlp, train, float32, XLA, batch 128: what ran is without XLA." in text
    assert "lenet5, recipe default, to 99%: 2 of 3 seeds did not reach the target" in text


def test_many_unsteady_cells_are_counted(capsys):
    """A sentence names some of them and says how many there are beside."""
    whole = rich_document()
    for entry in whole["cells"]:
        for each in entry["rounds"]:
            each["steady"] = False
    assert "(2 of 2 rounds); and 43 more." in printed(capsys, whole)


def test_machine_peaks_and_procedure_are_said(capsys):
    """Processor, memory, GPU and versions in one line; the peaks; rounds and seconds."""
    gpu = {"name": "A GPU", "driver": "580.1", "cuda": "12.5", "cudnn": None, "compute_capability": "9.0"}
    text = printed(capsys, document(cell(), environment={**ENVIRONMENT, "gpu": gpu}))
    assert "A CPU (2 CPUs), 8.0 GiB; A GPU (driver 580.1, CUDA 12.5, compute capability 9.0); Linux" in text
    assert "TensorFlow 2.21.0, Keras 3.15.1" in text
    assert "Peak of a large matrix product on cpu: float32 150, bfloat16 375, float16 100 GFLOP/s." in text
    assert "Preset quick: each cell was measured in 2 rounds of 1 s, each in a process of its own" in text


def test_trainings_by_both_conventions(capsys):
    """Accuracy with its spread, seconds by both clocks with median, mean and range, the seeds that reached it."""
    text = printed(capsys, document(training(seconds=(10.0, 12.0, 17.0, None))))
    assert "training s (speedrun)" in text
    assert "total s (MLPerf)" in text
    row = [item.text for item in training_table(document(training(seconds=(10.0, 12.0, 17.0, None)))).rows[0]]
    assert row[:9] == [
        "lenet5", "default", "99%", "99.05 ± 0.10 (4)", "12.0", "13.0 ± 3.6 (10.0–17.0)", "16.0",
        "17.0 ± 3.6 (14.0–21.0)", "3 of 4",
    ]  # fmt: skip
    assert "compiling and evaluation are outside the clock" in text
    assert "from before the data is touched until the target" in text


def test_a_training_that_nothing_came_of_is_a_row(capsys):
    """Without any seed that reached the target the seconds are empty, and the reason stands below."""
    empty = dict.fromkeys(("resolved", "params", "macs", "training_s", "total_s", "test_accuracy"))
    broken = training("huge") | empty | {"status": "failed", "reason": "no such dataset", "runs": [], "failures": 0}
    whole = document(broken, training("mlp", seconds=(None,)))
    text = printed(capsys, whole)
    assert "training of huge, recipe default, to 99%: failed: no such dataset" in text
    assert "0 of 1" in text
    assert "once a training has come to its end" not in benchmark_page(whole)
    assert "once a training has come to its end" in benchmark_page(document(broken))


def test_advice_is_a_section_of_its_own(capsys):
    """The sentences given are shown under their title, in all three forms; without any there is no title."""
    advice = ["Train lenet5 with <batch> 512."]
    for render in (lambda *given: printed(capsys, *given), benchmark_markdown, benchmark_page):
        assert "What was fastest here" in render(document(cell()), advice)
        assert "What was fastest here" not in render(document(cell()))
    assert "- Train lenet5 with <batch> 512." in printed(capsys, document(cell()), advice)
    assert "&lt;batch&gt;" in benchmark_page(document(cell()), advice)


def test_a_narrow_terminal_gets_the_table_in_parts(capsys, monkeypatch):
    """No line is longer than the terminal is wide, each part names its rows, and no column is lost."""
    monkeypatch.setattr(benchmark_tables, "_width", lambda: 80)
    whole = rich_document()
    lines = printed(capsys, whole).splitlines()
    assert max(map(len, lines)) <= 80
    heads = [re.split(r"\s{2,}", line) for line in lines if line.startswith("model  ")]
    cells = [head for head in heads if "mode" in head]
    assert len(cells) > 2
    assert all(head[:4] == ["model", "mode", "precision", "batch"] for head in cells)
    assert [name for head in cells for name in head[4:]] == ["status", *MEASURED]


def test_nothing_measured_is_said(capsys):
    """A document without cells and trainings makes a report in every form."""
    empty = document()
    assert printed(capsys, empty).startswith("Nothing was measured.\n")
    assert "Nothing was measured." in benchmark_markdown(empty)
    assert len(benchmark_csv(empty).splitlines()) == 1
    page = benchmark_page(empty)
    assert Reader(page).open == []
    assert "No cell was measured" in page
    assert "--until 0.99" in page


# Markdown and CSV


def test_markdown_has_the_same_tables(capsys):
    """Header for header and cell for cell what the terminal shows."""
    whole = rich_document()
    rows = markdown_rows(benchmark_markdown(whole))
    shown = [
        line for table in (cell_table(whole), training_table(whole)) for line in (table.headers, *_texts(table.rows))
    ]
    assert rows == shown
    assert benchmark_markdown(whole).startswith("`zoo bench --preset standard --accuracy`, 2026-11-24 20:10 UTC, on A")


def _texts(rows: Any) -> list[list[str]]:
    return [[item.text for item in row] for row in rows]


def test_names_are_only_names_in_markdown(capsys):
    """Pipes, markup and control characters of a name neither part a cell nor format it."""
    whole = document(cell(HOSTILE), failed_cell("failed", "a | <i>reason</i>", model="x"), command="zoo bench 'a`b'")
    rows = markdown_rows(benchmark_markdown(whole))
    assert {len(row) for row in rows} == {len(rows[0])}
    assert rows[1][0] == "&lt;b&gt;|x?[31m`*_y_"
    assert "\x1b" not in printed(capsys, whole)
    assert "\x1b" not in benchmark_csv(whole)
    assert benchmark_markdown(whole).startswith("``zoo bench 'a`b'``, ")
    assert markdown.code("`a`") == "`` `a` ``"


def test_csv_parses_back(capsys):
    """A row for each cell and training, numbers in full, and the text of a name as it is."""
    whole = document(cell('a,"b"'), failed_cell("failed", "it, broke"), training(target=0.99))
    rows = list(csv.DictReader(io.StringIO(benchmark_csv(whole))))
    assert [row["kind"] for row in rows] == ["cell", "cell", "training"]
    assert rows[0]["model"] == 'a,"b"'
    assert float(rows[0]["step_s_p99"]) == whole["cells"][0]["step_s"]["p99"]
    assert float(rows[0]["images_per_s"]) == whole["cells"][0]["images_per_s"]
    assert (rows[0]["requested_batch_size"], rows[0]["resolved_xla"], rows[0]["rounds"]) == ("128", "false", "2")
    assert (rows[1]["reason"], rows[1]["resolved_xla"], rows[1]["step_s_n"]) == ("it, broke", "", "")
    assert (rows[2]["target"], rows[2]["training_s_median"], rows[2]["runs"]) == ("0.99", "11.0", "3")
    assert rows[2]["failures"] == "1"


def test_csv_columns_are_those_of_the_schema():
    """Whatever a cell or training has by the schema has a column, whichever entries there are."""
    schema = json.loads((resources.files("zoo.benchmarking") / "schema.json").read_text(encoding="utf-8"))
    expected = set()
    for kind in ("cell", "training"):
        for name, value in schema["$defs"][kind]["properties"].items():
            if value.get("$ref") == "#/$defs/distribution":
                value = schema["$defs"]["distribution"]
            elif kind == "training" and name == "resolved":
                continue  # a cell's has the same and more
            parts = set(value.get("required", [])) - {"values"}
            expected |= {f"{name}_{part}" for part in parts} or {name}
    headers = [benchmark_csv(whole).splitlines()[0] for whole in (document(), document(cell()), document(training()))]
    assert len(set(headers)) == 1
    assert set(headers[0].split(",")) == expected
    assert len(headers[0].split(",")) == len(expected)


# The page


@pytest.fixture(scope="module")
def page() -> str:
    """The page of a rich document with a hostile model in it."""
    whole = rich_document()
    hostile = '<script>alert("1")</script>'
    whole["cells"] += [cell(hostile, batch_size=64), cell(hostile, batch_size=128)]
    whole["trainings"].append(training(hostile, target=None, seconds=[5.0], accuracy=0.97))
    return benchmark_page(whole, ["Use <b>batch</b> 512."])


def test_page_is_whole(page):
    """Every element is closed; each section has its link; the pictures have words for those who cannot see them."""
    reader = Reader(page)
    assert reader.open == []
    sections = [attributes["id"] for tag, attributes in reader.tags if tag == "section"]
    assert sections == ["advice", "missing", "cells", "throughput", "trainings", "accuracy", "method"]
    assert [attributes["href"] for tag, attributes in reader.tags if tag == "a"] == [f"#{name}" for name in sections]
    drawings = [attributes for tag, attributes in reader.tags if tag == "svg"]
    assert len(drawings) == 3
    assert all(attributes["aria-label"] and attributes["role"] == "img" for attributes in drawings)
    assert all(attributes["scope"] in ("row", "col") for tag, attributes in reader.tags if tag == "th")


def test_page_needs_nothing_else_and_obeys_no_name(page):
    """No address of anything to fetch, a policy that forbids it, and markup in names is shown."""
    reader = Reader(page)
    for tag, attributes in reader.tags:
        for name in ("src", "href", "xlink:href", "data", "action"):
            if tag != "a" and name in attributes:
                assert attributes[name].startswith(("data:", "#"))
    assert not re.search(r"@import|url\((?!#)|https?://(?!www\.w3\.org)", page)
    assert "default-src 'none'" in page
    assert [tag for tag, _ in reader.tags].count("script") == 1
    assert '<script>alert("1")</script>' in "".join(reader.words)


def test_page_has_the_numbers_of_the_table(page):
    """Each cell of the page shows what the terminal shows, and carries the full number for sorting."""
    table = cell_table(rich_document())
    first = page[page.index("<tbody>") :].partition("</tr>")[0]
    shown = re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", first)
    assert shown == [item.text for item in table.rows[0]]
    values = re.findall('data-value="(.*?)"', first)
    assert values[0] == "mlp"
    assert float(values[table.headers.index("images/s")]) == pytest.approx(table.rows[0][5].value, rel=1e-7)


def test_colours_follow_the_reader(page):
    """The drawings take their colours from the page, which has a light and a dark scheme."""
    for drawing in re.findall(r"<svg.*?</svg>", page, flags=re.DOTALL):
        assert "var(--quiet)" in drawing
        assert not re.search("#(24292f|6e7781|e4e8ec|2f6db5|d9741c)", drawing)


def test_a_picture_without_data_is_a_sentence():
    """One batch size, no trainings: the page says what would bring the pictures."""
    text = benchmark_page(document(cell(), cell("mlp")))
    assert "<svg" not in text
    assert "repeat <code>--batch-size</code>" in text
    assert "--accuracy</code> adds trainings" in text
    assert throughput_figure(document(cell(), cell("mlp"))) is None


@pytest.mark.parametrize("accuracy", [0.3, 0.93, 1.0])
def test_unusual_numbers_are_drawn_too(accuracy):
    """Poor and perfect accuracies, one point, many models, a batch that took another's place: no warning."""
    cells = [cell(f"model{k}", mode, batch_size=size) for k in range(9) for mode in ("infer",) for size in (1, 2, 2048)]
    cells[2]["retried_from"], cells[2]["resolved"]["batch_size"] = 2048, 2
    trainings = [training(f"model{k}", target=None, seconds=[10.0 + k], accuracy=accuracy) for k in range(9)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        text = benchmark_page(document(*cells, *trainings))
        benchmark_page(document(training(recipe="a"), training(recipe="$b$ 数")))
    assert text.count("<svg") == 3
    assert Reader(text).open == []


# Labels and numbers


def test_labels_keep_apart():
    """Crowded points get labels that cover neither each other nor a mark, all of them within the plot."""
    points = [(100.0 + 4 * k, 100.0 + 3 * (k % 3)) for k in range(7)]
    area = Box(0, 0, 300, 250)
    places = place(points, [f"model {k}" for k in range(7)], area, 9)
    marks = [Box(x - 3, y - 3, x + 3, y + 3) for x, y in points]
    for number, put in enumerate(places):
        others = [other.box for other in places[number + 1 :]]
        assert all(put.box.overlap(other) == 0 for other in (*others, *marks))
        assert put.box.overlap(area) == pytest.approx((put.box.right - put.box.left) * (put.box.top - put.box.bottom))
    assert place([(50.0, 50.0)], ["alone"], area, 9)[0].align == "left"


def test_heights_are_moved_apart_as_little_as_needed():
    """Those with room stay; those without share what there is, in their order."""
    assert apart([0.2, 0.6], 0.1) == [0.2, 0.6]
    assert apart([0.5, 0.5, 0.5], 0.1) == pytest.approx([0.5, 0.6, 0.7])
    assert apart([0.97, 0.99], 0.1) == pytest.approx([0.9, 1.0])
    assert apart([0.5] * 5, 0.4) == pytest.approx([0, 0.25, 0.5, 0.75, 1])
    assert apart([], 0.1) == []


def test_numbers_are_short_and_never_exponents():
    """Three significant digits, whole numbers in full, units where there is little room."""
    assert [significant(value) for value in (0.012345, 1.2345, 99.96, 999.6, 12345.6, 0)] == [
        "0.0123", "1.23", "100", "1,000", "12,346", "0",
    ]  # fmt: skip
    assert [compact(value) for value in (5, 999.9, 61_706, 2_528_000, 999_999, 3e12)] == [
        "5", "1k", "61.7k", "2.53M", "1M", "3T",
    ]  # fmt: skip


# A browser


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
@pytest.mark.parametrize(("header", "clicks"), [("images/s", 1), ("images/s", 2), ("model", 1)])
def test_a_click_on_a_header_sorts(page, tmp_path, header, clicks):
    """Numbers as numbers, names as text, a second click the other way round, failed cells last; in silence."""
    clicking = page.replace("default-src 'none'", "default-src 'unsafe-inline'")
    clicking = re.sub(r"script-src '[^']*'", "script-src 'unsafe-inline'", clicking)
    column = cell_table(rich_document()).headers.index(header)
    click = f"document.querySelectorAll('table.cells th button')[{column}].click();"
    (tmp_path / "clicking.html").write_text(f"{clicking}<script>{click * clicks}</script>", encoding="utf-8")
    dom, console = browse(tmp_path / "clicking.html")
    assert console == []
    table = dom[dom.index('<table class="cells"') :].partition("</tbody>")[0]
    rows = [re.findall('data-value="(.*?)"', row) for row in re.findall(r"<tr>(.*?)</tr>", table)]
    values = [row[column] for row in rows if row]
    assert len(values) == 50
    if header == "images/s":
        assert values.pop() == ""
        numbers = [float(value) for value in values]
        assert numbers == sorted(numbers, reverse=clicks == 2)
    else:
        names = [value for value in values if "script" not in value]
        assert names == sorted(names)


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_a_browser_opens_the_page_in_silence(page, tmp_path):
    """As it is, with its own policy: no error, no warning, nothing refused."""
    path = tmp_path / "benchmark.html"
    path.write_text(page, encoding="utf-8")
    dom, console = browse(path)
    assert console == []
    assert "</html>" in dom
