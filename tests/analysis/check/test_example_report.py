"""`unrolled check` of labels, numbers and tags: every finding with file and line, and clean copies."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.small_models import refused, run
from unrolled.analysis.check.example_report import Parts, check, check_and_clean
from unrolled.analysis.check.example_text import in_words
from unrolled.analysis.check.findings import Memory
from unrolled.analysis.check.stats.target_stats import repaired
from unrolled.core.config import build
from unrolled.core.errors import DataError, UsageError
from unrolled.core.types import Place
from unrolled.data.read_request import ReadRequest
from unrolled.data.readers import find_reader, npz
from unrolled.datasets import example_dataset, example_source
from unrolled.tasks.fill import resolve_data
from unrolled.tasks.metrics import spans

GOOD = "".join(f"word{i} is {'fine' if i % 2 else 'poor'},{'good' if i % 2 else 'bad'}\n" for i in range(10))
BIO = "EU\tB-ORG\nrejects\tO\n\nPeter\tB-PER\nBlackburn\tI-PER\n\n"


def put(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def report(
    task: str, train: Path, *, valid: Path | None = None, test: Path | None = None, **options: Any
) -> dict[str, Any]:
    parts = Parts((train,), *((path,) if path else () for path in (valid, test)))
    found = check(build(task, options), parts)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert in_words(found)
    return found


def odd(found: dict[str, Any]) -> dict[str, list[str]]:
    """The examples by the first words of their kind; as many as are counted, for none is left out here."""
    assert all(entry["count"] == len(entry["examples"]) for entry in found["odd"].values())
    return {kind: entry["examples"] for kind, entry in found["odd"].items()}


# --- texts and classes


def test_every_finding_of_a_table_has_its_line(tmp_path: Path):
    rows = [
        "text,label",
        "a fine day,good",
        "a poor day,bad",
        "a fine day,good",  # 4: the same again
        "a fine day,bad",  # 5: with another label
        "too,many,fields",  # 6
        "no label,",  # 7
        '"two',  # 8
        'lines",Good',  # a class in another case
        "wrong \ufffd before,good",  # 10
        "bell \x07 rings,bad ",  # 11: white space
        ",bad",  # 12: an empty text
        "once only,odd one",  # 13
        "a poor day,bad",  # 14: the same again
    ]
    rows += [f"filler {i},{'good' if i % 2 else 'bad'}" for i in range(20)]
    path = put(tmp_path / "a.csv", "\n".join(rows) + "\n")
    found = report("classify", path)
    assert odd(found) == {
        "replacement character (text was decoded wrongly before)": [f"{path}:10"],
        "control character": [f"{path}:11: U+0007"],
        "empty sequence": [f"{path}:12"],
        "white space around a label (removed when it is read)": [f"{path}:11: 'bad '"],
        "class seen once": [f"{path}:8: 'Good'", f"{path}:13: 'odd one'"],
        "classes that differ in case or white space only": [f"{path}:8: 'good' 13 times, 'Good' 1 times"],
    }
    assert found["duplicates"]["examples"] == [
        f"{path}:4: same as line 2: a fine day",
        f"{path}:14: same as line 3: a poor day",
    ]
    assert found["conflicts"] == {
        "count": 1,
        "examples": [f"{path}:5: 'bad', but line 2 has another y: a fine day"],
        "share": 1 / 30,
    }
    train = found["parts"]["train"]
    assert (train["sequences"], train["bad_rows"]["count"]) == (30, 2)
    assert train["bad_rows"]["examples"] == [
        f"{path}:6: 3 fields in this row, 2 in the header",
        f"{path}:7: column 'label' is empty",
    ]
    assert (
        found["fatal"]
        == f"{train['bad_rows']['examples'][0]} (the first of 2 bad rows in train); try --skip-bad 2"
    )
    assert list(train["y"]["classes"]) == ["Good", "bad", "good", "odd one"]
    assert train["y"]["classes"]["good"] == {"count": 13, "share": 13 / 30}
    assert found["baseline"] == {"name": "most frequent class", "answer": "bad", "accuracy": 15 / 30}
    allowed = report("classify", path, skip_bad=2)
    assert allowed["fatal"] is None and "skipped, as --skip-bad 2 allows" in in_words(allowed)
    assert "training would stop; --skip-bad 2 skips them" in in_words(found)


def test_counts_lengths_and_unknown_words(tmp_path: Path):
    texts = [" ".join(f"w{j}" for j in range(i % 7 + 1)) for i in range(300)]
    path = put(
        tmp_path / "a.csv", "text,label\n" + "".join(f"{t} {i},{i % 3}\n" for i, t in enumerate(texts))
    )
    valid = put(tmp_path / "v.csv", "text,label\nw0 w1 new words,1\nw0 w6,2\n")
    found = report("classify", path, valid=valid, vocab_size=2)
    every = [word for i, text in enumerate(texts) for word in [*text.split(), str(i)]]
    counts = Counter(every)
    words, train = found["words"], found["parts"]["train"]
    assert (words["distinct"], train["steps"]) == (len(counts), len(every))
    known = sum(count for _, count in counts.most_common(2))
    assert words["unknown_share"]["2"] == pytest.approx(1 - known / len(every))
    assert words["unknown_share"]["1000"] == 0 and words["seen_once"] == 300
    assert found["parts"]["valid"]["unknown_share"] == {
        "2": 3 / 6,
        "1000": 2 / 6,
        "10000": 2 / 6,
        "50000": 2 / 6,
    }
    lengths = sorted(len(text.split()) + 1 for text in texts)
    spread = train["steps_a_sequence"]
    assert (spread["0"], spread["50"], spread["100"]) == (2, lengths[150], 8)
    # As training would: with a part for validation nothing is held out, without one a tenth.
    assert (found["training"]["sequences"], found["training"]["held_out"]) == (300, 0)
    alone = report("classify", path)["training"]
    assert (alone["sequences"], alone["held_out"], alone["batch_size"]) == (270, 30, 10)
    assert "and validate on valid" in in_words(found)


def test_leaks_between_parts_name_both_places(tmp_path: Path):
    train = put(tmp_path / "train.csv", "text,label\n" + GOOD)
    valid = put(tmp_path / "valid.csv", "text,label\nnew,good\nword3 is fine,good\n")
    test = put(tmp_path / "test.csv", "text,label\n  word4 is poor ,good\nnew,bad\nother,bad\n")
    found = report("classify", train, valid=valid, test=test)
    assert found["leaks"] == {
        "valid in train": {
            "count": 1,
            "share": 1 / 2,
            "examples": [f"{valid}:3: same as {train}:5: word3 is fine"],
        },
        "test in train": {
            "count": 1,
            "share": 1 / 3,
            "examples": [f"{test}:2: same as {train}:6: word4 is poor"],
        },
        "test in valid": {"count": 1, "share": 1 / 3, "examples": [f"{test}:3: same as {valid}:2: new"]},
    }
    assert "leak: sequences of test in train: 1 (33.3%)\n" in in_words(found)
    assert (found["fatal"], found["duplicates"]["count"]) == (None, 0)


def test_what_is_remembered_is_bounded():
    memory, file = Memory(limit=2), Path("a.csv")
    found = [memory.add(x, "y", Place(file, i))[0] for i, x in enumerate("abcabc")]
    assert found == [None, None, None, Place(file, 0), Place(file, 1), None]
    # The second pair is known from the first, though the first of all had another y.
    assert memory.add("a", "other", Place(file, 7)) == (Place(file, 0), False)
    assert memory.add("a", "other", Place(file, 8)) == (Place(file, 0), True)
    assert memory.find(np.zeros((2, 1))) is None and len(memory.first) == 2
    numbers = Memory()
    numbers.add(np.array([[0.0], [1.0]]), "y", Place(file, 1))
    assert numbers.find(np.array([[-0.0], [1.0]], dtype=np.float32)) == Place(file, 1)
    assert numbers.find(np.array([[0.0, 1.0]])) is None


def test_ordered_classes_and_a_column_of_names(tmp_path: Path):
    path = put(tmp_path / "a.csv", "text,rating\n" + "".join(f"t{i},{i % 10 + 1}\n" for i in range(100)))
    found = report("classify", path, ordinal=True)
    assert list(found["parts"]["train"]["y"]["classes"]) == [str(i) for i in range(1, 11)]
    assert "10 classes in this order: 1 10 (10.0%), 2 10" in in_words(found)
    names = put(tmp_path / "n.csv", "text,label\n" + "".join(f"t{i},name {i % 30}\n" for i in range(40)))
    kinds = odd(report("classify", names))
    assert kinds == {
        "almost as many classes as sequences": [
            f"{names}:2: 30 classes in 40 sequences; is this the right column?"
        ]
    }


def test_long_sequences_and_folders(tmp_path: Path):
    put(tmp_path / "data" / "long" / "a.txt", "w " * 5_001)
    put(tmp_path / "data" / "short" / "b.txt", "w <UNK>")
    found = report("classify", tmp_path / "data")
    assert odd(found)["sequence of more than 5,000 steps"] == [f"{tmp_path / 'data/long/a.txt'}:1: 5,001"]
    assert odd(found)["a literal <UNK> or <EOS> (kept as an ordinary token)"] == [
        f"{tmp_path / 'data/short/b.txt'}:1"
    ]


@pytest.mark.parametrize(
    ("encoding", "mark"),
    [("utf-8-sig", "UTF-8 with a byte order mark"), ("utf-16", "UTF-16"), ("utf-32", "UTF-32")],
)
def test_encodings(tmp_path: Path, encoding: str, mark: str):
    path = put(tmp_path / "a.csv.gz", gzip.compress(("text,label\ncafé,é\n" + GOOD).encode(encoding)))
    found = report("classify", path)
    assert found["odd"]["encoding other than plain UTF-8 (read correctly)"]["examples"] == [
        f"{path}:1: {mark}"
    ]
    assert found["parts"]["train"]["files"] == [
        {
            "file": str(path),
            "sequences": 11,
            "bad_rows": 0,
            "encoding": mark,
            "separator": ",",
            "quotes": "quotes surround fields",
        }
    ]
    fixed = fix(tmp_path, "classify", path)
    assert (
        gzip.decompress((tmp_path / "clean" / "a.csv.gz").read_bytes())
        == ("text,label\ncafé,é\n" + GOOD).encode()
    )
    assert (fixed["files"][0]["encoding"], fixed["fatal"]) == (mark, None)


# --- what stops training


def stops(task: str, paths: dict[str, Path | None], **options: Any) -> str | None:
    """What training says when it prepares these files, as `train` does before the first step."""
    config = resolve_data(build(task, options))
    folder = (paths["train"] or Path()).parent / "run"
    data = [path for path in [paths["train"]] if path]
    try:
        valid = example_source.from_files([paths["valid"]], config) if paths.get("valid") else None
        example_dataset.prepare(example_source.from_files(data, config), valid, config, folder)
    except DataError as error:
        return str(error)
    return None


STOPS = {
    "one class": ("classify", "a.csv", "text,label\na,x\nb,x\n", None, {}),
    "a class that is not among --classes": (
        "classify",
        "a.csv",
        "text,label\na,x\nb,y\n",
        None,
        {"classes": "x,z"},
    ),
    "a class that training does not know": (
        "classify",
        "a.csv",
        "text,label\n" + GOOD,
        "text,label\nt,goood\n",
        {},
    ),
    "nothing but white space": ("classify", "a.csv", "text,label\n  ,x\n ,y\n", None, {}),
    "an empty file": ("classify", "a.csv", "", None, {}),
    "no rows": ("classify", "a.csv", "text,label\n", None, {}),
    "an open quote": ("classify", "a.csv", "text,label\n" + GOOD + '"open,x\n', None, {}),
    "not UTF-8": ("classify", "a.csv", b"text,label\n" + GOOD.encode() + b"caf\xe9,good\n", None, {}),
    "no such column": ("classify", "a.csv", "text,klasse\na,x\nb,y\n", None, {}),
    "one bad row": ("classify", "a.csv", "text,label\n" + GOOD + "a\n", None, {}),
    "one number": ("numbers:number", "a.csv", "a,b,y\n1,2,3\n2,2,3\n", None, {}),
    "no number": ("numbers:number", "a.csv", "a,b,y\n1,2,3\nx,2,4\n", None, {}),
    "rows of other widths": (
        "numbers:label",
        "a.jsonl",
        '{"x": [[1, 2]], "y": "a"}\n{"x": [[1]], "y": "b"}\n',
        None,
        {},
    ),
    "other widths in valid": (
        "numbers:label",
        "a.csv",
        "a,b,y\n1,2,p\n2,3,q\n",
        "a,y\n1,p\n",
        {},
    ),
    "other counts to be learnt": (
        "numbers:number",
        "a.jsonl",
        '{"x": [1, 2], "y": [1]}\n{"x": [1], "y": [1, 2]}\n',
        None,
        {},
    ),
    "one tag": ("tag", "a.conll", "a\tO\nb\tO\n", None, {}),
    "a line too short": ("tag", "a.conll", BIO + "alone\n", None, {}),
    "a series too short": ("numbers:number", "a.jsonl", '{"x": [1, 2, 3]}\n', None, {"horizon": 5}),
    "a series that never changes": (
        "numbers:number",
        "a.jsonl",
        '{"x": [1, 1, 1, 1]}\n',
        None,
        {"horizon": 1},
    ),
}


@pytest.mark.parametrize("name", STOPS)
def test_fatal_is_what_training_stops_with(tmp_path: Path, name: str):
    task, file, content, held, options = STOPS[name]
    train = put(tmp_path / file, content)
    valid = None if held is None else put(tmp_path / f"valid_{file}", held)
    told = stops(task, {"train": train, "valid": valid}, **options)
    fatal = report(task, train, valid=valid, **options)["fatal"]
    assert told is not None and fatal is not None
    same = 20 if name == "a series too short" else 45  # which `check` tells more of
    assert fatal[len(str(tmp_path)) :][:same] == told[len(str(tmp_path)) :][:same] or fatal[:11] == told[:11]


@pytest.mark.parametrize(
    ("task", "file", "content", "options"),
    [
        ("classify", "a.csv", "text,label\n" + GOOD, {}),
        ("tag", "a.conll", BIO, {}),
        ("numbers:number", "a.csv", "a,y\n1,2\n2,3\n", {}),
        ("numbers:number", "a.jsonl", '{"x": [1, 2, 3, 5, 8]}\n', {"horizon": 2, "history": 1}),
        ("classify", "a.csv", "text,label\n" + GOOD + "a\n", {"skip_bad": 1}),
        ("tag", "a.conll", BIO + "alone\n\n", {"skip_bad": 1}),
    ],
)
def test_what_is_not_fatal_does_not_stop_training(
    tmp_path: Path, task: str, file: str, content: str, options: dict[str, Any]
):
    path = put(tmp_path / file, content)
    assert stops(task, {"train": path}, **options) is None
    found = report(task, path, **options)
    assert found["fatal"] is None and in_words(found).endswith("\ntraining would start")


def test_one_damaged_file_does_not_hide_the_others(tmp_path: Path):
    files = [
        put(tmp_path / "1.csv", 'text,label\na,x\n"open,y\n'),
        put(tmp_path / "2.csv", "text,label\nb,x\nc\n"),
        put(tmp_path / "3.csv", "text,label\nbad\n"),
        put(tmp_path / "4.csv", "text,label\nd,y\n"),
    ]
    found = check(build("classify", {}), Parts(tuple(files)))
    assert found["all_fatal"] == [
        f"{files[0]}:3: the quote that opens here is never closed; try a closing quote before the separator "
        'or line end, and "" for each quote inside a field',
        f"{files[1]}:3: 1 field in this row, 2 in the header (the first of 2 bad rows in train); try --skip-bad 2",
    ]
    assert [row["sequences"] for row in found["parts"]["train"]["files"]] == [1, 1, 0, 1]
    assert in_words(found).splitlines()[-2:] == [f"fatal: {reason}" for reason in found["all_fatal"]]
    with pytest.raises(UsageError, match="there is no such file"):
        check(build("classify", {}), Parts((tmp_path / "none.csv",)))
    with pytest.raises(UsageError, match="CoNLL files hold a tag for each token"):
        check(build("classify", {}), Parts((put(tmp_path / "a.conll", BIO),)))


def test_bad_rows_may_be_skipped_in_every_format_and_in_all_files_together(tmp_path: Path):
    def count(task: str, paths: list[Path], skip: int) -> int:
        config = resolve_data(build(task, {"skip_bad": skip}))
        return sum(1 for _ in example_source.from_files(paths, config).examples())

    ts = put(tmp_path / "a.ts", "@classLabel true p q\n@data\n1,2:p\n1,x:p\n1,2:r\n3,4:q\n")
    npz.write(
        tmp_path / "a.npz", [np.ones((2, 1)), np.full((1, 1), np.inf), np.ones((1, 1))], ["p", "q", "p"]
    )
    universal = "\t".join(["{}", "{}", *"______", "_", "_"])
    conllu = put(
        tmp_path / "a.conllu",
        f"{universal.format(1, 'a')}\n{universal.format(3, 'b')}\n{universal.format(4, 'b')}\n\n"
        f"{universal.format(1, 'c')}\n",
    )
    tables = [put(tmp_path / f"{i}.csv", "text,label\n" + GOOD + "bad\nworse\n") for i in range(2)]
    assert count("numbers:label", [ts], 2) == 2 and count("tag", [conllu], 1) == 1
    assert count("numbers:label", [tmp_path / "a.npz"], 1) == 2 and count("classify", tables, 4) == 20
    for task, paths, skip in (
        ("numbers:label", [ts], 1),
        ("numbers:label", [tmp_path / "a.npz"], 0),
        ("tag", [conllu], 0),
        ("classify", tables, 3),
    ):
        with pytest.raises(DataError):
            count(task, paths, skip)
    found = report("numbers:label", ts)
    assert found["parts"]["train"]["bad_rows"]["examples"] == [
        f"{ts}:4: value 2 of dimension 1 has 'x', which is not a number",
        f"{ts}:5: class 'r' is not declared",
    ]


# --- numbers


def test_columns_of_numbers(tmp_path: Path):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(600, 4))
    x[:, 1] = 7.0  # never changes
    x[250, 2] = 900.0  # far off
    x[220:350, 3] = 0.5  # stuck
    rows = [
        ",".join([f"{v!r}" for v in row.tolist()] + [f"s{i // 200}", "pq"[i // 400]])
        for i, row in enumerate(x)
    ]
    path = put(tmp_path / "a.csv", "a,b,c,d,s,label\n" + "\n".join(rows) + "\n")
    found = report("numbers:label", path, columns="x=a+b+c+d,y=label,by=s")
    assert odd(found) == {
        "number over 20 standard deviations from the mean of its column": [
            f"{path}:202: step 51, column c: 900"
        ],
        "the same value for 100 steps or more": [f"{path}:202: column d is 0.5 for 130 steps from step 21"],
        "class seen once": [f"{path}:402: 'q'"],
        "class seen fewer than 5 times": [f"{path}:2: 'p', 2 times"],
    }
    columns = found["parts"]["train"]["columns"]
    assert [row["column"] for row in columns] == ["a", "b", "c", "d"]
    assert [row["constant"] for row in columns] == [False, True, False, False]
    assert [row["far"] for row in columns] == [0, 0, 1, 0]
    for row, column in zip(columns, x.T, strict=True):
        assert row["mean"] == pytest.approx(column.mean()) and row["max"] == column.max()
        assert row["deviation"] == pytest.approx(column.std(), abs=1e-9)
    words = in_words(found)
    assert "never changes" in words and "1 far from the mean" in words and "1 long runs of one value" in words


def test_numbers_to_be_learnt(tmp_path: Path):
    y = np.arange(500.0) % 10
    y[100] = 9_999.0
    content = "a,b,target\n" + "".join(f"{i},{i % 7},{value}\n" for i, value in enumerate(y.tolist()))
    found = report("numbers:number", put(tmp_path / "a.csv", content))
    assert odd(found) == {
        "target number over 20 standard deviations from the mean": [f"{tmp_path / 'a.csv'}:102: 9999"]
    }
    told = found["parts"]["train"]["y"]["numbers"]
    assert told[0] == pytest.approx({"min": 0, "mean": y.mean(), "max": 9_999, "deviation": y.std()})
    assert found["baseline"]["rmse"] == pytest.approx(np.sqrt(((y - y.mean()) ** 2).mean()))
    assert f"target: min 0, mean {y.mean():.5g}, max 9999" in in_words(found)


@pytest.mark.parametrize(("horizon", "history"), [(1, 64), (3, 2), (5, 4)])
def test_forecasts_count_the_windows_that_training_makes(tmp_path: Path, horizon: int, history: int):
    series = [[[float(i * i % 7), float(i)] for i in range(n)] for n in (3, 6, 12, 5)]
    path = put(tmp_path / "a.jsonl", "".join(json.dumps({"x": x}) + "\n" for x in series))
    found = report("numbers:number", path, horizon=horizon, history=history)
    config = resolve_data(build("numbers:number", {"horizon": horizon, "history": history}))
    windows = list(example_source.from_files([path], config).examples())
    told = found["parts"]["train"]["y"]
    assert told == {"windows": len(windows), "steps": sum(len(window.x) for window in windows)}
    assert found["training"]["sequences"] == len(windows) and found["fatal"] is None
    assert f"{len(windows)} windows to predict the next steps from" in in_words(found)


# --- tags

CONLLU = """\
# sent_id = one
1-2\tthe-EU\t_\t_\t_\t_\t_\t_\t_\t_
1\tthe\t_\tO\t_\t_\t_\t_\t_\t_
2\tEU\t_\tI-ORG\t_\t_\t_\t_\t_\tSpaceAfter=No
2.1\tghost\t_\t_\t_\t_\t_\t_\t_\t_
3\tParis\t_\tI-LOC\t_\t_\t_\t_\t_\t_

