"""`unrolled evaluate MODEL DATA...`."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from unrolled.cli.answers.line_io import add_search_arguments
from unrolled.cli.task_options import add_engine, add_files
from unrolled.core.errors import ItemsFailed

DYNAMIC_LR = 0.002
# A test compares these names with the `figures` of every output kind.
FIGURES = """\
the figures of each task:
  language       loss (nats per token, each end counted), perplexity, accuracy, nats_per_character,
                 bits_per_character, unknown (fraction of <UNK>), tokens, characters
  label          loss (nats), accuracy, macro_f1, calibration_error; of ordered classes also mae, kappa
  tags           loss (nats per step), accuracy; of spans also span_precision, span_recall, span_f1,
                 span_f1_by_type; unseen (fraction of steps with tags that training did not have)
  number         loss, mae, rmse, r2, coverage (of the 90% interval)
  numbers:next   loss, mae, rmse, r2, mae_last (of repeating the last value), surprise (nats per step),
                 anomalies
  sequence       loss (nats per token), perplexity, exact, token_error_rate, cer; with sacrebleu also
                 bleu, chrf, bleu_signature, chrf_signature
  transcripts    loss (nats per character), wer, substitutions, deletions, insertions, words, cer, exact,
                 greedy_wer (without a search)
  notes:next     loss (nats per event), perplexity, accuracy, nats_per_note, nats_per_step, notes
  rolls:next     loss (nats per step), by_piece, without_first, by_piece_without_first, frame_accuracy
  all but language: also sequences, steps, skipped (bad rows), missing (numbers of x); of texts also
                 unknown (fraction of <UNK>)
A figure that could not be measured is shown as "not measured", in JSON as null.

"""
NOTES = """\
The state is carried through each document as in training. --lanes N reads a long document in N parts
side by side, each after 256 tokens of context: faster, and nearly the same result. --dynamic goes on
training on each part of a text after it was scored (Krause et al. 2017, arXiv 1709.07432v2); it needs
torch."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The contract of the verb."""
    parser.usage = f"{parser.prog} MODEL DATA... [options]"
    parser.epilog = FIGURES + NOTES
    parser.add_argument("model", type=Path, metavar="MODEL", help="a model file")
    parser.add_argument("data", nargs="+", type=Path, metavar="DATA", help="files or folders")
    parser.add_argument(
        "--columns", metavar="NAMES", help="which columns of a table are what (default: as in training)"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    parser.add_argument(
        "--lanes", type=int, default=1, metavar="N", help="lanes for a long document (default 1: exact)"
    )
    add_engine(parser, None)
    parser.add_argument("--dynamic", action="store_true", help="dynamic evaluation")
    parser.add_argument(
        "--dynamic-lr", type=float, metavar="X", help="its learning rate (default 0.002); asks for --dynamic"
    )
    add_search_arguments(parser)
    add_files(parser)
    parser.add_argument(
        "--encoding", metavar="NAME", help="the encoding of files without a byte order mark (default UTF-8)"
    )


def run(args: argparse.Namespace) -> int:
    """Print the metrics."""
    from unrolled.analysis.evaluate import Measurement, in_words, measure
    from unrolled.data.read_request import FileOptions

    dynamic_lr = DYNAMIC_LR if args.dynamic and args.dynamic_lr is None else args.dynamic_lr
    failed: list[str] = []
    metrics = measure(
        Measurement(
            args.model,
            tuple(args.data),
            args.lanes,
            args.engine,
            dynamic_lr,
            args.columns,
            args.beam,
            args.lm,
            args.lm_weight,
            FileOptions(args.file_format, args.encoding, args.quoting),
        ),
        failed.append,
        lambda line: print(f"note: {line}", file=sys.stderr),
    )
    print(json.dumps(metrics) if args.json else in_words(metrics))
    for line in failed:
        print(f"error: {line}", file=sys.stderr)
    if failed:
        raise ItemsFailed(f"{len(failed):,} of them are not measured, the first being {failed[0]}")
    return 0
