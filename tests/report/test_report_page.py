"""The page: self-contained, escaped, whole, and opened by a browser without a word of complaint."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import warnings
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from zoo.report.evaluation.files import write_evaluation
from zoo.report.evaluation.sections import training
from zoo.report.shared.page_text import picture_tag
from zoo.spec.evaluation import Evaluation
from zoo.spec.recipe import Recipe, plain
from zoo.tasks.measures.calibration import log_softmax
from zoo.tasks.measures.scores import sample_predictions, score, top_confusions

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
HOSTILE = '<script>alert("1")</script>'
NAMES = (HOSTILE, "T-shirt/top", "$x$ & \x1b[31m", "数字の零", "'\" onload=alert(1) x='", "ⲁ" * 60)
VOID = {"meta", "link", "img", "br", "input", "path", "use", "rect", "image"}


def evaluation(images: int = 300, *, classes: int = 6, channels: int = 1, sharpness: float = 2.0) -> tuple:
    """A document as `evaluate` makes it, and images, without any model."""
    generator = np.random.default_rng(0)
    labels = generator.integers(0, classes, images)
    log_probabilities = log_softmax(generator.normal(size=(images, classes)) + sharpness * np.eye(classes)[labels])
    names = [*NAMES, *(f"class {k}" for k in range(6, classes))][:classes]
    samples = sample_predictions(log_probabilities, labels)
    document = {
        "model": HOSTILE,
        "dataset": "<b>set</b>",
        "data_source": "made up",
        "trained_on": "elsewhere",
        "same_data": False,
        "same_classes": False,
        "members": [],
        "images": images,
        "class_names": names,
        "outputs": "logits",
        "non_finite_images": 0,
        **score(log_probabilities, labels, names),
        "top_confusions": top_confusions(log_probabilities, labels, names),
        "mistakes": samples["mistakes"],
        "right_predictions": samples["right"],
        "device": "cpu",
        "device_name": "a <fast> one",
        "environment": {"zoo": "1"},
        "command": "zoo evaluate '<x>'",
        "files": ["report.html"],
        "timing": {"evaluate_s": 1.0, "total_s": 2.0},
    }
    return plain(document), generator.integers(0, 256, (images, 12, 9, channels), dtype=np.uint8)


RUN = {
    "model": HOSTILE,
    "dataset": "<i>",
    "params": 12,
    "seed": 0,
    "limit": 5,
    "recipe": "default",
    "recipe_values": {**Recipe().to_dict(), "schedule": "</dd><script>", "model_options": {"<a>": "<b>"}},
    "timing": {"train_s": 1.0, "images_per_s": 5.0},
    "device": "cpu",
    "device_name": "<u>",
    "history": [{"epoch": 1, "loss": 1.0, "accuracy": 0.5}, {"epoch": 2, "loss": None, "accuracy": 0.6}],
}


def write(folder: Path, document: dict, images: np.ndarray, run: dict | None = None) -> str:
    """Write all files as `evaluate` does, and return the page."""
    names = tuple(document["class_names"])
    write_evaluation(document, Evaluation("zoo.evaluation/2", names, {}), images, folder, run=run, began=0.0)
    return (folder / "report.html").read_text(encoding="utf-8")


class Reader(HTMLParser):
    """Collects what the tests ask about, and checks that elements are closed in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict]] = []
        self.words: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, text):
        if self.open and self.open[-1] not in ("script", "style"):
            self.words.append(text)


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> tuple[Path, str]:
    """The page of a hostile evaluation of a hostile run, and its folder."""
    folder = tmp_path_factory.mktemp("page")
    return folder, write(folder, *evaluation(), run=RUN)


