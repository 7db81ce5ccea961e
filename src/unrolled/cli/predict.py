"""`unrolled predict MODEL [FILE]`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from unrolled.cli.line_io import (
    Line,
    add_line_arguments,
    add_search_arguments,
    answer_text,
    at_once,
    output,
    read_lines,
)
from unrolled.cli.search_options import add_wish_arguments, wish


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The contract of the verb."""
    parser.usage = f"{parser.prog} MODEL [FILE] [options]"
    parser.epilog = (
        "One answer a line, in the same order; a blank line gets a blank answer. A classifier answers with the class,\n"
        "a tagger with a tag for each word between white space, a translator with a text, a language model with the\n"
        "token it holds most probable next; jsonl tells probabilities. FILE may also be a table, CoNLL, .ts or .npz\n"
        "as in training (.csv .tsv .jsonl .parquet .conll .conllu ...): one answer a sequence; its y, if there is\n"
        "one, is not used. A model of sound or clips takes one of them, a folder of them, a table, or lines that are\n"
        "paths; a clip that is broken has a blank answer, and exit code 5 at the end."
    )
    add_line_arguments(parser, ("text", "jsonl", "conll"))
    add_wish_arguments(parser)
    parser.add_argument("--top", type=int, default=5, metavar="K", help="answers in jsonl (default 5)")
    add_search_arguments(parser)
    parser.add_argument(
        "--columns", metavar="NAMES", help="which columns of a table are what (default: as in training)"
    )


def run(args: argparse.Namespace) -> int:
    """Answer each line or sequence."""
    from unrolled.core.errors import ItemsFailed, UsageError
    from unrolled.models import model_file
    from unrolled.tasks.presets import find

    if args.top < 1:
        raise UsageError(f"--top {args.top}", expected="at least 1")
    file = model_file.load(args.model)
    preset = find(file.task)
    wish(args, writes=preset.output == "sequence", attends=file.spec.get("attention", "none") != "none")
    if args.format == "conll" and preset.kinds != "tokens:tags":
        raise UsageError("--format conll is for tags of words", expected="text or jsonl")
    failed: list[str] = []
    answers = _next_tokens(args, file) if preset.stream else _answers(args, file, failed)
    with output(args.output, force=args.force) as write:
        for line, answer in answers:
            write(answer_text(answer, line, args.format))
    if failed:
        raise ItemsFailed(f"no answer to {len(failed):,} of them, the first being {failed[0]}")
    return 0


def _next_tokens(args: argparse.Namespace, file: Any) -> Iterator[tuple[Line, Any]]:
    """A language model's answers."""
    from unrolled.core.types import Answer
    from unrolled.inference.open_model import language_model_from_file
    from unrolled.inference.scoring import predict

    model = language_model_from_file(file, args.model, args.engine)
    for line in read_lines(args.file, args.format):
        blank = Answer("", {"next": []})
        yield line, blank if line.blank else predict(model.engine, model.reading, line.text, args.top)


def _answers(args: argparse.Namespace, file: Any, failed: list[str]) -> Iterator[tuple[Line, Any]]:
    """The answers of a model of labelled sequences: to lines, or to the sequences of a file of another format. failed:
    told the files of sequences that cannot be read; their answers are blank."""
    from unrolled.core.errors import UsageError
    from unrolled.core.types import Example, Place
    from unrolled.data.readers import example_extensions, extension
    from unrolled.datasets.example_source import from_files
    from unrolled.inference.lm_fusion import searching
    from unrolled.inference.open_model import trained_from_file
    from unrolled.inference.predictor import ROWS, answers
    from unrolled.tasks.inputs import INPUTS
    from unrolled.tasks.presets import find

    model = trained_from_file(file, args.model, args.engine)
    writes = model.decoder is not None
    model = searching(model, None if writes else args.beam, args.lm, args.lm_weight)
    model = replace(model, wish=wish(args, writes=writes, attends=model.spec.attention != "none"))

    def told(pairs: Iterator[tuple[Line, Example]], together: int) -> Iterator[tuple[Line, Any]]:
        if model.decoder is None:
            yield from ((line, _answer(model, example, args.top, failed)) for line, example in pairs)
            return
        while group := list(islice(pairs, together)):
            found = answers(model, [example for _, example in group])
            yield from zip((line for line, _ in group), found, strict=True)

    path: Path | None = args.file
    reads = INPUTS[find(file.task).input].reads
    named = reads in ("audio", "frames", "images")  # x is a file
    ending = "" if path is None else extension(path)
    config = model.config
    columns = config.data.columns if args.columns is None else args.columns
    # JSON lines of texts are lines, blank ones among them; where columns have other names they are a table.
    as_lines = ending == ".jsonl" and args.format == "jsonl" and columns is None and model.input.ids
    whole = ending in example_extensions() or (
        path is not None and path.is_dir() and (named or reads == "tune")
    )
    if path is not None and whole and not as_lines:
        config = replace(config, data=replace(config.data, columns=columns, skip_bad=0))
        found = from_files([path], config, asked=False).examples()
        yield from told(((Line(one.place.file, one.place.line, "", one.id), one) for one in found), ROWS)
        return
    if named:
        for line in read_lines(path, args.format):
            example = Example(
                Path(line.text.strip()), None, Place(Path(str(line.file)), line.number), line.id
            )
            yield line, model.output.blank() if line.blank else _answer(model, example, args.top, failed)
        return
    if reads != "text":
        what = {"numbers": "numbers", "tune": "MIDI files"}[reads]
        raise UsageError(f"this model reads {what}", expected="a FILE: " + ", ".join(example_extensions()))

    def read() -> Iterator[tuple[Line, Example]]:
        for line in read_lines(path, args.format):
            words: Any = tuple(line.text.split()) if model.output.targets == "each" else line.text
            yield line, Example(words, None, Place(Path(str(line.file)), line.number), None)

    # What comes through a pipe is answered line by line, as somebody may wait for each.
    yield from told(read(), ROWS if at_once(path) else 1)


def _answer(model: Any, example: Any, top: int, failed: list[str]) -> Any:
    """The answer to one sequence; where its file cannot be read a blank one that says why, and `failed` is told."""
    from unrolled.core.errors import DataError
    from unrolled.core.types import Answer
    from unrolled.inference.predictor import answer

    try:
        return answer(model, example, top)
    except DataError as error:
        if not isinstance(example.x, Path):
            raise
        print(f"error: {error}", file=sys.stderr)
        failed.append(str(example.x))
        return Answer("", {"error": str(error)})
