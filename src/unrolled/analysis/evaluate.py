"""Evaluate a model on new files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from unrolled.analysis.adapted import Adaptation, tally_dynamically
from unrolled.core.atomic_files import temporary_folder
from unrolled.core.errors import UsageError
from unrolled.core.system import one_thread
from unrolled.core.terminal import escaped
from unrolled.core.types import Batch
from unrolled.core.values.json_values import as_number, as_object
from unrolled.data.read_request import FileOptions
from unrolled.datasets.example_source import as_written, from_files
from unrolled.datasets.text_dataset import left_out
from unrolled.datasets.token_batches import evaluation_batches
from unrolled.datasets.token_store import Store
from unrolled.inference import predictor
from unrolled.inference.adaptation import encoded, with_adapted_cache
from unrolled.inference.lm_fusion import with_search
from unrolled.inference.open_model import open_language_model, open_trained
from unrolled.inference.scoring import tally
from unrolled.models import model_file
from unrolled.models.decoding.beam_search import BeamOptions
from unrolled.tasks.inputs import input_of
from unrolled.tasks.presets import find

ROWS = 16  # batch size for short documents
WINDOW = 128  # steps per batch
ENDLESS = 1 << 60  # number of broken files to skip: no limit
WARM = 256  # tokens that a lane reads to warm up its state before it is scored


@dataclass(frozen=True)
class Measurement:
    """What to evaluate, and how.

    model, data: the model file, and the files to evaluate on.
    lanes: number of lanes (rows of the batch) into which a long document is split; language models only.
    engine: None: torch for a language model if it is installed, else NumPy.
    adaptation: dynamic evaluation, a cache, or neither; language models only.
    columns: columns of a table; None: the columns of the training.
    beam: beam width for transcripts and translations.
    lm, lm_weight: language model for transcripts, and its weight.
    files: format and encoding of the files.
    skip_bad: maximum number of bad rows or files to skip; None: as many bad rows as in training, and any number
    of files that cannot be read.
    Raises UsageError if lanes or skip_bad is out of range.
    """

    model: Path
    data: tuple[Path, ...]
    lanes: int = 1
    engine: str | None = None
    adaptation: Adaptation = field(default_factory=Adaptation)
    columns: str | None = None
    beam: int | None = None
    lm: Path | None = None
    lm_weight: float = 0.5
    files: FileOptions = field(default_factory=FileOptions)
    skip_bad: int | None = None

    def __post_init__(self) -> None:
        if self.lanes < 1:
            raise UsageError(f"--lanes {self.lanes}", expected="at least 1")
        if self.skip_bad is not None and self.skip_bad < 0:
            raise UsageError(f"--skip-bad {self.skip_bad}", expected="0 or more")


def measure(
    what: Measurement,
    failed: Callable[[str], None] | None = None,
    noted: Callable[[str], None] = lambda line: None,
) -> dict[str, object]:
    """Return the metrics of the model's task. Arguments and errors as in `measure_in_detail`."""
    return dict(measure_in_detail(what, failed, noted, detailed=False).metrics)


def measure_in_detail(
    what: Measurement,
    failed: Callable[[str], None] | None = None,
    noted: Callable[[str], None] = lambda line: None,
    *,
    detailed: bool = True,
) -> predictor.Evaluation:
    """Return the metrics of the model's task, and details such as the worst errors.

    Raises the errors of reading the model and the data.

    failed: receives a line for each recording, clip, image or tune that cannot be read. None: the first error
    is raised.
    noted: receives a line for each decision of the reader, such as which files of a folder are not used.
    detailed: whether to compute the details.
    """
    if find(model_file.load(what.model).task).stream:
        if what.lm is not None or what.beam is not None:
            raise UsageError(
                "a language model does not use a beam or another language model",
                expected="a model of transcribe",
            )
        if what.skip_bad is not None:
            raise UsageError("--skip-bad is for rows; a text of a language model has none")
        for line in left_out(what.data):
            noted(line)
        return predictor.Evaluation(dict(evaluate(what, noted)))
    if what.lanes != 1 or what.adaptation.adapts:  # options of language models only
        raise UsageError("lanes, dynamic evaluation and a cache are for language models")
    return _measure_examples(what, failed, noted, detailed=detailed)


