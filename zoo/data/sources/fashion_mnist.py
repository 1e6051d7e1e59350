"""Fashion-MNIST: images of clothing in MNIST's format, a harder task.

H. Xiao, K. Rasul, R. Vollgraf, "Fashion-MNIST: a novel image dataset for benchmarking machine learning
algorithms", arXiv:1708.07747, 2017. The class names are those of its table 2.
"""

from __future__ import annotations

from pathlib import Path

from zoo.data.formats.idx_files import read_idx_folder
from zoo.data.sources.source import DatasetInfo, Entry, keras_folder, local_source
from zoo.data.sources.tfds import tfds_sources

# SHA-256 of the four published files, unzipped; computed from Debian's package dataset-fashion-mnist
# 0.0~git20200523.55506a9-1, which carries the files of the authors' repository.
PUBLISHED = {
    "train_images": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train_labels": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "test_images": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "test_labels": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}
CLASS_NAMES = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
DEBIAN_FOLDER = Path("/usr/share/datasets/fashion-mnist")

FASHION_MNIST = Entry(
    info=DatasetInfo(
        name="fashion_mnist",
        description="Articles of clothing, in MNIST's format",
        num_classes=10,
        image_shape=(28, 28, 1),
        train_size=60_000,
        test_size=10_000,
        needs_network=True,
        license="MIT",
        url="https://github.com/zalandoresearch/fashion-mnist",
    ),
    sources=(
        local_source("copy kept by Keras", lambda: keras_folder() / "fashion-mnist", read_idx_folder),
        local_source("Debian package dataset-fashion-mnist", lambda: DEBIAN_FOLDER, read_idx_folder),
        *tfds_sources("fashion_mnist", published_order=True),
    ),
    published=PUBLISHED,
    class_names=CLASS_NAMES,
)
