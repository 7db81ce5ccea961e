"""`unrolled evaluate MODEL DATA...`: measure a model on labelled files or texts."""

from __future__ import annotations

import argparse
import json
import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from unrolled.cli.answers.line_io import add_search_arguments
from unrolled.cli.task_options import add_cache, add_engine, add_files
from unrolled.core.early_checks import check_new_file
from unrolled.core.errors import ItemsFailed

if TYPE_CHECKING:
    from unrolled.analysis.evaluate import Measurement
    from unrolled.inference.predictor import Evaluation
    from unrolled.tasks.details.parts import Details

# A test checks that every metric that an output kind returns from `figures` is named here.
FIGURES = """\
metrics of each task:
  language       loss (nats per token, including <EOS>), perplexity, accuracy, nats_per_character,
                 bits_per_character, unknown (fraction of <UNK>), tokens, characters
  classify       loss (nats), accuracy, macro_f1, calibration_error; ordered classes: mae, kappa
  tag            loss (nats per step), accuracy; spans: span_precision, span_recall, span_f1,
                 span_f1_by_type; unseen (fraction of steps whose tag is not in the training set)
  translate      loss (nats per token), perplexity, exact (fraction of correct texts),
                 token_error_rate, cer (character error rate); with sacrebleu: bleu, chrf,
                 bleu_signature, chrf_signature
  transcribe     loss (nats per character), wer (word error rate), substitutions, deletions,
                 insertions, words, cer, exact, greedy_wer (without beam search)
  compose        loss (nats per event), perplexity, accuracy, nats_per_note, nats_per_step, notes
  rolls:next     loss (nats per step), frame_accuracy; by_piece (loss as the mean over pieces),
                 without_first (loss without the first step of each piece),
                 by_piece_without_first (both)
  ...:number     loss, mae, rmse, r2, coverage (fraction of values inside the 90% interval)
  numbers:next   loss, mae, rmse, r2, mae_last (baseline: repeat the last value), surprise (nats per
                 step), anomalies
  other tasks    recognize and ...:label as classify; ...:tags as tag; numbers:sequence as
                 translate; images:sequence as transcribe
All tasks except language also report: sequences, steps, skipped (number of bad rows), missing
(missing values in x), and for texts unknown (fraction of <UNK>). A metric that cannot be computed
is shown as "not measured" (JSON: null).

"""
DETAILS = """\
details, after the metrics (the keys of --json are in brackets):
  classes        precision, recall, F1 and support of each class (classes), confusion matrix
                 (confusion), most confused pairs (confused), calibration (reliability)
  tags           spans: scores of each type (types) and by length (lengths), kinds of errors
                 (span_errors), confused types; other tags: as classes (tags)
  numbers        errors of each number or each step ahead (outputs)
  all of these   the worst errors with file and line (worst), and 95% intervals of some metrics
                 (intervals): bootstrap with 1,000 samples and a fixed seed
A terminal shows the first rows. --json has all classes, 50 pairs and the 50 worst errors.

"""
NOTES = """\
options of language models:
  --engine    default: torch if it is installed, else numpy
  --lanes N   read each long document in N parts in parallel, each after 256 tokens of context. This
              is faster, and the result is nearly the same.
  --dynamic   dynamic evaluation: after each 16 tokens are scored, the model trains on them; the
              weights also move back towards the trained weights (Krause et al. 2017,
              arXiv 1709.07432v2). Needs torch. The model file is not changed.
  --cache N   continuous cache: the last N tokens of the same document become more probable where
              the network is in a similar state (Grave et al. 2016, arXiv 1612.04426v1). Start with
              2000 for words, 10000 for characters.
  --tune F    choose the rate and the decay of --dynamic, then theta and weight of --cache, on the
              first 20,000 tokens of F, for example of the validation text. Never use the text that
              is evaluated. Values that you name are not changed.
Each token is scored before the model or the cache learns it."""
ABOUT = """\
Prints metrics, such as the loss and the accuracy. For classes, tags and numbers it also prints results
by class, type or output, and the worst errors with their lines. --report writes them as figures.

examples:
  unrolled evaluate reviews.model held_out.csv
  unrolled evaluate reviews.model held_out.csv --report held_out.html"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments and the help of the command."""
    parser.usage = f"{parser.prog} MODEL DATA... [options]"
    parser.description = f"{parser.description}\n\n{ABOUT}"
    parser.epilog = FIGURES + DETAILS + NOTES
    parser.add_argument("model", type=Path, metavar="MODEL", help="model file")
    parser.add_argument(
        "data", nargs="+", type=Path, metavar="DATA", help="labelled files or folders; for language: texts"
    )
    parser.add_argument(
        "--columns",
        metavar="NAMES",
        help="columns of a table, such as x=text,y=label (default: as in training)",
    )
    parser.add_argument(
        "--json", action="store_true", help="print one JSON object with all details instead of tables"
    )
    parser.add_argument(
        "--report",
        type=Path,
        metavar="R.html",
        help="also write a page with figures: one file that needs no network and no JavaScript",
    )
    parser.add_argument("--force", action="store_true", help="replace an existing report")
    parser.add_argument(
        "--skip-bad",
        type=int,
        metavar="N",
        help="skip up to N bad rows (each is reported; default: as in training)",
    )
    parser.add_argument(
        "--lanes",
        type=int,
        default=1,
        metavar="N",
        help="read each long document in N parts in parallel (default 1: exact result)",
    )
    add_engine(parser, None)
    add_adaptation(parser)
    add_search_arguments(parser)
    add_files(parser)
    parser.add_argument(
        "--encoding", metavar="NAME", help="encoding of files without a byte order mark (default UTF-8)"
    )


