"""The presets: the lecture's tasks as an input kind, an output kind, defaults and words for people. A table, no code.

`resolve` fills every blank of a configuration from the preset, the data and the budget.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from unrolled.core.config import Config, fill, get
from unrolled.core.errors import UsageError, suggest
from unrolled.data.text.subword import SUBWORD
from unrolled.tasks.defaults import FILLERS, passes


@dataclass(frozen=True)
class Preset:
    """A task: what goes in, what comes out, which of the lecture's five architectures that is, and its defaults."""

    input: str
    output: str
    architecture: str
    summary: str
    defaults: Mapping[str, Any]

    @property
    def key(self) -> str:
        """How the output kind is found."""
        return f"{self.input}:{self.output}"

    @property
    def kinds(self) -> str:
        """INPUT:OUTPUT; a sequence is one whichever way it is found."""
        return f"{self.input}:{'sequence' if self.output == 'ctc' else self.output}"

    @property
    def stream(self) -> bool:
        """Whether its data is one stream of tokens in documents, and not sequences with something asked of each."""
        return self.kinds == "tokens:next"


TASKS: dict[str, Preset] = {
    "language": Preset(
        input="tokens",
        output="next",
        architecture="language model; one-to-many when sampled",
        summary="learn text, word by word or character by character; sample it, score it",
        defaults={"unit": "char"},
    ),
    "classify": Preset(
        input="tokens",
        output="label",
        architecture="many-to-one",
        summary="one class, or a rating, for a text",
        defaults={"bidirectional": True, "unit": "word", "affixes": False},
    ),
    "tag": Preset(
        input="tokens",
        output="tags",
        architecture="many-to-many, T_x = T_y",
        summary="a tag for every word: names in a sentence, parts of speech",
        defaults={"bidirectional": True, "unit": "white", "affixes": True, "crf": True},
    ),
    "transcribe": Preset(
        input="audio",
        output="ctc",
        architecture="many-to-many, T_x != T_y",
        summary="what is said in a recording, as text",
        defaults={"bidirectional": True, "front": "time", "augment": True},
    ),
    "recognize": Preset(
        input="frames",
        output="label",
        architecture="many-to-one",
        summary="what is done in a clip: a class for a video or a folder of pictures",
        defaults={"bidirectional": False, "front": "frames", "augment": True, "pooling": "last"},
    ),
    "translate": Preset(
        input="tokens",
        output="sequence",
        architecture="many-to-many, T_x != T_y",
        summary="another text for a text: translation, dates, spelling to sound",
        defaults={"bidirectional": True, "unit": SUBWORD, "affixes": False, "attention": "multiplicative"},
    ),
    "compose": Preset(
        input="notes",
        output="next",
        architecture="one-to-many when sampled: from nothing or a genre",
        summary="learn tunes from MIDI files; write new ones",
        defaults={"bidirectional": False, "grid": 24, "transpose": 5, "augment": True, "window": 1024},
    ),
}
# Other combinations that make sense, by INPUT:OUTPUT alone.
COMBINATIONS: dict[str, Preset] = {
    (made := Preset(given, asked, architecture, summary, defaults)).kinds: made
    for given, asked, architecture, summary, defaults in (
        (
            "numbers",
            "sequence",
            "many-to-many, T_x != T_y",
            "a text for a series",
            {
                "bidirectional": True,
                "unit": "word",
                "attention": "multiplicative",
                "dropout": 0.1,
                "input_dropout": 0.0,
            },
        ),
        ("tokens", "number", "many-to-one", "numbers for a text", {"bidirectional": True, "unit": "word"}),
        ("numbers", "label", "many-to-one", "a class for a series", {"bidirectional": True}),
        ("numbers", "number", "many-to-one", "numbers for a series, or its next values", {}),
        (
            "numbers",
            "next",
            "many-to-many, T_x = T_y",
            "the next step of a series, and how surprising each was: anomalies",
            {"bidirectional": False},
        ),
        (
            "numbers",
            "tags",
            "many-to-many, T_x = T_y",
            "a tag for every step of a series",
            {"bidirectional": True},
        ),
        (
            "images",
            "ctc",
            "many-to-many, T_x != T_y",
            "what is written in a picture of a line, read as columns",
            {"bidirectional": True, "front": "time", "augment": True, "frame_size": 32, "longest": 2000},
        ),
        (
            "frames",
            "tags",
            "many-to-many, T_x = T_y",
            "what is done in each picture of a clip",
            {"bidirectional": True, "front": "frames", "augment": True},
        ),
        (
            "audio",
            "label",
            "many-to-one",
            "a class for a recording: wake words, sound events",
            {"bidirectional": True, "front": "time", "augment": True},
        ),
        (
            "audio",
            "tags",
            "many-to-many, T_x = T_y",
            "a tag for every 10 ms of a recording: speech or not",
            {"bidirectional": True},
        ),
        (
            "rolls",
            "next",
            "many-to-many, T_x = T_y",
            "which keys of a piano sound next, and how surprising each step was",
            {
                "bidirectional": False,
                "grid": 4,
                "transpose": 5,
                "repeats": True,
                "augment": True,
                "window": 512,
            },
        ),
    )
}

