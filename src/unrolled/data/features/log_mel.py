"""Log-mel frames: windows of 25 ms, one every 10 ms; the power in bands that are evenly spaced on the mel scale, as a
logarithm (Davis and Mermelstein 1980).

A window begins where its frame does, so no frame waits for later sound: frames of chunks are those of the whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Array = NDArray[Any]

WINDOW, HOP = 0.025, 0.010  # seconds
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

    @property
    def hop(self) -> int:
        """Samples from frame to frame."""
        return round(self.rate * HOP)

    def frames(self, samples: int) -> int:
        """How many frames so many samples make; a sound shorter than a window makes one."""
        return 0 if samples < 1 else 1 + max(0, samples - self.window) // self.hop


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


def frames(mel: Mel, rest: Array, samples: Array) -> tuple[NDArray[np.float32], Array]:
    """Log-mel frames of what is left from before and of new samples -> [T, bands], and what is left now."""
    size, triangles = filters(mel)
    sound = np.concatenate([rest, np.asarray(samples, np.float32)])
    count = 1 + (len(sound) - mel.window) // mel.hop if len(sound) >= mel.window else 0
    hann = np.hanning(mel.window + 1)[:-1]  # periodic
    made = np.zeros((count, mel.bands), np.float32)
    for begin in range(0, count, _BLOCK):
        end = min(count, begin + _BLOCK)
        stretch = sound[begin * mel.hop : (end - 1) * mel.hop + mel.window].astype(np.float64)
        windows = sliding_window_view(stretch, mel.window)[:: mel.hop] * hann
        power = np.abs(np.fft.rfft(windows, size)) ** 2  # [T, bins]
        made[begin:end] = np.log(power @ triangles.T + FLOOR)
    return made, sound[count * mel.hop :]


def log_mel(mel: Mel, samples: Array) -> NDArray[np.float32]:
    """[samples] -> [T, bands]; what is shorter than a window is filled up with zeros, of nothing there are 0 frames."""
    samples = np.asarray(samples, np.float32)
    if 0 < len(samples) < mel.window:
        samples = np.concatenate([samples, np.zeros(mel.window - len(samples), np.float32)])
    return frames(mel, np.zeros(0, np.float32), samples)[0]
