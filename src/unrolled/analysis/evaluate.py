"""Measure a model on files it has not seen."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from unrolled.core.atomic_files import temporary_folder
from unrolled.core.errors import UsageError, need
from unrolled.core.system import one_thread
from unrolled.core.terminal import escaped
from unrolled.core.types import Batch
from unrolled.core.values.json_values import as_number, as_object
from unrolled.data.read_request import FileOptions
from unrolled.data.readers import read_documents
from unrolled.datasets.example_source import as_written, from_files
from unrolled.datasets.text_dataset import left_out
from unrolled.datasets.token_batches import evaluation_batches
from unrolled.datasets.token_store import Store, write_store
from unrolled.inference import predictor
from unrolled.inference.lm_fusion import with_search
from unrolled.inference.open_model import open_language_model, open_trained
from unrolled.inference.scoring import tally
from unrolled.models import model_file
from unrolled.models.decoding.beam_search import BeamOptions
from unrolled.tasks.inputs import input_of
from unrolled.tasks.inputs.tokens import encode
from unrolled.tasks.presets import find

ROWS = 16  # short documents side by side
WINDOW = 128  # steps at a time
ENDLESS = 1 << 60  # of broken files
WARM = 256  # tokens that warm a lane up


@dataclass(frozen=True)
class Measurement:
    """What to measure: a model on files, with how many lanes for a long document, on which engine (None: the
    quickest there is), with which learning rate of dynamic evaluation (None: none), and which columns of a table (None:
    those of the training); of what is said or written the width of the beam, of what is said a language model and its
    weight; how the files are written."""

    model: Path
    data: tuple[Path, ...]
    lanes: int = 1
    engine: str | None = None
    dynamic_lr: float | None = None
    columns: str | None = None
    beam: int | None = None
    lm: Path | None = None
    lm_weight: float = 0.5
    files: FileOptions = field(default_factory=FileOptions)

    def __post_init__(self) -> None:
        if self.lanes < 1:
            raise UsageError(f"--lanes {self.lanes}", expected="at least 1")
        if self.dynamic_lr is not None and not 0 < self.dynamic_lr < math.inf:
            raise UsageError(f"--dynamic-lr {self.dynamic_lr}", expected="a finite number above 0")


def measure(
    what: Measurement,
    failed: Callable[[str], None] | None = None,
    noted: Callable[[str], None] = lambda line: None,
) -> dict[str, object]:
    """The metrics of whatever the model's task is. Raises what reading a model or data raises.

    failed: gets a line for each recording, clip, picture or tune that cannot be read; None: the first one is raised.
    noted: gets a line for each decision while reading, such as which files of a folder are not used.
    """
    if find(model_file.load(what.model).task).stream:
        if what.lm is not None or what.beam is not None:
            raise UsageError("a search by a beam is for what is said", expected="a model of transcribe")
        for line in left_out(what.data):
            noted(line)
        return dict(evaluate(what))
    if what.lanes != 1 or what.dynamic_lr is not None:  # of a stream alone
        raise UsageError("lanes and dynamic evaluation are for language models")
    model = open_trained(what.model, what.engine or "numpy")
    width = what.beam
    if model.decoder is not None and width is not None:
        model, width = replace(model, wish=replace(model.wish, search=BeamOptions(beam=width))), None
    model = with_search(model, width, what.lm, what.lm_weight)
    content = input_of(model.file.task).content
    reads_files = content.named or content.parsed
    skips = ENDLESS if failed is not None and reads_files else None
    source = from_files(what.data, as_written(model.config, what.files, what.columns, skips))
    metrics = predictor.evaluate(model, source)
    for line in source.notes.lines():
        noted(line)
    if failed is not None and reads_files:
        for line in source.skipped:
            failed(line)
    return metrics


def evaluate(what: Measurement) -> dict[str, float]:
    """The metrics of `next_token.Tally`, exact with one lane. Raises what reading a model or a text raises."""
    torch_is_there = find_spec("torch") is not None
    model = open_language_model(what.model, what.engine or ("torch" if torch_is_there else "numpy"))
    if torch_is_there and what.lanes == 1 and model.reading.documents == "file":
        one_thread()
    reading = model.reading
    with temporary_folder() as folder:
        documents = read_documents(what.data, reading.documents, what.files.encoding)
        store = write_store(
            folder,
            encode(documents, reading.vocabulary, reading.unit, reading.lower),
            len(reading.vocabulary),
        )
        if what.dynamic_lr is None:
            found = tally(model.engine, _batches(store, what.lanes, reading.documents))
        else:
            with need("train", "torch"):
                from unrolled.training.dynamic_evaluation import tally_dynamically
            found = tally_dynamically(model.spec, model.file.tensors, store, what.dynamic_lr)
        return found.figures(store.characters)


def _batches(store: Store, lanes: int, documents: str) -> Iterator[Batch]:
    """A document of a file is walked alone unless lanes were asked for; lines and blocks stand side by side."""
    if lanes > 1:
        return evaluation_batches(store, max(ROWS, lanes) if documents != "file" else lanes, WINDOW, WARM)
    # Documents are cut where eight warm-ups are less than their length: not this far.
    longest = int(np.diff(store.all_offsets).max())
    return evaluation_batches(store, 1 if documents == "file" else ROWS, WINDOW, longest)


def in_words(metrics: Mapping[str, object]) -> str:
    """The metrics as a table for people; those by type stand behind the others."""
    flat = {name: value for name, value in metrics.items() if not isinstance(value, dict)}
    rows = [(name, _shown(name, value)) for name, value in flat.items()]
    for name in (name for name in metrics if name not in flat):  # in an order that stays
        rows += [(f"{name} {kind}", f"{value:.4f}") for kind, value in as_object(metrics[name]).items()]
    width = max(19, *(len(name) for name, _ in rows)) + 1
    return escaped("\n".join(f"{name:{width}}{shown}" for name, shown in rows))


def _shown(name: str, value: object) -> str:
    if value is None:
        return "not measured"
    if isinstance(value, str):
        return value
    number = as_number(value)
    if name in COUNTS:
        return f"{number:,.0f}"
    return f"{number:.3g}" if 0 < abs(number) < SMALL else f"{number:.4f}"


SMALL = 1e-3  # a smaller value is shown with its significant digits: 0.0000 would look like zero
COUNTS = (
    *("tokens", "characters", "sequences", "steps", "missing", "skipped"),
    *("substitutions", "deletions", "insertions", "words"),
)