# sent_id = two
1\tPeter\t_\tB-PER\t_\t_\t_\t_\t_\t_
2\tsings\t_\tO\t_\t_\t_\t_\t_\t_

"""


def test_bad_tags_are_named_with_the_line_of_their_token(tmp_path: Path):
    more = "".join(f"1\tUNO{i}\t_\tB-ORG\t_\t_\t_\t_\t_\t_\n\n" for i in range(3))
    path = put(tmp_path / "a.conllu", CONLLU + more)
    found = report("tag", path)
    assert odd(found) == {
        "tag that breaks the scheme": [
            f"{path}:4: token 2 'EU': 'I-ORG' has no 'B-ORG' before it",
            f"{path}:6: token 3 'Paris': 'I-LOC' has no 'B-LOC' before it",
        ]
    }
    y = found["parts"]["train"]["y"]
    assert (y["scheme"], y["spans"]) == ("bio", {"ORG": 4, "LOC": 1, "PER": 1})
    assert y["tags"]["B-ORG"] == {"count": 3, "share": 3 / 8}
    assert "spans: ORG 4, LOC 1, PER 1" in in_words(found)
    fixed = fix(tmp_path, "tag", path)
    assert (tmp_path / "clean" / "a.conllu").read_text() == (
        CONLLU.replace("I-ORG", "B-ORG").replace("I-LOC", "B-LOC") + more
    )
    assert fixed["files"][0]["tags"] == 2 and "2 tags corrected" in in_words(fixed["report"])
    assert odd(report("tag", tmp_path / "clean" / "a.conllu")) == {}


def test_sentences_that_disagree_and_tags_from_nowhere(tmp_path: Path):
    path = put(tmp_path / "a.conll", BIO + "EU\tO\nrejects\tO\n\n" + "x\tB-ORG \n\n")
    valid = put(tmp_path / "v.conll", "Peter\tB-PER\nBlackburn\tI-PER\n\nParis\tB-LOC\n")
    found = report("tag", path, valid=valid)
    assert found["conflicts"]["examples"] == [f"{path}:7: these tags, but line 1 has another y: EU rejects"]
    assert found["leaks"]["valid in train"]["examples"] == [f"{valid}:1: same as {path}:4: Peter Blackburn"]
    assert odd(found) == {
        "white space around a tag (training treats it as another tag)": [f"{path}:10: token 1 'x': 'B-ORG '"],
        "tag that is not in the training set": [f"{valid}:4: 'B-LOC'"],
        "tags that differ in case or white space only": [f"{path}:10: 'B-ORG' 1 times, 'B-ORG ' 1 times"],
    }
    assert (found["parts"]["train"]["y"]["scheme"], found["fatal"]) == ("bio", None)
    assert found["baseline"] == {"name": "most frequent tag", "answer": "O", "accuracy": 3 / 7}
    fix(tmp_path, "tag", path)
    assert (tmp_path / "clean" / "a.conll").read_text() == path.read_text().replace("B-ORG ", "B-ORG")


def test_tags_that_slipped_away_from_their_words(tmp_path: Path):
    rng = np.random.default_rng(1)
    words = [f"w{i}" for i in range(12)]
    right = put(
        tmp_path / "right.conll", "".join(f"{w}\tT{i % 12 % 5}\n\n" for i, w in enumerate(words * 21))
    )
    wrong = put(tmp_path / "wrong.conll", "".join(f"{w}\tT{rng.integers(5)}\n\n" for w in words * 21))
    assert odd(report("tag", right)) == {}
    kind = "tags that seem to belong to other words"
    assert odd(report("tag", wrong))[kind][0].startswith(
        f"{wrong}:1: 12 of 12 frequent words have no tag for half"
    )


TAGS = st.lists(
    st.sampled_from(["O", "B-A", "I-A", "B-B", "I-B", "E-A", "S-A", "L-A", "U-B", "X"]), max_size=8
)


@given(TAGS, st.sampled_from(["bio", "bioes", "iob1"]))
def test_repaired_tags_have_the_spans_that_conlleval_finds(tags: list[str], scheme: str):
    fixed = repaired(tags, scheme)
    assert spans.spans(fixed) == spans.spans(tags)
    foreign = [tag for tag in tags if tag == "X"]
    assert len(spans.find_bad(fixed, scheme)) == len(foreign) and [t for t in fixed if t == "X"] == foreign
    assert repaired(fixed, scheme) == fixed


# --- clean copies


def fix(folder: Path, task: str, *train: Path, force: bool = False, **options: Any) -> dict[str, Any]:
    """What `--fix` did, and the whole report in it; asserts that the copies have nothing of what it repairs."""
    parts = Parts(train)
    found = check_and_clean(build(task, options), parts, folder / "clean", force=force)
    copies = tuple(Path(row["copy"]) for row in found["fix"]["files"] if row["copy"])
    if copies:
        again = check(build(task, options), Parts(copies))
        assert again["duplicates"]["count"] == again["parts"]["train"]["bad_rows"]["count"] == 0
        repairs = ("tag that breaks", "white space around", "encoding other")
        assert not [kind for kind in again["odd"] if kind.startswith(repairs)]
        assert again["fatal"] == found["fix"]["fatal"]
    return found["fix"] | {"report": found}


def test_a_clean_table_keeps_all_else_as_it_is_written(tmp_path: Path):
    content = (
        "\r\n"
        "id,text,label,note\r\n"
        '1,"kept, with ""quotes""",x,"a"\r\n'
        "2,stripped, y ,b\r\n"
        '3,"two\r\nlines", x ,"c, ""d"""\r\n'
        "4,short,x\r\n"
        "\r\n"
        '5,"kept, with ""quotes""",x,other\r\n'
        '6,stray,"x"y,e\r\n'
        "7,last,y,f"
    )
    path = put(tmp_path / "a.csv", content)
    fixed = fix(tmp_path, "classify", path, force=True)
    assert (tmp_path / "clean" / "a.csv").read_bytes().decode() == (
        "\r\n"
        "id,text,label,note\r\n"
        '1,"kept, with ""quotes""",x,"a"\r\n'
        "2,stripped,y,b\r\n"
        '3,"two\r\nlines",x,"c, ""d"""\r\n'
        "7,last,y,f"
    )
    assert fixed["files"] == [
        {
            "file": str(path),
            "copy": str(tmp_path / "clean" / "a.csv"),
            "reason": None,
            "rows": 4,
            "bad_rows": 2,
            "copies": 1,
            "labels": 2,
            "corrected": 0,
            "tags": 0,
            "encoding": None,
        }
    ]
    assert path.read_bytes().decode() == content
    assert (fixed["report"]["fatal"] is not None, fixed["fatal"]) == (True, None)
    assert in_words(fixed["report"]).endswith(
        "a.csv: 2 bad rows dropped, 1 repeated sequence dropped, 2 labels stripped\n"
        "training on the clean copies would start"
    )


