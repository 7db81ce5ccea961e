"""Options of generated answers (n-best, sampling, length penalty), for models that write sequences."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

T = TypeVar("T")
NAMES = (
    *("nbest", "length_penalty", "temperature", "seed"),
    *("scores", "alignment", "copy_unknown", "dictionary"),
)

if TYPE_CHECKING:
    from unrolled.models.decoding.beam_search import BeamOptions
    from unrolled.tasks.outputs.sequence import GenerationOptions


def add_wish_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of generated answers. An absent option is None."""
    group = parser.add_argument_group("models of translate and numbers:sequence")
    group.add_argument(
        "--nbest",
        type=int,
        metavar="K",
        help="print the K best answers, then an empty line (default 1: no empty line)",
    )
    group.add_argument(
        "--scores", action="store_true", default=None, help="print the score and a tab before each answer"
    )
    group.add_argument(
        "--alignment",
        action="store_true",
        default=None,
        help="print a tab and source-target pairs after each answer: for each target token the source "
        "token with the most attention, both counted from 0",
    )
    group.add_argument(
        "--length-penalty", type=float, metavar="X", help="score = log-probability / length^X (default 1)"
    )
    group.add_argument(
        "--copy-unknown",
        action="store_true",
        default=None,
        help="replace <UNK> in an answer by the source token with the most attention",
    )
    group.add_argument(
        "--dictionary",
        type=Path,
        metavar="F",
        help="file with lines WORD<tab>TRANSLATION, for the copied tokens",
    )
    group.add_argument(
        "--temperature",
        type=float,
        metavar="X",
        help="sample answers (no search); 1: from the probabilities of the model",
    )
    group.add_argument("--seed", type=int, metavar="N", help="random seed for --temperature (default 0)")


def decode_options(args: argparse.Namespace, *, writes: bool, attends: bool) -> GenerationOptions:
    """Return the options of a command line.

    writes: whether the model writes sequences. attends: whether it has attention.
    Raises UsageError for an option that does not apply to the model.
    """
    from unrolled.core.errors import UsageError
    from unrolled.data.records import bare_lines
    from unrolled.tasks.outputs.sequence import GenerationOptions, read_dictionary

    given = {name: getattr(args, name) for name in NAMES if getattr(args, name) is not None}
    if given and not writes:
        flag = "--" + next(iter(given)).replace("_", "-")
        raise UsageError(f"{flag} is for models that write sequences", expected="a model of translate")
    if not attends and (args.alignment or args.copy_unknown):
        raise UsageError(
            "--alignment and --copy-unknown need a model with attention", hint="train --attention additive"
        )
    if args.dictionary is not None and not args.copy_unknown:
        raise UsageError("--dictionary needs --copy-unknown", hint="--copy-unknown --dictionary FILE")
    dictionary = read_dictionary(bare_lines(args.dictionary), args.dictionary) if args.dictionary else {}
    return GenerationOptions(
        search=_search(args),
        temperature=args.temperature,
        seed=_or(args.seed, 0),
        scores=bool(args.scores),
        alignment=bool(args.alignment),
        copy_unknown=bool(args.copy_unknown),
        dictionary=dictionary,
    )


def _search(args: argparse.Namespace) -> BeamOptions:
    from unrolled.models.decoding.beam_search import BeamOptions

    usual = BeamOptions()
    nbest = _or(args.nbest, usual.nbest)
    return BeamOptions(
        beam=_or(args.beam, usual.beam),
        nbest=nbest,
        length_penalty=_or(args.length_penalty, usual.length_penalty),
    )


def _or(value: T | None, otherwise: T) -> T:
    return otherwise if value is None else value
