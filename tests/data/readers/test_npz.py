"""NumPy archives: shapes that fit, claims that are checked before memory is taken, and no pickle."""

from __future__ import annotations

import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from unrolled.core.errors import DataError, StorageError, UsageError
from unrolled.data.read_request import ReadRequest, parse_columns
from unrolled.data.readers import npz
from unrolled.data.readers.npz import read, write

LABEL = ReadRequest(kind="numbers", target="label")
NUMBER = ReadRequest(kind="numbers", target="number")
TAGS = ReadRequest(kind="numbers", target="tags")
NEXT = ReadRequest(kind="numbers", target="next")
NONE = ReadRequest(kind="numbers")
X = np.arange(12, dtype=np.float32).reshape(2, 3, 2)


def save(path: Path, compressed: bool = False, **named: object) -> Path:
    (np.savez_compressed if compressed else np.savez)(
        path, **{name: np.asarray(a) for name, a in named.items()}
    )
    return path


def found(path: Path, wanted: ReadRequest) -> list[tuple[object, object]]:
    return [(np.asarray(example.x).tolist(), example.y) for example in read([path], wanted)]


def message(path: Path, wanted: ReadRequest = LABEL) -> str:
    with pytest.raises((DataError, UsageError)) as caught:
        list(read([path], wanted))
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix(f"{path}:")


def targets(path: Path, wanted: ReadRequest) -> list[object]:
    return [y for _, y in found(path, wanted)]


def test_sequences_of_one_length(tmp_path):
    file = save(tmp_path / "a.npz", x=X, y=["walk", "run"], id=[7, 8])
    examples = list(read([file], LABEL))
    assert [np.asarray(example.x).tolist() for example in examples] == X.tolist()
    assert [(e.y, e.id, e.place.line) for e in examples] == [("walk", "7", 1), ("run", "8", 2)]
    assert {np.asarray(example.x).dtype for example in examples} == {np.dtype(np.float32)}
    assert targets(file, NEXT) == [None, None] and targets(file, NONE) == ["walk", "run"]
    flat = save(tmp_path / "b.npz", compressed=True, x=X[:, :, 0], y=[1, 2])
    assert found(flat, LABEL) == [([[0], [2], [4]], "1"), ([[6], [8], [10]], "2")]


def test_sequences_one_after_the_other(tmp_path):
    x = [[1, 2], [3, 4], [5, 6]]
    expected = [(x[:1], "a"), (x[1:], "b")]
    assert found(save(tmp_path / "a.npz", x=x, lengths=[1, 2], y=["a", "b"]), LABEL) == expected
    assert found(save(tmp_path / "b.npz", x=x, offsets=[0, 1, 3], y=["a", "b"]), LABEL) == expected
    file = save(tmp_path / "c.npz", x=[1, 2, 3], lengths=np.array([1, 2], np.uint8), y=["a", "b", "c"])
    assert found(file, TAGS) == [([[1]], ("a",)), ([[2], [3]], ("b", "c"))] == found(file, NONE)


