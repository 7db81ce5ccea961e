"""Check recordings before training.

Each must have a readable header. For transcription, each must also be long enough for its text.
"""

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
    """Yield the examples whose recording has a readable header and is long enough for its text.

    The other examples are bad rows. Raises DataError if no example is left, or if too many rows are bad.
    """
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
        raise DataError("no examples: no recording can be used", expected="recordings")


def _checked(example: Example, wanted: ReadRequest, config: Config) -> Example:
    """Return the example of a recording; y given as time intervals becomes one tag per frame.

    Raises DataError if the header is not readable, the text is too long or an interval is not valid.
    """
    told = header(Path(str(example.x)))
    frames = Mel(told.rate, 1).frames(told.samples)
    # Subwords are not learnt yet, so they are checked later.
    if wanted.asks.written and config.data.unit != SUBWORD:
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
    """Return the error of a file as an error of the table row that names the file."""
    what = error.what if error.file in (None, place.file) else f"{error.file}: {error.what}"
    return DataError(what, file=place.file, line=place.line, expected=error.expected, hint=error.hint)
