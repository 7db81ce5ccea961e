"""The model file: what is saved is loaded, every flipped bit is found, and no foreign or forged file does harm."""

from __future__ import annotations

import errno
import json
import os
import pickle
import runpy
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from support.disk import crashes, failing, record, restore
from support.forged_tensors import START, document, forge, seal, sha256, tensor, whole
from support.paths import GOLDEN, TESTS
from unrolled.core import atomic_files, extensions, tensor_file
from unrolled.core.atomic_files import TEMPORARY
from unrolled.core.errors import (
    DataError,
    MissingExtra,
    NonFiniteError,
    StorageError,
    UnrolledError,
    UsageError,
)
from unrolled.core.tensor_file import DTYPES, VALUE_LIMIT, Array
from unrolled.models import model_file, spec_json, tensor_shapes
from unrolled.models.cells import CELLS
from unrolled.models.engines.numpy_engine import NumpyEngine
from unrolled.models.model_file import ModelFile, load, save
from unrolled.models.network_spec import Classes, CoreSpec, Embedding, NetworkSpec
from unrolled.tasks.inputs.tokens import Reading


def model(value: float = 1.0, **changes: Any) -> ModelFile:
    fields: dict[str, Any] = {
        "task": "language",
        "spec": {"cell": "lstm", "layers": 2},
        "learnt": {"tokens": ["<UNK>", "<EOS>", 'a"\\b', "é", "\n"], "counts": [0, 3, 2, 1, 1]},
        "config": {"lr": 0.1, "cutoffs": [1, 2]},
        "notes": {"loss": 1.25, "empty": None},
        "tensors": {"head.b_y": np.full(3, value, np.float32), "core.0.forward.W_c": np.eye(2) * value},
    }
    return ModelFile(**(fields | changes))


def assert_equal(found: ModelFile, expected: ModelFile) -> None:
    for name in ("task", "spec", "learnt", "config", "notes"):
        assert getattr(found, name) == getattr(expected, name)
    assert found.tensors.keys() == expected.tensors.keys()
    for name, array in expected.tensors.items():
        assert found.tensors[name].dtype == array.dtype and found.tensors[name].shape == array.shape
        np.testing.assert_array_equal(found.tensors[name], array)


def refused(path: Path, data: bytes | None = None) -> str:
    """The message with which `path` (holding `data`) is refused: one line that names the file."""
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(DataError) as caught:
        load(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ") and "\n" not in message and len(message) < 600
    assert caught.value.exit_code == 2
    return message.removeprefix(f"{path}: ")


def test_what_is_saved_is_loaded_and_read_only(tmp_path: Path):
    save(tmp_path / "m", model())
    found = load(tmp_path / "m")
    assert_equal(found, model())
    for array in found.tensors.values():
        assert not array.flags.writeable and array.flags.aligned
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0


finite = {"allow_nan": False, "allow_infinity": False}
dtypes = st.sampled_from(sorted(DTYPES.values(), key=str))
arrays = dtypes.flatmap(
    lambda dtype: hnp.arrays(
        dtype,
        hnp.array_shapes(min_dims=0, max_dims=4, max_side=4),
        elements=hnp.from_dtype(dtype, **(finite if dtype.kind == "f" else {})),
    )
)
names = st.from_regex(r"[A-Za-z0-9_]{1,8}(\.[A-Za-z0-9_]{1,8}){0,3}", fullmatch=True)
texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=8)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(**finite) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=40)
@given(st.dictionaries(names, arrays, max_size=4), st.dictionaries(texts, values, max_size=3))
def test_any_arrays_and_any_json_come_back(
    tmp_path_factory: Any, stored: dict[str, Array], notes: dict[str, Any]
):
    path = tmp_path_factory.getbasetemp() / "property"
    expected = model(tensors=stored, notes=notes)
    save(path, expected, force=True)
    assert_equal(load(path), expected)
    bytes_ = path.read_bytes()
    save(path, load(path), force=True)
    assert path.read_bytes() == bytes_
    others = safetensors.numpy.load(bytes_)
    for name, array in stored.items():
        np.testing.assert_array_equal(others[name], array)


