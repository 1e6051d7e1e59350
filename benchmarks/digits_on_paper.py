"""How many digits ``zoo predict`` reads when the paper is not plain: frames, rules, stains, shadows, screens.

    python benchmarks/digits_on_paper.py --run runs/speedrun --output benchmarks/digits_on_paper.md

MNIST's test digits are drawn large on a sheet, each sheet is spoiled in one way, and the picture goes through
`prepare_digit` and a trained model as a user's file does. Without ``--run`` the model is trained first.

Two groups of drawings. The preparation was tuned on the first: the measure of the fault that it mends (one grey, no
noise, nothing slants). The second was written before the tuning and measured once, after it: pens, papers and digits of
many sizes, sheets photographed a little askew, noise and JPEG.
"""

from __future__ import annotations

import argparse
import io
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import turns
from PIL import Image, ImageDraw, ImageFilter

import zoo
from zoo.imaging.digits import prepare_digit
from zoo.utils.files import atomic_write

Random = np.random.Generator
Drawing = Callable[[np.ndarray, Random], Image.Image]

SEED = 2026
BATCH = 500

# The drawings that the preparation was tuned on


def sheet(digit: np.ndarray) -> np.ndarray:
    """A digit 260 pixels large, almost black on a light sheet of 400x400; float64, 0..255."""
    ink = np.asarray(Image.fromarray(digit).resize((260, 260), Image.Resampling.BICUBIC), float) / 255
    page = np.full((400, 400), 240.0)
    page[70:330, 70:330] -= 210 * ink
    return page


def edged(width: int, edges: str, grey: float = 30) -> Callable[[np.ndarray], np.ndarray]:
    """Lines `width` pixels thick along the edges named: t(op), l(eft), b(ottom), r(ight)."""

    def spoil(page: np.ndarray) -> np.ndarray:
        lines = {"t": np.s_[:width], "l": np.s_[:, :width], "b": np.s_[-width:], "r": np.s_[:, -width:]}
        for edge in edges:
            page[lines[edge]] = grey
        return page

    return spoil


def boxed(page: np.ndarray) -> np.ndarray:
    """A box drawn 4 pixels thick, 30 pixels inside the sheet."""
    inner = page[34:-34, 34:-34].copy()
    page[30:-30, 30:-30] = 40
    page[34:-34, 34:-34] = inner
    return page


def on(grey: float, rows: int, columns: int) -> Callable[[np.ndarray], np.ndarray]:
    """The sheet on something of another grey, so many pixels wide above and below, left and right."""
    return lambda page: np.pad(page, ((rows, rows), (columns, columns)), constant_values=grey)


def vignetted(strength: float) -> Callable[[np.ndarray], np.ndarray]:
    """Corners darker by a share, growing with the square of the distance from the middle."""
    rows, columns = np.mgrid[-1:1:400j, -1:1:400j]
    return lambda page: page * (1 - strength / 2 * (rows**2 + columns**2))


def grey(spoil: Callable[[np.ndarray], np.ndarray], *, negative: bool = False) -> Drawing:
    def draw(digit: np.ndarray, _: Random) -> Image.Image:
        page = spoil(sheet(digit))
        return picture(255 - page if negative else page)

    return draw


TUNED: dict[str, Drawing] = {
    "plain": grey(lambda page: page),
    **{f"frame of {width} px": grey(edged(width, "tlbr")) for width in (1, 2, 4, 8)},
    "line along the top, 1 px": grey(edged(1, "t")),
    "corner of a cell, 6 px": grey(edged(6, "tl")),
    "box 30 px inside": grey(boxed),
    "black bars above and below": grey(on(0, 200, 0)),
    "sheet on a dark desk": grey(on(60, 80, 80)),
    **{f"corners {share}% darker": grey(vignetted(share / 100)) for share in (20, 30, 40, 70)},
    "light on dark: frame of 4 px": grey(edged(4, "tlbr"), negative=True),
    "light on dark: box 30 px inside": grey(boxed, negative=True),
    "light on dark: corners 40% lighter": grey(vignetted(0.4), negative=True),
}

