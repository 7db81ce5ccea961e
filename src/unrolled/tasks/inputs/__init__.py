"""Input kinds: what x^<t> is. Each file implements one kind: learn from the data, encode, describe."""

from __future__ import annotations

from unrolled.core.extensions import Registry
from unrolled.data.features.audio_augment import sound_augmenter
from unrolled.data.features.video_augment import clip_augmenter, line_augmenter
from unrolled.tasks.input_kind import Input, InputKind
from unrolled.tasks.inputs import audio, frames, images, notes, numbers, rolls, tokens
from unrolled.tasks.presets import find

__all__ = ["INPUTS", "Input", "InputKind", "input_of"]

FILES = frozenset(("front", "front_size", "cache"))  # options of inputs whose x is a file that is decoded
PICTURES = FILES | {"frame_size", "frame_rate", "colour", "differences", "longest"}
_OWN: dict[str, InputKind] = {
    "rolls": InputKind(
        "tune",
        rolls.learn_rolls,
        rolls.roll_input,
        rolls.roll_augmenter,
        windowed=True,
        sizes=rolls.roll_sizes,
        options=frozenset(("grid", "transpose", "repeats", "neighbours", "window")),
    ),
    "tokens": InputKind(
        "text",
        tokens.learn_tokens,
        tokens.token_input,
        embeds=True,
        wide=tokens.text_ngrams,
        wide_steps=tokens.word_features,
        options=frozenset(
            ("unit", "lower", "vocab_size", "affixes", "embedding", "vectors", "vectors_extra")
        ),
        pretrained=lambda given: given.vectors,
    ),
    "notes": InputKind(
        "tune",
        notes.learn_notes,
        notes.note_input,
        notes.note_augmenter,
        windowed=True,
        composes=True,
        sizes=notes.tune_sizes,
        options=frozenset(("grid", "transpose", "window", "embedding")),
    ),
    "numbers": InputKind(
        "numbers",
        numbers.learn_numbers,
        numbers.number_input,
        wide=numbers.series_summary,
        wide_window=numbers.window_values,
        options=frozenset(("resample", "front", "front_size", "history")),
        fill=numbers.fill_numbers,
    ),
    "audio": InputKind(
        "audio",
        audio.learn_audio,
        audio.audio_input,
        sound_augmenter,
        audio.AudioInput.load_file,
        audio.AudioInput.timeline,
        steps_are="frames of 10 ms",
        options=FILES | {"bands", "rate", "normalise"},
        fill=audio.fill_audio,
        wide=audio.sound_summary,
    ),
    "images": InputKind(
        "images",
        images.learn_images,
        images.image_input,
        line_augmenter,
        images.ImageInput.load_file,
        options=PICTURES,
    ),
    "frames": InputKind(
        "frames",
        frames.learn_frames,
        frames.frame_input,
        clip_augmenter,
        frames.FrameInput.load_file,
        frames.FrameInput.timeline,
        options=PICTURES | {"flip"},
        fill=frames.fill_frames,
    ),
}

INPUTS: Registry[InputKind] = Registry("unrolled.inputs", InputKind, _OWN)


def input_of(task: str) -> InputKind:
    """Return the input kind of a task. Raises UsageError for an unknown task."""
    return INPUTS[find(task).input]