# Options that only some tasks have a use for: for which outputs, and the flag that takes it back.
ONLY: dict[str, tuple[str, ...]] = {
    "horizon": ("number",),
    "classes": ("label",),
    "ordinal": ("label",),
    "class_weights": ("label",),
    "pooling": ("label", "number"),
    "crf": ("tags",),
    **dict.fromkeys(
        ("source_unit", "target_unit", "shared", "attention", "feeding", "decoder_layers"), ("sequence",)
    ),
}

# How clips are read, where nothing else is asked for.
FRAMES = {"frame_size": 48, "frame_rate": 10.0, "colour": False, "differences": False, "longest": 600}
# The same for inputs.
ONLY_INPUTS: dict[str, tuple[str, ...]] = {
    "grid": ("notes", "rolls"),
    "transpose": ("notes", "rolls"),
    "repeats": ("rolls",),
    "neighbours": ("rolls",),
}

DOCUMENTS = {"char": "file", "word": "line", "white": "line"}  # the default for each unit
FIRST = {"line": 8.0}  # the weight of first tokens: one a line must teach what x^<1> = 0 is answered with
RATES = {"muon": 1e-2, "adamw": 4e-3, "sgd": 1.0}  # highest learning rate, where none is asked for
DECAY = 1e-2  # of weights, where none is asked for
CHARACTERS_DECAY = 0.1  # of models of characters that Muon steps: they read little text often

# What sizes follow from: a nominal CPU of two cores, so that the same request gives the same network anywhere.
FLOPS = 56e9  # a second, of training as a whole, measured on two cores with AVX2
GROWTH = 0.28  # units grow with the minutes to this power


def find(task: str) -> Preset:
    """The preset of a task's name, or of INPUT:OUTPUT. Raises UsageError naming the known ones."""
    known = {**TASKS, **{preset.kinds: preset for preset in TASKS.values()}, **COMBINATIONS}
    if task not in known:
        raise UsageError(f"unknown task '{task}'", expected=", ".join(known), hint=suggest(task, known))
    return known[task]


def resolve_data(config: Config) -> Config:
    """The configuration with the blanks of its data section filled: known before any file is read.

    Raises UsageError for an option that the task has no use for.
    """
    preset = find(config.task)
    if config.training.deterministic and config.training.minutes is not None:
        raise UsageError("a budget of minutes is measured, and no two measurements agree", hint="--epochs")
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
    if config.data.horizon and preset.kinds != "numbers:number":
        raise UsageError(f"{config.task} has no use for 'horizon'", expected="it with numbers:number")
    for name in FRAMES:
        if get(config, name) is not None and preset.input not in ("frames", "images"):
            raise UsageError(f"{config.task} has no use for '{name}'", expected="it with frames")
    if config.data.unit == SUBWORD and preset.output in ("next", "tags"):
        raise UsageError(f"{config.task} has no use for subwords", expected="--unit word, white or char")
    if preset.output == "ctc" and config.data.unit not in (None, "char", SUBWORD):
        raise UsageError(f"{config.task} writes characters or subwords", expected="--unit char or subword")
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


