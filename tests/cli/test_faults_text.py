"""What users really do to text, configuration and model files: exit code, one line, nothing half-written left."""

from __future__ import annotations

import gzip
import io
import pickle
import resource
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from support.small_models import TRAIN, Done, nothing_new, refused, run, sentences, small
from unrolled.inference.open_model import open_language_model
from unrolled.models import model_file

TINY = ("--hidden", 8, "--epochs", 1, *TRAIN)
TEXT = "\n".join(sentences(30)) + "\n"


def train(path: Path, *options: object, out: str = "model") -> Done:
    return run("train", "language", path, "--out", path.parent / out, *TINY, *options)


@pytest.mark.parametrize(
    ("content", "options", "told"),
    [
        (b"", (), "{}: empty file; expected text"),
        (b" \n\n\t\n", (), "{}: no examples: only white space; expected text"),
        (b" \n\n\t\n", ("--unit", "word"), "{}: no examples: only white space; expected text"),
        (
            b"fine\nna\xefve\n",
            (),
            "{}:2: byte 0xef at offset 7 is not UTF-8; expected text in UTF-8; "
            "try --encoding cp1252",
        ),
        (b"ab\ncaf\xc3", (), "{}:2: file ends inside a character at byte 6; expected UTF-8"),
        (b"one\ntwo\0\n", (), "{}:2: NUL character; expected text in UTF-8; try"),
        ("zwei\n".encode("utf-16-le"), (), "{}:1: NUL character; expected text in UTF-8; try --encoding utf-16-le"),
        (b"%PDF-1.7\n%\xe2\xe3", (), "{}: this is a PDF; expected plain text; try pdftotext"),
        (b"PK\x03\x04rest", (), "{}: this is a ZIP archive"),
        (b"x" * (1 << 20) + b"yz\n", ("--unit", "word"), "{}:1: line too long; expected at most 1,048,576 characters"),
    ],
)  # fmt: skip
def test_unusable_text(content: bytes, options: tuple[str, ...], told: str, tmp_path: Path):
    path = tmp_path / "text.txt"
    path.write_bytes(content)
    with nothing_new(tmp_path):
        assert refused(train(path, *options)).startswith(told.format(path))
        done = run("evaluate", small().char if not options else small().word, path)
        assert refused(done).startswith(told.format(path))
        assert run("check", "language", path, *options).code == 2
    path.write_text(TEXT)  # the run that never began is not in the way
    assert train(path, *options).code == 0


@pytest.mark.parametrize("part", ["--valid", "--test"])
def test_an_unusable_other_part_is_told_before_training(part: str, tmp_path: Path):
    (tmp_path / "text.txt").write_text(TEXT)
    (tmp_path / "other.txt").touch()
    with nothing_new(tmp_path):
        told = refused(train(tmp_path / "text.txt", part, tmp_path / "other.txt"))
        assert told == f"{tmp_path / 'other.txt'}: empty file; expected text"


def test_names_that_are_wrong(tmp_path: Path):
    (tmp_path / "book.txt").write_text(TEXT)
    (tmp_path / "folder").mkdir()
    with nothing_new(tmp_path):
        told = refused(train(tmp_path / "bok.txt"))
        assert told == f"{tmp_path / 'bok.txt'}: no such file or folder; try 'book.txt'"
        assert "no text files in this folder; expected *.txt" in refused(train(tmp_path / "folder"))
        assert "is a folder; expected the name of a file" in refused(
            train(tmp_path / "book.txt", out="folder")
        )
        told = refused(train(tmp_path / "book.txt", out="no/model"))
        assert told.endswith(f"there is no such folder; try mkdir -p {tmp_path / 'no'}")
        for verb in ("evaluate", "score", "predict", "sample"):
            more = (tmp_path / "book.txt",) if verb != "sample" else ()
            assert "is a folder, not a model file" in refused(run(verb, tmp_path / "folder", *more))
        assert "is a folder; expected a file" in last(run("score", small().word, tmp_path / "folder"))
        assert "there is no such file" in last(run("score", small().word, tmp_path / "none"))


def last(done: Done) -> str:
    assert done.code == 2 and done.out == "" and "Traceback" not in done.err
    return done.err.splitlines()[-1].removeprefix("error: ")


@pytest.mark.parametrize(
    ("name", "encode"),
    [
        ("mark.txt", lambda text: text.encode("utf-8-sig")),
        ("utf16.txt", lambda text: text.encode("utf-16")),
        ("utf16be.txt", lambda text: b"\xfe\xff" + text.encode("utf-16-be")),
        ("crlf.txt", lambda text: text.replace("\n", "\r\n").encode()),
        ("cr.txt", lambda text: text.replace("\n", "\r").encode()),
        ("zipped.txt.gz", lambda text: gzip.compress(text.encode())),
    ],
)
def test_other_forms_of_the_same_text_give_the_same_model(
    name: str, encode: Callable[[str], bytes], tmp_path: Path
):
    (tmp_path / "plain.txt").write_text(TEXT)
    (tmp_path / name).write_bytes(encode(TEXT))
    assert train(tmp_path / "plain.txt", out="plain").code == train(tmp_path / name, out="other").code == 0
    plain, other = (open_language_model(tmp_path / out) for out in ("plain", "other"))
    assert plain.reading == other.reading
    assert all((plain.file.tensors[part] == other.file.tensors[part]).all() for part in plain.file.tensors)


