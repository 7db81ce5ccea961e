"""The configuration: the options of options.py read from TOML, `--set key=value` and flags, and written back.

Nothing here imports NumPy or torch: `unrolled --help` must be quick.
"""

from __future__ import annotations

import argparse
import math
import re
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import asdict, fields, replace
from functools import cache
from pathlib import Path
from typing import Any, get_args, get_type_hints

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

TOML_LIMIT = 1 << 14  # bytes of a configuration: there are about fifty options


@cache
def options() -> dict[str, tuple[str, Any, Any]]:
    """Each option's section, plain type (int, float, str, bool) and dataclass field, by its name."""
    found: dict[str, tuple[str, Any, Any]] = {}
    for section, kind in SECTIONS.items():
        hints = get_type_hints(kind)
        for spec in fields(kind):
            plain = next((t for t in get_args(hints[spec.name]) if t is not type(None)), hints[spec.name])
            found[spec.name] = (section, plain, spec)
    return found


def add_flags(parser: argparse.ArgumentParser, shown: Collection[str] = tuple(SECTIONS)) -> None:
    """One flag an option, grouped by section; absent flags leave nothing behind in the parsed arguments.

    shown: the sections that `--help` lists; the flags of the others are taken all the same.
    """
    groups = {name: parser.add_argument_group(name) for name in SECTIONS}
    for name, (section, plain, spec) in options().items():
        flag = "--" + name.replace("_", "-")
        text = _flag_help(plain, spec) if section in shown else argparse.SUPPRESS
        if plain is bool:
            groups[section].add_argument(
                flag, action=argparse.BooleanOptionalAction, default=argparse.SUPPRESS, help=text
            )
        else:
            choices = spec.metadata["choices"]
            metavar = "|".join(choices) if choices else {int: "N", float: "X", str: "NAME"}[plain]
            groups[section].add_argument(flag, default=argparse.SUPPRESS, metavar=metavar, help=text)


def _flag_help(plain: Any, spec: Any) -> str:
    """The help of a flag, with its default where the text does not tell it."""
    text: str = spec.metadata["help"]
    if "default" in text or plain is bool:
        return text.replace("%", "%%")
    default = "chosen for you" if spec.default is None else f"{spec.default:{'g' if plain is float else ''}}"
    return f"{text} (default {default})".replace("%", "%%")


def build(task: str, *layers: Mapping[str, Any]) -> Config:
    """A configuration from flat option -> value mappings, later ones winning; values may be text.

    Raises UsageError for an unknown option (with the nearest known one) or a value out of its range.
    """
    sections: dict[str, dict[str, Any]] = {name: {} for name in SECTIONS}
    for layer in layers:
        for name, value in layer.items():
            section, plain, spec = _find(name)
            sections[section][spec.name] = _parse(spec.name, value, plain, spec)
    return Config(task, **{name: SECTIONS[name](**values) for name, values in sections.items()})


def read_toml(path: Path) -> dict[str, Any]:
    """A TOML file as flat option -> value; options stand in their section's table or at the top."""
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
    except ValueError as error:  # TOMLDecodeError, UnicodeDecodeError, a number of too many digits
        line = re.search(r"at line (\d+)", str(error))
        raise UsageError(
            f"not TOML: {error}",
            file=path,
            line=int(line[1]) if line else None,
            expected="lines like hidden = 200",
        ) from error
    flat: dict[str, Any] = {}
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
                home, plain, spec = _find(name, path)
                if home != key:
                    raise UsageError(f"[{key}] has no option '{name}'", file=path, expected=f"it in [{home}]")
                flat[spec.name] = _parse(spec.name, inner, plain, spec, path)
        else:
            _, plain, spec = _find(key, path)
            flat[spec.name] = _parse(spec.name, value, plain, spec, path)
    return flat


