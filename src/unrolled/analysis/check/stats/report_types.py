"""The report of `check` on labelled data: its JSON values by name and type."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NotRequired, TypedDict, final

from unrolled.analysis.check.findings import NoteReport


class SharedNote(NoteReport):
    """A finding, and the share of the sequences of a part that have it."""

    share: float


class Share(TypedDict):
    """How often a class or a tag is there."""

    count: int
    share: float


class ColumnReport(TypedDict):
    """A column of numbers. None: nothing is known, or the sum is too large. far, long_runs: how many."""

    column: str
    min: float | None
    mean: float | None
    max: float | None
    missing: int
    deviation: float | None
    constant: bool
    far: int
    long_runs: int
    clock: bool


class XReport(TypedDict, total=False):
    """The report on x of one part. Each kind of input fills some of these fields."""

    unknown_share: dict[str, float]
    pictures: int
    columns: list[ColumnReport]
    seconds: float
    rates: dict[str, int]
    channels: dict[str, int]
    notes: int
    moved: int


class TimesReport(TypedDict, total=False):
    """When the steps of a part are, if they have times."""

    times: str


class WordsReport(TypedDict):
    """The tokens of the training part. seen_once: None if not all are counted."""

    distinct: int
    seen_once: int | None
    unknown_share: dict[str, float]
    most_frequent: list[str]


@final
class ClassesReport(TypedDict):
    """y of classes. uncounted: sequences of classes beyond those that are counted."""

    classes: dict[str, Share]
    ordinal: bool
    uncounted: int


@final
class PairsReport(TypedDict):
    """y of texts that are to be written. characters: quantiles of their lengths."""

    characters: dict[str, int]
    usual_ratio: float | None
    untranslated: int


class NumberReport(TypedDict):
    """One of the numbers of y."""

    min: float
    mean: float
    max: float
    deviation: float | None


@final
class NumbersReport(TypedDict):
    """y of numbers."""

    numbers: list[NumberReport]


@final
class TranscriptsReport(TypedDict):
    """y of what is said."""

    texts: int
    alphabet: dict[str, int]


@final
class WindowsReport(TypedDict):
    """y of the steps to come."""

    windows: int
    steps: int


@final
class TagsReport(TypedDict):
    """y of tags. spans: how many of each kind."""

    scheme: str
    tags: dict[str, Share]
    spans: dict[str, int]


@final
class PlainReport(TypedDict):
    """y of an output of another package, in its own words; nothing if it was not learnt."""

    about: NotRequired[str]


YReport = (
    ClassesReport | PairsReport | NumbersReport | TranscriptsReport | WindowsReport | TagsReport | PlainReport
)


class BaselineReport(TypedDict):
    """What an answer that does not look at x reaches: one of three metrics."""

    name: str
    answer: str | list[float] | None
    accuracy: NotRequired[float]
    exact: NotRequired[float]
    rmse: NotRequired[float]


class TableRules(TypedDict, total=False):
    """How a table of text is written; no fields for another file."""

    separator: str
    quotes: str


class FileReport(TableRules):
    """How a file was read."""

    file: str
    sequences: int
    bad_rows: int
    encoding: str | None


class PartReport(XReport, TimesReport):
    """A part: `train`, `valid` or `test`."""

    files: list[FileReport]
    sequences: int
    bad_rows: NoteReport
    steps: int
    steps_a_sequence: dict[str, int]
    y: YReport


@final
class CountsReport(TypedDict):
    """The plan of a training if the data are too few or too broken to decide the sizes of a network."""

    sequences: int
    held_out: int


@final
class TrainingReport(TypedDict):
    """What training would make of the data: the parts and the sizes."""

    sequences: int
    held_out: int
    cell: str
    layers: int | None
    hidden: int | None
    embedding: int | None
    bidirectional: bool | None
    batch_size: int | None
    epochs: int | None
    minutes: float | None


class CleanedReport(TypedDict):
    """What became of a file: its clean copy, or the reason why there is none."""

    file: str
    copy: str | None
    reason: str | None
    rows: int
    bad_rows: int
    copies: int
    labels: int
    tags: int
    corrected: int
    encoding: str | None


class FixReport(TypedDict):
    """The clean copies, and what training on them would stop with."""

    folder: str
    files: list[CleanedReport]
    fatal: str | None


class Report(TypedDict):
    """The whole report. fatal: the first thing that training would stop with."""

    task: str
    input: str
    output: str
    steps_are: str
    unit: str | None
    subwords: bool
    told: list[str]
    vocab_size: int | None
    fatal: str | None
    all_fatal: list[str]
    skip_bad: int
    parts: dict[str, PartReport]
    words: WordsReport | None
    duplicates: SharedNote
    conflicts: SharedNote
    remembered: int
    leaks: dict[str, SharedNote]
    odd: dict[str, NoteReport]
    baseline: BaselineReport | None
    training: CountsReport | TrainingReport
    fix: NotRequired[FixReport]


@final
class UnreadTextReport(TypedDict):
    """The report on a text in which nothing can be read."""

    task: str
    unit: str
    documents_are: str | None
    passed_over: Sequence[str]
    fatal: str | None


@final
class TextReport(TypedDict):
    """The report on a text for language models."""

    task: str
    unit: str
    documents_are: str | None
    passed_over: Sequence[str]
    fatal: str | None
    documents: int
    lines: int
    blank_lines: int
    characters: int
    tokens: int
    distinct_tokens: int
    seen_once: int | None
    vocab_size: int
    unknown_share: dict[str, float]
    held_out_share: float
    tokens_a_document: dict[str, int]
    most_frequent: list[str]
    odd: dict[str, NoteReport]
