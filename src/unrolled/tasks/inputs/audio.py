"""Audio: x^<t> is a log-mel frame, one every 10 ms. Learned: the sample rate and the statistics of the frames.

An x is the file of a sound, or its samples at the model's rate, [samples].
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unrolled.core.config import Config, DataConfig, fill
from unrolled.core.errors import DataError
from unrolled.core.types import Array, Example, Place, Timeline
from unrolled.core.values.json_values import as_list, as_number
from unrolled.data.features import log_mel, loudness, normalization
from unrolled.data.media import audio

NORMALISATIONS: Mapping[str, Callable[[normalization.RunningStats, Array], NDArray[np.float32]]] = {
    "utterance": normalization.normalize_utterance,
    "running": lambda usual, x: normalization.normalize_running(usual, x)[0],
}
HIGHEST = 16_000  # samples a second: what lies above 8 kHz says little, and costs as much as what lies below
LOOKED_AT = 200  # sounds of which the usual frame is made
BANDS = 256


@dataclass(frozen=True)
class AudioInput:
    """rate: samples a second, to which any file is brought.  bands: numbers a frame.  normalise: by the mean and
    deviation of the whole sound, or by running ones, for which nothing has to wait; either begins with `mean` and
    `deviation`, of the training part, [bands]."""

    rate: int
    bands: int
    normalise: str
    mean: tuple[float, ...]
    deviation: tuple[float, ...]

    ids = False
    multi_hot = False
    unk_candidates = np.zeros(0, dtype=np.bool_)

    def __post_init__(self) -> None:
        low, high = audio.RATES
        if (
            not low <= self.rate <= high
            or not 1 <= self.bands <= BANDS
            or self.normalise not in NORMALISATIONS
        ):
            raise _damaged()
        if not len(self.mean) == len(self.deviation) == self.bands:
            raise _damaged()
        if not np.isfinite([*self.mean, *self.deviation]).all() or min(self.deviation) <= 0:
            raise _damaged()

    @property
    def n_x(self) -> int:
        """Bands."""
        return self.bands

    @cached_property
    def mel(self) -> log_mel.Mel:
        """How sound is cut into frames."""
        return log_mel.Mel(self.rate, self.bands)

    def samples(self, x: object) -> NDArray[np.float32]:
        """A sound at this rate. Raises what `samples_of` raises."""
        return samples_of(x, self.rate)

    def load_file(self, example: Example) -> Example:
        """The example with the samples of its file; raises what reading it raises."""
        if not isinstance(example.x, Path):
            return example
        return replace(example, x=self.samples(example.x), source=example.x)

    def encode(self, x: object, place: Place | None = None) -> NDArray[np.float32]:
        """[T, bands] normalised log-mel frames; raises as `samples`."""
        frames = log_mel.log_mel(self.mel, self.samples(x))
        usual = normalization.initial_stats(self.mean, self.deviation)
        return NORMALISATIONS[self.normalise](usual, frames)

    def timeline(self, example: Example) -> Timeline:
        """When the frames of an opened recording are, and how loud each is."""
        samples = self.samples(example.x)
        heard = loudness.of_frames(log_mel.log_mel(self.mel, samples))
        return Timeline(log_mel.HOP, len(samples) / self.rate, heard)

    def steps(self, x: object) -> object:
        """A recording has no words."""
        return ()

    def unknown(self, x: object, encoded: Array) -> int:
        """A sound has no `<UNK>`."""
        return 0

    def to_json(self) -> dict[str, object]:
        """What `audio_input` reads."""
        return {
            "rate": self.rate,
            "bands": self.bands,
            "normalise": self.normalise,
            "mean": list(self.mean),
            "deviation": list(self.deviation),
        }


def audio_input(value: Mapping[str, object]) -> AudioInput:
    """What `to_json` gave; raises DataError where it is damaged."""
    lists = [value.get("mean"), value.get("deviation")]
    if (
        set(value) != {"rate", "bands", "normalise", "mean", "deviation"}
        or type(value["rate"]) is not int
        or type(value["bands"]) is not int
        or type(value["normalise"]) is not str
        or not all(isinstance(part, list) and all(type(n) in (int, float) for n in part) for part in lists)
    ):
        raise _damaged()
    return AudioInput(
        value["rate"],
        value["bands"],
        value["normalise"],
        *(tuple(map(as_number, as_list(part))) for part in lists),
    )


def fill_audio(config: Config) -> Config:
    """The configuration with the default normalisation: a model that reads forward alone cannot wait for the end."""
    return fill(config, {"normalise": "utterance" if config.model.bidirectional else "running"})


def learn_audio(examples: Iterable[Example], config: DataConfig) -> tuple[AudioInput, str]:
    """The rate that most sounds have, at most 16 kHz (samples in memory have `rate`), and the usual frame. One pass
    over headers, and a second over 200 sounds."""
    rates: Counter[int] = Counter()
    sounds: list[object] = []
    seconds = 0.0
    for example in examples:
        sounds.append(example.x)
        if isinstance(example.x, Path):
            told = audio.header(example.x)
            rates[told.rate] += 1
            seconds += told.seconds
    if not sounds:
        raise DataError("no examples: not one sound", expected="sounds")
    common = min(HIGHEST, rates.most_common(1)[0][0]) if rates else HIGHEST
    rate = config.rate or common
    some = [sounds[i] for i in np.linspace(0, len(sounds) - 1, min(LOOKED_AT, len(sounds))).astype(int)]
    frames = np.concatenate(list(_whole(some, log_mel.Mel(rate, config.bands)))).astype(np.float64)
    deviation = np.maximum(frames.std(axis=0), normalization.SMALLEST)
    words = (
        f"{len(sounds):,} sounds, {seconds:,.0f} seconds; {config.bands} bands at {rate:,} samples a second"
    )
    others = rates.total() - rates[rate]
    words += f"; {others:,} resampled" if others else ""
    normalise = config.normalise or "utterance"
    usual = tuple(frames.mean(axis=0).tolist()), tuple(deviation.tolist())
    return AudioInput(rate, config.bands, normalise, *usual), words


def samples_of(x: object, rate: int) -> NDArray[np.float32]:
    """A recording at this rate: a file, or samples in memory, which have this rate already (`audio.from_array`).

    Raises what reading a file raises; DataError for an array that is no recording.
    """
    return audio.read(x, rate) if isinstance(x, Path) else audio.from_array(x)


def _whole(sounds: Iterable[object], mel: log_mel.Mel) -> Iterator[NDArray[np.float32]]:
    """The frames of those that can be read; who opens a broken one to learn from it is told of it. Raises DataError for
    the first of none but broken ones."""
    first: DataError | None = None
    found = 0
    for x in sounds:
        try:
            samples = samples_of(x, mel.rate)
        except DataError as error:
            first = first or error
            continue
        found += 1
        yield log_mel.log_mel(mel, samples)
    if first is not None and not found:
        raise first


def _damaged() -> DataError:
    return DataError("how the model hears is damaged", expected="rate, bands, normalise, mean, deviation")