def test_a_clean_jsonl_and_tsv(tmp_path: Path):
    lines = [
        {"text": "été", "label": "x", "n": 1.50},
        {"text": "b", "label": " y "},
        {"text": "été", "label": "x"},
        {"text": "c"},
    ]
    content = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines) + "{broken\n\n"
    path = put(tmp_path / "a.jsonl", content)
    files = fix(tmp_path, "classify", path)["files"]
    assert (tmp_path / "clean/a.jsonl").read_text() == (
        '{"text": "été", "label": "x", "n": 1.5}\n{"text": "b", "label": "y"}\n'
    )
    assert [files[0][key] for key in ("bad_rows", "copies", "labels")] == [2, 1, 1]
    tags = put(tmp_path / "t.tsv", "text\ttag\nEU is\tI-ORG O\nUN is\tB-ORG O\nHe is\tO O\n")
    files = fix(tmp_path, "tag", tags)["files"]
    assert (tmp_path / "clean/t.tsv").read_text() == tags.read_text().replace("I-ORG", "B-ORG")
    listed = put(
        tmp_path / "l.jsonl",
        '{"text": ["EU", "is"], "tag": ["I-ORG", "O"]}\n{"text": ["UN"], "tag": ["B-ORG"]}\n',
    )
    fix(tmp_path, "tag", listed)
    assert (tmp_path / "clean/l.jsonl").read_text() == listed.read_text().replace("I-ORG", "B-ORG")


