"""`unrolled evaluate MODEL DATA...`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from unrolled.cli.line_io import add_search_arguments
from unrolled.cli.task_options import add_engine

DYNAMIC_LR = 0.002


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The contract of the verb."""
    parser.usage = f"{parser.prog} MODEL DATA... [options]"
    parser.epilog = (
        "Labels: loss (nats), accuracy, macro_f1, calibration_error; ordered ones mae and kappa too. Numbers: loss,\n"
        "mae, rmse, r2, coverage (of the interval of 90%). Tags: loss, accuracy; span_precision, span_recall and\n"
        "span_f1 where tags mark spans. Texts: loss (nats a token), perplexity, exact (share), token_error_rate, cer,\n"
        "and with sacrebleu bleu and chrf with their signatures. Language models: loss (nats a token, each end\n"
        "counted), perplexity, accuracy, nats_per_character, bits_per_character, unknown (share of <UNK>), tokens,\n"
        "characters.\n"
        "State is carried through each document as the model was trained; --lanes N reads a long document in N\n"
        "lanes side by side, each warmed up by 256 tokens before it: quicker, and very nearly the same.\n"
        "--dynamic goes on learning from each stretch of text after it was scored (Krause et al. 2017,\n"
        "arXiv 1709.07432v2); needs torch."
    )
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


def run(args: argparse.Namespace) -> int:
    """Print the metrics."""
    from unrolled.analysis.evaluate import Measurement, in_words, measure

    dynamic_lr = DYNAMIC_LR if args.dynamic and args.dynamic_lr is None else args.dynamic_lr
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
        )
    )
    print(json.dumps(metrics) if args.json else in_words(metrics))
    return 0
