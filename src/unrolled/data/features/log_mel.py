"""Log-mel frames: the features that a network reads of a recording.

A window of 25 ms begins every 10 ms. Of each window the power is summed in bands that are evenly spaced on the mel
scale, and the logarithm is taken (Davis and Mermelstein 1980).

Frame i begins at sample round(i * rate / 100), so 10 ms are exact at every sample rate and time stamps never drift. A
window begins where its frame begins, so no frame waits for later samples: frames of chunks equal those of the whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from unrolled.core.types import Array

WINDOW = 0.025  # seconds
FRAMES = 100  # a second; the one source of time stamps
HOP = 1 / FRAMES  # seconds
FLOOR = 1e-6  # of the power in a band: noise of -80 dB and silence are the same
LOWEST = 20.0  # Hz
_BLOCK = 4096  # frames whose spectra stand in memory


@dataclass(frozen=True)
class Mel:
    """samples a second, and into how many bands they are cut."""

    rate: int
    bands: int

    @property
    def window(self) -> int:
        """Samples of a frame."""
        return round(self.rate * WINDOW)

    def start(self, frame: int) -> int:
        """The sample at which a frame begins; exact integer arithmetic, halves go up."""
        return (2 * frame * self.rate + FRAMES) // (2 * FRAMES)

    def whole_windows(self, samples: int) -> int:
        """How many frames lie wholly within so many samples from the beginning."""
        room = samples - self.window  # the last window begins here or before
        return 0 if room < 0 else 1 + (2 * FRAMES * room + FRAMES - 1) // (2 * self.rate)

    def frames(self, samples: int) -> int:
        """How many frames so many samples make; a recording shorter than a window makes one."""
        return 0 if samples < 1 else max(1, self.whole_windows(samples))


@cache
def filters(mel: Mel) -> tuple[int, Array]:
    """The size of the Fourier transform, and triangles over its bins: [bands, size / 2 + 1].

    Their corners are evenly spaced on the mel scale of O'Shaughnessy (1987), 2595 log10(1 + f / 700), from 20 Hz to
    half the rate. The size is a power of two, large enough that each band has a bin.
    """
    size = 1 << (mel.window - 1).bit_length()
    top = 2595 * np.log10(1 + mel.rate / 2 / 700)
    corners = 700 * (
        10 ** (np.linspace(2595 * np.log10(1 + LOWEST / 700), top, mel.bands + 2) / 2595) - 1
    )  # Hz
    while True:
        bins = np.arange(size // 2 + 1) * mel.rate / size
        rising = (bins - corners[:-2, None]) / (corners[1:-1] - corners[:-2])[:, None]
        falling = (corners[2:, None] - bins) / (corners[2:] - corners[1:-1])[:, None]
        triangles = np.maximum(0, np.minimum(rising, falling))  # [bands, bins]
        if triangles.any(axis=1).all():
            return size, triangles
        size *= 2


def frames(mel: Mel, rest: Array, samples: Array, first: int = 0) -> tuple[NDArray[np.float32], Array]:
    """Log-mel frames of the samples left over from before and of new ones -> [T, bands], and the samples left now.

    first: the number of the frame with which `rest` begins, counted from the beginning of the recording.
    """
    size, triangles = filters(mel)
    sound = np.concatenate([rest, np.asarray(samples, np.float32)])
    origin = mel.start(first)
    count = max(0, mel.whole_windows(origin + len(sound)) - first)
    hann = np.hanning(mel.window + 1)[:-1]  # periodic
    made = np.zeros((count, mel.bands), np.float32)
    for begin in range(0, count, _BLOCK):
        end = min(count, begin + _BLOCK)
        starts = np.array([mel.start(first + frame) - origin for frame in range(begin, end)], np.int64)
        stretch = sound[starts[0] : starts[-1] + mel.window].astype(np.float64)
        windows = sliding_window_view(stretch, mel.window)[starts - starts[0]] * hann
        power = np.abs(np.fft.rfft(windows, size)) ** 2  # [T, bins]
        made[begin:end] = np.log(power @ triangles.T + FLOOR)
    return made, sound[mel.start(first + count) - origin :]


def log_mel(mel: Mel, samples: Array) -> NDArray[np.float32]:
    """[samples] -> [T, bands]. A recording shorter than a window is filled up with zeros; none has 0 frames."""
    samples = np.asarray(samples, np.float32)
    if 0 < len(samples) < mel.window:
        samples = np.concatenate([samples, np.zeros(mel.window - len(samples), np.float32)])
    return frames(mel, np.zeros(0, np.float32), samples)[0]