def test_a_clean_table_of_one_token_a_row(tmp_path: Path):
    rows = [
        "s,text,tag",
        "1,EU,I-ORG",
        "1,is,",
        "1,far, O ",
        "2,UN,B-ORG",
        "3,EU,B-ORG",
        "3,far,O",
        "2,late,O",
    ]
    path = put(tmp_path / "a.csv", "\n".join(rows) + "\n")
    fixed = fix(tmp_path, "tag", path, columns="x=text,y=tag,by=s")
    # Sequence 1 loses its bad row; then 3 is the same again, once the tags of 1 are set right.
    kept = ["s,text,tag", "1,EU,B-ORG", "1,far,O", "2,UN,B-ORG", "2,late,O"]
    assert (tmp_path / "clean/a.csv").read_text() == "\n".join(kept) + "\n"
    row = fixed["files"][0]
    assert [row[key] for key in ("bad_rows", "copies", "labels", "tags")] == [1, 1, 0, 1]


def test_a_clean_conll_keeps_documents_comments_and_columns(tmp_path: Path):
    path = put(
        tmp_path / "a.iob.gz",
        gzip.compress(
            b"-DOCSTART- -X- O\r\n\r\nEU NNP   B-ORG\r\nwins VBZ I-PER\r\n\r\n"
            b"bad line\r\nis left O\r\n\r\n-DOCSTART- -X- O\r\n\r\nEU NNP B-ORG\r\nwins VBZ B-PER\r\n\r\n"
            b"On IN O"
        ),
    )
    fixed = fix(tmp_path, "tag", path)
    assert gzip.decompress((tmp_path / "clean/a.iob.gz").read_bytes()) == (
        b"-DOCSTART- -X- O\r\n\r\nEU NNP   B-ORG\r\nwins VBZ B-PER\r\n\r\n-DOCSTART- -X- O\r\n\r\nOn IN O"
    )
    assert [fixed["files"][0][key] for key in ("bad_rows", "copies", "tags")] == [1, 1, 1]


