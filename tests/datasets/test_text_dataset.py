"""From files to data sets: where the part held out begins, and that nothing of it reaches the vocabulary."""

from __future__ import annotations

import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unrolled.core.config import DataConfig
from unrolled.core.errors import DataError, UsageError
from unrolled.data.text.vocabulary import EOS, UNK
from unrolled.datasets import text_dataset
from unrolled.datasets.text_dataset import Prepared, from_files, from_texts, prepare
from unrolled.tasks.inputs.tokens import encode

CHAR = DataConfig(unit="char", documents="file")
WORD = DataConfig(unit="word", documents="line")


def write(folder: Path, text: str, name: str = "text.txt") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def prepared(folder: Path, text: str, config: DataConfig, valid: str | None = None) -> Prepared:
    documents = config.documents or "file"
    held_out = None if valid is None else from_files([write(folder, valid, "valid.txt")], documents)
    return prepare(from_files([write(folder, text)], documents), held_out, config, folder / "data")


def names(found: Prepared, part: str) -> list[str]:
    store = found.train if part == "train" else found.valid
    assert store is not None
    return [found.reading.vocabulary.name(int(number)) for number in store.ids]


def test_characters_are_cut_exactly_and_the_rest_is_unseen(tmp_path: Path):
    text = "abc\n" * 1000 + "xyz\n" * 111 + "q"  # 4,445 characters
    found = prepared(tmp_path, text, CHAR)
    cut = int(len(text) * 0.9)
    assert names(found, "train") == list(text[:cut])
    assert found.valid is not None
    np.testing.assert_array_equal(found.valid.ids[:-1], found.reading.encode(text[cut:]))
    assert found.valid.ids[-1] == EOS and set(found.reading.vocabulary.tokens) == set(text[:cut])
    assert found.reading.encode("q").tolist() == [UNK]
    assert found.coverage.tokens == cut


def test_words_are_cut_at_the_start_of_the_line_that_holds_the_character(tmp_path: Path):
    lines = [f"word{number} and" for number in range(400)]
    text = "\n".join(lines) + "\n"
    line = text.count("\n", 0, int(len(text) * 0.9))
    for config in (WORD, replace(WORD, documents="file"), replace(WORD, unit="white", documents="blank")):
        found = prepared(tmp_path, text, config)
        assert set(found.reading.vocabulary.tokens) == {"and", *(one.split()[0] for one in lines[:line])}
        assert names(found, "train")[-2 - (config.documents == "line")] == f"word{line - 1}"
        assert found.valid is not None
        assert found.valid.place(0).line == line + 1
        assert len(found.train) + len(found.valid) == 800 + {"line": 400}.get(config.documents or "", 1)


@settings(max_examples=60)
@given(
    st.lists(
        st.lists(st.sampled_from(["a", "b", "İ", "Σα", "x7", "."]), max_size=6).map(" ".join), min_size=1
    ),
    st.sampled_from(["word", "white", "char"]),
    st.sampled_from(["file", "line", "blank"]),
    st.booleans(),
    st.floats(0.05, 0.9),
)
def test_the_vocabulary_counts_the_training_part_and_nothing_else(
    lines: list[str], unit: str, documents: str, lower: bool, hold_out: float
):
    if not any(lines):
        lines = ["a"]
    config = DataConfig(unit=unit, documents=documents, lower=lower, hold_out=hold_out)
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        patch.setattr(text_dataset, "SMALLEST", 1)
        text = "\n".join(lines)
        try:
            found = prepared(Path(folder), text, config)
        except DataError as error:
            assert "no examples" in str(
                error
            )  # of so short a text, only white space may be left to learn from
            return
        reading = found.reading
        source = from_files([Path(folder) / "text.txt"], documents)
        whole = np.concatenate(
            [part.ids for part in encode(source.documents(), reading.vocabulary, unit, lower)]
        )
        parts = [found.train.ids, *([] if found.valid is None else [found.valid.ids])]
        np.testing.assert_array_equal(np.concatenate(parts), whole)
        counted = Counter(number for number in found.train.ids.tolist() if number > EOS)
        assert [counted[number] for number in range(2, len(reading.vocabulary))] == list(
            reading.vocabulary.counts
        )
        assert UNK not in found.train.ids
        if found.valid is not None and unit != "char":
            assert found.valid.begin in found.train.all_lines  # between two lines


