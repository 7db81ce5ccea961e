"""Tables that independent writers made -- Python's csv, pandas, json, plain joins -- are read again cell by cell.

No row is lost or gained, no column is lost. 60 random tables in each run; `pytest -m slow` reads 2,000 of each kind.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from unrolled.core.types import Example
from unrolled.data.read_request import FileOptions, ReadRequest
from unrolled.data.readers.conll import read as read_conll
from unrolled.data.readers.table import read

FEW, MANY = 60, 2_000

LETTERS = "ab ,;|\"'\t\n#é.1€"
PLAIN = "ab ,;|\"'#é.1€"  # no tab and no line break: for files without quotes
ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-32", "cp1252")


@dataclass(frozen=True)
class Table:
    """A random table, and how it is to be written."""

    names: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    ending: str
    encoding: str
    packed: bool
    comments: tuple[str, ...]


@st.composite
def tables(draw: st.DrawFn, letters: str, columns: int = 1) -> Table:
    count = draw(st.integers(columns, 5))
    names = draw(
        st.lists(
            st.text("abcXYZ é", min_size=1, max_size=6).map(str.strip).filter(bool),
            min_size=count,
            max_size=count,
            unique_by=str.casefold,
        )
    )
    cell = st.text(st.sampled_from(letters), max_size=7)
    rows = draw(st.lists(st.tuples(*[cell] * count), min_size=1, max_size=12))
    comments = draw(st.lists(st.sampled_from(["# made by hand", "#", "# v1.2"]), max_size=2))
    return Table(
        tuple(names),
        tuple(rows),
        draw(st.sampled_from(["\n", "\r\n", "\r"])),
        draw(st.sampled_from(ENCODINGS)),
        draw(st.booleans()),
        tuple(comments) if count > 1 else (),
    )


def put(folder: Path, name: str, text: str, table: Table) -> Path:
    path = folder / (name + ".gz" * table.packed)
    data = text.encode(table.encoding)
    path.write_bytes(gzip.compress(data) if table.packed else data)
    return path


def cells(path: Path, table: Table, quoting: str = "auto") -> list[tuple[Any, ...]]:
    """The rows as they are read, column by column."""
    given = table.encoding if table.encoding == "cp1252" else None
    options = FileOptions(encoding=given, quoting=quoting)
    columns = [
        [example.x for example in read([path], ReadRequest(x=(f"{number}",), files=options))]
        for number in range(1, len(table.names) + 1)
    ]
    return list(zip(*columns, strict=True))


def by_csv(table: Table, separator: str, quoting: int) -> str:
    out = io.StringIO(newline="")
    out.write("".join(comment + table.ending for comment in table.comments))
    writer = csv.writer(out, delimiter=separator, lineterminator=table.ending, quoting=quoting)
    writer.writerows([table.names, *table.rows])
    return out.getvalue()


def quotable(table: Table, style: int) -> Table:
    """The csv module quotes a line feed only where it is in the line end, unless it quotes everything."""
    bare = style == csv.QUOTE_MINIMAL and table.ending == "\r"
    return replace(table, ending="\r\n") if bare else table


SEPARATORS = st.sampled_from([(",", "a.csv"), (";", "a.csv"), ("\t", "a.tsv")])
STYLES = st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC])


def separated(table: Table, how: tuple[str, str]) -> tuple[str, str]:
    """A table of one column has no separator from which one could tell which it is: then it is a comma, or a tab."""
    return (",", "a.csv") if len(table.names) == 1 and how[0] == ";" else how


def csv_module(tmp_path_factory, table: Table, how: tuple[str, str], style: int) -> None:
    separator, name = separated(table, how)
    table = quotable(table, style)
    text = by_csv(table, separator, style)
    # A tab-separated file with quotes around tabs AND line breaks alone may be read either way.
    mixed = separator == "\t" and any("\t" in cell or "\n" in cell for row in table.rows for cell in row)
    clear = style != csv.QUOTE_MINIMAL or not mixed
    single = separator == "\t" and len(table.names) == 1
    path = put(tmp_path_factory.getbasetemp(), name, text, table)
    assert cells(path, table, "auto" if clear and not single else "csv") == list(table.rows)


@given(tables(LETTERS), SEPARATORS, STYLES)
@settings(max_examples=FEW)
def test_the_csv_module(tmp_path_factory, table, how, style):
    csv_module(tmp_path_factory, table, how, style)


def raw(tmp_path_factory, table: Table) -> None:
    lines = [*table.comments, *("\t".join(row) for row in [table.names, *table.rows])]
    path = put(tmp_path_factory.getbasetemp(), "a.tsv", table.ending.join(lines) + table.ending, table)
    # Where every field of a column happens to be in quotes, the file is one that a program quoted.
    consistent = any('"' in cell for row in table.rows for cell in row) and all(
        '"' not in cell or (len(cell) > 1 and cell[0] == cell[-1] == '"')
        for row in table.rows
        for cell in row
    )
    assert cells(path, table, "none" if consistent else "auto") == list(table.rows)


@given(tables(PLAIN, columns=2))
@settings(max_examples=FEW)
def test_tabs_without_quotes(tmp_path_factory, table):
    raw(tmp_path_factory, table)


def pandas_writes(tmp_path_factory, table: Table, how: tuple[str, str], style: int) -> None:
    pandas = pytest.importorskip("pandas")
    separator, name = separated(table, how)
    table = quotable(table, style)
    frame = pandas.DataFrame(list(table.rows), columns=list(table.names))
    text = frame.to_csv(sep=separator, index=False, quoting=style, lineterminator=table.ending)
    path = put(tmp_path_factory.getbasetemp(), name, text, table)
    unclear = separator == "\t" and (style == csv.QUOTE_MINIMAL or len(table.names) == 1)
    assert cells(path, table, "csv" if unclear else "auto") == list(table.rows)


@given(tables(LETTERS), SEPARATORS, STYLES)
@settings(max_examples=FEW)
def test_pandas(tmp_path_factory, table, how, style):
    pandas_writes(tmp_path_factory, table, how, style)


def json_lines(tmp_path_factory, table: Table, ascii_only: bool, name: str, left_out: int) -> None:
    rows = [dict(zip(table.names, row, strict=True)) for row in table.rows]
    first = {key: value for i, (key, value) in enumerate(rows[0].items()) if i != left_out or not i}
    lines = [json.dumps(row, ensure_ascii=ascii_only) for row in [first, *rows[1:]]]
    path = put(tmp_path_factory.getbasetemp(), name, table.ending.join(lines) + table.ending, table)
    given = table.encoding if table.encoding == "cp1252" else None
    for number, key in enumerate(table.names):
        whole = len(rows) > 1 and key not in first
        wanted = ReadRequest(x=(key,), skip_bad=int(whole), files=FileOptions(encoding=given))
        if key not in first and not whole:
            continue  # the key is nowhere
        expected = [row[number] for row in table.rows[int(whole) :]]
        assert [example.x for example in read([path], wanted)] == expected


@given(tables(LETTERS), st.booleans(), st.sampled_from(["a.jsonl", "a.ndjson", "a.json"]), st.integers(0, 4))
@settings(max_examples=FEW)
def test_json_lines_whose_first_object_lacks_a_key(tmp_path_factory, table, ascii_only, name, left_out):
    json_lines(tmp_path_factory, table, ascii_only, name, left_out)


@pytest.mark.slow
@given(tables(LETTERS), SEPARATORS, STYLES, tables(PLAIN, columns=2), st.booleans(), st.integers(0, 4))
@settings(max_examples=MANY, suppress_health_check=list(HealthCheck))
def test_two_thousand_tables(tmp_path_factory, table, how, style, plain, ascii_only, left_out):
    csv_module(tmp_path_factory, table, how, style)
    pandas_writes(tmp_path_factory, table, how, style)
    raw(tmp_path_factory, plain)
    json_lines(tmp_path_factory, table, ascii_only, "a.jsonl", left_out)


# --- CoNLL

TOKENS = st.text(st.sampled_from("ab#'\"-,é\u00a0."), min_size=1, max_size=5).filter(
    lambda t: t != "-DOCSTART-"
)
SPAN_TAGS = st.sampled_from(["O", "B-PER", "I-PER", "B-LOC"])


@st.composite
def documents(draw: st.DrawFn) -> tuple[list[list[tuple[str, str]]], dict[str, Any]]:
    sentences = draw(
        st.lists(st.lists(st.tuples(TOKENS, SPAN_TAGS), min_size=1, max_size=5), min_size=1, max_size=6)
    )
    how = {
        "columns": draw(st.sampled_from([2, 4])),
        "separator": draw(st.sampled_from(["\t", " "])),
        "ending": draw(st.sampled_from(["\n", "\r\n", "\r"])),
        "comments": draw(st.sampled_from([(), ("# id 1 domain=en",), ("# sent_id = 1", "# text = a b")])),
        "encoding": draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16"])),
        "closed": draw(st.booleans()),
    }
    return sentences, how


def conll(sentences: list[list[tuple[str, str]]], how: dict[str, Any]) -> str:
    lines: list[str] = []
    for sentence in sentences:
        lines += how["comments"]
        for token, tag in sentence:
            lines.append(how["separator"].join([token, *["_"] * (how["columns"] - 2), tag]))
        lines.append("")
    lines = lines if how["closed"] else lines[:-1]
    return how["ending"].join(lines) + (how["ending"] if how["closed"] else "")


def conll_is_read(tmp_path_factory, document: tuple[list[list[tuple[str, str]]], dict[str, Any]]) -> None:
    sentences, how = document
    path = tmp_path_factory.getbasetemp() / "a.conll"
    path.write_bytes(conll(sentences, how).encode(how["encoding"]))
    assert pairs(list(read_conll([path], ReadRequest(target="tags")))) == sentences


def pairs(examples: list[Example]) -> list[list[tuple[str, str]]]:
    return [list(zip(example.x, example.y or (), strict=True)) for example in examples]


@given(documents())
@settings(max_examples=FEW)
def test_conll_of_another_writer(tmp_path_factory, document):
    conll_is_read(tmp_path_factory, document)


def universal(sentences: list[list[tuple[str, str]]], how: dict[str, Any]) -> str:
    """CoNLL-U: ten columns, words numbered, with ranges and empty nodes between them."""
    lines: list[str] = []
    for number, sentence in enumerate(sentences, 1):
        lines += [f"# sent_id = s{number}", "# text = " + " ".join(token for token, _ in sentence)]
        for at, (token, tag) in enumerate(sentence, 1):
            if at == 2:
                lines.append("\t".join(["2-3", "whole", *["_"] * 8]))
            lines.append("\t".join([f"{at}", token, "_", tag, *["_"] * 6]))
            if at == 1:
                lines.append("\t".join(["1.1", "empty", *["_"] * 8]))
        lines.append("")
    return how["ending"].join(lines) + how["ending"]


def universal_is_read(tmp_path_factory, document: tuple[list[list[tuple[str, str]]], dict[str, Any]]) -> None:
    sentences, how = document
    path = tmp_path_factory.getbasetemp() / "a.conllu"
    path.write_bytes(universal(sentences, how).encode(how["encoding"]))
    found = list(read_conll([path], ReadRequest(target="tags")))
    assert pairs(found) == sentences
    assert [example.id for example in found] == [f"s{number}" for number in range(1, len(sentences) + 1)]


@given(documents())
@settings(max_examples=FEW)
def test_conll_u_of_another_writer(tmp_path_factory, document):
    universal_is_read(tmp_path_factory, document)


@pytest.mark.slow
@given(documents())
@settings(max_examples=MANY, suppress_health_check=list(HealthCheck))
def test_two_thousand_conll_files(tmp_path_factory, document):
    conll_is_read(tmp_path_factory, document)
    universal_is_read(tmp_path_factory, document)
