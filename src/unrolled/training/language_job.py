"""The training job of language models: one stream of tokens, read in windows.

The state is carried from window to window.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from unrolled.core.config import Config
from unrolled.core.progress import counted
from unrolled.core.types import Array, Batch
from unrolled.data.text.rare_to_unk import rare_tokens
from unrolled.data.text.tokenize import as_option, find_unit
from unrolled.datasets.text_dataset import DocumentSource, Prepared, from_files, prepare
from unrolled.datasets.token_batches import LanguageEpoch, evaluation_batches
from unrolled.inference.scoring import SampleOptions, samples
from unrolled.models.engines.numpy_engine import NumpyEngine
from unrolled.nn.losses import Criterion
from unrolled.tasks.fill import resolve_data
from unrolled.tasks.sizes import resolve
from unrolled.training.job import ENCODED_ANEW, Learnt, TrainingJob, TrainingRequest
from unrolled.training.loop import TrainingData
from unrolled.training.network_of_config import language_network
from unrolled.training.unknown_tokens import unknown_in_text

VALIDATION_LANES = 32  # a long validation text is split into this many parts, which are read in parallel
WARM = 256  # tokens that are read before each part to warm up the state
ENOUGH = 1e-3  # nothing is left to learn from a batch with a loss below this, in nats per token


def request(
    config: Config,
    data: DocumentSource,
    valid: DocumentSource | None,
    out: Path,
    *,
    resume: bool = False,
    force: bool = False,
    began: float | None = None,
    reading: float | None = None,
) -> TrainingRequest:
    """Return a request to train a language model on `data`."""
    fingerprints = {"train": data.sha256, "valid": valid.sha256 if valid else None}

    def job(config: Config, folder: Path) -> TrainingJob:
        made = assemble(config, prepare(data, valid, config.data, folder))
        notes = [*data.notes, *(valid.notes if valid else ())]
        return replace(made, about=(*(f"note: {note}" for note in notes), *made.about))

    return TrainingRequest(config, fingerprints, job, out, resume, force, began, reading)


def request_from_files(
    config: Config,
    data: Sequence[Path],
    valid: Sequence[Path],
    test: Sequence[Path],
    out: Path,
    *,
    resume: bool = False,
    force: bool = False,
) -> TrainingRequest:
    """Return a request to train a language model on files.

    All files are read completely, so that unusable text is reported before anything is written.
    """
    reading = time.monotonic()
    resolved = resolve_data(config).data
    documents, encoding = resolved.documents or "file", resolved.encoding
    train = from_files(data, documents, encoding)
    held = from_files(valid, documents, encoding) if valid else None
    if test:
        from_files(test, documents, encoding)  # report unusable test files now, not after hours of training
    return request(config, train, held, out, resume=resume, force=force, reading=reading)


def assemble(config: Config, prepared: Prepared) -> TrainingJob:
    """Return the training job of a prepared text."""
    reading, store, held = prepared.reading, prepared.train, prepared.valid
    config = resolve(config, len(store), len(reading.vocabulary))
    training = config.training
    spec = language_network(config, len(reading.vocabulary))
    batch_size, window = training.batch_size or 1, training.window or 1

    def epoch(number: int) -> Sequence[Batch]:
        rare = rare_tokens(reading.vocabulary)
        return LanguageEpoch(store, batch_size, window, training.seed, number, training.cold, rare)

    def validation(limit: int) -> Iterable[Batch]:
        assert held is not None
        return evaluation_batches(held.slice(0, min(limit, len(held))), VALIDATION_LANES, window, WARM)

    def sample(weights: Mapping[str, Array]) -> str:
        sample_options = SampleOptions(length=find_unit(reading.unit).preview, temperature=0.8)
        return next(iter(samples(NumpyEngine(spec, weights), reading, sample_options)))

    criterion = Criterion(training.label_smoothing or 0.0, first=training.first or 1.0)
    problem = TrainingData(
        epoch, validation if held is not None else None, store.place, criterion, sample, ENOUGH
    )
    return TrainingJob(
        config=config,
        spec=spec,
        problem=problem,
        valid_size=0 if held is None else len(held),
        step_size=float(batch_size * window),
        about=(
            *((ENCODED_ANEW,) if prepared.damaged else ()),
            _about(prepared),
            *(unknown_in_text(held.ids) if held is not None else ()),
        ),
        step=f"{counted(batch_size, 'window')} of {counted(window, 'token')}",
        unit="nats per token",
        learnt=lambda weights: Learnt(reading.to_json()),
        notes={"train_tokens": len(store), "unknown": prepared.coverage.unknown},
    )


def _about(prepared: Prepared) -> str:
    reading, coverage = prepared.reading, prepared.coverage
    held = f", {len(prepared.valid):,} held out for validation" if prepared.valid else ", nothing held out"
    documents = counted(prepared.train.documents, "document")
    return (
        f"{len(prepared.train):,} tokens ({as_option(reading.unit)}) in {documents}"
        f" (--documents {reading.documents}){held}; {coverage.types:,} distinct tokens,"
        f" {coverage.unknown:.2%} of the text is <UNK>"
    )
