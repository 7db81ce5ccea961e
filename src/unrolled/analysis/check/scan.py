"""Scan labelled data for `check`: fit the encoders on the training set, then examine every sequence.

One scan reports all problems: it skips every bad row. If it cannot read a file to its end, it continues with
the next file.
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
from unrolled.analysis.check.duplicates import comparable, nearby, shown
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
from unrolled.core.values.example_values import as_tune, beginning
from unrolled.data.read_request import ReadRequest
from unrolled.data.readers import MEDIA
from unrolled.data.records import OpenQuote, lines
from unrolled.datasets.example_dataset import longest_of, too_long
from unrolled.datasets.example_source import is_ahead, wanted_of, with_columns, with_history
from unrolled.tasks.fill import FOLLOWS_DATA
from unrolled.tasks.inputs import input_of
from unrolled.tasks.presets import find
from unrolled.tasks.text_unit import SAMPLE, decided

LISTED = 1_000  # places kept for each kind of finding
MOST = 0.5  # above this fraction of bad rows --skip-bad is not suggested: another option is probably wrong
LONG = 5_000  # steps: a longer sequence needs much memory, and a network remembers little of it


@dataclass
class Part:
    """State of the scan of one part: `train`, `valid` or `test`.

    files: the report on each file, as JSON values.
    """

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
    """Result of a scan.

    encodings: guessed encodings of the files that are not UTF-8.  plan: what the clean copies change.
    fatal: errors with which training would stop.  damaged: files that cannot be read to their end, with the
    error.
    copies: sequences of the training set that repeat with the same y.  conflicts: those that repeat with
    another y.
    leaks: sequences that are also in an earlier part, by (part, earlier part).
    told: messages of training about the unit that it chose.
    """

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
        """Add an error with which training would stop. Keep each error once, and at most LISTED of them."""
        if reason not in self.fatal and len(self.fatal) < LISTED:
            self.fatal.append(reason)


def examine(config: Config, parts: Mapping[str, Sequence[Path]]) -> DataScan:
    """Fit the encoders on the part `train`, then examine every part.

    config: its data section has no blanks, except perhaps the unit. A blank unit follows the data, as in
    training.

    Raises UsageError if a file does not exist or its format cannot hold the data of the task. Also raises
    StorageError and MissingExtra.
    """
    every = [path for paths in parts.values() for path in paths]
    encodings = {} if config.data.encoding else guessed_encodings(every)
    first = encodings.get(parts["train"][0])
    told: tuple[str, ...] = ()
    with suppress(DataError):  # unreadable files are reported below
        readable_as = replace(config.data, encoding=first or config.data.encoding)
        named = with_columns(parts["train"], replace(config, data=readable_as))
        config = replace(config, data=replace(config.data, columns=named.data.columns))
        chosen, told = with_history(parts["train"], named)
        config = replace(config, data=replace(config.data, history=chosen.data.history))
    wanted = replace(wanted_of(config), skip_bad=sys.maxsize)
    if config.data.unit is None and input_of(config.task).content.words:
        filled = fill(config, {"unit": FOLLOWS_DATA})
        config, told = decided(config, filled, readable(parts["train"], wanted, filled, encodings))
    learnt, errors = learn(config, lambda: readable(parts["train"], wanted, config, encodings))
    data_scan = DataScan(config, wanted, learnt, encodings, told=told)
    some = islice(readable(parts["train"], wanted, config, encodings), SAMPLE)
    look_for_spaces(config, wanted.asks.written, some, data_scan.findings)
    for path in dict.fromkeys(every):
        if path in encodings:
            _tell_encoding(data_scan, path)
    for name, paths in parts.items():
        _look_at_part(data_scan, name, paths)
    train = data_scan.parts["train"]
    try:
        train.y.conclude()
    except DataError as error:
        errors.append(str(error))
    if train.sequences or not data_scan.fatal:  # if nothing was read, the reason is already reported
        for error in errors:
            data_scan.fail(error)
    return data_scan


def _tell_encoding(data_scan: DataScan, path: Path) -> None:
    """Report a file that is not UTF-8. Training would stop; `check` reads it in the guessed encoding."""
    try:
        deque(lines(path), maxlen=0)
    except DataError as error:
        data_scan.fail(str(error))
        guess = f"read here as {data_scan.encodings[path]} (a guess)"
        place = Place(path, error.line or 1)
        data_scan.findings.odd("not UTF-8 (use --encoding NAME, or --fix for a UTF-8 copy)", place, guess)


def _surveys(data_scan: DataScan) -> tuple[InputStats, TargetStats]:
    """Return the statistics of x and of y for one part, still empty."""
    config, learnt, findings = data_scan.config, data_scan.learnt, data_scan.findings
    preset = find(config.task)
    x: dict[str, Callable[[], InputStats]] = {
        "tokens": lambda: TokenSurvey(learnt.tokens, config.data, findings),
        "numbers": lambda: ColumnSurvey(learnt.numbers, data_scan.wanted.x, findings),
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
    if data_scan.wanted.content.parsed:
        return x[preset.input](), GenreSurvey()
    if is_ahead(config):
        return x.get(preset.input, lambda: PlainSurvey(learnt.input))(), ForecastSurvey(
            config.data.horizon or 0, config.data.past, learnt.numbers
        )
    survey = x.get(preset.input, lambda: PlainSurvey(learnt.input))
    return survey(), y.get(preset.output, lambda: PlainTargetSurvey(learnt.output))()


def _look_at_part(data_scan: DataScan, name: str, paths: Sequence[Path]) -> None:
    part = Part(name, *_surveys(data_scan), TimeSurvey(data_scan.findings))
    for group in groups(paths, data_scan.wanted):
        _look_at_file(data_scan, part, group)
    data_scan.parts[name] = part
    if part.bad.count > data_scan.config.data.skip_bad:
        many = part.bad.count
        which = "a bad row" if many == 1 else f"the first of {many:,} bad rows"
        hint = f"; try --skip-bad {many}" if many <= MOST * (many + part.sequences) else ""
        data_scan.fail(f"{part.bad.examples[0]} ({which} in {name}){hint}")


def _look_at_file(data_scan: DataScan, part: Part, group: tuple[Path, ...]) -> None:
    path = group[0]
    plan, before, bad_before = data_scan.plan, part.sequences, part.bad.count

    def skipped(place: Place, reason: str) -> None:
        part.bad.add(place, reason)
        plan.bad.setdefault(place.file, set()).add(place.line)

    def noted(place: Place, what: str) -> None:
        data_scan.findings.odd(what, place)

    own = in_encoding(data_scan.wanted, data_scan.encodings.get(path))
    wanted = replace(own, skipped=skipped, noted=noted)
    try:
        for example, lines in located(group, wanted, data_scan.config):
            try:
                example = _opened(data_scan, example)
            except DataError as error:
                skipped(example.place, error.what)
                continue
            _look(data_scan, part, example, lines, skipped)
        if (wanted.asks.one_class or wanted.asks.each) and is_written_in_rows(path, own):
            for place, label in spaced(path, own, plan.bad.get(path, set())):
                kind = "white space around a label (removed when it is read)"
                data_scan.findings.odd(kind, place, repr(label[:60]))
    except DataError as error:
        # "Every row is bad" (an error without a line) is no reason to stop if other files have good rows. If
        # none has, the bad rows themselves are reported.
        if error.line is not None or part.sequences > before or part.bad.count == bad_before:
            data_scan.fail(str(error))
            if not isinstance(error, OpenQuote):  # a clean copy can keep the rows before the open quote
                data_scan.damaged[path] = str(error)
    marks = [None if one.suffix.lower() in MEDIA else encoding(one) for one in group]
    for one, mark in zip(group, marks, strict=True):
        if mark is not None and path not in data_scan.damaged:
            data_scan.findings.odd("encoding other than plain UTF-8 (read correctly)", Place(one, 1), mark)
    rules: TableRules = table_rules(path, own, data_scan.findings) if not are_pairs(group, own) else {}
    part.files.append(
        {
            "file": " ".join(map(str, group)),
            "sequences": part.sequences - before,
            "bad_rows": part.bad.count - bad_before,
            "encoding": marks[0],
            **rules,
        }
    )


def _opened(data_scan: DataScan, example: Example) -> Example:
    """Return the example with the content of its file. Raises DataError if the file is broken."""
    given = data_scan.learnt.frames or data_scan.learnt.images
    return example if given is None else given.load_file(example)


def _look(
    data_scan: DataScan,
    part: Part,
    example: Example,
    lines: tuple[int, ...],
    skipped: Callable[[Place, str], None],
) -> None:
    findings, place = data_scan.findings, example.place
    try:
        steps = part.x.add(example)
        part.times.add(example)
        y = part.y.add(example, lines)
    except DataError as error:
        part.sequences += 1
        data_scan.fail(str(error))
        return
    error = too_long(steps, longest_of(input_of(data_scan.config.task)), place)
    if error is not None:
        skipped(place, f"{error.what}; expected {error.expected}")
        return
    part.sequences += 1
    part.lengths.append(steps)
    if data_scan.wanted.asks.each and y != example.y:  # only tags are corrected
        data_scan.plan.retag(place, lines, example.y, y)
    if not steps:
        findings.odd("empty sequence", place)
        return
    if steps > LONG:
        findings.odd(f"sequence of more than {LONG:,} steps", place, f"{steps:,}")
    _compare(data_scan, part, example, y)


def _compare(data_scan: DataScan, part: Part, example: Example, y: object) -> None:
    """Search for the same sequence: in an earlier set it is a leak, in the training set a duplicate."""
    example = replace(example, x=content(as_tune(example.x))) if data_scan.wanted.content.parsed else example
    x, place = comparable(example.x), example.place
    for name, other in data_scan.parts.items():
        first = other.memory.find(x)
        if first is not None:
            leak = data_scan.leaks.setdefault((part.name, name), Occurrences(LISTED))
            leak.add(place, f"same as {nearby(first, place)}: {beginning(example.x, 60)}")
    first, same = part.memory.add(x, y, place)
    if first is None or part.name != "train":
        return
    if same:
        data_scan.copies.add(place, f"same as {nearby(first, place)}: {beginning(example.x, 60)}")
        if not data_scan.wanted.asks.ahead:  # in a forecast all rows of a table may be one series
            data_scan.plan.copies.setdefault(place.file, set()).add(place.line)
    else:
        detail = f"{shown(y)}, but {nearby(first, place)} has another y: {beginning(example.x, 60)}"
        data_scan.conflicts.add(place, detail)
