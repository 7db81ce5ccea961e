"""`unrolled sample MODEL`: write new texts or tunes."""

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


ABOUT = """\
Language models: prints texts. Each token is drawn from the softmax and becomes the next input. A
text ends at <EOS> or at --length. The first input is the zero vector, or --prompt.

Models of tunes (compose): writes a MIDI file and a picture of each tune to the folder --output, and
prints one line per tune: its length, its repetitions and, with --against, how much it copies.

The same --seed gives the same output.

examples:
  unrolled sample book.model --prompt 'Once upon' --temperature 0.7 --seed 1
  unrolled sample tunes.model --count 10 --length 16 --output new/ --against tunes/"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments and the help of the command."""
    parser.usage = f"{parser.prog} MODEL [options]"
    parser.description = f"{parser.description}\n\n{ABOUT}"
    parser.add_argument("model", type=Path, metavar="MODEL", help="model file")
    parser.add_argument(
        "--prompt", default="", metavar="S", help="text to continue; for tunes: a MIDI file to continue"
    )
    parser.add_argument(
        "--length",
        metavar="N",
        help="maximum number of tokens (default: 500 characters, 60 words); for tunes: number of bars, or "
        "of seconds with an s, such as 30s (default 64 bars)",
    )
    parser.add_argument(
        "--temperature",
        type=float,
        default=1.0,
        metavar="X",
        help="below 1: prefer probable tokens; 0: always the most probable token; above 1: more varied (default 1)",
    )
    parser.add_argument("--top-k", type=int, metavar="K", help="draw only from the K most probable tokens")
    parser.add_argument(
        "--top-p",
        type=float,
        metavar="P",
        help="draw only from the smallest set of tokens whose total probability is P or more",
    )
    parser.add_argument("--count", type=int, default=1, metavar="N", help="number of samples (default 1)")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="random seed (default 0)")
    parser.add_argument("--unknown", action="store_true", help="allow <UNK> in the text")
    parser.add_argument(
        "--format",
        choices=("text", "jsonl"),
        metavar="NAME",
        default="text",
        help="text, or jsonl: one JSON object per sample (default text)",
    )
    parser.add_argument(
        "--output", type=Path, metavar="F", help="write to F instead of stdout; for tunes: a folder"
    )
    parser.add_argument("--force", action="store_true", help="replace existing output files")
    add_engine(parser)
    tunes = parser.add_argument_group("models of tunes (compose)")
    tunes.add_argument("--genre", metavar="G", help="a genre of the training set (default: none)")
    tunes.add_argument("--key", metavar="K", help="only notes of this key, such as 'G major'")
    tunes.add_argument(
        "--range", metavar="LOW-HIGH", help="only notes in this range, such as C3-A5 or 48-81 (MIDI numbers)"
    )
    tunes.add_argument("--tempo", type=float, metavar="X", help="quarter notes per minute")
    tunes.add_argument("--meter", metavar="N/M", help="a meter of the training set, such as 3/4")
    tunes.add_argument(
        "--instrument", metavar="I", help="General MIDI name such as violin, or program from 0 to 127"
    )
    tunes.add_argument(
        "--against", nargs="+", type=Path, metavar="F", help="report which parts are copied from these tunes"
    )


def run(args: argparse.Namespace) -> int:
    """Write the samples of a language model or of a model of tunes."""
    from unrolled.cli import sample_tunes
    from unrolled.models import model_file
    from unrolled.tasks.inputs import input_of

    file = model_file.load(args.model)
    if input_of(file.task).composes:
        from unrolled.inference.open_model import trained_from_file

        return sample_tunes.run(args, trained_from_file(file, args.model, args.engine))
    for name in ("genre", "key", "range", "tempo", "meter", "instrument", "against"):
        if getattr(args, name) is not None:
            raise UsageError(f"--{name} is for tunes", expected="a model of compose")
    return _texts(args, file)


def _texts(args: argparse.Namespace, file: ModelFile) -> int:
    """Write the samples of a language model."""
    from unrolled.inference.open_model import language_model_from_file
    from unrolled.inference.scoring import SampleOptions, samples

    model = language_model_from_file(file, args.model, args.engine)
    if args.length is not None and not args.length.lstrip("-").isdigit():
        raise UsageError(f"--length {args.length}", expected="a whole number of tokens")
    sample_options = SampleOptions(
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
        for number, text in enumerate(samples(model.engine, model.reading, sample_options)):
            if args.format == "jsonl":
                write(
                    json.dumps(
                        {"sample": number, "prompt": sample_options.prompt, "text": text}, ensure_ascii=False
                    )
                )
            else:
                write(text)
    return 0