def test_ends_of_spans_keep_their_letters(tmp_path: Path):
    path = put(tmp_path / "a.conll", "a U-X\nb O\n\na B-X\nb L-X\n\na L-X\nb O\nc I-X\nd L-X\n")
    fix(tmp_path, "tag", path)
    assert (tmp_path / "clean/a.conll").read_text() == path.read_text().replace("a L-X", "a U-X").replace(
        "c I", "c B"
    )


def test_clean_copies_go_over_nothing(tmp_path: Path):
    path = put(tmp_path / "a.csv", "text,label\n" + GOOD)
    other = put(tmp_path / "other" / "a.csv", "text,label\n" + GOOD)
    clean = tmp_path / "clean"

    def attempt(folder: Path, *files: Path, force: bool = False) -> str:
        with pytest.raises(UsageError) as caught:
            check_and_clean(build("classify", {}), Parts(files), folder, force=force)
        return str(caught.value)

    assert "would be the clean copy of two files" in attempt(clean, path, other)
    assert "never replaces its original" in attempt(tmp_path, path, force=True)
    assert "is not a folder" in attempt(put(tmp_path / "file", "x"), path)
    assert not clean.exists()
    put(clean / "a.csv", "mine")
    assert "exists already" in attempt(clean, path)
    assert (clean / "a.csv").read_text() == "mine"
    assert fix(tmp_path, "classify", path, force=True)["files"][0]["copies"] == 0
    assert (clean / "a.csv").read_text() == path.read_text()


