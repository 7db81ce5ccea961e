"""Checks of recordings before training: each must have a header that can be read and be long enough for its text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from unrolled.core.config import Config
from unrolled.core.errors import DataError
from unrolled.core.types import Example, Place
from unrolled.data.features.log_mel import HOP, Mel
from unrolled.data.fields import NO_TAG, as_intervals
from unrolled.data.media.audio import header
from unrolled.data.read_request import ReadRequest, bad_row_handler
from unrolled.data.text.subword import SUBWORD
from unrolled.models.frontends import FRONTS
from unrolled.tasks.outputs.ctc import refuse_infeasible, tidy


def drop_bad_audio(examples: Iterable[Example], wanted: ReadRequest, config: Config) -> Iterator[Example]:
    """Those whose sound has a header that can be, and is long enough for its text; others are bad rows. Raises
    DataError where none is left."""
    bad, found = bad_row_handler(wanted), False
    for example in examples:
        try:
            example = _checked(example, wanted, config)
        except DataError as error:
            bad(error_of_row(error, example.place))
            continue
        found = True
        yield example
    if not found:
        raise DataError("no examples: not one sound that can be used", expected="sounds")


def _checked(example: Example, wanted: ReadRequest, config: Config) -> Example:
    """The example of a sound; its stretches of time become a tag a frame. Raises DataError for what cannot be."""
    told = header(Path(str(example.x)))
    frames = Mel(told.rate, 1).frames(told.samples)
    if wanted.asks.written and config.data.unit != SUBWORD:  # of pieces not cut yet it is told later
        front = FRONTS.get(config.model.front or "none")
        stride = front.stride if front else 1
        text = tidy(str(example.y or ""), lower=config.data.lower)
        refuse_infeasible([ord(one) for one in text], -(-frames // stride), HOP * stride, example.place)
    if wanted.asks.each:
        tags = [NO_TAG] * frames
        for begin, end, name in as_intervals(str(example.y or ""), example.place):
            first, last = round(begin / HOP), min(frames, round(end / HOP))
            tags[first:last] = [name] * max(0, last - first)
        return replace(example, y=tuple(tags))
    return example


def error_of_row(error: DataError, place: Place) -> DataError:
    """What is wrong with a sound, as a fault of the row that names it."""
    what = error.what if error.file in (None, place.file) else f"{error.file}: {error.what}"
    return DataError(what, file=place.file, line=place.line, expected=error.expected, hint=error.hint)
