"""A digit on paper that is not plain: what is prepared is the digit, as on a plain sheet, or nothing at all."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from zoo import data
from zoo.errors import ImageError
from zoo.imaging.digits import prepare_digit
from zoo.imaging.load import load_image, prepare_photo

SHEET = 400


@pytest.fixture(scope="module")
def strokes() -> list[np.ndarray]:
    """Digits 0, 2, 3, 4, 5 and 7 of scikit-learn's, as a pen draws them: (260, 260), 0..1."""
    digits = data.load("digits").test
    chosen = [digits.images[np.flatnonzero(digits.labels == label)[0]][..., 0] for label in (0, 2, 3, 4, 5, 7)]
    large = (np.asarray(Image.fromarray(one).resize((260, 260), Image.Resampling.BICUBIC), float) for one in chosen)
    return [np.clip((one / 255 - 0.35) * 4, 0, 1) for one in large]


def sheet(ink: np.ndarray) -> np.ndarray:
    """Dark ink in the middle of a light sheet, float64 (400, 400)."""
    page = np.full((SHEET, SHEET), 240.0)
    page[70:330, 70:330] -= 210 * ink
    return page


def edged(page: np.ndarray, width: int, edges: str) -> np.ndarray:
    """Dark lines along the edges: t(op), l(eft), b(ottom), r(ight)."""
    lines = {"t": np.s_[:width], "l": np.s_[:, :width], "b": np.s_[-width:], "r": np.s_[:, -width:]}
    page = page.copy()
    for edge in edges:
        page[lines[edge]] = 30
    return page


def boxed(page: np.ndarray) -> np.ndarray:
    page = page.copy()
    for line in (np.s_[30:34, 30:-30], np.s_[-34:-30, 30:-30], np.s_[30:-30, 30:34], np.s_[30:-30, -34:-30]):
        page[line] = 40
    return page


def ruled(page: np.ndarray, *, squared: bool) -> np.ndarray:
    page = page.copy()
    for line in range(17, SHEET, 44):
        page[line : line + 2] = np.minimum(page[line : line + 2], 150)
        if squared:
            page[:, line : line + 2] = np.minimum(page[:, line : line + 2], 150)
    return page


def vignetted(page: np.ndarray, share: float) -> np.ndarray:
    rows, columns = np.mgrid[-1 : 1 : SHEET * 1j, -1 : 1 : SHEET * 1j]
    return page * (1 - share / 2 * (rows**2 + columns**2))


WAYS = {
    **{f"frame of {width} px": lambda page, width=width: edged(page, width, "tlbr") for width in (1, 2, 4, 8)},
    "line along the top": lambda page: edged(page, 1, "t"),
    "line along the right": lambda page: edged(page, 3, "r"),
    "corner of a cell": lambda page: edged(page, 6, "tl"),
    "three sides": lambda page: edged(page, 4, "tbr"),
    "box": boxed,
    "bars above and below": lambda page: np.pad(page, ((200, 200), (0, 0))),
    "bars left and right": lambda page: np.pad(page, ((0, 0), (150, 150)), constant_values=15),
    "sheet on a desk": lambda page: np.pad(page, 80, constant_values=60),
    "ruled": lambda page: ruled(page, squared=False),
    **{f"corners {share:.0%} darker": lambda page, share=share: vignetted(page, share) for share in (0.3, 0.4, 0.7)},
}


def picture(page: np.ndarray) -> Image.Image:
    return Image.fromarray(np.clip(np.rint(page), 0, 255).astype(np.uint8))


def likeness(one: np.ndarray, other: np.ndarray) -> float:
    """The correlation of two prepared digits: 1 where they are the same."""
    return float(np.corrcoef(one.ravel().astype(float), other.ravel().astype(float))[0, 1])


def prepared(page: np.ndarray, *, negative: bool) -> np.ndarray:
    return prepare_digit(picture(255 - page if negative else page))


@pytest.fixture(scope="module")
def plain(strokes) -> dict[bool, list[np.ndarray]]:
    """The digits of plain sheets as the network sees them, dark on light and, under True, light on dark."""
    return {negative: [prepared(sheet(ink), negative=negative) for ink in strokes] for negative in (False, True)}


@pytest.mark.parametrize("negative", [False, True], ids=["dark on light", "light on dark"])
@pytest.mark.parametrize("way", WAYS)
def test_the_digit_is_found_on_paper_that_is_not_plain(strokes, plain, way, negative):
    """As the network sees it, it is the digit of the plain sheet."""
    for ink, expected in zip(strokes, plain[negative], strict=True):
        assert likeness(expected, prepared(WAYS[way](sheet(ink)), negative=negative)) > 0.8


