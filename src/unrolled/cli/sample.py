"""`unrolled sample MODEL`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from .lines import output
from .request import add_engine


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The contract of the verb."""
    parser.usage = f"{parser.prog} MODEL [options]"
    parser.epilog = (
        "The first input is the vector of zeros, then each output is drawn from the softmax and fed back, until\n"
        "<EOS> or --length. --temperature 0 always takes the most probable token. The same seed gives the same text."
    )
    parser.add_argument("model", type=Path, metavar="MODEL", help="a model file")
    parser.add_argument("--prompt", default="", metavar="S", help="text to go on from")
    parser.add_argument(
        "--length", type=int, metavar="N", help="at most N tokens (default 500 characters, 60 words)"
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
    parser.add_argument("--output", type=Path, metavar="F", help="write here instead of stdout")
    parser.add_argument("--force", action="store_true", help="replace an existing output file")
    add_engine(parser)


def run(args: argparse.Namespace) -> int:
    """Write samples."""
    from ..outputs.next import Wish, samples
    from ..predict import open_model

    wish = Wish(
        args.prompt,
        args.length,
        args.temperature,
        args.top_k,
        args.top_p,
        args.count,
        args.seed,
        args.unknown,
    )
    model = open_model(args.model, args.engine)
    with output(args.output, force=args.force) as write:
        for number, text in enumerate(samples(model.engine, model.reading, wish)):
            if args.format == "jsonl":
                write(json.dumps({"sample": number, "prompt": wish.prompt, "text": text}, ensure_ascii=False))
            else:
                write(text)
    return 0
