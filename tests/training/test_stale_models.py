"""A model is called finished only where this very run wrote it, and a folder of data may hold the model and its run."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from unrolled.cli import main
from unrolled.models import model_file
from unrolled.training import fit
from unrolled.training.run_folder import read_checkpoint

OPTIONS = ("--epochs", "1", "--hidden", "8", "--threads", "1")


class Killed(BaseException):
    """The process is gone before the model is written."""


def train(data: Path, out: Path, *more: str) -> int:
    return main(["train", "language", str(data), "--out", str(out), *OPTIONS, *more])


def killed_before_the_model(
    data: Path, out: Path, monkeypatch: pytest.MonkeyPatch, *more: str
) -> dict[str, bytes]:
    """Train until the last checkpoint; then the process dies. The files of the run folder."""

    def die(*arguments: object, **options: object) -> None:
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(fit.model_file, "save", die)
        train(data, out, *more)
    return {
        path.name: path.read_bytes() for path in out.with_name(f"{out.name}.run").iterdir() if path.is_file()
    }


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, Path]:
    (tmp_path / "a.txt").write_text("abc def ghi\n" * 300)
    (tmp_path / "b.txt").write_text("xyz uvw rst\n" * 300)  # as many characters: as many steps
    return tmp_path / "a.txt", tmp_path / "b.txt"


def test_a_model_of_other_data_is_not_called_finished(
    two: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    out, straight = tmp_path / "m", tmp_path / "straight"
    assert train(two[0], out) == 0 and train(two[1], straight) == 0
    killed_before_the_model(two[1], out, monkeypatch, "--force")
    capsys.readouterr()
    assert train(two[1], out, "--resume") == 0
    assert "finished already" not in capsys.readouterr().err
    assert out.read_bytes() == straight.read_bytes()
    assert train(two[1], out, "--resume") == 0
    assert "finished already" in capsys.readouterr().err and out.read_bytes() == straight.read_bytes()


def test_a_model_of_the_same_command_and_other_weights_is_not_called_finished(
    two: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    out = tmp_path / "m"
    assert train(two[0], out) == 0
    right = out.read_bytes()
    model = model_file.load(out)
    tensors = {name: tensor + 1 for name, tensor in model.tensors.items()}
    other = model_file.ModelFile(model.task, model.spec, model.learnt, model.config, model.notes, tensors)
    model_file.save(out, other, force=True)
    assert train(two[0], out, "--resume") == 0
    assert "finished already" not in capsys.readouterr().err and out.read_bytes() == right


def test_models_without_the_digest_of_a_run_open(two: tuple[Path, Path], tmp_path: Path):
    assert train(two[0], tmp_path / "m") == 0
    model = model_file.load(tmp_path / "m")
    assert model.notes["run"] and read_checkpoint(tmp_path / "m.run").counters["done"]
    notes = {key: value for key, value in model.notes.items() if key != "run"}
    old = model_file.ModelFile(model.task, model.spec, model.learnt, model.config, notes, model.tensors)
    model_file.save(tmp_path / "old", old)
    assert main(["score", str(tmp_path / "old"), str(two[0])]) == 0


def test_damaged_data_of_a_run_are_encoded_anew(
    two: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    out, straight = tmp_path / "m", tmp_path / "straight"
    assert train(two[0], straight) == 0
    killed_before_the_model(two[0], out, monkeypatch)
    ids = tmp_path / "m.run" / "data" / "train" / "ids"
    ids.write_bytes(bytes([ids.read_bytes()[0] ^ 1]) + ids.read_bytes()[1:])
    (tmp_path / "m.run" / "plan.json").unlink()
    assert train(two[0], out, "--resume") == 0
    said = capsys.readouterr().err
    assert "encoded data in the run folder was damaged" in said and "plan.json was damaged or missing" in said
    assert out.read_bytes() == straight.read_bytes()


def test_a_model_among_its_data_is_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    data = tmp_path / "data"
    data.mkdir()
    for name in ("a.md", "b.md"):
        (data / name).write_text("abc def ghi\n" * 150)
    killed_before_the_model(data, data / "m", monkeypatch)
    # What editors, file managers and people put into a folder, and what is not read as text, changes no data.
    for name in (".DS_Store", "Thumbs.db", "desktop.ini", "notes.md~", ".a.md.swp", "lost.tmp", "cover.png"):
        (data / name).write_bytes(b"\0\0")
    assert train(data, data / "m", "--resume") == 0
    first = capsys.readouterr().err
    assert "resumed at step" in first
    shutil.copy(data / "m", tmp_path / "first")
    assert train(data, data / "m", "--resume") == 0
    assert "finished already" in capsys.readouterr().err
    assert train(data, data / "m", "--force") == 0  # neither the model nor its run folder is read as text
    assert (data / "m").read_bytes() == (tmp_path / "first").read_bytes()
    assert "in 2 documents" in capsys.readouterr().err
