"""Users' image files: reading them, and MNIST's own preparation of a digit."""

from __future__ import annotations

import json
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageDraw

from zoo.data.appearance import MNIST_FORM
from zoo.errors import ImageError, ModelError
from zoo.evaluation.predict import predict_files
from zoo.imaging.load import load_image, prepare_digit, prepare_photo
from zoo.inference import Predictor
from zoo.tasks.classification import Classification

ORIENTATION = 0x0112  # the EXIF tag


def drawing(size: tuple[int, int] = (200, 300), *, ink: int = 20, paper: int = 240, pen: int = 24) -> Image.Image:
    """A seven, drawn off centre on a sheet of width x height."""
    image = Image.new("L", size, paper)
    x, y, unit = size[0] * 0.15, size[1] * 0.2, min(size) / 200
    points = [(x, y), (x + 100 * unit, y), (x + 45 * unit, y + 150 * unit)]
    ImageDraw.Draw(image).line(points, fill=ink, width=max(1, round(pen * unit)), joint="curve")
    return image


def half_red() -> Image.Image:
    """Wider than high, the left half red and the right half white."""
    image = Image.new("RGB", (40, 20), "white")
    image.paste((200, 0, 0), (0, 0, 20, 20))
    return image


def centre_of_mass(digit: np.ndarray) -> tuple[float, float]:
    grey = digit[:, :, 0].astype(float)
    rows, columns = np.mgrid[: grey.shape[0], : grey.shape[1]]
    return (rows * grey).sum() / grey.sum(), (columns * grey).sum() / grey.sum()


def extent(digit: np.ndarray) -> tuple[int, int]:
    rows, columns = np.nonzero(digit[:, :, 0])
    return int(rows.max() - rows.min()) + 1, int(columns.max() - columns.min()) + 1


def difference(first: np.ndarray, second: np.ndarray) -> float:
    """Mean absolute difference in grey levels, one pixel of rounding of the centre allowed for."""
    shifts = [(row, column) for row in (-1, 0, 1) for column in (-1, 0, 1)]
    return min(float(np.abs(np.roll(first, shift, axis=(0, 1)).astype(float) - second).mean()) for shift in shifts)


# Reading


def png_with_size(width: int, height: int) -> bytes:
    """A tiny PNG whose header claims any size."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    body = chunk(b"IDAT", zlib.compress(b"\0" * 100))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + body + chunk(b"IEND", b"")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """A path that leads nowhere is one clear line."""
    with pytest.raises(ImageError, match=r"seven\.png: there is no such file"):
        load_image(tmp_path / "seven.png")


def test_a_folder_is_not_an_image(tmp_path: Path) -> None:
    """A folder is told apart from a broken file."""
    with pytest.raises(ImageError, match="is a folder, not an image"):
        load_image(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes in this file system")
def test_a_pipe_does_not_hang(tmp_path: Path) -> None:
    """A named pipe that nobody writes to is refused instead of waited for."""
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(ImageError, match="is a pipe or a device"):
        load_image(tmp_path / "pipe.png")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", r"x\.png is empty"),
        (b"not an image at all", r"x\.png is not an image in a format that zoo reads"),
        (b"\x89PNG\r\n\x1a\n", r"x\.png is (damaged|not an image)"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n", "is not an image in a format"),
        (png_with_size(60_000, 60_000), "unpacks to more than 128 million pixels"),
        (png_with_size(12_000, 12_000), "unpacks to more than 128 million pixels"),
        (png_with_size(0, 10), "is (damaged|not an image)"),
        (png_with_size(100, 100), "is damaged"),
    ],
    ids=["empty", "text", "signature only", "postscript", "bomb", "smaller bomb", "no width", "too little data"],
)
def test_what_is_no_image_is_one_line_that_names_the_file(tmp_path: Path, content: bytes, words: str) -> None:
    """Text, PostScript, bombs and broken headers are ImageErrors, whatever the decoder raised."""
    (tmp_path / "x.png").write_bytes(content)
    with pytest.raises(ImageError, match=words) as caught:
        load_image(tmp_path / "x.png")
    assert "x.png" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", ["png", "jpg", "gif", "bmp", "tiff", "webp"])
def test_a_truncated_file_is_damaged(tmp_path: Path, suffix: str) -> None:
    """Half a file is never a picture with a grey lower half."""
    noise = np.random.default_rng(0).integers(0, 255, (64, 64), dtype=np.uint8)
    path = tmp_path / f"half.{suffix}"
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ImageError, match=r"is damaged|is not an image"):
        load_image(path)


def test_a_hostile_file_name_is_made_printable(tmp_path: Path) -> None:
    """An escape sequence in a file's name does not reach the terminal through the message."""
    with pytest.raises(ImageError) as caught:
        load_image(tmp_path / "a\x1b[2J\nb.png")
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_turn_of_the_camera_is_undone(tmp_path: Path, orientation: int) -> None:
    """Each of the eight EXIF orientations gives the same upright picture."""
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # Pillow's transpositions that a camera would have applied
    picture = half_red()
    if orientation in undo:
        picture = picture.transpose(Image.Transpose(undo[orientation]))
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    picture.save(tmp_path / "x.png", exif=exif)
    upright = load_image(tmp_path / "x.png")
    assert np.array_equal(np.asarray(upright), np.asarray(half_red()))


