"""Scan labelled data for `check`: learn from the training part, then look at every sequence.

Bad rows are passed over, all of them, and a file that cannot be read to its end does not hide the next one, so that
one examination tells everything.
"""

from __future__ import annotations

import sys
from array import array
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

from unrolled.analysis.check.cleaning import Plan, encoding, in_encoding, is_written_in_rows, spaced
from unrolled.analysis.check.duplicates import beginning, comparable, nearby, shown
from unrolled.analysis.check.findings import Findings, Memory, Occurrences
from unrolled.analysis.check.learnt import LearnedEncoders, learn
from unrolled.analysis.check.reading import (
    are_pairs,
    groups,
    guessed_encodings,
    located,
    readable,
    table_rules,
)
from unrolled.analysis.check.spaces import look_for_spaces
from unrolled.analysis.check.stats.audio_stats import SoundSurvey, TranscriptSurvey
from unrolled.analysis.check.stats.input_stats import (
    ColumnSurvey,
    FrameSurvey,
    InputStats,
    TokenSurvey,
)
from unrolled.analysis.check.stats.plain_stats import PlainSurvey, PlainTargetSurvey
from unrolled.analysis.check.stats.report_types import FileReport, TableRules
from unrolled.analysis.check.stats.target_stats import (
    ForecastSurvey,
    LabelSurvey,
    NumberSurvey,
    TagSurvey,
    TargetStats,
)
from unrolled.analysis.check.stats.text_pair_stats import TextSurvey
from unrolled.analysis.check.stats.time_stats import TimeSurvey
from unrolled.analysis.check.stats.tune_stats import GenreSurvey, NoteSurvey, content
from unrolled.core.config import Config, fill
from unrolled.core.errors import DataError
from unrolled.core.types import Example, Place
from unrolled.core.values.example_values import as_tune
from unrolled.data.read_request import ReadRequest
from unrolled.data.readers import MEDIA
from unrolled.data.records import OpenQuote, lines
from unrolled.datasets.example_dataset import longest_of, too_long
from unrolled.datasets.example_source import is_ahead, wanted_of, with_columns
from unrolled.tasks.fill import FOLLOWS_DATA
from unrolled.tasks.inputs import input_of
from unrolled.tasks.presets import find
from unrolled.tasks.text_unit import SAMPLE, decided

LISTED = 1_000  # places of each kind that are kept
MOST = 0.5  # fraction of bad rows above which --skip-bad is not suggested: then something else is wrong
LONG = 5_000  # steps: a longer sequence takes much memory, and little of it is remembered


@dataclass
class Part:
    """A part on the way through it: `train`, `valid` or `test`. files: what was found in each, as JSON values."""

    name: str
    x: InputStats
    y: TargetStats
    times: TimeSurvey
    bad: Occurrences = field(default_factory=lambda: Occurrences(LISTED))
    memory: Memory = field(default_factory=Memory)
    lengths: array[int] = field(default_factory=lambda: array("q"))
    sequences: int = 0
    files: list[FileReport] = field(default_factory=list)


@dataclass
class DataScan:
    """All that is found. encodings: guessed, of files that are not UTF-8.  fatal: what training would stop with.
    damaged: files that cannot be read to their end.  told: what training would say of the unit that it chose."""

    config: Config
    wanted: ReadRequest
    learnt: LearnedEncoders
    encodings: Mapping[Path, str] = field(default_factory=dict[Path, str])
    parts: dict[str, Part] = field(default_factory=dict)
    findings: Findings = field(default_factory=lambda: Findings(LISTED))
    plan: Plan = field(default_factory=Plan)
    fatal: list[str] = field(default_factory=list)
    damaged: dict[Path, str] = field(default_factory=dict)
    copies: Occurrences = field(default_factory=lambda: Occurrences(LISTED))
    conflicts: Occurrences = field(default_factory=lambda: Occurrences(LISTED))
    leaks: dict[tuple[str, str], Occurrences] = field(default_factory=dict)
    told: tuple[str, ...] = ()

    def fail(self, reason: str) -> None:
        """Note what training would stop with."""
        if reason not in self.fatal and len(self.fatal) < LISTED:
            self.fatal.append(reason)


