"""The .ts files of the UEA and UCR archives: what the header says is held against the series."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unrolled.core.errors import DataError, UsageError
from unrolled.data.read_request import ReadRequest
from unrolled.data.readers.uea_ts import read

LABEL = ReadRequest(kind="numbers", target="label")
HEAD = "@classLabel true walk run\n@data\n"


def put(path: Path, content: bytes | str) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def found(path: Path, wanted: ReadRequest = LABEL) -> list[tuple[object, object, int]]:
    examples = list(read([path], wanted))
    assert all(np.asarray(example.x).dtype == np.float64 for example in examples)
    return [(np.asarray(example.x).tolist(), example.y, example.place.line) for example in examples]


def message(path: Path, wanted: ReadRequest = LABEL) -> str:
    with pytest.raises((DataError, UsageError)) as caught:
        list(read([path], wanted))
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix(f"{path}:")


WHOLE = """# made for a test
@problemName Walks
@TIMESTAMPS false
@missing False
@univariate false
@dimensions 2
@equalLength true
@seriesLength 3
@classLabel TRUE walk run

@data
# the first
1,2,3:-4,5e-1,6:walk
 7, 8 ,9 : 1,2,3 : run 
"""
SERIES = [([[1, -4], [2, 0.5], [3, 6]], "walk", 13), ([[7, 1], [8, 2], [9, 3]], "run", 14)]


def test_a_whole_file(tmp_path):
    assert found(put(tmp_path / "a.ts", WHOLE)) == SERIES
    assert found(put(tmp_path / "b.ts", WHOLE.replace("\n", "\r\n"))) == SERIES
    assert found(put(tmp_path / "c.ts.gz", gzip.compress(b"\xef\xbb\xbf" + WHOLE.encode()))) == SERIES
    file = tmp_path / "a.ts"
    assert [y for _, y, _ in found(file, ReadRequest(kind="numbers"))] == ["walk", "run"]
    assert [y for _, y, _ in found(file, ReadRequest(kind="numbers", target="next"))] == [None, None]


def test_lengths_may_differ_and_a_header_may_be_short(tmp_path):
    file = put(tmp_path / "a.ts", HEAD + "1,2:3,4:walk\n5:6:run\n")
    assert found(file) == [([[1, 3], [2, 4]], "walk", 3), ([[5, 6]], "run", 4)]
    put(file, "@univariate true\n@data\n1,2\n3\n")
    assert found(file, ReadRequest(kind="numbers")) == [([[1], [2]], None, 3), ([[3]], None, 4)]


def test_a_number_to_predict(tmp_path):
    file = put(tmp_path / "a.ts", "@univariate true\n@targetLabel true\n@data\n1,2:0.5\n3:-7\n")
    number = ReadRequest(kind="numbers", target="number")
    assert found(file, number) == [([[1], [2]], (0.5,), 4), ([[3]], (-7,), 5)]
    assert message(file).startswith(
        "3: series without classes; expected @classLabel true and the classes; try numbers"
    )
    put(file, "@univariate true\n@targetLabel true\n@data\n1,2:high\n")
    assert message(file, number).startswith("4: the value to predict has 'high', which is not a number")
    put(file, HEAD + "1:walk\n")
    assert message(file, number).startswith(
        "2: series without a value to predict; expected @targetLabel true"
    )


def test_missing_values_take_the_one_before(tmp_path):
    head = "@missing true\n" + HEAD
    file = put(tmp_path / "a.ts", head + "?,1,?,NaN,2:nan,?,3,4,?:walk\n")
    assert found(file)[0][0] == [[1, 3], [1, 3], [1, 3], [1, 4], [2, 4]]
    put(file, head + "1,2:?,?:walk\n")
    assert message(file).startswith("4: dimension 2 has only missing values; expected at least one value")
    put(file, HEAD + "1,?:walk\n")
    assert message(file).startswith(
        "3: value 2 of dimension 1 is missing; expected @missing true in the header"
    )


@given(st.lists(st.one_of(st.none(), st.integers(-9, 9)), min_size=1).filter(any))
def test_the_future_of_a_gap_is_not_looked_at(tmp_path_factory, values):
    written = ",".join("?" if value is None else str(value) for value in values)
    file = put(tmp_path_factory.mktemp("gap") / "a.ts", f"@missing true\n{HEAD}{written}:walk\n")
    filled = [row[0] for row in found(file)[0][0]]
    known = [value for value in values if value is not None]
    for i in range(len(values)):
        before = [value for value in values[: i + 1] if value is not None]
        assert filled[i] == (before or known)[-1 if before else 0]


FAULTS = {
    "empty": (b"", " empty file"),
    "white": (" \n\n", " no examples"),
    "comments": ("# a\n", " no examples"),
    "no series": (HEAD, " no examples: no series; expected a line @data"),
    "no @data": ("1,2:walk\n", "1: '1,2:walk' before @data; expected a header of @ lines"),
    "misspelt": ("@clasLabel true a\n", "1: unknown '@clasLabel'.*try '@classlabel'"),
    "time stamps": ("@timeStamps true\n", r"1: series with time stamps.*; try resampling"),
    "time stamps untold": (HEAD + "(0,1),(1,2):walk\n", "3: a value with a time stamp"),
    "flag": ("@missing maybe\n", "1: @missing maybe; expected true or false"),
    "no flag": ("@univariate\n", "1: @univariate ; expected true or false"),
    "dimensions": ("@dimensions 0\n", "1: @dimensions 0; expected a whole number, 1 or more"),
    "full-width dimensions": ("@dimensions \uff15\n", "1: @dimensions \uff15; expected a whole"),
    "length": ("@seriesLength 1 2\n", "1: @seriesLength 1 2; expected a whole number"),
    "no classes": ("@classLabel true\n", "1: @classLabel true without classes"),
    "both": ("@targetLabel true\n" + HEAD, "3: @classLabel and @targetLabel are both true"),
    "no class asked": ("@classLabel false\n@data\n1,2\n", "2: series without classes"),
    "class": (HEAD + "1,2:wlak\n", "3: class 'wlak' is not declared; expected one of walk run.*; try 'walk'"),
    "no class": (HEAD + "1,2\n", "3: class '1,2' is not declared"),
    "class alone": (HEAD + "walk\n", "3: 0 dimensions; expected at least 1"),
    "two dimensions": ("@univariate true\n" + HEAD + "1:2:walk\n", "4: 2 dimensions; expected 1"),
    "another count": (HEAD + "1:2:walk\n\n1:2:3:run\n", "5: 3 dimensions; expected 2"),
    "uneven": (HEAD + "1,2:3:walk\n", "3: dimension 2 has 1 values; expected 2"),
    "length of the header": (
        "@equalLength true\n@seriesLength 3\n" + HEAD + "1,2:walk\n",
        "5: .* 2 values; expected 3",
    ),
    "length of the first": (
        "@equalLength true\n" + HEAD + "1,2:walk\n1:run\n",
        "5: dimension 1 has 1 values; expected 2",
    ),
    "word": (HEAD + "1,x:walk\n", "3: value 2 of dimension 1 has 'x', which is not a number"),
    "gap": (HEAD + "1,,2:walk\n", "3: value 2 of dimension 1 is empty"),
    "infinity": (HEAD + "1,inf:walk\n", "3: value 2 of dimension 1 has 'inf'"),
    "decimal comma": (HEAD + "1,2\uff15:walk\n", "3: value 2 of .*; try 25"),
    "latin": (b"# caf\xe9\n", "1: byte 0xe9"),
    "nul": (b"@data\n1,\x002\n", "2: NUL"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_faults_are_told(tmp_path, name):
    content, fault = FAULTS[name]
    file = put(tmp_path / "a.ts", content)
    with pytest.raises(DataError, match=f"^{file}:{fault}"):
        list(read([file], LABEL))


def test_what_ts_files_do_not_hold(tmp_path):
    file = put(tmp_path / "a.ts", WHOLE)
    assert "numbers, not texts" in message(file, ReadRequest(kind="text", target="label"))
    assert "not one tag per step" in message(file, ReadRequest(kind="numbers", target="tags"))
    assert "no columns" in message(file, ReadRequest(kind="numbers", y=("a",)))
    with pytest.raises(UsageError, match=r"no such file; try 'a\.ts'"):
        list(read([tmp_path / "aa.ts"], LABEL))
    with pytest.raises(UsageError, match="is a folder"):
        list(read([tmp_path], LABEL))


@given(
    st.integers(1, 3).flatmap(
        lambda n: st.lists(
            st.lists(
                st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=n, max_size=n),
                min_size=1,
                max_size=4,
            ),
            min_size=1,
            max_size=4,
        )
    )
)
def test_what_is_written_is_read_again(tmp_path_factory, series):
    written = [
        ":".join(",".join(map(repr, column)) for column in zip(*x, strict=True)) + ":run\n" for x in series
    ]
    file = put(tmp_path_factory.mktemp("ts") / "a.ts", HEAD + "".join(written))
    assert found(file) == [(x, "run", line) for line, x in enumerate(series, 3)]


@given(st.text(st.sampled_from("1,:?.-() \nwalk@dt"), max_size=60))
def test_any_text_ends_in_series_or_an_error_of_ours(tmp_path_factory, content):
    file = put(tmp_path_factory.mktemp("any") / "a.ts", "@missing true\n" + HEAD + content)
    try:
        assert all(np.isfinite(np.asarray(example.x)).all() for example in read([file], LABEL))
    except DataError as error:
        assert str(file) in str(error)


def test_archives(data):
    folder = data / "action"
    if not (folder / "BasicMotions").is_dir():
        pytest.skip("no action/BasicMotions in the data folder")
    for part in ("TRAIN", "TEST"):
        examples = list(read([folder / "BasicMotions" / f"BasicMotions_{part}.ts"], LABEL))
        assert len(examples) == 40 and {np.shape(example.x) for example in examples} == {(100, 6)}
        assert {example.y for example in examples} == {"Standing", "Running", "Walking", "Badminton"}
        assert [example.place.line for example in examples] == list(range(14, 54))
        name = "PickupGestureWiimoteZ"
        gestures = list(read([folder / name / f"{name}_{part}.ts"], LABEL))
        assert len(gestures) == 50 and {example.y for example in gestures} == {str(n) for n in range(1, 11)}
        assert len({np.shape(example.x) for example in gestures}) > 10