def save_palette(path: Path) -> None:
    half_red().convert("P", palette=Image.Palette.ADAPTIVE).save(path)


def save_palette_with_transparency(path: Path) -> None:
    image = Image.new("P", (40, 20), 1)
    image.putpalette([200, 0, 0, 9, 9, 9])
    image.paste(0, (0, 0, 20, 20))
    image.save(path, transparency=1)


def save_alpha(path: Path) -> None:
    image = Image.new("RGBA", (40, 20), (9, 9, 9, 0))
    image.paste((200, 0, 0, 255), (0, 0, 20, 20))
    image.save(path)


def save_animation(path: Path) -> None:
    frames = [Image.new("RGB", (40, 20), "blue")]
    half_red().save(path.with_suffix(".webp"), save_all=True, append_images=frames, lossless=True)
    path.with_suffix(".webp").rename(path)


@pytest.mark.parametrize("save", [save_palette, save_palette_with_transparency, save_alpha, save_animation])
def test_colours_survive_every_way_of_saving(tmp_path: Path, save: Callable[[Path], None]) -> None:
    """Palettes, transparency (over white) and animations (first frame) become plain RGB."""
    save(tmp_path / "x.png")
    image = load_image(tmp_path / "x.png")
    assert image.mode == "RGB"
    assert np.array_equal(np.asarray(image), np.asarray(half_red()))


def test_cmyk_becomes_rgb(tmp_path: Path) -> None:
    """A printer's JPEG has its colours, roughly, not their negatives."""
    half_red().convert("CMYK").save(tmp_path / "x.jpg", quality=95)
    pixels = np.asarray(load_image(tmp_path / "x.jpg")).astype(int)
    assert np.abs(pixels[10, 5] - [200, 0, 0]).max() < 20
    assert pixels[10, 35].min() > 240


@pytest.mark.parametrize(
    "values",
    [
        np.array([[0, 30000, 65535]], dtype=np.uint16),
        np.array([[0, 30000, 65535]], dtype=np.int32),
        np.array([[0.0, 30000 / 65535, 1.0]], dtype=np.float32),
        np.array([[-1e38, (30000 / 65535 - 0.5) * 2e38, 1e38]], dtype=np.float32),
    ],
    ids=["16 bits", "32 bits", "floats", "huge floats"],
)
def test_deep_greys_come_down_to_8_bits(tmp_path: Path, values: np.ndarray) -> None:
    """16 bits, 32 bits and floats keep their order and their range."""
    Image.fromarray(values).save(tmp_path / "x.tiff")
    image = load_image(tmp_path / "x.tiff")
    assert image.mode == "L"
    assert np.asarray(image).tolist() == [[0, 117, 255]]


def test_one_bit_becomes_grey(tmp_path: Path) -> None:
    """A 1-bit scan is black and white, 0 and 255."""
    drawing().convert("1").save(tmp_path / "x.png")
    assert set(np.unique(np.asarray(load_image(tmp_path / "x.png")))) == {0, 255}


