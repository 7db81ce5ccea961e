"""Fit the encoders of x and y on the training set for `check`, before it examines every sequence."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from unrolled.analysis.check.stats.input_stats import Words, learn_words
from unrolled.core.config import Config
from unrolled.core.errors import DataError
from unrolled.core.types import Example
from unrolled.core.values.example_values import elements
from unrolled.datasets.example_source import is_ahead
from unrolled.tasks.inputs import Input, input_of
from unrolled.tasks.inputs.audio import AudioInput, learn_audio
from unrolled.tasks.inputs.frames import FrameInput, learn_frames
from unrolled.tasks.inputs.images import ImageInput, learn_images
from unrolled.tasks.inputs.notes import NoteInput, learn_notes
from unrolled.tasks.inputs.numbers import NumberInput, learn_numbers
from unrolled.tasks.inputs.rolls import RollInput, learn_rolls
from unrolled.tasks.outputs import Output, output_of
from unrolled.tasks.outputs.ctc import Transcript, learn_transcript
from unrolled.tasks.outputs.label import Label, learn_label
from unrolled.tasks.outputs.number import Number, learn_number
from unrolled.tasks.outputs.tags import Tags, learn_tags
from unrolled.tasks.presets import find

Read = Callable[[], Iterator[Example]]


@dataclass(frozen=True)
class LearnedEncoders:
    """The encoders that were fitted on the training set, one field for each kind.

    None: the task does not use this kind, or fitting failed.
    """

    tokens: Words | None = None
    numbers: NumberInput | None = None
    frames: FrameInput | None = None
    images: ImageInput | None = None
    label: Label | None = None
    number: Number | None = None
    tags: Tags | None = None
    audio: AudioInput | None = None
    ctc: Transcript | None = None
    notes: NoteInput | None = None
    rolls: RollInput | None = None
    input: Input | None = None  # an input kind of another package
    output: Output | None = None  # an output kind of another package


def learn(config: Config, read: Read) -> tuple[LearnedEncoders, list[str]]:
    """Fit the encoders of x and y. Return them, and the errors with which training would stop."""
    preset = find(config.task)

    def tagged() -> Iterator[Example]:
        # Interned: each tag is in memory only once. Stripped: white space around one tag would hide the
        # scheme of all.
        for example in read():
            yield replace(example, y=tuple(sys.intern(str(tag).strip()) for tag in elements(example.y)))

    learners: dict[str, Callable[[], object]] = {
        "tokens": lambda: learn_words(read(), config.data),
        "numbers": lambda: learn_numbers(read(), config.data)[0],
        "frames": lambda: learn_frames(read(), config.data)[0],
        "images": lambda: learn_images(read(), config.data)[0],
        "label": lambda: learn_label(read(), config.data, config.model),
        "number": lambda: learn_number(read(), config.data, config.model),
        "tags": lambda: learn_tags(tagged(), config.data, config.model),
        "audio": lambda: learn_audio(read(), config.data)[0],
        "ctc": lambda: learn_transcript(read(), config.data, config.model),
        "notes": lambda: learn_notes(read(), config.data)[0],
        "rolls": lambda: learn_rolls(read(), config.data)[0],
    }
    if preset.input not in learners:
        learners["input"] = lambda: input_of(config.task).learn(read(), config.data)[0]
    kind = output_of(config.task)
    if preset.output not in learners and not (kind.decoder or kind.ahead):
        learners["output"] = lambda: output_of(config.task).learn(read(), config.data, config.model)
    names = [preset.input if preset.input in learners else "input"]
    asked = preset.output if preset.output in learners else "output"
    names += [asked] if not is_ahead(config) and asked in learners else []
    found: dict[str, object] = {}
    errors: list[str] = []
    for name in names:
        try:
            found[name] = learners[name]()
        except DataError as error:
            errors.append(str(error))
    return replace(LearnedEncoders(), **found), errors
