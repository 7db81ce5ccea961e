"""The configuration: read options from TOML, `--set key=value` and flags, check them, convert them to JSON.

options.py defines the options. Nothing here imports NumPy or torch, so that `unrolled --help` is quick.
"""

from __future__ import annotations

import argparse
import math
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, asdict, dataclass, fields, replace
from functools import cache
from pathlib import Path
from typing import get_args, get_type_hints

from unrolled.core.atomic_files import opening_error
from unrolled.core.errors import UsageError, suggest
from unrolled.core.options import SECTIONS, UNITS, Config, DataConfig, ModelConfig, TrainConfig
from unrolled.core.regular_files import open_regular

__all__ = [
    "SECTIONS",
    "UNITS",
    "Config",
    "DataConfig",
    "ModelConfig",
    "Option",
    "TrainConfig",
    "add_flags",
    "build",
    "fill",
    "flat_options",
    "from_json",
    "get",
    "options",
    "read_settings",
    "read_toml",
    "to_json",
]

TOML_LIMIT = 1 << 14  # bytes of a TOML file; there are fewer than a hundred options


Plain = type[int] | type[float] | type[str] | type[bool]
Value = int | float | str | bool


@dataclass(frozen=True)
class Option:
    """An option.

    section: `data`, `model` or `training`. plain: its type without None. The other fields are the arguments
    of `options.option`.
    """

    section: str
    name: str
    plain: Plain
    default: Value | None
    help: str
    choices: tuple[str, ...] | None
    low: int | float | None
    high: int | float | None
    group: str | None

    def is_choice(self, value: object) -> bool:
        """Whether a value is allowed by `choices`.

        If the option has a `group`, other packages may add names. Then any value is allowed here, and the
        registry of the names checks it later.
        """
        return self.group is not None or self.choices is None or value in self.choices


@cache
def options() -> dict[str, Option]:
    """Return all options by name."""
    found: dict[str, Option] = {}
    for section, kind in SECTIONS.items():
        hints = get_type_hints(kind)
        for spec in fields(kind):
            plain = next((t for t in get_args(hints[spec.name]) if t is not type(None)), hints[spec.name])
            about, usual = spec.metadata, spec.default
            assert usual is not MISSING  # `options.option` always sets a default
            found[spec.name] = Option(
                section,
                spec.name,
                plain,
                usual,
                help=about["help"],
                choices=about["choices"],
                low=about["low"],
                high=about["high"],
                group=about["group"],
            )
    return found


def add_flags(
    parser: argparse.ArgumentParser,
    title: str | None = None,
    names: Iterable[str] | None = None,
    defaults: Mapping[str, str] | None = None,
) -> None:
    """Add one flag per option to an argument group. The parsed arguments do not contain absent flags.

    title: title of the group in the help. None: the help does not show these flags.
    names: names of the options. None: all options.
    defaults: default of each option as text. An option without a default is not in it.
    """
    group, known = parser.add_argument_group(title), options()
    for name in known if names is None else names:
        option, flag = known[name], "--" + name.replace("_", "-")
        text = argparse.SUPPRESS if title is None else _flag_help(option, (defaults or {}).get(name))
        if option.plain is bool:
            group.add_argument(
                flag, action=argparse.BooleanOptionalAction, default=argparse.SUPPRESS, help=text
            )
        else:
            metavar = {int: "N", float: "X", str: "NAME"}[option.plain]
            metavar = "|".join(option.choices) if option.choices else metavar
            group.add_argument(flag, default=argparse.SUPPRESS, metavar=metavar, help=text)


def _flag_help(option: Option, default: str | None) -> str:
    """Return the help of a flag with its default, unless the help already describes the default."""
    told = default is None or "Default:" in option.help
    return (option.help if told else f"{option.help} (default {default})").replace("%", "%%")


def build(task: str, *layers: Mapping[str, object]) -> Config:
    """Return the configuration of a task from mappings {option: value}.

    A later mapping overrides an earlier one. A value may be text, as from a flag.
    Raises UsageError for an unknown option (with the nearest known one) and for a value that is not allowed.
    """
    sections: dict[str, dict[str, Value | None]] = {name: {} for name in SECTIONS}
    for layer in layers:
        for name, value in layer.items():
            option = _find(name)
            sections[option.section][option.name] = _parse(option, value)
    return Config(
        task,
        replace(DataConfig(), **sections["data"]),
        replace(ModelConfig(), **sections["model"]),
        replace(TrainConfig(), **sections["training"]),
    )


