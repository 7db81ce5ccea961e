"""The table of presets: the input kind, output kind, architecture, summary and defaults of each task.

`fill.py` checks and fills options before any file is read. `sizes.py` computes sizes from the data and the
minutes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from unrolled.core import extensions
from unrolled.core.errors import UsageError, suggest
from unrolled.data.text.subword import SUBWORD

SHOWN_AS = {"ctc": "sequence"}  # output kind -> name for users; CTC only computes a sequence in another way


@dataclass(frozen=True)
class Preset:
    """A task: input kind, output kind, architecture (one of the lecture's five), and defaults."""

    input: str
    output: str
    architecture: str
    summary: str
    defaults: Mapping[str, object]

    @property
    def key(self) -> str:
        """The key of the output kind in `outputs.find_output`."""
        return f"{self.input}:{self.output}"

    @property
    def kinds(self) -> str:
        """INPUT:OUTPUT as users write it; CTC is also called a sequence."""
        return f"{self.input}:{SHOWN_AS.get(self.output, self.output)}"

    @property
    def stream(self) -> bool:
        """Whether the data is one stream of tokens in documents, instead of sequences with targets."""
        return self.kinds == "tokens:next"


TASKS: dict[str, Preset] = {
    "language": Preset(
        input="tokens",
        output="next",
        architecture="language model; one-to-many when sampled",
        summary="learn text by words or characters; sample new text, score text",
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
        summary="speech recognition: the text of a recording",
        defaults={"bidirectional": True, "front": "time", "augment": True},
    ),
    "recognize": Preset(
        input="frames",
        output="label",
        architecture="many-to-one",
        summary="a class for a clip (a video or a folder of images), such as an action",
        defaults={"bidirectional": False, "front": "frames", "augment": True, "pooling": "last"},
    ),
    "translate": Preset(
        input="tokens",
        output="sequence",
        architecture="many-to-many, T_x != T_y",
        summary="a text for a text: translation, date formats, pronunciation",
        defaults={"bidirectional": True, "unit": SUBWORD, "affixes": False, "attention": "multiplicative"},
    ),
    "compose": Preset(
        input="notes",
        output="next",
        architecture="one-to-many when sampled, with or without a genre",
        summary="learn tunes from MIDI files; write new ones",
        defaults={"bidirectional": False, "grid": 24, "transpose": 5, "augment": True, "window": 1024},
    ),
}
# Other useful combinations. They have no name; their key is INPUT:OUTPUT.
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
            "the next step of a series, and how surprising each step was (anomaly detection)",
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
            "text recognition: the text in an image of one line, read by columns",
            {"bidirectional": True, "front": "time", "augment": True, "frame_size": 32, "longest": 2000},
        ),
        (
            "frames",
            "tags",
            "many-to-many, T_x = T_y",
            "a tag for every frame of a clip",
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
            "which piano keys sound next, and how surprising each step was",
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
    """Return the preset of a task name or of INPUT:OUTPUT.

    Raises UsageError, with a list of all tasks, for an unknown task.
    """
    known = {**TASKS, **{preset.kinds: preset for preset in TASKS.values()}, **COMBINATIONS}
    if task not in known:
        made = _of_other_packages(task, known.values())
        if made is not None:
            return made
        raise UsageError(f"unknown task '{task}'", expected=", ".join(known), hint=suggest(task, known))
    return known[task]


def _of_other_packages(task: str, known: Iterable[Preset]) -> Preset | None:
    """Return the preset of INPUT:OUTPUT if the input or the output comes from another package, else None."""
    given, colon, asked = task.partition(":")
    others = extensions.found("unrolled.inputs"), extensions.found("unrolled.outputs")
    if not colon or not (given in others[0] or asked in others[1]):
        return None
    inputs = {*others[0], *(preset.input for preset in known)}
    outputs = {*others[1], *(preset.output for preset in known)}
    if given not in inputs or asked not in outputs:
        return None
    return Preset(given, asked, "defined by its kinds", f"{asked} for {given}", {})
