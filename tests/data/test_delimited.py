"""How a table of text is written: separators, comments, quotes, decided from many lines."""

from __future__ import annotations

from pathlib import Path

import pytest

from unrolled.data.delimited import find_dialect, swallowing
from unrolled.data.read_request import FileOptions, ReadRequest
from unrolled.data.readers.table import read

PLAIN = FileOptions()


def put(path: Path, text: str) -> Path:
    path.write_bytes(text.encode())
    return path


def texts(path: Path, wanted: ReadRequest | None = None) -> list[tuple[object, object]]:
    return [(example.x, example.y) for example in read([path], wanted or ReadRequest(target="label"))]


ROWS = [("so good", "yes"), ("bad, really", "no"), ("fine", "yes")]


@pytest.mark.parametrize(
    ("name", "text", "separator"),
    [
        ("a.csv", "text,label\na,b\n", ","),
        ("a.csv", "text;label\na,b;c\n", ";"),
        ("a.csv", "text\tlabel\na,b;\tc\n", "\t"),
        ("a.csv", "text|label\na,b|c\n", "|"),
        ("a.csv", "text, or so;label\na;b\nc;d\n", ";"),  # the header alone does not decide
        ("a.csv", '"text;more",label\na,b\n', ","),
        ("a.csv", "sep=;\ntext;label\na,b;c\n", ";"),
        ("a.csv", '"sep=|"\ntext|label\na,b|c\n', "|"),
        ("a.tsv", "text;x\tlabel\na;b\tc\n", "\t"),
        ("a.csv", "text\nno separator; at all\n", ","),
    ],
)
def test_separators(tmp_path, name, text, separator):
    assert find_dialect(put(tmp_path / name, text), PLAIN).separator == separator


def test_a_line_that_names_the_separator_is_no_row(tmp_path):
    file = put(tmp_path / "a.csv", "sep=;\r\ntext;label\r\n" + "".join(f"{a};{b}\r\n" for a, b in ROWS))
    assert texts(file) == ROWS
    assert next(iter(read([file], ReadRequest(target="label")))).place.line == 3


@pytest.mark.parametrize(
    ("head", "comments"),
    [
        ("# exported today\n", (1,)),
        ("# exported, today\n# by hand\n\n", (1, 2)),
        ("#\n", (1,)),
        ("", ()),
    ],
)
def test_comments_before_the_header_are_left_out(tmp_path, head, comments):
    told = []
    file = put(tmp_path / "a.tsv", head + "text\tlabel\n" + "".join(f"{a}\t{b}\n" for a, b in ROWS))
    wanted = ReadRequest(target="label", noted=lambda place, what: told.append((place.line, what)))
    assert texts(file, wanted) == ROWS
    assert told == [(line, "comment line before the header, skipped") for line in comments]


def test_a_header_may_be_marked_as_a_comment(tmp_path):
    file = put(tmp_path / "a.csv", "# made by a program\n#id,text,label\n7,so good,yes\n8,bad,no\n")
    assert [(e.id, e.x, e.y) for e in read([file], ReadRequest(target="label"))] == [
        ("7", "so good", "yes"),
        ("8", "bad", "no"),
    ]


QUOTES = [
    ('so "good"\tyes\n"bad\tno\n', False),  # strays
    ('"\tyes\nbad\tno\n"\tyes\n', False),  # a lone quote twice, with a row between
    ('"all of it"\tyes\nbad\tno\n', False),  # quotes that no program would need
    ('"all of it"\tyes\n"bad"\tno\n', True),  # a column that is quoted everywhere
    ('"so ""good"""\tyes\nbad\tno\n', True),  # doubled ones, as a program writes them
    ('"so\tgood"\tyes\nbad\tno\n', True),  # a tab that needs them
    ('"so\ngood"\tyes\nbad\tno\n', True),  # a line break that needs them
    ("so good\tyes\nbad\tno\n", False),
]


@pytest.mark.parametrize(("rows", "quoted"), QUOTES)
def test_quotes_in_tab_separated_files(tmp_path, rows, quoted):
    file = put(tmp_path / "a.tsv", "text\tlabel\n" + rows)
    assert find_dialect(file, PLAIN).quotes == quoted
    assert [y for _, y in texts(file)] == [line.split("\t")[-1] for line in rows.split("\n") if "\t" in line]
    for given in ("csv", "none"):
        assert find_dialect(file, FileOptions(quoting=given)).quotes == (given == "csv")


def test_stray_quotes_never_join_rows(tmp_path):
    for stray in ('"', '"so', 'so"', '"so" good', '""', '"""'):
        lines = [f"row {i}\tno" for i in range(40)]
        for at in (3, 17, 30):
            lines[at] = f"{stray}\tyes"
        file = put(tmp_path / "a.tsv", "text\tlabel\n" + "\n".join(lines) + "\n")
        found = texts(file)
        assert len(found) == 40 and [x for x, y in found if y == "yes"] == [stray] * 3, stray


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('text,label\ngood, "yes"\nbad, no\n', [("good", "yes"), ("bad", "no")]),
        ('text,label\nso, "yes, sir"\n', [("so", "yes, sir")]),
        ('text, "label"\ngood, "yes" \n', [("good", "yes")]),
        ('text,label\n"so" , "a ""b""" \n', [("so", 'a "b"')]),
        ('text,label\ngood,\t"yes"\t\n', [("good", "yes")]),
        ('text,label\ngood,\u00a0"yes, sir"\n', [("good", "yes, sir")]),
    ],
)
def test_spaces_around_quoted_fields_are_left_out(tmp_path, text, expected):
    assert texts(put(tmp_path / "a.csv", text)) == expected


def test_rows_that_may_hold_others_are_found(tmp_path):
    lines = ['",good', *["fine,good"] * 12, '",bad', "last,bad"]
    file = put(tmp_path / "a.csv", "text,label\n" + "\n".join(lines) + "\n")
    assert list(swallowing(file, PLAIN)) == [(2, 14)]
    assert list(swallowing(put(file, 'text,label\n"two\nlines",a\n'), PLAIN)) == []
