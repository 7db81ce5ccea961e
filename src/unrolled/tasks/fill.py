"""Fill the options that a task decides before any file is read; reject options that it does not support."""

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
from unrolled.tasks.wide_features import features_of

WIDE = frozenset(("wide",))  # needs features of the input
FOLLOWS_DATA = "word"  # the default unit that may be replaced when the data is read
LABELLED = frozenset(("format", "quoting", "columns", "skip_bad"))  # options of all tasks with labelled data
VECTORS = frozenset(("vectors", "vectors_extra"))  # options that an encoder-decoder does not support
NOT_STREAMED = LABELLED | VECTORS | {"affixes"}  # options that a language model does not support
DOCUMENTS = {"char": "file", "word": "line", "white": "line"}  # unit -> default of `documents`


def resolve_data(config: Config) -> Config:
    """Fill the options that can be decided before any file is read. Returns the new configuration.

    Raises UsageError for an option that the task does not support.
    """
    preset, reads, answers = find(config.task), input_of(config.task), output_of(config.task)
    if config.training.deterministic and config.training.minutes is not None:
        raise UsageError(
            "a deterministic training cannot have a budget of minutes: measured times vary", hint="--epochs"
        )
    if config.training.minutes == 0:
        raise UsageError("0 minutes are too short", expected="more than 0")
    if config.model.bidirectional and answers.ahead:
        what = "a bidirectional model would see the next step, which it must predict"
        raise UsageError(what, hint="--no-bidirectional")
    variants(config.model.cell)  # raises UsageError for an unknown cell
    _refuse_options(config)
    if config.data.resample and answers.asks.each:
        raise UsageError(f"{config.task} does not support 'resample'", expected="a task without tags")
    if config.data.horizon and not reads.content.numeric:
        raise UsageError(f"{config.task} does not support 'horizon'", expected="the task numbers:number")
    _refuse_units(config, answers)
    _refuse_front(config, answers)
    if config.data.vectors is not None and config.data.unit == SUBWORD:
        raise UsageError("vectors are for words, not for subwords", hint="--unit word")
    if config.data.shared and (config.data.source_unit or "") != (config.data.target_unit or ""):
        raise UsageError("a shared vocabulary needs one unit for source and target", hint="--unit for both")
    config = fill(config, preset.defaults)
    config = fill(config, {"shared": _shares(config, preset)})
    config = fill(
        config, {"bidirectional": False, "affixes": False, "crf": False, "front": "none", "augment": False}
    )
    config = reads.fill(config)
    config = fill(config, {"pooling": "max"}) if "pooling" in answers.options else config
    config = _wide(config, reads, answers)
    return fill(config, {"documents": DOCUMENTS[config.data.unit or "char"]}) if preset.stream else config


def _wide(config: Config, reads: InputKind, answers: OutputKind) -> Config:
    """Return the configuration with `wide` filled.

    Two kinds of models have no wide part. A model of numbers that answers after each step cannot have one, because its
    features need the whole series. A tagger without a CRF cannot have one, because the wide part has transitions.
    Raises UsageError if it is requested.
    """
    model, each = config.model, answers.asks.each
    forward = not model.bidirectional and not reads.embeds
    answers_each_step = forward and (model.pooling == "last" or reads.content.sound)
    if model.wide and answers_each_step:
        what = "the wide part of a series reads the whole series, but this model answers after each step"
        raise UsageError(what, expected="--no-wide, or --bidirectional")
    if model.wide and each and not model.crf:
        raise UsageError("the wide part of a tagger needs the CRF", expected="--crf, or --no-wide")
    possible = not answers_each_step and (bool(model.crf) or not each)
    return fill(config, {"wide": features_of(config.task) is not None and possible})


def options_of(task: str) -> frozenset[str]:
    """Return the names of the options that a task supports. Raises UsageError for an unknown task."""
    preset, reads, answers = find(task), input_of(task), output_of(task)
    own = _input_options(reads) | answers.options | LABELLED
    own -= frozenset() if features_of(task) else WIDE
    claimed = {name for names in _users().values() for name in names}
    unused = NOT_STREAMED if preset.stream else VECTORS if answers.decoder else frozenset[str]()
    forward = frozenset(("bidirectional",) if answers.ahead else ())
    return (frozenset(options()) - claimed | own) - unused - forward


def _input_options(kind: InputKind) -> frozenset[str]:
    """Return the options that only some inputs support, and this one does."""
    return kind.options if kind.augmenter is None else kind.options | {"augment"}


def _users() -> dict[str, frozenset[str]]:
    """Return the options that only some tasks support, by the name of the input or output kind."""
    inputs = {name: _input_options(kind) for name, kind in INPUTS.items()}
    outputs = {name: kind.options for name, kind in OUTPUTS.items()}
    return {"labelled data": LABELLED, **inputs, **outputs}


def _refuse_options(config: Config) -> None:
    """Raise UsageError for an option that the task does not support, unless it has its default."""
    known, own = options(), options_of(config.task)
    for name in sorted(known.keys() - own):
        if get(config, name) in (None, False, "none", known[name].default):
            continue
        users = [kind for kind, names in _users().items() if name in names]
        raise UsageError(
            f"{config.task} does not support '{name}'", expected=f"a task with {' or '.join(users)}"
        )


def _refuse_front(config: Config, answers: OutputKind) -> None:
    """Raise UsageError for a front end that the task does not support."""
    front = FRONTS.get(config.model.front or "")
    if answers.asks.each and front is not None and front.stride > 1:
        what = f"the front end '{config.model.front}' merges several steps into one, but each step has a tag"
        raise UsageError(what, hint="--front none")


def undecided(asked: Config, filled: Config) -> Config:
    """Return `filled`, with a blank unit if none was requested and the default of the task is words.

    Then the data decides the unit; see `tasks/text_unit.py`.
    """
    open_to_data = asked.data.unit is None and filled.data.unit == FOLLOWS_DATA
    return replace(filled, data=replace(filled.data, unit=None)) if open_to_data else filled


def _refuse_units(config: Config, answers: OutputKind) -> None:
    """Raise UsageError for a unit that the task does not support."""
    for name in ("unit", "source_unit", "target_unit"):
        unit = get(config, name)
        flag = "--" + name.replace("_", "-")
        if unit is None:
            continue
        if answers.units is not None and unit not in answers.units:
            raise UsageError(
                f"{config.task} does not support {flag} {unit}: {answers.why_units}",
                expected=f"{flag} {' or '.join(answers.units)}",
            )


def _shares(config: Config, preset: Preset) -> bool:
    """Return the default of `shared`: whether source and target use one vocabulary.

    It is true only if both are subwords: with subwords, one vocabulary can spell the words of both.
    """
    units = {end or config.data.unit for end in (config.data.source_unit, config.data.target_unit)}
    plain = config.model.embedding != 0 and not config.data.affixes
    return preset.kinds == "tokens:sequence" and units == {SUBWORD} and plain
