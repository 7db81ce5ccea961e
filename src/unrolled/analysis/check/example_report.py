"""Build the report of `check` on labelled data as JSON values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from unrolled.analysis.check.cleaning import clean, targets
from unrolled.analysis.check.corrections import plan_corrections
from unrolled.analysis.check.findings import Occurrences, quantiles
from unrolled.analysis.check.scan import DataScan, Part, examine
from unrolled.analysis.check.stats.input_stats import counted_unit
from unrolled.analysis.check.stats.report_types import (
    CountsReport,
    FixReport,
    PartReport,
    Report,
    SharedNote,
    TrainingReport,
)
from unrolled.analysis.check.stats.target_stats import ForecastSurvey
from unrolled.core.config import Config
from unrolled.core.errors import UsageError
from unrolled.data.readers import in_parallel
from unrolled.data.text.subword import SUBWORD
from unrolled.datasets.example_dataset import held_out
from unrolled.datasets.example_source import wanted_of
from unrolled.datasets.hold_out import NOTHING
from unrolled.tasks.fill import resolve_data, undecided
from unrolled.tasks.inputs import input_of
from unrolled.tasks.outputs import output_of
from unrolled.tasks.presets import find
from unrolled.tasks.sizes import resolve_examples


@dataclass(frozen=True)
class Parts:
    """The files of each part of the data."""

    train: tuple[Path, ...]
    valid: tuple[Path, ...] = ()
    test: tuple[Path, ...] = ()

    @property
    def named(self) -> dict[str, tuple[Path, ...]]:
        """The parts that have files, by name."""
        every = {"train": self.train, "valid": self.valid, "test": self.test}
        return {name: paths for name, paths in every.items() if paths}


def check(config: Config, parts: Parts) -> Report:
    """Return a report on the files as JSON values.

    `fatal` is the error with which training would stop, or None.

    Raises UsageError if a file does not exist or its format cannot hold the data of the task. Also raises
    StorageError and MissingExtra.
    """
    return _report(examine(undecided(config, resolve_data(config)), parts.named))


def check_and_clean(
    config: Config, parts: Parts, folder: Path, *, force: bool, correct: Sequence[str] = ()
) -> Report:
    """Write clean copies into `folder`. Return the report of `check` with the additional field `fix`.

    `fix` has the result for each file, and the error with which training on the copies would stop.
    correct: names of `corrections` that are applied to the copies of tables.

    Raises the errors of `check`, and UsageError if a copy would replace another file.
    """
    if input_of(config.task).content.sound:
        raise UsageError(
            "--fix does not support recordings: a table in another folder would not find them",
            expected="no --fix",
        )
    every = [path for paths in parts.named.values() for path in paths]
    if output_of(config.task).asks.written and in_parallel(every):
        raise UsageError("--fix is for tables and CoNLL files", expected="a table of two columns (.tsv .csv)")
    resolved = resolve_data(config)
    copies = targets(every, folder, wanted_of(resolved), force=force)
    found = examine(undecided(config, resolved), parts.named)
    found.plan.train = frozenset(parts.train)
    plan_corrections(found.plan, found.parts["train"].y, correct)
    cleaned = clean(every, copies, found.wanted, found.plan, found.damaged, found.encodings)
    made = {one.file: one.copy for one in cleaned if one.copy is not None}
    now = (tuple(made.get(path, path) for path in part) for part in (parts.train, parts.valid, parts.test))
    whole = len(made) == len(set(every))  # the copies are UTF-8, even if the originals are not
    in_utf8 = replace(config, data=replace(config.data, encoding=None)) if whole else config
    lost = next((one.lost for one in cleaned if one.lost is not None), None)
    fatal = lost or check(in_utf8, Parts(*now))["fatal"]
    fix: FixReport = {"folder": str(folder), "files": [one.report() for one in cleaned], "fatal": fatal}
    return {**_report(found), "fix": fix}


def _report(found: DataScan) -> Report:
    data, train = found.config.data, found.parts["train"]
    preset = find(found.config.task)
    reads = input_of(found.config.task)
    tokens = reads.content.words
    return {
        "task": found.config.task,
        "input": preset.input,
        "output": preset.output,
        "steps_are": reads.steps_are,
        "unit": counted_unit(data) if tokens else None,
        "subwords": tokens and (data.source_unit or data.unit) == SUBWORD,
        "told": list(found.told),
        "vocab_size": data.vocab_size if tokens else None,
        "fatal": found.fatal[0] if found.fatal else None,
        "all_fatal": found.fatal,
        "skip_bad": data.skip_bad,
        "parts": {name: _part(part) for name, part in found.parts.items()},
        "words": found.learnt.tokens.report() if found.learnt.tokens is not None else None,
        "duplicates": _shared(found.copies, train),
        "conflicts": _shared(found.conflicts, train),
        "remembered": len(train.memory.first),
        "leaks": {
            f"{part} in {other}": _shared(note, found.parts[part])
            for (part, other), note in found.leaks.items()
        },
        "odd": found.findings.report(),
        "baseline": train.y.baseline(),
        "training": _training(found, train),
    }


def _part(part: Part) -> PartReport:
    return {
        "files": part.files,
        "sequences": part.sequences,
        "bad_rows": part.bad.report(),
        "steps": sum(part.lengths),
        "steps_a_sequence": quantiles(part.lengths),
        **part.x.report(),
        **part.times.report(),
        "y": part.y.report(),
    }


def _shared(note: Occurrences, part: Part) -> SharedNote:
    return {**note.report(), "share": note.count / max(1, part.sequences)}


def _training(found: DataScan, train: Part) -> CountsReport | TrainingReport:
    """Return the plan of a training: the parts, and the sizes of the network if enough is known."""
    config, learnt, data = found.config, found.learnt, found.config.data
    y = train.y
    ahead = isinstance(y, ForecastSurvey)
    count, every = (y.windows, y.steps) if ahead else (train.sequences, sum(train.lengths))
    counts = y.counts if ahead else [count]
    parts = NOTHING if "valid" in found.parts else held_out(counts, config)
    held = len(parts.held)
    if learnt.tokens is not None:
        # The affixes are not counted here. The 128 assumes that there are more of them than embedding units.
        width = min(learnt.tokens.coverage.types, data.vocab_size) + (128 if data.affixes else 2)
    else:
        known = (
            learnt.numbers,
            learnt.audio,
            learnt.frames,
            learnt.images,
            learnt.notes,
            learnt.rolls,
            learnt.input,
        )
        given = next((one for one in known if one is not None), None)
        width = given.n_x if given is not None else 0
    kept = len(parts.train(count))
    plan: CountsReport = {"sequences": kept, "held_out": held}
    if not width or not kept:
        return plan
    full = resolve_examples(config, kept, every * kept // count, width)
    model, training = full.model, full.training
    return {
        **plan,
        "cell": model.cell,
        "layers": model.layers,
        "hidden": model.hidden,
        "embedding": model.embedding,
        "bidirectional": model.bidirectional,
        "batch_size": training.batch_size,
        "epochs": training.epochs,
        "minutes": training.minutes,
    }
