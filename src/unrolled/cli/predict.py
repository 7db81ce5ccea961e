"""`unrolled predict MODEL [FILE]`: print the answer of a model to each line, sequence or media file."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from unrolled.cli.answers.csv_answers import answer_row, forecast_rows, table_writer
from unrolled.cli.answers.line_io import (
    Line,
    add_line_arguments,
    add_search_arguments,
    answer_text,
    at_once,
    output,
    read_lines,
    with_name,
)
from unrolled.cli.answers.media_answers import READS, TIMED, WITH_TIMES, Failed, write_times
from unrolled.cli.answers.media_answers import answers as media_answers
from unrolled.cli.search_options import add_wish_arguments, decode_options
from unrolled.cli.task_options import add_files
from unrolled.core.errors import DataError, UsageError
from unrolled.core.types import Answer, Example, Place
from unrolled.data.text.tokenize import split_words

if TYPE_CHECKING:
    from unrolled.core.config import Config
    from unrolled.inference.open_model import Predictor
    from unrolled.models.model_file import ModelFile


ABOUT = """\
Prints one answer per line, in the order of the input. A blank line gets a blank answer.
  language                  the most probable next token
  classify, recognize       the class; also for ...:label
  tag                       a tag for each word (words are separated by spaces)
  translate, transcribe     the text; also for numbers:sequence and images:sequence
  ...:number                the numbers
  numbers:tags, audio:tags, frames:tags   a tag for each step
  numbers:next              highest surprise (nats), its step, the surprise of each step
  compose, rolls:next       the score of the tune, as `unrolled score` prints it

FILE may be
  - lines: one text per line
  - a table or another file of labelled data, as for `unrolled train`; y is not needed
  - for audio, clips, images and tunes: a file, a folder of files, a table, or lines with one path
    each; a tab and the name of the file follow each answer

example:
  echo 'Cold and dirty!' | unrolled predict reviews.model"""
FORMATS = """\
output formats (--format):
  text       one answer per line
  jsonl      one JSON object per answer, with all details; input lines may be {"text": "..."}
  csv        a table: the columns of the input, then the columns of the answer
  conll      a word and its tag per line (only for models of the task tag)
  srt, vtt, textgrid   words or tags with times. For several recordings: one file each, in the
                       folder --output
  ctm, intervals       words or tags with times. For several recordings: one output for all

A row or media file that cannot be read is reported and gets a blank answer. The exit code is 5 if
there are more than --skip-bad of them."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments and the help of the command."""
    parser.usage = f"{parser.prog} MODEL [FILE] [options]"
    parser.description = f"{parser.description}\n\n{ABOUT}"
    parser.epilog = FORMATS
    add_line_arguments(parser, ("text", "jsonl", "csv", "conll", *TIMED))
    add_files(parser, "--input-format")
    parser.add_argument(
        "--skip-bad",
        type=int,
        default=0,
        metavar="N",
        help="do not fail for up to N bad rows: a bad row gets a blank answer; in a series it is skipped "
        "(default 0)",
    )
    add_wish_arguments(parser)
    parser.add_argument(
        "--top", type=int, default=5, metavar="K", help="number of candidates in jsonl (default 5)"
    )
    add_search_arguments(parser)
    parser.add_argument(
        "--columns", metavar="NAMES", help="columns of a table, such as x=text (default: as in training)"
    )


def run(args: argparse.Namespace) -> int:
    """Print the answer to each line, sequence or media file."""
    from unrolled.models import model_file
    from unrolled.models.spec_json import from_json
    from unrolled.tasks.outputs import output_of
    from unrolled.tasks.presets import find

    if args.top < 1:
        raise UsageError(f"--top {args.top}", expected="at least 1")
    if args.skip_bad < 0:
        raise UsageError(f"--skip-bad {args.skip_bad}", expected="0 or more")
    file = model_file.load(args.model)
    preset = find(file.task)
    decode_options(
        args, writes=output_of(file.task).decoder, attends=from_json(file.spec, args.model).attends
    )
    if args.format == "conll" and preset.kinds != "tokens:tags":
        raise UsageError("--format conll needs a model of tag", expected="text or jsonl")
    if args.format in TIMED and preset.kinds not in WITH_TIMES:
        what = f"--format {args.format} needs answers with times"
        raise UsageError(what, expected="a model of transcribe, audio:tags or frames:tags")
    failed = Failed(args.skip_bad)
    answers = _next_tokens(args, file, failed) if preset.stream else _answers(args, file, failed)
    if args.format in TIMED:
        write_times(answers, args)
    else:
        _write(answers, args)
    failed.conclude()
    return 0


def _write(answers: Iterator[tuple[Line, Answer]], args: argparse.Namespace) -> None:
    with output(args.output, force=args.force) as write:
        put = table_writer(write) if args.format == "csv" else None
        for line, answer in answers:
            if put is None:
                text = answer_text(answer, line, args.format)
                write(with_name(text, answer) if args.format == "text" else text)
                continue
            for row in forecast_rows(answer, line) if line.forecast else (answer_row(answer, line),):
                put(row)


def _next_tokens(args: argparse.Namespace, file: ModelFile, failed: Failed) -> Iterator[tuple[Line, Answer]]:
    """Yield the answers of a language model to lines."""
    from unrolled.inference.open_model import language_model_from_file
    from unrolled.inference.scoring import predict

    model = language_model_from_file(file, args.model, args.engine)
    for line in read_lines(args.file, args.format, args.encoding, failed.line):
        blank = Answer("", {"next": []})
        yield line, blank if line.blank else predict(model.engine, model.reading, line.text, args.top)