@pytest.mark.parametrize("dtype", ["<f2", ">f4", "<f8", ">f8", "i1", "<u8", ">i2", "?"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_types_and_orders(tmp_path, dtype, order):
    x = np.asarray(X % 2 if dtype == "?" else X, dtype=dtype, order=order)
    (first, second) = read([save(tmp_path / "a.npz", x=x)], NONE)
    narrow = np.dtype(dtype).kind == "f" and np.dtype(dtype).itemsize <= 4
    assert np.asarray(first.x).dtype == np.dtype(np.float32 if narrow else np.float64)
    assert [np.asarray(first.x).tolist(), np.asarray(second.x).tolist()] == x.astype(float).tolist()


def test_what_is_asked_of_sequences(tmp_path):
    reals = save(tmp_path / "a.npz", x=X, y=[0.5, -1])
    assert targets(reals, NUMBER) == [(0.5,), (-1.0,)] == targets(reals, NONE)
    assert "1: y holds reals or NaN; expected classes" in message(reals, LABEL)
    several = save(tmp_path / "b.npz", x=X, y=[[1, 2], [3, 4]])
    assert targets(several, NUMBER) == [(1.0, 2.0), (3.0, 4.0)] == targets(several, NONE)
    assert "y of shape (2, 2); expected (2,)" in message(several, LABEL)
    assert "y of shape (2, 2); expected (6,), one tag per step" in message(several, TAGS)
    tags = save(tmp_path / "c.npz", x=X, y=[[1, 2, 3], [4, 5, 6]])
    assert targets(tags, TAGS) == [("1", "2", "3"), ("4", "5", "6")]
    assert targets(save(tmp_path / "d.npz", x=X, y=np.arange(6.0)), TAGS) == [
        ("0", "1", "2"),
        ("3", "4", "5"),
    ]
    assert "y of shape (6,); expected (2,) or (2, k)" in message(tmp_path / "d.npz", NUMBER)
    assert targets(save(tmp_path / "e.npz", x=X, y=np.zeros((4, 4))), NONE) == [None, None]
    single = save(tmp_path / "f.npz", x=X[:, :1], y=["a", "b"])
    assert targets(single, LABEL) == ["a", "b"] == targets(single, NONE) and targets(single, TAGS) == [
        ("a",),
        ("b",),
    ]
    asked = parse_columns("x=signal,y=kind,id=who", LABEL)
    (first, _) = read([save(tmp_path / "g.npz", signal=X, kind=[True, False], who=["p", "q"])], asked)
    assert (first.y, first.id) == ("true", "p")


@pytest.mark.parametrize(
    ("named", "wanted", "fault"),
    [
        ({"y": [1]}, LABEL, "no array 'x'; expected one of 'y'; try --columns x=NAME"),
        (
            {"signal": X},
            parse_columns("x=signals", NONE),
            "no array 'signals'; expected one of 'signal'; try 'signal'",
        ),
        ({"x": X}, ReadRequest(kind="text", target="label"), ".npz files hold numbers, not texts"),
        ({"x": X}, LABEL, "no array for y; expected 'y'"),
        ({"x": X[0, 0]}, NONE, r"x of shape (2,); expected [N, T, n_x] or [N, T]; try lengths=[...]"),
        ({"x": X, "lengths": [3, 3]}, NONE, "x of shape (2, 3, 2) with lengths or offsets"),
        (
            {"x": X[0], "lengths": [1, 1]},
            NONE,
            "lengths select steps 0 to 2 of x; expected 0 to 3, all steps",
        ),
        ({"x": X[0], "lengths": [1, 1], "offsets": [0, 3]}, NONE, "both lengths and offsets"),
        ({"x": X[0], "lengths": [[3]]}, NONE, "lengths of shape (1, 1) int64; expected whole numbers [N]"),
        ({"x": X[0], "lengths": [3.0]}, NONE, "lengths of shape (1,) float64; expected whole numbers"),
        ({"x": X[0], "lengths": [4, -1]}, NONE, "lengths[0] is 4; expected 0 to 3"),
        ({"x": X[0], "lengths": [3, -1, 1]}, NONE, "lengths[1] is -1; expected 0 to 3"),
        (
            {"x": X[0], "lengths": np.array([2**64 - 1], np.uint64)},
            NONE,
            "lengths[0] is 18446744073709551615",
        ),
        ({"x": X[0], "lengths": [3, 0]}, NONE, "2: a sequence without steps"),
        ({"x": X[0], "offsets": [1, 3]}, NONE, "offsets select steps 1 to 3 of x"),
        ({"x": X[0], "offsets": [0, 2, 1, 3]}, NONE, "2: a sequence without steps"),
        ({"x": X[0], "offsets": np.zeros(0, int)}, NONE, "offsets of shape (0,)"),
        ({"x": np.zeros((0, 3, 2))}, NONE, "no examples: no sequences"),
        ({"x": np.zeros((2, 0, 2))}, NONE, "x of shape (2, 0, 2); expected 1 number or more in each step"),
        ({"x": np.zeros((2, 0)), "lengths": [1, 1]}, NONE, "x of shape (2, 0)"),
        ({"x": [["a"]]}, NONE, "x holds texts; expected numbers"),
        ({"x": X, "id": [1]}, NONE, "id of shape (1,); expected (2,)"),
        ({"x": X, "y": 3}, LABEL, "y of shape (); expected (2,)"),
        ({"x": X, "y": ["a", ""]}, LABEL, "2: y is empty; expected a class"),
        ({"x": X, "y": [1, np.nan]}, NUMBER, "2: y is [nan]; expected finite numbers"),
        ({"x": X, "y": ["a", "b"]}, NUMBER, "1: y is ['a']; expected finite numbers"),
        ({"x": X, "y": [1, np.inf]}, LABEL, "2: y holds reals"),
        ({"x": X.astype(complex)}, NONE, "x.npy holds"),
        ({"x": X, "y": [b"a", b"b"]}, LABEL, "y.npy holds"),
        ({"x": X, "y": np.zeros(2, [("a", "i4")])}, LABEL, "y.npy holds"),
        ({"x": X, "y": np.array(["2020", "2021"], "M8[Y]")}, LABEL, "y.npy holds"),
    ],
)
def test_arrays_that_do_not_fit(tmp_path, named, wanted, fault):
    file = save(tmp_path / "a.npz", **named)
    assert fault in message(file, wanted)


@pytest.mark.parametrize("value", [np.inf, -np.inf])
@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
def test_numbers_that_are_none_are_told_with_their_index(tmp_path, value, dtype):
    x = X.astype(dtype)
    x[1, 2, 0] = value
    told = message(save(tmp_path / "a.npz", x=x), NONE)
    assert told == f"2: step 3, number 1 of the sequence is {value}; expected finite numbers, or NaN"


def test_a_number_that_is_missing_is_nan(tmp_path):
    x = X.astype("f8")
    x[1, 2, 0] = np.nan
    found = [np.asarray(example.x) for example in read([save(tmp_path / "a.npz", x=x)], NONE)]
    np.testing.assert_array_equal(np.stack(found), x)


def test_objects_are_never_opened(tmp_path):
    canary = tmp_path / "opened"

    class Bomb:
        def __reduce__(self):
            return (Path.touch, (canary,))

    ragged = np.empty(2, dtype=object)
    ragged[:] = [np.zeros(2), Bomb()]
    for named in ({"x": ragged}, {"x": X, "y": ragged}):
        np.savez(tmp_path / "a.npz", **named)
        told = message(tmp_path / "a.npz")
        assert (
            "holds Python objects, which are never opened" in told and "np.concatenate(x), lengths=" in told
        )
    assert not canary.exists()


def entry(descr: str, shape: str, data: bytes, version: int = 1) -> bytes:
    text = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    width = 2 if version == 1 else 4
    return b"\x93NUMPY" + bytes([version, 0]) + len(text).to_bytes(width, "little") + text + data


def archive(path: Path, compress: int = zipfile.ZIP_STORED, **entries: bytes) -> Path:
    with zipfile.ZipFile(path, "w", compress) as file:
        for name, data in entries.items():
            file.writestr(f"{name}.npy", data)
    return path


def test_versions_of_the_header(tmp_path):
    for version in (1, 2, 3):
        file = archive(tmp_path / "a.npz", x=entry("<f4", "(1, 2)", X.tobytes()[:8], version))
        assert found(file, NONE) == [([[0], [1]], None)]


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (entry("<f8", "(1099511627776, 2, 2)", b"\0" * 32), "claims 35,184,372,088,832 bytes"),
        (entry("<f8", f"({10**30},)", b"\0" * 32), "claims 8"),
        (entry("<f8", f"({'9' * 5000},)", b"\0" * 32), "damaged"),
        (
            entry("<f8", "(3, 1)", b"\0" * 16),
            "claims 24 bytes for (3, 1) float64; expected 16 bytes, as in the file",
        ),
        (entry("<f8", "(1, 1)", b"\0" * 16), "claims 8 bytes"),
        (entry("<f8", f"({10**18}, 0)", b""), "x of shape (1000000000000000000, 0)"),
        (entry("<f8", f"(0, {10**30})", b""), "damaged"),
        (entry("<U0", f"({10**18},)", b""), "x.npy holds"),
        (entry("<f3", "(1, 1)", b"\0" * 3), "x.npy holds"),
        (entry("<f16", "(1, 1)", b"\0" * 16), "holds"),
        (entry("<f8", "(-1, 1)", b""), "x.npy holds"),
        (entry("<f8", "__import__('os').abort()", b""), "x.npy holds"),
        (entry("<f8", "(" * 9000, b""), "x.npy holds"),
        (entry("<f8", "(1, 1)", b"\0" * 8, version=9), "x.npy is not an array"),
        (b"\x93NUMPY\x02\x00\xff\xff\xff\xff", "x.npy is not an array"),
        (b"\x93NUMPY\x01\x00\xff\xff{", "x.npy holds"),
        (b"", "x.npy is not an array"),
        (b"\x80\x04pickle", "x.npy is not an array"),
    ],
)
def test_headers_that_lie(tmp_path, data, fault):
    file = archive(tmp_path / "a.npz", x=data)
    tracemalloc.start()
    try:
        assert fault in message(file, NONE)
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()