def _shares(config: Config, preset: Preset) -> bool:
    """Whether both ends have one vocabulary where nothing else is asked for: of pieces of words, each end may spell the
    other's."""
    units = {end or config.data.unit for end in (config.data.source_unit, config.data.target_unit)}
    plain = config.model.embedding != 0 and not config.data.affixes
    return preset.kinds == "tokens:sequence" and units == {SUBWORD} and plain


def resolve(config: Config, tokens: int, types: int) -> Config:
    """The configuration with every blank filled: `tokens` in the training part, `types` in the vocabulary.

    The size follows the budget: what a minute can train, and no more than the data can feed. Dropout follows how
    often the text is read. The figures come from the measurements written down in docs/log.md.
    """
    if config.training.minutes is None:
        config = fill(config, {"epochs": 5})
    words = config.data.unit != "char"
    model, training = config.model, config.training
    hidden = model.hidden or _hidden(training.minutes, tokens, words)
    embedding = max(16, hidden // 2) if words else min(64, types)
    embedding = embedding if model.embedding is None else model.embedding
    epochs = _epochs(config, tokens, types, hidden, embedding)
    dropout = min(0.3, 0.08 * epochs) if words else min(0.5, max(0.0, 0.14 * (epochs - 2.5)))
    dropout = round(dropout, 2) if training.dropout is None else training.dropout
    return fill(
        config,
        {
            "layers": 1,
            "hidden": hidden,
            "embedding": embedding,
            "tie": words and embedding > 0 and model.softmax == "exact",
            "batch_size": 32,
            "window": 64,
            "first": FIRST.get(config.data.documents or "file", 1.0),
            "lr": RATES[training.optimizer],
            "weight_decay": DECAY if words or training.optimizer != "muon" else CHARACTERS_DECAY,
            "label_smoothing": 0.0,
            "average": 0.0,
            "dropout": dropout,
            "input_dropout": dropout if words else 0.0,  # few characters, each of which counts
        },
    )


def resolve_examples(config: Config, sequences: int, steps: int, width: int) -> Config:
    """The configuration of labelled sequences with every blank filled: `sequences` of `steps` in all; `width` ids,
    or numbers a step."""
    preset = find(config.task)
    for name in (preset.input, preset.output):
        if name in FILLERS:
            config = FILLERS[name](config, sequences, steps)
    model, training = config.model, config.training
    tokens = preset.input == "tokens"
    words = tokens and config.data.unit != "char"
    batch_size = training.batch_size or int(min(32, max(4, sequences // 25)))
    # Enough steps to learn something from few sequences, and not for ever over many. A budget of minutes may hold more,
    # but what was read so often has nothing left to say: then training ends before them.
    heard = preset.input == "audio"
    config = fill(config, {"epochs": passes(config, 3_000 if heard else 1_500, sequences, batch_size)})
    hidden = model.hidden or (128 if tokens or heard or steps > 20_000 else 64)
    return fill(
        config,
        {
            "layers": 1,
            "hidden": hidden,
            "front_size": hidden,
            "embedding": min(width, 128 if words else 64) if tokens else 0,
            "tie": False,
            "batch_size": batch_size,
            "window": 512,
            "lr": RATES[training.optimizer] * 0.5,
            "weight_decay": DECAY,
            "label_smoothing": 0.0,
            "average": 0.0,
            "dropout": (0.4 if words else 0.25) if tokens else 0.2,
            "input_dropout": 0.4 if words else 0.0,
        },
    )


def _hidden(minutes: float | None, tokens: int, words: bool) -> int:
    """Units: by the minutes, at most the square root of the number of tokens, a multiple of 64 (or of 8 below)."""
    most = tokens**0.5
    by_time = (110 if words else 265) * (minutes or 10) ** GROWTH
    units = min(by_time, most)
    step = 64 if units >= 96 else 8
    return max(8, step * round(units / step))


def _epochs(config: Config, tokens: int, types: int, hidden: int, embedding: int) -> float:
    """How often the text will be read, on the nominal CPU where minutes are given."""
    minutes, epochs = config.training.minutes, config.training.epochs
    if minutes is None:
        return float(epochs or 1)
    layers = config.model.layers or 1
    a_token = 24 * hidden * (hidden + embedding + 2 * (layers - 1) * hidden) + 6 * types * (
        embedding or hidden
    )
    by_time = minutes * 60 * FLOPS / a_token / tokens
    return min(by_time, epochs or by_time)
