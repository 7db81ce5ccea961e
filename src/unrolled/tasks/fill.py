"""Fill the options that a task decides before any file is read, and refuse options that the task has no use for."""

from __future__ import annotations

from dataclasses import replace

from unrolled.core.config import Config, fill, get
from unrolled.core.errors import UsageError
from unrolled.data.text.subword import SUBWORD
from unrolled.tasks.presets import Preset, find

# Options that only some tasks have a use for, and the outputs or inputs of these tasks.
ONLY: dict[str, tuple[str, ...]] = {
    "horizon": ("number",),
    "classes": ("label",),
    "ordinal": ("label",),
    "class_weights": ("label",),
    "pooling": ("label", "number"),
    "crf": ("tags",),
    "tie": ("next", "sequence"),
    "first": ("next",),
    "documents": ("next",),
    "window": ("next",),
    **dict.fromkeys(
        ("source_unit", "target_unit", "shared", "attention", "feeding", "decoder_layers"), ("sequence",)
    ),
}

# The defaults for clips.
FRAMES = {"frame_size": 48, "frame_rate": 10.0, "colour": False, "differences": False, "longest": 600}
ONLY_INPUTS: dict[str, tuple[str, ...]] = {
    "grid": ("notes", "rolls"),
    "transpose": ("notes", "rolls"),
    "repeats": ("rolls",),
    "neighbours": ("rolls",),
    "resample": ("numbers",),
    "first": ("tokens",),
    "documents": ("tokens",),
    "window": ("tokens", "notes", "rolls"),
}
# The units that an output allows, and why no others; without an entry all.
UNITS: dict[str, tuple[tuple[str, ...], str]] = {
    "next": (("word", "white", "char"), "it scores whole tokens"),
    "tags": (("white",), "each token has its tag, as the data has them"),
    "ctc": (("char", SUBWORD), "it writes characters or subwords"),
}
FOLLOWS_DATA = "word"  # a default that the data may change
DOCUMENTS = {"char": "file", "word": "line", "white": "line"}  # the default for each unit


def resolve_data(config: Config) -> Config:
    """The configuration with the blanks of its data section filled: known before any file is read.

    Raises UsageError for an option that the task has no use for.
    """
    preset = find(config.task)
    if config.training.deterministic and config.training.minutes is not None:
        raise UsageError("a budget of minutes is measured, and no two measurements agree", hint="--epochs")
    if config.training.minutes == 0:
        raise UsageError("0 minutes are too short", expected="more than 0")
    if config.model.bidirectional and preset.output == "next":
        what = "a model that reads in both directions would see the next step, which it is to predict"
        raise UsageError(what, hint="--no-bidirectional")
    if config.model.front not in (None, "none") and preset.input in ("tokens", "notes", "rolls"):
        raise UsageError(f"{config.task} has no use for 'front'", expected="it with numbers, audio or frames")
    for name, outputs in ONLY.items():
        if get(config, name) and preset.output not in outputs:
            raise UsageError(
                f"{config.task} has no use for '{name}'", expected=f"it with {' or '.join(outputs)}"
            )
    for name, inputs in ONLY_INPUTS.items():
        if get(config, name) and preset.input not in inputs:
            raise UsageError(
                f"{config.task} has no use for '{name}'", expected=f"it with {' or '.join(inputs)}"
            )
    if config.data.resample and preset.output == "tags":
        raise UsageError(f"{config.task} has no use for 'resample'", expected="it where a step has no tag")
    for name in ("format", "quoting"):
        if get(config, name) and preset.stream:
            raise UsageError(f"{config.task} has no use for '{name}'", expected="it with labelled data")
    if config.data.horizon and preset.kinds != "numbers:number":
        raise UsageError(f"{config.task} has no use for 'horizon'", expected="it with numbers:number")
    for name in FRAMES:
        if get(config, name) is not None and preset.input not in ("frames", "images"):
            raise UsageError(f"{config.task} has no use for '{name}'", expected="it with frames")
    _refuse_units(config, preset)
    _refuse_front_and_augment(config, preset)
    if config.data.shared and (config.data.source_unit or "") != (config.data.target_unit or ""):
        raise UsageError("a shared vocabulary is of one unit", hint="--unit for both ends")
    config = fill(config, preset.defaults)
    config = fill(config, {"shared": _shares(config, preset)})
    config = fill(
        config, {"bidirectional": False, "affixes": False, "crf": False, "front": "none", "augment": False}
    )
    if preset.input == "audio":
        config = fill(config, {"normalise": "utterance" if config.model.bidirectional else "running"})
    config = fill(config, FRAMES) if preset.input == "frames" else config
    config = fill(config, {"pooling": "max"}) if preset.output in ONLY["pooling"] else config
    return fill(config, {"documents": DOCUMENTS[config.data.unit or "char"]}) if preset.stream else config


def _refuse_front_and_augment(config: Config, preset: Preset) -> None:
    """Raise UsageError for a front end or an augmentation that the task cannot have."""
    from unrolled.models.frontends import FRONTS
    from unrolled.tasks.inputs import INPUTS

    if config.training.augment and INPUTS[preset.input].vary is None:
        what = f"{config.task} has no use for 'augment': {preset.input} are not varied in training"
        raise UsageError(what, hint="--no-augment")
    front = FRONTS.get(config.model.front or "")
    if preset.output == "tags" and front is not None and front.stride > 1:
        what = f"the front '{config.model.front}' makes one step of several, and each step has its tag"
        raise UsageError(what, hint="--front none")


def undecided(asked: Config, filled: Config) -> Config:
    """`filled`, its unit left blank where none was asked for and words are the task's default: the data decides
    (`tasks/text_unit.py`)."""
    open_to_data = asked.data.unit is None and filled.data.unit == FOLLOWS_DATA
    return replace(filled, data=replace(filled.data, unit=None)) if open_to_data else filled


def _refuse_units(config: Config, preset: Preset) -> None:
    """Raise UsageError for a unit that the task has no use for."""
    for name in ("unit", "source_unit", "target_unit"):
        unit = get(config, name)
        allowed, why = UNITS.get(preset.output, (None, ""))
        flag = "--" + name.replace("_", "-")
        if unit is None:
            continue
        if preset.input != "tokens" and preset.output not in ("sequence", "ctc"):
            raise UsageError(f"{config.task} has no use for {flag} {unit}", expected="it with texts")
        if allowed is not None and unit not in allowed:
            raise UsageError(
                f"{config.task} has no use for {flag} {unit}: {why}",
                expected=f"{flag} {' or '.join(allowed)}",
            )


def _shares(config: Config, preset: Preset) -> bool:
    """Whether both ends have one vocabulary where nothing else is asked for: of pieces of words, each end may spell the
    other's."""
    units = {end or config.data.unit for end in (config.data.source_unit, config.data.target_unit)}
    plain = config.model.embedding != 0 and not config.data.affixes
    return preset.kinds == "tokens:sequence" and units == {SUBWORD} and plain
