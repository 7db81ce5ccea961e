"""Labelled sequences on disk: what is written is read again, as views, with places; damage is told."""

from __future__ import annotations

import json
import tempfile
import threading
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unrolled.core.errors import DataError, StorageError
from unrolled.core.types import Place, Targets
from unrolled.datasets.example_store import EncodedExample, open_examples, write_examples

# The shape behind the steps, and the type, of each kind of x; what y is made of, and what it is asked of.
X = {"ids": ((), np.int32), "several ids": ((4,), np.int32), "numbers": ((3,), np.float32)}
Y: dict[str, tuple[tuple[int, ...] | None, Any, Targets]] = {
    "a sequence": ((), np.int64, "one"),
    "a vector": ((2,), np.float64, "one"),
    "a step": (None, np.int64, "each"),
    "a length of its own": (None, np.int64, "own"),
}


def make(lengths: list[int], x: str, y: str, seed: int = 0) -> list[EncodedExample]:
    """Random sequences of these lengths from two files, lines 10 apart."""
    rng = np.random.default_rng(seed)
    (width, x_type), (shape, y_type, targets) = X[x], Y[y]
    rows: list[EncodedExample] = []
    for number, length in enumerate(lengths):
        place = Place(Path("a.csv" if number < 3 else "b.csv"), 10 * number + 2)
        own = (rng.standard_normal((length, *width)) * 100).astype(x_type)
        own_length = int(rng.integers(0, 6)) if targets == "own" else length
        asked = rng.integers(-1, 50, (own_length,) if shape is None else shape)
        rows.append(EncodedExample(own, np.asarray(asked, dtype=y_type), place))
    return rows


def write(folder: Path, rows: list[EncodedExample], y: str) -> Any:
    return write_examples(folder, iter(rows), targets=Y[y][2])


def assert_same(found: Any, rows: list[EncodedExample]) -> None:
    assert len(found) == len(rows)
    assert found.lengths.tolist() == [len(row.x) for row in rows]
    for number, row in enumerate(rows):
        x, y = found.row(number)
        for got, given_ in ((x, row.x), (y, row.y)):
            assert isinstance(got, np.ndarray)
            assert got.dtype == given_.dtype and got.shape == given_.shape
            np.testing.assert_array_equal(got, given_)
        assert found.place(number) == row.place


@settings(max_examples=40)
@given(
    lengths=st.lists(st.integers(0, 7), min_size=1, max_size=8),
    x=st.sampled_from([*X]),
    y=st.sampled_from([*Y]),
    chosen=st.lists(st.integers(0, 7), max_size=5),
)
def test_what_is_written_is_read_again(lengths: list[int], x: str, y: str, chosen: list[int]):
    rows = make(lengths, x, y)
    with tempfile.TemporaryDirectory() as folder:
        assert_same(write(Path(folder) / "new" / "data", rows, y), rows)
        found = open_examples(Path(folder) / "new" / "data")
        assert_same(found, rows)
        chosen = [number for number in chosen if number < len(rows)]
        view = found.select(np.array(chosen, dtype=np.int64))
        assert_same(view, [rows[number] for number in chosen])
        again = view.select(np.arange(len(chosen))[::-1])  # a view of a view
        assert_same(again, [rows[number] for number in chosen[::-1]])


def test_a_second_data_set_replaces_the_first(tmp_path: Path):
    write(tmp_path, make([3, 4], "numbers", "a vector"), "a vector")
    rows = make([1], "ids", "a step")
    assert_same(write(tmp_path, rows, "a step"), rows)


def test_nothing_but_empty_sequences(tmp_path: Path):
    rows = make([0, 0], "several ids", "a step")
    assert_same(write(tmp_path, rows, "a step"), rows)


def test_no_sequences_are_an_error(tmp_path: Path):
    with pytest.raises(DataError, match="no examples; expected at least one sequence"):
        write(tmp_path, [], "a step")
    with pytest.raises(StorageError, match=r"index\.json"):
        open_examples(tmp_path)


def test_an_error_on_the_way_leaves_no_data_set(tmp_path: Path):
    write(tmp_path, make([2, 2], "ids", "a step"), "a step")

    def rows() -> Iterator[EncodedExample]:
        yield from make([5, 5], "ids", "a step")
        raise DataError("a row that cannot be read")

    with pytest.raises(DataError, match="cannot be read"):
        write_examples(tmp_path, rows(), targets="each")
    with pytest.raises(StorageError):
        open_examples(tmp_path)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def longer(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0")


def fall(path: Path) -> None:
    offsets = np.fromfile(path, np.int64)
    offsets[1] = offsets[-1] + 1
    offsets.tofile(path)


def index(**changes: Any) -> Any:
    def change(path: Path) -> None:
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return change


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        *((name, how) for name in ("x", "y", "offsets", "y_offsets", "lines") for how in (cut, longer)),
        ("offsets", fall),
        ("y_offsets", fall),
        ("index.json", cut),
        ("index.json", lambda path: path.write_text("[]")),
        ("index.json", lambda path: path.write_bytes(b"\xff")),
        ("index.json", index(sequences=4)),
        ("index.json", index(sequences="3")),
        ("index.json", index(x=["|O", []])),
        ("index.json", index(x=["nonsense", []])),
        ("index.json", index(files=[1, 2])),
        ("index.json", index(steps=-6)),
        ("index.json", index(asked=1)),
        ("index.json", index(targets="none")),
    ],
)
def test_damage_is_told_with_what_to_do(name: str, damage: Any, tmp_path: Path):
    write(tmp_path, make([1, 2, 3], "ids", "a length of its own"), "a length of its own")
    damage(tmp_path / name)
    with pytest.raises(DataError) as caught:
        open_examples(tmp_path)
    assert str(caught.value) == f"{tmp_path / 'index.json'}: damaged data set; try removing this folder"