def test_white_ink_on_nothing_is_seen() -> None:
    """White strokes on full transparency are laid over black, where they can be told from the paper."""
    ink = drawing(ink=255, paper=0)
    chalk = Image.new("RGBA", ink.size, (255, 255, 255, 0))
    chalk.putalpha(ink)
    assert np.array_equal(prepare_digit(chalk), prepare_digit(ink))


# Digits


def test_a_digit_has_the_form_of_mnist() -> None:
    """28x28, bright on black, the longer side of the ink 20 pixels, its centre of mass at index 14."""
    digit = prepare_digit(drawing())
    assert digit.shape == (28, 28, 1)
    assert digit.dtype == np.uint8
    assert digit.max() == 255
    assert np.median(digit) == 0
    assert max(extent(digit)) == 20
    assert np.abs(np.array(centre_of_mass(digit)) - 14).max() <= 0.55


@pytest.mark.parametrize("size", [(40, 30), (30, 40), (200, 300), (1000, 400), (2400, 3000)])
@pytest.mark.parametrize(("ink", "paper"), [(0, 255), (255, 0), (60, 200), (130, 90)])
def test_size_contrast_and_polarity_do_not_matter(size: tuple[int, int], ink: int, paper: int) -> None:
    """Dark on light or light on dark, strong or weak, small or big: nearly the same digit."""
    expected = prepare_digit(drawing((400, 600)))
    digit = prepare_digit(drawing(size, ink=ink, paper=paper))
    assert difference(digit, expected) < 9


def noisy(pixels: np.ndarray) -> np.ndarray:
    return pixels + np.random.default_rng(0).normal(0, 8, pixels.shape)


def shaded(pixels: np.ndarray) -> np.ndarray:
    height, width = pixels.shape
    return pixels - np.linspace(0, 60, width) - np.linspace(0, 40, height)[:, None]


def dusty(pixels: np.ndarray) -> np.ndarray:
    return np.where(np.random.default_rng(0).random(pixels.shape) < 0.002, 30, pixels)


@pytest.mark.parametrize("spoil", [noisy, shaded, dusty, lambda pixels: noisy(shaded(dusty(pixels)))])
def test_noise_shade_and_dust_are_taken_away(spoil: Callable[[np.ndarray], np.ndarray]) -> None:
    """A scan's noise, a lamp on one side and specks leave the digit as it is, on a background of zeros."""
    pixels = np.asarray(drawing(paper=220), dtype=float)
    digit = prepare_digit(Image.fromarray(np.clip(spoil(pixels), 0, 255).astype(np.uint8)))
    assert difference(digit, prepare_digit(drawing())) < 5
    assert np.median(digit) == 0


@pytest.mark.parametrize(("ink", "paper"), [("yellow", "white"), ((0, 130, 0), (255, 0, 0)), ("blue", "white")])
def test_colours_of_equal_grey_are_told_apart(ink: Any, paper: Any) -> None:
    """Yellow on white and green on red, which grey hardly shows, are seen in one of the colours."""
    mask = drawing(ink=255, paper=0)
    coloured = Image.composite(Image.new("RGB", mask.size, ink), Image.new("RGB", mask.size, paper), mask)
    assert difference(prepare_digit(coloured), prepare_digit(drawing())) < 2


def test_a_fine_pen_is_thickened() -> None:
    """A line of 2 pixels on a sheet of 900 ends as bright as MNIST's strokes, not as a faint trace."""
    digit = prepare_digit(drawing((600, 900), pen=1))
    assert (digit > 128).sum() > 35
    assert difference(digit, prepare_digit(drawing(pen=16))) < 10


@pytest.mark.parametrize("seed", range(20))
def test_preparing_twice_is_preparing_once(seed: int) -> None:
    """A prepared digit is recognised and passes through untouched, whatever the scribble was."""
    random = np.random.default_rng(seed)
    image = Image.new("L", tuple(int(side) for side in random.integers(20, 400, 2)), 255)
    points = [tuple(point) for point in random.random((5, 2)) * image.size]
    ImageDraw.Draw(image).line(points, fill=int(random.integers(0, 150)), width=int(random.integers(1, 20)))
    once = prepare_digit(image)
    assert np.array_equal(prepare_digit(Image.fromarray(once[:, :, 0])), once)


