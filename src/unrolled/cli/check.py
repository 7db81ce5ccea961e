"""`unrolled check TASK DATA...`: report what training would read and what is wrong with it."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path

from unrolled.cli.task_options import add_data, add_layers, settings
from unrolled.core.config import add_flags, build
from unrolled.core.errors import UsageError
from unrolled.core.values.json_values import as_object
from unrolled.tasks.presets import find

ABOUT = """\
Reads the files as `unrolled train TASK` would, without training, and prints
  - how many sequences there are, how long they are, and which tokens and classes occur
  - bad rows, duplicates, test examples that are also in DATA, odd characters, with file and line
  - the model that training would choose, and the baseline that it must beat

Exit code 2 if training would fail on these files. With --fix: if it would fail on the clean copies.

example:
  unrolled check classify reviews.csv --test held_out.csv"""
FIXES = """\
--fix FOLDER copies tables of text and CoNLL files, and in the copies
  - leaves out bad rows, and duplicates in DATA (same x and same y)
  - removes white space around labels
  - corrects tags: an I- tag that continues no span becomes a B- tag, as in conlleval
  - writes UTF-8

--correct NAMES, with --fix, also corrects texts and labels of tables. NAMES, separated by commas:
  case       labels that differ only in case: use the most frequent spelling
  entities   replace HTML entities by their characters
  controls   remove control characters and invisible characters
  scripts    replace look-alike letters of another script
  all        all of these

The options of `unrolled train TASK` work here too. Options of the data (--columns, --unit ...)
change what is read; all others change only the reported model."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments and the help of the command."""
    parser.usage = f"{parser.prog} TASK DATA... [--valid F...] [--test F...] [--fix FOLDER] [options]"
    parser.description = f"{parser.description}\n\n{ABOUT}"
    parser.epilog = FIXES
    add_data(
        parser,
        task="a task; `unrolled train --help` lists them",
        data="files or folders to check",
        test="test files",
    )
    parser.add_argument("--fix", type=Path, metavar="FOLDER", help="write clean copies to FOLDER")
    parser.add_argument("--correct", metavar="NAMES", help="what --fix also corrects, such as case,entities")
    parser.add_argument("--force", action="store_true", help="replace existing clean copies")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a report")
    add_layers(parser)
    add_flags(parser)


def run(args: argparse.Namespace) -> int:
    """Print the report. Return 2 if training would fail, else 0."""
    report, words = _stream(args) if find(args.task).stream else _labelled(args)
    print(json.dumps(report, ensure_ascii=False) if args.json else words)
    fix = report.get("fix")
    return 2 if (report if fix is None else as_object(fix))["fatal"] else 0


def _stream(args: argparse.Namespace) -> tuple[Mapping[str, object], str]:
    """Return the report on texts for a language model, and the same report for people."""
    from unrolled.analysis.check.text_report import check, in_words

    if args.valid or args.test or args.fix or args.correct:
        raise UsageError(
            "--valid, --test, --fix and --correct are for labelled data",
            expected=f"{args.task} DATA...",
            hint="one check per text",
        )
    report = check(build(args.task, *settings(args)), tuple(args.data))
    return report, in_words(report)


def _labelled(args: argparse.Namespace) -> tuple[Mapping[str, object], str]:
    """Return the report on labelled sequences, and the same report for people."""
    from unrolled.analysis.check.corrections import read_names
    from unrolled.analysis.check.example_report import Parts, check, check_and_clean
    from unrolled.analysis.check.example_text import in_words

    correct = read_names(args.correct)
    if correct and args.fix is None:
        raise UsageError(
            "--correct needs --fix: it changes the clean copies", hint="--fix FOLDER --correct ..."
        )
    config = build(args.task, *settings(args))
    parts = Parts(tuple(args.data), tuple(args.valid), tuple(args.test))
    report = (
        check(config, parts)
        if args.fix is None
        else check_and_clean(config, parts, args.fix, force=args.force, correct=correct)
    )
    return report, in_words(report)