def test_more_words_than_the_vocabulary_holds_are_told(tmp_path: Path):
    path = tmp_path / "text.txt"
    path.write_text("".join(f"common word{number}\n" for number in range(300)))
    done = train(path, "--unit", "word", "--vocab-size", 5)
    assert done.code == 0
    share = 1 - 270 / 540 - 4 / 540
    assert f"271 distinct tokens, {share:.2%} of the text is <UNK>" in done.err


def test_text_of_nothing_but_unknown_words_is_measured(tmp_path: Path):
    path = tmp_path / "text.txt"
    path.write_text("quagga okapi\ntapir\n")
    done = run("evaluate", small().word, path)
    assert done.code == 0 and "unknown             0.6000\n" in done.out  # 3 of 3 words, and 2 ends
    assert run("score", small().word, path).lines[0].split("\t")[3] == "2"


def test_a_learning_rate_beyond_reason_is_stopped_with_file_and_line(tmp_path: Path):
    path = tmp_path / "text.txt"
    path.write_text(TEXT * 20)
    done = train(path, "--lr", "1e10", "--clip", 0)
    assert done.code == 4 and done.out == "" and not (tmp_path / "model").exists()
    told = done.err.splitlines()[-1]
    assert (
        told.startswith(f"error: {path}:")
        and "training diverged at step" in told
        and "try a smaller --lr" in told
    )
    assert train(path, "--force").code == 0


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--cell", "lstn"), "unknown cell 'lstn'; expected rnn, gru-simple, gru, lstm; try 'lstm'"),
        (("--activation", "relu"), "the cell 'lstm' has no activation 'relu'; expected tanh"),
        (
            ("--bidirectional",),
            "a bidirectional model would see the next step, which it must predict",
        ),
        (("--softmax", "adaptive"), "the adaptive softmax is for many outputs, not for"),
        (("--embedding", "0", "--tie"), "tied weights need an embedding"),
        (("--minutes", "0"), "0 minutes are too short"),
        (("--minutes", "-3"), "minutes = -3; expected a number of at least 0"),
        (("--hidden", "65536", "--layers", "32"), "training would take about"),
        (("--set", "model.unit=char"), "'model' has no option 'unit'; expected data.unit"),
        (("--config", "none.toml"), "none.toml: there is no such file"),
    ],
)
def test_settings_that_cannot_be(options: tuple[str, ...], told: str, tmp_path: Path):
    path = tmp_path / "text.txt"
    path.write_text(TEXT)
    with nothing_new(tmp_path):
        done = train(path, *options)
        assert done.code == 2 and done.out == ""
        assert done.err.splitlines()[-1].startswith(f"error: {told}"), done.err


def damaged() -> dict[str, bytes]:
    good = small().word.read_bytes()
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("archive/data.pkl", "x")
    return {
        "empty": b"",
        "seven bytes": b"unroll\n",
        "endless header": b"\xff" * 8 + good[8:],
        "truncated": good[:-1],
        "longer": good + b"\0",
        "flipped": good[:-9] + bytes([good[-9] ^ 1]) + good[-8:],
        "text": TEXT.encode(),
        "pickle": pickle.dumps({"weights": [1.0]}),
        "zip": archive.getvalue(),
        "hdf5": b"\x89HDF\r\n\x1a\n" + b"\0" * 64,
    }


@pytest.mark.parametrize("kind", damaged())
def test_files_that_are_no_model(kind: str, tmp_path: Path):
    path = tmp_path / "model"
    path.write_bytes(damaged()[kind])
    with nothing_new(tmp_path):
        for arguments in (("score", path), ("sample", path), ("evaluate", path, small().few)):
            assert refused(run(*arguments)).startswith(f"{path}: ")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            {"learnt": {}},
            "the text settings in the model file are damaged; expected unit, lower, documents, vocabulary",
        ),
        ({"core": {"cell": "lstx"}}, "unknown cell 'lstx'"),
        ({"input": {"n_x": 99}}, "the description of the network is wrong: tied weights need"),
        ({"core": {"n_a": 25}}, "25"),
        ({"core": {"bidirectional": True}}, "core.0.backward"),
        (
            {"learnt": {"vocabulary": {"tokens": ["the"], "counts": [1]}}},
            "has 3 tokens in its vocabulary, 11 inputs",
        ),
    ],
)
def test_parts_of_a_model_that_do_not_fit(change: dict[str, dict[str, object]], told: str, tmp_path: Path):
    good, path = model_file.load(small().word), tmp_path / "model"
    parts = {name: dict(getattr(good, name)) | change.get(name, {}) for name in ("learnt", "config", "notes")}
    parts["spec"] = {name: {**record, **change.get(name, {})} for name, record in good.spec.items()}
    parts["learnt"] = {} if change.get("learnt") == {} else parts["learnt"]
    model_file.save(path, model_file.ModelFile(good.task, **parts, tensors=good.tensors))
    line = refused(run("score", path))
    assert line.startswith(f"{path}: ") and told in line


def test_too_little_memory_is_refused_or_told(tmp_path: Path):
    path = tmp_path / "text.txt"
    path.write_text(TEXT)
    with nothing_new(tmp_path):
        command = [sys.executable, "-m", "unrolled", "train", "language", path, "--out", tmp_path / "model"]
        limit = 3 << 30  # torch itself maps most of this
        done = subprocess.run(
            [*map(str, command), "--hidden", "8000", "--layers", "4", "--threads", "1", "--epochs", "1"],
            capture_output=True,
            text=True,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
        )
    assert done.returncode == 2 and "training would take about" in done.stderr.splitlines()[-1]
