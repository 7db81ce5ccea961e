"""Records of the details of an evaluation: tables and figures, without their look on a terminal or a page."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from unrolled.core.config import Config
from unrolled.core.types import Array, Example

Cell = str | int | float | None  # a cell of a table; None: there is no value

WORST = 50  # maximum number of worst errors that are kept
SHOWN = 10  # maximum number of rows of a table that a terminal shows


@dataclass(frozen=True)
class Evaluated:
    """The results of a model on a data set, from which an output kind computes the details.

    y, answers, weights: as in `Output.figures`, one y and one answer per sequence.
    config: the configuration of the model.
    examples: returns the examples with these numbers, before their files are opened.
    """

    y: Sequence[Any]
    answers: Sequence[Any]
    weights: Mapping[str, Array]
    config: Config
    examples: Callable[[Collection[int]], Mapping[int, Example]]


@dataclass(frozen=True)
class Table:
    """A table. Numbers are aligned to the right.

    shown: number of rows on a terminal and, without a click, on a page; None: all rows; 0: all rows, only on a
        page.
    long: the columns with long texts.
    note: a sentence about the table.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    shown: int | None = SHOWN
    long: tuple[str, ...] = ()
    note: str = ""


@dataclass(frozen=True)
class Matrix:
    """A confusion matrix: how often row i (true) was predicted as column j.

    rows, columns: the names.
    totals: number of items of each row. It can be larger than the sum of the row, if columns are left out.
    on_terminal: whether a terminal shows it.
    folded: whether a page shows it only on demand.
    """

    title: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]
    totals: tuple[int, ...]
    note: str = ""
    on_terminal: bool = False
    folded: bool = False


@dataclass(frozen=True)
class Bars:
    """Horizontal bars from 0 to 1, such as the F1 of each class.

    bars: name, value, and a text to the right of each bar.
    shown: number of bars that a page shows without a click.
    """

    title: str
    bars: tuple[tuple[str, float, str], ...]
    shown: int = 20
    note: str = ""


@dataclass(frozen=True)
class Calibration:
    """A reliability diagram.

    bins: the low and the high end of a bin of probabilities, the number of items in it, their mean probability
        and the fraction of them that is correct. Bins without items are left out.
    """

    title: str
    bins: tuple[tuple[float, float, int, float, float], ...]
    note: str = ""


@dataclass(frozen=True)
class Histogram:
    """Numbers of items in bins of equal width, in one or more groups that are stacked.

    edges: the n + 1 ends of the bins.  groups: name -> n counts.  x: the name of the axis.
    """

    title: str
    x: str
    edges: tuple[float, ...]
    groups: Mapping[str, tuple[int, ...]]
    note: str = ""


@dataclass(frozen=True)
class Scatter:
    """Points (x, y). `diagonal`: draw the line y = x; `level`: draw the line y = 0."""

    title: str
    x: str
    y: str
    points: tuple[tuple[float, float], ...]
    diagonal: bool = False
    level: bool = False
    note: str = ""


@dataclass(frozen=True)
class Lines:
    """One or more lines over the same x. groups: name -> the y of each x."""

    title: str
    x: str
    y: str
    at: tuple[float, ...]
    groups: Mapping[str, tuple[float, ...]]
    note: str = ""


Part = Table | Matrix | Bars | Calibration | Histogram | Scatter | Lines


@dataclass(frozen=True)
class Details:
    """The details of an evaluation.

    parts: tables and figures in the order in which they are shown.
    json: the same values as plain JSON, for `--json`.
    intervals: the 95% confidence interval of some metrics.
    """

    parts: tuple[Part, ...] = ()
    json: Mapping[str, object] = field(default_factory=dict[str, object])
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict[str, tuple[float, float]])


def combined(
    *pieces: tuple[Sequence[Part], Mapping[str, object]],
    intervals: Mapping[str, tuple[float, float] | None],
) -> Details:
    """Return the details that consist of these pieces, each with its parts and its JSON.

    intervals: the confidence interval of each metric; None: it is not known.
    """
    json: dict[str, object] = {}
    for _, own in pieces:
        json |= own
    known = {name: ends for name, ends in intervals.items() if ends is not None}
    return Details(tuple(part for parts, _ in pieces for part in parts), json, known)
