"""The configuration: frozen dataclasses, defined once, read from TOML, `--set key=value` and flags alike.

A field's metadata holds its help, its choices and its range; `None` means "chosen for you" and is filled in by
`tasks.resolve` from the task, the data and the budget, so that a finished configuration has no blanks.
Nothing here imports NumPy or torch: `unrolled --help` must be quick.
"""

from __future__ import annotations

import argparse
import math
import re
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cache
from pathlib import Path
from typing import Any, get_args, get_type_hints

from .errors import UsageError, suggest
from .files import opening_error


def option(
    default: Any,
    text: str,
    *,
    choices: tuple[str, ...] | None = None,
    low: int | float | None = None,
    high: int | float | None = None,
) -> Any:
    """A field of a configuration: its default, its help, and what values it takes (`low`, `high` inclusive)."""
    return field(default=default, metadata={"help": text, "choices": choices, "low": low, "high": high})


UNITS = ("word", "white", "char", "subword")


@dataclass(frozen=True)
class DataConfig:
    """How a person's files become sequences."""

    unit: str | None = option(
        None,
        "what one token is; white: split at white space only; subword: pieces of words, learnt (translate's default)",
        choices=UNITS,
    )
    source_unit: str | None = option(None, "the same of what is read (default: --unit)", choices=UNITS)
    target_unit: str | None = option(None, "the same of what is written (default: --unit)", choices=UNITS)
    shared: bool = option(False, "one vocabulary and one embedding for what is read and written")
    documents: str | None = option(
        None,
        "where state starts from zeros: each file (default for char), line (default for word) or blank-line block",
        choices=("file", "line", "blank"),
    )
    lower: bool = option(False, "lower-case the text")
    vocab_size: int = option(10_000, "how many of the most frequent tokens are kept; others are <UNK>", low=1)
    hold_out: float = option(
        0.1,
        "share held out for validation where no --valid is given: a text's end, or sequences at random",
        low=0,
        high=0.9,
    )
    columns: str | None = option(
        None,
        "which columns of a table are what: x=text,y=label,id=key,by=series; several with + (default: by name)",
    )
    affixes: bool | None = option(
        None, "beginnings, ends and shapes of words as further input (default for tags)"
    )
    classes: str | None = option(
        None, "the classes in their order, separated by commas (default: as found, sorted)"
    )
    skip_bad: int = option(0, "how many bad rows may be left out, each of them told", low=0)
    bands: int = option(40, "bands of the mel scale that sound is cut into", low=4, high=256)
    rate: int | None = option(
        None,
        "samples a second at which sound is heard (default: as most files, at most 16000)",
        low=4_000,
        high=96_000,
    )
    normalise: str | None = option(
        None,
        "sound by the mean of the whole, or by a running one (default where a model reads forward alone)",
        choices=("utterance", "running"),
    )
    frame_size: int | None = option(None, "side of each picture of a clip (default 48)", low=8, high=256)
    frame_rate: float | None = option(
        None, "pictures a second; 0: all there are (default 10)", low=0, high=1000
    )
    colour: bool | None = option(None, "pictures of clips in colour (default grey)")
    differences: bool | None = option(None, "what changed since the picture before beside each picture")
    longest: int | None = option(None, "pictures of a clip; one with more is refused (default 600)", low=1)
    horizon: int | None = option(None, "forecast so many steps of a series of numbers", low=1, high=4096)
    grid: int | None = option(None, "steps of a quarter note (default 24; 4 of rolls)", low=1, high=480)
    transpose: int | None = option(None, "semitones tunes move at most (default 5)", low=0, high=12)
    history: int = option(64, "steps of a series that a forecast sees", low=1, high=65_536)


@dataclass(frozen=True)
class ModelConfig:
    """The recurrent network."""

    cell: str = option("lstm", "the recurrent cell", choices=("lstm", "gru", "gru-simple", "rnn"))
    activation: str = option("tanh", "g1 of the basic RNN", choices=("tanh", "relu"))
    bidirectional: bool | None = option(
        None, "read in both directions (default for labels and tags; not for language models)"
    )
    layers: int | None = option(None, "stacked recurrent layers", low=1, high=32)
    hidden: int | None = option(None, "units a layer (n_a)", low=1, high=65_536)
    embedding: int | None = option(
        None, "size of the embedding; 0 feeds bare one-hot vectors", low=0, high=65_536
    )
    tie: bool | None = option(None, "one matrix for embedding and output layer")
    softmax: str = option(
        "exact", "output layer; adaptive is quicker with many words", choices=("exact", "adaptive")
    )
    pooling: str | None = option(
        None, "what one answer sees of all steps (default max)", choices=("last", "mean", "max", "attention")
    )
    crf: bool | None = option(None, "choose the tags of a sentence as one path (default)")
    front: str | None = option(
        None,
        "what numbers go through first; time: a convolution that halves time (default for sound); frames: a "
        "convolution of each picture (default for clips)",
        choices=("none", "time", "frames"),
    )
    front_size: int | None = option(
        None, "numbers a step behind the front (default: as hidden)", low=1, high=65_536
    )
    attention: str | None = option(
        None,
        "what a decoder sees of the encoder: none is its last state alone (default multiplicative)",
        choices=("none", "additive", "multiplicative"),
    )
    feeding: bool = option(False, "the decoder reads what it attended to at the step before; slower")
    decoder_layers: int | None = option(None, "layers of a decoder (default: --layers)", low=1, high=32)
    ordinal: bool = option(False, "the classes are a rating: near misses are better than far ones")


