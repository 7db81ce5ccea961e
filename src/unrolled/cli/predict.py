"""`unrolled predict MODEL [FILE]`."""

from __future__ import annotations

import argparse

from .lines import add_line_arguments, answer_text, output, read_lines


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The contract of the verb."""
    parser.usage = f"{parser.prog} MODEL [FILE] [options]"
    parser.epilog = (
        "One answer a line, in the same order; a blank line gets a blank answer. A language model answers with the\n"
        "token it holds most probable next; jsonl gives the --top most probable with their probabilities."
    )
    add_line_arguments(parser)
    parser.add_argument("--top", type=int, default=5, metavar="K", help="answers in jsonl (default 5)")


def run(args: argparse.Namespace) -> int:
    """Answer each line."""
    from ..errors import UsageError
    from ..outputs.next import predict
    from ..predict import open_model
    from ..types import Answer

    if args.top < 1:
        raise UsageError(f"--top {args.top}", expected="at least 1")
    model = open_model(args.model, args.engine)
    with output(args.output, force=args.force) as write:
        for line in read_lines(args.file, args.format):
            answer = (
                Answer("", {"next": []})
                if line.blank
                else predict(model.engine, model.reading, line.text, args.top)
            )
            write(answer_text(answer, line, args.format))
    return 0
