"""`unrolled sample MODEL`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from unrolled.cli.answers.line_io import output
from unrolled.cli.task_options import add_engine
from unrolled.core.errors import UsageError

if TYPE_CHECKING:
    from unrolled.models.model_file import ModelFile


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The contract of the verb."""
    parser.usage = f"{parser.prog} MODEL [options]"
    parser.epilog = (
        "The first input is the vector of zeros, then each output is drawn from the softmax and fed back, until\n"
        "<EOS> or --length. --temperature 0 always takes the most probable token. The same seed gives the same text.\n"
        "Tunes become MIDI files in the folder --output, with a picture of each beside it; a line tells of each:\n"
        "with --against what of its melody stands in other tunes, in whatever key."
    )
    parser.add_argument("model", type=Path, metavar="MODEL", help="a model file")
    parser.add_argument("--prompt", default="", metavar="S", help="text to go on from; of tunes a MIDI file")
    parser.add_argument(
        "--length",
        metavar="N",
        help="at most N tokens (default 500 characters, 60 words); of tunes N bars, or seconds as 30s (default 64)",
    )
    parser.add_argument(
        "--temperature", type=float, default=1.0, metavar="X", help="below 1 safer, above 1 wilder"
    )
    parser.add_argument("--top-k", type=int, metavar="K", help="draw among the K most probable tokens")
    parser.add_argument("--top-p", type=float, metavar="P", help="draw among the most probable that sum to P")
    parser.add_argument("--count", type=int, default=1, metavar="N", help="how many samples (default 1)")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="seed of all chance (default 0)")
    parser.add_argument("--unknown", action="store_true", help="allow <UNK> to be written")
    parser.add_argument(
        "--format", choices=("text", "jsonl"), default="text", help="text, or a JSON line a sample"
    )
    parser.add_argument("--genre", metavar="G", help="of tunes: a genre of the training (default: none)")
    parser.add_argument("--key", metavar="K", help="of tunes: only notes of a key, such as 'G major'")
    parser.add_argument("--range", metavar="LOW-HIGH", help="of tunes: only notes from C3-A5, say, or 48-81")
    parser.add_argument("--tempo", type=float, metavar="X", help="of tunes: quarter notes a minute")
    parser.add_argument("--meter", metavar="N/M", help="of tunes: a meter of the training, such as 3/4")
    parser.add_argument("--instrument", metavar="I", help="of tunes: violin, say, or a program from 0 to 127")
    parser.add_argument(
        "--against", nargs="+", type=Path, metavar="F", help="of tunes: what may have been copied from"
    )
    parser.add_argument(
        "--output", type=Path, metavar="F", help="write here instead of stdout; of tunes a folder"
    )
    parser.add_argument("--force", action="store_true", help="replace an existing output file")
    add_engine(parser)


def run(args: argparse.Namespace) -> int:
    """Write samples."""
    from unrolled.cli import sample_tunes
    from unrolled.models import model_file
    from unrolled.tasks.inputs import input_of

    file = model_file.load(args.model)
    if input_of(file.task).composes:
        from unrolled.inference.open_model import trained_from_file

        return sample_tunes.run(args, trained_from_file(file, args.model, args.engine))
    for name in ("genre", "key", "range", "tempo", "meter", "instrument", "against"):
        if getattr(args, name) is not None:
            raise UsageError(f"--{name} is for tunes", expected="a model of the task compose")
    return _texts(args, file)


def _texts(args: argparse.Namespace, file: ModelFile) -> int:
    """Samples of a language model."""
    from unrolled.inference.open_model import language_model_from_file
    from unrolled.inference.scoring import SampleOptions, samples

    model = language_model_from_file(file, args.model, args.engine)
    if args.length is not None and not args.length.lstrip("-").isdigit():
        raise UsageError(f"--length {args.length}", expected="a whole number of tokens")
    wish = SampleOptions(
        args.prompt,
        None if args.length is None else int(args.length),
        args.temperature,
        args.top_k,
        args.top_p,
        args.count,
        args.seed,
        args.unknown,
    )
    with output(args.output, force=args.force) as write:
        for number, text in enumerate(samples(model.engine, model.reading, wish)):
            if args.format == "jsonl":
                write(json.dumps({"sample": number, "prompt": wish.prompt, "text": text}, ensure_ascii=False))
            else:
                write(text)
    return 0