@dataclass(frozen=True)
class TrainConfig:
    """How the network is trained."""

    epochs: int | None = option(None, "passes over the training part (default 10 without --minutes)", low=1)
    minutes: float | None = option(
        None, "wall-clock budget, from start of the process to model on disk (default none)", low=0
    )
    batch_size: int | None = option(None, "sequences a step", low=1, high=65_536)
    window: int | None = option(None, "steps that back-propagation reaches through", low=1, high=65_536)
    optimizer: str = option(
        "muon",
        "muon for the recurrent matrices with adamw for the rest, or one for all",
        choices=("muon", "adamw", "sgd"),
    )
    lr: float | None = option(None, "highest learning rate", low=0)
    schedule: str = option(
        "cosine", "course of the learning rate", choices=("cosine", "onecycle", "plateau", "constant")
    )
    warmup: float = option(0.03, "share of the training in which the learning rate rises", low=0, high=1)
    clip: float = option(1.0, "largest norm of the gradient; 0 for none", low=0)
    weight_decay: float = option(0.01, "decoupled weight decay (matrices only)", low=0)
    momentum: float = option(0.0, "momentum of sgd", low=0, high=1)
    label_smoothing: float = option(0.0, "share of the target spread over all classes", low=0, high=0.9)
    average: float | None = option(
        None, "decay of the running average of the weights; 0 for none", low=0, high=1
    )
    dropout: float | None = option(
        None, "share of inputs to each layer and the output layer dropped", low=0, high=0.95
    )
    input_dropout: float | None = option(
        None,
        "share of the embedded input dropped (default: none of characters, --dropout of words)",
        low=0,
        high=0.95,
    )
    augment: bool | None = option(
        None,
        "vary sound in training: speed, pitch, noise, gain, masks; clips: speed, place, light; tunes: key (default for "
        "all)",
    )
    flip: bool = option(False, "mirror clips too: where no class tells left from right")
    class_weights: bool = option(False, "rare classes weigh more: by the root of their rarity")
    variational: bool = option(
        False, "drop the same units at every step of a window (Gal and Ghahramani 2016)"
    )
    weight_dropout: float = option(
        0.0, "share of recurrent weights dropped (Merity et al. 2018)", low=0, high=0.95
    )
    first: float | None = option(
        None,
        "how much more than others a first token weighs (default 8 where each line is a document, else 1)",
        low=0,
        high=1000,
    )
    cold: float = option(0.1, "share of windows of long documents that start from zeros", low=0, high=1)
    patience: int = option(0, "stop after so many validations without a better loss; 0 for never", low=0)
    seed: int = option(0, "seed of all chance", low=0, high=2**31 - 1)
    threads: int | None = option(None, "threads; default: what is quickest here", low=1, high=4096)
    device: str = option("cpu", "where to compute", choices=("cpu",))


@dataclass(frozen=True)
class Config:
    """A task with all its settings. Sections are TOML tables; option names are unique across them."""

    task: str
    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    training: TrainConfig = TrainConfig()


SECTIONS: dict[str, type[Any]] = {"data": DataConfig, "model": ModelConfig, "training": TrainConfig}


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
        content = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise opening_error(error, path) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
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
                    f"unknown table [{key}]",
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
    """Option -> value, blanks left out, of what `to_json` wrote; empty where sections are missing."""
    sections = (content.get(section, {}) for section in SECTIONS)
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
            f"unknown option '{name}'",
            file=path,
            expected="one that `unrolled train --help` lists",
            hint=suggest(key, known),
        )
    return known[key]


def _parse(name: str, value: Any, plain: Any, spec: Any, path: Path | None = None) -> Any:
    if value is None and spec.default is None:
        return None
    wanted = {int: "a whole number", float: "a number", bool: "true or false", str: "a name"}[plain]
    try:
        parsed = _plain(value, plain)
    except (ValueError, TypeError, OverflowError):
        raise UsageError(f"{name} = {value!r}", file=path, expected=wanted) from None
    choices, low, high = (spec.metadata[key] for key in ("choices", "low", "high"))
    if choices and parsed not in choices:
        raise UsageError(
            f"{name} = '{parsed}'", file=path, expected=_listed(choices), hint=suggest(str(parsed), choices)
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
