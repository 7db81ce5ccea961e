"""Configuration: one definition for TOML, --set and flags, their order, and errors that name file, key and remedy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unrolled.cli import parser_of
from unrolled.cli.task_help import task_options
from unrolled.cli.train import settings
from unrolled.core.config import (
    Config,
    Option,
    TrainConfig,
    build,
    fill,
    flat_options,
    from_json,
    options,
    read_settings,
    read_toml,
    to_json,
)
from unrolled.core.errors import UsageError
from unrolled.tasks.fill import resolve_data
from unrolled.tasks.inputs import INPUTS
from unrolled.tasks.outputs import OUTPUTS
from unrolled.tasks.presets import COMBINATIONS, TASKS, find
from unrolled.tasks.sizes import resolve


def layers(*arguments: str) -> Config:
    parsed = parser_of("train").parse_intermixed_args(["language", "x.txt", *arguments])
    return build("language", *settings(parsed))


def toml(folder: Path, text: str) -> Path:
    path = folder / "options.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_flags_win_over_set_and_set_over_toml(tmp_path: Path):
    path = toml(tmp_path, "hidden = 1\n[model]\nlayers = 1\n[training]\nlr = 0.1\nbatch-size = 7\n")
    config = layers("--config", str(path), "--set", "hidden=2", "--set", "model.layers=2", "--hidden", "3")
    assert (config.model.hidden, config.model.layers, config.training.lr) == (3, 2, 0.1)
    assert config.training.batch_size == 7
    assert config.training.clip == TrainConfig().clip


def test_flags_that_are_absent_leave_defaults_and_booleans_go_both_ways():
    assert layers() == Config("language")
    assert layers("--lower", "--tie").data.lower is True
    assert layers("--no-tie").model.tie is False
    assert layers().model.tie is None
    assert layers("--set", "lower=yes").data.lower is True
    assert layers("--vocab-size", "10_000").data.vocab_size == 10_000


def test_every_option_has_a_flag_a_help_and_a_valid_default():
    shown = "".join(task_options(task) for task in (*TASKS, *COMBINATIONS))
    for name, option in options().items():
        assert f"--{name.replace('_', '-')}" in shown, name
        assert option.help
        if option.default is not None:
            built = build("language", {name: str(option.default)})
            assert getattr(getattr(built, option.section), name) == option.default


def values(option: Option) -> st.SearchStrategy[Any]:
    low, high = option.low or 0, option.high
    if option.choices:
        return st.sampled_from(option.choices)
    if option.plain is bool:
        return st.booleans()
    if option.plain is int:
        return st.integers(low, high or 10**6)
    if option.plain is str:
        return st.text("abc=,+", min_size=1)
    return st.floats(low, high or 1e6, allow_subnormal=False)


@given(st.data())
def test_json_and_text_forms_come_back_the_same(data: st.DataObject):
    names = data.draw(st.lists(st.sampled_from(sorted(options())), unique=True))
    flat = {name: data.draw(values(options()[name]), name) for name in names}
    config = build("language", flat)
    assert from_json(to_json(config)) == config
    assert build("language", {name: f"{value}" for name, value in flat.items()}) == config
    assert flat.items() <= flat_options(to_json(config)).items()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "hiden = 3",
            "unknown option 'hiden'; expected an option that `unrolled train TASK --help` lists; try 'hidden'",
        ),
        ("[modle]\nhidden = 3", "unknown table [modle]; expected data, model, training; try 'model'"),
        ("[data]\nhidden = 3", "[data] has no option 'hidden'; expected it in [model]"),
        ("hidden = 'many'", "hidden = 'many'; expected a whole number"),
        ("hidden = 2.5", "hidden = 2.5; expected a whole number"),
        ("hidden = [3]", "hidden = [3]; expected a whole number"),
        ("hidden = true", "hidden = True; expected a whole number"),
        ("lr = nan", "lr = nan; expected a number"),
        ("lower = 'perhaps'", "lower = 'perhaps'; expected true or false"),
        ("pooling = 'meen'", "pooling = 'meen'; expected last, mean, max, attention; try 'mean'"),
        ("dropout = 1.5", "dropout = 1.5; expected a number from 0 to 0.95"),
        ("epochs = 0", "epochs = 0; expected a whole number of at least 1"),
    ],
)
def test_toml_errors_name_the_file_and_the_remedy(tmp_path: Path, text: str, told: str):
    path = toml(tmp_path, text)
    with pytest.raises(UsageError) as error:
        read_toml(path)
    assert str(error.value) == f"{path}: {told}"


def test_toml_that_is_none_is_told_with_its_line(tmp_path: Path):
    with pytest.raises(UsageError, match=r"options\.toml:2: not TOML: .*; expected lines like hidden = 200"):
        read_toml(toml(tmp_path, "hidden = 3\n[model\n"))
    with pytest.raises(UsageError, match="there is no such file"):
        read_toml(tmp_path / "other.toml")
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe\xfa")
    with pytest.raises(UsageError, match="not TOML"):
        read_toml(tmp_path / "bytes.toml")


@pytest.mark.parametrize(
    ("pair", "told"),
    [
        ("hidden", "--set hidden; expected key=value; try --set hidden=200"),
        (
            "hiddn=3",
            "unknown option 'hiddn'; expected an option that `unrolled train TASK --help` lists; try 'hidden'",
        ),
        ("data.hidden=3", "'data' has no option 'hidden'; expected model.hidden"),
    ],
)
def test_set_errors(pair: str, told: str):
    with pytest.raises(UsageError) as error:
        read_settings([pair])
    assert str(error.value) == told


def test_set_takes_dashes_sections_and_values_with_equals():
    assert read_settings(["batch-size=3", "model.cell = gru"]) == {"batch_size": "3", "cell": "gru"}


def test_fill_changes_blanks_only():
    config = build("language", {"hidden": 7})
    assert (
        fill(config, {"hidden": 9, "layers": 2}).model == build("language", {"hidden": 7, "layers": 2}).model
    )


def test_resolve_leaves_no_blank_and_keeps_what_was_asked():
    for unit in ("char", "word", "white"):
        asked = build("language", {"unit": unit, "embedding": 0, "epochs": 3})
        config = resolve(resolve_data(asked), 100_000, 500)
        flat = to_json(config)
        blanks = [
            name for part in ("data", "model", "training") for name, v in flat[part].items() if v is None
        ]
        kinds = (*INPUTS.values(), *OUTPUTS.values())
        of_others = {"rate", "normalise", "front_size", *(name for kind in kinds for name in kind.options)}
        files = {"columns", "classes", "format", "encoding", "quoting"}
        assert set(blanks) <= {"minutes", "threads", *files, *of_others}
        assert (config.model.embedding, config.training.epochs, config.model.tie) == (0, 3, False)
        assert config.data.documents == ("file" if unit == "char" else "line")


def test_a_budget_of_minutes_is_not_deterministic():
    resolve_data(build("language", {"deterministic": True, "epochs": 2}))
    with pytest.raises(UsageError, match="measured times vary; try --epochs"):
        resolve_data(build("language", {"deterministic": True, "minutes": 1.0}))


def test_tasks_are_found_by_name_and_by_kinds():
    assert find("language") is find("tokens:next") is TASKS["language"]
    with pytest.raises(UsageError, match=r"unknown task 'langauge'.*try 'language'"):
        find("langauge")