def test_nothing_is_held_out_of_little_or_when_asked_or_where_there_is_no_line_end(tmp_path: Path):
    assert prepared(tmp_path, "short\n" * 9, CHAR).valid is None
    assert prepared(tmp_path, "long enough\n" * 300, replace(CHAR, hold_out=0.0)).valid is None
    endless = prepared(tmp_path, "word " * 900, replace(WORD, documents="file"))
    assert endless.valid is None and len(endless.train) == 901


def test_a_validation_file_takes_the_place_of_the_last_part(tmp_path: Path):
    found = prepared(tmp_path, "abc\n" * 1000, CHAR, valid="abcx\n")
    assert len(found.train) == 4001
    assert names(found, "valid") == ["a", "b", "c", "<UNK>", "\n", "<EOS>"]


def test_blank_lines_at_the_cut_leave_no_line_behind(tmp_path: Path):
    text = "one\n" * 450 + "\n" * 200 + "two\n" * 20  # the character at 90% stands in a blank line
    found = prepared(tmp_path, text, replace(WORD, documents="file"))
    assert found.valid is not None
    assert (names(found, "train"), names(found, "valid")) == (["one"] * 450, ["<UNK>"] * 20 + ["<EOS>"])


def test_another_release_prepares_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    prepared(tmp_path, "abc\n" * 600, CHAR)
    index = tmp_path / "data" / "prepared.json"
    before = index.stat().st_mtime_ns
    monkeypatch.setattr(
        "unrolled.datasets.prepared_folder.__version__", "9.9"
    )  # whose encoding may be another one
    prepared(tmp_path, "abc\n" * 600, CHAR)
    assert index.stat().st_mtime_ns > before


def test_data_are_prepared_once_and_again_when_they_change(tmp_path: Path):
    prepared(tmp_path, "abc\n" * 600, CHAR)
    index = tmp_path / "data" / "prepared.json"
    before = index.stat().st_mtime_ns
    prepared(tmp_path, "abc\n" * 600, CHAR)
    assert index.stat().st_mtime_ns == before
    again = prepared(tmp_path, "abd\n" * 600, CHAR)
    assert "d" in again.reading.vocabulary.tokens
    assert prepared(tmp_path, "abd\n" * 600, replace(CHAR, lower=True)).reading.lower
    index.write_text("{")
    assert names(prepared(tmp_path, "abd\n" * 600, CHAR), "train")[:4] == list("abd\n")


def test_sources_know_their_size_and_are_told_apart(tmp_path: Path):
    one = from_files([write(tmp_path, "ab\n\ncd")], "line")
    assert (one.characters, one.ends) == (4, 2)
    assert from_files([write(tmp_path, "ab\n\ncd")], "line").sha256 == one.sha256
    assert from_files([write(tmp_path, "ab\n\nce")], "line").sha256 != one.sha256
    texts = from_texts(["ab", "c"])
    assert (texts.characters, texts.ends) == (3, 2)
    assert texts.sha256 not in (from_texts(["ab", "d"]).sha256, from_texts(["a", "bc"]).sha256)
    assert [str(document.place) for document in texts.documents()] == ["texts:1", "texts:2"]


def test_unusable_files_are_told_at_once(tmp_path: Path):
    with pytest.raises(DataError, match="empty file"):
        from_files([write(tmp_path, "")], "file")
    with pytest.raises(UsageError, match=r"no such file or folder; try 'text\.txt'"):
        from_files([tmp_path / "txt.txt"], "file")
