"""The help of `unrolled train`: the list of tasks, and the options of each task with its true defaults."""

from __future__ import annotations

import re
import shlex

import pytest

from support.small_models import run
from unrolled.cli import parser_of
from unrolled.cli.task_help import COMMON, SHOWN_FIRST, default_texts
from unrolled.cli.task_options import settings
from unrolled.core.config import build, get, options
from unrolled.core.errors import UsageError
from unrolled.tasks.fill import options_of, resolve_data
from unrolled.tasks.presets import COMBINATIONS, TASKS
from unrolled.tasks.sizes import resolve_examples

EVERY = [*TASKS, *COMBINATIONS]
each_task = pytest.mark.parametrize("task", EVERY)


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", "100")


def flags_of(text: str) -> list[str]:
    """The options of a help text, in order, without their --no- forms."""
    return [name.replace("-", "_") for name in re.findall(r"^  --([a-z-]+)", text, re.MULTILINE)]


def test_the_list_has_each_task_with_one_example():
    text = run("train", "--help").out
    assert text == run("train", "-h").out and len(text.splitlines()) <= 60
    examples = re.findall(r"^ +(unrolled train (\S+) .*)$", text, re.MULTILINE)
    assert [task for _, task in examples] == EVERY
    for line, task in examples:
        parsed = parser_of("train").parse_intermixed_args(shlex.split(line)[2:])
        resolve_data(build(task, *settings(parsed)))  # the options of the example apply to the task


@each_task
def test_the_help_of_a_task_shows_its_options_and_the_common_ones_first(task: str):
    text = run("train", task, "--help").out
    flags = flags_of(text)
    own = [name for name in flags if name in options()]
    assert sorted(own) == sorted(options_of(task)) and len(set(own)) == len(own)
    assert own[:SHOWN_FIRST] == [name for name in COMMON if name in own][:SHOWN_FIRST]
    assert {"out", "valid", "test", "resume", "force", "config", "set"} <= set(flags)
    assert len(text.splitlines()) <= 110 and max(map(len, text.splitlines())) <= 100


@each_task
def test_an_option_that_the_help_does_not_show_is_an_error(task: str):
    for name in options().keys() - options_of(task):
        option = options()[name]
        number = option.default + 1 if isinstance(option.default, int) else (option.low or 1)
        value = next((one for one in option.choices or () if one != option.default and one != "none"), number)
        with pytest.raises(UsageError, match=f"'{name}'|bidirectional"):
            resolve_data(build(task, {name: True if option.plain is bool else value}))


def test_the_defaults_are_those_of_a_training():
    told = default_texts("classify")
    config = resolve_examples(resolve_data(build("classify")), 3_000, 60_000, 5_000)
    for name in ("hidden", "layers", "dropout", "lr", "pooling", "cell", "hold_out"):
        assert told[name] == str(get(config, name))
    assert told["bidirectional"] == "yes" and "bidirectional" not in options_of("language")
    low, high = map(int, re.findall(r"\d+", told["epochs"]))
    assert low <= (config.training.epochs or 0) <= high and "depending on the data" in told["epochs"]


@pytest.mark.parametrize(("given", "near"), [("clasify", "classify"), ("numbers:lable", "numbers:label")])
def test_an_unknown_task_is_an_error_with_the_nearest(given: str, near: str):
    done = run("train", given, "--help")
    assert done.code == 2 and not done.out and f"try '{near}'" in done.err