def add_adaptation(parser: argparse.ArgumentParser) -> None:
    """Add the options with which a language model adapts to the text."""
    parser.add_argument("--dynamic", action="store_true", help="dynamic evaluation, see below")
    parser.add_argument(
        "--dynamic-lr",
        type=float,
        metavar="X",
        help="learning rate of --dynamic (default 0.0005); this option turns --dynamic on",
    )
    parser.add_argument(
        "--dynamic-decay",
        type=float,
        metavar="X",
        help="decay towards the trained weights (default 0.0001); turns --dynamic on",
    )
    add_cache(parser)
    parser.add_argument(
        "--tune", nargs="+", type=Path, default=[], metavar="F", help="text to choose these settings on"
    )


def run(args: argparse.Namespace) -> int:
    """Print the metrics and the details. Raises ItemsFailed if media files could not be read."""
    from unrolled.analysis.adapted import Adaptation
    from unrolled.analysis.evaluate import Measurement, in_words, measure_in_detail
    from unrolled.data.read_request import FileOptions

    if args.report is not None:
        check_new_file(args.report, force=args.force)
    adaptation = Adaptation(
        args.dynamic,
        args.dynamic_lr,
        args.dynamic_decay,
        args.cache,
        args.cache_theta,
        args.cache_weight,
        tuple(args.tune),
    )
    failed: list[str] = []
    what = Measurement(
        args.model,
        tuple(args.data),
        args.lanes,
        args.engine,
        adaptation,
        args.columns,
        args.beam,
        args.lm,
        args.lm_weight,
        FileOptions(args.file_format, args.encoding, args.quoting),
        args.skip_bad,
    )
    found = measure_in_detail(what, failed.append, _note)
    if args.report is not None:  # before printing, because a closed pipe ends the command
        _write_report(args.report, what, found)
    if args.json:
        print(json.dumps(_plain(found)))
    else:
        print(in_words(found.metrics, found.details.intervals if found.details else None))
        _print_details(found.details, args.report is not None)
    for line in failed:
        print(f"error: {line}", file=sys.stderr)
    if failed:
        raise ItemsFailed(f"{len(failed):,} items were not measured; the first is {failed[0]}")
    return 0


def _note(line: str) -> None:
    print(f"note: {line}", file=sys.stderr)


def _plain(found: Evaluation) -> dict[str, object]:
    """Return the metrics, the intervals and the details as one JSON object. No detail replaces a metric."""
    if found.details is None:
        return dict(found.metrics)
    intervals = {name: list(ends) for name, ends in found.details.intervals.items()}
    return {**found.details.json, "intervals": intervals, **found.metrics}


def _print_details(details: Details | None, reported: bool) -> None:
    """Print the tables of the details. reported: whether a report is written, so that none is recommended."""
    from unrolled.analysis.report.terminal import in_words

    text = in_words(details) if details is not None else ""
    if text:
        print(f"\n{text}")
        if not reported:
            print("\nall details: --json; figures: --report R.html")


def _write_report(path: Path, what: Measurement, found: Evaluation) -> None:
    """Write the page of --report."""
    from unrolled.analysis.evaluate import metric_rows
    from unrolled.analysis.report.page import page
    from unrolled.core.atomic_files import write_atomically

    rows = metric_rows(found.metrics, found.details.intervals if found.details else {})
    date = datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %z")
    write_atomically(path, page(what.model, what.data, rows, found.details, date).encode("utf-8", "replace"))
    print(f"wrote {path}", file=sys.stderr)
