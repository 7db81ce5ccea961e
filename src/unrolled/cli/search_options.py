"""Options of the search for answers (beam, samples, length): for models that write sequences."""

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
    """The flags; those that were not given are None."""
    group = parser.add_argument_group("models that write sequences (translate)")
    group.add_argument("--nbest", type=int, metavar="K", help="the K best answers, an empty line behind them")
    group.add_argument(
        "--scores", action="store_true", default=None, help="their scores too, in front of a tab"
    )
    group.add_argument(
        "--alignment",
        action="store_true",
        default=None,
        help="behind a tab x-y for each token of the answer: what it attended to most, both counted from 0",
    )
    group.add_argument(
        "--length-penalty", type=float, metavar="X", help="scores are log-probability / length^X (default 1)"
    )
    group.add_argument(
        "--copy-unknown",
        action="store_true",
        default=None,
        help="where <UNK> is the best answer, the token of x it attends to stands in its place",
    )
    group.add_argument(
        "--dictionary",
        type=Path,
        metavar="F",
        help="lines of WORD, a tab, TRANSLATION, for what --copy-unknown copies",
    )
    group.add_argument(
        "--temperature", type=float, metavar="X", help="draw answers instead of searching; 1 as they are"
    )
    group.add_argument("--seed", type=int, metavar="N", help="of the chance (default 0)")


def wish(args: argparse.Namespace, *, writes: bool, attends: bool) -> GenerationOptions:
    """The wish of a command line. Raises UsageError where the model has no use for one, or attends to nothing."""
    from unrolled.core.errors import UsageError
    from unrolled.data.records import bare_lines
    from unrolled.tasks.outputs.sequence import GenerationOptions, read_dictionary

    given = {name: getattr(args, name) for name in NAMES if getattr(args, name) is not None}
    if given and not writes:
        flag = "--" + next(iter(given)).replace("_", "-")
        raise UsageError(f"{flag} is for models that write sequences", expected="a model of translate")
    if not attends and (args.alignment or args.copy_unknown):
        raise UsageError(
            "this model has no attention to tell of", hint="a model trained with --attention additive"
        )
    if args.dictionary is not None and not args.copy_unknown:
        raise UsageError("--dictionary is for what --copy-unknown copies", hint="both")
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
