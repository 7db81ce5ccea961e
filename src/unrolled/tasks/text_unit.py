"""The unit of texts where none is asked for: words, or characters where the texts have no spaces between words."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import islice

from unrolled.core.config import Config
from unrolled.core.types import Example
from unrolled.data.text.spaceless import without_spaces
from unrolled.tasks.fill import FOLLOWS_DATA

SAMPLE = 2_000  # texts that are looked at
CHARACTERS = "char"


def decided(asked: Config, filled: Config, examples: Iterable[Example]) -> tuple[Config, tuple[str, ...]]:
    """The configuration to train with, and what to say of its unit: characters where words are the default and most
    letters of the first texts are of a script without spaces. Sentences that are split into tokens are left alone.

    asked: with a blank unit where the data decides; filled: without blanks.
    """
    if filled.data.unit != FOLLOWS_DATA or not spaceless(examples):
        return filled, ()
    if asked.data.unit is not None:
        return filled, ("the texts have no spaces between words: --unit char suits them",)
    told = "the texts have no spaces between words: they are read by character (--unit word would split at spaces)"
    return replace(filled, data=replace(filled.data, unit=CHARACTERS)), (told,)


def spaceless(examples: Iterable[Example]) -> bool:
    """Whether the first texts have no spaces between words."""
    return without_spaces(one.x for one in islice(examples, SAMPLE) if isinstance(one.x, str))