@pytest.mark.parametrize("scale", [(100, 100), (1600, 1600), (900, 1600)])
def test_the_size_of_the_picture_is_no_matter(strokes, scale):
    """Small, large and stretched pictures, each with a frame."""
    ink = strokes[2]
    framed = picture(edged(sheet(ink), 8, "tlbr")).resize(scale, Image.Resampling.BICUBIC)
    plain = picture(sheet(ink)).resize(scale, Image.Resampling.BICUBIC)
    assert likeness(prepare_digit(plain), prepare_digit(framed)) > 0.85


@pytest.mark.parametrize(
    ("page", "words"),
    [
        (np.full((SHEET, SHEET), 200.0), "every pixel is the same"),
        (edged(np.full((SHEET, SHEET), 240.0), 6, "tlbr"), "no digit found"),
        (boxed(np.full((SHEET, SHEET), 240.0)), "no digit found"),
        (ruled(np.full((SHEET, SHEET), 240.0), squared=True), "no digit found"),
        (np.pad(np.full((200, 200), 240.0), 100, constant_values=60), "no digit found"),
    ],
    ids=["blank", "frame", "box", "squared paper", "empty sheet on a desk"],
)
def test_paper_without_a_digit_is_refused(page, words):
    """Rather nothing than a confident 0."""
    with pytest.raises(ImageError, match=words):
        prepare_digit(picture(page))


def test_two_digits_side_by_side_are_refused(strokes):
    """Which of the two is meant nobody can know; the error says what to do."""
    page = np.concatenate([sheet(strokes[1]), sheet(strokes[5])], axis=1)
    with pytest.raises(ImageError, match="more than one digit found. Crop the picture to one"):
        prepare_digit(picture(page))


def test_a_piece_within_an_open_stroke_belongs_to_the_digit():
    """Only a box without gaps, or one that a large mark stands in, is taken away: not the bow of a broken 3 or 4."""
    rows, columns = np.mgrid[-130:130, -130:130]
    distance = np.hypot(rows, columns)
    bow = (distance < 100) & (distance > 80) & (columns < 60)
    page = sheet((bow | ((abs(rows) < 12) & (abs(columns) < 40))).astype(float))
    assert likeness(prepare_digit(picture(page)), prepare_digit(picture(sheet(bow.astype(float))))) > 0.7


@pytest.mark.parametrize("bits", [10, 12, 14, 16])
@pytest.mark.parametrize("colours", [1, 3])
def test_greys_and_colours_of_any_depth_are_read(strokes, tmp_path, bits, colours):
    """Cameras and scanners write 10 to 16 bits into files of 16: 4 levels of 255 were all that was seen of 10."""
    page = sheet(strokes[3])
    deep = np.rint(page / 255 * (2**bits - 1)).astype(np.uint16)
    path = tmp_path / "deep.png"
    if colours == 1:
        Image.fromarray(deep).save(path)
    else:
        _write_colours_of_16_bits(np.repeat(deep[:, :, None], 3, axis=2), path)
    found = np.asarray(load_image(path).convert("L"), float)
    assert np.abs(found - page).max() <= 1
    assert likeness(prepare_digit(load_image(path)), prepare_digit(picture(page))) > 0.99


def test_floats_beyond_255_are_read(strokes, tmp_path):
    """A TIFF of floats in 0..1023."""
    page = sheet(strokes[4])
    Image.fromarray((page / 255 * 1023).astype(np.float32)).save(tmp_path / "floats.tiff")
    assert np.abs(np.asarray(load_image(tmp_path / "floats.tiff"), float) - page).max() <= 1


def test_a_bright_photograph_of_16_bits_stays_as_it_is(tmp_path):
    """What reaches beyond 14 bits is not stretched: its greys are those of the file."""
    greys = np.linspace(0, 60_000, 64 * 64).reshape(64, 64).astype(np.uint16)
    Image.fromarray(greys).save(tmp_path / "bright.png")
    prepared = prepare_photo(load_image(tmp_path / "bright.png"), (64, 64, 1))[..., 0]
    assert np.abs(prepared - greys / 257).max() <= 1


def _write_colours_of_16_bits(values: np.ndarray, path) -> None:
    """Write a PNG of 16 bits per colour, which Pillow cannot: signature, IHDR, IDAT, IEND (PNG specification)."""
    import struct
    import zlib

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    height, width, _ = values.shape
    rows = values.astype(">u2").reshape(height, -1)
    content = b"".join(b"\0" + row.tobytes() for row in rows)
    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(content)) + chunk(b"IEND", b"")
    )
