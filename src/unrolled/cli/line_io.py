"""Lines in, lines out: reading and printing lines for `predict` and `score`."""

from __future__ import annotations

import argparse
import json
import math
import os
import stat
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from unrolled.cli.task_options import add_engine
from unrolled.core.atomic_files import atomic_writer, refuse_to_overwrite, storage_error
from unrolled.core.errors import DataError, NonFiniteError, UsageError
from unrolled.core.regular_files import open_regular
from unrolled.core.types import Answer

LINE_LIMIT = 1 << 24  # bytes; a longer line is refused before it fills the memory


@dataclass(frozen=True)
class Line:
    """A line to answer: where it stands (file, 1-based number), its text, and the id that a JSON line carried."""

    file: object
    number: int
    text: str
    id: Any = None

    @property
    def blank(self) -> bool:
        """A blank line gets a blank answer."""
        return not self.text.strip()


def add_line_arguments(parser: argparse.ArgumentParser, formats: tuple[str, ...] = ("text", "jsonl")) -> None:
    """MODEL, FILE, --output and --format."""
    parser.add_argument("model", type=Path, metavar="MODEL", help="a model file")
    parser.add_argument(
        "file", type=Path, nargs="?", metavar="FILE", help="lines to answer; none or -: stdin"
    )
    parser.add_argument("--output", type=Path, metavar="F", help="write here instead of stdout")
    parser.add_argument("--force", action="store_true", help="replace an existing output file")
    parser.add_argument(
        "--format",
        choices=formats,
        default="text",
        help='text: one line an answer; jsonl: full precision, and lines {"id": ..., "text": ...} are read as such'
        + ("; conll: a word and its tag a line" if "conll" in formats else ""),
    )
    add_engine(parser)


def add_search_arguments(parser: argparse.ArgumentParser) -> None:
    """How a text is searched for: what is said in a sound, or what is to be written."""
    parser.add_argument(
        "--beam",
        type=int,
        metavar="N",
        help="how many beginnings of a text are followed (default 16 of speech, 4 of translate, where 1 is greedy)",
    )
    group = parser.add_argument_group("speech")
    group.add_argument("--lm", type=Path, metavar="MODEL", help="a language model that has a say")
    group.add_argument("--lm-weight", type=float, default=0.5, metavar="X", help="of its nats (default 0.5)")


def read_lines(path: Path | None, form: str) -> Iterator[Line]:
    """The lines of a file or of stdin, as they come. Raises DataError naming the line that cannot be read."""
    if path is None or str(path) == "-":
        if sys.stdin is None:
            raise UsageError("stdin is closed", expected="lines on stdin, or FILE")
        yield from _lines(sys.stdin.buffer, Path("stdin"), form)
        return
    with open_regular(path) as stream:
        yield from _lines(stream, path, form)


def at_once(path: Path | None) -> bool:
    """Whether all lines are there already: a file, be it stdin."""
    if path is not None and str(path) != "-":
        return True
    try:
        return stat.S_ISREG(os.fstat(sys.stdin.fileno()).st_mode)
    except (OSError, ValueError, AttributeError):
        return False


def _lines(stream: BinaryIO, name: Path, form: str) -> Iterator[Line]:
    number = 0
    while raw := _next(stream, name):
        number += 1
        if len(raw) > LINE_LIMIT:
            raise DataError("line too long", file=name, line=number, expected=f"at most {LINE_LIMIT:,} bytes")
        try:
            text = raw.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise DataError(
                f"byte {error.start + 1} of the line is not UTF-8",
                file=name,
                line=number,
                hint="iconv -t utf-8",
            ) from error
        record = form == "jsonl" and text.startswith("{")
        yield _from_json(text, name, number) if record else Line(name, number, text)


def _next(stream: BinaryIO, name: Path) -> bytes:
    try:
        return stream.readline(LINE_LIMIT + 1)
    except OSError as error:
        raise storage_error(error, name) from error


def _from_json(text: str, name: Path, number: int) -> Line:
    try:
        record = json.loads(text)
        if isinstance(record["text"], str):
            return Line(name, number, record["text"], record.get("id"))
    except (ValueError, KeyError, RecursionError):
        pass
    raise DataError("not a JSON line", file=name, line=number, expected='{"id": ..., "text": "..."}')


def answer_text(answer: Answer, line: Line, form: str) -> str:
    """An answer in the form that was asked for, the line's id passed through. Raises NonFiniteError, naming the line, for
    numbers that are none."""
    if not _is_finite(answer.record):
        what = "the answer is not finite: the numbers of the model are too large"
        raise NonFiniteError(what, file=line.file, line=line.number)
    if form == "text":
        return answer.text
    if form == "conll":
        pairs = zip(answer.record["tokens"], answer.record["tags"], strict=True)
        return "".join(f"{token}\t{tag}\n" for token, tag in pairs)
    record = dict(answer.record) if line.id is None else {"id": line.id, **answer.record}
    return json.dumps(record, ensure_ascii=False)


def _is_finite(value: object) -> bool:
    match value:
        case float():
            return math.isfinite(value)
        case Mapping():
            return all(map(_is_finite, value.values()))
        case list() | tuple():
            return all(map(_is_finite, value))
        case _:
            return True


@contextmanager
def output(path: Path | None, *, force: bool) -> Iterator[Callable[[str], None]]:
    """A function that writes one line: to stdout at once, or to a file that appears whole or not at all."""
    if path is None:
        yield lambda text: print(text, flush=True)
        return
    refuse_to_overwrite(path, force=force)
    with atomic_writer(path) as write:
        # What is no Unicode (half of a surrogate pair, from JSON) is escaped, as on stdout.
        yield lambda text: write((text + "\n").encode("utf-8", "backslashreplace"))
