"""Output kinds: what y is. Each file implements one kind: learn, encode, decode, measure, describe."""

from __future__ import annotations

from dataclasses import replace

from unrolled.core.extensions import Registry
from unrolled.data.text.subword import SUBWORD
from unrolled.tasks.output_kind import Output, OutputKind
from unrolled.tasks.outputs import (
    ctc,
    label,
    next_note,
    next_numbers,
    next_roll,
    number,
    sequence,
    tags,
)
from unrolled.tasks.presets import find

__all__ = ["OUTPUTS", "Output", "OutputKind", "find_output", "output_of"]

NEXT = OutputKind(
    "next",
    next_numbers.learn_next_numbers,
    next_numbers.next_numbers,
    units=("word", "white", "char"),
    why_units="it scores whole words or characters",
)
# Key: the output kind, or INPUT:OUTPUT if the input kind has its own version.
_OWN: dict[str, OutputKind] = {
    "ctc": OutputKind(
        "text",
        ctc.learn_transcript,
        ctc.transcript,
        include_validation=True,
        unseen_in=ctc.unseen_in,
        can_measure=ctc.can_measure,
        measure=ctc.measure,
        options=frozenset(("unit", "lower", "vocab_size")),
        units=("char", SUBWORD),
        why_units="the output is characters or subwords",
    ),
    "label": OutputKind(
        "label",
        label.learn_label,
        label.label,
        include_validation=True,
        details=label.details,
        measure=label.measure,
        options=frozenset(("classes", "ordinal", "class_weights", "pooling", "wide")),
    ),
    "next": replace(NEXT, details=next_numbers.details),
    "tokens:next": replace(NEXT, options=frozenset(("tie", "first", "documents", "window", "cold"))),
    "notes:next": replace(
        NEXT,
        learn=next_note.learn_next_notes,
        restore=next_note.next_notes,
        summarize=next_note.summarize,
        options=frozenset(("tie",)),
    ),
    "number": OutputKind(
        "number",
        number.learn_number,
        number.number,
        details=number.details,
        options=frozenset(("horizon", "pooling", "wide")),
    ),
    "sequence": OutputKind(
        "text",
        sequence.learn_sequence,
        sequence.sequences,
        unseen_in=sequence.unseen_in,
        can_measure=sequence.can_measure,
        decoder=True,
        sizes=sequence.pair_sizes,
        options=frozenset(
            (
                *("unit", "source_unit", "target_unit", "shared", "lower", "vocab_size"),
                *("attention", "feeding", "decoder_layers", "tie"),
            )
        ),
    ),
    "rolls:next": replace(NEXT, learn=next_roll.learn_next_rolls, restore=next_roll.next_rolls),
    "tags": OutputKind(
        "tags",
        tags.learn_tags,
        tags.tags,
        include_validation=True,
        unseen_in=tags.Tags.unseen_in,
        meeting=tags.Tags.meeting,
        can_measure=tags.can_measure,
        details=tags.details,
        measure=tags.measure,
        options=frozenset(("crf", "wide")),
        units=("white",),
        why_units="each token of the data has its own tag",
    ),
}

OUTPUTS: Registry[OutputKind] = Registry("unrolled.outputs", OutputKind, _OWN)


def find_output(key: str) -> OutputKind:
    """Return the output kind for the key of a preset: the version for its input kind, or the common one."""
    return OUTPUTS[key] if OUTPUTS.has(key) else OUTPUTS[key.partition(":")[2]]


def output_of(task: str) -> OutputKind:
    """Return the output kind of a task. Raises UsageError for an unknown task."""
    return find_output(find(task).key)