def test_the_same_model_gives_the_same_bytes(tmp_path: Path):
    one = model(config={"a": 1, "b": (2, 3)}, tensors={"x": np.ones(2), "y": np.zeros((2, 2), np.float32)})
    two = model(config={"b": [2, 3], "a": 1}, tensors={"y": np.zeros((2, 2), np.float32), "x": np.ones(2)})
    save(tmp_path / "one", one)
    save(tmp_path / "two", two)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_any_memory_layout_is_kept_by_value(tmp_path: Path):
    array = np.arange(12.0).reshape(3, 4)
    stored = {
        "t": array.T,
        "s": array[::2, ::-1],
        "big": array.astype(">f4"),
        "scalar": np.float32(2.5)[...],
    }
    save(tmp_path / "m", model(tensors=stored))
    for name, found in load(tmp_path / "m").tensors.items():
        np.testing.assert_array_equal(found, stored[name])
        assert found.shape == stored[name].shape


def test_nothing_is_overwritten_unasked(tmp_path: Path):
    path = tmp_path / "m"
    save(path, model(1))
    with pytest.raises(UsageError, match=r"exists already.*--force"):
        save(path, model(2))
    assert_equal(load(path), model(1))
    save(path, model(2), force=True)
    assert_equal(load(path), model(2))


@pytest.mark.parametrize(
    "changes, error, words",
    [
        ({"tensors": {"a": np.array([1, np.nan])}}, NonFiniteError, "tensor 'a' holds NaN"),
        ({"tensors": {"a": np.array([1, -np.inf], np.float16)}}, NonFiniteError, "tensor 'a'"),
        ({"tensors": {"../a": np.ones(1)}}, UsageError, "not a valid name of a tensor"),
        ({"tensors": {"a..b": np.ones(1)}}, UsageError, "not a valid name of a tensor"),
        ({"tensors": {"__metadata__": np.ones(1)}}, UsageError, "not a valid name of a tensor"),
        ({"tensors": {"a": np.ones((0, 3))}}, UsageError, r"tensor 'a' is float64 \[0, 3\]"),
        ({"tensors": {"a": np.ones((1,) * 9)}}, UsageError, "in at most 8 dimensions"),
        ({"tensors": {"a": np.array(["x"])}}, UsageError, "tensor 'a' is <U1"),
        ({"tensors": {"a": np.ones(1, np.complex64)}}, UsageError, "tensor 'a' is complex64"),
        ({"notes": {"loss": float("nan")}}, UsageError, "cannot be written as JSON"),
        ({"notes": {"x": {1, 2}}}, UsageError, "cannot be written as JSON"),
        ({"notes": {"x": "\ud800"}}, UsageError, "cannot be written as JSON"),
        ({"notes": {"a": {"1": 0, 1: 0}}}, UsageError, "cannot be written as JSON"),
    ],
)
def test_what_could_not_be_loaded_is_not_saved(
    tmp_path: Path, changes: dict[str, Any], error: type[UnrolledError], words: str
):
    save(tmp_path / "m", model())
    with pytest.raises(error, match=words):
        save(tmp_path / "m", model(**changes), force=True)
    assert_equal(load(tmp_path / "m"), model())


def test_a_tensor_may_have_eight_dimensions(tmp_path: Path):
    save(tmp_path / "m", model(tensors={"a": np.arange(2.0).reshape((1,) * 7 + (2,))}))
    assert load(tmp_path / "m").tensors["a"].shape == (1, 1, 1, 1, 1, 1, 1, 2)


