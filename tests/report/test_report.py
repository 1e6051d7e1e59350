"""Tables, predictions as text, and pictures."""

from __future__ import annotations

import dataclasses
import io
import math
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from zoo import registry
from zoo.errors import DataError, RunError
from zoo.inspection.anatomy import dissect
from zoo.report.evaluation.probabilities import prediction_lines
from zoo.report.models.diagram import TALLEST, architecture_figure
from zoo.report.runs.curves import training_curves
from zoo.report.shared.grid import sample_grid
from zoo.report.shared.tables import Column, print_table


class Terminal(io.StringIO):
    """A stand-in for a terminal."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def table(*arguments: Any, **options: Any) -> str:
    file = io.StringIO()
    print_table(*arguments, file=file, **options)
    return file.getvalue()


def history(epochs: int, **changes: Any) -> list[dict[str, Any]]:
    rows = []
    for epoch in range(1, epochs + 1):
        loss = 2.0 * 0.8**epoch + 0.01
        row = {"epoch": epoch, "loss": loss, "accuracy": 1 - loss / 3}
        rows.append(row | {"val_loss": loss + 0.01, "val_accuracy": 0.99 - loss / 3} | changes)
    return rows


# Tables


def test_plain_columns_are_aligned_and_numbers_stand_on_the_right() -> None:
    """Outside a terminal a table is plain columns: text left, numbers right with separators."""
    text = table(["name", "params"], [("lenet5", 61706), ("mlp", 7)], title="Models")
    assert text == "Models\nname    params\nlenet5  61,706\nmlp          7\n"


def test_an_empty_table_prints_its_headers() -> None:
    """No rows still tell which columns there would have been."""
    assert table([Column("name"), Column("n", align="right")], []) == "name  n\n"


def test_cells_of_every_kind() -> None:
    """None is empty, booleans are words, floats have six digits, and wide characters keep the columns."""
    text = table(["a", "b"], [(None, True), (1234.56789, "x"), (2.0, "数")])
    assert text.splitlines() == ["      a  b", "         yes", "1234.57  x", "      2  数"]


def test_a_row_of_another_length_is_an_error() -> None:
    """A row that does not fit is named, not cut."""
    with pytest.raises(ValueError, match="row 1 has 3 cells, the table has 2 columns"):
        table(["a", "b"], [(1, 2), (1, 2, 3)])


def test_control_characters_do_not_reach_the_terminal() -> None:
    """An escape sequence or a line end in somebody's class name is shown as question marks."""
    text = table(["name"], [("\x1b[31mred\nline",)])
    assert "\x1b" not in text
    assert text.count("\n") == 2


def test_a_stream_of_poor_encoding_gets_replacements() -> None:
    """A name outside of the stream's encoding does not end the table."""
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding="ascii")
    print_table(["name"], [("αβγ",)], file=file)
    file.flush()
    assert raw.getvalue() == b"name\n???\n"


