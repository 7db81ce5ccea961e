"""`predict` and `score` on the files of real users: line ends, encodings, short rows, missing numbers, csv answers."""

from __future__ import annotations

import csv
import io
import json
from functools import cache
from pathlib import Path

import pytest

from support.small_models import apart, refused, run, small, temporary
from unrolled.cli.answers.line_io import read_lines
from unrolled.cli.answers.nbest import groups
from unrolled.core.errors import DataError

TINY = ("--epochs", "2", "--hidden", "4", "--threads", "1")
ROWS = [("so good", "yes"), ("bad", "no"), ("good", "yes"), ("so bad", "no")] * 12


def put(path: Path, content: bytes | str) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def series_rows(header: str, steps: int) -> str:
    """Two machines, interleaved, by the hour."""
    lines = [
        f"2024-01-{1 + t // 24:02}T{t % 24:02}:00,{machine},{t % 7 + k}.5,{t % 5}"
        for t in range(steps)
        for k, machine in enumerate("ab")
    ]
    return header + "\n" + "\n".join(lines) + "\n"


@cache
def models() -> dict[str, Path]:
    """A classifier, a tagger and two forecasters, each trained for a moment."""
    home = temporary()
    table = put(home / "t.csv", "text,label\n" + "".join(f"{text},{label}\n" for text, label in ROWS))
    tags = put(home / "t.conll", "Ada B-PER\nmet O\n\nBob B-PER\nleft O\n\n" * 12)
    series = put(home / "s.csv", series_rows("time,machine,temp,load", 140))
    found = {name: home / name for name in ("label", "tags", "ahead", "load")}
    ahead = ("numbers:number", series, "--horizon", "2", "--history", "6")
    apart(
        ("train", "classify", table, "--out", found["label"], *TINY),
        ("train", "tag", tags, "--out", found["tags"], *TINY),
        ("train", *ahead, "--columns", "by=machine", "--out", found["ahead"], *TINY),
        ("train", *ahead, "--columns", "by=machine,x=temp,y=load", "--out", found["load"], *TINY),
    )
    return found


def table(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


# --- lines


@pytest.mark.parametrize(
    "content",
    [
        b"so good\rso bad\rgood\r",
        b"so good\nso bad\r\ngood",
        b"\xef\xbb\xbfso good\r\nso bad\rgood\n",
        "so good\nso bad\ngood\n".encode("utf-16"),
        "so good\r\nso bad\r\ngood\r\n".encode("utf-32"),
    ],
)
def test_lines_end_as_in_training(tmp_path: Path, content: bytes):
    file = put(tmp_path / "lines.txt", content)
    assert [(line.number, line.text) for line in read_lines(file, "text")] == [
        (1, "so good"),
        (2, "so bad"),
        (3, "good"),
    ]


def test_a_line_end_may_be_cut_by_a_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for size in range(1, 12):
        monkeypatch.setattr("unrolled.cli.answers.line_io.BLOCK", size)
        file = put(tmp_path / "a.txt", b"\xef\xbb\xbfa\r\n\r\nb\rc\n\rd\r")
        assert [line.text for line in read_lines(file, "text")] == ["a", "", "b", "c", "", "d"], size


def test_an_encoding_is_taken_by_name(tmp_path: Path):
    file = put(tmp_path / "a.txt", "Müller\nso\n".encode("cp1252"))
    assert [line.text for line in read_lines(file, "text", "cp1252")] == ["Müller", "so"]
    with pytest.raises(DataError, match=r"a\.txt:1: byte 2 of the line is not UTF-8; try --encoding cp1252"):
        list(read_lines(file, "text"))
    told = refused(run("predict", models()["label"], file, "--encoding", "cp1253x"))
    assert told.startswith("unknown encoding 'cp1253x'; expected utf-8") and "try 'cp125" in told


@pytest.mark.parametrize("blank", [" ", "\t", "\u00a0", "\u3000 "])
def test_json_may_have_white_space_around_its_braces(tmp_path: Path, blank: str):
    file = put(tmp_path / "a.jsonl", f'{{"text":"so good"}}\n{blank}{{"text":"so good"}}{blank}\n')
    first, second = run("predict", models()["label"], file, "--format", "jsonl").lines
    assert first == second
    first, second = run("score", small().word, file, "--format", "jsonl").lines
    assert first == second and json.loads(first)["tokens"] > 1


def test_lines_of_json_are_a_table_by_either_extension(tmp_path: Path):
    content = '{"text":"so good","label":"yes"}\n'
    for name in ("a.jsonl", "a.ndjson"):
        file = put(tmp_path / name, content)
        (row,) = table(run("predict", models()["label"], file, "--format", "csv").out)
        assert (row["text"], row["label"]) == ("so good", "yes") and row["prediction"] in ("yes", "no")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("a.xlsx", "this is an Excel workbook (.xlsx)"),
        ("a.pkl", "this is a pickle"),
        ("a.zip", "this is an archive"),
    ],
)
def test_files_of_other_programs_are_named(tmp_path: Path, name: str, told: str):
    file = put(tmp_path / name, b"PK\x03\x04 whatever")
    assert told in refused(run("predict", models()["label"], file))
    assert told in refused(run("train", "classify", file, "--out", tmp_path / "m"))
    assert "a ZIP archive or a spreadsheet" in refused(
        run("predict", models()["label"], file.rename(tmp_path / "b.txt"))
    )


