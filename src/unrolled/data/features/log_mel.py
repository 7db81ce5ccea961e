"""Compute log-mel frames, the input features of a recording.

A window of 25 ms starts every 10 ms. The power of each window is summed in bands that are evenly spaced on
the mel scale, and the logarithm is taken (Davis and Mermelstein 1980).

Frame i starts at sample round(i * rate / 100), so frames are exactly 10 ms apart at every sample rate and
time stamps do not drift. A window starts at the start of its frame and has no padding. So the frames of
chunks are equal to the frames of the whole recording.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from unrolled.core.types import Array

WINDOW = 0.025  # seconds per window
FRAMES = 100  # frames per second; all time stamps derive from it
HOP = 1 / FRAMES  # seconds between frames
FLOOR = 1e-6  # added to the power of a band, so that noise of -80 dB and silence are the same
LOWEST = 20.0  # lowest frequency in Hz
_BLOCK = 4096  # maximum frames whose spectra are in memory at once


@dataclass(frozen=True)
class Mel:
    """Settings of log-mel frames. rate: sample rate in Hz.  bands: number of mel bands."""

    rate: int
    bands: int

    @property
    def window(self) -> int:
        """The number of samples in a window."""
        return round(self.rate * WINDOW)

    def start(self, frame: int) -> int:
        """Return the sample at which a frame starts. Integer arithmetic; halves are rounded up."""
        return (2 * frame * self.rate + FRAMES) // (2 * FRAMES)

    def whole_windows(self, samples: int) -> int:
        """Return the number of frames whose windows are completely within the first `samples` samples."""
        room = samples - self.window  # the last window starts at this sample or earlier
        return 0 if room < 0 else 1 + (2 * FRAMES * room + FRAMES - 1) // (2 * self.rate)

    def frames(self, samples: int) -> int:
        """Return the number of frames of a recording with `samples` samples: 0 for none, else at least 1."""
        return 0 if samples < 1 else max(1, self.whole_windows(samples))


@cache
def filters(mel: Mel) -> tuple[int, Array]:
    """Return the size of the Fourier transform, and the triangular mel filters [bands, size / 2 + 1].

    The corners of the triangles are evenly spaced on the mel scale of O'Shaughnessy (1987), 2595 log10(1 + f
    / 700), from 20 Hz to half the sample rate. The size is a power of two, large enough that each band has at
    least one bin.
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
    """Compute the log-mel frames of a chunk. Return the frames [T, bands] and the remaining samples.

    rest: the remaining samples of the previous call.  samples: the new samples.
    first: the index in the recording of the frame at which `rest` starts.
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
    """Compute the log-mel frames of a recording: [samples] -> [T, bands].

    A recording shorter than a window is padded with zeros. An empty recording has 0 frames.
    """
    samples = np.asarray(samples, np.float32)
    if 0 < len(samples) < mel.window:
        samples = np.concatenate([samples, np.zeros(mel.window - len(samples), np.float32)])
    return frames(mel, np.zeros(0, np.float32), samples)[0]
