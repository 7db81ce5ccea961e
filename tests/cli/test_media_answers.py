"""`predict`, `score` and `evaluate` of media files: each has its answer and its name, whatever is wrong with others."""

from __future__ import annotations

import json
import shutil
import unicodedata
from pathlib import Path

import pytest

from support.small_models import refused, run
from support.small_sounds import small
from support.small_tunes import band
from support.tones import sound, write

WRONG = {  # files of a list that cannot be answered, and what is said of each
    "none.wav": (None, "there is no such file"),
    "empty.wav": (b"", "empty file"),
    "text.flac": (b"no sound at all", "is not FLAC"),
    "song.m4a": (b"\0\0\0\x20ftypM4A ", ".m4a files are not supported"),
    "what.xyz": (b"\0\1\2", "unknown audio format '.xyz'"),
    "folder": ("a folder", "unknown audio format ''"),
    "nul\0.wav": (None, "NUL character"),
}


def mixed(folder: Path) -> list[str]:
    """Names of good and wrong files, one by one."""
    names: list[str] = []
    for number, (name, (content, _)) in enumerate(WRONG.items()):
        good = write(folder / f"{number}.wav", sound("ab", number))
        if content == "a folder":
            (folder / name).mkdir()
        elif content is not None:
            assert isinstance(content, bytes)
            (folder / name).write_bytes(content)
        names += [str(good), str(folder / name)]
    return names


def test_wrong_files_of_a_list_have_blank_answers_and_the_others_theirs(tmp_path: Path):
    names = mixed(tmp_path)
    done = run("predict", small().causal, stdin=("\n".join(names) + "\n").encode())
    assert done.code == 5 and "Traceback" not in done.err, done
    answers = [line.split("\t") for line in done.lines]
    assert [answer[-1] for answer in answers] == [name if "\0" not in name else "" for name in names]
    assert [answer[0] != "" for answer in answers] == [True, False] * len(WRONG)
    errors = [line for line in done.err.splitlines() if line.startswith("error: ")]
    for error, (_, told) in zip(errors, WRONG.values(), strict=False):
        assert told in error, error
    assert f"no answer to {len(WRONG)} items" in errors[-1]


def test_wrong_files_of_a_table_have_blank_answers_too(tmp_path: Path):
    names = [Path(name).name for name in mixed(tmp_path) if "\0" not in name]
    (tmp_path / "t.csv").write_text("id,audio\n" + "".join(f"{i},{name}\n" for i, name in enumerate(names)))
    done = run("predict", small().causal, tmp_path / "t.csv", "--format", "jsonl")
    assert done.code == 5, done
    records = [json.loads(line) for line in done.lines]
    assert [record["id"] for record in records] == [str(i) for i in range(len(names))]
    assert [Path(record["file"]).name for record in records] == names
    assert [("error" in record) for record in records] == [False, True] * (len(WRONG) - 1) + [False]


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.m4a", b"\0\0\0\x20ftypM4A ", ".m4a is not read"),
        ("a.xyz", b"\0\1\2\xff", "unknown file extension '.xyz', and the file is not a text"),
        ("a", b"\xff\xfe\xfd", "no file extension, and the file is not a text"),
        ("none.wav", None, "no such file"),
        ("none.xyz", None, "no such file"),
    ],
)
def test_a_file_of_another_kind_is_named(tmp_path: Path, name: str, content: bytes | None, told: str):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    for model in (small().causal, band().model):
        said = refused(run("predict", model, tmp_path / name))
        assert told in said and "UTF-8" not in said


def test_a_list_in_a_file_of_any_name_is_read_and_accents_are_found(tmp_path: Path):
    name = unicodedata.normalize("NFD", "Gemüse.wav")
    write(tmp_path / name, sound("cab", 5))
    listed = tmp_path / "list.of-files"
    listed.write_text(str(tmp_path / unicodedata.normalize("NFC", name)) + "\n")
    done = run("predict", small().causal, listed)
    assert done.code == 0 and done.lines == [f"cab\t{tmp_path / name}"]