def test_classes_may_be_named_as_numbers_with_a_point(tmp_path: Path):
    file = put(tmp_path / "t.csv", "text,label\n" + "good,1\nbad,0\n" * 10)
    asked = ("train", "classify", file, "--out", tmp_path / "m", "--epochs", 1, "--hidden", 4, "--threads", 1)
    done = run(*asked, "--classes", "1.0,0.0")
    assert done.code == 0 and "2 classes: 1, 0" in done.err


# --- n-best lists


def test_lines_of_one_list_need_not_stand_together(tmp_path: Path):
    file = put(tmp_path / "n.tsv", "1\t1\tgood\n2\t1\tso\n1 \t0\tbad\n 2\t0\tno\n")
    found = [[(one.list, one.text) for one in group] for group in groups(read_lines(file, "text"))]
    assert found == [[("1", "good"), ("1", "bad")], [("2", "so"), ("2", "no")]]
    assert "2 lists reordered" in run("score", small().word, file, "--nbest").err
    file = put(tmp_path / "n.tsv", "1\t1\tgood\nso\n")
    assert "n.tsv:2: no name of a list" in refused(run("score", small().word, file, "--nbest"))


# --- tables


def test_a_short_row_does_not_end_the_answers(tmp_path: Path):
    file = put(tmp_path / "a.csv", "id,text\n1,so good\n2\n3,so bad\n")
    done = run("predict", models()["label"], file)
    assert done.code == 5 and len(done.lines) == 3 and done.lines[1] == ""
    assert f"error: {file}:3: 1 field in this row, 2 in the header" in done.err
    spared = run("predict", models()["label"], file, "--skip-bad", "1")
    assert (spared.code, spared.lines) == (0, done.lines)


def test_csv_answers_have_all_columns_that_were_read(tmp_path: Path):
    file = put(tmp_path / "a.csv", 'id,text,note,prediction\n7,so good,"a, b",old\n8,,c,old\n')
    rows = table(run("predict", models()["label"], file, "--format", "csv").out)
    assert [list(row) for row in rows] == [
        ["id", "text", "note", "prediction", "prediction_2", "probability"]
    ] * 2
    assert (rows[0]["id"], rows[0]["note"], rows[0]["prediction"]) == ("7", "a, b", "old")
    assert rows[0]["prediction_2"] in ("yes", "no") and float(rows[0]["probability"]) > 0.4
    assert rows[1]["prediction_2"] == ""
    lines = run("predict", models()["label"], "--format", "csv", stdin=b"so good\n\n")
    assert [row["text"] for row in table(lines.out)] == ["so good", ""]


def test_a_no_break_space_stays_in_its_word(tmp_path: Path):
    text = "Ada\u00a0Lovelace met Bob"
    conll = put(tmp_path / "a.conll", "Ada\u00a0Lovelace\nmet\nBob\n")
    of_file = json.loads(run("predict", models()["tags"], conll, "--format", "jsonl").out)
    of_line = json.loads(run("predict", models()["tags"], "--format", "jsonl", stdin=text.encode()).out)
    assert of_file["tokens"] == of_line["tokens"] == ["Ada\u00a0Lovelace", "met", "Bob"]


