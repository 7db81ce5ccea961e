"""Audio: x^<t> is a log-mel frame, one every 10 ms. Learned: the sample rate and statistics of the frames.

x is a path of an audio file, or an array of samples [samples] at the sample rate of the model.
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
from unrolled.models.wide.series_features import cepstrum, summary

NORMALISATIONS: Mapping[str, Callable[[normalization.RunningStats, Array], NDArray[np.float32]]] = {
    "utterance": normalization.normalize_utterance,
    "running": lambda usual, x: normalization.normalize_running(usual, x)[0],
}
HIGHEST = 16_000  # highest default sample rate in Hz: frequencies above 8 kHz tell little, but cost time
LOOKED_AT = 200  # maximum number of recordings from which mean and deviation are computed
BANDS = 256  # maximum number of bands


@dataclass(frozen=True)
class AudioInput:
    """The encoder of recordings.

    rate: sample rate in Hz; files with another rate are resampled.
    bands: number of mel bands. Each frame has one value per band.
    normalise: "utterance" uses the mean and deviation of the whole recording. "running" uses running
    statistics, so it also works for streams. Both start from `mean` and `deviation`.
    mean, deviation: [bands] statistics of the training set.
    """

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
        """Number of bands."""
        return self.bands

    @cached_property
    def mel(self) -> log_mel.Mel:
        """The mel filters, and the division of samples into frames."""
        return log_mel.Mel(self.rate, self.bands)

    def samples(self, x: object) -> NDArray[np.float32]:
        """Return the samples of a recording at the rate of the model. Raises the errors of `samples_of`."""
        return samples_of(x, self.rate)

    def load_file(self, example: Example) -> Example:
        """Return the example with the samples of its file. Raises the errors of `audio.read`."""
        if not isinstance(example.x, Path):
            return example
        return replace(example, x=self.samples(example.x), source=example.x)

    def encode(self, x: object, place: Place | None = None) -> NDArray[np.float32]:
        """Encode x as [T, bands] normalised log-mel frames. Raises the errors of `samples`."""
        frames = log_mel.log_mel(self.mel, self.samples(x))
        usual = normalization.initial_stats(self.mean, self.deviation)
        return NORMALISATIONS[self.normalise](usual, frames)

    def timeline(self, example: Example) -> Timeline:
        """Return the times of the frames of a loaded recording, and the loudness of each frame."""
        samples = self.samples(example.x)
        heard = loudness.of_frames(log_mel.log_mel(self.mel, samples))
        return Timeline(log_mel.HOP, len(samples) / self.rate, heard)

    def steps(self, x: object) -> object:
        """Return (), because a recording has no words."""
        return ()

    def unknown(self, x: object, encoded: Array) -> int:
        """Return 0, because a recording has no `<UNK>`."""
        return 0

    def to_json(self) -> dict[str, object]:
        """Return the JSON object that `audio_input` reads."""
        return {
            "rate": self.rate,
            "bands": self.bands,
            "normalise": self.normalise,
            "mean": list(self.mean),
            "deviation": list(self.deviation),
        }


def audio_input(value: Mapping[str, object]) -> AudioInput:
    """Create an AudioInput from the JSON object of `to_json`. Raises DataError if it is damaged."""
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
    """Fill the default of `normalise`.

    It is "running" for unidirectional models, because they may read a stream.
    """
    return fill(config, {"normalise": "utterance" if config.model.bidirectional else "running"})


def learn_audio(examples: Iterable[Example], config: DataConfig) -> tuple[AudioInput, str]:
    """Learn the sample rate, and the mean and deviation of the frames. Also returns a one-line description.

    The default rate is the most common rate of the files, at most 16 kHz. Arrays are assumed to have the
    final rate. The function reads the header of every file, and the samples of at most 200 recordings.
    Raises DataError if there are no recordings, or none that can be read.
    """
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
        raise DataError("no examples: not one recording", expected="recordings")
    common = min(HIGHEST, rates.most_common(1)[0][0]) if rates else HIGHEST
    rate = config.rate or common
    some = [sounds[i] for i in np.linspace(0, len(sounds) - 1, min(LOOKED_AT, len(sounds))).astype(int)]
    frames = np.concatenate(list(_whole(some, log_mel.Mel(rate, config.bands)))).astype(np.float64)
    deviation = np.maximum(frames.std(axis=0), normalization.SMALLEST)
    words = f"{len(sounds):,} recordings, {seconds:,.0f} seconds; {config.bands} bands at {rate:,} Hz"
    others = rates.total() - rates[rate]
    words += f"; {others:,} resampled" if others else ""
    normalise = config.normalise or "utterance"
    usual = tuple(frames.mean(axis=0).tolist()), tuple(deviation.tolist())
    return AudioInput(rate, config.bands, normalise, *usual), words


def samples_of(x: object, rate: int) -> NDArray[np.float32]:
    """Return the samples of a recording at this rate. x: a path, or an array that already has this rate.

    Raises the errors of `audio.read` for a path, and those of `audio.from_array` for an array.
    """
    return audio.read(x, rate) if isinstance(x, Path) else audio.from_array(x)


def _whole(sounds: Iterable[object], mel: log_mel.Mel) -> Iterator[NDArray[np.float32]]:
    """Yield the frames of each readable recording.

    Broken files are skipped here; they are reported when they are opened for training.
    Raises the first DataError if all recordings are broken.
    """
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
    return DataError(
        "the audio settings in the model file are damaged",
        expected="rate, bands, normalise, mean, deviation",
    )


def sound_summary(given: AudioInput, x: object, encoded: Array) -> NDArray[np.float32]:
    """Return the summary statistics of the cepstrum of a recording; see `WideFeatures`."""
    return summary(cepstrum(encoded))
