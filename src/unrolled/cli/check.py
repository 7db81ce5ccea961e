"""`unrolled check TASK DATA...`."""

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


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The contract of the verb."""
    parser.usage = f"{parser.prog} TASK DATA... [--valid F...] [--test F...] [--fix FOLDER] [options]"
    parser.epilog = (
        "What training would see, with file and line for what is odd. Exit code 2 if training would fail;\n"
        "with --fix, if it would on the clean copies. --fix copies tables of text and CoNLL files: bad rows and\n"
        "what train has twice, x and y, are left out, white space around labels goes, tags are set right as\n"
        "conlleval reads them (an I- without its B- begins a span), and all becomes UTF-8. --correct also corrects\n"
        "texts and labels of tables: case (labels that differ in case only get the most frequent spelling),\n"
        "entities (HTML), controls (control and invisible characters), scripts (letters of another script that\n"
        "look alike), or all.\n"
        "The other options of `unrolled train` are taken too; they change nothing but the plan that is told."
    )
    add_data(
        parser,
        task="as in `unrolled train`",
        data="files or folders",
        test="test files",
    )
    parser.add_argument("--fix", type=Path, metavar="FOLDER", help="write a clean copy of each file there")
    parser.add_argument(
        "--correct", metavar="NAMES", help="what --fix corrects besides, such as entities,controls"
    )
    parser.add_argument("--force", action="store_true", help="replace clean copies that are there")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a report")
    add_layers(parser)
    add_flags(parser)


def run(args: argparse.Namespace) -> int:
    """Report on the data."""
    report, words = _stream(args) if find(args.task).stream else _labelled(args)
    print(json.dumps(report, ensure_ascii=False) if args.json else words)
    fix = report.get("fix")
    return 2 if (report if fix is None else as_object(fix))["fatal"] else 0


def _stream(args: argparse.Namespace) -> tuple[Mapping[str, object], str]:
    """The report on a text for language models."""
    from unrolled.analysis.check.text_report import check, in_words

    if args.valid or args.test or args.fix or args.correct:
        raise UsageError(
            "--valid, --test, --fix and --correct are for labelled data",
            expected=f"{args.task} DATA...",
            hint="a check for each text",
        )
    report = check(build(args.task, *settings(args)), tuple(args.data))
    return report, in_words(report)


def _labelled(args: argparse.Namespace) -> tuple[Mapping[str, object], str]:
    """The report on labelled sequences."""
    from unrolled.analysis.check.corrections import read_names
    from unrolled.analysis.check.example_report import Parts, check, check_and_clean
    from unrolled.analysis.check.example_text import in_words

    correct = read_names(args.correct)
    if correct and args.fix is None:
        raise UsageError("--correct is for the clean copies that --fix writes", hint="--fix FOLDER too")
    config = build(args.task, *settings(args))
    parts = Parts(tuple(args.data), tuple(args.valid), tuple(args.test))
    report = (
        check(config, parts)
        if args.fix is None
        else check_and_clean(config, parts, args.fix, force=args.force, correct=correct)
    )
    return report, in_words(report)