def test_what_has_no_clean_copy_is_told(tmp_path: Path):
    npz.write(tmp_path / "a.npz", [np.ones((2, 1)), np.zeros((1, 1))], ["p", "q"])
    fixed = fix(tmp_path, "numbers:label", tmp_path / "a.npz")
    assert fixed["files"][0]["copy"] is None and fixed["fatal"] is None
    words = in_words(fixed["report"])
    assert "no clean copy of" in words and "tables of text and CoNLL files only" in words
    damaged = put(tmp_path / "d.csv", b"text,label\n" + GOOD.encode() + b"caf\x81,x\n")
    fixed = fix(tmp_path, "classify", damaged)
    assert "0x81" in fixed["files"][0]["reason"] and fixed["fatal"] == fixed["report"]["fatal"]
    assert not (tmp_path / "clean" / "d.csv").exists()


CELLS = st.text(alphabet="ab ,\";'\n\r\té\u2028", min_size=1, max_size=6).filter(str.strip)


@settings(max_examples=12)
@given(st.lists(st.tuples(CELLS, st.sampled_from(["p", " p", "q\t", "q"])), min_size=1, max_size=6))
def test_a_clean_copy_has_the_same_examples_each_once(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]]
):
    folder = tmp_path_factory.mktemp("fix")
    path = folder / "a.csv"
    quoted = ['"' + '","'.join(cell.replace('"', '""') for cell in row) + '"' for row in rows]
    put(path, "text,label\n" + "\n".join([*quoted, "a,p", "b,q"]) + "\n")
    check_and_clean(build("classify", {}), Parts((path,)), folder / "clean", force=False)

    def read(file: Path) -> list[tuple[Any, Any]]:
        return [(e.x, e.y) for e in find_reader(file)([file], ReadRequest(target="label"))]

    seen: dict[Any, tuple[Any, Any]] = {}
    for x, y in read(path):
        seen.setdefault((str(x).strip(), y), (x, y))
    assert read(folder / "clean" / "a.csv") == [*seen.values()]