@pytest.fixture
def more_cells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An installed package that names a cell; the folder that describes it."""
    about = tmp_path / "more" / "more_cells-1.5.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: more-cells\nVersion: 1.5\n")
    (about / "entry_points.txt").write_text("[unrolled.cells]\nnarrow = more_cells:NARROW\n")
    monkeypatch.syspath_prepend(tmp_path / "more")
    extensions.found.cache_clear()
    yield about
    extensions.found.cache_clear()


def test_a_model_names_the_packages_that_it_needs(tmp_path: Path, more_cells: Path):
    kinds = (("unrolled.cells", "lstm"), ("unrolled.inputs", "tokens"), ("unrolled.cells", "narrow"))
    packages = model_file.packages_of(kinds)
    assert packages == {"unrolled.cells narrow": "more-cells 1.5"}
    save(tmp_path / "m", model(notes={"packages": packages}))
    assert load(tmp_path / "m").notes == {"packages": packages}
    shutil.rmtree(more_cells)
    extensions.found.cache_clear()
    with pytest.raises(
        MissingExtra, match=r"the cell 'narrow' comes from the package more-cells 1\.5"
    ) as caught:
        load(tmp_path / "m")
    assert "pip install more-cells" in str(caught.value)
    assert "narrow" not in CELLS.names()


@pytest.mark.parametrize("packages", [[], "more-cells", {"unrolled.cells narrow": 1}])
def test_a_damaged_list_of_packages_is_told(tmp_path: Path, packages: object):
    save(tmp_path / "m", model(notes={"packages": packages}))
    assert "the list of packages that the model needs is damaged" in refused(tmp_path / "m")
    save(tmp_path / "m", model(notes={"packages": {"unrolled.tastes sweet": "more 1"}}), force=True)
    assert "the model needs a kind of the unknown group 'unrolled.tastes'" in refused(tmp_path / "m")


def test_a_vocabulary_that_could_not_be_loaded_is_not_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tensor_file, "HEADER_LIMIT", 1000)
    with pytest.raises(UsageError, match=r"at most 1,000 are allowed; try a smaller --vocab-size"):
        save(tmp_path / "m", model(learnt={"tokens": ["x" * 1000]}))
    assert not list(tmp_path.iterdir())


def test_every_flipped_bit_is_found_and_its_place_is_named(tmp_path: Path):
    path = tmp_path / "m"
    small = model(learnt={}, config={}, notes={})
    save(path, small)
    whole_ = path.read_bytes()
    header = 8 + int.from_bytes(whole_[:8], "little")
    entries = json.loads(whole_[8:header])
    places = {name: entries[name]["data_offsets"] for name in small.tensors}
    assert max(stop for _, stop in places.values()) + header == len(whole_)
    data = bytearray(whole_)
    with path.open("r+b", buffering=0) as stream:
        for position in range(len(data)):
            if position < header:
                name = "header"
            else:
                name = next(f"tensor '{n}'" for n, (a, b) in places.items() if a <= position - header < b)
            for bit in range(8):
                stream.seek(position)
                stream.write(bytes([data[position] ^ (1 << bit)]))
                message = refused(path)
                assert name in message, f"byte {position} bit {bit}: {message}"
            stream.seek(position)
            stream.write(data[position : position + 1])
    assert_equal(load(path), small)


def test_every_truncation_is_found(tmp_path: Path):
    path = tmp_path / "m"
    save(path, model())
    data = path.read_bytes()
    for length in range(len(data)):
        refused(path, data[:length])
    # tensors lie by size of their numbers, so the last one is the float32
    assert "truncated: tensor 'head.b_y'" in refused(path, data[:-1])
    assert "1 bytes follow the last tensor" in refused(path, data + b"\0")
    assert refused(path, b"").startswith("empty file")
    assert "truncated after 7 bytes" in refused(path, data[:7])


F32 = tensor("F32", [2], 0, 8)
TWO = np.array([1, 2], "<f4").tobytes()
ONE_HASH = {"a": sha256(TWO)}

FORGED: dict[str, tuple[bytes, str]] = {
    "duplicate tensor": (
        forge(f',"a":{json.dumps(F32)},"a":{json.dumps(F32)}', TWO, json.dumps(document(ONE_HASH))),
        "the key 'a' occurs twice",
    ),
    "duplicate key in the document": (
        forge("", b"", json.dumps(document({}))[:-1] + ',"task":"u"}'),
        "the key 'task' occurs twice",
    ),
    "duplicate metadata": (
        forge(',"__metadata__":{}', b"", json.dumps(document({}))),
        "the key '__metadata__' occurs twice",
    ),
    "overlap": (
        whole({"a": F32, "b": tensor("F32", [2], 4, 12)}, TWO + TWO[:4]),
        "tensor 'b' overlaps the one before",
    ),
    "the same bytes twice": (whole({"a": F32, "b": F32}, TWO), "overlaps"),
    "hole": (whole({"a": F32, "b": tensor("F32", [2], 12, 20)}, bytes(20)), "tensor 'b' leaves a hole"),
    "does not begin at 0": (whole({"a": tensor("F32", [2], 4, 12)}, bytes(12)), "tensor 'a' leaves a hole"),
    "trailing bytes": (whole({"a": F32}, TWO + b"x"), "1 bytes follow the last tensor"),
    "past the end": (whole({"a": tensor("F32", [3], 0, 12)}, TWO), "truncated: tensor 'a' ends at byte 12"),
    "unknown dtype": (
        whole({"a": tensor("BF17", [4], 0, 8)}, TWO),
        "tensor 'a' has the unknown dtype 'BF17'",
    ),
    "dtype no string": (whole({"a": F32 | {"dtype": ["F32"]}}, TWO), "unknown dtype"),
    "wrong product": (whole({"a": tensor("F32", [3], 0, 8)}, TWO), "does not take 8 bytes"),
    "overflowing product": (whole({"a": tensor("F32", [2**62, 8], 0, 8)}, TWO), "does not take 8 bytes"),
    "wraps to 8 bytes": (whole({"a": tensor("F32", [2**63 + 1, 2], 0, 8)}, TWO), "does not take 8 bytes"),
    "zero times 2^40": (
        whole({"a": tensor("F32", [0, 2**40], 0, 0)}, b""),
        "impossible shape [0, 1099511627776]",
    ),
    "negative": (whole({"a": tensor("F32", [-1, -2], 0, 8)}, TWO), "impossible shape"),
    "float in a shape": (whole({"a": tensor("F32", [2.0], 0, 8)}, TWO), "impossible shape"),
    "truth in a shape": (whole({"a": tensor("F32", [True, 2], 0, 8)}, TWO), "impossible shape"),
    "rank 9": (whole({"a": tensor("F32", [1] * 8 + [2], 0, 8)}, TWO), "impossible shape"),
    "backward": (whole({"a": tensor("F32", [2], 8, 0)}, TWO), "does not take"),
    "negative start": (whole({"a": tensor("F32", [2], -8, 0)}, TWO), "impossible data_offsets"),
    "three offsets": (
        whole({"a": F32 | {"data_offsets": [0, 8, 8]}}, TWO, ONE_HASH),
        "impossible data_offsets",
    ),
    "not aligned": (
        whole({"b": tensor("U8", [1], 0, 1), "a": tensor("F32", [2], 1, 9)}, b"x" + TWO),
        "tensor 'a' has the impossible data_offsets",
    ),
    "extra field": (whole({"a": F32 | {"more": 1}}, TWO), "exactly dtype, shape and data_offsets"),
    "no object": (forge(',"a":7', b"", json.dumps(document({"a": ""}))), "exactly dtype"),
    "name with a way out": (whole({"../../x": F32}, TWO), "header names a tensor '../../x'"),
    "name with a NUL": (whole({"a\0": F32}, TWO), "header names a tensor"),
    "empty name": (whole({"": F32}, TWO), "header names a tensor ''"),
    "long name": (whole({"a" * 201: F32}, TWO), "header names a tensor"),
    "NaN": (whole({"a": F32}, np.array([1, np.nan], "<f4").tobytes()), "tensor 'a' holds NaN"),
    "infinity": (
        whole({"a": F32}, np.array([-np.inf, 0], "<f4").tobytes()),
        "tensor 'a' holds NaN or infinity",
    ),
    "a truth of 2": (whole({"a": tensor("BOOL", [2], 0, 2)}, b"\1\2"), "booleans"),
    "no checksum": (whole({"a": F32}, TWO, {}), "exactly one checksum per tensor"),
    "checksum too many": (whole({}, b"", ONE_HASH), "exactly one checksum per tensor"),
    "checksum no string": (whole({"a": F32}, TWO, {"a": 1}), "tensor 'a' does not match"),
    "newer": (
        whole({}, b"", format=4),
        "format 4; this release reads up to format 3; try pip install --upgrade",
    ),
    "format true": (whole({}, b"", format=True), "instead of a format version"),
    "format 0": (whole({}, b"", format=0), "instead of a format version"),
    "a checkpoint": (whole({}, b"", kind="checkpoint"), "this is a checkpoint, not a model"),
    "missing part": (whole({}, b"", learnt=None), "header: 'learnt' is unknown or has the wrong type"),
    "unknown part": (whole({}, b"", code="print(1)"), "header: 'code' is unknown"),
    "no document": (forge("", b"", "[]"), "no JSON object"),
    "document no JSON": (forge("", b"", "{"), "header is not as unrolled writes it"),
    "NaN literal": (forge("", b"", '{"a":NaN}'), "NaN is no JSON number"),
    "endless number": (forge("", b"", '{"a":1e999}'), "1e999 is too large"),
    "10^6 digits": (forge("", b"", '{"a":' + "1" * 10**6 + "}"), "header is not as unrolled writes it"),
    "more metadata": (forge("", b"", json.dumps(document({})), ',"x":"y"'), "other keys"),
    "metadata no string": (
        seal(f'{START}{"0" * 64}","unrolled":7}}}}'),
        "header is not as unrolled writes it",
    ),
    "no UTF-8": (seal(START + "0" * 64)[:-1] + b"\xff", "header"),
    "deep": (forge(',"a":' + "[" * 10**5 + "]" * 10**5, b"", "{}"), "nested 100,001 levels deep"),
    "deep within": (forge("", b"", "[" * 10**5), "nested 100,000 levels deep"),
    "unclosed": (seal(START + "0" * 64 + '"' + "[" * 10**5), "deep"),
}


@pytest.mark.parametrize("name", FORGED)
def test_forged_files_are_refused(tmp_path: Path, name: str):
    data, words = FORGED[name]
    assert words in refused(tmp_path / "m", data)


class Canary:
    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.path}",)

    def __init__(self, path: Path) -> None:
        self.path = path


def zipped(path: Path, *names: str, content: bytes = b"x") -> bytes:
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, content)
    return path.read_bytes()


def test_foreign_files_are_named_and_nothing_of_them_runs(tmp_path: Path):
    canary, other = tmp_path / "canary", tmp_path / "other"
    evil = pickle.dumps(Canary(canary))
    np.savez(tmp_path / "z.npz", a=np.ones(2))
    np.save(tmp_path / "z.npy", np.ones(2))
    cases = {
        "PyTorch": zipped(other, "archive/data.pkl", "archive/version", content=evil),
        "Keras": zipped(other, "metadata.json", "config.json", "model.weights.h5"),
        "NumPy .npz": (tmp_path / "z.npz").read_bytes(),
        "NumPy .npy": (tmp_path / "z.npy").read_bytes(),
        "zip archive": zipped(other, "word/document.xml"),
        "old PyTorch": bytes.fromhex("80028a0a6cfc9c46f9206aa850192e8002"),
        "pickle": evil,
        "HDF5": b"\x89HDF\r\n\x1a\n" + bytes(100),
        "GGUF": b"GGUF" + (3).to_bytes(4, "little") + bytes(40),
        "ONNX": b"\x08\x08\x12\x07pytorch\x1a\x052.9.0:" + bytes(40),
        "TensorFlow Lite": b"\x1c\0\0\0TFL3" + bytes(40),
        "gzip": b"\x1f\x8b\x08\0\0\0\0\0\0\x03" + bytes(20),
        "WAV": b"RIFF\x24\x08\0\0WAVEfmt " + bytes(20),
        "HTML": b"<!DOCTYPE html><html></html>",
        "Git LFS": b"version https://git-lfs.github.com/spec/v1\noid sha256:0",
        "JSON": b'{"model_type": "lstm", "layers": 2}',
        "a text": b"Once upon a time, there was a model.",
        "something that begins with": b"\xfe\x01\x02\x03" + b"\xff" * 40,
        r"begins with b'[\xff": b"[" + b"\xff" * 40,
    }
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        for evil in ([Canary(canary)], {"w": [1.0, Canary(canary)]}, Canary(canary)):
            assert "a Python pickle" in refused(tmp_path / "m", pickle.dumps(evil, protocol))
    for name, data in cases.items():
        message = refused(tmp_path / "m", data)
        assert name in message and "expected a file written by unrolled" in message, name
    plain = safetensors.numpy.save({"a": np.ones(2)}, {"format": "pt"})
    assert "safetensors file of another program" in refused(tmp_path / "m", plain)
    assert not canary.exists()


def test_huge_claims_cost_neither_time_nor_memory(tmp_path: Path):
    code = """