def examine(config: Config, parts: Mapping[str, Sequence[Path]]) -> DataScan:
    """Learn from the part `train`, then look at every part. config: its data section without blanks, but for the unit:
    then it follows the data, as in training.

    Raises UsageError where a file is not there or cannot hold what the task asks for, StorageError, MissingExtra.
    """
    every = [path for paths in parts.values() for path in paths]
    encodings = {} if config.data.encoding else guessed_encodings(every)
    first = encodings.get(parts["train"][0])
    with suppress(DataError):  # what cannot be read is told below
        named = with_columns(
            parts["train"], replace(config, data=replace(config.data, encoding=first or config.data.encoding))
        )
        config = replace(config, data=replace(config.data, columns=named.data.columns))
    wanted = replace(wanted_of(config), skip_bad=sys.maxsize)
    told: tuple[str, ...] = ()
    if config.data.unit is None and input_of(config.task).content.words:
        filled = fill(config, {"unit": FOLLOWS_DATA})
        config, told = decided(config, filled, readable(parts["train"], wanted, filled, encodings))
    learnt, errors = learn(config, lambda: readable(parts["train"], wanted, config, encodings))
    examination = DataScan(config, wanted, learnt, encodings, told=told)
    some = islice(readable(parts["train"], wanted, config, encodings), SAMPLE)
    look_for_spaces(config, wanted.asks.written, some, examination.findings)
    for path in dict.fromkeys(every):
        if path in encodings:
            _tell_encoding(examination, path)
    for name, paths in parts.items():
        _look_at_part(examination, name, paths)
    train = examination.parts["train"]
    try:
        train.y.conclude()
    except DataError as error:
        errors.append(str(error))
    if train.sequences or not examination.fatal:  # of nothing at all the reason was told
        for error in errors:
            examination.fail(error)
    return examination


def _tell_encoding(examination: DataScan, path: Path) -> None:
    """A file that is not UTF-8: training would stop with it; here it is read with a guess."""
    try:
        deque(lines(path), maxlen=0)
    except DataError as error:
        examination.fail(str(error))
        guess = f"read here as {examination.encodings[path]}, which is a guess"
        place = Place(path, error.line or 1)
        examination.findings.odd("not UTF-8 (--encoding NAME, or --fix for a copy in UTF-8)", place, guess)


def _surveys(examination: DataScan) -> tuple[InputStats, TargetStats]:
    """What is gathered of a part."""
    config, learnt, findings = examination.config, examination.learnt, examination.findings
    preset = find(config.task)
    x: dict[str, Callable[[], InputStats]] = {
        "tokens": lambda: TokenSurvey(learnt.tokens, config.data, findings),
        "numbers": lambda: ColumnSurvey(learnt.numbers, examination.wanted.x, findings),
        "audio": lambda: SoundSurvey(learnt.audio, findings),
        "frames": lambda: FrameSurvey(learnt.frames, findings),
        "images": lambda: FrameSurvey(learnt.images, findings),
        "notes": lambda: NoteSurvey(config.data.grid or 1, False, findings),
        "rolls": lambda: NoteSurvey(config.data.grid or 1, True, findings),
    }
    y: dict[str, Callable[[], TargetStats]] = {
        "label": lambda: LabelSurvey(learnt.label, findings),
        "number": lambda: NumberSurvey(learnt.number, findings),
        "tags": lambda: TagSurvey(learnt.tags, findings),
        "ctc": lambda: TranscriptSurvey(learnt.ctc, findings, config.data.lower),
        "sequence": lambda: TextSurvey(findings),
    }
    if examination.wanted.content.parsed:
        return x[preset.input](), GenreSurvey()
    if is_ahead(config):
        return x.get(preset.input, lambda: PlainSurvey(learnt.input))(), ForecastSurvey(
            config.data.horizon or 0, config.data.history, learnt.numbers
        )
    survey = x.get(preset.input, lambda: PlainSurvey(learnt.input))
    return survey(), y.get(preset.output, lambda: PlainTargetSurvey(learnt.output))()


def _look_at_part(examination: DataScan, name: str, paths: Sequence[Path]) -> None:
    part = Part(name, *_surveys(examination), TimeSurvey(examination.findings))
    for group in groups(paths, examination.wanted):
        _look_at_file(examination, part, group)
    examination.parts[name] = part
    if part.bad.count > examination.config.data.skip_bad:
        many = part.bad.count
        which = "a bad row" if many == 1 else f"the first of {many:,} bad rows"
        hint = f"; try --skip-bad {many}" if many <= MOST * (many + part.sequences) else ""
        examination.fail(f"{part.bad.examples[0]} ({which} in {name}){hint}")