def read_settings(pairs: list[str]) -> dict[str, str]:
    """`--set key=value` pairs as a mapping; the key may carry its section, `model.hidden=200`."""
    settings: dict[str, str] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            raise UsageError(f"--set {pair}", expected="key=value", hint="--set hidden=200")
        section, dot, name = key.strip().rpartition(".")
        name = name.replace("-", "_")
        home = _find(name)[0]
        if dot and section != home:
            raise UsageError(f"'{name}' is not in '{section}'", expected=f"{home}.{name}")
        settings[name] = value.strip()
    return settings


def to_json(config: Config) -> dict[str, Any]:
    """A configuration as plain JSON values, the inverse of `from_json`."""
    return asdict(config)


def from_json(content: Mapping[str, Any]) -> Config:
    """The configuration that `to_json` wrote."""
    return build(str(content["task"]), flat_options(content))


def flat_options(content: Mapping[str, Any]) -> dict[str, Any]:
    """Option -> value, blanks left out, of what `to_json` wrote; empty where sections are missing.

    Raises UsageError where a section is none.
    """
    sections = [content.get(section, {}) for section in SECTIONS]
    for name, part in zip(SECTIONS, sections, strict=True):
        if not isinstance(part, Mapping):
            raise UsageError(f"[{name}] is {part!r:.80}", expected="options and their values")
    return {name: value for part in sections for name, value in part.items() if value is not None}


def get(config: Config, name: str) -> Any:
    """The value of an option by its bare name."""
    return getattr(getattr(config, _find(name)[0]), name)


def fill(config: Config, values: Mapping[str, Any]) -> Config:
    """The configuration with those of its blanks (None) filled that `values` names."""
    for name, value in values.items():
        section = _find(name)[0]
        part = getattr(config, section)
        if getattr(part, name) is None:
            config = replace(config, **{section: replace(part, **{name: value})})
    return config


def _find(name: str, path: Path | None = None) -> tuple[str, Any, Any]:
    known = options()
    key = name.replace("-", "_")
    if key not in known:
        raise UsageError(
            f"unknown option '{name[:80]}'",
            file=path,
            expected="one that `unrolled train --help` lists",
            hint=suggest(key, known),
        )
    return known[key]


def is_choice(metadata: Mapping[str, Any], value: object) -> bool:
    """Whether a value is one of an option's choices. The registry of a kind that other packages may bring checks the
    name later, when it is looked up there."""
    return metadata["group"] is not None or value in metadata["choices"]


def _parse(name: str, value: Any, plain: Any, spec: Any, path: Path | None = None) -> Any:
    if value is None and spec.default is None:
        return None
    wanted = {int: "a whole number", float: "a number", bool: "true or false", str: "a name"}[plain]
    try:
        parsed = _plain(value, plain)
    except (ValueError, TypeError, OverflowError):
        raise UsageError(f"{name} = {value!r:.80}", file=path, expected=wanted) from None
    choices, low, high = (spec.metadata[key] for key in ("choices", "low", "high"))
    if choices and not is_choice(spec.metadata, parsed):
        raise UsageError(
            f"{name} = '{parsed!s:.80}'",
            file=path,
            expected=_listed(choices),
            hint=suggest(str(parsed), choices),
        )
    if (low is not None and parsed < low) or (high is not None and parsed > high):
        limits = f"{wanted} from {low} to {high}" if high is not None else f"{wanted} of at least {low}"
        raise UsageError(f"{name} = {value}", file=path, expected=limits)
    return parsed


def _plain(value: Any, plain: Any) -> Any:
    """`value` (text from a flag, or TOML's own type) as a `plain`; ValueError where it is none."""
    text = str(value).strip()
    if plain is str:
        return text
    if plain is bool:
        return bool(("false", "true", "no", "yes", "0", "1").index(text.lower()) % 2)
    number = float(text.replace("_", ""))
    if not math.isfinite(number) or (plain is int and number != int(number)):
        raise ValueError(text)
    return plain(number)


def _listed(words: Any) -> str:
    return ", ".join(words)
