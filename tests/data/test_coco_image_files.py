"""Images of folders in COCO's format: whatever Pillow opens is read, from whichever format, mode and suffix."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from coco_samples import SIDE, change, picture, write_folder
from PIL import Image, features

from zoo import data
from zoo.errors import DataError
from zoo.imaging.load import load_image

ORIENTATION = 0x0112  # EXIF's tag


def read(folder: Path) -> tuple[data.Dataset, list[str]]:
    said: list[str] = []
    return data.read_coco(folder, announce=said.append), said


def saving(**options):
    return lambda pixels, path: Image.fromarray(pixels).save(path, **options)


@pytest.mark.parametrize(
    ("suffix", "options"),
    [
        ("bmp", {}),
        ("gif", {}),
        ("tif", {}),
        ("tiff", {"compression": "tiff_lzw"}),
        ("ppm", {}),
        ("webp", {"lossless": True}),
        ("jp2", {"irreversible": False}),
        ("dib", {}),
        ("WEBP", {"lossless": True}),
        ("jpg", {"format": "WEBP", "lossless": True}),  # the suffix lies
        ("png", {"format": "BMP"}),
        ("picture", {"format": "TIFF"}),
    ],
)
def test_every_format_gives_the_same_pixels(tmp_path, suffix, options):
    """Those without loss, to the pixel; what a file is its content says, not its suffix."""
    if suffix == "jp2" and not features.check("jpg_2000"):
        pytest.skip("this Pillow has no JPEG 2000")
    found, said = read(write_folder(tmp_path / "data", suffix, saving(**options)))
    for row, pixels in enumerate(found.train.images):
        assert np.array_equal(pixels, picture(row))
    assert found.train.boxes[1, 0].tolist() == pytest.approx([1, 10 / 64, 11 / 64, 30 / 64, 35 / 64])
    assert len(said) == 1  # that it reads: there is nothing to remark


@pytest.mark.parametrize("suffix", ["webp", "avif", "jpg"])
def test_formats_with_loss_are_near(tmp_path, suffix):
    """WEBP as phones write it, and AVIF where Pillow has it."""
    if suffix == "avif" and not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    found, _ = read(write_folder(tmp_path / "data", suffix, saving(quality=90)))
    assert abs(found.train.images[0].astype(int) - picture(0)).mean() < 4


def test_what_the_commands_do_with_them(zoo, tmp_path):
    """`zoo data show` draws a folder of WEBP."""
    folder = write_folder(tmp_path / "data", "webp", saving())
    shown = zoo("data", "show", "photos", "--data-dir", folder)
    assert shown.exit_code == 0, shown.stderr
    assert Path("photos-samples.png").is_file()


def save_cmyk(pixels: np.ndarray, path: Path) -> None:
    Image.fromarray(pixels).convert("CMYK").save(path, "JPEG", quality=98)


def save_palette(pixels: np.ndarray, path: Path) -> None:
    Image.fromarray(pixels).quantize(8).save(path, "PNG")


def save_lab(pixels: np.ndarray, path: Path) -> None:
    from PIL import ImageCms

    profiles = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    ImageCms.profileToProfile(Image.fromarray(pixels), *profiles, outputMode="LAB").save(path, "TIFF")


def save_animation(pixels: np.ndarray, path: Path) -> None:
    other = Image.fromarray(255 - pixels)
    Image.fromarray(pixels).save(path, "GIF", save_all=True, append_images=[other, other])


def save_pages(pixels: np.ndarray, path: Path) -> None:
    Image.fromarray(pixels).save(path, "TIFF", save_all=True, append_images=[Image.fromarray(255 - pixels)])


@pytest.mark.parametrize("save", [save_cmyk, save_palette, save_animation, save_pages, save_lab])
def test_other_modes_become_colours(tmp_path, save):
    """CMYK, palettes, LAB; of an animation or of several pages the first is seen."""
    found, _ = read(write_folder(tmp_path / "data", "png", save))
    assert found.image_shape == (SIDE, SIDE, 3)
    assert abs(found.train.images.astype(int) - [picture(row) for row in range(6)]).mean() < 6


@pytest.mark.parametrize("suffix", ["png", "gif", "webp", "tif"])
def test_what_is_transparent_is_white(tmp_path, suffix):
    """In every format that has it."""

    def save(pixels: np.ndarray, path: Path) -> None:
        layered = Image.fromarray(pixels).convert("RGBA")
        layered.putalpha(Image.fromarray((pixels[..., 0] > 30).astype(np.uint8) * 255))
        layered.save(path, lossless=True) if suffix == "webp" else layered.save(path)

    found, _ = read(write_folder(tmp_path / "data", suffix, save))
    assert (found.train.images[0, 0, 0] == 255).all()
    assert found.train.images[0, 20, 20].tolist() == pytest.approx([60, 200, 240], abs=8)


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp"])
@pytest.mark.parametrize("orientation", [3, 6])
def test_boxes_are_those_of_the_stored_image(tmp_path, suffix, orientation):
    """As COCO's own tools read it; the noted turn is not made, and that is said."""
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    found, said = read(write_folder(tmp_path / "data", suffix, saving(exif=exif)))
    assert abs(found.train.images[0].astype(int) - picture(0)).mean() < 8
    assert any("6 images are read as they are stored and not as their camera noted (EXIF)" in line for line in said)