import resource, sys, time
from pathlib import Path
from unrolled.core import errors
from unrolled.models import model_file
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 200_000_000, -1))
for name in sys.argv[1:]:
    start = time.process_time()
    try:
        model_file.load(Path(name))
    except errors.DataError as error:
        print(f"{time.process_time() - start:.3f}", error)
"""
    padded = START + "0" * 64 + '","unrolled":"{}"}'
    files_ = {
        "length": (2**63).to_bytes(8, "little") + b"{}",
        "longest": b"\xff" * 8 + b"{}",
        "many lists": seal(padded + ',"a":[' + "[]," * 2_000_000 + "0]}"),
        "many objects": seal(padded + ',"a":[' + '{"":0},' * 1_000_000 + "0]}"),
        "many numbers": seal(padded + ',"a":[' + "0," * (VALUE_LIMIT + 1) + "0]}"),
        "many strings": seal(padded + ',"a":[' + '"",' * (VALUE_LIMIT + 1) + "0]}"),
        "deep": seal(padded + ',"a":' + "[" * 10**7),
    }
    for name, data in files_.items():
        (tmp_path / name).write_bytes(data)
    with (tmp_path / "100 MB").open("wb") as stream:
        stream.write((100_000_000).to_bytes(8, "little") + START.encode())
        stream.truncate(100_000_008)
    with (tmp_path / "sparse").open("wb") as stream:
        stream.write(whole({"a": tensor("F32", [2**40], 0, 2**42)}, b"", {"a": ""}))
    command = [sys.executable, "-c", code, *(str(tmp_path / name) for name in [*files_, "100 MB", "sparse"])]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    lines = done.stdout.splitlines()
    assert len(lines) == len(files_) + 2, done
    for line in lines:
        assert float(line.split()[0]) < 1, line


@pytest.mark.parametrize("what", ["absent", "folder", "pipe"])
def test_what_is_no_file_is_told(tmp_path: Path, what: str):
    path = tmp_path / what
    if what == "folder":
        path.mkdir()
    elif what == "pipe":
        os.mkfifo(path)
    words = {"absent": "no such file", "folder": "is a folder", "pipe": "not a regular file"}
    with pytest.raises(UsageError, match=words[what]) as caught:
        load(path)
    assert caught.value.exit_code == 2


def test_a_disk_that_cannot_read_is_an_error_of_storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def broken(*_: Any, **__: Any) -> Any:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    save(tmp_path / "m", model())
    monkeypatch.setattr(os, "open", broken)
    with pytest.raises(StorageError, match="cannot read: Input/output error"):
        load(tmp_path / "m")


def single() -> ModelFile:
    """The model with all weights in float32."""
    return model(tensors={name: array.astype(np.float32) for name, array in model().tensors.items()})


def test_tensors_that_do_not_fit_the_specification_are_named():
    shapes: dict[str, tuple[int, ...]] = {"head.b_y": (3,), "core.0.forward.W_c": (2, 2)}
    model_file.expect_tensors(single().tensors, shapes, Path("m"))
    with pytest.raises(DataError, match=r"tensor 'head.b_y' is \[3\]; expected \[4\]"):
        model_file.expect_tensors(single().tensors, shapes | {"head.b_y": (4,)}, Path("m"))
    with pytest.raises(DataError, match=r"lacks embedding.E"):
        model_file.expect_tensors(single().tensors, shapes | {"embedding.E": (4, 2)}, Path("m"))
    with pytest.raises(DataError, match=r"has unknown core.0.forward.W_c"):
        model_file.expect_tensors(single().tensors, {"head.b_y": (3,)}, Path("m"))


@pytest.mark.parametrize("dtype", sorted(set(map(str, DTYPES.values())) - {"float32"}))
def test_weights_of_another_type_are_named(dtype: str):
    shapes: dict[str, tuple[int, ...]] = {"head.b_y": (3,)}
    wrong = model(tensors={"head.b_y": np.ones(3, dtype)})
    with pytest.raises(DataError, match=rf"tensor 'head\.b_y' is {dtype}; expected float32"):
        model_file.expect_tensors(wrong.tensors, shapes, Path("m"))


def test_a_failing_disk_keeps_the_old_model(tmp_path: Path):
    path = tmp_path / "m"
    for number in range(30):
        save(path, model(1), force=True)
        told: list[str] = []
        try:
            with failing(number, errno.ENOSPC, told):
                save(path, model(2), force=True)
        except StorageError as error:
            assert error.exit_code == 3
            assert_equal(load(path), model(2 if "is written, but" in str(error) else 1))
        else:
            assert_equal(load(path), model(2))
            if not told:
                return
    raise AssertionError("a save makes no end of system calls")


def survivors(folder: Path) -> list[str]:
    """What is wrong with any state a power loss in a save of model 2 over model 1 may leave."""
    root, copy = folder / "root", folder / "copy"
    root.mkdir()
    copy.mkdir()
    save(root / "m", model(1))
    with record(root) as recording:
        recording.mark((1, 2))
        save(root / "m", model(2), force=True)
        recording.mark((2,))
    wrong: list[str] = []
    for state, allowed in crashes(recording):
        restore(state, root, copy)
        try:
            if load(copy / "m").tensors["head.b_y"][0] not in allowed:
                wrong.append("an old model")
        except UnrolledError as error:
            wrong.append(str(error))
    return wrong


def test_a_power_loss_leaves_the_old_or_the_new_model(tmp_path: Path):
    assert survivors(tmp_path) == []


@pytest.mark.parametrize("without", ["sync", "sync_folder"])
def test_a_missing_sync_would_be_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, without: str):
    monkeypatch.setattr(atomic_files, without, lambda _: None)
    assert survivors(tmp_path) != []


def test_the_golden_file_of_format_1_opens(tmp_path: Path):
    path = GOLDEN / "format1.model"
    # The file as it was released; a change of these bytes is a change of the past.
    assert sha256(path.read_bytes()) == "2312633c314fb4a02f972412701758463353ff874da38ba3fe76b0f0a3e4b879"
    made = runpy.run_path(str(GOLDEN / "make.py"))
    content = made["content"]()
    spec = NetworkSpec(Embedding(6, 3), CoreSpec(4), Classes(6))
    assert_equal(load(path), ModelFile(**{**content, "spec": spec_json.to_json(spec)}))
    save(tmp_path / "again", load(path))
    assert_equal(load(tmp_path / "again"), load(path))
    assert path.read_bytes() == made["format_1"](content)


def test_the_golden_file_of_format_1_answers_as_it_did():
    path = GOLDEN / "format1.model"
    golden = load(path)
    spec = spec_json.from_json(golden.spec, path)
    model_file.expect_tensors(golden.tensors, tensor_shapes.shapes(spec), path)
    found, _ = NumpyEngine(spec, golden.tensors).run(np.array([golden.notes["x"]]))  # [1, T, n_y]
    np.testing.assert_allclose(found[0], golden.notes["log_probs"], rtol=0, atol=1e-5)
    assert len(Reading.from_json(golden.learnt).vocabulary) == spec.n_y


# Forks children that save model 2 over model 1 and die by -9: before every system call (arguments: "calls"), or at
# a random moment of endless saves (arguments: "moments", how many). Prints one line a death.
KILLED = """
import os, random, signal, sys, time
from pathlib import Path
import numpy as np
from support.disk import dying
from unrolled.core import atomic_files
from unrolled.models import model_file

