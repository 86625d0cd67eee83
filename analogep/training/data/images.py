"""MNIST, Fashion-MNIST, KMNIST and CIFAR-10: where they are published, and how their files are read."""

from __future__ import annotations

import io
import tarfile
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from analogep.errors import DataError, Fault
from analogep.training.data.downloads import Published, PublishedFile, read_all
from analogep.training.data.parts import DataSet, Labels, Part

if TYPE_CHECKING:
    from analogep.training.configuration.data import DataConfig

WHITE = 255.0
"""Full scale of a pixel of eight bits."""

_NAMES = (
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)


def _four(*hashes: tuple[str, str | None]) -> tuple[PublishedFile, ...]:
    return tuple(PublishedFile(name, *pair) for name, pair in zip(_NAMES, hashes, strict=True))


# MD5 of the published .gz files: MNIST and KMNIST as torchvision's datasets/mnist.py lists them, Fashion-MNIST as
# the README of zalandoresearch/fashion-mnist. MD5 of the unpacked contents, where given: computed from copies of
# the files; public lists have the same. For Fashion-MNIST both columns are of the same contents: with the name
# and the time of 2017-08-31 in their gzip heads the copies have the published MD5.
# LeCun's own page of MNIST no longer serves the files; the first address is the copy that torchvision uses.
# CIFAR-10: the binary version and its MD5 from the authors' page, https://www.cs.toronto.edu/~kriz/cifar.html;
# unlike the Python version it needs no pickle.
PUBLISHED: dict[str, Published] = {
    "mnist": Published(
        "mnist",
        ("https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/"),
        _four(
            ("f68b3c2dcbeaaa9fbdd348bbdeb94873", "6bbc9ace898e44ae57da46a324031adb"),
            ("d53e105ee54ea40749a09fcbcd1e9432", "a25bea736e30d166cdddb491f175f624"),
            ("9fb629c4189551a2d022fa330f9573f3", "2646ac647ad5339dbf082846283269ea"),
            ("ec29112dd5afa0611ce80d1b7f02629c", "27ae3e4e09519cfbb04c329615203637"),
        ),
    ),
    "fashion-mnist": Published(
        "fashion-mnist",
        ("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",),
        _four(
            ("8d4fb7e6c68d591d4c3dfef9ec88bf0d", "f4a8712d7a061bf5bd6d2ca38dc4d50a"),
            ("25c81989df183df01b3e8a0aad5dffbe", "9018921c3c673c538a1fc5bad174d6f9"),
            ("bef4ecab320f06d8554ea6380940ec79", "8181f5470baa50b63fa0f6fddb340f0a"),
            ("bb300cfdad3c16e7a12a480ee83cd310", "15d484375f8d13e6eb1aabb0c3f46965"),
        ),
    ),
    "kmnist": Published(
        "kmnist",
        ("http://codh.rois.ac.jp/kmnist/dataset/kmnist/",),
        _four(
            ("bdb82020997e1d708af4cf47b453dcf7", None),
            ("e144d726b3acfaa3e44228e80efcd344", None),
            ("5c965bf0a639b31b8f53240b1b52f4d7", None),
            ("7320c461ea6c1c855c0b718fb2a4b134", None),
        ),
    ),
    "cifar-10": Published(
        "cifar-10",
        ("https://www.cs.toronto.edu/~kriz/",),
        (PublishedFile("cifar-10-binary.tar.gz", "c32a1d4ab5d03f1284b67883e8d87530"),),
    ),
}

CLASS_NAMES = {
    "mnist": tuple("0123456789"),
    "fashion-mnist": (
        "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
    ),
    "kmnist": ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
    "cifar-10": (
        "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
    ),
}  # fmt: skip


def idx(content: bytes, where: str) -> NDArray[np.uint8]:
    """Return the array of unsigned bytes in an unpacked IDX file.

    Format: two zero bytes, 0x08 for unsigned bytes, the number of axes, each size as four bytes big-endian, data.

    Raises
    ------
    DataError
        If the contents are not such a file.
    """
    axes = content[3] if len(content) > 3 else 0
    start = 4 + 4 * axes
    if content[:3] != b"\0\0\x08" or not axes or len(content) < start:
        raise DataError(where, [Fault("head", "is not that of an IDX file of unsigned bytes")])
    shape = tuple(np.frombuffer(content, ">i4", axes, 4).tolist())
    if len(content) - start != int(np.prod(shape)):
        what = f"has {len(content) - start} bytes of data where the head says {' × '.join(map(str, shape))}"
        raise DataError(where, [Fault("contents", what)])
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def mnist_like(config: DataConfig) -> DataSet:
    """Load MNIST, Fashion-MNIST or KMNIST: 60,000 and 10,000 images of 28×28 pixels, ten classes."""
    published = PUBLISHED[config.name]
    found = read_all(published)
    arrays = [idx(found[file.name], file.name) for file in published.files]
    train, test = (_part(arrays[k], arrays[k + 1], published.name) for k in (0, 2))
    height, width = arrays[0].shape[1:]
    return DataSet(config.name, train, test, 10, (height, width), class_names=CLASS_NAMES[config.name])


def _part(images: NDArray[np.uint8], labels: NDArray[np.uint8], name: str) -> Part:
    if images.ndim != 3 or labels.shape != images.shape[:1]:
        what = f"images {images.shape} and labels {labels.shape} do not belong together"
        raise DataError(f"data set {name}", [Fault("shape", what)])
    return Part(images.reshape(len(images), -1), labels.astype(np.int64), None, WHITE)


def cifar10(config: DataConfig) -> DataSet:
    """Load CIFAR-10: 50,000 and 10,000 images of 32×32 pixels in red, green and blue, ten classes."""
    published = PUBLISHED[config.name]
    (content,) = read_all(published).values()
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as archive:
        train = [_records(archive, f"data_batch_{k}.bin") for k in range(1, 6)]
        test = _records(archive, "test_batch.bin")
    pixels, labels = (np.concatenate([batch[k] for batch in train]) for k in (0, 1))
    return DataSet(
        config.name,
        Part(pixels, labels.astype(np.int64), None, WHITE),
        Part(test[0], test[1], None, WHITE),
        10,
        (3, 32, 32),
        class_names=CLASS_NAMES[config.name],
    )


def _records(archive: tarfile.TarFile, name: str) -> tuple[NDArray[np.uint8], Labels]:
    """Return pixels (S, 3072) and classes (S,) of one file of records: a byte for the class, then the pixels."""
    try:
        file = archive.extractfile(f"cifar-10-batches-bin/{name}")
    except KeyError:
        file = None
    raw = b"" if file is None else file.read()
    if not raw or len(raw) % 3073:
        raise DataError("data set cifar-10", [Fault(name, f"has {len(raw)} bytes, not a multiple of 3073")])
    rows = np.frombuffer(raw, np.uint8).reshape(-1, 3073)
    return rows[:, 1:].copy(), rows[:, 0].astype(np.int64)
