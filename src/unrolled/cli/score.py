"""`unrolled score MODEL [FILE]`: print the log-probability of lines or tunes, or reorder n-best lists."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from unrolled.cli.answers.line_io import add_line_arguments, answer_text, output, read_lines, with_name
from unrolled.cli.task_options import add_cache
from unrolled.core.values.json_values import as_list, as_number, as_object

if TYPE_CHECKING:
    from unrolled.cli.answers.line_io import Line
    from unrolled.core.types import Example
    from unrolled.inference.adaptation import CacheRequest
    from unrolled.inference.open_model import Model
    from unrolled.models.model_file import ModelFile


ABOUT = """\
Each line is scored on its own, from the zero state. The score includes the token that ends the
line. Output, separated by tabs:
  log-probability (nats), perplexity per token, bits per character, number of <UNK>, the line
A blank line gets a blank answer.

examples:
  echo 'How likely is this line?' | unrolled score book.model
  unrolled score book.model candidates.txt --nbest"""
LISTS = """\
--nbest reads lists of hypotheses and prints each list again: the most probable hypothesis first,
with its log-probability in the first column. Lines that begin with # are comments. A line is
  LIST<tab>HYPOTHESIS             LIST names the list; lines of a list need not be adjacent
  LIST<tab>0 or 1<tab>HYPOTHESIS  1 marks the true hypothesis; the accuracy is printed on stderr
  HYPOTHESIS                      a blank line ends a list

--cache N adds a continuous cache: the last N tokens become more probable where the network is in a
similar state (Grave et al. 2016, arXiv 1612.04426v1). Each line begins with the last N tokens of
--context F, or with an empty cache, and so has the same score in every order. F is for example the
text before the lines, or earlier transcripts of the same speaker. --tune F chooses theta and weight
on the lines of F (at most 20,000 tokens); values that you name are not changed.

models of tunes: FILE is a MIDI file, a folder or a table. Output, separated by tabs:
  compose      log-probability (nats), perplexity per event, mean surprise per note (nats), the most
               surprising note, the file; with --tokens the surprise of each note (nats)
  rolls:next   log-probability (nats), mean surprise per step (nats), the most surprising step, its
               surprise (nats), the file"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments and the help of the command."""
    parser.usage = f"{parser.prog} MODEL [FILE] [options]"
    parser.description = f"{parser.description}\n\n{ABOUT}"
    parser.epilog = LISTS
    add_line_arguments(parser, ("text", "jsonl"))
    parser.add_argument("--tokens", action="store_true", help="also print the log-probability of each token")
    parser.add_argument("--nbest", action="store_true", help="reorder lists of hypotheses, see below")
    add_cache(parser)
    parser.add_argument(
        "--context", type=Path, metavar="F", help="text that the cache knows before each line"
    )
    parser.add_argument(
        "--tune",
        nargs="+",
        type=Path,
        default=[],
        metavar="F",
        help="text to choose the settings of the cache on",
    )


def run(args: argparse.Namespace) -> int:
    """Score lines or tunes, or reorder n-best lists."""
    from unrolled.models import model_file
    from unrolled.tasks.inputs import input_of

    file = model_file.load(args.model)
    if input_of(file.task).content.parsed:
        return _tunes(args, file)
    from unrolled.cli.answers.nbest import reorder
    from unrolled.core.errors import UsageError
    from unrolled.data.text.tokenize import as_option
    from unrolled.inference.adaptation import cache_request
    from unrolled.inference.open_model import open_language_model
    from unrolled.inference.scoring import score
    from unrolled.tasks.outputs.next_token import Scored, blank_answer, closing, score_answer

    request = cache_request(args.cache, args.cache_theta, args.cache_weight)
    model = open_language_model(args.model, args.engine)
    if request is not None:
        model = _cached(args, model, request)
    elif args.context or args.tune:
        raise UsageError("--context and --tune are for a cache", hint="--cache 2000")
    _, end = closing(model.reading)
    print(
        f"each line is scored from the zero state, including {end}; the model was trained with "
        f"--documents {model.reading.documents} --unit {as_option(model.reading.unit)}",
        file=sys.stderr,
    )

    @lru_cache(maxsize=1024)  # n-best lists repeat lines
    def scored(text: str) -> Scored:
        return score(model.engine, model.reading, text)

    lines = read_lines(args.file, args.format, args.encoding)
    with output(args.output, force=args.force) as write:
        if args.nbest:
            reorder(lines, lambda text: scored(text).log_probability, write, args.format)
        else:
            for line in lines:
                answer = (
                    blank_answer(line.text)
                    if line.blank
                    else score_answer(scored(line.text), line.text, tokens=args.tokens)
                )
                write(answer_text(answer, line, args.format))
    return 0


def _cached(args: argparse.Namespace, model: Model, request: CacheRequest) -> Model:
    """Return the model with the cache of the options. Its settings are printed if they were chosen."""
    from unrolled.data.readers import read_documents
    from unrolled.inference.adaptation import with_adapted_cache

    files = () if args.context is None else (args.context,)
    context = "".join(document.text for document in read_documents(files, "file", args.encoding))
    return with_adapted_cache(
        model,
        request,
        tuple(args.tune),
        args.encoding,
        "line",
        context,
        lambda line: print(f"note: {line}", file=sys.stderr),
    )


def _tunes(args: argparse.Namespace, file: ModelFile) -> int:
    """Score each tune of MIDI files, folders or a table."""
    from unrolled.cli.answers.media_answers import Failed, answers
    from unrolled.cli.predict import from_file
    from unrolled.core.errors import UsageError
    from unrolled.data.read_request import FileOptions
    from unrolled.datasets.example_source import as_written
    from unrolled.inference.open_model import trained_from_file

    if args.file is None or args.nbest or args.cache is not None:
        raise UsageError(
            "this model scores tunes",
            expected="FILE: a MIDI file, a folder or a table; no --nbest, no --cache",
        )
    model, failed = trained_from_file(file, args.model, args.engine), Failed()
    config = as_written(model.config, FileOptions(encoding=args.encoding), skip_bad=0)

    def examples(path: Path) -> Iterator[tuple[Line, Example]]:
        return from_file(path, model, config, failed, rows=False)

    with output(args.output, force=args.force) as write:
        for line, found in answers(model, args, examples, failed, 1):
            notes = map(as_object, as_list(found.record.get("notes", [])) if args.tokens else [])
            shown = [f"{as_number(note['surprise']):.2f}" for note in notes]
            text = answer_text(found, line, args.format)
            write(
                "\t".join([with_name(text, found), " ".join(shown)][: 1 + bool(shown)])
                if args.format == "text"
                else text
            )
    failed.conclude()
    return 0