def save(value):
    tensors = {"a": np.full(SIZE, value, np.float32), "b": np.full((3, 3), value)}
    model_file.save(Path("m"), model_file.ModelFile("t", {}, {}, {}, {"value": value}, tensors), force=True)

def found():
    model = model_file.load(Path("m"))
    values = {model.notes["value"], *(float(v) for t in model.tensors.values() for v in np.unique(t))}
    assert len(values) == 1, values
    return int(values.pop())

def child(work):
    if not (pid := os.fork()):
        work()
        os._exit(0)
    return pid

def calls(number):
    with dying(number):
        save(2)

def endless():
    for value in range(2, 10**9):
        save(value)

os.chdir(sys.argv[1])
SIZE = 1000 if sys.argv[2] == "calls" else 500_000
chance = random.Random(0)
for number in range(int(sys.argv[3])):
    save(1)
    pid = child(endless if sys.argv[2] == "moments" else lambda: calls(number))
    if sys.argv[2] == "moments":
        time.sleep(chance.uniform(0, 0.1))
        os.kill(pid, signal.SIGKILL)
    killed = os.WIFSIGNALED(os.waitpid(pid, 0)[1])
    temporaries = len(list(Path().glob(atomic_files.TEMPORARY + "*")))
    atomic_files.sweep(Path())
    swept = not list(Path().glob(atomic_files.TEMPORARY + "*"))
    print(int(killed), found(), temporaries, int(swept), flush=True)
    if not killed:
        break
