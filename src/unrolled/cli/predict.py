"""`unrolled predict MODEL [FILE]`."""

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
from unrolled.cli.search_options import add_wish_arguments, wish
from unrolled.cli.task_options import add_files
from unrolled.core.errors import DataError, UsageError
from unrolled.core.types import Answer, Example, Place
from unrolled.data.text.tokenize import split_words

if TYPE_CHECKING:
    from unrolled.core.config import Config
    from unrolled.inference.open_model import Predictor
    from unrolled.models.model_file import ModelFile


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The contract of the verb."""
    parser.usage = f"{parser.prog} MODEL [FILE] [options]"
    parser.epilog = (
        "One answer a line, in the same order; a blank line gets a blank answer. A classifier answers with the class,\n"
        "a tagger with a tag for each word between spaces, a translator with a text, a language model with the token\n"
        "it holds most probable next; jsonl tells probabilities. FILE may also be a table, CoNLL, .ts or .npz as in\n"
        "training (.csv .tsv .jsonl .parquet .conll .conllu ...): one answer a sequence. Only the columns of x are\n"
        "needed. A row that cannot be read has a blank answer, and the exit code is 5 at the end. A model of\n"
        "recordings, clips or pictures takes one of them, a folder of them, a table, or lines that are paths; behind\n"
        "each answer stand a tab and the file. One that is broken or missing has a blank answer."
    )
    add_line_arguments(parser, ("text", "jsonl", "csv", "conll", *TIMED))
    add_files(parser, "--input-format")
    parser.add_argument(
        "--skip-bad",
        type=int,
        default=0,
        metavar="N",
        help="as many rows may be bad: told, with a blank answer, or left out of their series (default 0)",
    )
    add_wish_arguments(parser)
    parser.add_argument("--top", type=int, default=5, metavar="K", help="answers in jsonl (default 5)")
    add_search_arguments(parser)
    parser.add_argument(
        "--columns", metavar="NAMES", help="which columns of a table are what (default: as in training)"
    )


def run(args: argparse.Namespace) -> int:
    """Answer each line or sequence."""
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
    wish(args, writes=output_of(file.task).decoder, attends=from_json(file.spec, args.model).attends)
    if args.format == "conll" and preset.kinds != "tokens:tags":
        raise UsageError("--format conll is for tags of words", expected="text or jsonl")
    if args.format in TIMED and preset.kinds not in WITH_TIMES:
        what = f"--format {args.format} is for words and tags with times"
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
    """A language model's answers."""
    from unrolled.inference.open_model import language_model_from_file
    from unrolled.inference.scoring import predict

    model = language_model_from_file(file, args.model, args.engine)
    for line in read_lines(args.file, args.format, args.encoding, failed.line):
        blank = Answer("", {"next": []})
        yield line, blank if line.blank else predict(model.engine, model.reading, line.text, args.top)


def _answers(args: argparse.Namespace, file: ModelFile, failed: Failed) -> Iterator[tuple[Line, Answer]]:
    """The answers of a model of labelled sequences: to lines, or to the sequences of a file of another format. failed:
    told what cannot be read; its answer is blank."""
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
    model = replace(model, wish=wish(args, writes=writes, attends=model.spec.attends))

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
    # JSON lines of texts are lines, blank ones among them; where columns have other names they are a table.
    ending = "" if path is None else extension(path)
    as_lines = ending in (".jsonl", ".ndjson") and args.format == "jsonl" and config.data.columns is None
    whole = options.format is not None or ending in example_extensions()
    if path is not None and not whole and model.output.targets == "each" and not path.is_dir():
        whole = format_of(path, wanted_of(config, asked=False)) is not None
        if whole:
            print(
                f"note: {path} is read as CoNLL, as its content shows; --input-format says otherwise",
                file=sys.stderr,
            )
    if path is not None and whole and not (as_lines and model.input.ids):
        yield from told(from_file(path, model, config, failed, rows=args.format == "csv"), ROWS)
        return
    if reads != "text":
        raise UsageError("this model reads numbers", expected="a FILE: " + ", ".join(example_extensions()))

    def read() -> Iterator[tuple[Line, Example]]:
        for line in read_lines(path, args.format, args.encoding, failed.line):
            words = tuple(split_words(line.text)) if model.output.targets == "each" else line.text
            yield line, Example(words, None, Place(Path(str(line.file)), line.number), None)

    # What comes through a pipe is answered line by line, as somebody may wait for each.
    yield from told(read(), ROWS if at_once(path) else 1)


def from_file(
    path: Path, model: Predictor, config: Config, failed: Failed, *, rows: bool
) -> Iterator[tuple[Line, Example]]:
    """The sequences of a file of labelled data, whose y are not asked for. What was decided on the way is told at the
    end. rows: the lines have all fields of their rows."""
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
        what = "they take the number before them, else the mean"
        print(f"note: {notes.missing:,} of {notes.numbers:,} numbers are missing: {what}", file=sys.stderr)


def _answer(model: Predictor, example: Example, top: int, failed: Failed) -> Answer:
    """The answer to one sequence; if it cannot be read a blank one that says why, and `failed` is told."""
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
