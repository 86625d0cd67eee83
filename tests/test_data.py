"""Data sets: where files come from, what is in them, how they are split, and every fault of a user's own."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import struct
import tarfile
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_cli import command  # noqa: F401 (a fixture)

from analogep.errors import ConfigError, DataError
from analogep.training.configuration.data import DataConfig
from analogep.training.data import DataSet, images, load
from analogep.training.data import downloads as getting
from analogep.training.data.downloads import VARIABLE, Published, PublishedFile, read_all
from analogep.training.encoders import statistics

RNG = np.random.default_rng(5)
IMAGES, LABELS = RNG.integers(0, 256, (40, 3, 4), np.uint8), (np.arange(40) % 10).astype(np.uint8)


def idx(array: np.ndarray) -> bytes:
    """Return an IDX file, written from its description: head, sizes, data."""
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}i", *array.shape) + array.tobytes()


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


class Server(ThreadingHTTPServer):
    asked: list[str]
    address: str


class _Handler(SimpleHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, Server)
        self.server.asked.append(self.path)
        super().do_GET()

    def log_message(self, *arguments: Any) -> None:
        """Say nothing."""


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folders served/, own/ and cache/; the variable is not set."""
    for name in ("served", "own/mnist", "cache"):
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.delenv(VARIABLE, raising=False)
    for proxy in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(proxy, raising=False)
    monkeypatch.setattr(getting, "cache_folder", lambda: tmp_path / "cache")
    return tmp_path


@pytest.fixture
def server(places: Path) -> Iterator[Server]:
    with Server(("127.0.0.1", 0), partial(_Handler, directory=str(places / "served"))) as found:
        found.asked, found.address = [], f"http://127.0.0.1:{found.server_address[1]}/"
        thread = threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield found
        found.shutdown()
        thread.join()


@pytest.fixture
def small(server: Server, places: Path, monkeypatch: pytest.MonkeyPatch) -> Published:
    """A small MNIST on the server, in the place of the real one."""
    files = []
    for name, array in zip(images._NAMES, (IMAGES, LABELS, IMAGES[:20], LABELS[:20]), strict=True):
        packed = gzip.compress(idx(array), mtime=0)
        (places / "served" / name).write_bytes(packed)
        files.append(PublishedFile(name, md5(packed), md5(idx(array))))
    published = Published("mnist", (f"{server.address}gone/", server.address), tuple(files))
    monkeypatch.setitem(images.PUBLISHED, "mnist", published)
    return published


def check_small(data: DataSet) -> None:
    assert (len(data.train), len(data.test), data.classes, data.image) == (40, 20, 10, (3, 4))
    assert data.train.features.dtype == np.uint8
    np.testing.assert_array_equal(data.train.features, IMAGES.reshape(40, 12))
    np.testing.assert_array_equal(data.test.labels, LABELS[:20])
    np.testing.assert_array_equal(data.train.numbers(), IMAGES.reshape(40, 12) / 255)


def test_files_are_downloaded_once_from_the_first_address_that_has_them(small: Published, server: Server) -> None:
    check_small(load(DataConfig(name="mnist")))
    name = small.files[0].name
    assert server.asked.count(f"/gone/{name}") == server.asked.count(f"/{name}") == 1
    server.asked.clear()
    check_small(load(DataConfig(name="mnist")))
    assert server.asked == []


def test_a_damaged_file_in_the_cache_is_downloaded_again(small: Published, places: Path) -> None:
    load(DataConfig(name="mnist"))
    (places / "cache" / "mnist" / small.files[0].name).write_bytes(b"half")
    check_small(load(DataConfig(name="mnist")))