def test_page_is_well_formed_and_in_order(page):
    """Every element is closed, and the sections come as they are meant to, each with a heading and a link."""
    reader = Reader(page[1])
    assert reader.open == []
    sections = [attributes["id"] for tag, attributes in reader.tags if tag == "section"]
    order = "training curves predictions confusions matrix classes ranking calibration method"
    assert sections == order.split()
    links = [attributes["href"] for tag, attributes in reader.tags if tag == "a"]
    assert links == [f"#{name}" for name in sections]
    assert [tag for tag, _ in reader.tags].count("h1") == 1
    assert [tag for tag, _ in reader.tags].count("svg") == 5


def test_page_needs_nothing_else(page):
    """No address of anything to fetch, and a policy that would forbid it; under 2 MB."""
    for tag, attributes in Reader(page[1]).tags:
        for name in ("src", "href", "xlink:href", "data", "action"):
            if tag != "a" and name in attributes:
                assert attributes[name].startswith(("data:", "#"))
    assert not re.search(r"@import|url\((?!#)|https?://(?!www\.w3\.org)", page[1])
    assert "default-src 'none'" in page[1]
    assert len(page[1]) < 2_000_000


def test_names_from_strangers_are_only_names(page):
    """Markup in a model's, class's, recipe's or device's name is shown and never obeyed."""
    reader = Reader(page[1])
    assert [tag for tag, _ in reader.tags].count("script") == 1
    assert not {"b", "i", "u", "fast", "set"} & {t for t, a in reader.tags if t in ("u", "fast", "set")}
    assert not any(name.startswith("on") for _, attributes in reader.tags for name in attributes)
    assert HOSTILE in "".join(reader.words)
    assert "数字の零" in "".join(reader.words)
    assert "\x1b" not in page[1]


def test_records_with_and_without_sections_read_the_same():
    """Settings that differ from zoo's general ones are named with their sections, whichever way they were recorded."""
    old = json.loads((Path(__file__).parents[1] / "fixtures" / "run-flat-recipe.json").read_text())
    new = old | {"recipe_values": Recipe.from_dict(old["recipe_values"]).to_dict()}
    facts = [training({}, run) for run in (old, new)]
    for text in facts:
        assert "optimizer.name <b>sgd</b>" in text
        assert "schedule.epochs <b>2</b>" in text
        assert "data.dataset" not in text
    old_names, new_names = (sorted(re.findall(r"[a-z_.]+ <b>", text)) for text in facts)
    assert old_names == new_names


def test_pictures_have_words_and_tables_have_headers(page):
    """Each image and drawing has a text for those who cannot see it, and each row and column a header."""
    tags = Reader(page[1]).tags
    assert all(attributes["alt"] for tag, attributes in tags if tag == "img")
    assert all(attributes["aria-label"] and attributes["role"] == "img" for tag, attributes in tags if tag == "svg")
    assert all(attributes["scope"] in ("row", "col") for tag, attributes in tags if tag == "th")


def test_wrong_ones_come_first(page):
    """The predictions begin with the mistakes; the right ones follow."""
    kinds = [a["class"] for tag, a in Reader(page[1]).tags if tag == "li" and "sample" in a.get("class", "")]
    assert kinds == ["sample wrong"] * 24 + ["sample right"] * 6


def test_colours_follow_the_reader(page):
    """The page has a light and a dark scheme, and the drawings take their colours from it."""
    assert "prefers-color-scheme: dark" in page[1]
    drawings = re.findall(r"<svg.*?</svg>", page[1], flags=re.DOTALL)
    for drawing in drawings:
        assert "var(--quiet)" in drawing
        assert not re.search("#(24292f|6e7781|e4e8ec|2f6db5|d9741c)", drawing)


def test_plots_are_pictures_with_something_in_them(page):
    """Six PNGs of more than a few colours."""
    for name in ("confusion", "roc", "precision_recall", "calibration", "mistakes", "predictions"):
        with Image.open(page[0] / f"{name}.png") as image:
            assert min(image.size) > 600
            assert len(image.convert("RGB").getcolors(1 << 24)) > 30