# --- the command, and real data


def test_the_command(tmp_path: Path):
    path = put(tmp_path / "a.csv", "text,label\n" + GOOD + "bad\n")
    clean = tmp_path / "clean"
    command = [
        sys.executable,
        "-m",
        "unrolled",
        "check",
        "classify",
        str(path),
        "--fix",
        str(clean),
        "--json",
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert found["fatal"].startswith(f"{path}:12: ") and found["fix"]["fatal"] is None
    assert run("check", "classify", clean / "a.csv", "--json").code == 0
    told = run("check", "classify", path, "--valid", clean / "a.csv")
    assert told.code == 2 and told.lines[-1].startswith(f"fatal: {path}:12: 1 field in this row")
    assert (
        f"leak: sequences of valid in train: 10 (100.0%)\n  {clean / 'a.csv'}:2: same as {path}:2: "
        in told.out
    )
    assert run("check", "classify", path, "--skip-bad", 1).code == 0
    assert "exists already" in refused(run("check", "classify", path, "--fix", clean))
    text = put(tmp_path / "a.txt", "some text\n")
    assert "are for labelled data" in refused(run("check", "language", text, "--fix", clean))


def real(task: str, *arguments: object) -> dict[str, Any]:
    """The report of the command, in a process where no types are checked at every call."""
    command = [sys.executable, "-m", "unrolled", "check", task, *map(str, arguments), "--json"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_real_tags(data: Path):
    folder = data / "tagging" / "wnut17"
    found = real("tag", folder / "emerging.dev.conll", "--test", folder / "emerging.test.annotated")
    assert found["fatal"] is None
    assert {*found["odd"]} == {"invisible character", "HTML entity (not decoded)"}
    dev, test = found["parts"]["train"], found["parts"]["test"]
    assert (dev["sequences"], test["sequences"]) == (1_009, 1_287)
    entities = [sum(part["y"]["spans"].values()) for part in (dev, test)]
    assert (dev["y"]["scheme"], entities, found["baseline"]["answer"]) == ("bio", [836, 1_079], "O")


def test_real_reviews(data: Path, tmp_path: Path):
    path = data / "sentiment" / "druglib" / "drugLibTrain_raw.tsv"
    found = real("classify", path, "--columns", "x=benefitsReview,y=effectiveness", "--fix", tmp_path)
    assert found["parts"]["train"]["sequences"] == 4_143 and len(found["parts"]["train"]["y"]["classes"]) == 5
    assert found["odd"]["replacement character (text was decoded wrongly before)"]["count"] == 13
    assert found["fix"]["files"][0]["copies"] == found["duplicates"]["count"] == 103
    kept, whole = (tmp_path / path.name).read_bytes(), path.read_bytes()
    assert kept[:1_000] == whole[:1_000] and 0.95 < len(kept) / len(whole) < 1


def test_columns_go_by_name_and_a_clock_is_told(tmp_path: Path):
    rows = "".join(f"{10 * t},{t % 3},{t % 2}\n" for t in range(60))
    path = put(tmp_path / "log.csv", "seconds,heat,flow\n" + rows)
    found = report("numbers:next", path)
    columns = {row["column"]: row["clock"] for row in found["parts"]["train"]["columns"]}
    assert columns == {"seconds": True, "heat": False, "flow": False}
    assert "only rises: a clock? (exclude it with --columns x=...)" in in_words(found)
    told = in_words(report("numbers:next", path, columns="x=heat+flow"))
    assert "clock" not in told and "  heat " in told
