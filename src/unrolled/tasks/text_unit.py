"""The default unit of texts: words, or characters if the texts have no spaces between words."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import islice

from unrolled.core.config import Config
from unrolled.core.types import Example
from unrolled.data.text.spaceless import without_spaces
from unrolled.tasks.fill import FOLLOWS_DATA

SAMPLE = 2_000  # number of texts that are checked
CHARACTERS = "char"


def decided(asked: Config, filled: Config, examples: Iterable[Example]) -> tuple[Config, tuple[str, ...]]:
    """Return the configuration with its final unit, and messages about the unit.

    The unit becomes characters if words are the default and most letters of the first texts belong to a
    script without spaces. Sentences that are already split into tokens are not checked.
    asked: the configuration with a blank unit if the data decides.  filled: the configuration without blanks.
    """
    if filled.data.unit != FOLLOWS_DATA or not spaceless(examples):
        return filled, ()
    if asked.data.unit is not None:
        return filled, ("the texts have no spaces between words; --unit char is better",)
    told = (
        "the texts have no spaces between words: the unit is characters (--unit word would split at spaces)"
    )
    return replace(filled, data=replace(filled.data, unit=CHARACTERS)), (told,)


def spaceless(examples: Iterable[Example]) -> bool:
    """Return whether the first texts have no spaces between words."""
    return without_spaces(one.x for one in islice(examples, SAMPLE) if isinstance(one.x, str))