def test_the_users_folder_comes_first(
    small: Published, places: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(DataConfig(name="mnist"))
    server.asked.clear()
    monkeypatch.setenv(VARIABLE, str(places / "own"))
    broken = places / "own" / "mnist" / small.files[2].name
    broken.write_bytes(b"broken")  # proves that this one is read, though the cache has a good one
    with pytest.raises(DataError) as caught:
        load(DataConfig(name="mnist"))
    (fault,) = caught.value.faults
    assert fault.where == str(broken)
    assert f"expected md5 {small.files[2].md5}" in fault.what
    assert f"found {md5(b'broken')}" in fault.what
    # packed anew: another hash of the file, the same of what it holds
    broken.write_bytes(gzip.compress(idx(IMAGES[:20]), 1, mtime=77))
    assert md5(broken.read_bytes()) != small.files[2].md5
    check_small(load(DataConfig(name="mnist")))
    assert server.asked == []


def test_contents_that_are_not_the_published_ones_do_not_pass(
    small: Published, places: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, str(places / "own"))
    for file in small.files[:2]:
        (places / "own" / "mnist" / file.name).write_bytes(gzip.compress(idx(IMAGES[:7])))
    with pytest.raises(DataError) as caught:
        load(DataConfig(name="mnist"))
    assert [Path(f.where).name for f in caught.value.faults] == [f.name for f in small.files[:2]]
    assert f"unpacked {md5(idx(IMAGES[:7]))}" in caught.value.faults[0].what


def test_a_download_with_another_hash_is_refused(small: Published, places: Path) -> None:
    file = small.files[0]
    (places / "served" / file.name).write_bytes(b"something else")
    with pytest.raises(DataError) as caught:
        load(DataConfig(name="mnist"))
    text = str(caught.value)
    assert file.name in text
    assert file.md5 in text
    assert md5(b"something else") in text
    assert not (places / "cache" / "mnist" / file.name).exists()


def test_without_a_network_one_error_says_what_to_put_where(places: Path) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), SimpleHTTPRequestHandler) as closed:
        port = closed.server_address[1]
    files = (PublishedFile("a.gz", "0" * 32), PublishedFile("b.gz", "1" * 32))
    with pytest.raises(DataError) as caught:
        read_all(Published("mnist", (f"http://127.0.0.1:{port}/x/",), files))
    first, remedy = caught.value.faults
    assert first.where == "a.gz"
    assert f"http://127.0.0.1:{port}/x/a.gz (ConnectionError" in first.what
    assert remedy.what == f"without a network, put a.gz, b.gz into FOLDER/mnist/ and set {VARIABLE}=FOLDER"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not that of an IDX file"),
        (b"\0\0\x0d\x01\0\0\0\x01\0\0\0\0", "is not that of an IDX file"),  # floats
        (b"\0\0\x08\x02\0\0\0\x01", "is not that of an IDX file"),  # head cut off
        (idx(IMAGES)[:-1], "has 479 bytes of data where the head says 40 × 3 × 4"),
    ],
)
def test_idx_files_that_are_none(content: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        images.idx(content, "file")


def test_cifar_comes_as_channels(server: Server, places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = io.BytesIO()
    pixels = RNG.integers(0, 256, (60, 3, 32, 32), np.uint8)
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for k, name in enumerate([*(f"data_batch_{k}.bin" for k in range(1, 6)), "test_batch.bin"]):
            raw = b"".join(bytes([s % 10]) + pixels[s].tobytes() for s in range(10 * k, 10 * k + 10))
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            member.size = len(raw)
            archive.addfile(member, io.BytesIO(raw))
    (places / "served" / "cifar.tar.gz").write_bytes(packed.getvalue())
    published = Published("cifar-10", (server.address,), (PublishedFile("cifar.tar.gz", md5(packed.getvalue())),))
    monkeypatch.setitem(images.PUBLISHED, "cifar-10", published)
    data = load(DataConfig(name="cifar-10"))
    assert (len(data.train), len(data.test), data.classes, data.image) == (50, 10, 10, (3, 32, 32))
    np.testing.assert_array_equal(data.train.features.reshape(50, 3, 32, 32), pixels[:50])
    np.testing.assert_array_equal(data.test.features.reshape(10, 3, 32, 32), pixels[50:])
    np.testing.assert_array_equal(data.train.labels, np.arange(50) % 10)


# Mean and deviation of all pixels: for MNIST 0.1307 and 0.3081, the numbers of PyTorch's MNIST example; for
# Fashion-MNIST 0.2860 and 0.3530, in general use with that data set.
@pytest.mark.parametrize(
    ("name", "mean", "deviation"), [("mnist", 0.1307, 0.3081), ("fashion-mnist", 0.2860, 0.3530)]
)
def test_published_data_where_they_are_at_hand(name: str, mean: float, deviation: float) -> None:
    if not (Path(os.environ.get(VARIABLE, "/nowhere")) / name).is_dir():
        pytest.skip(f"{VARIABLE} names no folder with {name}")
    data = load(DataConfig(name=name))
    assert (len(data.train), len(data.test), data.image) == (60000, 10000, (28, 28))
    assert statistics(data.train, overall=True) == pytest.approx((mean, deviation), abs=1e-4)
    if name == "fashion-mnist":  # balanced, says its README
        assert set(np.bincount(data.train.labels)) == {6000}


# Splits


def test_validation_is_held_out_of_training_by_class() -> None:
    whole, data = load(DataConfig(name="digits")), load(DataConfig(name="digits", validation_fraction=0.25))
    assert data.validation is not None
    assert len(data.validation) == round(0.25 * len(whole.train))
    rows = {row.tobytes() for row in data.train.features} | {row.tobytes() for row in data.validation.features}
    assert rows == {row.tobytes() for row in whole.train.features}
    assert len(data.train) + len(data.validation) == len(whole.train)
    np.testing.assert_array_equal(data.test.features, whole.test.features)
    shares = np.bincount(data.validation.labels) - 0.25 * np.bincount(whole.train.labels)
    assert (np.abs(shares) < 1).all()


def test_a_split_is_its_seeds_and_sizes_share_the_validation_part() -> None:
    first = DataConfig(name="digits", validation_fraction=0.2, train_size=100, test_size=50)
    one, again = load(first), load(first)
    more = load(first.model_copy(update={"train_size": 300}))
    other = load(first.model_copy(update={"split_seed": 1}))
    assert (len(one.train), len(one.test), len(more.train)) == (100, 50, 300)
    for part in one.parts:
        np.testing.assert_array_equal(one.parts[part].features, again.parts[part].features)
        assert not np.array_equal(one.parts[part].features, other.parts[part].features)
    assert one.validation is not None
    assert more.validation is not None
    np.testing.assert_array_equal(one.validation.features, more.validation.features)


def test_sizes_that_cannot_be_had_are_named_at_once() -> None:
    config = DataConfig(name="digits", validation_fraction=0.001, train_size=5000, test_size=3)
    with pytest.raises(ConfigError) as caught:
        load(config)
    assert [f.where for f in caught.value.faults] == [
        "data.validation_fraction",
        "data.train_size",
        "data.test_size",
    ]
    assert "none of class" in caught.value.faults[0].what
    assert caught.value.faults[1].what == "5000 samples are asked for and 1437 are there"


# .npz


X, Y = RNG.random((30, 4)), np.arange(30) % 3


def saved(tmp_path: Path, **given: Any) -> DataConfig:
    config = {key: given.pop(key) for key in list(given) if key in DataConfig.model_fields}
    np.savez(tmp_path / "own.npz", **given)
    return DataConfig(name="npz", path=str(tmp_path / "own.npz"), **config)


def test_npz_with_parts_of_its_own(tmp_path: Path) -> None:
    data = load(saved(tmp_path, x_train=X[:20], y_train=Y[:20], x_test=X[20:], y_test=Y[20:]))
    np.testing.assert_array_equal(data.train.features, X[:20])
    np.testing.assert_array_equal(data.test.labels, Y[20:])
    assert (data.name, data.classes, data.outputs, data.image) == ("own", 3, 3, None)


def test_npz_of_pictures_is_split_by_class(tmp_path: Path) -> None:
    pictures = RNG.integers(0, 256, (30, 2, 5), np.uint8)
    data = load(saved(tmp_path, x=pictures, y=Y, test_fraction=0.5, full_scale=255))
    assert data.image == (2, 5)
    assert np.bincount(data.test.labels).tolist() == [5, 5, 5]
    assert data.train.features.dtype == np.uint8
    both = np.concatenate([data.train.features, data.test.features])
    assert {r.tobytes() for r in both} == {r.tobytes() for r in pictures.reshape(30, 10)}
    assert data.train.numbers().max() <= 1.0


def test_npz_of_targets_is_regression(tmp_path: Path) -> None:
    data = load(saved(tmp_path, x=X.astype(np.float32), y=X[:, 0] * 2, tolerance=0.1))
    assert (data.classes, data.outputs, data.tolerance) == (0, 1, 0.1)
    assert data.train.features.dtype == np.float32
    np.testing.assert_allclose(data.train.targets[:, 0], 2 * data.train.features[:, 0], rtol=1e-6)


def test_an_autoencoders_targets_are_its_features() -> None:
    """The split is that of the classes, which are gone after it."""
    given: dict[str, Any] = {"name": "digits", "validation_fraction": 0.2, "train_size": 100}
    plain, found = load(DataConfig(**given)), load(DataConfig(**given, reconstruct=True, tolerance=0.25))
    assert (found.classes, found.outputs, found.tolerance, plain.outputs) == (0, 64, 0.25, 10)
    assert list(found.parts) == ["train", "validation", "test"]
    for name, part in found.parts.items():
        assert part.labels is None
        np.testing.assert_array_equal(part.features, plain.parts[name].features)
        np.testing.assert_array_equal(part.targets, part.features)
    assert 0.9 < found.train.targets.max() <= 1.0


def test_an_autoencoder_of_bytes_has_targets_in_units_of_full_scale(tmp_path: Path) -> None:
    data = load(saved(tmp_path, x=X.astype(np.float32), y=Y, full_scale=4.0, reconstruct=True))
    np.testing.assert_allclose(data.train.targets, data.train.features / 4.0, rtol=1e-7)


OF_PARTS = {"x_train": X[:20], "y_train": Y[:20], "x_test": X[20:], "y_test": Y[20:]}
HOLED = X.copy()
HOLED[3, 1] = np.nan
NPZ_FAULTS = {
    "nothing": ({"z": X}, ["x: is missing", "y: is missing", "arrays: found z; needed are x_train"]),
    "no test labels": ({k: v for k, v in OF_PARTS.items() if k != "y_test"}, ["y_test: is missing"]),
    "both forms": ({**OF_PARTS, "x": X}, ["x: cannot stand beside x_train"]),
    "objects": ({"x": np.array([[1, "a"]], object), "y": Y}, ["x: holds Python objects"]),
    "texts": ({"x": np.array([["a", "b"]]), "y": Y[:1]}, ["x: is of type <U1; give real numbers"]),
    "complex": ({"x": X + 1j, "y": Y}, ["x: is of type complex128"]),
    "flat": ({"x": X[:, 0], "y": Y}, [r"x: has shape \(30,\); give \(samples, features\)"]),
    "empty": ({"x": X[:0], "y": Y[:0]}, [r"x: has shape \(0, 4\) and so no", r"y: has shape \(0,\)"]),
    "not finite": ({"x": HOLED, "y": Y}, [r"x: has 1 numbers that are not finite, the first at \[3, 1\]: nan"]),
    "counts": ({"x": X, "y": Y[:-1]}, ["y: has 29 samples and x has 30"]),
    "negative class": ({"x": X, "y": Y - 1}, ["y: has class -1 at sample 0; classes count from 0"]),
    "gap": ({"x": X, "y": Y * 2}, ["class: of 5 has no training sample: 1, 3"]),
    "one class": ({"x": X, "y": Y * 0}, ["class: is only one"]),
    "one-hot": ({"x": X, "y": np.eye(3, dtype=int)[Y]}, [r"y: has whole numbers of shape \(30, 3\)"]),
    "deep targets": ({"x": X, "y": X.reshape(30, 2, 2)}, [r"y: has shape \(30, 2, 2\)"]),
    "targets not finite": ({"x": X, "y": HOLED[:, 1]}, [r"y: has 1 numbers that .*, the first at \[3\]"]),
    "label texts": ({"x": X, "y": np.array(["a"] * 30)}, ["y: is of type <U1"]),
    "widths": ({**OF_PARTS, "x_test": X[20:, :3]}, [r"x_test: has samples of shape \(3,\) and x_train of \(4,\)"]),
    "kinds": ({**OF_PARTS, "y_test": X[20:, 0]}, ["y_test: is of type float64 and y_train of int64"]),
    "unseen class": ({**OF_PARTS, "y_test": Y[20:] + 1}, ["class: of 4 has no training sample: 3"]),
    "outputs": (
        {**OF_PARTS, "y_train": X[:20, :1], "y_test": X[20:, :2]},
        [r"y_test: has \(2,\) numbers a sample and y_train \(1,\)"],
    ),
    "idle fraction": ({**OF_PARTS, "test_fraction": 0.5}, ["data.test_fraction: has no use"]),
    "too few to split": ({"x": X[:4], "y": Y[:4], "test_fraction": 0.1}, ["data.test_fraction: 0.1 of 4"]),
    "several": ({"x": HOLED, "y": Y[:-1] - 1}, ["x: has 1 numbers", "y: has class -1", "y: has 29 samples"]),
}  # fmt: skip


@pytest.mark.parametrize(("given", "messages"), NPZ_FAULTS.values(), ids=NPZ_FAULTS.keys())
def test_faults_of_npz_files(given: dict[str, Any], messages: list[str], tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        load(saved(tmp_path, **given))
    for message in messages:
        assert caught.match(message)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "file: cannot be read: No such file"),
        (b"text", "file: is not an .npz file"),
        (b"PK\x03\x04 cut off", "file: is not an .npz file"),
        (b"", "file: is not an .npz file"),
    ],
)
def test_files_that_are_not_npz(content: bytes | None, message: str, tmp_path: Path) -> None:
    path = tmp_path / "own.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        load(DataConfig(name="npz", path=str(path)))


