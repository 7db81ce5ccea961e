"""Files of word vectors: each format gives the same vectors, and a wrong file ends in an error of one line."""

from __future__ import annotations

import gzip
import json
import struct
from pathlib import Path

import numpy as np
import pytest

from unrolled.core.errors import UnrolledError
from unrolled.data.vectors import format_of

WORDS = ("the", "Paris", "1990s", "café")
ROWS = np.array([[0.5, -1.25, 3.0], [1.0, 2.0, -0.5], [0.0, 0.25, 0.125], [4.0, 0.75, -8.0]], np.float32)
LINES = [
    f"{word} " + " ".join(f"{number:g}" for number in row) for word, row in zip(WORDS, ROWS, strict=True)
]


def vectors(path: Path, wanted: tuple[str, ...] = WORDS) -> dict[str, list[float]]:
    return {word: row.tolist() for word, row in format_of(path).read(path, lambda word: word in wanted)}


def refused(path: Path) -> str:
    with pytest.raises(UnrolledError) as caught:
        vectors(path)
    told = str(caught.value)
    assert "\n" not in told and path.name in told
    return told


def text(folder: Path, content: str | bytes, name: str = "v.txt") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def arrays(folder: Path, table: np.ndarray, words: str) -> Path:
    np.save(folder / "v.npy", table)
    text(folder, words)
    return folder / "v.npy"