"""


def deaths(folder: Path, *arguments: str) -> list[list[int]]:
    command = [sys.executable, "-c", KILLED, str(folder), *arguments]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join((str(TESTS), str(TESTS.parent / "src")))}
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, env=environment)
    assert done.returncode == 0, done.stderr
    return [[int(word) for word in line.split()] for line in done.stdout.splitlines()]


def test_kill_9_before_every_system_call_leaves_a_model(tmp_path: Path):
    lines = deaths(tmp_path, "calls", "50")
    assert lines[-1] == [0, 2, 0, 1]
    assert len(lines) > 8
    values = [value for _, value, _, _ in lines]
    assert values == sorted(values) and set(values) == {
        1,
        2,
    }  # the old one until the rename, the new one after
    assert any(temporaries for _, _, temporaries, _ in lines)
    assert all(swept for *_, swept in lines)


def test_kill_9_at_random_moments_leaves_a_model(tmp_path: Path):
    lines = deaths(tmp_path, "moments", "12")
    assert len(lines) == 12 and all(killed and swept for killed, _, _, swept in lines)


@pytest.mark.slow
def test_kill_9_at_many_random_moments_leaves_a_model(tmp_path: Path):
    lines = deaths(tmp_path, "moments", "1000")
    assert len(lines) == 1000 and all(killed and swept for killed, _, _, swept in lines)
    assert any(temporaries for _, _, temporaries, _ in lines)


def test_a_new_file_of_a_model_takes_little_more_than_its_numbers(tmp_path: Path):
    save(tmp_path / "m", model(tensors={"a": np.zeros(1000, np.float32)}))
    assert (tmp_path / "m").stat().st_size < 4000 + 1200
    assert not list(tmp_path.glob(TEMPORARY + "*"))