def test_a_single_array_is_not_npz(tmp_path: Path) -> None:
    np.save(tmp_path / "one.npy", X)
    with pytest.raises(DataError, match="file: is a single array"):
        load(DataConfig(name="npz", path=str(tmp_path / "one.npy")))


# CSV

HEAD = "a,b,kind\n"
ROWS = "".join(f"{k},{k / 2},{'yes' if k % 2 else 'no'}\n" for k in range(10))


def written(tmp_path: Path, text: str | bytes, test: str | None = None, **config: Any) -> DataConfig:
    path, other = tmp_path / "own.csv", tmp_path / "test.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    if test is not None:
        other.write_text(test)
        config["test_path"] = str(other)
    if "target_columns" not in config:
        config.setdefault("label", "kind")
    return DataConfig(name="csv", path=str(path), **config)


def test_csv_of_classes(tmp_path: Path) -> None:
    data = load(written(tmp_path, HEAD + ROWS, HEAD + "7,8,yes\n"))
    assert (data.classes, data.class_names) == (2, ("no", "yes"))
    np.testing.assert_array_equal(data.train.features, [[k, k / 2] for k in range(10)])
    np.testing.assert_array_equal(data.train.labels, np.arange(10) % 2)
    np.testing.assert_array_equal(data.test.features, [[7, 8]])
    assert data.test.labels.tolist() == [1]


