"""Plain text as people have it: encodings, line ends, folders, gzip, damage; memory stays bounded."""

from __future__ import annotations

import codecs
import gzip
import itertools
import os
import tracemalloc
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unrolled.core.errors import DataError, UnrolledError, UsageError
from unrolled.core.types import Document, Place
from unrolled.data.readers import FORMATS, Format, read_documents, text_files
from unrolled.data.readers.text_files import PIECE, read
from unrolled.data.text import encoding as decoding
from unrolled.datasets.text_dataset import from_files


def put(path: Path, content: bytes | str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def texts(path: Path, documents: str = "file") -> list[tuple[str, int]]:
    return [(document.text, document.place.line) for document in read([path], documents)]


def test_three_ways_of_cutting(tmp_path):
    file = put(tmp_path / "a.txt", "one\n\n two \nthree\n \n\nfour")
    assert texts(file, "file") == [("one\n\n two \nthree\n \n\nfour", 1)]
    assert texts(file, "line") == [("one", 1), (" two ", 3), ("three", 4), ("four", 7)]
    assert texts(file, "blank") == [("one", 1), (" two \nthree", 3), ("four", 7)]


ENCODINGS = {
    "utf-8": b"",
    "utf-8-sig": b"",
    "utf-16-le": codecs.BOM_UTF16_LE,
    "utf-16-be": codecs.BOM_UTF16_BE,
    "utf-32-le": codecs.BOM_UTF32_LE,
    "utf-32-be": codecs.BOM_UTF32_BE,
}


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("block", [1, 2, 3, 7, 1 << 20])
def test_encodings_and_line_ends_across_any_block(tmp_path, monkeypatch, encoding, block):
    # The first block holds at least the mark and what tells a foreign file.
    monkeypatch.setattr(decoding, "BLOCK", max(block, 9))
    content = "naïve 😀\r\nzwei\rdrei\n\r\n"
    file = put(tmp_path / "a.txt", ENCODINGS[encoding] + content.encode(encoding))
    assert "".join(text for text, _ in texts(file)) == "naïve 😀\nzwei\ndrei\n\n"
    zipped = put(tmp_path / "a.txt.gz", gzip.compress(ENCODINGS[encoding] + content.encode(encoding)))
    assert texts(zipped, "line") == [("naïve 😀", 1), ("zwei", 2), ("drei", 3)]


TEXT = st.text(alphabet=st.sampled_from("ab \n\té"), min_size=1, max_size=60).filter(str.strip)


@given(TEXT, st.integers(1, 12), st.integers(1, 9))
@settings(max_examples=300)
def test_pieces_make_up_the_document_with_right_lines(tmp_path_factory, text, piece, block):
    file = put(tmp_path_factory.mktemp("pieces") / "a.txt", text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_files, "PIECE", piece)
        patch.setattr(decoding, "BLOCK", block)
        pieces = list(read([file], "file"))
    assert "".join(document.text for document in pieces) == text
    assert [document.first for document in pieces] == [True] + [False] * (len(pieces) - 1)
    assert [document.last for document in pieces] == [False] * (len(pieces) - 1) + [True]
    read_so_far = ""
    for document in pieces:
        assert 0 < len(document.text) <= piece
        assert document.place.line == 1 + read_so_far.count("\n")
        read_so_far += document.text


@given(
    st.lists(st.text(alphabet="ab ", max_size=6), max_size=20).filter(lambda lines: "".join(lines).strip())
)
def test_blocks_in_pieces_are_the_blocks(tmp_path_factory, lines):
    file = put(tmp_path_factory.mktemp("blocks") / "a.txt", "\n".join(lines))
    whole = list(read([file], "blank"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_files, "PIECE", 6)
        pieces = list(read([file], "blank"))
    joined, starts = [""], []
    for piece in pieces:
        joined[-1] += piece.text
        starts += [piece.place.line] if piece.first else []
        joined += [""] if piece.last else []
    assert joined[:-1] == [document.text for document in whole]
    assert starts == [document.place.line for document in whole]
    blocks, filled = [], [line if line.strip() else "" for line in lines]
    for blank, group in itertools.groupby(filled, lambda line: not line):
        blocks += [] if blank else ["\n".join(group)]
    assert [document.text for document in whole] == blocks


def test_folders(tmp_path):
    put(tmp_path / "b.txt", "b")
    put(tmp_path / "a" / "z.TXT", "z")
    put(tmp_path / "a" / "c.txt.gz", gzip.compress(b"c"))
    put(tmp_path / "empty.txt", "")
    put(tmp_path / ".hidden" / "d.txt", "d")
    put(tmp_path / "picture.png", b"\x89PNG\0")
    found = [document.place.file.name for document in read([tmp_path])]
    assert found == ["c.txt.gz", "z.TXT", "b.txt"]
    for name in ("b.txt", "a/z.TXT", "a/c.txt.gz", "empty.txt"):
        (tmp_path / name).unlink()
    put(tmp_path / "code.py", "print()")
    put(tmp_path / "wide", codecs.BOM_UTF16_LE + "w".encode("utf-16-le"))
    put(tmp_path / "broken.gz", b"nonsense")
    put(tmp_path / "latin", b"caf\xe9 " * 10)
    assert [document.place.file.name for document in read([tmp_path])] == ["code.py", "wide"]
    (tmp_path / "code.py").unlink()
    (tmp_path / "wide").unlink()
    with pytest.raises(DataError, match="no text files"):
        list(read([tmp_path]))


FAULTS = {
    "empty": (b"", "empty file"),
    "mark only": (codecs.BOM_UTF8, "empty file"),
    "white": (b" \n\t\r\n\n", "no examples"),
    "latin": (b"good\ncaf\xe9 au lait\n", r":2: byte 0xe9 at offset 8 is not UTF-8.*try --encoding cp1252"),
    "cut": ("gut\nschön".encode()[:-2], r":2: file ends inside a character at byte 7"),
    "nul": (b"a\nb\0c", r":2: NUL character.*UTF-16"),
    "utf-16 without mark": ("a\nb".encode("utf-16-le"), r":1: NUL character"),
    "utf-16 odd": (codecs.BOM_UTF16_LE + "ab".encode("utf-16-le")[:-1], "ends inside a character at byte 4"),
    "utf-16 surrogate": (codecs.BOM_UTF16_LE + b"a\0\x00\xdcb\0", "at offset 4 is not UTF-16-LE"),
    "pdf": (b"%PDF-1.7\n", "this is a PDF.*pdftotext"),
    "docx": (b"PK\x03\x04rest", "ZIP archive"),
    "gzip without its name": (gzip.compress(b"a"), "this is a gzip file"),
}


@pytest.mark.parametrize("documents", ["file", "line", "blank"])
@pytest.mark.parametrize("name", FAULTS)
def test_faults_are_told(tmp_path, name, documents):
    content, message = FAULTS[name]
    file = put(tmp_path / "a.txt", content)
    with pytest.raises(DataError, match=message) as caught:
        list(read([file], documents))
    assert str(caught.value).startswith(f"{file}:")
    assert "\n" not in str(caught.value)


@given(st.binary(max_size=40))
def test_any_bytes_end_in_documents_or_an_error_of_ours(tmp_path_factory, content):
    file = put(tmp_path_factory.mktemp("any") / "a.txt", content)
    for documents in ("file", "line", "blank"):
        try:
            assert list(read([file], documents))
        except DataError as error:
            assert str(file) in str(error)


def test_the_offset_of_a_bad_byte_counts_from_the_start_of_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr(decoding, "BLOCK", 4)
    file = put(tmp_path / "a.txt", codecs.BOM_UTF8 + "ö\nöö\nö".encode() + b"\xff\n")
    with pytest.raises(DataError, match=r":3: byte 0xff at offset 13 "):
        list(read([file]))


@pytest.mark.parametrize(
    "content",
    [b"no gzip", gzip.compress(b"text" * 1000, mtime=0)[:-9], gzip.compress(b"text" * 99, mtime=0)[:20]],
)
def test_damaged_gzip(tmp_path, content):
    file = put(tmp_path / "a.gz", content)
    with pytest.raises(DataError, match="damaged gzip file"):
        list(read([file]))


def test_files_that_are_not_there(tmp_path):
    put(tmp_path / "corpus.txt", "a")
    with pytest.raises(UsageError, match=r"no such file or folder.*'corpus.txt'"):
        list(read([tmp_path / "corpos.txt"]))
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageError, match="not a regular file"):
        list(read([tmp_path / "pipe"]))
    with pytest.raises(UsageError, match=r"'lines'.*try 'line'"):
        list(read([tmp_path / "corpus.txt"], "lines"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_no_permission_is_a_storage_error(tmp_path):
    file = put(tmp_path / "a.txt", "a")
    file.chmod(0)
    with pytest.raises(UnrolledError) as caught:
        list(read([file]))
    assert caught.value.exit_code == 3


def test_a_huge_line_in_bounded_memory(tmp_path):
    file = tmp_path / "a.txt"
    with file.open("wb") as out:
        out.truncate(0)
        for _ in range(64):
            out.write(b"x" * (1 << 20))
    for documents in ("line", "blank"):
        with pytest.raises(DataError, match=r":1: line too long; expected at most 1,048,576 characters"):
            list(read([file], documents))
    tracemalloc.start()
    try:
        assert sum(len(document.text) for document in read([file])) == 64 << 20
        assert tracemalloc.get_traced_memory()[1] < 12 << 20
    finally:
        tracemalloc.stop()


def test_the_longest_line_that_is_let_through(tmp_path):
    file = put(tmp_path / "a.txt", "x" * PIECE + "\ny\n")
    assert [(len(text), line) for text, line in texts(file, "line")] == [(PIECE, 1), (1, 2)]
    put(file, "y\n" + "x" * (PIECE + 1) + "\n")
    with pytest.raises(DataError, match=":2: line too long"):
        texts(file, "line")


def subtitles(paths: Sequence[Path], documents: str) -> Iterator[Document]:
    """A reader that a user writes: each caption of a file is a document."""
    for path in paths:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if line and "-->" not in line and not line.isdigit():
                yield Document(line, Place(path, number))


def test_a_new_reader_of_documents_is_found_by_its_extension_alone_and_in_folders(tmp_path, monkeypatch):
    monkeypatch.setitem(FORMATS, "subtitles", Format((".srt",), documents=subtitles))
    talk = put(tmp_path / "d" / "talk.srt", "1\n00:01 --> 00:02\nWhat is it?\n\n2\n00:03 --> 00:04\nA cat.\n")
    plain = put(tmp_path / "d" / "plain.txt", "one line\n")
    put(tmp_path / "d" / "data.bin", "not a text")
    assert [d.text for d in read_documents([talk])] == ["What is it?", "A cat."]
    assert [d.text for d in read_documents([tmp_path / "d"])] == ["one line\n", "What is it?", "A cat."]
    assert [d.place.file for d in read_documents([plain, talk, plain])] == [plain, talk, talk, plain]
    source = from_files([tmp_path / "d"], "file")  # the way of `train language`
    assert source.ends == 3
