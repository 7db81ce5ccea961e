"""Compare cells, units, depths, directions and baselines: one table, and one sentence as the verdict.

All variants have about the same number of parameters and the same budget. Each seed of a variant is an
ordinary training with its own run folder. Simple baselines are scored too. Needs torch.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from unrolled.analysis.compare.benchmarks import Benchmark, make_benchmark
from unrolled.analysis.compare.equal_size import nearest
from unrolled.analysis.compare.history_of_data import with_chosen_history
from unrolled.analysis.compare.run_baselines import BaselineResult, run_baselines
from unrolled.analysis.compare.unit_of_data import with_unit
from unrolled.analysis.compare.variants import ComparisonOptions, Variant, variants
from unrolled.analysis.compare.verdict import Answers, Entry, Scoring, Trial, Verdict, spoken, verdict
from unrolled.core.atomic_files import storage_error, write_atomically
from unrolled.core.config import Config, build
from unrolled.core.errors import Interrupted, NonFiniteError, UnrolledError, UsageError
from unrolled.core.progress import Moment, Reporter
from unrolled.core.values.json_values import as_number, as_plain
from unrolled.core.version import __version__
from unrolled.models.tensor_shapes import parameters
from unrolled.tasks.fill import resolve_data
from unrolled.training.fit import fit
from unrolled.training.job import TrainingJob, TrainingRequest
from unrolled.training.run_folder import read_metrics

MARK = "comparison.json"  # marker file: identifies the folder of a comparison
READING = (
    "columns",
    "classes",
    "skip_bad",
    "format",
    "encoding",
    "quoting",
    "resample",
    "horizon",
    "history",
    "lower",
)  # options that affect the baselines
APART = 0.1  # tolerated excess of parameters, as a fraction, if even a variant with one unit is too large


@dataclass(frozen=True)
class Report:
    """Result of a comparison. about: description of the scored set.  target: parameters per variant."""

    task: str
    about: str
    target: int
    scoring: Scoring
    entries: tuple[Entry, ...]
    verdict: Verdict


@dataclass(frozen=True)
class Console:
    """Output for the user. note: prints a line on stderr.  reporter: creates a progress reporter."""

    note: Callable[[str], None]
    reporter: Callable[[], Reporter]


@dataclass(frozen=True)
class Muted:
    """A reporter that shows the progress of a training but no messages, since there are many trainings."""

    inner: Reporter

    def note(self, text: str) -> None:
        """Ignore a message."""

    def moment(self, now: Moment) -> None:
        """Pass on the progress."""
        self.inner.moment(now)

    def validated(self, now: Moment, metrics: Mapping[str, float], sample: str | None) -> None:
        """Ignore a validation."""

    def close(self) -> None:
        """Close the inner reporter."""
        self.inner.close()


def compare(options: ComparisonOptions, folder: Path, voice: Console) -> Report:
    """Train all variants in `folder`, score them and the baselines, and return the result with the verdict.

    Variants that are already trained there are not trained again, so the same call resumes a comparison.
    Raises the errors of reading data and of training. If a training diverges or a baseline fails, the
    error is only reported.
    """
    if options.units == (None,):
        options = replace(
            options,
            settings=with_unit(
                options.task,
                options.settings,
                options.files.data,
                voice.note,
            ),
        )
    settings = with_chosen_history(options.task, options.settings, options.files.data, voice.note)
    options = replace(options, settings=settings)
    wanted = variants(options)
    base = resolve_data(build(options.task, *options.settings))
    usual = _nearest(base, wanted)
    with _claimed(folder, options.task):
        units = [unit for unit in dict.fromkeys(one.config.data.unit for one in wanted) if unit]
        benchmark = make_benchmark(replace(base, data=usual.config.data), units, options.files, folder)
        target = options.target or parameters(benchmark.job(usual.config).spec)
        sized = [_sized(one, benchmark, target) for one in wanted]
    voice.note(benchmark.about)
    count = len(sized) * len(options.seeds)
    voice.note(
        f"{count} trainings of about {target:,} parameters, {_budget(benchmark.job(sized[0].config).config)}"
    )
    entries: list[Entry] = []
    for baseline in _baselines(options, base, benchmark, folder):
        entries.append(_entry_of(baseline, benchmark.scoring))
        voice.note(_told(entries[-1], benchmark.scoring))
    entries = [*_trained(sized, options, benchmark, folder, voice), *entries]
    judged = verdict(entries, benchmark.scoring)
    return Report(options.task, benchmark.about, target, benchmark.scoring, tuple(entries), judged)


def _nearest(base: Config, wanted: Sequence[Variant]) -> Variant:
    """Return the variant that shares the most settings with the defaults of training; a tie keeps the first."""
    usual = {
        "cell": base.model.cell,
        "unit": base.data.unit,
        "layers": base.model.layers or 1,
        "bidirectional": bool(base.model.bidirectional),
    }
    return max(wanted, key=lambda one: sum(one.settings[name] == usual[name] for name in usual))


@contextmanager
def _claimed(folder: Path, task: str) -> Iterator[None]:
    """Create the folder of a comparison, or reuse it. If an error occurs inside, remove a new folder again.

    Raises UsageError if the folder has other content or a comparison of another task, StorageError if it
    cannot be created.
    """
    mark = folder / MARK
    if folder.exists() and not folder.is_dir():
        raise UsageError("is not a folder", file=folder, hint="another --out")
    if mark.exists():
        try:
            before = json.loads(mark.read_bytes())["task"]
        except (OSError, ValueError, KeyError, TypeError):
            before = None
        if before != task:
            raise UsageError(
                f"contains a comparison of another task, '{before}'", file=folder, hint="another --out"
            )
        yield
        return
    if folder.exists() and any(folder.iterdir()):
        raise UsageError("is neither empty nor the folder of a comparison", file=folder, hint="another --out")
    there = folder.exists()
    _make(folder)
    try:
        yield
        write_atomically(mark, json.dumps({"task": task, "version": __version__}).encode())
    except (UnrolledError, KeyboardInterrupt):
        shutil.rmtree(folder, ignore_errors=True)
        if there:
            _make(folder)
        raise


def _make(folder: Path) -> None:
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise storage_error(error, folder, 0) from error


def _sized(variant: Variant, benchmark: Benchmark, target: int) -> Variant:
    """Return the variant with the number of units whose parameter count is closest to the target."""

    def config(hidden: int) -> Config:
        return replace(variant.config, model=replace(variant.config.model, hidden=hidden))

    def size(hidden: int) -> int:
        return parameters(benchmark.job(config(hidden)).spec)

    hidden = nearest(size, target)
    found = size(hidden)
    if hidden == 1 and found > (1 + APART) * target:
        raise UsageError(
            f"{variant.name} has {found:,} parameters even with one unit, most of them for its vocabulary",
            expected=f"about {target:,}, the size of all variants",
            hint=f"--parameters {2 * found}, or a smaller --vocab-size or --embedding",
        )
    settings = {**variant.settings, "hidden": hidden, "parameters": found}
    return replace(variant, config=config(hidden), settings=settings)


def _budget(config: Config) -> str:
    """Return the budget of each training as text. config: must have no blanks."""
    minutes, epochs = config.training.minutes, config.training.epochs
    by_time = (
        f"{minutes:g} {'minute' if minutes == 1 else 'minutes'} each with a separate plan" if minutes else ""
    )
    by_epochs = f"{epochs} {'epoch' if epochs == 1 else 'epochs'} each" if epochs else ""
    return f"{by_time}, at most {by_epochs}" if by_time and by_epochs else by_time or by_epochs


def _baselines(
    options: ComparisonOptions, base: Config, benchmark: Benchmark, folder: Path
) -> Iterator[BaselineResult]:
    if not options.baselines:
        return
    read = asdict(base.data)
    key = {
        "data": dict(benchmark.data),
        "scored": benchmark.scored,
        "reading": {name: read[name] for name in READING},
        "version": __version__,
    }
    yield from run_baselines(benchmark.baselines(), folder / "baselines.json", key)


def _entry_of(baseline: BaselineResult, scoring: Scoring) -> Entry:
    if baseline.answers is None:
        return Entry(baseline.name, False, (), note=baseline.note)
    try:
        one = Trial(None, scoring.scores(baseline.answers), scoring.parts(baseline.answers), baseline.seconds)
    except UnrolledError as error:  # the answers are not finite numbers
        return Entry(baseline.name, False, (), note=str(error))
    return Entry(baseline.name, False, (one,), note=baseline.note)


def _told(entry: Entry, scoring: Scoring) -> str:
    if not entry.tries:
        return f"{entry.name}: {entry.note}"
    value = scoring.shown(entry.mean(scoring.main))
    return f"{entry.name}: {scoring.title} {value}, {spoken(entry.seconds)}"


def _trained(
    sized: Sequence[Variant],
    options: ComparisonOptions,
    benchmark: Benchmark,
    folder: Path,
    voice: Console,
) -> list[Entry]:
    """Train each variant with each seed.

    The outer loop is over the seeds, so that a busy period of the machine affects all variants equally.
    """
    tries: dict[str, list[Trial]] = {one.folder: [] for one in sized}
    notes: dict[str, list[str]] = {one.folder: [] for one in sized}
    runs = [(seed, one) for seed in options.seeds for one in sized]
    for number, (seed, one) in enumerate(runs, 1):
        units = f"{one.settings['hidden']} units, {one.settings['parameters']:,} parameters"
        voice.note(f"{number} of {len(runs)}: {one.name}, seed {seed} ({units})")
        try:
            found = _run(one, seed, options, benchmark, folder, voice)
        except NonFiniteError as error:
            notes[one.folder].append(f"seed {seed}: {error}")
            voice.note(f"  {error}")
            continue
        tries[one.folder].append(found)
        value = benchmark.scoring.shown(found.scores[benchmark.scoring.main])
        voice.note(f"  {benchmark.scoring.title} {value}, {spoken(found.seconds)}")
    return [
        Entry(
            one.name,
            True,
            tuple(tries[one.folder]),
            as_plain(int, one.settings["parameters"]),
            one.settings,
            "; ".join(notes[one.folder]),
        )
        for one in sized
    ]


def _run(
    variant: Variant,
    seed: int,
    options: ComparisonOptions,
    benchmark: Benchmark,
    folder: Path,
    voice: Console,
) -> Trial:
    """Train one variant with one seed unless it is already trained, and score it."""
    out = folder / variant.folder / f"seed-{seed}"
    _make(out.parent)
    config = replace(variant.config, training=replace(variant.config.training, seed=seed))

    def job(config: Config, folder: Path) -> TrainingJob:
        return benchmark.job(config)  # the data are already prepared, for all trainings together

    began = time.monotonic()
    request = TrainingRequest(config, benchmark.data, job, out, resume=True, force=options.force, began=began)
    try:
        fit(request, Muted(voice.reporter()))
    except Interrupted as stop:
        stopped = Interrupted(
            "stopped; all training so far is kept", file=folder, hint="the same command again to resume"
        )
        stopped.exit_code = stop.exit_code
        raise stopped from stop
    answers, milliseconds = _answered(benchmark, out)
    scores, parts = benchmark.scoring.scores(answers), benchmark.scoring.parts(answers)
    seconds = _seconds(out.with_name(out.name + ".run"))
    return Trial(seed, scores, parts, seconds, milliseconds, out.stat().st_size)


def _answered(benchmark: Benchmark, model: Path) -> tuple[Answers, float | None]:
    """Return the answers of a model to the scored items, and the milliseconds per item (None: not measured).

    Answers are read from a file if the model and the items have not changed.
    """
    file = model.with_name(model.name + ".answers.json")
    key = {
        "model": hashlib.sha256(model.read_bytes()).hexdigest(),
        "scored": benchmark.scored,
        "version": __version__,
    }
    try:
        kept = json.loads(file.read_text(encoding="utf-8"))
        if kept["key"] == key:
            return kept["answers"], kept["milliseconds"]
    except (OSError, ValueError, KeyError, TypeError):
        pass  # missing or damaged: compute the answers again
    answers, milliseconds = benchmark.answers(model)
    content = {"key": key, "answers": list(answers), "milliseconds": milliseconds}
    write_atomically(file, json.dumps(content).encode())
    return answers, milliseconds


def _seconds(run: Path) -> float:
    """Return the training time of a run in seconds. Adds all sessions, since each starts its clock at 0."""
    clock = [float(as_number(record["seconds"])) for record in read_metrics(run)]
    return sum(at for at, following in zip(clock, [*clock[1:], 0.0], strict=True) if following < at)