def test_csv_classes_that_are_numbers_go_in_their_order(tmp_path: Path) -> None:
    rows = "".join(f"{k},{9 + k % 3}\n" for k in range(9))
    assert load(written(tmp_path, "a,kind\n" + rows, "a,kind\n1,10\n")).class_names == ("9", "10", "11")


def test_csv_of_targets_by_column_with_another_delimiter(tmp_path: Path) -> None:
    text = "\ufeffy; a; b; z\n" + "".join(f"{2 * k}; {k}; 0; {-k}\n" for k in range(10))
    config = written(tmp_path, text, delimiter=";", target_columns=("z", "y"), feature_columns=("a",))
    data = load(config)
    assert (data.outputs, data.classes, len(data.test)) == (2, 0, 2)
    for part in data.parts.values():
        np.testing.assert_array_equal(part.targets, part.features * [-1, 2])


CSV_FAULTS = {
    "empty": (("",), {}, ["is empty; the first line names the columns"]),
    "no samples": ((HEAD,), {}, ["has a head and no samples"]),
    "no head": (("1,2,3\n4,5,6\n",), {}, ["begins with numbers; its first line must name the columns"]),
    "no label": ((HEAD + ROWS,), {"label": "sort"}, ["has no column 'sort'; its columns are a, b, kind"]),
    "no feature": ((HEAD + ROWS,), {"feature_columns": ("a", "c")}, ["has no column 'c'"]),
    "no target": ((HEAD + ROWS,), {"target_columns": ("t",)}, ["has no column 't'"]),
    "only labels": (("kind\nyes\n",), {}, ["has no column of features beside kind"]),
    "twice": (("a,a,kind\n1,2,x\n",), {}, ["has more than one column named 'a'"]),
    "ragged": ((HEAD + "1,2\n",), {}, ["own.csv, line 2: has 2 cells and the head 3"]),
    "text": ((HEAD + "1,one,x\n",), {}, ["own.csv, line 2, column b: is 'one'; give a finite number"]),
    "infinite": ((HEAD + "inf,1,x\n",), {}, ["own.csv, line 2, column a: is 'inf'"]),
    "hole": ((HEAD + "1,,x\n",), {}, ["own.csv, line 2, column b: is empty"]),
    "no class": ((HEAD + "1,2,\n",), {}, ["own.csv, line 2, column kind: names no class"]),
    "text target": ((HEAD + "1,2,x\n",), {"target_columns": ("kind",)}, ["line 2, column kind: is 'x'"]),
    "not UTF-8": ((b"a,b,kind\n1,2,\xff\n",), {}, ["is not text in UTF-8"]),
    "open quote": ((HEAD + '1,2,"x\n',), {}, ["own.csv, line 2: is not CSV"]),
    "test columns": ((HEAD + ROWS, "a,kind\n1,yes\n"), {}, ["test.csv: has no column 'b'"]),
    "test class": ((HEAD + ROWS, HEAD + "1,2,maybe\n"), {}, ["has classes that the training part has not: maybe"]),
    "idle fraction": ((HEAD + ROWS, HEAD + "1,2,yes\n"), {"test_fraction": 0.5}, ["test_fraction: has no use"]),
    "several": (
        (HEAD + "1,2\nx,1,\n", HEAD + "y,1,yes\n"),
        {},
        ["line 2: has 2 cells", "line 3, column a: is 'x'", "line 3, column kind: names no", "test.csv, line 2"],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("texts", "config", "messages"), CSV_FAULTS.values(), ids=CSV_FAULTS.keys())
def test_faults_of_csv_files(texts: Any, config: dict[str, Any], messages: list[str], tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        load(written(tmp_path, *texts, **config))
    for message in messages:
        assert caught.match(message)


def test_a_missing_csv(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read: No such file"):
        load(DataConfig(name="csv", path=str(tmp_path / "none.csv"), label="kind"))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"name": "csv", "path": "x.csv"}, "needs either label"),
        ({"name": "csv", "path": "x.csv", "label": "a", "target_columns": ("b",)}, "needs either label"),
        ({"name": "csv", "path": "x.csv", "label": "a", "feature_columns": ("a",)}, "a cannot be a feature and"),
        ({"name": "csv", "label": "a"}, 'name = "csv" needs a path'),
        ({"name": "npz"}, 'name = "npz" needs a path'),
        ({"name": "npz", "path": "x", "label": "a"}, 'label belongs to name = "csv"'),
        ({"name": "mnist", "test_fraction": 0.5}, "test_fraction belongs to"),
        ({"name": "digits", "path": "x", "full_scale": 2}, "path belongs to .*; full_scale belongs to"),
    ],
)
def test_entries_that_do_not_fit_the_name(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DataConfig(**given)


# analogep data


def test_command_shows_parts_and_voltages(command: Any) -> None:  # noqa: F811
    code, out, _ = command(
        "data", "digits", "--set", "encoder.gain=50", "--set", "data.validation_fraction=0.1", "--limit", "40"
    )
    assert code == 0
    assert "digits: 10 classes" in out
    assert "validation" in out
    assert "64 / 64" in out
    assert "reaches 50 V" in out
    code, again, _ = command(
        "data", "--config", "digits", "--set", "data.validation_fraction=0.1", "--limit", "40"
    )
    assert (code, again) == (0, out)  # the shipped configuration has that gain


def test_command_takes_files(command: Any) -> None:  # noqa: F811
    Path("own.csv").write_text(HEAD + ROWS)
    code, out, _ = command("data", "own.csv", "--set", "data.label=kind")
    assert code == 0
    assert "own: 2 classes (no, yes)" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "give either the NAME of a data set or --config"),
        (("digits", "--config", "digits"), "give either the NAME of a data set or --config"),
        (("nonsense",), "data.name: input should be 'digits'"),
        (("digits", "--limit", "-1"), "--limit -1 V must be finite and positive"),
        (("digits", "--set", "training.epochs=3"), "training: unknown key"),
        (("digits", "--set", "data=3"), "data: "),
        (("none.npz",), "file: cannot be read"),
    ],
)
def test_faults_of_the_command(command: Any, arguments: tuple[str, ...], message: str) -> None:  # noqa: F811
    code, out, err = command("data", *arguments)
    assert (code, out) == (2, "")
    assert message in err