def test_a_prepared_digit_saved_as_a_file_passes_through(tmp_path: Path) -> None:
    """An MNIST image exported as PNG, in grey or in RGB, comes back bit by bit."""
    digit = prepare_digit(drawing())
    for mode in ("L", "RGB", "RGBA"):
        Image.fromarray(digit[:, :, 0]).convert(mode).save(tmp_path / "x.png")
        assert np.array_equal(prepare_digit(load_image(tmp_path / "x.png")), digit)


def test_an_off_centre_picture_of_the_right_size_is_prepared() -> None:
    """28x28 alone is not enough to pass untouched: a small digit in a corner is scaled and centred."""
    corner = Image.new("L", (28, 28), 0)
    ImageDraw.Draw(corner).line([(3, 3), (10, 3), (6, 12)], fill=255, width=2)
    digit = prepare_digit(corner)
    assert max(extent(digit)) == 20
    assert np.abs(np.array(centre_of_mass(digit)) - 14).max() <= 0.55


def test_nothing_is_cut_off() -> None:
    """A scribble whose mass lies far from its middle stays inside the picture, all of it."""
    image = Image.new("L", (300, 300), 255)
    ImageDraw.Draw(image).rectangle((100, 240, 200, 260), fill=0)
    ImageDraw.Draw(image).line((150, 40, 150, 240), fill=0, width=1)
    assert max(extent(prepare_digit(image))) >= 19


def test_other_shapes_scale_the_box() -> None:
    """For a model of 56x56x3 the digit is 40 pixels big, centred there, and grey in each channel."""
    digit = prepare_digit(drawing(), (56, 56, 3))
    assert digit.shape == (56, 56, 3)
    assert max(extent(digit)) == 40
    assert np.abs(np.array(centre_of_mass(digit)) - 28).max() <= 0.55
    assert np.array_equal(digit[:, :, 0], digit[:, :, 2])


@pytest.mark.parametrize("value", [0, 127, 255])
@pytest.mark.parametrize("size", [(1, 1), (28, 28), (300, 200)])
def test_a_blank_picture_holds_no_digit(value: int, size: tuple[int, int]) -> None:
    """A blank sheet is an error that says why, not a guess."""
    with pytest.raises(ImageError, match="no digit found: every pixel is the same"):
        prepare_digit(Image.new("L", size, value))


def test_noise_alone_holds_no_digit() -> None:
    """A scan of an empty sheet is told from a faint digit."""
    sheet = np.clip(noisy(np.full((200, 200), 230.0)), 0, 255).astype(np.uint8)
    with pytest.raises(ImageError, match="nothing stands out from the background"):
        prepare_digit(Image.fromarray(sheet))


@pytest.mark.parametrize("size", [(3, 1), (1, 3), (2, 2), (3, 3), (1, 500), (28, 28)])
def test_tiny_and_odd_pictures_do_not_crash(size: tuple[int, int]) -> None:
    """Any picture with one pixel unlike the others gives some digit."""
    image = Image.new("L", size, 255)
    image.putpixel((size[0] - 1, size[1] - 1), 0)
    assert prepare_digit(image).max() == 255


# Photos


def test_a_photo_is_resized_to_the_models_shape() -> None:
    """Height, width and channels are the model's; averages are kept."""
    photo = prepare_photo(half_red(), (10, 8, 3))
    assert photo.shape == (10, 8, 3)
    assert photo.dtype == np.uint8
    assert photo[5, 0].tolist() == [200, 0, 0]
    assert photo[5, 7].tolist() == [255, 255, 255]
    assert prepare_photo(half_red(), (10, 8, 1)).shape == (10, 8, 1)
    assert prepare_photo(drawing(), (32, 32, 3)).shape == (32, 32, 3)


