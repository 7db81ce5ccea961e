"""The reference pages of the command line, made from the parsers: all commands, and the options of `unrolled train`."""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterable

from docstring_markdown import cell, paragraphs, table

from unrolled.cli import VERBS, parser_of
from unrolled.cli.task_help import SECTION_TITLES, default_texts
from unrolled.core.config import SECTIONS, Option, options
from unrolled.tasks.fill import options_of
from unrolled.tasks.presets import COMBINATIONS, TASKS

METAVARS = {int: "N", float: "X", str: "NAME"}
EVERYWHERE = ("help", "debug")  # options of every command
RANGE = ", depending on the data"  # the page says this once
UNTITLED = (None, "options", "positional arguments")
COMMANDS_HEAD = """# Commands

Every command with all its arguments. The script `python scripts/reference.py` writes this page from the command line
itself. The options of a training are on a separate page: [options of `unrolled train`](options.md).

Every command also has `--help` (or `-h`), which shows its help, and `--debug`, which shows the traceback of an error.
`unrolled --version` shows the version. Exit codes are on [the page of exit codes](exit-codes.md).
"""
OPTIONS_HEAD = """# Options of `unrolled train`

All options of all tasks. `unrolled train TASK --help` shows the options of one task. The script
`python scripts/reference.py` writes this page from the options and their defaults.

An option can be set in three ways: in a TOML file (`--config F.toml`), with `--set KEY=VALUE`, and as a flag. A flag
overrides `--set`, and `--set` overrides the TOML file. In Python, the estimators have arguments with the same names.

If the default differs between tasks, the column shows the default of most tasks first, then each other default with its
tasks. A range such as 64 to 128 means that the default depends on the size of the data. A dash means that there is no
default, or that the column "meaning" describes it.
"""


def commands_page() -> str:
    """The page of all commands."""
    return "\n".join([COMMANDS_HEAD, *(_command(verb) for verb in VERBS)])


def _command(verb: str) -> str:
    """The section of one command: usage, arguments by group, and the text below the help."""
    parser = parser_of(verb)
    usage = parser.usage or parser.format_usage().removeprefix("usage: ").strip()
    if verb == "train":  # its help is that of a task
        usage = "unrolled train TASK DATA... --out MODEL [options]"
    parts = [f"## `unrolled {verb}`\n", f"{paragraphs(parser.description or '')}", f"    {usage}\n"]
    groups = [(group.title, group._group_actions) for group in parser._action_groups]
    own = [action for title, actions in groups if title in UNTITLED for action in actions]
    parts.append(_arguments(parser, own))
    for title, actions in groups:
        if title not in UNTITLED:
            parts += [f"### {verb}: {title}\n", _arguments(parser, actions)]
    if any(title is None for title, _ in groups):
        parts.append(f"`unrolled {verb}` also accepts the [options of a training](options.md).\n")
    if parser.epilog:
        parts.append(f"```text\n{parser.epilog.strip()}\n```\n")
    return "\n".join(parts)


def _arguments(parser: argparse.ArgumentParser, actions: Iterable[argparse.Action]) -> str:
    rows = [
        _row(parser, one) for one in actions if one.help != argparse.SUPPRESS and one.dest not in EVERYWHERE
    ]
    return table(("argument", "meaning"), rows) if rows else "This command has no arguments.\n"


def _row(parser: argparse.ArgumentParser, action: argparse.Action) -> tuple[str, str]:
    """One argument: its names with their value, and its meaning."""
    choices = [str(one) for one in action.choices or ()]
    metavar = action.metavar if isinstance(action.metavar, str) else None
    if metavar is not None and "|" in metavar:
        choices, metavar = metavar.split("|"), None
    value = metavar or ("NAME" if choices else action.dest.upper())
    value = value if action.nargs not in ("+", "*") else f"{value}..."
    names = ", ".join(f"`{name}{'' if action.nargs == 0 else ' ' + value}`" for name in action.option_strings)
    text = action.help or {"task": "a task", "data": "the files"}.get(action.dest, "")
    text = parser._get_formatter()._expand_help(argparse.Action([], action.dest, help=text))
    return names or f"`{value}`", cell(text) + _listed(choices)


def _listed(choices: Iterable[str]) -> str:
    names = ", ".join(f"`{one}`" for one in choices)
    return f". One of {names}" if names else ""


def options_page() -> str:
    """The page of the options of `unrolled train`."""
    tasks = [*TASKS, *COMBINATIONS]
    defaults = {task: default_texts(task) for task in tasks}
    users = {task: options_of(task) for task in tasks}
    parts = [OPTIONS_HEAD]
    for section in SECTIONS:
        rows = []
        for name, option in options().items():
            if option.section == section:
                using = [task for task in tasks if name in users[task]]
                told = {task: defaults[task].get(name, "-") for task in using}
                rows.append((_flag(option), meaning(option), _default(told), _tasks(using, tasks)))
        title = SECTION_TITLES[section].capitalize()
        parts += [f"## {title}\n", f"In a TOML file, these options are in the table `[{section}]`.\n"]
        parts.append(table(("option", "meaning", "default", "tasks"), rows))
    return "\n".join(parts)


def _flag(option: Option) -> str:
    name = option.name.replace("_", "-")
    if option.plain is bool:
        return f"`--{name}`, `--no-{name}`"
    return f"`--{name} {METAVARS[option.plain]}`"


def meaning(option: Option) -> str:
    """The help text of an option and its choices, fit for a cell of a table."""
    return cell(option.help) + _listed(option.choices or ())


def _default(told: dict[str, str]) -> str:
    """The default of most tasks, then the others with their tasks."""
    by_text: defaultdict[str, list[str]] = defaultdict(list)
    for task, text in told.items():
        by_text[text.removesuffix(RANGE)].append(task)
    first, *others = sorted(by_text, key=lambda text: -len(by_text[text]))
    return "; ".join([cell(first), *(f"{cell(text)} ({_names(by_text[text])})" for text in others)])


def _tasks(using: list[str], tasks: list[str]) -> str:
    """The tasks that have an option, the shorter way."""
    others = [task for task in tasks if task not in using]
    if not others:
        return "all"
    return f"all except {_names(others)}" if len(others) < len(using) else _names(using)


def _names(tasks: Iterable[str]) -> str:
    return ", ".join(f"`{task}`" for task in tasks)
