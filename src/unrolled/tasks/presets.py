"""The presets: each task as an input kind, an output kind, an architecture, a summary and defaults. A table.

`fill.py` checks and fills options before any file is read; `sizes.py` decides sizes from the data and the minutes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from unrolled.core import extensions
from unrolled.core.errors import UsageError, suggest
from unrolled.data.text.subword import SUBWORD

SHOWN_AS = {"ctc": "sequence"}  # outputs that are found in another way, and are one for people


@dataclass(frozen=True)
class Preset:
    """A task: what goes in, what comes out, which of the lecture's five architectures that is, and its defaults."""

    input: str
    output: str
    architecture: str
    summary: str
    defaults: Mapping[str, object]

    @property
    def key(self) -> str:
        """How the output kind is found."""
        return f"{self.input}:{self.output}"

    @property
    def kinds(self) -> str:
        """INPUT:OUTPUT; a sequence is one whichever way it is found."""
        return f"{self.input}:{SHOWN_AS.get(self.output, self.output)}"

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


def find(task: str) -> Preset:
    """The preset of a task's name, or of INPUT:OUTPUT. Raises UsageError naming the known ones."""
    known = {**TASKS, **{preset.kinds: preset for preset in TASKS.values()}, **COMBINATIONS}
    if task not in known:
        made = _of_other_packages(task, known.values())
        if made is not None:
            return made
        raise UsageError(f"unknown task '{task}'", expected=", ".join(known), hint=suggest(task, known))
    return known[task]


def _of_other_packages(task: str, known: Iterable[Preset]) -> Preset | None:
    """The preset of INPUT:OUTPUT if the input or the output comes from another package; None otherwise."""
    given, colon, asked = task.partition(":")
    others = extensions.found("unrolled.inputs"), extensions.found("unrolled.outputs")
    if not colon or not (given in others[0] or asked in others[1]):
        return None
    inputs = {*others[0], *(preset.input for preset in known)}
    outputs = {*others[1], *(preset.output for preset in known)}
    if given not in inputs or asked not in outputs:
        return None
    return Preset(given, asked, "of its kinds", f"{asked} for {given}", {})