def test_downscaling_is_antialiased() -> None:
    """A fine checkerboard becomes grey, not a pattern of its own."""
    board = (np.indices((256, 256)).sum(axis=0) % 2 * 255).astype(np.uint8)
    assert np.abs(prepare_photo(Image.fromarray(board), (16, 16, 1)).astype(int) - 127).max() <= 3


def test_a_model_of_other_channels_is_told() -> None:
    """Two channels cannot come from an image file."""
    with pytest.raises(ImageError, match="images of 2 channels"):
        prepare_photo(half_red(), (10, 8, 2))


# Predictions


def fake_model(logits: Callable[[np.ndarray], np.ndarray]) -> Callable[..., tf.Tensor]:
    def call(batch: tf.Tensor, training: bool) -> tf.Tensor:
        found = tf.numpy_function(lambda images: logits(images).astype(np.float32), [batch], tf.float32)
        return tf.ensure_shape(found, (None, None))

    return call


def brightness(batch: np.ndarray) -> np.ndarray:
    assert batch.dtype == np.float32
    mean = batch.mean(axis=(1, 2, 3))
    return np.stack([np.zeros(len(batch)), mean - 127], axis=1)


def ask(logits: Callable[[np.ndarray], np.ndarray], paths: list[Any], **changes: Any) -> list[dict[str, Any]]:
    """Predict by a function from images to logits of "dark" and "bright"."""
    options: dict[str, Any] = {"image_shape": (8, 8, 1), **changes}
    predictor = Predictor(fake_model(logits), Classification(), ("dark", "bright"), **options)
    return predict_files(predictor, paths, model="fake", folder=Path("nowhere"), tell=pytest.fail)


def test_each_file_gets_its_prediction_in_order(tmp_path: Path) -> None:
    """Many files, more than a batch, come back in their order with probabilities that sum to one."""
    for name, value in (("dark.png", 0), ("bright.png", 255)):
        Image.new("L", (8, 8), value).save(tmp_path / name)
    paths = [tmp_path / "dark.png", str(tmp_path / "bright.png")] * 300
    predictions = ask(brightness, paths)
    assert [prediction["label"] for prediction in predictions] == ["dark", "bright"] * 300
    assert predictions[1]["path"] == paths[1]
    assert predictions[1]["index"] == 1
    assert all(abs(sum(prediction["probabilities"]) - 1) < 1e-12 for prediction in predictions)
    assert json.loads(json.dumps(predictions)) == predictions


def test_no_files_are_no_predictions() -> None:
    """An empty list never reaches the model."""
    assert ask(lambda _: pytest.fail("asked"), []) == []


def test_huge_logits_do_not_overflow(tmp_path: Path) -> None:
    """Logits of 10,000 are certainty, not NaN."""
    Image.new("L", (8, 8)).save(tmp_path / "x.png")
    (found,) = ask(lambda _: np.array([[1e4, -1e4]]), [tmp_path / "x.png"])
    assert found["probabilities"] == [1.0, 0.0]


def test_a_blank_digit_is_named_by_its_file(tmp_path: Path) -> None:
    """With several files the error says which of them shows no digit."""
    drawing().save(tmp_path / "good.png")
    Image.new("L", (50, 50), 255).save(tmp_path / "blank.png")
    options = {"preprocessing": MNIST_FORM, "image_shape": (28, 28, 1)}
    with pytest.raises(ImageError, match=r"blank\.png: no digit found"):
        ask(brightness, [tmp_path / "good.png", tmp_path / "blank.png"], **options)


@pytest.mark.parametrize(
    ("logits", "words"),
    [(np.zeros((1, 3)), r"shape \(1, 3\); 2 classes need \(1, 2\)"), (np.full((1, 2), np.nan), "not finite")],
)
def test_a_model_that_does_not_fit_is_told(tmp_path: Path, logits: np.ndarray, words: str) -> None:
    """Another number of classes, or a diverged model, is an error and no prediction."""
    Image.new("L", (8, 8)).save(tmp_path / "x.png")
    with pytest.raises(ModelError, match=words):
        ask(lambda _: logits, [tmp_path / "x.png"])