# The drawings that it was not tuned on

SIDE = 480
PAGE = 640
"""Pixels: the page is drawn larger than the picture, which is cut out of it after the page was turned."""

PENS = ((28, 36, 110), (32, 32, 36), (25, 70, 150), (80, 80, 86), (120, 25, 35))
"""RGB: blue, black, light blue, pencil, red."""

RULES = {"blue": (126, 158, 214), "grey": (176, 176, 178), "dark": (72, 74, 84)}
"""RGB of printed lines."""


def paper(random: Random) -> np.ndarray:
    """An empty page, float64 (PAGE, PAGE, 3), 0..255, nearly white."""
    return np.full((PAGE, PAGE, 3), random.uniform(222, 250) + random.uniform(-6, 6, 3))


def lines(page: np.ndarray, random: Random, colour: tuple[int, int, int], *, squared: bool) -> np.ndarray:
    """Print lines on a page at even distances: across, and for squared paper down as well."""
    distance = random.uniform(20, 32) if squared else random.uniform(30, 52)
    width = int(random.integers(1, 4))
    for position in np.arange(random.uniform(0, distance), PAGE - width, distance).astype(int):
        page[position : position + width] = colour
        if squared:
            page[:, position : position + width] = colour
    return page


def write(page: np.ndarray, digit: np.ndarray, random: Random, pen: tuple[int, int, int] | None = None) -> np.ndarray:
    """Write the digit somewhere near the middle of a page, 40 to 60% of the picture large."""
    side = int(random.uniform(0.4, 0.6) * SIDE * 28 / 20)
    ink = np.asarray(Image.fromarray(digit).resize((side, side), Image.Resampling.BICUBIC), float)[..., None] / 255
    top, left = ((PAGE - side) / 2 + random.uniform(-0.08, 0.08, 2) * SIDE).astype(int)
    under = page[top : top + side, left : left + side]
    colour = np.array(pen or PENS[random.integers(len(PENS))], float)
    page[top : top + side, left : left + side] = under * (1 - ink) + np.minimum(under, colour) * ink
    return page


def photographed(page: np.ndarray, random: Random, *, turn: float = 2.5) -> Image.Image:
    """Turn a page by up to so many degrees, cut the picture out, add light from one side, noise and JPEG's losses."""
    turned = Image.fromarray(clipped(page)).rotate(random.uniform(-turn, turn), Image.Resampling.BICUBIC)
    margin = (PAGE - SIDE) // 2
    pixels = np.asarray(turned.crop((margin, margin, margin + SIDE, margin + SIDE)), float)
    pixels = pixels * light(random, 0.12) + random.normal(0, 3, pixels.shape)
    stored = io.BytesIO()
    Image.fromarray(clipped(pixels)).save(stored, "JPEG", quality=int(random.integers(75, 95)))
    return Image.open(stored)


def light(random: Random, fall: float) -> np.ndarray:
    """Light that falls off in one direction by a share of itself, (SIDE, SIDE, 1), 1 at its brightest."""
    rows, columns = np.mgrid[-0.5 : 0.5 : SIDE * 1j, -0.5 : 0.5 : SIDE * 1j]
    angle = random.uniform(0, 2 * np.pi)
    along = rows * np.sin(angle) + columns * np.cos(angle)
    along = (along - along.min()) / np.ptp(along)
    return (1 - fall * along ** random.uniform(0.8, 1.6))[..., None]


def printed(colour: str, *, squared: bool) -> Drawing:
    def draw(digit: np.ndarray, random: Random) -> Image.Image:
        page = lines(paper(random), random, RULES[colour], squared=squared)
        return photographed(write(page, digit, random), random)

    return draw


def notebook(digit: np.ndarray, random: Random) -> Image.Image:
    """Blue lines, and a red one down the left side."""
    page = lines(paper(random), random, RULES["blue"], squared=False)
    margin = (PAGE - SIDE) // 2 + int(random.uniform(0.06, 0.2) * SIDE)
    page[:, margin : margin + int(random.integers(2, 4))] = (214, 84, 96)
    return photographed(write(page, digit, random), random)


