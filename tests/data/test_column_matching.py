"""Columns by their usual names: pairs of texts, series, labels, time stamps, and two of one name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from unrolled.core.errors import DataError
from unrolled.data.read_request import ReadRequest, parse_columns
from unrolled.data.readers.table import read

PAIR = ReadRequest(target="text")
AHEAD = ReadRequest(kind="numbers", target="next")


def put(path: Path, text: str) -> Path:
    path.write_bytes(text.encode())
    return path


@pytest.mark.parametrize(
    "header",
    ["text,translation", "translation,text", "sentence,translation", "src,tgt", "source,text", "en,de"],
)
def test_the_two_columns_of_a_translation(tmp_path, header):
    row = ["other", "this"] if header.startswith("translation") else ["this", "other"]
    file = put(tmp_path / "a.csv", f"{header}\n{','.join(row)}\n")
    assert [(e.x, e.y) for e in read([file], PAIR)] == [("this", "other")]
    file = put(tmp_path / "a.csv", f"id,{header}\n7,{','.join(row)}\n")
    assert [(e.x, e.y, e.id) for e in read([file], PAIR)] == [("this", "other", "7")]


@pytest.mark.parametrize(
    "header",
    [
        *(
            "output,input",
            "completion,prompt",
            "answer,question",
            "translated,original",
            "target_de,source_en",
        ),
        *(
            "tgt_sentence,src_sentence",
            "target_text,input_text",
            "response,instruction",
            "translated_text,text",
        ),
        *("summary,document", "Text (translated),Text", "Zielsprache (target),text", "to_fr,from_en"),
    ],
)
def test_a_translation_written_backwards_is_read_from_source_to_target(tmp_path, header):
    """The target is the first column; the names say so, whole or in one of their words."""
    file = put(tmp_path / "a.csv", f"{header}\nother,this\n")
    assert [(e.x, e.y) for e in read([file], PAIR)] == [("this", "other")]


@pytest.mark.parametrize(
    ("header", "row", "expected"),
    [
        ("ds,y", "2024-01-01,1", [1]),
        ("date,y,temp", "2024-01-01,1,2", [1, 2]),
        ("date,target,temp", "2024-01-01,1,2", [1, 2]),
        ("rating,temp", "1,2", [1, 2]),
        ("label,temp", "1,2", [2]),
    ],
)
def test_the_numbers_of_a_series(tmp_path, header, row, expected):
    file = put(tmp_path / "a.csv", f"{header}\n" + f"{row}\n" * 3)
    (example,) = read([file], AHEAD)
    assert np.asarray(example.x).tolist() == [expected] * 3 and example.y is None
    if "2024" in row:
        assert example.times is not None and str(example.times[0]).startswith("2024-01-01")


def test_the_numbers_that_are_to_be_forecast(tmp_path):
    file = put(tmp_path / "a.csv", "temp,load\n1,2\n3,4\n5,\n")
    (example,) = read([file], parse_columns("x=temp,y=load", AHEAD))
    assert np.asarray(example.x).tolist() == [[1], [3], [5]]
    np.testing.assert_array_equal(np.asarray(example.y), [[2], [4], [np.nan]])
    (both,) = read([file], parse_columns("x=temp+load,y=load", AHEAD))
    assert np.asarray(both.x).shape == (3, 2)


def test_two_columns_of_one_name_are_rejected(tmp_path):
    file = put(tmp_path / "a.csv", "text,label,text\na,b,c\n")
    with pytest.raises(DataError, match=r"column 'text' occurs 2 times.*try its number \(1 for the first\)"):
        list(read([file], ReadRequest(target="label")))
    assert [e.x for e in read([file], parse_columns("x=3", ReadRequest(target="label")))] == ["c"]
    unused = put(tmp_path / "b.csv", "text,label,note,note\na,b,c,d\n")
    assert [e.x for e in read([unused], ReadRequest(target="label"))] == ["a"]


def test_prediction_needs_x_alone(tmp_path):
    trained = parse_columns("x=temp,y=label,by=run,id=key", ReadRequest(kind="numbers", asked=False))
    file = put(tmp_path / "a.csv", "temp\n1\n2\n")
    (example,) = read([file], trained)
    assert np.asarray(example.x).tolist() == [[1], [2]] and example.y is None
    with pytest.raises(DataError, match="no column 'temp'"):
        list(read([put(tmp_path / "b.csv", "other\n1\n")], trained))


def test_whole_numbers_are_one_class_however_they_are_written(tmp_path):
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    table = put(tmp_path / "a.csv", "text,label\na,0\nb,1\nc,1.0\n")
    lines = put(tmp_path / "a.jsonl", '{"text":"a","label":0}\n{"text":"b","label":1.0}\n')
    packed = tmp_path / "a.parquet"
    parquet.write_table(arrow.table({"text": ["a", "b"], "label": [0.0, 1.0], "id": [1.0, None]}), packed)
    for file in (table, lines, packed):
        assert {e.y for e in read([file], ReadRequest(target="label"))} == {"0", "1"}
    assert [e.id for e in read([packed], ReadRequest(target="label"))] == ["1", None]
    half = put(tmp_path / "b.csv", "text,label\na,0.5\nb,1e0\nc,v1.0\n")
    assert [e.y for e in read([half], ReadRequest(target="label"))] == ["0.5", "1e0", "v1.0"]


def test_interleaved_rows_are_grouped(tmp_path):
    rows = [(f"{m}", t) for t in range(4) for m in "abc"]
    file = put(tmp_path / "a.csv", "machine,t\n" + "".join(f"{m},{t}\n" for m, t in rows))
    told = []
    wanted = ReadRequest(
        by="machine", kind="numbers", target="next", noted=lambda p, w: told.append((p.line, w))
    )
    found = [(e.id, np.asarray(e.x)[:, 0].tolist()) for e in read([file], wanted)]
    assert found == [(m, [0, 1, 2, 3]) for m in "abc"]
    assert told == [(5, "rows of 'a' are not consecutive: all rows are grouped by 'machine'")]


def test_one_bad_cell_leaves_the_other_series_their_answer(tmp_path):
    file = put(tmp_path / "a.csv", "run,t\na,1\na,broken\nb,3\nb\nc,5\n")
    wanted = ReadRequest(by="run", kind="numbers", asked=False, keep_bad=True)
    found = list(read([file], wanted))
    assert [e.id for e in found] == ["a", "b", "c"]
    assert [str(e.fault).partition("; ")[0].removeprefix(f"{file}:") for e in found[:2]] == [
        "3: column 't' has 'broken', which is not a number",
        "5: 1 field in this row, 2 in the header",
    ]
    assert found[2].fault is None and np.asarray(found[2].x).tolist() == [[5]]
    told = []
    spared = ReadRequest(
        by="run", kind="numbers", keep_bad=True, skip_bad=2, skipped=lambda p, _: told.append(p.line)
    )
    assert [np.asarray(e.x).tolist() for e in read([file], spared)] == [[[1]], [[3]], [[5]]]
    assert told == [3, 5]


def test_the_kind_of_a_column_is_decided_from_many_rows(tmp_path):
    file = put(tmp_path / "a.csv", "x,note,z,label\n,7,1,a\n1,b,2,a\n2,c,,b\n")
    told = []
    wanted = ReadRequest(kind="numbers", target="label", noted=lambda p, what: told.append(what))
    x = np.concatenate([np.asarray(e.x) for e in read([file], wanted)])
    np.testing.assert_array_equal(x, [[np.nan, 1], [1, 2], [2, np.nan]])
    assert told == ["column 'note' is ignored: most fields are text, 1 are numbers"]
    late = put(tmp_path / "b.jsonl", '{"label":"a"}\n{"x":1,"label":"b"}\n{"x":2,"label":"a"}\n')
    x = np.concatenate([np.asarray(e.x) for e in read([late], ReadRequest(kind="numbers", target="label"))])
    np.testing.assert_array_equal(x, [[np.nan], [1], [2]])