def tensors_bytes(tensors: dict[str, tuple[str, np.ndarray]]) -> bytes:
    entries, data = {}, b""
    for name, (code, array) in tensors.items():
        raw = array.tobytes()
        shape = list(array.shape)
        entries[name] = {"dtype": code, "shape": shape, "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    header = json.dumps({"__metadata__": {"format": "pt"}, **entries}).encode()
    return struct.pack("<Q", len(header)) + header + data


def folder(where: Path, tensors: dict[str, tuple[str, np.ndarray]] | bytes, vocabulary: object) -> Path:
    made = where / "model"
    made.mkdir()
    raw = tensors if isinstance(tensors, bytes) else tensors_bytes(tensors)
    (made / "model.safetensors").write_bytes(raw)
    (made / "tokenizer.json").write_text(json.dumps({"model": {"type": "WordPiece", "vocab": vocabulary}}))
    return made


NUMBERED = {word: number for number, word in enumerate(WORDS)}
FORMATS = {
    "GloVe": lambda where: text(where, "\n".join(LINES) + "\n"),
    "no line end": lambda where: text(where, "\n".join(LINES)),
    "Windows line ends": lambda where: text(where, "\r\n".join(LINES) + "\r\n"),
    "tabs": lambda where: text(where, "\n".join(LINES).replace(" ", "\t")),
    "word2vec": lambda where: text(where, "4 3\n" + "\n".join(LINES) + "\n"),
    "fastText": lambda where: text(where, "4 3\n" + "".join(f"{line} \n" for line in LINES), "v.vec"),
    "gzip": lambda where: text(where, gzip.compress("\n".join(LINES).encode()), "v.txt.gz"),
    "npy": lambda where: arrays(where, ROWS, "\n".join(WORDS) + "\n"),
    "npy, float16": lambda where: arrays(where, ROWS.astype(np.float16), "\n".join(WORDS)),
    "npy, column by column": lambda where: arrays(where, np.asfortranarray(ROWS), "\n".join(WORDS)),
    "folder": lambda where: folder(where, {"embeddings": ("F32", ROWS)}, NUMBERED),
    "folder, list with scores": lambda where: folder(
        where, {"embeddings": ("F16", ROWS.astype(np.float16))}, [[f"\u2581{word}", -1.5] for word in WORDS]
    ),
    "folder, bfloat16": lambda where: folder(
        where, {"embeddings": ("BF16", (ROWS.view(np.uint32) >> 16).astype(np.uint16))}, NUMBERED
    ),
    "folder, rows and scales": lambda where: folder(
        where,
        {
            "embeddings": ("F32", ROWS[::-1] * 2),
            "mapping": ("I64", np.array([3, 2, 1, 0])),
            "weights": ("F32", np.full(4, 0.5, np.float32)),
        },
        NUMBERED,
    ),
}


@pytest.mark.parametrize("made", FORMATS.values(), ids=FORMATS)
def test_every_format_has_the_same_vectors(tmp_path: Path, made):
    path = made(tmp_path)
    assert vectors(path) == dict(zip(WORDS, ROWS.tolist(), strict=True))
    assert vectors(path, ("Paris",)) == {"Paris": ROWS[1].tolist()}
    assert all(file.is_file() for file in format_of(path).files(path))


def test_a_word_of_glove_may_contain_spaces(tmp_path: Path):
    path = text(tmp_path, f"{LINES[0]}\n. . . 1 2 3\nat home.org 4 5 6\n")
    assert vectors(path, (". . .", "at home.org")) == {". . .": [1, 2, 3], "at home.org": [4, 5, 6]}


def test_pieces_of_words_are_left_out(tmp_path: Path):
    path = folder(tmp_path, {"embeddings": ("F32", ROWS)}, {"the": 0, "##ing": 1, "\ud800": 2, "a": 3})
    assert list(vectors(path, ("the", "##ing", "ing", "\ud800", "a"))) == ["the", "a"]


WRONG_TEXTS = {
    "too few numbers": (f"{LINES[0]}\nof 1 2\n", ":2: 2 numbers after the word 'of'; expected 3 numbers"),
    "too many numbers": (
        f"{LINES[0]}\nof 1 2 3 4\n",
        ":2: 4 numbers after the word 'of'; expected 3 numbers",
    ),
    "blank line": (f"{LINES[0]}\n\n{LINES[1]}\n", ":2: 0 numbers after the word ''"),
    "NaN": (f"{LINES[1]}\nthe 1 nan 2\n", ":2: the vector of 'the' has the number nan"),
    "infinity": (f"{LINES[1]}\nthe 1 -inf 2\n", ":2: the vector of 'the' has the number -inf"),
    "too large": (f"{LINES[1]}\nthe 1 1e30 2\n", ":2: the vector of 'the' has the number 1e+30"),
    "beyond float64": (f"{LINES[1]}\nthe 1 1e999 2\n", ":2: the vector of 'the' has the number inf"),
    "not a number": (f"{LINES[1]}\nthe 1 x 2\n", ":2: 'x' in the vector of 'the' is not a number"),
    "truncated line": (f"{LINES[1]}\nthe 1 2", ":2: 2 numbers after the word 'the'"),
    "not UTF-8": (LINES[0].encode() + b"\n\xff 1 2 3\n", ":2: byte 0xff at offset 16 is not UTF-8"),
    "NUL": (f"{LINES[0]}\na\0 1 2 3\n", ":2: NUL character"),
    "binary": (b"4 3\nthe \x00\x00\xc0\x3f\x9a\x99\x19\x3f", ":2: byte 0xc0 at offset 10 is not UTF-8"),
    "empty": ("", "empty file"),
    "only a first line": ("4 3\n", "the file has 0 words, but its first line says 4"),
    "fewer words than promised": (
        "9 3\n" + "\n".join(LINES),
        ":5: the file has 4 words, but its first line says 9",
    ),
    "huge claim": ("999999999999999 3\n" + "\n".join(LINES), "its first line says 999,999,999,999,999"),
    "huge width": ("4 999999999999999\n" + "\n".join(LINES), ":1: vectors of 999,999,999,999,999 numbers"),
    "another width than promised": (
        "4 2\n" + "\n".join(LINES),
        ":2: 3 numbers after the word 'the'; expected 2",
    ),
    "long line": ("the " + "1 " * (1 << 21), ":1: a line of more than 131,072 characters"),
    "prose": ("It was a dark night.\nThe rain fell.\n", ":1: 'was' in the vector of 'It' is not a number"),
}


@pytest.mark.parametrize(("content", "told"), WRONG_TEXTS.values(), ids=WRONG_TEXTS)
def test_a_wrong_text_is_refused(tmp_path: Path, content: str | bytes, told: str):
    assert told in refused(text(tmp_path, content))


def test_a_vector_that_is_not_wanted_is_not_read(tmp_path: Path):
    path = text(tmp_path, f"{LINES[0]}\nother nan nan nan\n{LINES[1]}\n")
    assert list(vectors(path)) == ["the", "Paris"]


def test_damaged_gzip_is_refused(tmp_path: Path):
    packed = gzip.compress("\n".join(LINES * 50).encode())
    assert "damaged gzip file" in refused(text(tmp_path, packed[:-12], "v.txt.gz"))


WRONG_ARRAYS = {
    "one dimension": (ROWS[0], "the file has float32 [3]"),
    "integers": (np.ones((4, 3), int), "the file has int64 [4, 3]"),
    "objects": (np.array([["a", None]], dtype=object), "not a readable NumPy array"),
    "NaN": (np.where(ROWS == 3.0, np.nan, ROWS), "the vector of 'the' has the number nan"),
    "too wide": (np.zeros((4, 5000), np.float16), "vectors of 5,000 numbers"),
}


@pytest.mark.parametrize(("table", "told"), WRONG_ARRAYS.values(), ids=WRONG_ARRAYS)
def test_a_wrong_array_is_refused(tmp_path: Path, table: np.ndarray, told: str):
    assert told in refused(arrays(tmp_path, table, "\n".join(WORDS)))


@pytest.mark.parametrize("count", [3, 5])
def test_an_array_needs_one_word_for_each_row(tmp_path: Path, count: int):
    path = arrays(tmp_path, ROWS, "\n".join((*WORDS, "more")[:count]))
    with pytest.raises(UnrolledError, match=f"has {count} words.* but the array has 4 rows"):
        vectors(path, ("more",))


def test_an_array_needs_a_list_of_words(tmp_path: Path):
    np.save(tmp_path / "v.npy", ROWS)
    assert "there is no list of words beside it (v.txt or v.words or v.vocab)" in refused(tmp_path / "v.npy")


def test_a_damaged_array_is_refused(tmp_path: Path):
    path = arrays(tmp_path, ROWS, "\n".join(WORDS))
    whole = path.read_bytes()
    for damaged in (b"", b"no array", whole[:-4], whole.replace(b"(4, 3)", b"(4, 3 ")):
        path.write_bytes(damaged)
        refused(path)
    path.write_bytes(whole.replace(b"(4, 3), }           ", b"(4999999999, 3), }  "))
    assert "not a readable NumPy array" in refused(path)


RAW = tensors_bytes({"embeddings": ("F32", ROWS)})
WRONG_FOLDERS = {
    "no tensor": ({"other": ("F32", ROWS)}, NUMBERED, "there is no tensor 'embeddings'"),
    "integers": ({"embeddings": ("I64", np.ones((4, 3), int))}, NUMBERED, "there is no tensor 'embeddings'"),
    "three tokens": ({"embeddings": ("F32", ROWS)}, {"a": 0, "b": 1, "c": 2}, "has 3 tokens, but the tensor"),
    "ids with a hole": ({"embeddings": ("F32", ROWS)}, {"a": 0, "b": 2}, "the ids of the tokens are wrong"),
    "no list": ({"embeddings": ("F32", ROWS)}, 3, "there is no list of tokens"),
    "row beyond": (
        {"embeddings": ("F32", ROWS), "mapping": ("I64", np.array([0, 1, 2, 4]))},
        NUMBERED,
        "has the row 4 for 'café'",
    ),
    "NaN": ({"embeddings": ("F32", ROWS * np.nan)}, NUMBERED, "the vector of 'the' has the number nan"),
    "truncated": (RAW[:-1], NUMBERED, "or the file is truncated"),
    "huge header": (b"\xff" * 7 + b"\0" + RAW[8:], NUMBERED, "its header claims"),
    "no header": (RAW[:8] + b"x" + RAW[9:], NUMBERED, "its header is not JSON"),
    "empty": (b"", NUMBERED, "its header claims 0 bytes"),
}


@pytest.mark.parametrize(("tensors", "vocabulary", "told"), WRONG_FOLDERS.values(), ids=WRONG_FOLDERS)
def test_a_wrong_folder_is_refused(tmp_path: Path, tensors, vocabulary: object, told: str):
    path = folder(tmp_path, tensors, vocabulary)
    with pytest.raises(UnrolledError) as caught:
        vectors(path)
    assert told in str(caught.value) and "\n" not in str(caught.value)


def test_a_folder_needs_both_files(tmp_path: Path):
    (tmp_path / "model.safetensors").write_bytes(RAW)
    with pytest.raises(UnrolledError, match="there is no such file"):
        vectors(tmp_path)
