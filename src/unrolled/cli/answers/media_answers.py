"""`unrolled predict` and `unrolled score` for audio files, clips, images and tunes: one answer per file."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from unrolled.cli.answers.line_io import Line, output, read_lines, with_name
from unrolled.core.atomic_files import refuse_to_overwrite, write_atomically
from unrolled.core.errors import DataError, ItemsFailed, StorageError, UsageError
from unrolled.core.regular_files import open_regular, require_regular
from unrolled.core.types import Answer, Example, Place
from unrolled.core.values.example_values import as_path
from unrolled.data.file_names import find_file

if TYPE_CHECKING:
    from unrolled.inference.open_model import Predictor


READS = ("audio", "frames", "images", "tune")  # source kinds of models that read media files
TIMED = ("srt", "vtt", "ctm", "textgrid", "intervals")  # output formats with times
WITH_TIMES = ("audio:sequence", "audio:tags", "frames:tags")  # tasks whose answers have times
_LOOKED_AT = 4096  # bytes of a file that are read to decide whether it is a text

Examples = Callable[[Path], Iterator[tuple[Line, Example]]]


@dataclass
class Failed:
    """The names of the items without an answer. Up to `allowed` of them are accepted."""

    allowed: int = 0
    names: list[str] = field(default_factory=list[str])

    def told(self, error: DataError | UsageError | StorageError, name: str | None = None) -> None:
        """Add an item, and print its error on stderr. name: None: the file and line of the error."""
        print(f"error: {error}", file=sys.stderr)
        self.names.append(name or f"{error.file}:{error.line}")

    def skipped(self, place: Place, reason: str) -> None:
        """Print a row that is left out of its series. It does not count as failed."""
        print(f"skipped {place}: {reason}", file=sys.stderr)

    def line(self, error: DataError) -> None:
        """Add a line that cannot be read. Raises its error if no more failures are allowed."""
        if len(self.names) >= self.allowed:
            raise error
        self.told(error)

    def conclude(self) -> None:
        """Raise ItemsFailed if more items have no answer than are allowed."""
        if len(self.names) > self.allowed:
            raise ItemsFailed(f"no answer to {len(self.names):,} items; the first is {self.names[0]}")


def answers(
    model: Predictor, args: argparse.Namespace, examples: Examples, failed: Failed, top: int
) -> Iterator[tuple[Line, Answer]]:
    """Yield the answer to each media file.

    FILE is a media file, a folder, a table, or lines with one path each. The record of each answer has the
    name of its `file`. A file that cannot be read gets a blank answer and is reported to `failed`.

    examples: reads a folder, a table or a media file. top: number of candidates in a record.
    """
    path: Path | None = None if args.file is None or str(args.file) == "-" else args.file
    listed = path is None or (vars(args).get("file_format") is None and not _holds_examples(path))
    pairs = _lines(path, model, args, failed) if path is None or listed else examples(path)
    for line, example in pairs:
        if example is None:
            yield line, model.output.blank()
            continue
        named = _name(example)
        found = _answer(model, example, top, failed, str(named))
        yield (line if line.row is not None else replace(line, row={"file": str(named)})), found


def write_times(answers: Iterator[tuple[Line, Answer]], args: argparse.Namespace) -> None:
    """Write answers with times in the format `--format`.

    - `ctm` and `intervals`: all answers go to stdout, or to the file `--output`.
    - Other formats, if FILE is a single media file: the answer goes to stdout, or to the file `--output`.
    - Other formats, if not: each answer becomes a file in the folder `--output`.

    Raises UsageError if this folder is not named, or if a file exists and there is no --force.
    """
    from unrolled.inference.time_formats import ENDINGS, FORMATS, JOINED

    made = FORMATS[args.format]
    single = args.file is not None and args.file.is_file() and _is_media(args.file)
    if single or args.format in JOINED:
        with output(args.output, force=args.force) as write:
            for _, answer in answers:
                name = str(answer.record.get("file", ""))
                text = made(answer.record, name).rstrip("\n") if "error" not in answer.record and name else ""
                if text or args.format != "ctm":
                    write(with_name(text, answer) if args.format == "intervals" else text)
        return
    if args.output is None:
        what = f"--format {args.format} writes one file per recording"
        raise UsageError(what, expected="--output FOLDER", hint="--output subtitles/")
    args.output.mkdir(parents=True, exist_ok=True)
    taken: set[Path] = set()
    for _, answer in answers:
        if "error" in answer.record or "file" not in answer.record:
            continue
        name, number = str(answer.record["file"]), 1
        ending = ENDINGS.get(args.format, f".{args.format}")
        path = stem = args.output / Path(name).stem
        while path in taken:
            number += 1
            path = stem.with_name(f"{stem.name}-{number}")
        taken.add(path)
        whole = path.with_name(path.name + ending)
        refuse_to_overwrite(whole, force=args.force)
        write_atomically(whole, made(answer.record, name).encode())


def _is_media(path: Path) -> bool:
    from unrolled.data.read_request import extension
    from unrolled.data.readers import MEDIA

    return extension(path) in MEDIA


def _holds_examples(path: Path) -> bool:
    """Whether a path is a folder or a file that a reader can read. False: it is a text with a list of paths.

    Raises UsageError for any other file.
    """
    from unrolled.data.read_request import extension
    from unrolled.data.readers import UNREAD, example_extensions, refuse_foreign

    ending = extension(path)
    require_regular(path, folder=True)
    refuse_foreign(path)
    if path.is_dir() or ending in example_extensions():
        return True
    expected = ", ".join(example_extensions()) + ", a folder of them, or a list of paths"
    if ending in UNREAD:
        raise UsageError(f"{ending} is not read", file=path, expected=expected, hint=UNREAD[ending])
    with open_regular(path) as stream:
        head = stream.read(_LOOKED_AT)
    if b"\0" in head or not _is_text(head):
        kind = f"unknown file extension {ending!r}" if ending else "no file extension"
        raise UsageError(f"{kind}, and the file is not a text", file=path, expected=expected)
    return False


def _is_text(head: bytes) -> bool:
    try:
        head.decode("utf-8")
    except UnicodeDecodeError as error:
        return len(head) == _LOOKED_AT and error.start > _LOOKED_AT - 4  # the last character is cut off
    return True


def _lines(
    path: Path | None, model: Predictor, args: argparse.Namespace, failed: Failed
) -> Iterator[tuple[Line, Example | None]]:
    """Yield the file that each line names, as an example. None for a blank line."""
    for line in read_lines(path, args.format, args.encoding, failed.told):
        place = Place(Path(str(line.file)), line.number)
        x = find_file(Path(line.text.strip()))
        name = None if line.id is None else str(line.id)
        yield line, None if line.blank else _opened(Example(x, None, place, name), model)


def _opened(example: Example, model: Predictor) -> Example:
    """Return the example. The MIDI file of a tune is read here, because models do not open MIDI files."""
    from unrolled.data.media.midi import read_midi
    from unrolled.tasks.inputs import input_of

    if not input_of(model.file.task).content.parsed:
        return example
    path = as_path(example.x)
    place = Place(path, 1)
    try:
        return replace(example, x=read_midi(path), place=place)
    except (DataError, UsageError, StorageError) as error:
        return Example(None, None, place, fault=DataError(error.what, file=path, line=1))


def _name(example: Example) -> Path:
    return example.x if isinstance(example.x, Path) else example.source or example.place.file


def _answer(model: Predictor, example: Example, top: int, failed: Failed, name: str) -> Answer:
    """Return the answer to one file, with the name of the file.

    If the file cannot be read, report it to `failed` and return a blank answer whose record has the error.
    """
    from unrolled.inference.predictor import answer

    error: DataError | UsageError | StorageError | None = example.fault
    if error is None:
        try:
            found = answer(model, example, top)
            return replace(found, record={"file": name, **found.record})
        except (DataError, UsageError, StorageError) as raised:
            if not isinstance(example.x, Path):
                raise
            error = raised
    failed.told(error, name)
    return replace(model.output.blank(), text="", record={"file": name, "error": str(error)})
