"""A reader, an input and an output of another package: every command knows them by their entry points."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from support import other_kinds
from support.installed import unrolled

SMALL = ("--hidden", "8", "--epochs", "30", "--threads", "1", "--optimizer", "adamw", "--lr", "0.02")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return other_kinds.install(tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = ["a an to|short", "it is so|short", "wonderful elephants|long", "extraordinary weather|long"] * 15
    path = tmp_path_factory.mktemp("data") / "words.pipe"
    path.write_text("".join(f"{row}\n" for row in rows))
    return path


@pytest.fixture(scope="module")
def model(installed: Path, data: Path) -> Path:
    out = data.with_name("model")
    done = unrolled(installed, "train", "lengths:loud", data, *SMALL, "--out", out)
    assert done.returncode == 0, done.stderr
    assert "words of at most 13 letters" in done.stderr
    return out


def test_check_knows_them(installed: Path, data: Path):
    done = unrolled(installed, "check", "lengths:loud", data)
    assert done.returncode == 0, done.stderr
    assert "60 sequences" in done.stdout and "target: 2 classes: long, short" in done.stdout
    assert "training would start" in done.stdout


def test_evaluate_and_predict(installed: Path, data: Path, model: Path):
    done = unrolled(installed, "evaluate", model, data, "--json")
    assert done.returncode == 0 and json.loads(done.stdout)["accuracy"] >= 0.9, done.stdout + done.stderr
    done = unrolled(installed, "predict", model, stdin="it is\nenormous buildings\n")
    assert done.stdout.split() == ["SHORT", "LONG"], done.stderr
    assert unrolled(installed, "predict", model, data).stdout.split()[:3] == ["SHORT", "SHORT", "LONG"]


@pytest.mark.parametrize("task", ["tokens:loud", "lengths:label", "lengths:tags"])
def test_they_combine_with_the_kinds_of_this_package(installed: Path, data: Path, tmp_path: Path, task: str):
    done = unrolled(installed, "train", task, data, *SMALL, "--epochs", "1", "--out", tmp_path / "m")
    if task == "lengths:tags":  # the file has no tags
        assert done.returncode == 2 and "Traceback" not in done.stderr
    else:
        assert done.returncode == 0, done.stderr


def test_without_the_package_the_error_names_it(data: Path, model: Path, tmp_path: Path):
    done = unrolled(None, "predict", model, stdin="it is\n")
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert (
        "the input 'lengths' comes from the package other-kinds 0.3, which is not installed here"
        in done.stderr
    )
    done = unrolled(None, "train", "lengths:loud", data, "--out", tmp_path / "m")
    assert done.returncode == 2 and "unknown task 'lengths:loud'" in done.stderr
    done = unrolled(None, "train", "classify", data, "--out", tmp_path / "m")
    assert done.returncode == 2 and "cannot determine the format" in done.stderr


def test_a_bad_line_is_named(installed: Path, tmp_path: Path):
    (tmp_path / "bad.pipe").write_text("a an|short\nno class here\n")
    done = unrolled(installed, "train", "lengths:loud", tmp_path / "bad.pipe", "--out", tmp_path / "m")
    assert done.returncode == 2 and f"{tmp_path / 'bad.pipe'}:2: no class; expected text|class" in done.stderr