def thumb(digit: np.ndarray, random: Random) -> Image.Image:
    """A thumb that holds the sheet reaches into the picture from the left, from below or from the right."""
    page = write(paper(random), digit, random)
    skin = Image.new("L", (PAGE, PAGE))
    reach, half = random.uniform(0.1, 0.18) * SIDE, random.uniform(0.06, 0.1) * SIDE
    middle, edge = PAGE / 2 + random.uniform(-0.3, 0.3) * SIDE, (PAGE + SIDE) / 2 - reach
    draw = ImageDraw.Draw(skin)
    draw.ellipse((middle - half, edge, middle + half, edge + 3 * half), fill=255)
    draw.rectangle((middle - half, edge + 1.5 * half, middle + half, PAGE), fill=255)
    skin = skin.rotate(90 * int(random.integers(-1, 2)))
    shape, shadow = (
        np.asarray(skin.filter(ImageFilter.GaussianBlur(radius)), float)[..., None] / 255 for radius in (2, 14)
    )
    colour = np.array(((206, 152, 126), (150, 98, 74), (94, 60, 46))[random.integers(3)], float)
    page = page * (1 - 0.25 * shadow) * (1 - shape) + colour * (0.6 + 0.4 * shadow) * shape
    return photographed(page, random)


def stained(digit: np.ndarray, random: Random) -> Image.Image:
    """The ring that a cup left, and what dried inside it."""
    page = write(paper(random), digit, random)
    rows, columns = np.mgrid[:PAGE, :PAGE]
    centre, radius = PAGE / 2 + random.uniform(-0.35, 0.35, 2) * SIDE, random.uniform(0.16, 0.28) * SIDE
    distance = np.hypot(rows - centre[0], columns - centre[1]) - radius
    uneven = 0.75 + 0.25 * np.sin(np.arctan2(rows - centre[0], columns - centre[1]) * 2 + random.uniform(0, 6))
    ring = np.exp(-((distance / random.uniform(3, 7)) ** 2)) * uneven
    inside = 0.25 / (1 + np.exp(np.clip(distance / 4, -50, 50)))
    strength = np.clip(ring * random.uniform(0.35, 0.6) + inside, 0, 1)[..., None]
    return photographed(page * (1 - strength * (1 - np.array((176, 128, 84)) / 255)), random)