def read_toml(path: Path) -> dict[str, Value | None]:
    """Read a TOML file as {option: value}. An option is in the table of its section or at the top level.

    Raises UsageError for a file that is not TOML, an unknown table or option, or a value that is not allowed.
    """
    try:
        with open_regular(path) as file:
            raw = file.read(TOML_LIMIT + 1)
        if len(raw) > TOML_LIMIT:
            raise UsageError(
                "too large for a configuration", file=path, expected=f"at most {TOML_LIMIT:,} bytes"
            )
        content = tomllib.loads(raw.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n"))
    except OSError as error:
        raise opening_error(error, path) from error
    except RecursionError as error:
        raise UsageError(
            "not TOML: nested too deeply", file=path, expected="lines like hidden = 200"
        ) from error
    except ValueError as error:  # TOMLDecodeError, UnicodeDecodeError, or a number with too many digits
        line = re.search(r"at line (\d+)", str(error))
        raise UsageError(
            f"not TOML: {error}",
            file=path,
            line=int(line[1]) if line else None,
            expected="lines like hidden = 200",
        ) from error
    flat: dict[str, Value | None] = {}
    for key, value in content.items():
        if isinstance(value, dict):
            if key not in SECTIONS:
                raise UsageError(
                    f"unknown table [{key[:80]}]",
                    file=path,
                    expected=_listed(SECTIONS),
                    hint=suggest(key, SECTIONS),
                )
            for name, inner in value.items():
                option = _find(name, path)
                if option.section != key:
                    expected = f"it in [{option.section}]"
                    raise UsageError(f"[{key}] has no option '{name}'", file=path, expected=expected)
                flat[option.name] = _parse(option, inner, path)
        else:
            option = _find(key, path)
            flat[option.name] = _parse(option, value, path)
    return flat


def read_settings(pairs: list[str]) -> dict[str, str]:
    """Return the pairs of `--set key=value` as {option: text}. A key may have a section: `model.hidden=200`.

    Raises UsageError for a pair without `=`, an unknown option, and an option with the wrong section.
    """
    settings: dict[str, str] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            raise UsageError(f"--set {pair}", expected="key=value", hint="--set hidden=200")
        section, dot, name = key.strip().rpartition(".")
        name = name.replace("-", "_")
        home = _find(name).section
        if dot and section != home:
            raise UsageError(f"'{section}' has no option '{name}'", expected=f"{home}.{name}")
        settings[name] = value.strip()
    return settings


def to_json(config: Config) -> dict[str, object]:
    """Return a configuration as JSON values. `from_json` is the inverse."""
    return asdict(config)


def from_json(content: Mapping[str, object]) -> Config:
    """Return the configuration from the JSON values of `to_json`."""
    return build(str(content["task"]), flat_options(content))


def flat_options(content: Mapping[str, object]) -> dict[str, object]:
    """Return {option: value} from the JSON values of `to_json`, without the options that are None.

    A missing section has no options. Raises UsageError if a section is not a mapping.
    """
    flat: dict[str, object] = {}
    for section in SECTIONS:
        part = content.get(section, {})
        if not isinstance(part, Mapping):
            raise UsageError(f"[{section}] is {part!r:.80}", expected="options and their values")
        flat |= {name: value for name, value in part.items() if value is not None}
    return flat


def get(config: Config, name: str) -> Value | None:
    """Return the value of an option."""
    return getattr(getattr(config, _find(name).section), name)


def fill(config: Config, values: Mapping[str, object]) -> Config:
    """Return the configuration with `values` for its options that are None. Other options stay the same."""
    for name, value in values.items():
        section = _find(name).section
        part = getattr(config, section)
        if getattr(part, name) is None:
            config = replace(config, **{section: replace(part, **{name: value})})
    return config


def _find(name: str, path: Path | None = None) -> Option:
    known = options()
    key = name.replace("-", "_")
    if key not in known:
        raise UsageError(
            f"unknown option '{name[:80]}'",
            file=path,
            expected="an option that `unrolled train TASK --help` lists",
            hint=suggest(key, known),
        )
    return known[key]


def _parse(option: Option, value: object, path: Path | None = None) -> Value | None:
    """Return the value of an option, from the text of a flag or from a TOML or JSON value.

    path: TOML file, for messages. Raises UsageError if the value is not allowed.
    """
    if value is None and option.default is None:
        return None
    name, low, high = option.name, option.low, option.high
    wanted = {int: "a whole number", float: "a number", bool: "true or false", str: "a name"}[option.plain]
    try:
        parsed = _plain(value, option.plain)
    except (ValueError, TypeError, OverflowError):
        raise UsageError(f"{name} = {value!r:.80}", file=path, expected=wanted) from None
    if option.choices and not option.is_choice(parsed):
        raise UsageError(
            f"{name} = '{parsed!s:.80}'",
            file=path,
            expected=_listed(option.choices),
            hint=suggest(str(parsed), option.choices),
        )
    if isinstance(parsed, str):
        return parsed
    if (low is not None and parsed < low) or (high is not None and parsed > high):
        limits = f"{wanted} from {low} to {high}" if high is not None else f"{wanted} of at least {low}"
        raise UsageError(f"{name} = {value}", file=path, expected=limits)
    return parsed


def _plain(value: object, plain: Plain) -> Value:
    """Convert `value` (text of a flag, or a TOML or JSON value) to the type `plain`. Raises ValueError."""
    text = str(value).strip()
    if plain is str:
        return text
    if plain is bool:
        return bool(("false", "true", "no", "yes", "0", "1").index(text.lower()) % 2)
    number = float(text.replace("_", ""))
    if not math.isfinite(number) or (plain is int and number != int(number)):
        raise ValueError(text)
    return plain(number)


def _listed(words: Iterable[str]) -> str:
    return ", ".join(words)