def _answers(args: argparse.Namespace, file: ModelFile, failed: Failed) -> Iterator[tuple[Line, Answer]]:
    """Yield the answers of any other model: to lines, to the sequences of a data file, or to media files.

    failed: gets the error of each item that cannot be read; the answer to this item is blank.
    """
    from unrolled.data.read_request import FileOptions, extension
    from unrolled.data.readers import example_extensions, format_of, refuse_foreign
    from unrolled.datasets.example_source import as_written, wanted_of
    from unrolled.inference.lm_fusion import with_search
    from unrolled.inference.open_model import trained_from_file
    from unrolled.inference.predictor import ROWS, answers
    from unrolled.tasks.inputs import INPUTS
    from unrolled.tasks.presets import find

    model = trained_from_file(file, args.model, args.engine)
    writes = model.decoder is not None
    model = with_search(model, None if writes else args.beam, args.lm, args.lm_weight)
    model = replace(model, decode_options=decode_options(args, writes=writes, attends=model.spec.attends))

    def told(pairs: Iterator[tuple[Line, Example]], together: int) -> Iterator[tuple[Line, Answer]]:
        if model.decoder is None:
            yield from ((line, _answer(model, example, args.top, failed)) for line, example in pairs)
            return
        while group := list(islice(pairs, together)):
            found = iter(answers(model, [example for _, example in group if example.fault is None]))
            for line, example in group:
                yield line, next(found) if example.fault is None else _faulty(model, example, failed)

    path: Path | None = args.file
    reads = INPUTS[find(file.task).input].source_kind
    options = FileOptions(args.file_format, args.encoding, args.quoting)
    config = as_written(model.config, options, args.columns, args.skip_bad)
    if reads in READS:

        def examples(files: Path) -> Iterator[tuple[Line, Example]]:
            return from_file(files, model, config, failed, rows=args.format == "csv")

        yield from media_answers(model, args, examples, failed, args.top)
        return
    if path is not None:
        refuse_foreign(path)
    # A JSONL file of texts is read as lines, so that blank lines get answers. With --columns it is a table.
    ending = "" if path is None else extension(path)
    as_lines = ending in (".jsonl", ".ndjson") and args.format == "jsonl" and config.data.columns is None
    whole = options.format is not None or ending in example_extensions()
    if path is not None and not whole and model.output.targets == "each" and not path.is_dir():
        whole = format_of(path, wanted_of(config, asked=False)) is not None
        if whole:
            print(
                f"note: {path} is read as CoNLL because of its content; --input-format sets another format",
                file=sys.stderr,
            )
    if path is not None and whole and not (as_lines and model.input.ids):
        yield from told(from_file(path, model, config, failed, rows=args.format == "csv"), ROWS)
        return
    if reads != "text":
        raise UsageError("this model reads numbers", expected="FILE: " + ", ".join(example_extensions()))

    def read() -> Iterator[tuple[Line, Example]]:
        for line in read_lines(path, args.format, args.encoding, failed.line):
            words = tuple(split_words(line.text)) if model.output.targets == "each" else line.text
            yield line, Example(words, None, Place(Path(str(line.file)), line.number), None)

    # Lines from a pipe are answered one by one, because a program may wait for each answer.
    yield from told(read(), ROWS if at_once(path) else 1)


def from_file(
    path: Path, model: Predictor, config: Config, failed: Failed, *, rows: bool
) -> Iterator[tuple[Line, Example]]:
    """Yield the sequences of a file or folder of labelled data. y is not required.

    rows: also keep all fields of each row. At the end, notes about the file are printed on stderr.
    """
    from unrolled.data.read_request import ReadRequest
    from unrolled.data.time_stamps import next_times, time_texts
    from unrolled.datasets.example_source import from_files, wanted_of

    def keep(wanted: ReadRequest) -> ReadRequest:
        return replace(wanted, keep_bad=True, rows=rows, skipped=failed.skipped)

    data = from_files([path], config, asked=False, keep=keep)
    wanted = wanted_of(config, asked=False)
    horizon = config.data.horizon
    names = wanted.y or wanted.x
    if horizon and len(names) * horizon != model.output.n_y:
        names = tuple(f"value_{number}" for number in range(1, model.output.n_y // horizon + 1))
    for one in data.examples():
        text = one.x if isinstance(one.x, str) else ""
        line = Line(one.place.file, one.place.line, text, one.id, one.row)
        if horizon:
            ahead = () if one.times is None else time_texts(next_times(one.times, horizon))
            line = replace(line, forecast=(names, ahead))
        yield line, one
    notes = data.notes
    for note in notes.lines():
        print(f"note: {note}", file=sys.stderr)
    if notes.missing:
        what = "each is replaced by the previous number, or by the mean if there is none"
        print(f"note: {notes.missing:,} of {notes.numbers:,} numbers are missing; {what}", file=sys.stderr)


def _answer(model: Predictor, example: Example, top: int, failed: Failed) -> Answer:
    """Return the answer to one sequence.

    If it cannot be read, report it to `failed` and return a blank answer. Its record has the error.
    """
    from unrolled.inference.predictor import answer

    if example.fault is not None:
        return _faulty(model, example, failed)
    try:
        return answer(model, example, top)
    except DataError as error:
        return _faulty(model, replace(example, fault=error), failed)


def _faulty(model: Predictor, example: Example, failed: Failed) -> Answer:
    assert example.fault is not None
    failed.told(example.fault, str(example.x) if isinstance(example.x, Path) else None)
    return replace(model.output.blank(), text="", record={"error": str(example.fault)})
