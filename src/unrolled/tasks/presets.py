"""The tasks, as a table: input kind, output kind, architecture, help and defaults of each.

`fill.py` checks options and fills them in before any file is read. `sizes.py` chooses sizes from the data and the time
limit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from unrolled.core import extensions
from unrolled.core.errors import UsageError, suggest
from unrolled.data.text.subword import SUBWORD

SHOWN_AS = {"ctc": "sequence"}  # users name both outputs "sequence"


@dataclass(frozen=True)
class Preset:
    """A task: its input kind, its output kind, which of the lecture's five architectures it has, and its defaults.

    summary: what it does. data: what its files look like. example: the arguments of a training, for help texts.
    """

    input: str
    output: str
    architecture: str
    summary: str
    data: str
    example: str
    defaults: Mapping[str, object]

    @property
    def key(self) -> str:
        """The key of the output kind."""
        return f"{self.input}:{self.output}"

    @property
    def kinds(self) -> str:
        """INPUT:OUTPUT as users write it."""
        return f"{self.input}:{SHOWN_AS.get(self.output, self.output)}"

    @property
    def stream(self) -> bool:
        """Whether the data is one stream of tokens in documents. Otherwise it is labelled sequences."""
        return self.kinds == "tokens:next"


TASKS: dict[str, Preset] = {
    "language": Preset(
        input="tokens",
        output="next",
        architecture="language model; one-to-many when it samples",
        summary="learn to write and to score text, by character or by word",
        data="text files, or folders of text files",
        example="book.txt --minutes 10",
        defaults={"unit": "char"},
    ),
    "classify": Preset(
        input="tokens",
        output="label",
        architecture="many-to-one",
        summary="predict a class or a rating for a text",
        data="a table with the columns text and label, or a folder with one subfolder of texts per class",
        example="reviews.csv",
        defaults={"bidirectional": True, "unit": "word", "affixes": False},
    ),
    "tag": Preset(
        input="tokens",
        output="tags",
        architecture="many-to-many, T_x = T_y",
        summary="predict a tag for every word: names, parts of speech",
        data="CoNLL files: one word and its tag per line, a blank line after each sentence",
        example="sentences.conll",
        defaults={"bidirectional": True, "unit": "white", "affixes": True, "crf": True},
    ),
    "transcribe": Preset(
        input="audio",
        output="ctc",
        architecture="many-to-many, T_x != T_y",
        summary="write down what is said in an audio file",
        data="a table with the columns file and text, or a folder with a text file next to each audio file",
        example="recordings.csv",
        defaults={"bidirectional": True, "front": "time", "augment": True},
    ),
    "recognize": Preset(
        input="frames",
        output="label",
        architecture="many-to-one",
        summary="predict a class for a video clip",
        data="a folder with one subfolder of clips per class, or a table with the columns file and label",
        example="clips/",
        defaults={"bidirectional": False, "front": "frames", "augment": True, "pooling": "last"},
    ),
    "translate": Preset(
        input="tokens",
        output="sequence",
        architecture="many-to-many, T_x != T_y",
        summary="convert a text to another text: translation, standard dates, pronunciation",
        data="a table with the columns source and target, or two files with one text per line",
        example="pairs.tsv",
        defaults={"bidirectional": True, "unit": SUBWORD, "affixes": False, "attention": "multiplicative"},
    ),
    "compose": Preset(
        input="notes",
        output="next",
        architecture="one-to-many when it samples, without input or from a genre",
        summary="learn tunes from MIDI files and write new ones",
        data="MIDI files, or folders of them (one subfolder per genre)",
        example="tunes/",
        defaults={"bidirectional": False, "grid": 24, "transpose": 5, "augment": True, "window": 1024},
    ),
}
# Further combinations of an input and an output, by INPUT:OUTPUT.
COMBINATIONS: dict[str, Preset] = {
    made.kinds: made
    for made in (
        Preset(
            input="numbers",
            output="sequence",
            architecture="many-to-many, T_x != T_y",
            summary="write a text for a series of numbers",
            data="a table of numbers, one row per step, with the column target; the column by= names the series",
            example="series.jsonl",
            defaults={
                "bidirectional": True,
                "unit": "word",
                "attention": "multiplicative",
                "dropout": 0.1,
                "input_dropout": 0.0,
            },
        ),
        Preset(
            input="tokens",
            output="number",
            architecture="many-to-one",
            summary="predict numbers for a text",
            data="a table with the column text and columns of numbers",
            example="prices.csv --columns x=text,y=price",
            defaults={"bidirectional": True, "unit": "word"},
        ),
        Preset(
            input="numbers",
            output="label",
            architecture="many-to-one",
            summary="predict a class for a series of numbers",
            data="a .ts or .npz file, or a table of numbers with the column label",
            example="gestures.ts",
            defaults={"bidirectional": True},
        ),
        Preset(
            input="numbers",
            output="number",
            architecture="many-to-one",
            summary="predict numbers for a series, or forecast its next values",
            data="a table of numbers, one row per step",
            example="load.csv --horizon 24",
            defaults={},
        ),
        Preset(
            input="numbers",
            output="next",
            architecture="many-to-many, T_x = T_y",
            summary="predict each next step of a series, to find anomalies",
            data="a table of numbers, one row per step",
            example="sensor.csv",
            defaults={"bidirectional": False},
        ),
        Preset(
            input="numbers",
            output="tags",
            architecture="many-to-many, T_x = T_y",
            summary="predict a tag for every step of a series of numbers",
            data="a table of numbers, one row per step, with the column tag; the column by= names the series",
            example="machine.csv --columns y=state,by=day",
            defaults={"bidirectional": True},
        ),
        Preset(
            input="images",
            output="ctc",
            architecture="many-to-many, T_x != T_y",
            summary="recognise the text in the image of a text line (OCR)",
            data="a table with the columns file and text",
            example="lines.csv",
            defaults={
                "bidirectional": True,
                "front": "time",
                "augment": True,
                "frame_size": 32,
                "longest": 2000,
            },
        ),
        Preset(
            input="frames",
            output="tags",
            architecture="many-to-many, T_x = T_y",
            summary="predict a tag for every frame of a video clip",
            data="a table with the columns file and tags",
            example="clips.csv",
            defaults={"bidirectional": True, "front": "frames", "augment": True},
        ),
        Preset(
            input="audio",
            output="label",
            architecture="many-to-one",
            summary="predict a class for an audio file: keywords, sound events",
            data="a folder with one subfolder of audio files per class, or a table with the columns file and label",
            example="keywords/",
            defaults={"bidirectional": True, "front": "time", "augment": True},
        ),
        Preset(
            input="audio",
            output="tags",
            architecture="many-to-many, T_x = T_y",
            summary="predict a tag, such as speech, for every 10 ms of an audio file",
            data="a table with the columns file and tags: 0.10-0.52 speech; 1-1.3 cough",
            example="recordings.csv",
            defaults={"bidirectional": True},
        ),
        Preset(
            input="rolls",
            output="next",
            architecture="many-to-many, T_x = T_y",
            summary="predict which piano keys sound next",
            data="MIDI files, or folders of them",
            example="tunes/",
            defaults={
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
    """Return the preset of a task, by its name or as INPUT:OUTPUT. Raises UsageError, with the known tasks."""
    known = {**TASKS, **{preset.kinds: preset for preset in TASKS.values()}, **COMBINATIONS}
    if task not in known:
        made = _of_other_packages(task, known.values())
        if made is not None:
            return made
        raise UsageError(f"unknown task '{task}'", expected=", ".join(known), hint=suggest(task, known))
    return known[task]


def _of_other_packages(task: str, known: Iterable[Preset]) -> Preset | None:
    """Return the preset of INPUT:OUTPUT if another package defines the input or the output, else None."""
    given, colon, asked = task.partition(":")
    others = extensions.found("unrolled.inputs"), extensions.found("unrolled.outputs")
    if not colon or not (given in others[0] or asked in others[1]):
        return None
    inputs = {*others[0], *(preset.input for preset in known)}
    outputs = {*others[1], *(preset.output for preset in known)}
    if given not in inputs or asked not in outputs:
        return None
    return Preset(
        given,
        asked,
        "as its input and output kinds define",
        f"predict {asked} from {given}",
        f"{given} and {asked}",
        "FILE",
        {},
    )
