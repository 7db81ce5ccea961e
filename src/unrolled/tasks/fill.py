"""Fill in the options that follow from the task alone, and reject options that do not apply to it."""

from __future__ import annotations

from dataclasses import replace

from unrolled.core.config import Config, fill, get, options
from unrolled.core.errors import UsageError
from unrolled.data.text.subword import SUBWORD
from unrolled.models.cells import variants
from unrolled.models.frontends import FRONTS
from unrolled.tasks.inputs import INPUTS, InputKind, input_of
from unrolled.tasks.outputs import OUTPUTS, OutputKind, output_of
from unrolled.tasks.presets import Preset, find

FOLLOWS_DATA = "word"  # a default that the data may change
LABELLED = frozenset(
    ("format", "quoting", "columns", "skip_bad")
)  # options of all tasks but the language model
NOT_STREAMED = LABELLED | {"affixes"}
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
    _refuse_options(config)
    if config.data.resample and answers.asks.each:
        raise UsageError(f"'resample' does not apply to {config.task}: each step has its own tag")
    if config.data.horizon and not reads.content.numeric:
        raise UsageError(f"'horizon' does not apply to {config.task}, only to numbers:number")
    _refuse_units(config, answers)
    _refuse_front(config, answers)
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


def options_of(task: str) -> frozenset[str]:
    """The names of the options that apply to a task. Raises UsageError for an unknown task."""
    preset = find(task)
    own = _own_options(input_of(task), output_of(task))
    claimed = {name for users in _users().values() for name in users}
    unused = NOT_STREAMED if preset.stream else frozenset[str]()
    forward = frozenset(("bidirectional",) if output_of(task).ahead else ())
    return (frozenset(options()) - claimed | own) - unused - forward


def _own_options(reads: InputKind, answers: OutputKind) -> frozenset[str]:
    augment = frozenset(() if reads.augmenter is None else ("augment",))
    return reads.options | answers.options | augment | LABELLED


def _users() -> dict[str, frozenset[str]]:
    """The options that only some tasks have, for each input and output kind by its name."""
    inputs = {
        name: kind.options | ({"augment"} if kind.augmenter else set()) for name, kind in INPUTS.items()
    }
    outputs = {name: kind.options for name, kind in OUTPUTS.items()}
    return {"labelled data": LABELLED, **inputs, **outputs}


def _refuse_options(config: Config) -> None:
    """Raise UsageError for an option that does not apply to the task and is not at its default."""
    known, own = options(), options_of(config.task)
    for name in sorted(known.keys() - own):
        if get(config, name) in (None, False, "none", known[name].default):
            continue
        users = [kind for kind, names in _users().items() if name in names]
        raise UsageError(f"'{name}' does not apply to {config.task}, only to {' or '.join(users)}")


def _refuse_front(config: Config, answers: OutputKind) -> None:
    """Raise UsageError for a front layer that the task cannot have."""
    front = FRONTS.get(config.model.front or "")
    if answers.asks.each and front is not None and front.stride > 1:
        what = f"the front layer '{config.model.front}' merges steps, but each step has its own tag"
        raise UsageError(what, hint="--front none")


def undecided(asked: Config, filled: Config) -> Config:
    """`filled`, its unit left blank where none was asked for and words are the task's default: the data decides
    (`tasks/text_unit.py`)."""
    open_to_data = asked.data.unit is None and filled.data.unit == FOLLOWS_DATA
    return replace(filled, data=replace(filled.data, unit=None)) if open_to_data else filled


def _refuse_units(config: Config, answers: OutputKind) -> None:
    """Raise UsageError for a token unit that the output does not support."""
    for name in ("unit", "source_unit", "target_unit"):
        unit = get(config, name)
        flag = "--" + name.replace("_", "-")
        if unit is None:
            continue
        if answers.units is not None and unit not in answers.units:
            raise UsageError(
                f"{flag} {unit} does not apply to {config.task}: {answers.why_units}",
                expected=f"{flag} {' or '.join(answers.units)}",
            )


def _shares(config: Config, preset: Preset) -> bool:
    """Whether both ends have one vocabulary where nothing else is asked for: of pieces of words, each end may spell the
    other's."""
    units = {end or config.data.unit for end in (config.data.source_unit, config.data.target_unit)}
    plain = config.model.embedding != 0 and not config.data.affixes
    return preset.kinds == "tokens:sequence" and units == {SUBWORD} and plain