def test_texts_that_are_none(tmp_path):
    for point in (0xD800, 0x110000, 0xFFFFFFFF):
        y = entry("<U1", "(1,)", point.to_bytes(4, "little"))
        file = archive(tmp_path / "a.npz", x=entry("<f4", "(1, 1)", X.tobytes()[:4]), y=y)
        assert "y.npy has invalid characters" in message(file)


def test_the_directory_of_an_archive_may_lie_too(tmp_path):
    file = archive(tmp_path / "a.npz", x=entry("<f8", "(1, 134217728)", b"\0" * 64))
    data = bytearray(file.read_bytes())
    begin = data.rindex(b"PK\x01\x02")
    size = (1 << 30) + int.from_bytes(data[begin + 24 : begin + 28], "little") - 64
    data[begin + 24 : begin + 28] = size.to_bytes(4, "little")
    file.write_bytes(data)
    assert "x.npy claims 1,073,741," in message(file, NONE)
    twice = tmp_path / "twice.npz"
    with zipfile.ZipFile(twice, "w") as out, pytest.warns(UserWarning, match="Duplicate name"):
        for _ in range(2):
            out.writestr("x.npy", entry("<f8", "(1, 1)", b"\0" * 8))
    assert "two arrays have the same name" in message(twice, NONE)
    other = archive(tmp_path / "lzma.npz", zipfile.ZIP_LZMA, x=entry("<f8", "(1, 1)", b"\0" * 8))
    assert "unknown compression" in message(other, NONE)