def test_the_size_in_the_json_says_that_a_picture_was_annotated_upright(tmp_path):
    """Stored wide, annotated high: turned, its box where it was marked, and that is said."""
    stored = np.zeros((32, 64, 3), np.uint8)
    stored[:, :20] = (200, 10, 10)  # the top, once turned by a quarter clockwise
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    folder = write_folder(tmp_path / "data", "webp", saving(lossless=True))
    Image.fromarray(stored).save(folder / "train" / "train_0.webp", exif=exif, lossless=True)

    def upright(content):
        content["images"][0] |= {"width": 32, "height": 64}
        content["annotations"][0]["bbox"] = [0, 0, 32, 20]

    change(folder, upright)
    found, said = read(folder)
    top, left, bottom, right = found.train.boxes[0, 0, 1:]
    assert (top, left, bottom, right) == pytest.approx((0, 0, 20 / 64, 1))
    height = found.image_shape[0]
    red = found.train.images[0, ..., 0]
    assert red[: int(height * 0.28), :].min() > 150
    assert red[int(height * 0.35) :, :].max() < 50
    assert any("1 images are turned as their camera noted (EXIF)" in line for line in said)


def test_a_tiff_is_seen_as_pillow_turns_it(tmp_path):
    """A TIFF that notes a turn comes turned; a size of the stored image contradicts that."""
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    folder = write_folder(tmp_path / "data", "tif", saving())
    Image.fromarray(picture(0)[:32]).save(folder / "train" / "train_0.tif", exif=exif)
    change(folder, lambda content: content["images"][0].update(width=32, height=64))
    found, said = read(folder)
    turned = np.rot90(picture(0)[:32], -1)
    assert np.array_equal(np.asarray(Image.open(folder / "train" / "train_0.tif")), turned)
    assert abs(found.train.images[0][::2, ::4].astype(int) - turned).mean() < 20
    assert any("1 TIFF images are turned" in line for line in said)
    change(folder, lambda content: content["images"][0].update(width=64, height=32))
    with pytest.raises(DataError, match=r"train_0\.tif is 32x64 pixels large, but its annotations speak of 64x32"):
        read(folder)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "it is not an image in a format that zoo reads: it is empty"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "it is HEIC. Save it again as PNG or JPEG"),
        (b"%PDF-1.7 ...", "it is PDF"),
        (b"<!DOCTYPE html><title>404", "it is a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1", "a pointer of Git LFS, and `git lfs pull`"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n", "it is PostScript"),
        (b"RIFF\x40\0\0\0WEBPVP8 nothing that can be decoded", "because it is"),
    ],
    ids=["empty", "heic", "pdf", "html", "lfs", "eps", "webp"],
)
def test_what_is_no_image_is_named_with_what_it_is(tmp_path, content, words):
    """The file, the reason and the next step, in one line; no name of a decoder."""
    folder = write_folder(tmp_path / "data", "bmp", saving())
    (folder / "train" / "train_3.bmp").write_bytes(content)
    with pytest.raises(DataError) as caught:
        read(folder)
    assert "train_3.bmp cannot be read as an image because it" in str(caught.value)
    assert words in str(caught.value)
    assert "MPO" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_damaged_webp_is_damaged(tmp_path):
    """Half of a file, which has a header still."""
    folder = write_folder(tmp_path / "data", "webp", saving())
    path = folder / "val" / "val_1.webp"
    noise = np.random.default_rng(0).integers(0, 255, (SIDE, SIDE, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path, lossless=True)
    path.write_bytes(path.read_bytes()[:6000])
    with pytest.raises(DataError, match=r"val_1\.webp cannot be read as an image because it is (damaged|not an image)"):
        read(folder)


def test_more_than_8_bits_are_told_from_damage(tmp_path):
    """16-bit grey, in whichever format: which of its values is white, the file does not say."""
    folder = write_folder(tmp_path / "data", "tif", saving())
    Image.fromarray(np.full((SIDE, SIDE), 900, np.uint16)).save(folder / "train" / "train_2.tif")
    with pytest.raises(
        DataError, match=r"train_2\.tif has more than 8 bits .* \(Pillow's mode I;16\)\. Save it with 8"
    ):
        read(folder)


def test_a_pillow_that_lacks_a_format_is_named(tmp_path, monkeypatch):
    """AVIF is optional: the file is not called damaged."""
    if not features.check("avif"):
        pytest.skip("cannot write one")
    folder = write_folder(tmp_path / "data", "avif", saving())
    Image.init()
    monkeypatch.delitem(Image.OPEN, "AVIF")
    with pytest.raises(DataError, match=r"train_0\.avif .*: it is AVIF, damaged or too new for the installed Pillow"):
        read(folder)


@pytest.mark.parametrize("suffix", ["png", "jpg", "gif", "bmp", "tif", "webp", "ppm", "jp2", "avif", "mpo"])
def test_data_sets_and_predict_read_the_same(tmp_path, suffix):
    """There is one way to open an image: what trains can be predicted on."""
    try:
        folder = write_folder(tmp_path / "data", suffix, saving())
    except (OSError, ValueError, KeyError):
        pytest.skip(f"this Pillow writes no {suffix}")
    found, _ = read(folder)
    assert np.array_equal(np.asarray(load_image(folder / "train" / f"train_1.{suffix}")), found.train.images[1])
