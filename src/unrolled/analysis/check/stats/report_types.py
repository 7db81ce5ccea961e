"""Types of the JSON values in the reports of `check`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NotRequired, TypedDict, final

from unrolled.analysis.check.findings import NoteReport


class SharedNote(NoteReport):
    """A finding. share: the fraction of the sequences of the part that have it."""

    share: float


class Share(TypedDict):
    """How often a class or a tag occurs: its count, and its fraction of all."""

    count: int
    share: float


class ColumnReport(TypedDict):
    """Statistics of a column of numbers.

    min, mean, max: None if all numbers are missing; the mean also if the sum overflows.
    deviation: standard deviation in the training set; None if nothing was learnt.
    constant: the number never changes.  far: numbers far from the mean.  long_runs: long runs of one value.
    clock: the numbers only rise, as in a column of times.
    """

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
    """Statistics of x in one part. Each input kind fills some of these fields."""

    unknown_share: dict[str, float]
    pictures: int
    columns: list[ColumnReport]
    seconds: float
    rates: dict[str, int]
    channels: dict[str, int]
    notes: int
    moved: int


class TimesReport(TypedDict, total=False):
    """Summary of the time stamps of a part; empty if its steps have none."""

    times: str


class VectorsReport(TypedDict):
    """Coverage of pretrained vectors: the fraction of the distinct tokens, and of all tokens, that have one."""

    types: float
    tokens: float


@final
class WordsReport(TypedDict):
    """Statistics of the tokens in the training set.

    seen_once: None if not all tokens are counted. vectors: None if no file of vectors is given.
    """

    distinct: int
    seen_once: int | None
    unknown_share: dict[str, float]
    most_frequent: list[str]
    vectors: VectorsReport | None


@final
class ClassesReport(TypedDict):
    """Statistics of y if it is a class. uncounted: sequences whose class is beyond the counting limit."""

    classes: dict[str, Share]
    ordinal: bool
    uncounted: int


@final
class PairsReport(TypedDict):
    """Statistics of y if it is a text to generate. characters: quantiles of its length."""

    characters: dict[str, int]
    usual_ratio: float | None
    untranslated: int


class NumberReport(TypedDict):
    """Statistics of one number of y."""

    min: float
    mean: float
    max: float
    deviation: float | None


@final
class NumbersReport(TypedDict):
    """Statistics of y if it is one or more numbers."""

    numbers: list[NumberReport]


@final
class TranscriptsReport(TypedDict):
    """Statistics of y if it is a transcript. alphabet: the count of each character."""

    texts: int
    alphabet: dict[str, int]


@final
class WindowsReport(TypedDict):
    """Statistics of y if it is the next steps of x. windows, steps: their number in all series."""

    windows: int
    steps: int


@final
class TagsReport(TypedDict):
    """Statistics of y if it is tags. spans: number of spans of each type."""

    scheme: str
    tags: dict[str, Share]
    spans: dict[str, int]


@final
class PlainReport(TypedDict):
    """Description of y from an output kind of another package; empty if the output was not fitted."""

    about: NotRequired[str]


YReport = (
    ClassesReport | PairsReport | NumbersReport | TranscriptsReport | WindowsReport | TagsReport | PlainReport
)


class BaselineReport(TypedDict):
    """A baseline that ignores x, with one of three metrics: accuracy, exact matches, or RMSE."""

    name: str
    answer: str | list[float] | None
    accuracy: NotRequired[float]
    exact: NotRequired[float]
    rmse: NotRequired[float]


class TableRules(TypedDict, total=False):
    """Separator and quoting of a text table; empty for other files."""

    separator: str
    quotes: str


class FileReport(TableRules):
    """Report on one file. encoding: None if it is plain UTF-8."""

    file: str
    sequences: int
    bad_rows: int
    encoding: str | None


class PartReport(XReport, TimesReport):
    """Report on one part: `train`, `valid` or `test`."""

    files: list[FileReport]
    sequences: int
    bad_rows: NoteReport
    steps: int
    steps_a_sequence: dict[str, int]
    y: YReport


@final
class CountsReport(TypedDict):
    """Plan of a training if there is too little valid data to decide the size of the network."""

    sequences: int
    held_out: int


@final
class TrainingReport(TypedDict):
    """Plan of a training: the number of sequences, and the size of the network."""

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
    """Result for one file: its clean copy, or the reason why there is none. See `Cleaned` for the fields."""

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
    """The clean copies. fatal: the error with which training on them would stop, or None."""

    folder: str
    files: list[CleanedReport]
    fatal: str | None


class Report(TypedDict):
    """The whole report on labelled data. fatal: the first error with which training would stop, or None."""

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
    """Report on a text for language models if nothing could be read."""

    task: str
    unit: str
    documents_are: str | None
    passed_over: Sequence[str]
    fatal: str | None


@final
class TextReport(TypedDict):
    """Report on a text for language models."""

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