def test_conll_is_known_by_its_content(tmp_path: Path):
    file = put(tmp_path / "a.txt", "Ada B-PER\nmet O\n\nBob B-PER\n\n")
    done = run("predict", models()["tags"], file)
    assert [len(line.split()) for line in done.lines] == [2, 1] and "is read as CoNLL" in done.err
    plain = run("predict", models()["tags"], put(file, "Ada met\n\nBob left\n"))
    assert [len(line.split()) for line in plain.lines] == [2, 0, 2]
    report = run("check", "tag", put(file, "Ada NNP\nmet VBD\n\nBob NNP\nleft VBD\n"), "--json")
    assert json.loads(report.out)["parts"]["train"]["sequences"] == 2
    assert "try --format csv or tsv or jsonl or conll" in run("check", "classify", file).err


# --- series


def test_forecasts_are_a_table_with_times(tmp_path: Path):
    file = put(tmp_path / "a.csv", series_rows("time,machine,temp,load", 30))
    rows = table(run("predict", models()["ahead"], file, "--format", "csv").out)
    assert [(row["machine"], row["step"], row["time"]) for row in rows] == [
        (machine, f"{step}", f"2024-01-02T0{5 + step}:00:00") for machine in "ab" for step in (1, 2)
    ]
    names = [f"{name}{end}" for name in ("temp", "load") for end in ("", "_low", "_high")]
    assert list(rows[0]) == ["machine", "step", "time", *names]
    assert float(rows[0]["temp_low"]) < float(rows[0]["temp"]) < float(rows[0]["temp_high"])
    first = json.loads(run("predict", models()["ahead"], file, "--format", "jsonl").lines[0])
    assert first["times"] == ["2024-01-02T06:00:00", "2024-01-02T07:00:00"]


def test_y_is_forecast_from_x_and_not_needed_later(tmp_path: Path):
    only_x = "time,machine,temp\n" + "".join(
        line.rpartition(",")[0] + "\n" for line in series_rows("h", 20).splitlines()[1:]
    )
    rows = table(run("predict", models()["load"], put(tmp_path / "a.csv", only_x), "--format", "csv").out)
    assert len(rows) == 4 and {"load", "load_low", "load_high"} <= set(rows[0]) and "temp" not in rows[0]
    told = refused(
        run("train", "numbers:next", tmp_path / "a.csv", "--columns", "y=temp", "--out", tmp_path / "m")
    )
    assert "numbers:next has no use for y=temp" in told and "--horizon" in told


def test_one_series_without_by_is_answered(tmp_path: Path):
    file = put(tmp_path / "a.csv", "temp,load\n" + "".join(f"{t % 7},{t % 5}\n" for t in range(20)))
    rows = table(run("predict", models()["ahead"], file, "--format", "csv").out)
    assert [row["step"] for row in rows] == ["1", "2"] and "time" not in rows[0]


def test_missing_numbers_are_told_and_a_bad_cell_costs_its_series_alone(tmp_path: Path):
    text = series_rows("time,machine,temp,load", 20)
    lines = text.splitlines()
    lines[5] = lines[5].rpartition(",")[0] + ",n/a"
    lines[8] = lines[8].rpartition(",")[0] + ","
    file = put(tmp_path / "a.csv", "\n".join(lines) + "\n")
    done = run("predict", models()["ahead"], file)
    assert (done.code, len(done.lines)) == (0, 2) and "note: 2 of 80 numbers are missing" in done.err
    lines[5] = lines[5].rpartition(",")[0] + ",broken"
    done = run("predict", models()["ahead"], put(file, "\n".join(lines) + "\n"))
    assert done.code == 5 and done.lines[0] == "" and len(done.lines[1].split()) == 4
    assert f"{file}:6: column 'load' has 'broken'" in done.err
    metrics = json.loads(
        run("evaluate", models()["ahead"], put(file, text.replace(",3\n", ",\n")), "--json").out
    )
    assert metrics["missing"] > 0


def test_train_and_evaluate_name_the_texts_of_a_folder_that_they_do_not_read(tmp_path: Path):
    folder = tmp_path / "texts"
    folder.mkdir()
    (folder / "a.txt").write_text("the cat sat\n" * 30)
    (folder / "b.svg").write_text("the dog ran\n")
    told = f"note: 1 file is ignored in folders (1 .svg), such as {folder / 'b.svg'}"
    small_training = ("--epochs", 1, "--hidden", 4, "--threads", 1, "--out", tmp_path / "m", "--force")
    train = ("train", "language", folder / "a.txt", *small_training)
    for done in (
        run("evaluate", small().word, folder),
        run(*train, "--valid", folder),
        run(*train, "--test", folder),
    ):
        assert done.code == 0 and any(line.startswith(told) for line in done.err.splitlines()), done.err