def screen(digit: np.ndarray, random: Random, *, negative: bool) -> Image.Image:
    """A photographed screen: red, green and blue bars in a black grid, not in line with ours, and rolling bands."""
    page = write(paper(random), digit, random, pen=(20, 20, 24))
    page = 255 - page if negative else page
    pitch, finer = int(random.integers(4, 8)), int(random.integers(1, 4))  # a dot is pitch / finer of our pixels
    small = Image.fromarray(clipped(page)).resize((PAGE // pitch * finer,) * 2, Image.Resampling.BOX)
    dots = np.asarray(small, float).repeat(pitch, axis=0).repeat(pitch, axis=1)
    bar = np.arange(dots.shape[1]) % pitch * 3 // pitch
    bars = np.where(bar[:, None] == np.arange(3), 1.0, random.uniform(0.25, 0.6))
    gaps = np.where(np.arange(len(dots)) % pitch == 0, random.uniform(0.2, 0.6), 1.0)[:, None, None]
    shown = Image.fromarray(clipped(dots * bars * gaps * 1.4)).resize((PAGE, PAGE), Image.Resampling.BILINEAR)
    band = 1 - random.uniform(0, 0.15) * np.sin(np.arange(PAGE) / random.uniform(20, 80))[:, None, None] ** 2
    return photographed(np.asarray(shown, float) * band, random, turn=4)


def lamp(digit: np.ndarray, random: Random) -> Image.Image:
    """A lamp on one side: the other gets 30 to 65% less light."""
    photograph = np.asarray(photographed(write(paper(random), digit, random), random), float)
    return picture(photograph * light(random, random.uniform(0.3, 0.65)))


UNTUNED: dict[str, Drawing] = {
    **{f"ruled paper, {colour} lines": printed(colour, squared=False) for colour in RULES},
    **{f"squared paper, {colour} lines": printed(colour, squared=True) for colour in RULES},
    "school notebook, red margin": notebook,
    "thumb at the edge": thumb,
    "coffee stain": stained,
    "photographed screen, dark on light": lambda digit, random: screen(digit, random, negative=False),
    "photographed screen, light on dark": lambda digit, random: screen(digit, random, negative=True),
    "light from one side": lamp,
}


def clipped(pixels: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(pixels), 0, 255).astype(np.uint8)


def picture(pixels: np.ndarray) -> Image.Image:
    return Image.fromarray(clipped(pixels))


# Measuring


def read(run: zoo.Run, images: list[np.ndarray]) -> np.ndarray:
    """Return the class of each prepared digit."""
    batches = [np.stack(images[start : start + BATCH]) for start in range(0, len(images), BATCH)]
    outputs = [np.asarray(run.model(batch.astype(np.float32), training=False)) for batch in batches]
    return np.concatenate([output.argmax(axis=1) for output in outputs]) if outputs else np.zeros(0, int)


def measure(run: zoo.Run, draw: Drawing, digits: np.ndarray, labels: np.ndarray, seed: int) -> tuple[int, int]:
    """Return how many of the digits, drawn so, are read right, and how many are refused."""
    random, prepared, known = np.random.default_rng(seed), [], []
    for digit, label in zip(digits[..., 0], labels, strict=True):
        drawn = draw(digit, random)
        try:
            prepared.append(prepare_digit(drawn))
        except zoo.ZooError:
            continue
        known.append(label)
    return int((read(run, prepared) == np.array(known, int)).sum()), len(labels) - len(known)


def table(run: zoo.Run, drawings: dict[str, Drawing], test: zoo.data.Split, n: int, first: int) -> list[str]:
    """Return a Markdown table, a row for each drawing of `n` digits chosen for it."""
    rows = ["| | right | refused | wrong |", "|---|--:|--:|--:|"]
    for number, (name, draw) in enumerate(drawings.items(), first):
        chosen = np.random.default_rng([SEED, number]).choice(len(test), n, replace=False)
        right, refused = measure(run, draw, test.images[chosen], test.labels[chosen], SEED + number)
        rows.append(f"| {name} | {right} | {refused} | {n - right - refused} |")
        print(rows[-1], file=sys.stderr, flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--run", help="a run folder; without it speedrun is trained for this")
    parser.add_argument("--n", type=int, default=200, help="digits in each row")
    parser.add_argument("--output", type=Path, help="a file for the result, Markdown")
    arguments = parser.parse_args()
    run = zoo.load_run(arguments.run) if arguments.run else zoo.train("speedrun", output=tempfile.mkdtemp() + "/run")
    test = zoo.load_dataset("mnist").test
    by_itself = 100 * float((read(run, list(test.images)) == test.labels).mean())
    right, refused = measure(run, TUNED["plain"], test.images, test.labels, SEED)
    page = [
        "# Digits on paper",
        "",
        f"`python benchmarks/digits_on_paper.py --n {arguments.n}`",
        "",
        f"{turns.circumstances()}. {time.strftime('%Y-%m-%d')}. n = {arguments.n} of MNIST's test digits in each row, "
        f"read by one {run.document['model']} trained with seed {run.document['seed']}. *Refused*: `zoo predict` says "
        "that it found no digit, or several, and what to do.",
        "",
        f"All {len(test):,} test digits drawn on plain paper: {100 * right / len(test):.2f}% right, {refused} refused; "
        f"the same digits as the arrays that they are: {by_itself:.2f}%.",
        "",
        "## Drawings that the preparation was tuned on",
        "",
        *table(run, TUNED, test, arguments.n, 0),
        "",
        "## Drawings that it was not tuned on",
        "",
        "Written before the tuning, measured once after it, and committed as it came out.",
        "",
        *table(run, UNTUNED, test, arguments.n, 1000),
    ]
    print("\n".join(page))
    if arguments.output:
        atomic_write(arguments.output, "\n".join(page) + "\n")


if __name__ == "__main__":
    main()