def test_files_that_are_not_used_are_told(tmp_path: Path):
    write(tmp_path / "a.wav", sound("ab"))
    (tmp_path / "b.m4a").write_bytes(b"x")
    done = run("predict", small().causal, tmp_path)
    assert done.code == 0 and "1 file is not used: b.m4a" in done.err
    (tmp_path / "x").mkdir()
    shutil.move(tmp_path / "a.wav", tmp_path / "x" / "a.wav")
    write(tmp_path / "y" / "a.wav", sound("c"))
    trained = run(
        "train",
        "audio:label",
        tmp_path,
        "--out",
        tmp_path / "m",
        "--epochs",
        1,
        "--hidden",
        4,
        "--threads",
        1,
    )
    assert trained.code == 0 and "1 file is not used: b.m4a" in trained.err
    checked = run("check", "audio:label", tmp_path)
    assert checked.code == 0 and "odd: 1 file is not used: b.m4a" in checked.out


def test_one_bad_tune_stops_neither_score_nor_evaluate_nor_predict(tmp_path: Path):
    folder = tmp_path / "tunes"
    shutil.copytree(band().test, folder)
    bad = folder / "march" / "01.mid"
    bad.write_bytes(bad.read_bytes()[:60])
    for verb in ("score", "predict"):
        done = run(verb, band().model, folder)
        assert done.code == 5 and f"{bad}:1: damaged MIDI file" in done.err, done
        assert [line.split("\t")[-1] for line in done.lines] == [
            str(file) for file in sorted(folder.rglob("*.mid"))
        ]
        assert [line.startswith("\t") for line in done.lines] == [False, True] + [False] * 6
    records = [json.loads(line) for line in run("score", band().model, folder, "--format", "jsonl").lines]
    assert "damaged MIDI file" in records[1]["error"] and records[0]["log_probability"] < 0
    done = run("evaluate", band().model, folder, "--json")
    assert done.code == 5 and f"{bad}:1: damaged" in done.err and json.loads(done.out)["sequences"] == 7
    listed = run(
        "predict",
        band().model,
        stdin=f"{bad}\n\n{folder / 'waltz' / '00.mid'}\n{tmp_path / 'no.mid'}\n".encode(),
    )
    assert listed.code == 5 and [bool(line.split("\t")[0]) for line in listed.lines] == [
        False,
        False,
        True,
        False,
    ]
    single = run("score", band().model, bad)
    assert single.code == 5 and single.lines == [f"\t{bad}"]


def test_times_are_written_as_subtitles_annotations_and_tables(tmp_path: Path):
    model = small().causal
    for name in ("a", "b"):
        write(tmp_path / "in" / f"{name}.wav", sound("cab", 5))
    one, several = tmp_path / "in" / "a.wav", tmp_path / "in"
    assert run("predict", model, one, "--format", "srt").lines[2] == "cab"
    assert run("predict", model, one, "--format", "vtt").lines[0] == "WEBVTT"
    assert 'text = "cab"' in run("predict", model, one, "--format", "textgrid").out
    assert [line.split()[0] for line in run("predict", model, several, "--format", "ctm").lines] == ["a", "b"]
    assert "expected --output FOLDER" in refused(run("predict", model, several, "--format", "srt"))
    for form, ending in (("srt", "srt"), ("textgrid", "TextGrid")):
        done = run("predict", model, several, "--format", form, "--output", tmp_path / form)
        assert done.code == 0, done
        assert sorted(path.name for path in (tmp_path / form).iterdir()) == [f"a.{ending}", f"b.{ending}"]
    table = run("predict", model, several, "--format", "csv").lines
    assert table == ["id,file,prediction", f"a.wav,{one},cab", f"b.wav,{several / 'b.wav'},cab"]
    told = refused(run("predict", small().folder / "label", one, "--format", "srt"))
    assert "--format srt needs answers with times" in told


def test_evaluate_names_the_files_of_a_folder_that_it_does_not_use(tmp_path: Path):
    folder = tmp_path / "tunes"
    shutil.copytree(band().test, folder)
    (folder / "cover.jpg").write_bytes(b"x")
    done = run("evaluate", band().model, folder)
    assert done.code == 0 and "1 file is not used: cover.jpg" in done.err