@pytest.mark.parametrize(
    ("images", "classes", "channels", "sharpness"),
    [(60, 2, 3, 1.0), (2, 1, 1, 1.0), (60, 100, 4, 1.0), (90, 3, 2, 99.0)],
)
def test_unusual_shapes_are_drawn_too(tmp_path, images, classes, channels, sharpness):
    """Two classes in colour, one class, a hundred, no mistake at all: a whole page, and no warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        document, pictures = evaluation(images, classes=classes, channels=channels, sharpness=sharpness)
        text = write(tmp_path, document, pictures)
    assert Reader(text).open == []
    assert "nan" not in " ".join(Reader(text).words).lower()
    assert (tmp_path / "predictions.png").exists()
    assert (tmp_path / "mistakes.png").exists() == bool(document["mistakes"])


def test_a_run_that_diverged_has_a_page_that_says_so(tmp_path):
    """Accuracy, what was trained, its curves and the reason; nothing that was not measured, nor any older plot."""
    (tmp_path / "roc.png").write_bytes(b"of an earlier evaluation")
    document, images = evaluation()
    kept = set(document) - {"confusion", "confidence_intervals", "calibration", "roc", "precision_recall", "mistakes"}
    kept -= {"right_predictions", "top_confusions", "per_class"}
    document = {name: document[name] for name in kept} | {"non_finite_images": 300}
    text = write(tmp_path, document, images, RUN)
    assert "training diverged" in text
    assert not (tmp_path / "roc.png").exists()
    assert [a["id"] for tag, a in Reader(text).tags if tag == "section"] == ["training", "curves", "method"]


def test_a_large_picture_is_reduced():
    """What the page carries is a thumbnail; a small picture keeps its pixels."""
    large = picture_tag(np.zeros((500, 900, 3), np.uint8), 'a "large" one')
    assert 'alt="a &quot;large&quot; one"' in large
    assert "sharp" not in large
    assert "sharp" in picture_tag(np.zeros((28, 28, 1), np.uint8), "small")


# A browser


def browse(path: Path) -> tuple[str, list[str]]:
    """Open a page in Chromium without a window: the document after its scripts ran, and what its console said."""
    done = subprocess.run(
        [
            str(CHROMIUM), "--headless=new", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--v=0",
            f"--user-data-dir={path.parent / 'profile'}", "--dump-dom", path.as_uri(),
        ],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_a_browser_opens_the_page_in_silence(page, tmp_path):
    """No error, no warning, nothing refused by the page's own policy; its script runs: a click sorts the classes."""
    clicking = page[1].replace("default-src 'none'", "default-src 'unsafe-inline'")
    clicking = re.sub(r"script-src '[^']*'", "script-src 'unsafe-inline'", clicking)
    clicking += "<script>document.querySelectorAll('table.classes th button')[4].click()</script>"
    (tmp_path / "clicking.html").write_text(clicking, encoding="utf-8")
    dom, console = browse(tmp_path / "clicking.html")
    assert console == []
    table = dom[dom.index('<table class="classes"') :]
    rows = [re.findall('data-value="(.*?)"', row) for row in re.findall(r"<tr>(.*?)</tr>", table)]
    scores = [float(row[4]) for row in rows if row]
    assert scores == sorted(scores)
    assert len(scores) == 6
    dom, console = browse(page[0] / "report.html")
    assert console == []
    assert "</html>" in dom


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_the_browser_test_can_fail(page, tmp_path):
    """An error of the page, and a script that its policy refuses, are both reported."""
    path = tmp_path / "broken.html"
    path.write_text("<!doctype html><script>console.error('on purpose')</script>")
    assert "on purpose" in "".join(browse(path)[1])
    path.write_text(page[1] + "<script>document.title = 'changed'</script>", encoding="utf-8")
    assert "Content Security Policy" in "".join(browse(path)[1])


def test_the_document_and_the_page_tell_the_same(page):
    """The accuracy of the headline is the document's."""
    document, _ = evaluation()
    words = " ".join(Reader(page[1]).words)
    assert f"{100 * document['metrics']['test_accuracy']:.2f}" in words
    assert json.dumps(document, allow_nan=False)
