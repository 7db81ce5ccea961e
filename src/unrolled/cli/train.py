"""`unrolled train TASK DATA... --out MODEL`."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

from unrolled.cli.task_options import add_layers, add_parts, check_data, settings
from unrolled.core.config import add_flags, build
from unrolled.core.early_checks import check_output
from unrolled.core.errors import UsageError, need
from unrolled.core.system import address_space_left
from unrolled.core.values.json_values import as_number
from unrolled.tasks.presets import find

# Bytes of address space that the import of torch needs. With less, the import fails without a clear message.
TORCH_SPACE = 750 << 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command. `task_help` writes its help."""
    parser.add_argument("task", metavar="TASK")
    parser.add_argument("data", nargs="+", type=Path, metavar="DATA")
    add_run_options(parser)
    add_flags(parser)


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that all tasks have: data files, model file and run."""
    add_parts(parser, test="test files; the model is evaluated on them once, after the training")
    parser.add_argument(
        "--out", type=Path, metavar="MODEL", help="model file to write; checkpoints go to MODEL.run/"
    )
    parser.add_argument(
        "--resume", action="store_true", help="continue an interrupted run; start a new one if there is none"
    )
    parser.add_argument("--force", action="store_true", help="replace an existing model and its run")
    parser.add_argument(
        "--dry-run", action="store_true", help="print parameters, memory and time; do not train"
    )
    add_layers(parser)


def run(args: argparse.Namespace) -> int:
    """Train a model and write it. With --test, measure it after the training."""
    from unrolled.models.cells import find as find_cell
    from unrolled.tasks.fill import resolve_data, undecided

    asked = build(args.task, *settings(args))
    config = undecided(asked, resolve_data(asked))
    find_cell(config.model.cell, config.model.activation)
    if args.out is None and not args.dry_run:
        raise UsageError(
            "the model file is not given", expected="--out MODEL", hint=f"--out {args.data[0].stem}.model"
        )
    if args.out is not None and not args.dry_run:
        check_output(args.out, resume=args.resume, force=args.force)
    check_data(args, config)
    space = address_space_left()
    if space < TORCH_SPACE:
        raise UsageError(
            f"torch needs {TORCH_SPACE / 2**20:,.0f} MB of address space; {space / 2**20:,.0f} MB are free",
            hint="a larger limit (ulimit -v)",
        )
    with need("train", "torch"):
        from unrolled.training import language_job, supervised_job
        from unrolled.training.fit import dry_run, fit
    from unrolled.core.progress import console_reporter

    out = args.out or Path("model")
    family = language_job if find(config.task).stream else supervised_job
    request = family.request_from_files(
        config, args.data, args.valid, args.test, out, resume=args.resume, force=args.force
    )
    reporter = console_reporter()
    if args.dry_run:
        _print_plan(dry_run(request, reporter))
        return 0
    fit(request, reporter)
    if args.test and args.out:
        from unrolled.analysis.evaluate import Measurement, in_words, measure
        from unrolled.data.read_request import FileOptions

        data = config.data
        files = FileOptions(data.format, data.encoding, data.quoting or "auto")
        what = Measurement(args.out, tuple(args.test), files=files)
        print(in_words(measure(what, noted=lambda line: reporter.note(f"note: {line}"))))
    return 0


def _print_plan(plan: Mapping[str, object]) -> None:
    print(f"parameters {plan['parameters']:,}")
    print(f"memory     {as_number(plan['memory_bytes']) / 2**20:,.0f} MB")
    print(f"time       {plan['seconds']:,.0f} s")
