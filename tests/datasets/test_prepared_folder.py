"""Encoded data are used again only where every byte is as it was written, and fingerprints are of the data alone."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from unrolled.core.config import DataConfig, build
from unrolled.core.errors import DataError
from unrolled.core.types import Document
from unrolled.datasets import example_dataset, example_source, text_dataset
from unrolled.datasets.fingerprint import fingerprint
from unrolled.models import model_file
from unrolled.tasks.fill import resolve_data

CONFIG = DataConfig(unit="char", documents="line")


def texts(folder: Path) -> text_dataset.Prepared:
    """A prepared text of 2,400 characters, a tenth of it held out."""
    (folder / "t.txt").write_text("abc\n" * 600)
    source = text_dataset.from_files([folder / "t.txt"], "line")
    return text_dataset.prepare(source, None, CONFIG, folder / "data")


def classes(folder: Path) -> example_dataset.PreparedData:
    """A prepared table of 40 texts with two classes."""
    (folder / "t.csv").write_text("text,label\n" + "so good,yes\nbad,no\n" * 20)
    config = resolve_data(build("classify"))
    source = example_source.from_files([folder / "t.csv"], config)
    return example_dataset.prepare(source, None, config, folder / "data")


def content(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("make", [texts, classes])
def test_every_damaged_file_is_found_and_made_anew(tmp_path: Path, make: Callable[[Path], object]):
    make(tmp_path)
    before = content(tmp_path / "data")
    assert len(before) > 5
    for name, data in before.items():
        changes: list[bytes | None] = [None, b"", data[:-1], data + b"\0"]
        changes += [bytes([*data[:at], data[at] ^ 1, *data[at + 1 :]]) for at in (0, len(data) // 2) if data]
        for changed in changes:
            if changed == data:
                continue
            Path(name).unlink()
            if changed is not None:
                Path(name).write_bytes(changed)
            found = make(tmp_path)
            assert found.damaged == (changed is not None or not name.endswith("prepared.json"))
            assert content(tmp_path / "data") == before, (name, changed)
            assert not make(tmp_path).damaged


def test_a_byte_more_in_the_ids_is_not_trained_on(tmp_path: Path):
    whole = texts(tmp_path).train.ids.tolist()
    ids = np.memmap(tmp_path / "data" / "train" / "ids", mode="r+", dtype=np.uint8)
    ids[10] ^= 1
    ids.flush()
    assert texts(tmp_path).train.ids.tolist() == whole


def changing(
    source: text_dataset.DocumentSource, change: Callable[[], object], at: int
) -> text_dataset.DocumentSource:
    """A source of which the data change while they are read for the time number `at`."""
    times = 0

    def documents() -> Iterator[Document]:
        nonlocal times
        times += 1
        if times == at:
            change()
        return source.documents()

    return replace(source, documents=documents)


@pytest.mark.parametrize("at", [1, 2])
def test_a_text_that_changes_while_it_is_read_is_told(tmp_path: Path, at: int):
    file = tmp_path / "t.txt"
    file.write_text("abc\n" * 600)
    before = file.stat()

    def change() -> None:
        file.write_text("abd\n" * 600)
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))  # times and sizes prove nothing

    source = changing(text_dataset.from_files([file], "line"), change, at)
    with pytest.raises(DataError, match="changed while it was read"):
        text_dataset.prepare(source, None, CONFIG, tmp_path / "data")
    assert not (tmp_path / "data" / "prepared.json").exists()


def test_a_table_that_changes_while_it_is_read_is_told(tmp_path: Path):
    file, config = tmp_path / "t.csv", resolve_data(build("classify"))
    file.write_text("text,label\n" + "so good,yes\nbad,no\n" * 20)
    source = example_source.from_files([file], config)
    file.write_text("text,label\n" + "so good,no\nbad,yes\n" * 20)
    with pytest.raises(DataError, match="changed while it was read"):
        example_dataset.prepare(source, None, config, tmp_path / "data")


def model_at(path: Path) -> None:
    weights = {"w": np.zeros(3, np.float32)}
    model_file.save(path, model_file.ModelFile("language", {}, {}, {}, {}, weights), force=True)


def test_hidden_files_and_own_output_are_no_part_of_a_fingerprint(tmp_path: Path):
    for name in ("a.txt", "deep/b.md", "deep/c.run"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    before = fingerprint([tmp_path])
    (tmp_path / ".DS_Store").write_bytes(b"x")
    (tmp_path / "deep" / ".git").mkdir()
    (tmp_path / "deep" / ".git" / "index").write_bytes(b"x")
    model_at(tmp_path / "m")
    model_at(tmp_path / "deep" / "m.txt")
    for run in (tmp_path / "m.run", tmp_path / "deep" / "m.run"):
        (run / "data").mkdir(parents=True)
        for name in ("lock", "config.json", "data/x.txt"):
            (run / name).write_text("{}")
    assert fingerprint([tmp_path]) == before
    (tmp_path / "other.run").mkdir()
    (tmp_path / "other.run" / "d.txt").write_text("a folder of data may be called like that")
    assert fingerprint([tmp_path]) != before


def test_a_hidden_folder_that_is_named_counts(tmp_path: Path):
    (tmp_path / ".data").mkdir()
    (tmp_path / ".data" / "a.txt").write_text("a")
    before = fingerprint([tmp_path / ".data"])
    (tmp_path / ".data" / "a.txt").write_text("b")
    assert fingerprint([tmp_path / ".data"]) != before


def test_what_links_lead_to_counts(tmp_path: Path):
    (tmp_path / "data").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "a.txt").write_text("a")
    (tmp_path / "data" / "yes").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "back").symlink_to(tmp_path / "data")
    before = fingerprint([tmp_path / "data"])
    (tmp_path / "elsewhere" / "a.txt").write_text("b")
    assert fingerprint([tmp_path / "data"]) != before


def test_tunes_that_a_table_names_count(tmp_path: Path):
    (tmp_path / "t.csv").write_text("file,genre\na.mid,jig\n")
    (tmp_path / "a.mid").write_bytes(b"one")
    config = resolve_data(build("compose"))
    before = example_source.from_files([tmp_path / "t.csv"], config).sha256
    (tmp_path / "a.mid").write_bytes(b"two")
    assert example_source.from_files([tmp_path / "t.csv"], config).sha256 != before


def test_a_run_folder_among_the_data_is_not_read(tmp_path: Path):
    run = tmp_path / "m.run"
    (run / "data").mkdir(parents=True)
    for name in ("lock", "config.json", "notes.md"):
        (run / name).write_text("not data\n" * 300)
    (tmp_path / "a.md").write_text("data\n" * 300)
    source = text_dataset.from_files([tmp_path], "file")
    assert source.characters == 5 * 300
    (tmp_path / "yes").mkdir()
    (tmp_path / "yes" / "a").write_text("good")
    found = example_source.from_files([tmp_path], resolve_data(build("classify"))).examples()
    assert {example.y for example in found} == {"yes"}
