"""Tables as people have them: separators, quotes, encodings, JSON, Parquet, long tables, damage; and --columns."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import json
import os
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unrolled.core.errors import DataError, MissingExtra, UsageError
from unrolled.core.types import Example, Place
from unrolled.data import records
from unrolled.data.fields import parse_number
from unrolled.data.read_request import ReadRequest, parse_columns
from unrolled.data.readers.table import read
from unrolled.data.text import encoding as decoding

LABEL = ReadRequest(kind="text", target="label")
NUMBERS = ReadRequest(kind="numbers", target="label")


def put(path: Path, content: bytes | str) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def found(path: Path, wanted: ReadRequest = LABEL) -> list[tuple[object, object, int]]:
    return [(example.x, example.y, example.place.line) for example in read([path], wanted)]


def message(path: Path, wanted: ReadRequest = LABEL) -> str:
    with pytest.raises((DataError, UsageError)) as caught:
        list(read([path], wanted))
    assert str(caught.value).startswith(f"{path}:") and "\n" not in str(caught.value)
    return str(caught.value).removeprefix(f"{path}:")


def numbers(examples: list[Example]) -> list[list[list[float]]]:
    assert all(np.asarray(example.x).dtype == np.float64 for example in examples)
    return [np.asarray(example.x).tolist() for example in examples]


# --- which columns


def test_columns_option():
    base = ReadRequest(kind="numbers", target="number", skip_bad=3)
    wanted = parse_columns("x=ax+ay+az, y=label,id=key ,by=session", base)
    assert wanted == ReadRequest(("ax", "ay", "az"), ("label",), "key", "session", "numbers", "number", 3)
    assert parse_columns("x=2") == ReadRequest(x=("2",))


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "--columns has ''"),
        ("x", "--columns has 'x'; expected NAME=COLUMN"),
        ("x=a,,y=b", "--columns has ''"),
        ("x=a+", r"--columns has 'x=a\+'"),
        ("z=a", "unknown 'z'; expected x, y, id, by or time"),
        ("iid=a", "try 'id'"),
        ("x=a,x=b", "'x' twice"),
        ("id=a+b", "2 columns for 'id'; expected one"),
        ("x=a,y=a", "'a' is used for x and for another role"),
        ("x=a,by=a", "'a' is used for x and for another role"),
    ],
)
def test_columns_option_refused(text, fault):
    with pytest.raises(UsageError, match=fault):
        parse_columns(text)


def test_wishes_that_make_no_sense():
    with pytest.raises(UsageError, match="0 or more"):
        ReadRequest(skip_bad=-1)
    with pytest.raises(UsageError, match="y has 2 columns"):
        ReadRequest(y=("a", "b"), target="label")


def test_columns_are_found_by_name_case_and_number(tmp_path):
    file = put(tmp_path / "a.csv", "Id,Review,Rating,other\n7,good,5,x\n")
    (example,) = read([file], LABEL)
    assert example == Example("good", "5", Place(file, 2), "7")
    assert found(file, parse_columns("x=other,y=2", LABEL)) == [("x", "good", 2)]
    assert found(file, parse_columns("x=2+4,y=rating", LABEL)) == [("good x", "5", 2)]
    both = put(tmp_path / "b.csv", "text,TEXT,2,label\na,b,c,d\n")
    assert found(both, parse_columns("x=TEXT", LABEL)) == [("b", "d", 2)]
    assert found(both, parse_columns("x=2", LABEL)) == [("c", "d", 2)], "a name goes before a number"


def test_columns_of_numbers_are_those_that_begin_with_one(tmp_path):
    file = put(tmp_path / "a.csv", "id,ax,name,ay,label\n1,0.5,n,-2e1,walk\n2,1,m,.5,run\n")
    examples = list(read([file], NUMBERS))
    assert numbers(examples) == [[[0.5, -20]], [[1, 0.5]]]
    assert [(example.y, example.id) for example in examples] == [("walk", "1"), ("run", "2")]
    asked = parse_columns("x=ay,y=ax", ReadRequest(kind="numbers", target="number"))
    assert [(e.y, np.asarray(e.x).tolist()) for e in read([file], asked)] == [
        ((0.5,), [[-20]]),
        ((1,), [[0.5]]),
    ]
    several = parse_columns("x=id,y=ax+ay", ReadRequest(kind="numbers", target="number"))
    assert [example.y for example in read([file], several)] == [(0.5, -20.0), (1.0, 0.5)]


def test_a_label_is_no_number_of_x_even_where_it_is_not_asked_for(tmp_path):
    file = put(tmp_path / "a.csv", "a,label\n1,0\n")
    for target, y in ((None, "0"), ("next", None)):
        (example,) = read([file], ReadRequest(kind="numbers", target=target))
        assert np.asarray(example.x).tolist() == [[1]] and example.y == y


def test_prediction_needs_no_y(tmp_path):
    file = put(tmp_path / "a.csv", "text\nhello\n")
    assert found(file, ReadRequest()) == [("hello", None, 2)]
    assert found(file, ReadRequest(y=("label",))) == [("hello", None, 2)]
    assert "no column for y; expected one of 'text'" in message(file)
    put(file, "text,label\nhello, yes \nbye,\n")
    assert found(file, ReadRequest()) == [("hello", "yes", 2), ("bye", None, 3)]


@pytest.mark.parametrize(
    ("columns", "fault"),
    [
        (
            "x=texte",
            r"1: no column 'texte'; expected one of 'text', number 2 without a name, 'kind'; try 'text'",
        ),
        ("y=4", "no column '4'"),
        ("id=key", "no column 'key'"),
        ("by=s", "no column 's'"),
        ("y=text", "'text' is to be x and something else|no column of texts"),
    ],
)
def test_missing_columns_list_what_there_is(tmp_path, columns, fault):
    file = put(tmp_path / "a.csv", "text,,kind\na,b,c\n")
    wanted = parse_columns(columns, ReadRequest(target="label", y=("kind",)))
    with pytest.raises((DataError, UsageError), match=fault):
        list(read([file], wanted))


def test_no_column_fits(tmp_path):
    many = ",".join(f"c{i}" for i in range(30))
    file = put(tmp_path / "a.csv", f"{many}\n{many}\n")
    assert "no column of texts" in message(file, ReadRequest())
    assert "'c19' and 10 more; try --columns x=NAME" in message(file, ReadRequest())
    assert "no column of numbers" in message(file, ReadRequest(kind="numbers"))
    put(file, "a,a,label\n1,2,3\n")
    assert "column 'a' occurs 2 times" in message(file, parse_columns("x=a", LABEL))
    assert found(file, parse_columns("x=2", LABEL)) == [("2", "3", 2)]


# --- CSV


def test_quotes_line_breaks_and_line_numbers(tmp_path):
    content = 'label,text\r\n1,"a, ""b""\r\n\r\nc"\r\n\r\n2,d "e" f\r\n3,""\r\n4,"x"'
    file = put(tmp_path / "a.csv", content)
    assert found(file) == [('a, "b"\r\n\r\nc', "1", 2), ('d "e" f', "2", 6), ("", "3", 7), ("x", "4", 8)]


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("block", [9, 10, 11, 16, 1 << 20])
def test_line_ends_and_encodings_across_any_block(tmp_path, monkeypatch, ending, block):
    monkeypatch.setattr(decoding, "BLOCK", block)
    content = ending.join(["label,text", '1,"naïve', '😀"', "", "2,drei", ""])
    expected = [(f"naïve{ending}😀", "1", 2), ("drei", "2", 5)]
    marks = {"utf-8": codecs.BOM_UTF8, "utf-16-le": codecs.BOM_UTF16_LE, "utf-16-be": codecs.BOM_UTF16_BE}
    marks |= {"utf-32-le": codecs.BOM_UTF32_LE, "utf-32-be": codecs.BOM_UTF32_BE}
    for encoding, mark in marks.items():
        data = mark + content.encode(encoding)
        assert found(put(tmp_path / "a.csv", data)) == expected
        assert found(put(tmp_path / "a.csv.gz", gzip.compress(data))) == expected
    assert found(put(tmp_path / "b.csv", content)) == expected


def test_semicolons_are_told_by_the_header(tmp_path):
    file = put(tmp_path / "a.csv", 'text;label\n"a;b";1\nc,d;2\n')
    assert found(file) == [("a;b", "1", 2), ("c,d", "2", 3)]
    put(file, '"text, as written";label\na;1\n')
    assert found(file, parse_columns("x=1", LABEL)) == [("a", "1", 2)]
    put(file, '"text; as written",label\na;b,1\n')
    assert found(file, parse_columns("x=1", LABEL)) == [("a;b", "1", 2)]


def test_tabs(tmp_path):
    file = put(tmp_path / "a.tsv", '\ttext\tlabel\n0\ta, b\t"1\t2"\n1\t5" wide\t3\n')
    assert found(file) == [("a, b", "1\t2", 2), ('5" wide', "3", 3)]
    assert found(file, parse_columns("y=1", LABEL)) == [("a, b", "0", 2), ('5" wide', "1", 3)]


CELLS = st.text(st.sampled_from("ab,;\"'\t\n\r é😀\u2028\x0b\x85\ufeff#"), max_size=8)


@given(
    st.integers(1, 4).flatmap(lambda n: st.lists(st.lists(CELLS, min_size=n, max_size=n), min_size=1)),
    st.sampled_from([",", "\t"]),
    st.sampled_from(["\n", "\r\n"]),
    st.integers(9, 40),
)
@settings(max_examples=150)
def test_what_the_csv_module_writes_is_read_again(tmp_path_factory, table, separator, ending, block):
    names = [f"c{i}" for i in range(len(table[0]))]
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=separator, lineterminator=ending, quoting=csv.QUOTE_ALL)
    starts = []
    for row in [names, *table]:
        written = out.getvalue()
        starts.append(1 + len([c for c in written.replace("\r\n", "\n") if c in "\r\n"]))
        writer.writerow(row)
    name = "a.csv" if separator == "," else "a.tsv"
    file = put(tmp_path_factory.mktemp("csv") / name, out.getvalue())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decoding, "BLOCK", block)
        for i, column in enumerate(names):
            wanted = ReadRequest(x=(column,))
            assert found(file, wanted) == [
                (row[i], None, s) for row, s in zip(table, starts[1:], strict=True)
            ]


@given(st.lists(st.lists(CELLS.filter(lambda cell: "\r" not in cell), min_size=2, max_size=2), min_size=1))
def test_what_the_csv_module_quotes_only_where_it_must(tmp_path_factory, table):
    out = io.StringIO(newline="")
    csv.writer(out).writerows([["text", "other"], *table])
    file = put(tmp_path_factory.mktemp("csv") / "a.csv", out.getvalue())
    assert [x for x, _, _ in found(file, ReadRequest())] == [row[0] for row in table]


@given(st.text(st.sampled_from('a,"\n\r;'), max_size=40))
@settings(max_examples=150)
def test_what_is_read_is_what_the_csv_module_reads(tmp_path_factory, content):
    file = put(tmp_path_factory.mktemp("csv") / "a.csv", "x,y,z\n" + content)
    try:
        expected = list(csv.reader(io.StringIO(content, newline=""), strict=True))
    except csv.Error:
        expected = None
    expected = expected and [row for row in expected if row]
    if not expected or any(len(row) != 3 for row in expected):
        with pytest.raises(DataError):
            list(read([file], ReadRequest(x=("x",))))
    else:
        for i, name in enumerate("xyz"):
            assert [x for x, _, _ in found(file, ReadRequest(x=(name,)))] == [row[i] for row in expected]


FAULTS = {
    "empty": ("", " empty file"),
    "mark only": (codecs.BOM_UTF8, " empty file"),
    "white": (" \n\t\r\n\n", " no examples: only white space"),
    "header only": ("text,label\n", "1: 0 rows"),
    "header only, below": ("\n\ntext,label\n\n", "3: 0 rows"),
    "open quote": ('text,label\na,1\n"b,2\nc,3\n' * 2, "3: the quote that opens here"),
    "open quote, to the end": (
        'text,label\na,1\nb,"2\nc,3\n',
        "3: the quote that opens here is never closed",
    ),
    "open quote, second line": (
        'text,label\n"a\nb","2\nc,3\n',
        "3: the quote that opens here is never closed",
    ),
    "after a quote": ('text,label\n"a\n" b,1\n', "3: ' b,1' follows a closing quote"),
    "a quote in a quoted field": ('text,label\n"a "b" c",1\n', "2: 'b\" c\",1' follows"),
    "open quote in the header": ('"text,label\na,1\n', "1: the quote that opens here is never closed"),
    "extra field": (
        "text,label\na,1\nb,c,1\n",
        "3: 3 fields in this row, 2 in the header; expected 2; try quotes",
    ),
    "missing field": ("text,label\na,1\nb\n", "3: 1 field in this row, 2 in the header"),
    "no label": ("text,label\na, \n", "2: column 'label' is empty; expected a class"),
    "latin": (b"text,label\ncaf\xe9,1\n", "2: byte 0xe9 at offset 14 is not UTF-8"),
    "latin after a return": (b"text,label\rcaf\xe9,1\n", "2: byte 0xe9 at offset 14 is not UTF-8"),
    "cut": ("text,label\nschön".encode()[:-2], "2: file ends inside a character at byte 14"),
    "nul": (b"text,label\na\0,1\n", "2: NUL character"),
    "utf-16 without mark": ("text,label\n".encode("utf-16-le"), "1: NUL character"),
    "xlsx": (b"PK\x03\x04rest", " this is a ZIP archive or a spreadsheet"),
    "gzip without its name": (gzip.compress(b"a"), " this is a gzip file"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_faults_are_told(tmp_path, name):
    content, fault = FAULTS[name]
    file = put(tmp_path / "a.csv", content)
    if name == "open quote":  # closed by the next one, which follows no separator
        assert "follows a closing quote" in message(file) or fault in message(file)
    else:
        assert message(file).startswith(fault)


def test_files_that_are_not_there(tmp_path):
    put(tmp_path / "train.csv", "text,label\na,b\n")
    with pytest.raises(UsageError, match=r"there is no such file; try 'train.csv'"):
        list(read([tmp_path / "trian.csv"], LABEL))
    with pytest.raises(UsageError, match="is a folder"):
        list(read([tmp_path], LABEL))
    with pytest.raises(UsageError, match=r"unknown table format; expected \.csv"):
        list(read([put(tmp_path / "a.txt", "text,label\na,b\n")], LABEL))
    with pytest.raises(UsageError, match=r"try '.tsv'"):
        list(read([put(tmp_path / "a.tsvv.gz", "text")], LABEL))
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(UsageError, match="not a regular file"):
        list(read([tmp_path / "pipe.csv"], LABEL))
    with pytest.raises(DataError, match="no examples"):
        list(read([], LABEL))


@pytest.mark.parametrize("content", [b"no gzip", gzip.compress(b"text,label\n" * 1000, mtime=0)[:-9]])
def test_damaged_gzip(tmp_path, content):
    assert "damaged gzip file" in message(put(tmp_path / "a.csv.gz", content))


@given(st.binary(max_size=60), st.sampled_from(["a.csv", "a.tsv", "a.jsonl"]))
@settings(max_examples=200)
def test_any_bytes_end_in_rows_or_an_error_of_ours(tmp_path_factory, content, name):
    file = put(tmp_path_factory.mktemp("any") / name, content)
    try:
        assert list(read([file], ReadRequest(x=("1",))))
    except DataError as error:
        assert str(file) in str(error)


@pytest.mark.parametrize("start", ["text,label\n", "text,label\n1,", 'text,label\n1,"', '{"text": "'])
def test_a_huge_line_in_bounded_memory(tmp_path, start):
    file = tmp_path / ("a.jsonl" if start[0] == "{" else "a.csv")
    with file.open("wb") as out:
        out.write(start.encode())
        for _ in range(64):
            out.write(b"x" * (1 << 20))
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match=r"\.\w+:\d: line too long; expected at most 16,777,216"):
            list(read([file], LABEL))
        assert tracemalloc.get_traced_memory()[1] < 48 << 20
    finally:
        tracemalloc.stop()


def test_a_quote_that_swallows_the_file_in_bounded_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(records, "LONGEST", 1000)
    file = put(tmp_path / "a.csv", 'text,label\n"a,1\n' + "b,2\n" * 1000)
    assert message(file).startswith("2: the quote that opens here is not closed within 1,000 characters")
    put(file, "text,label\n" + '"a",' * 300 + "\n")
    assert message(file).startswith("2: line too long") or message(file).startswith("2: row too long")
    put(file, f'text,label\n"{"a" * 990}",1\n')
    assert found(file) == [("a" * 990, "1", 2)]


# --- bad rows


def test_bad_rows_may_be_skipped_and_are_told(tmp_path):
    content = 'text,label\na,1\nb\n"c" d,2\ne,\nf,3\n'
    file = put(tmp_path / "a.csv", content)
    told = []
    wanted = ReadRequest(target="label", skip_bad=3, skipped=lambda place, why: told.append((place, why)))
    assert [x for x, _, _ in found(file, wanted)] == ["a", "f"]
    assert [place for place, _ in told] == [Place(file, line) for line in (3, 4, 5)]
    assert [why[:20] for _, why in told] == [
        "1 field in this row,",
        "' d,2' follows a clo",
        "column 'label' is em",
    ]
    assert message(file, ReadRequest(target="label", skip_bad=2)).startswith(
        "5: column 'label' is empty (after 2 bad rows that were skipped); expected a class"
    )
    assert message(file).startswith("3: 1 field")


def test_bad_rows_count_in_all_files_together(tmp_path):
    files = [put(tmp_path / name, "text,label\na\nb,1\n") for name in ("a.csv", "b.csv")]
    assert len(list(read(files, ReadRequest(target="label", skip_bad=2)))) == 2
    with pytest.raises(DataError, match=r"b.csv:2: .*after 1 bad rows"):
        list(read(files, ReadRequest(target="label", skip_bad=1)))
    put(tmp_path / "a.csv", "text,label\na\n")
    assert "no examples: every row is bad" in message(
        tmp_path / "a.csv", ReadRequest(target="label", skip_bad=1)
    )


# --- numbers


@pytest.mark.parametrize(
    ("text", "value"),
    [("1", 1), ("-2.5", -2.5), (" +3e2 ", 300), (".5", 0.5), ("5.", 5), ("1E-3", 0.001)]
    + [(t, None) for t in ("", "nan", "inf", "-Infinity", "1_000", "\uff15", "3,5", "1e999", "0x10")]
    + [(t, None) for t in ("1 2", "\u00b2", "e5", ".", "--1", "1e")],
)
def test_what_is_a_number(text, value):
    assert parse_number(text) == value


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_are_read_exactly(value):
    assert parse_number(repr(value)) == value


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("N/A", "3: column 'b' has 'N/A', which is not a number; expected a finite number such as 3.5"),
        ("", "3: column 'b' is empty"),
        (
            "\uff15",
            "3: column 'b' has '\uff15', which is not a number; expected a finite number such as 3.5; try 5",
        ),
        ('"1,000"', "has '1,000', which is not a number; expected a finite number such as 3.5"),
        ("nan", "has 'nan'"),
        ("-inf", "has '-inf'"),
        ("1e400", "has '1e400'"),
        ("x" * 500, f"has '{'x' * 40}', which"),
    ],
)
def test_what_is_no_number_is_told_with_row_and_column(tmp_path, text, fault):
    file = put(tmp_path / "a.csv", f"a,b,label\n1,2,c\n1,{text},c\n")
    target = parse_columns("x=a,y=b", ReadRequest(kind="numbers", target="number"))
    assert fault in message(file, target)
    if text in ("N/A", "", "nan"):  # a measurement of x may be missing
        assert np.isnan(np.asarray([e.x for e in read([file], NUMBERS)])[1, 0, 1])
    else:
        assert fault in message(file, NUMBERS)


def test_missing_measurements_are_nan(tmp_path):
    file = tmp_path / "a.csv"
    for text in ("", "NaN", "nan", "n/a", "N/A", "#N/A", "NA", "null", "NULL", "None", "?", "-", " ", "<NA>"):
        put(file, f"a,b,label\n{text},{text},c\n1,2,c\n")
        first, second = (np.asarray(example.x) for example in read([file], NUMBERS))
        assert np.isnan(first).all() and second.tolist() == [[1, 2]], text
    put(tmp_path / "a.jsonl", '{"a": NaN, "b": null, "label": "c"}\n{"a": 1, "b": 2, "label": "c"}\n')
    first, second = (np.asarray(example.x) for example in read([tmp_path / "a.jsonl"], NUMBERS))
    assert np.isnan(first).all() and second.tolist() == [[1, 2]]


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("a.csv", "a;label\n1,5;c\n-0,25;c\n7;c\n", [1.5, -0.25, 7]),
        ("a.csv", 'a,label\n"1,5",c\n"1.234,5",c\n', [1.5, 1234.5]),
        ("a.tsv", "a\tlabel\n1,5\tc\n\tc\n1,500\tc\n", [1.5, np.nan, 1.5]),
        ("a.csv", "a;label\n1,234;c\n", [1.234]),
    ],
)
def test_decimal_commas(tmp_path, name, text, expected):
    told = []
    wanted = ReadRequest(
        kind="numbers", target="label", noted=lambda place, what: told.append((place.line, what))
    )
    found = [np.asarray(example.x)[0, 0] for example in read([put(tmp_path / name, text)], wanted)]
    np.testing.assert_array_equal(found, expected)
    assert told == [(1, "column 'a' is read with decimal commas")]


def test_commas_that_may_be_thousands_are_rejected(tmp_path):
    file = put(tmp_path / "a.csv", 'a,b,label\n"1,234",1,c\n"5,678",2,c\n')
    assert "column 'a' has '1,234', which is not a number" in message(file, parse_columns("x=a", NUMBERS))
    put(file, "a;label\n1,5;c\n1.5;c\n")
    assert "3: column 'a' has '1.5', with a decimal point; expected a decimal comma" in message(file, NUMBERS)


# --- long tables


LONG = "session,ax,ay,label\ns,1,2,walk\ns,3,4,walk\nt,5,6,run\n"
BY = parse_columns("by=session", NUMBERS)


def test_rows_of_one_session_are_one_sequence(tmp_path):
    file = put(tmp_path / "a.csv", LONG)
    examples = list(read([file], BY))
    assert numbers(examples) == [[[1, 2], [3, 4]], [[5, 6]]]
    assert [(e.y, e.place.line, e.id) for e in examples] == [("walk", 2, "s"), ("run", 4, "t")]
    tags = list(read([file], parse_columns("by=session", ReadRequest(kind="numbers", target="tags"))))
    assert [example.y for example in tags] == [("walk", "walk"), ("run",)]
    following = list(read([file], parse_columns("by=session", ReadRequest(kind="numbers", target="next"))))
    assert numbers(following) == numbers(examples) and {example.y for example in following} == {None}
    reals = parse_columns("by=session,x=ax,y=ay", ReadRequest(kind="numbers", target="number"))
    assert "y is (4.0,) here and (2.0,) in line 2 of the same sequence" in message(file, reals)


def test_a_long_table_of_tokens(tmp_path):
    file = put(tmp_path / "a.tsv", "sentence_id\ttext\ttag\n1\tNew York\tB\n1\t,\tO\n2\tHi\tO\n")
    wanted = parse_columns("by=sentence_id", ReadRequest(target="tags"))
    assert found(file, wanted) == [(("New York", ","), ("B", "O"), 2), (("Hi",), ("O",), 4)]
    for target, y in ((None, ("B", "O")), ("next", None)):
        assert found(file, parse_columns("by=1", ReadRequest(target=target)))[0] == (("New York", ","), y, 2)
    put(file, "sentence_id\ttext\ttag\n1\t\tB\n")
    assert "2: an empty token" in message(file, wanted)


@pytest.mark.parametrize(
    ("rows", "fault"),
    [
        ("s,1,2,walk\ns,3,4,run\n", "3: y is 'run' here and 'walk' in line 2 of the same sequence"),
        (",1,2,w\n", "2: column 'session' is empty"),
    ],
)
def test_faults_of_long_tables(tmp_path, rows, fault):
    file = put(tmp_path / "a.csv", "session,ax,ay,label\n" + rows)
    with pytest.raises(DataError, match=fault):
        list(read([file], BY))


def test_a_bad_step_is_left_out(tmp_path):
    file = put(tmp_path / "a.csv", LONG + "t,7,x,run\nt,8,9,walk\nt,10,11,run\ns,1,2,walk\nu,0,0,run\n")
    told = []
    wanted = ReadRequest(
        by="session", kind="numbers", target="label", skip_bad=3, skipped=lambda p, _: told.append(p.line)
    )
    found = numbers(list(read([file], wanted)))
    assert found == [[[1, 2], [3, 4], [1, 2]], [[5, 6], [10, 11]], [[0, 0]]]
    assert told == [5, 6]


@given(st.lists(st.tuples(st.integers(1, 4), st.integers(0, 1)), min_size=1, max_size=8))
def test_sequences_of_any_length_are_put_together(tmp_path_factory, shapes):
    written, expected = "by,a,label\n", []
    for name, (length, label) in enumerate(shapes):
        expected.append(([[float(t)] for t in range(length)], str(label), written.count("\n") + 1))
        written += "".join(f"{name},{t},{label}\n" for t in range(length))
    file = put(tmp_path_factory.mktemp("by") / "a.csv", written)
    examples = read([file], parse_columns("by=by", NUMBERS))
    assert [(np.asarray(e.x).tolist(), e.y, e.place.line) for e in examples] == expected


# --- text and tags in one row


def test_tags_of_a_text_are_cut_at_white_space(tmp_path):
    wanted = parse_columns("y=tags", ReadRequest(target="tags"))
    file = put(tmp_path / "a.csv", "text,tags\nin  Paris,O B-LOC\n,\n")
    assert found(file, wanted) == [(("in", "Paris"), ("O", "B-LOC"), 2), ((), (), 3)]
    put(file, "text,tags\nin Paris,O B-LOC\nto Paris now,O B-LOC\n")
    assert message(file, wanted) == "3: 3 tokens and 2 tags; expected the same number"


# --- JSON lines


def jsonl(path: Path, *values: object) -> Path:
    return put(path, "".join(json.dumps(value, ensure_ascii=False) + "\n" for value in values))


def test_json_lines(tmp_path):
    file = jsonl(
        tmp_path / "a.jsonl",
        {"text": "a\nb", "label": 1, "id": "p"},
        {"label": True, "text": None, "more": 1, "id": None},
        {"id": 7, "label": 2.5, "text": 1984},
    )
    examples = list(read([file], LABEL))
    assert [(e.x, e.y, e.id) for e in examples] == [
        ("a\nb", "1", "p"),
        ("", "true", None),
        ("1984", "2.5", "7"),
    ]
    zipped = put(tmp_path / "b.jsonl.gz", gzip.compress(b"\xef\xbb\xbf\n" + file.read_bytes()))
    assert found(zipped) == [(x, y, line + 1) for x, y, line in found(file)]


def test_json_lines_of_tokens_and_numbers(tmp_path):
    file = jsonl(tmp_path / "a.jsonl", {"x": ["a b", "c"], "y": ["O", "B"]})
    assert found(file, ReadRequest(target="tags")) == [(("a b", "c"), ("O", "B"), 1)]
    assert found(file, ReadRequest()) == [(("a b", "c"), ("O", "B"), 1)]
    jsonl(file, {"x": [[1, 2], [3, 4], [5, 6]], "y": [0.5, 1]}, {"x": [[7, 8.5]], "y": 2})
    examples = list(read([file], ReadRequest(kind="numbers", target="number")))
    assert numbers(examples) == [[[1, 2], [3, 4], [5, 6]], [[7, 8.5]]]
    assert [example.y for example in examples] == [(0.5, 1.0), (2.0,)]
    assert [example.y for example in read([file], ReadRequest(kind="numbers"))] == [(0.5, 1.0), "2"]
    jsonl(file, {"ax": [1, 2], "ay": [[3], [4]], "y": ["u", "v"]}, {"ax": 1, "ay": [2], "y": ["w"]})
    examples = list(read([file], ReadRequest(kind="numbers", target="tags")))
    assert numbers(examples) == [[[1, 3], [2, 4]], [[1, 2]]] and examples[0].y == ("u", "v")
    jsonl(file, {"s": "a", "x": [1, 2]}, {"s": "a", "x": [3, 4]})
    by = parse_columns("by=s", ReadRequest(kind="numbers"))
    assert numbers(list(read([file], by))) == [[[1, 2], [3, 4]]]
    jsonl(file, {"s": "a", "x": [1, 2]}, {"s": "a", "x": [3]})
    assert "2: 1 numbers here and 2 in line 1 of the same sequence" in message(file, by)
    jsonl(file, {"s": "a", "x": [[1], [2]]})
    assert "1: column 'x' has a list of 1, which is not a number" in message(file, by)


GOOD = '{"text": "a", "label": "b"}\n'
JSON_FAULTS = {
    "not json": ("nonsense", "not JSON: Expecting value at character 1"),
    "cut": ('{"text": "a", "la', "not JSON"),
    "array": ("[1]", "not a JSON object: begins with '['"),
    "array of objects": ('[{"text": "a"}]', "try jq -c"),
    "two": ('{"text": "a"} {"text": "b"}', "not JSON: Extra data"),
    "nan": ('{"text": "a", "label": NaN}', "column 'label' is empty"),
    "infinity": ('{"text": "a", "label": -Infinity}', "-Infinity is not a number"),
    "twice": ('{"text": "a", "text": "b", "label": 1}', "JSON object has the key 'text' twice"),
    "twice inside": ('{"text": "a", "label": {"k": 1, "k": 2}}', "JSON object has the key 'k' twice"),
    "deep": ('{"text": ' + "[" * 100_000 + "]" * 100_000 + "}", "nested too deeply"),
    "deep objects": ('{"a":' * 100_000 + "1" + "}" * 100_000, "nested too deeply"),
    "long number": ('{"text": "a", "label": ' + "1" * 10_000 + "}", "Exceeds the limit"),
    "no label": ('{"text": "a"}', "no column 'label' in this row"),
    "no text": ('{"label": "a", "texte": "b"}', "no column 'text' in this row"),
    "object": ('{"text": {"a": 1}, "label": 1}', "column 'text' has an object; expected a text"),
    "list of objects": ('{"text": [{}], "label": 1}', "column 'text' has an object"),
    "empty token": ('{"text": ["a", ""], "label": 1}', "column 'text' has an empty entry at position 2"),
    "surrogate": ('{"text": "a\\ud800", "label": 1}', "an unpaired surrogate"),
    "control": ('{"text": "a\tb", "label": 1}', "not JSON: Invalid control character"),
    "empty label": ('{"text": "a", "label": null}', "column 'label' is empty"),
    "list label": ('{"text": "a", "label": [1]}', "column 'label' has a list of 1; expected a text"),
}


@pytest.mark.parametrize("name", JSON_FAULTS)
def test_faults_of_json_lines(tmp_path, name):
    content, fault = JSON_FAULTS[name]
    file = put(tmp_path / "a.jsonl", GOOD + content + "\n" + GOOD)
    told = message(file)
    assert told.startswith("2: ") and fault in told and len(told) < 400
    assert len(found(file, ReadRequest(target="label", skip_bad=1))) == 2


@pytest.mark.parametrize(
    ("x", "fault"),
    [
        ([[1, 2], [3]], "column 'x' has 1 numbers at step 2 and 2 at step 1"),
        ([], "column 'x' has no numbers"),
        ([[]], "column 'x' has no numbers"),
        ([1, "b"], "column 'x' has 'b', which is not a number"),
        ([[[1]]], "column 'x' has a list of 1, which is not a number"),
        (10**400, "which is not a number"),
    ],
)
def test_faults_of_numbers_in_json(tmp_path, x, fault):
    file = jsonl(tmp_path / "a.jsonl", {"x": [1], "label": "a"}, {"x": x, "label": "a"})
    assert fault in message(file, parse_columns("x=x", NUMBERS))


def test_json_faults_of_the_first_line_and_of_tags(tmp_path):
    assert message(put(tmp_path / "a.jsonl", "\n{}\n")).startswith("2: no column of texts")
    assert "1: not JSON" in message(put(tmp_path / "a.json", '{\n "text": "a"\n}'))
    assert "only white space" in message(put(tmp_path / "b.jsonl", " \n\n"))
    file = jsonl(tmp_path / "c.jsonl", {"x": [1, 2, 3], "y": ["a"]})
    assert "3 steps and 1 tags" in message(file, ReadRequest(kind="numbers", target="tags"))
    file = jsonl(tmp_path / "e.jsonl", {"ax": [1, 2], "ay": [1, 2, 3]})
    assert "1: column 'ay' has 3 steps; expected 2" in message(file, ReadRequest(kind="numbers"))
    file = jsonl(tmp_path / "d.jsonl", {"text": "a", "label": 1}, {"text": "b"})
    assert found(file, ReadRequest()) == [("a", "1", 1), ("b", None, 2)]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@given(
    JSON,
    JSON,
    st.sampled_from(["text", "numbers"]),
    st.sampled_from(["label", "number", "tags", "next", None]),
)
@settings(max_examples=150)
def test_any_json_ends_in_an_example_or_an_error_of_ours(tmp_path_factory, x, y, kind, target):
    file = jsonl(tmp_path_factory.mktemp("json") / "a.jsonl", {"x": x, "y": y})
    try:
        (example,) = read([file], ReadRequest(x=("x",), kind=kind, target=target))
    except DataError as error:
        assert f"{file}:1:" in str(error)
    else:
        assert isinstance(example.x, np.ndarray) == (kind == "numbers")


# --- Parquet


def test_parquet(tmp_path):
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    file = tmp_path / "a.parquet"
    columns = {
        "text": ["a", None, "c"],
        "label": arrow.array(["p", "q", "p"]).dictionary_encode(),
        "when": arrow.array([1, 2, 3], arrow.timestamp("ns")),
        "a": [1, 2, 3],
        "b": [0.5, 1.5, float("nan")],
        "s": [[[1.0, 2.0], [3.0, 4.0]], [[5.0, 6.0]], [[7.0, 8.0]]],
    }
    parquet.write_table(arrow.table(columns), file, row_group_size=2)
    assert found(file) == [("a", "p", 1), ("", "q", 2), ("c", "p", 3)]
    assert numbers(list(read([file], parse_columns("x=s", NUMBERS)))) == [
        [[1, 2], [3, 4]],
        [[5, 6]],
        [[7, 8]],
    ]
    measured = np.concatenate([np.asarray(e.x) for e in read([file], parse_columns("x=a+b", NUMBERS))])
    np.testing.assert_array_equal(measured, [[1, 0.5], [2, 1.5], [3, np.nan]])
    assert found(file, parse_columns("x=when", LABEL))[0][0].startswith("1970-01-01")
    assert " no column 'texts'" in message(file, parse_columns("x=texts", LABEL))
    whole = file.read_bytes()
    for damaged in (whole[:-1], whole[:40], b"PAR1", b"text,label\n", whole[:20] + b"\xff" * 20 + whole[40:]):
        assert "not a readable Parquet file" in message(put(file, damaged))
    assert "empty file" in message(put(file, b""))
    parquet.write_table(
        arrow.table({"text": arrow.array([], "string"), "label": arrow.array([], "string")}), file
    )
    assert message(file).startswith(" 0 rows")
    assert "try gunzip" in message(put(tmp_path / "a.parquet.gz", gzip.compress(whole)))
    assert "this is a Parquet file" in message(put(tmp_path / "a.csv", whole))


def test_parquet_without_pyarrow(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(MissingExtra, match=r"pyarrow is not installed; try pip install 'unrolled\[table\]'"):
        list(read([put(tmp_path / "a.parquet", b"PAR1")], LABEL))


# --- a real one


def test_drug_reviews(data):
    file = data / "sentiment" / "druglib" / "drugLibTrain_raw.tsv"
    if not file.exists():
        pytest.skip("no sentiment/druglib in the data folder")
    wanted = parse_columns("x=benefitsReview+sideEffectsReview+commentsReview,y=effectiveness,id=1", LABEL)
    examples = list(read([file], wanted))
    assert len(examples) == 4143
    with file.open(encoding="utf-8", newline="") as stream:
        reader = csv.reader(stream, delimiter="\t")
        next(reader)
        for example, row in zip(examples, reader, strict=True):
            assert (
                example.x == " ".join(filter(None, row[6:9])) and example.y == row[3] and example.id == row[0]
            )
    content = file.read_text(encoding="utf-8").split("\n")
    assert all(content[e.place.line - 1].startswith(f"{e.id}\t") for e in examples)


def test_a_missing_column_of_a_pair_is_named_as_translate_names_it(tmp_path: Path):
    pair = ReadRequest(kind="text", target="text")
    told = message(put(tmp_path / "a.csv", "source\nx\n"), pair)
    assert "no column of target texts; expected one of 'source'" in told and "x=SOURCE,y=TARGET" in told
    told = message(put(tmp_path / "b.csv", "a,b,c\nx,y,1\n"), pair)
    assert "no column of source texts and none of target texts" in told and "source, src, text" in told