def test_an_honest_array_must_fit_the_memory(tmp_path, monkeypatch):
    file = save(tmp_path / "a.npz", compressed=True, x=np.zeros((1000, 1000)))
    assert len(found(file, NONE)) == 1000
    monkeypatch.setattr(npz, "memory_left", lambda: 9_000_000)
    assert "x.npy has 8,000,000 bytes; expected free memory for twice that size" in message(file, NONE)


def test_no_archive(tmp_path):
    file = tmp_path / "a.npz"
    file.write_bytes(b"")
    assert "empty file" in message(file, NONE)
    file.write_bytes(b"text,label\n")
    assert "damaged, or no .npz archive" in message(file, NONE)
    with file.open("wb") as out:
        np.save(out, X)
    assert message(file, NONE).endswith("try np.savez(FILE, x=..., y=...)")
    with pytest.raises(UsageError, match="no such file"):
        list(read([tmp_path / "b.npz"], NONE))
    with pytest.raises(UsageError, match="is a folder"):
        list(read([tmp_path], NONE))
    save(file, x=X)
    assert "expected one array each" in message(file, ReadRequest(kind="numbers", x=("a", "b")))


@given(st.integers(0), st.integers(0, 255), st.booleans(), st.booleans())
@settings(max_examples=200)
def test_a_damaged_archive_ends_in_an_error_of_ours_or_unharmed(
    tmp_path_factory, where, value, cut, compressed
):
    file = tmp_path_factory.mktemp("any") / "a.npz"
    write(file, list(X), ["walk", "run"]) if compressed else save(file, x=X, y=["walk", "run"])
    data = bytearray(file.read_bytes())
    position = where % len(data)
    data[position] = value
    file.write_bytes(data[:position] if cut else data)
    try:
        assert found(file, LABEL) == [(X[0].tolist(), "walk"), (X[1].tolist(), "run")]
    except DataError as error:
        assert str(file) in str(error)


SEQUENCES = st.integers(1, 3).flatmap(
    lambda n: st.lists(
        arrays.arrays(
            np.float64, st.tuples(st.integers(1, 4), st.just(n)), elements=st.floats(-1e300, 1e300)
        ),
        min_size=1,
        max_size=4,
    )
)
NAMES = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), min_size=1, max_size=5)


@given(SEQUENCES, st.data())
def test_what_is_written_is_read_again(tmp_path_factory, x, drawn):
    file = tmp_path_factory.mktemp("npz") / "a.npz"
    y = drawn.draw(st.lists(NAMES, min_size=len(x), max_size=len(x)))
    write(file, x, y)
    assert found(file, LABEL) == [(part.tolist(), name) for part, name in zip(x, y, strict=True)]
    reals = [(float(i), 0.5) for i in range(len(x))]
    write(file, x, reals)
    assert found(file, NUMBER) == [(part.tolist(), pair) for part, pair in zip(x, reals, strict=True)]
    write(file, x)
    assert found(file, NONE) == [(part.tolist(), None) for part in x]


def test_what_cannot_be_written(tmp_path):
    file = tmp_path / "a.npz"
    for x in ([], [np.zeros(3)], [np.zeros((0, 2))], [np.zeros((1, 2)), np.zeros((1, 3))]):
        with pytest.raises(DataError, match="different shapes"):
            write(file, x)
    with pytest.raises(DataError, match="2 sequences and 1 y"):
        write(file, list(X), ["a"])
    with pytest.raises(StorageError):
        write(tmp_path / "none" / "a.npz", list(X))
    assert not list(tmp_path.iterdir())
    write(file, list(X), ["a", "b"])
    with np.load(file) as loaded:  # NumPy itself reads it
        assert loaded["lengths"].tolist() == [3, 3] and loaded["y"].tolist() == ["a", "b"]