@pytest.mark.parametrize("name", ["x", "y", "offsets", "y_offsets", "starts", "lines", "index.json"])
def test_a_missing_file_is_told(name: str, tmp_path: Path):
    write(tmp_path, make([1, 2, 3], "ids", "a length of its own"), "a length of its own")
    (tmp_path / name).unlink()
    with pytest.raises(StorageError):
        open_examples(tmp_path)


def test_memory_stays_flat_over_many_rows(tmp_path: Path):
    count, x = 3_000, np.ones((500, 3), np.float32)  # 18 MB in all

    def rows() -> Iterator[EncodedExample]:
        for number in range(count):
            yield EncodedExample(x * number, np.array(number), Place(Path("a.csv"), number + 2))

    tracemalloc.start()
    found = write_examples(tmp_path, rows(), targets="one")
    last, y = found.row(count - 1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert last[0, 0] == y == count - 1
    assert peak < 2 << 20, f"{peak:,} bytes"


# ---- what the cache has no room for


def sourced(rows: list[EncodedExample], folder: Path) -> list[EncodedExample]:
    """The same rows, each with the file that its x can be had from again."""
    found: list[EncodedExample] = []
    for number, row in enumerate(rows):
        np.save(folder / f"{number}.npy", row.x)
        found.append(EncodedExample(row.x, row.y, row.place, folder / f"{number}.npy"))
    return found


def opening(path: Path, place: Place) -> Any:
    return np.load(path)


@given(st.lists(st.integers(0, 9), min_size=1, max_size=8), st.integers(0, 200), st.sampled_from(sorted(Y)))
@settings(max_examples=25, deadline=None)
def test_what_is_not_kept_is_opened_again(lengths: list[int], room: int, y: str):
    with tempfile.TemporaryDirectory() as folder:
        rows = sourced(make(lengths, "numbers", y), Path(folder))
        home = Path(folder) / "data"
        found = write_examples(home, iter(rows), targets=Y[y][2], room=room, opening=opening)
        assert_same(found, rows)
        assert (home / "x").stat().st_size <= room
        kept = sum(row.x.nbytes for row in rows) <= room
        assert kept == (found.recall is None)
        assert_same(open_examples(home, opening), rows)
        if not kept:
            with pytest.raises(DataError, match="damaged data set"):
                open_examples(home)


def test_files_are_opened_while_others_work(tmp_path: Path):
    """Each opening waits until the reader is at work elsewhere: it would wait for ever if the reader waited for it."""
    rows = sourced(make([3, 4, 5], "ids", "a sequence"), tmp_path)
    at_work, begun = threading.Event(), threading.Semaphore(0)

    def slowly(path: Path, place: Place) -> Any:
        begun.release()
        assert at_work.wait(30)
        return np.load(path)

    found = write_examples(tmp_path / "data", iter(rows), targets="one", room=0, opening=slowly)
    found.take(np.arange(0), ahead=np.arange(3))
    assert begun.acquire(timeout=30) and begun.acquire(
        timeout=30
    )  # two side by side, and nobody waits for them
    at_work.set()
    assert_same(found, rows)


def test_what_is_asked_opens_no_file(tmp_path: Path):
    rows = sourced(make([3, 4], "ids", "a sequence"), tmp_path)
    found = write_examples(tmp_path / "data", iter(rows), targets="one", room=0, opening=opening)
    for number in range(2):
        (tmp_path / f"{number}.npy").unlink()
    assert [found.target(number).tolist() for number in range(2)] == [row.y.tolist() for row in rows]


def test_a_file_that_changed_is_told(tmp_path: Path):
    rows = sourced(make([3, 4], "ids", "a sequence"), tmp_path)
    found = write_examples(tmp_path / "data", iter(rows), targets="one", room=0, opening=opening)
    assert_same(found.select(np.array([0])), rows[:1])
    for steps in (7, 4):  # as many steps as before are no proof
        np.save(tmp_path / "1.npy", np.full(steps, 9, np.int32))
        with pytest.raises(DataError, match=r"1\.npy: has changed since training began"):
            found.row(1)


def test_weights_are_kept_and_read_only_where_some_differ(tmp_path: Path):
    def rows(weights: list[float]) -> list[EncodedExample]:
        return [
            EncodedExample(
                np.arange(2, dtype=np.int32), np.array(0), Place(Path("a.csv"), number), weight=weight
            )
            for number, weight in enumerate(weights, 1)
        ]

    weighted = write_examples(tmp_path / "one", rows([1.0, 0.125, 3.7]), targets="one")
    assert weighted.all_weights is not None and weighted.all_weights.tolist() == [1.0, 0.125, 3.7]
    assert open_examples(tmp_path / "one").all_weights is not None
    assert write_examples(tmp_path / "two", rows([1.0, 1.0]), targets="one").all_weights is None