def _measure_examples(
    what: Measurement, failed: Callable[[str], None] | None, noted: Callable[[str], None], *, detailed: bool
) -> predictor.Evaluation:
    """Do the same as `measure_in_detail` for a model of labelled sequences."""
    model = open_trained(what.model, what.engine or "numpy")
    width = what.beam
    if model.decoder is not None and width is not None:
        model, width = (
            replace(model, decode_options=replace(model.decode_options, search=BeamOptions(beam=width))),
            None,
        )
    model = with_search(model, width, what.lm, what.lm_weight)
    content = input_of(model.file.task).content
    lists_files = failed is not None and what.skip_bad is None and (content.named or content.parsed)
    skips = ENDLESS if lists_files else what.skip_bad
    source = from_files(what.data, as_written(model.config, what.files, what.columns, skips))
    found = predictor.evaluate_in_detail(model, source, detailed=detailed)
    for line in source.notes.lines():
        noted(line)
    for line in source.skipped:
        if failed is not None and lists_files:
            failed(line)
        elif what.skip_bad is not None:
            noted(f"skipped {line}")
    return found


def evaluate(what: Measurement, noted: Callable[[str], None] = lambda line: None) -> dict[str, float]:
    """Return the metrics of a language model (`next_token.Tally`). They are exact with one lane.

    Raises the errors of reading the model and the text.
    """
    torch_is_there = find_spec("torch") is not None
    model = open_language_model(what.model, what.engine or ("torch" if torch_is_there else "numpy"))
    if torch_is_there and what.lanes == 1 and model.reading.documents == "file":
        one_thread()
    asked, encoding = what.adaptation, what.files.encoding
    with temporary_folder() as folder:
        store = encoded(model, folder, what.data, encoding)
        if asked.trains:
            found = tally_dynamically(model, store, asked, encoding, noted)
        else:
            if asked.request is not None:
                model = with_adapted_cache(model, asked.request, asked.tune, encoding, noted=noted)
            found = tally(model.engine, _batches(store, what.lanes, model.reading.documents))
        return found.figures(store.characters)


def _batches(store: Store, lanes: int, documents: str) -> Iterator[Batch]:
    """Return the batches. If each file is a document, they have one row; lines and blocks are batched.

    lanes: more than 1 splits long documents, so that the metrics are an estimate.
    """
    if lanes > 1:
        return evaluation_batches(store, max(ROWS, lanes) if documents != "file" else lanes, WINDOW, WARM)
    # Documents longer than eight warm-ups are cut. With a warm-up of the longest length none is cut.
    longest = int(np.diff(store.all_offsets).max())
    return evaluation_batches(store, 1 if documents == "file" else ROWS, WINDOW, longest)


def in_words(
    metrics: Mapping[str, object], intervals: Mapping[str, tuple[float, float]] | None = None
) -> str:
    """Return the metrics as a text table. Metrics by type come after the others.

    intervals: the 95% confidence interval of some metrics; it is printed after the metric.
    """
    rows = metric_rows(metrics, intervals or {})
    width = max(19, *(len(name) for name, _, _ in rows)) + 1
    return escaped(
        "\n".join(
            f"{name:{width}}{text}{f'   95% interval {interval}' if interval else ''}"
            for name, text, interval in rows
        )
    )


def metric_rows(
    metrics: Mapping[str, object], intervals: Mapping[str, tuple[float, float]]
) -> list[tuple[str, str, str]]:
    """Return name, value and confidence interval of each metric as text. Metrics by type come after the others."""
    flat = {name: value for name, value in metrics.items() if not isinstance(value, dict)}
    rows = [(name, _shown(name, value), _range(name, intervals.get(name))) for name, value in flat.items()]
    for name in (name for name in metrics if name not in flat):  # keeps the order of the metrics
        rows += [(f"{name} {kind}", f"{value:.4f}", "") for kind, value in as_object(metrics[name]).items()]
    return rows


def _range(name: str, ends: tuple[float, float] | None) -> str:
    return "" if ends is None else f"{_shown(name, ends[0])} to {_shown(name, ends[1])}"


def _shown(name: str, value: object) -> str:
    if value is None:
        return "not measured"
    if isinstance(value, str):
        return value
    number = as_number(value)
    if name in COUNTS:
        return f"{number:,.0f}"
    return f"{number:.3g}" if 0 < abs(number) < SMALL else f"{number:.4f}"


SMALL = 1e-3  # smaller values are shown with significant digits, since 0.0000 would look like zero
COUNTS = (
    *("tokens", "characters", "sequences", "steps", "missing", "skipped"),
    *("substitutions", "deletions", "insertions", "words"),
)
