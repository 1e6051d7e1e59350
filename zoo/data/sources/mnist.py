"""MNIST: its sources, and the digests that it is verified against.

Y. LeCun, C. Cortes, C. Burges, "The MNIST database of handwritten digits", 1998: 60,000 training and 10,000 test
images, 28x28 pixels, uint8, 0 is paper and 255 ink.
"""

from __future__ import annotations

from zoo.data.formats.archives import read_npz
from zoo.data.sources import mirror
from zoo.data.sources.source import DatasetInfo, Entry, keras_folder, local_source
from zoo.data.sources.tfds import tfds_sources

# SHA-256 of the four published files, unzipped.
PUBLISHED = {
    "train_images": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train_labels": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "test_images": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "test_labels": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}

MNIST = Entry(
    info=DatasetInfo(
        name="mnist",
        description="Handwritten digits",
        num_classes=10,
        image_shape=(28, 28, 1),
        train_size=60_000,
        test_size=10_000,
        needs_network=True,
        license="CC BY-SA 3.0",
        url="http://yann.lecun.com/exdb/mnist/",
    ),
    # The cache and --data-dir come before these, for every data set alike (catalog.py).
    sources=(
        local_source("copy kept by Keras", lambda: keras_folder() / "mnist.npz", read_npz),
        *tfds_sources("mnist", published_order=True),
        mirror.SOURCE,
    ),
    published=PUBLISHED,
    class_names=tuple("0123456789"),
    only_published=True,
)
