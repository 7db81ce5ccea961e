"""A class that is a whole number has one name in every format: 1, whether a file says 1, 1.0 or 1."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from support.tones import sound, write
from unrolled.data.read_request import ReadRequest
from unrolled.data.readers import find_reader

FORMS = {"whole": ("1", "0"), "reals": ("1.0", "-0.0"), "points": ("1.", "0."), "zeros": ("1.000", "0.00")}


def csv(folder: Path, names: tuple[str, str]) -> Path:
    (folder / "t.csv").write_text("v,label\n" + "".join(f"{i},{name}\n" for i, name in enumerate(names)))
    return folder / "t.csv"


def jsonl(folder: Path, names: tuple[str, str]) -> Path:
    rows = [{"v": [[i]], "label": float(name)} for i, name in enumerate(names)]
    (folder / "t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder / "t.jsonl"


def parquet(folder: Path, names: tuple[str, str]) -> Path:
    pq.write_table(
        pa.table({"v": [0.0, 1.0], "label": [float(name) for name in names]}), folder / "t.parquet"
    )
    return folder / "t.parquet"


def ts(folder: Path, names: tuple[str, str]) -> Path:
    head = f"@classLabel true {' '.join(names)}\n@data\n"
    (folder / "t.ts").write_text(head + "".join(f"1,2,3:{name}\n" for name in names))
    return folder / "t.ts"


def npz_texts(folder: Path, names: tuple[str, str]) -> Path:
    np.savez(folder / "t.npz", x=np.zeros((2, 3, 1)), y=np.array(names))
    return folder / "t.npz"


def npz_numbers(folder: Path, names: tuple[str, str]) -> Path:
    np.savez(folder / "t.npz", x=np.zeros((2, 3, 1)), y=np.array([float(name) for name in names]))
    return folder / "t.npz"


def texts(folder: Path, names: tuple[str, str]) -> Path:
    for name in names:
        (folder / "d" / name).mkdir(parents=True)
        (folder / "d" / name / "a.txt").write_text("so good")
    return folder / "d"


def recordings(folder: Path, names: tuple[str, str]) -> Path:
    for name in names:
        (folder / "d" / name).mkdir(parents=True)
        write(folder / "d" / name / "a.wav", sound("a", 0))
    return folder / "d"


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("kind", "make"),
    [
        *(("numbers", make) for make in (csv, jsonl, parquet, ts, npz_texts, npz_numbers)),
        ("text", texts),
        ("audio", recordings),
    ],
)
def test_a_whole_number_is_one_class(
    tmp_path: Path, kind, make: Callable[[Path, tuple[str, str]], Path], form: str
):
    path = make(tmp_path, FORMS[form])
    wanted = ReadRequest(kind=kind, target="label")
    assert sorted(str(example.y) for example in find_reader(path, wanted)([path], wanted)) == ["0", "1"]


def test_truth_values_of_arrays_are_named_as_in_json(tmp_path: Path):
    np.savez(tmp_path / "t.npz", x=np.zeros((2, 3, 1)), y=np.array([True, False]))
    wanted = ReadRequest(kind="numbers", target="label")
    found = find_reader(tmp_path / "t.npz", wanted)([tmp_path / "t.npz"], wanted)
    assert [example.y for example in found] == ["true", "false"]


def test_other_names_stay_as_they_are(tmp_path: Path):
    names = ("1.5", "v1.0", "10.", "+2.0", "-3", "1.0.0", ".0", "1e0")
    (tmp_path / "t.csv").write_text("v,label\n" + "".join(f"{i},{name}\n" for i, name in enumerate(names)))
    wanted = ReadRequest(kind="numbers", target="label")
    found = find_reader(tmp_path / "t.csv", wanted)([tmp_path / "t.csv"], wanted)
    assert [example.y for example in found] == ["1.5", "v1.0", "10", "+2", "-3", "1.0.0", ".0", "1e0"]
