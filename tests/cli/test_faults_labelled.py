"""What users really do to tables, CoNLL files, ratings and models of them: exit code, one line, nothing left behind."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from support.small_models import Done, nothing_new, refused, run
from support.small_tasks import TRAIN, kinds, write_conll, write_reviews, write_sensors
from unrolled.models import model_file

TINY = ("--hidden", "4", "--epochs", "1", *TRAIN)
GOOD = "text,label\n" + "good soup,like\nbad soup,hate\n" * 20


def train(task: str, path: Path, *options: object) -> Done:
    return run("train", task, path, "--out", path.parent / "model", *TINY, *options)


TABLES: list[tuple[str, bytes, tuple[str, ...], str]] = [
    ("classify", b"", (), "{}: empty file"),
    ("classify", b"text,label\n", (), "{}:1: 0 rows; expected rows after the header"),
    ("classify", b"text,mood\na,b\n", (), "{}:1: "),
    ("classify", b"text,label\nfine,like\nfine\n", (), "{}:3: "),
    ("classify", b"text,label\nfine,like\nfine,like,more\n", (), "{}:3: "),
    ("classify", b'text,label\nfine,like\n"fine,like\nbad,hate\n', (), "{}:3: "),
    ("classify", b"text,label\nfine,like\ngood,like\n", (), "{}"),
    ("classify", b"text,label\nfine,like\nna\xefve,hate\n", (), "{}:3: byte 0xef"),
    ("classify", b"text,label\nfine,like\n,hate\n", ("--columns", "y=labl"), "{}:1: no column 'labl'"),
    ("classify", b"text,stars\nfine,1\nbad,N/A\n", ("--columns", "y=stars", "--ordinal"), "{}:3: "),
    ("classify", b"text,stars\nfine,1\nbad,\n", ("--columns", "y=stars", "--ordinal"), "{}:3: "),
    ("tokens:number", b"text,y\nfine,1\nbad,two\n", (), "{}:3: column 'y' has 'two'"),
    ("tokens:number", b"text,y\nfine,1\nbad,nan\n", (), "{}:3: "),
    ("tokens:number", b"text,y\nfine,1\nbad,1e999\n", (), "{}:3: "),
    ("numbers:label", b"a,label\n1,x\ninf,y\n", (), "{}:3: "),
    ("numbers:label", b"a,label\n1,x\n1.5 V,y\n", (), "{}:3: "),
    ("numbers:next", b"a\n1\n", (), "{}"),
    ("numbers:number", b"a,b\n1,2\n3,4\n", ("--horizon", "5"), "{}: no examples: no series is longer than the horizon"),
]  # fmt: skip


@pytest.mark.parametrize(("task", "content", "options", "told"), TABLES)
def test_unusable_tables(task: str, content: bytes, options: tuple[str, ...], told: str, tmp_path: Path):
    path = tmp_path / "table.csv"
    path.write_bytes(content)
    with nothing_new(tmp_path):
        line = refused(train(task, path, *options))
        assert line.startswith(told.format(path)), line
        assert "\n" not in line and ("; expected " in line or "; try " in line), line
        assert run("check", task, path, *options).code == 2


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "{}: empty file"),
        (b"\n\n\n", "{}"),
        (b"anna\tB-PER\nbob\n", "{}:2: "),
        (b"anna\tB-PER\nbob\tO\tO\n", "{}:2: "),
        (b"anna\tO\nbob\tO\n", "only one tag, 'O'"),
        (b"anna\tB-PER\nb\xffb\tO\n", "{}:2: byte 0xff"),
    ],
)
def test_unusable_conll(content: bytes, told: str, tmp_path: Path):
    path = tmp_path / "names.conll"
    path.write_bytes(content)
    with nothing_new(tmp_path):
        line = refused(train("tag", path))
        assert line.startswith(told.format(path)), line
        assert run("check", "tag", path).code == 2


def test_a_rating_in_other_digits_is_named_or_read_never_guessed(tmp_path: Path):
    path = tmp_path / "table.csv"
    path.write_text("text,stars\n" + "fine,4\nbad,1\n" * 10 + "odd,\uff15\n", encoding="utf-8")
    line = refused(train("classify", path, "--columns", "y=stars", "--ordinal"))
    assert line.startswith(f"{path}:22: ") and "\uff15" in line


@pytest.mark.parametrize("part", ["--valid", "--test"])
def test_another_part_that_cannot_be_used_is_told_before_training(part: str, tmp_path: Path):
    (tmp_path / "table.csv").write_text(GOOD)
    other = tmp_path / "other.csv"
    other.write_text("text,label\nfine,like,more\n")
    with nothing_new(tmp_path):
        assert refused(train("classify", tmp_path / "table.csv", part, other)).startswith(f"{other}:2: ")


def test_bad_rows_are_left_out_as_many_as_were_allowed_and_told(tmp_path: Path):
    path = tmp_path / "table.csv"
    path.write_text(GOOD + "short\nlong,like,more\n")
    with nothing_new(tmp_path):
        assert refused(train("classify", path, "--skip-bad", 1)).startswith(f"{path}:43: ")
    done = train("classify", path, "--skip-bad", 2)
    assert done.code == 0
    assert f"skipped {path}:42: " in done.err and f"skipped {path}:43: " in done.err
    assert "40 sequences" in done.err


@pytest.mark.parametrize(
    ("task", "options", "told"),
    [
        ("classify", ("--horizon", "3"), "classify does not support 'horizon'; expected a task with number"),
        ("tokens:number", ("--horizon", "3"), "tokens:number does not support 'horizon'; expected the task"),
        ("tag", ("--pooling", "max"), "tag does not support 'pooling'; expected a task with label or number"),
        ("tokens:number", ("--ordinal",), "tokens:number does not support 'ordinal'; expected a task with label"),
        ("classify", ("--crf",), "classify does not support 'crf'; expected a task with tags"),
        ("classify", ("--ordinal",), "the order of the ratings is not known; try --classes WORST,...,BEST"),
        ("classify", ("--pooling", "sum"), "pooling = 'sum'; expected"),
        ("tag", ("--class-weights",), "tag does not support 'class_weights'; expected a task with label"),
        ("numbers:next", ("--bidirectional",), "a bidirectional model would see the next step"),
        ("clasify", (), "unknown task 'clasify'"),
        ("numbers:words", (), "unknown task 'numbers:words'"),
    ],
)  # fmt: skip
def test_settings_that_cannot_be(task: str, options: tuple[str, ...], told: str, tmp_path: Path):
    path = {
        "tag": lambda: write_conll(tmp_path / "t.conll", 20),
        "numbers:next": lambda: write_sensors(tmp_path / "t.csv", 20),
    }.get(task, lambda: write_reviews(tmp_path / "t.csv", 20))()
    with nothing_new(tmp_path):
        line = refused(train(task, path, *options))
        assert line.startswith(told), line


def test_the_same_rows_in_other_forms_give_the_same_model(tmp_path: Path):
    forms = {
        "plain.csv": GOOD.encode(),
        "mark.csv": GOOD.encode("utf-8-sig"),
        "crlf.csv": GOOD.replace("\n", "\r\n").encode(),
        "utf16.csv": GOOD.encode("utf-16"),
        "semicolons.csv": GOOD.replace(",", ";").encode(),
        "tabs.tsv": GOOD.replace(",", "\t").encode(),
        "zipped.csv.gz": gzip.compress(GOOD.encode()),
        "quoted.csv": "".join(
            ",".join(f'"{field}"' for field in line.split(",")) + "\n" for line in GOOD.splitlines()
        ).encode(),
    }
    digests: set[bytes] = set()
    for name, content in forms.items():
        (tmp_path / name).write_bytes(content)
        model = tmp_path / f"{name}.model"
        done = run("train", "classify", tmp_path / name, "--out", model, *TINY)
        assert done.code == 0, (name, done.err)
        tensors = model_file.load(model).tensors
        digests.add(b"".join(tensors[key].tobytes() for key in sorted(tensors)))
    assert len(digests) == 1


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("label", {"output": {"classes": ["like"], "ordinal": False, "temperature": 1.0}}),
        ("label", {"output": {"classes": ["a", "a", "b"], "ordinal": False, "temperature": 1.0}}),
        ("label", {"output": {"classes": ["a", "b", "c"], "ordinal": False, "temperature": 0.0}}),
        ("label", {"output": {}}),
        ("label", {"input": None}),
        ("label", {"input": {"vocabulary": 3}}),
        ("names", {"output": {"classes": ["O", "B-PER"], "scheme": "bio", "crf": True}}),
        ("names", {"output": {"classes": ["O", "B-PER", "I-PER"], "scheme": "boi", "crf": True}}),
        ("names", {"output": {"classes": ["O", "B-PER", "I-PER"], "scheme": "bio", "crf": False}}),
        ("waves", {"input": {"mean": [0.0], "deviation": [1.0]}}),
        ("waves", {"input": {"mean": [0.0, 0.0], "deviation": [1.0, 0.0]}}),
        ("number", {"output": {"mean": [float(10**400 % 7)], "deviation": [-1.0], "half_width": []}}),
    ],
)
def test_parts_of_a_model_that_do_not_fit(name: str, change: dict[str, object], tmp_path: Path):
    good, path = model_file.load(kinds()[name].model), tmp_path / "model"
    learnt = {**good.learnt, **change}
    model_file.save(
        path,
        model_file.ModelFile(good.task, good.spec, learnt, good.config, good.notes, tensors=good.tensors),
    )
    for arguments in (("predict", path, kinds()[name].test), ("evaluate", path, kinds()[name].test)):
        assert refused(run(*arguments)).startswith(f"{path}: ")


def test_a_learning_rate_beyond_reason_is_stopped_with_file_and_line(tmp_path: Path):
    path = write_sensors(tmp_path / "sensors.csv", 60)
    done = train(
        "numbers:number",
        path,
        "--columns",
        "by=run,x=left,y=right",
        "--lr",
        "1e12",
        "--clip",
        0,
        "--epochs",
        9,
    )
    assert done.code in (2, 4) and not (tmp_path / "model").exists()
    assert done.err.splitlines()[-1].startswith(f"error: {path}:")
