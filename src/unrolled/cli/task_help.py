"""The help of `unrolled train`: the list of tasks, and the options of one task with its defaults."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Iterable, Sequence

from unrolled.cli import help_width, wide_help
from unrolled.cli.train import add_run_options
from unrolled.core.config import SECTIONS, Config, add_flags, build, get, options
from unrolled.tasks.presets import COMBINATIONS, TASKS, Preset, find

# NumPy is imported only for the options of a task, so that the list of tasks appears at once.

# The options that most users need, in order. The help shows the first ten that apply to the task.
COMMON = (
    *("columns", "unit", "documents", "horizon", "minutes", "epochs", "cell", "hidden", "layers"),
    *("dropout", "hold_out", "skip_bad", "seed"),
)
SHOWN_FIRST = 10
SECTION_TITLES = {"data": "data", "model": "network", "training": "training"}
# A small, a medium and a large data set, for the ranges of defaults.
# Labelled data: number of sequences, steps and token ids. Texts: number of tokens and distinct tokens.
EXAMPLES = ((250, 2_500, 100), (3_000, 60_000, 5_000), (100_000, 3_000_000, 10_000))
TEXTS = ((20_000, 60), (1_000_000, 100), (50_000_000, 200))


def train_help(arguments: Sequence[str]) -> str:
    """Return the help of `unrolled train`: the options of the task in `arguments`, or the list of tasks.

    Raises UsageError, with the nearest task, if the first argument is neither a task nor an option.
    """
    known = {**TASKS, **COMBINATIONS}
    task = next((one for one in arguments if one in known), None)
    if task is None and arguments and not arguments[0].startswith("-"):
        task = arguments[0]
    return task_list() if task is None else task_options(task)


def task_list() -> str:
    """Return the list of tasks, each with its summary and one example."""
    width = 1 + max(map(len, (*TASKS, *COMBINATIONS)))

    def entry(name: str, preset: Preset) -> str:
        return f"  {name:{width}} {preset.summary}\n  {'':{width}}   unrolled train {name} {_example(preset)}"

    named = "\n".join(entry(name, preset) for name, preset in TASKS.items())
    others = "\n".join(entry(name, preset) for name, preset in COMBINATIONS.items())
    return (
        "usage: unrolled train TASK DATA... --out MODEL [options]\n\n"
        "Train a model on your own files.\n\n"
        f"tasks:\n{named}\n\nother combinations of an input and an output:\n{others}\n\n"
        "`unrolled train TASK --help` shows the options of a task and its defaults.\n"
    )


def task_options(task: str) -> str:
    """Return the options of one task with their defaults. Raises UsageError for an unknown task."""
    from unrolled.tasks.fill import options_of

    preset, own = find(task), options_of(task)
    width = help_width()
    parser = argparse.ArgumentParser(
        prog=f"unrolled train {task}",
        usage=f"unrolled train {task} DATA... --out MODEL [options]",
        description=_filled(preset.summary[0].upper() + preset.summary[1:] + ".", width)
        + "\n\n"
        + _filled(f"DATA: {preset.data}.", width)
        + f"\n\nexample:\n  unrolled train {task} {_example(preset)}",
        add_help=False,
        formatter_class=wide_help,
    )
    told = default_texts(task)
    common = [name for name in COMMON if name in own][:SHOWN_FIRST]
    add_flags(parser, "common options", common, told)
    for section in SECTIONS:
        names = [
            name for name, one in options().items() if one.section == section and name in own - {*common}
        ]
        add_flags(parser, SECTION_TITLES[section], names, told)
    run = argparse.ArgumentParser(
        usage=argparse.SUPPRESS, add_help=False, formatter_class=parser.formatter_class
    )
    add_run_options(run)
    return parser.format_help() + "\n" + run.format_help().replace("options:", "files and runs:", 1)


def default_texts(task: str) -> dict[str, str]:
    """Return the default of each option of a task as text. A default that depends on the data is a range.

    An option without a default is left out.
    """
    from unrolled.tasks.fill import resolve_data
    from unrolled.tasks.sizes import resolve, resolve_examples

    config = resolve_data(build(task))
    if find(task).stream:
        filled = [resolve(config, tokens, types) for tokens, types in TEXTS]
    else:
        filled = [resolve_examples(config, *sizes) for sizes in EXAMPLES]
    texts = {name: _default_text(name, filled) for name in options()}
    return {name: text for name, text in texts.items() if text is not None}


def _default_text(name: str, filled: Iterable[Config]) -> str | None:
    """Return the default of an option as text: one value, or the range over `filled`. None: no default.

    filled: configurations of one task for data sets of several sizes.
    """
    values = [get(config, name) for config in filled]
    numbers = [value for value in values if isinstance(value, int | float)]
    if None in values:
        return None
    if len(numbers) == len(values) and len({*values}) > 1:
        return f"{min(numbers):g} to {max(numbers):g}, depending on the data"
    value = values[0]
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else f"{value}"


def _example(preset: Preset) -> str:
    """Return the arguments of the example, with --out. The model file is named after the data."""
    data = preset.example.split()[0]
    return f"{preset.example} --out {data.rstrip('/').partition('.')[0]}.model"


def _filled(text: str, width: int) -> str:
    return textwrap.fill(text, width)
