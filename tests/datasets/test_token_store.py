"""Data sets on disk: views, places, damage, a disk that is full."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from unrolled.core.errors import DataError, StorageError
from unrolled.core.types import Document, Place
from unrolled.datasets.token_store import Store, open_store, write_store
from unrolled.tasks.inputs import tokens
from unrolled.tasks.inputs.tokens import encode, learn


def small_store(folder: Path) -> Store:
    documents = [Document("a b\nc\n", Place(Path("f.txt"), 1)), Document("\nd e f", Place(Path("f.txt"), 4))]
    vocabulary, _ = learn(documents, "word", False, 10)
    return write_store(folder, encode(documents, vocabulary, "word", False), len(vocabulary))


def test_views(tmp_path):
    store = small_store(tmp_path)  # a b | c EOS || d e f EOS
    assert (len(store), store.documents, store.characters) == (8, 2, 14)
    part = store.slice(1, 6)
    assert part.ids.tolist() == store.ids[1:6].tolist()
    assert part.offsets(0, part.documents).tolist() == [0, 3, 5]
    assert part.slice(1, 3).offsets(0, 1).tolist() == [0, 2]
    assert [part.place(i).line for i in range(5)] == [1, 2, 2, 5, 5]
    assert part.next_line(np.arange(5)).tolist() == [1, 1, 3, 3, 5]
    assert part.slice(3, 5).documents == 1
    assert store.slice(0, 4).characters + store.slice(4, 8).characters == 14
    assert store.slice(0, 4).characters == 7
    for start, stop in ((0, 0), (3, 2), (0, 9), (-1, 2)):
        with pytest.raises(DataError, match="no tokens"):
            store.slice(start, stop)


def test_stores_on_disk(tmp_path, monkeypatch):
    store = small_store(tmp_path / "a")
    assert store.ids.dtype == np.uint8
    again = small_store(tmp_path / "b")
    assert again.sha256 == store.sha256
    monkeypatch.setattr(tokens, "BATCH", 1)
    assert small_store(tmp_path / "b").sha256 == store.sha256
    other, _ = learn([Document("a b", Place(Path("x"), 1))], "word", False, 9)
    changed = write_store(
        tmp_path / "b", encode([Document("b a", Place(Path("x"), 1))], other, "word", False), 9
    )
    assert changed.sha256 != store.sha256
    for size, dtype in ((256, np.uint8), (257, np.uint16), (65_536, np.uint16), (65_537, np.int32)):
        encoded = encode([Document("b a", Place(Path("x"), 1))], other, "word", False)
        assert write_store(tmp_path / "c", encoded, size).ids.dtype == dtype
    with pytest.raises(DataError, match="no examples"):
        write_store(tmp_path / "d", iter(()), 9)
    with pytest.raises(StorageError, match=r"index\.json"):
        open_store(tmp_path / "d")
    with (tmp_path / "a" / "ids").open("ab") as file:
        file.write(b"x")
    with pytest.raises(DataError, match="damaged data set"):
        open_store(tmp_path / "a")
    (tmp_path / "b" / "index.json").write_text('{"format": 2}')
    with pytest.raises(DataError, match="format 2"):
        open_store(tmp_path / "b")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize("name", ["ids", "lines"])
def test_a_full_disk_leaves_no_data_set(tmp_path, name):
    small_store(tmp_path)
    (tmp_path / name).unlink()
    (tmp_path / name).symlink_to("/dev/full")
    with pytest.raises(StorageError, match="No space left"):
        small_store(tmp_path)
    with pytest.raises(StorageError):
        open_store(tmp_path)
