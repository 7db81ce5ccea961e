"""Fill the options that a task decides before any file is read, and refuse options that the task has no use for."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import replace

from unrolled.core.config import Config, fill, get
from unrolled.core.errors import UsageError
from unrolled.data.text.subword import SUBWORD
from unrolled.models.cells import variants
from unrolled.models.frontends import FRONTS
from unrolled.tasks.inputs import INPUTS, InputKind, input_of
from unrolled.tasks.outputs import OUTPUTS, OutputKind, output_of
from unrolled.tasks.presets import Preset, find

FOLLOWS_DATA = "word"  # a default that the data may change
DOCUMENTS = {"char": "file", "word": "line", "white": "line"}  # the default for each unit


def resolve_data(config: Config) -> Config:
    """The configuration with the blanks of its data section filled: known before any file is read.

    Raises UsageError for an option that the task has no use for.
    """
    preset, reads, answers = find(config.task), input_of(config.task), output_of(config.task)
    if config.training.deterministic and config.training.minutes is not None:
        raise UsageError("a budget of minutes is measured, and no two measurements agree", hint="--epochs")
    if config.training.minutes == 0:
        raise UsageError("0 minutes are too short", expected="more than 0")
    if config.model.bidirectional and answers.ahead:
        what = "a model that reads in both directions would see the next step, which it is to predict"
        raise UsageError(what, hint="--no-bidirectional")
    variants(config.model.cell)  # an unknown cell is an error
    _refuse_options(config, reads.options, {name: kind.options for name, kind in INPUTS.items()})
    _refuse_options(config, answers.options, {name: kind.options for name, kind in OUTPUTS.items()})
    if config.data.resample and answers.asks.each:
        raise UsageError(f"{config.task} has no use for 'resample'", expected="it where a step has no tag")
    for name in ("format", "quoting"):
        if get(config, name) and preset.stream:
            raise UsageError(f"{config.task} has no use for '{name}'", expected="it with labelled data")
    if config.data.horizon and not reads.content.numeric:
        raise UsageError(f"{config.task} has no use for 'horizon'", expected="it with numbers:number")
    _refuse_units(config, reads, answers)
    _refuse_front_and_augment(config, reads, answers)
    if config.data.shared and (config.data.source_unit or "") != (config.data.target_unit or ""):
        raise UsageError("a shared vocabulary is of one unit", hint="--unit for both ends")
    config = fill(config, preset.defaults)
    config = fill(config, {"shared": _shares(config, preset)})
    config = fill(
        config, {"bidirectional": False, "affixes": False, "crf": False, "front": "none", "augment": False}
    )
    config = reads.fill(config)
    config = fill(config, {"pooling": "max"}) if "pooling" in answers.options else config
    return fill(config, {"documents": DOCUMENTS[config.data.unit or "char"]}) if preset.stream else config


def _refuse_options(config: Config, own: Set[str], every: Mapping[str, Set[str]]) -> None:
    """Raise UsageError for an option that other kinds have a use for, and this one has not."""
    for name in sorted(set().union(*every.values()) - own):
        given = get(config, name)
        if given is not None and given is not False and given != "none":
            users = dict.fromkeys(
                kind.rpartition(":")[2] for kind, options in every.items() if name in options
            )
            raise UsageError(
                f"{config.task} has no use for '{name}'", expected=f"it with {' or '.join(users)}"
            )


def _refuse_front_and_augment(config: Config, reads: InputKind, answers: OutputKind) -> None:
    """Raise UsageError for a front end or an augmentation that the task cannot have."""
    if config.training.augment and reads.augmenter is None:
        what = f"{config.task} has no use for 'augment': {reads.content.noun} are not varied in training"
        raise UsageError(what, hint="--no-augment")
    front = FRONTS.get(config.model.front or "")
    if answers.asks.each and front is not None and front.stride > 1:
        what = f"the front '{config.model.front}' makes one step of several, and each step has its tag"
        raise UsageError(what, hint="--front none")


def undecided(asked: Config, filled: Config) -> Config:
    """`filled`, its unit left blank where none was asked for and words are the task's default: the data decides
    (`tasks/text_unit.py`)."""
    open_to_data = asked.data.unit is None and filled.data.unit == FOLLOWS_DATA
    return replace(filled, data=replace(filled.data, unit=None)) if open_to_data else filled


def _refuse_units(config: Config, reads: InputKind, answers: OutputKind) -> None:
    """Raise UsageError for a unit that the task has no use for."""
    for name in ("unit", "source_unit", "target_unit"):
        unit = get(config, name)
        flag = "--" + name.replace("_", "-")
        if unit is None:
            continue
        if not reads.content.words and not answers.asks.written:
            raise UsageError(f"{config.task} has no use for {flag} {unit}", expected="it with texts")
        if answers.units is not None and unit not in answers.units:
            raise UsageError(
                f"{config.task} has no use for {flag} {unit}: {answers.why_units}",
                expected=f"{flag} {' or '.join(answers.units)}",
            )


def _shares(config: Config, preset: Preset) -> bool:
    """Whether both ends have one vocabulary where nothing else is asked for: of pieces of words, each end may spell the
    other's."""
    units = {end or config.data.unit for end in (config.data.source_unit, config.data.target_unit)}
    plain = config.model.embedding != 0 and not config.data.affixes
    return preset.kinds == "tokens:sequence" and units == {SUBWORD} and plain