def _look_at_file(examination: DataScan, part: Part, group: tuple[Path, ...]) -> None:
    path = group[0]
    plan, before, bad_before = examination.plan, part.sequences, part.bad.count

    def skipped(place: Place, reason: str) -> None:
        part.bad.add(place, reason)
        plan.bad.setdefault(place.file, set()).add(place.line)

    def noted(place: Place, what: str) -> None:
        examination.findings.odd(what, place)

    own = in_encoding(examination.wanted, examination.encodings.get(path))
    wanted = replace(own, skipped=skipped, noted=noted)
    try:
        for example, lines in located(group, wanted, examination.config):
            try:
                example = _opened(examination, example)
            except DataError as error:
                skipped(example.place, error.what)
                continue
            _look(examination, part, example, lines, skipped)
        if (wanted.asks.one_class or wanted.asks.each) and is_written_in_rows(path, own):
            for place, label in spaced(path, own, plan.bad.get(path, set())):
                kind = "white space around a label (left out when it is read)"
                examination.findings.odd(kind, place, repr(label[:60]))
    except DataError as error:
        # That every row of one file is bad stops nothing where others have good ones, and else is told of its rows.
        if error.line is not None or part.sequences > before or part.bad.count == bad_before:
            examination.fail(str(error))
            if not isinstance(error, OpenQuote):  # a copy has the rows before it
                examination.damaged[path] = str(error)
    marks = [None if one.suffix.lower() in MEDIA else encoding(one) for one in group]
    for one, mark in zip(group, marks, strict=True):
        if mark is not None and path not in examination.damaged:
            examination.findings.odd("encoding other than plain UTF-8 (read rightly)", Place(one, 1), mark)
    rules: TableRules = table_rules(path, own, examination.findings) if not are_pairs(group, own) else {}
    part.files.append(
        {
            "file": " ".join(map(str, group)),
            "sequences": part.sequences - before,
            "bad_rows": part.bad.count - bad_before,
            "encoding": marks[0],
            **rules,
        }
    )


def _opened(examination: DataScan, example: Example) -> Example:
    """The example with what its file holds. Raises DataError where that is broken."""
    given = examination.learnt.frames or examination.learnt.images
    return example if given is None else given.load_file(example)


def _look(
    examination: DataScan,
    part: Part,
    example: Example,
    lines: tuple[int, ...],
    skipped: Callable[[Place, str], None],
) -> None:
    findings, place = examination.findings, example.place
    try:
        steps = part.x.add(example)
        part.times.add(example)
        y = part.y.add(example, lines)
    except DataError as error:
        part.sequences += 1
        examination.fail(str(error))
        return
    error = too_long(steps, longest_of(input_of(examination.config.task)), place)
    if error is not None:
        skipped(place, f"{error.what}; expected {error.expected}")
        return
    part.sequences += 1
    part.lengths.append(steps)
    if y != example.y:
        examination.plan.retag(place, lines, example.y, y)
    if not steps:
        findings.odd("nothing in it", place)
        return
    if steps > LONG:
        findings.odd(f"sequence of more than {LONG:,} steps", place, f"{steps:,}")
    _compare(examination, part, example, y)


def _compare(examination: DataScan, part: Part, example: Example, y: object) -> None:
    """Look for the same sequence before: in the training part itself, and in those that another part must not share."""
    example = (
        replace(example, x=content(as_tune(example.x))) if examination.wanted.content.parsed else example
    )
    x, place = comparable(example.x), example.place
    for name, other in examination.parts.items():
        first = other.memory.find(x)
        if first is not None:
            leak = examination.leaks.setdefault((part.name, name), Occurrences(LISTED))
            leak.add(place, f"as {nearby(first, place)}: {beginning(example.x)}")
    first, same = part.memory.add(x, y, place)
    if first is None or part.name != "train":
        return
    if same:
        examination.copies.add(place, f"as {nearby(first, place)}: {beginning(example.x)}")
        if not examination.wanted.asks.ahead:  # all rows of a table may be one series
            examination.plan.copies.setdefault(place.file, set()).add(place.line)
    else:
        detail = f"{shown(y)}, but not so {nearby(first, place)}: {beginning(example.x)}"
        examination.conflicts.add(place, detail)