def test_a_terminal_gets_a_drawn_table_without_markup(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal rich draws the table, and takes no cell for its own markup."""
    monkeypatch.setenv("TERM", "xterm")
    terminal = Terminal()
    print_table(["name"], [("[bold]x[/bold]",)], title="T", file=terminal)
    assert "[bold]x[/bold]" in terminal.getvalue()
    assert "─" in terminal.getvalue()


def test_plain_printing_imports_neither_rich_nor_matplotlib() -> None:
    """Reports cost nothing until they draw: the modules import without rich, matplotlib, TensorFlow or Keras."""
    code = (
        "import sys, zoo.report.shared.tables as t\n"
        "import zoo.report.shared.grid, zoo.report.runs.curves, zoo.report.evaluation.probabilities\n"
        "t.print_table(['a'], [(1,)])\n"
        "print([m for m in ('rich', 'matplotlib', 'tensorflow', 'keras.src') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "a\n1\n[]\n"


# Predictions as text


def test_a_prediction_names_the_label_and_draws_every_class() -> None:
    """The first line says what it is; each class has a line, and its bar is as long as it is likely."""
    lines = prediction_lines("seven.png", [0.25, 0.75, 0.0], ["a", "bb", "c"])
    assert lines == [
        "seven.png: bb (75.0%)",
        "   a   25.0%  ████████",
        "  bb   75.0%  ████████████████████████",
        "   c    0.0%",
    ]


def test_ascii_lines_hold_nothing_else() -> None:
    """Where blocks cannot be shown, bars are drawn with number signs and names are replaced."""
    lines = prediction_lines("é.png", [0.5, 0.5], ["ü", "n" * 60], ascii_only=True)
    assert all(line.isascii() for line in lines)
    assert lines[1].endswith("#" * 16)


def test_many_classes_are_cut_to_the_likeliest() -> None:
    """Of 1,000 classes the ten likeliest are listed, and the rest summed up."""
    probabilities = [0.0005] * 1000
    probabilities[417] = 0.5005
    lines = prediction_lines("photo.jpg", probabilities)
    assert len(lines) == 12
    assert lines[1].startswith("  417")
    assert lines[-1] == "  990 more classes share 49.5%"


def test_certainty_is_not_claimed_by_rounding() -> None:
    """99.97% is shown as more than 99.9%, not as 100%."""
    assert prediction_lines("x", [0.9997, 0.0003])[0] == "x: 0 (>99.9%)"


def test_odd_probabilities_and_names_do_not_break_the_lines() -> None:
    """NaN has no bar, and a file name with an escape sequence is made harmless."""
    lines = prediction_lines("\x1b[2Jx", [math.nan, 1.0], ["a", "b"])
    assert lines[0] == "?[2Jx: b (100.0%)"
    assert lines[1].strip() == "a    nan%"


def test_names_must_match_the_probabilities() -> None:
    """Too few names, or no class at all, are errors that count."""
    with pytest.raises(ValueError, match="3 probabilities but 2 class names"):
        prediction_lines("x", [0.1, 0.2, 0.7], ["a", "b"])
    with pytest.raises(ValueError, match="at least one class"):
        prediction_lines("x", [])


# Grids


def test_every_pixel_of_a_sample_is_a_sharp_square(tmp_path: Path) -> None:
    """Samples are magnified by a whole number without smoothing: only their own grey levels appear."""
    images = np.zeros((1, 28, 28, 1), dtype=np.uint8)
    images[0, ::2, ::2] = 200
    path = sample_grid(images, np.array([0]), None, tmp_path / "grid.png")
    grey = np.asarray(Image.open(path).convert("L"))[100:-56, 56:-56]
    assert grey.shape == (168, 168)
    assert np.array_equal(grey[3::6, 3::6], images[0, :, :, 0])
    assert set(np.unique(grey)) == {0, 200}


@pytest.mark.parametrize(("count", "channels", "side"), [(50, 1, 28), (3, 3, 32), (23, 3, 300), (1, 1, 1), (2, 3, 900)])
def test_grids_of_every_size(tmp_path: Path, count: int, channels: int, side: int) -> None:
    """Grey and colour, few and many, tiny and huge images all make a PNG of a sensible size."""
    images = np.zeros((count, side, side, channels), dtype=np.uint8)
    path = sample_grid(images, np.zeros(count, dtype=np.int64), ["x"], tmp_path / "g.png", title="$T$")
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        assert 200 < picture.width < 4000


def test_labels_may_be_anything(tmp_path: Path) -> None:
    """Long names, formula signs, control characters and labels out of range are shown, not fatal."""
    images = np.zeros((4, 8, 8, 1), dtype=np.uint8)
    names = ["long " * 40, "$x_{$", "a\x1b[0m\nb"]
    assert sample_grid(images, [0, 1, 2, -7], names, tmp_path / "g.png").is_file()


@pytest.mark.parametrize(
    ("images", "labels", "words"),
    [
        (np.zeros((0, 28, 28, 1), np.uint8), [], "no images to show"),
        (np.zeros((2, 28, 28), np.uint8), [1, 2], r"received uint8 of shape \(2, 28, 28\)"),
        (np.zeros((2, 28, 28, 1), np.float32), [1, 2], "received float32"),
        (np.zeros((2, 28, 28, 1), np.uint8), [1], "2 images need as many labels"),
    ],
)
def test_what_a_grid_cannot_show(tmp_path: Path, images: np.ndarray, labels: list[int], words: str) -> None:
    """Wrong shapes, types and counts are told by their words, and no file is made."""
    with pytest.raises(DataError, match=words):
        sample_grid(images, labels, None, tmp_path / "g.png")
    assert not (tmp_path / "g.png").exists()


# Curves

BROKEN = [{"loss": math.nan, "accuracy": 0.1}, {"loss": None}, {"loss": math.inf, "val_loss": 1e30}]


@pytest.mark.parametrize(
    "rows",
    [
        history(1),
        history(12),
        history(100),
        [{"epoch": 1, "loss": 2.3, "accuracy": 0.1}, {"epoch": 2, "loss": 2.1, "accuracy": 0.2}],
        history(3, loss=0.0, accuracy=1.0, val_accuracy=1.0),
        history(3, loss=-1.0, val_loss=-2.0),
        history(2) + BROKEN + history(30),
        BROKEN,
        [{"loss": 0.5}, {"images_per_s": 3}],
        [{}],
    ],
    ids=["one", "few", "many", "no validation", "perfect", "negative", "gaps", "broken", "loss only", "empty rows"],
)
@pytest.mark.filterwarnings("error")
def test_curves_of_every_kind(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    """One epoch or a hundred, with gaps or without validation: a picture, and no warning."""
    path = training_curves(rows, tmp_path / "curves.png", title="lenet5 on $mnist_{")
    with Image.open(path) as picture:
        assert picture.size == (2200, 880)


def test_no_epoch_is_an_error(tmp_path: Path) -> None:
    """A run stopped before its first epoch has no curves, and says so."""
    with pytest.raises(RunError, match="holds no epoch"):
        training_curves([], tmp_path / "curves.png", title="x")


def test_pictures_leave_matplotlib_alone(tmp_path: Path) -> None:
    """Neither pyplot is imported nor a setting changed, and the user's settings do not change the picture."""
    code = (
        "import sys, matplotlib\n"
        "from zoo.report.runs.curves import training_curves\n"
        f"one = training_curves([{{'loss': 1.0}}], {str(tmp_path / 'one.png')!r}, title='x').read_bytes()\n"
        "matplotlib.rcParams.update({'savefig.bbox': 'tight', 'figure.autolayout': True, 'savefig.dpi': 50})\n"
        "pyplot = 'matplotlib.pyplot' in sys.modules\n"
        "before = str(matplotlib.rcParams)\n"
        f"two = training_curves([{{'loss': 1.0}}], {str(tmp_path / 'two.png')!r}, title='x').read_bytes()\n"
        "print(pyplot, str(matplotlib.rcParams) == before, one == two)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True", "True"]


def test_a_list_of_boxes_does_not_dwarf_the_maps() -> None:
    """The image stays the tallest, however many boxes a detector says."""
    layers = [
        {"name": "conv", "kind": "Conv2D", "output_shape": [38, 38, 512], "params": 9, "window": [3, 3]},
        {"name": "boxes", "kind": "Concatenate", "output_shape": [8732, 25], "params": 0, "window": []},
    ]
    model = {"name": "ssd", "input_shape": [300, 300, 3], "anatomy": {"layers": layers, "params": 9, "macs": 9}}
    front, *_ = architecture_figure(model).axes[0].patches
    corners = front.get_xy()
    assert corners[:, 1].max() - corners[:, 1].min() == pytest.approx(TALLEST)


@pytest.mark.parametrize(("name", "blocks"), [("resnet32", 6), ("segnet", 8), ("yolo_v3", 7)])
def test_a_picture_has_one_block_for_each_size_of_maps(name, blocks):
    """Not one for each residual unit, though padding makes maps larger in between; and each says what it does."""
    spec, facts = registry.get(name), dissect(registry.create(name))
    rows = [dataclasses.asdict(row) for row in facts.layers]
    anatomy = {"layers": rows, "params": facts.params, "macs": facts.macs}
    figure = architecture_figure({"name": name, "input_shape": spec.input_shape, "anatomy": anatomy})
    said = [text.get_text() for text in figure.axes[0].texts if text.get_text()]
    shapes = [text for text in said if re.fullmatch(r"[\d×]+", text)]
    assert len(shapes) == blocks
    assert len(said) - len(shapes) - 2 >= blocks  # the name and the facts aside
