"""Decode audio files (WAV, FLAC, OGG) with soundfile, in blocks, to one channel at one sample rate.

A header is checked before anything of the size it claims is allocated; what is decoded is counted against it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unrolled.core.atomic_files import opening_error, storage_error
from unrolled.core.errors import DataError, UsageError, need
from unrolled.core.regular_files import open_regular

LONGEST = 1800.0  # seconds of a file
RATES = (1_000, 384_000)  # samples a second, lowest and highest
CHANNELS = 64
MOST = 500_000_000  # samples of all channels: half a minute of decoding
BLOCK = 1 << 16  # samples of each channel that stand in memory, or fewer of many channels
ENDINGS = {".wav": "WAV", ".flac": "FLAC", ".ogg": "OGG", ".oga": "OGG", ".opus": "OGG"}

_FOREIGN = (  # what stands under a wrong name: its first bytes
    (b"RIFF", "WAV"),
    (b"RF64", "RF64"),
    (b"fLaC", "FLAC"),
    (b"OggS", "OGG"),
    (b"ID3", "MP3"),
    (b"\xff\xfb", "MP3"),
    (b"\xff\xf3", "MP3"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x1f\x8b", "gzipped"),
    (b"FORM", "AIFF"),
    (b"caff", "CAF"),
    (b"\x1aE\xdf\xa3", "Matroska or WebM"),
    (b"<", "a web page or XML"),
    (b"%PDF", "a PDF"),
)

Samples = NDArray[np.float32]


@dataclass(frozen=True)
class Header:
    """What a file says of itself: samples a second, channels, how many samples each has, and its format."""

    rate: int
    channels: int
    samples: int
    format: str

    @property
    def seconds(self) -> float:
        """Its length."""
        return self.samples / self.rate


def header(path: Path) -> Header:
    """The header of a sound file, within limits. Raises UsageError where there is no such file or its ending is none
    of a sound's, DataError for what it cannot be, StorageError, MissingExtra."""
    soundfile = _soundfile()
    form = ENDINGS.get(path.suffix.lower())
    if form is None:
        raise UsageError(f"unknown kind of sound {path.suffix!r}", file=path, expected=", ".join(ENDINGS))
    try:
        with open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            head = file.read(12)
            _refuse_foreign(head, size, form, path)
            if form == "WAV":
                _refuse_false_wav(file, size, path)
    except OSError as error:
        raise opening_error(error, path) from error
    try:
        info = soundfile.info(str(path))
    except (soundfile.LibsndfileError, RuntimeError) as error:
        raise _damaged(error, path) from error
    found = Header(int(info.samplerate), int(info.channels), int(info.frames), form)
    _refuse_odd(found.rate, found.channels, path)
    if found.samples < 1:
        raise DataError("0 samples", file=path, expected="sound")
    if found.samples * found.channels > MOST and found.seconds <= LONGEST:
        what = f"says that it has {found.samples:,} samples in {found.channels} channels"
        raise DataError(what, file=path, expected=f"at most {MOST:,} in all", hint="a lower rate")
    if found.seconds > LONGEST:
        raise DataError(
            f"says that it has {found.samples:,} samples, {found.seconds:,.0f} seconds",
            file=path,
            expected=f"at most {LONGEST:,.0f} seconds",
            hint="cutting it into pieces",
        )
    return found


def blocks(path: Path, rate: int) -> Iterator[Samples]:
    """A sound file block by block, its channels averaged, at `rate` samples a second, float32 within -1 to 1 or so.

    Raises what `header` raises, and DataError where there is less in the file than its header claims, where it cannot
    be decoded, or where a sample is not finite.
    """
    soundfile, told = _soundfile(), header(path)
    resample = resampler(told.rate, rate)
    count, size = 0, max(1024, BLOCK // told.channels)
    try:
        with soundfile.SoundFile(str(path)) as file:
            while True:
                block = file.read(size, dtype="float32", always_2d=True)  # [n, channels]
                if not np.isfinite(block).all():
                    at = count + int(np.flatnonzero(~np.isfinite(block).all(axis=1))[0])
                    raise DataError(f"sample {at:,} is not finite", file=path, expected="numbers")
                count += len(block)
                last = len(block) < size or count > told.samples
                made = resample(np.clip(block, -1e3, 1e3).mean(axis=1, dtype=np.float32), last)
                if len(made):
                    yield made
                if last:
                    break
    except (soundfile.LibsndfileError, RuntimeError) as error:
        raise _damaged(error, path) from error
    except OSError as error:
        raise storage_error(error, path) from error
    if count != told.samples:
        raise _truncated(f"{told.samples:,} samples", f"{count:,}", path)


def read(path: Path, rate: int) -> Samples:
    """All of a sound file, [samples]; raises as `blocks`."""
    return np.concatenate([np.zeros(0, np.float32), *blocks(path, rate)])


def resampler(rate_in: int, rate_out: int) -> Any:
    """A function of (samples, whether they are the last) -> samples at another rate; it remembers what came before."""
    if rate_in == rate_out:
        return lambda samples, last: samples
    with need("audio", "soxr"):
        import soxr
    stream = soxr.ResampleStream(rate_in, rate_out, 1, dtype="float32")
    return lambda samples, last: stream.resample_chunk(samples, last=last)


def _soundfile() -> Any:
    with need("audio", "soundfile"):
        try:
            import soundfile
        except OSError as error:  # libsndfile, which it brings along or finds
            raise ImportError("libsndfile") from error
    return soundfile


def _refuse_foreign(head: bytes, size: int, form: str, path: Path) -> None:
    """The name says one thing and the first bytes another."""
    if not size:
        raise DataError("empty file", file=path, expected=form)
    found = next((name for magic, name in _FOREIGN if head.startswith(magic)), None)
    if found != form:
        what = f"is {found}, not {form}" if found else f"is no {form}"
        hint = "the right ending" if found in ENDINGS.values() else "converting it to WAV or FLAC"
        raise DataError(what, file=path, expected=f"a {form} file", hint=hint)
    if form == "WAV" and head[8:12] != b"WAVE":
        raise DataError("is RIFF, but no WAV", file=path, expected="a WAV file")


def _refuse_false_wav(file: Any, size: int, path: Path) -> None:
    """Look at the chunks of a WAV: a format that can be, and data as long as claimed. libsndfile says nothing of it."""
    at, formed = 12, False
    while at + 8 <= size:
        file.seek(at)
        name, length = file.read(4), int.from_bytes(file.read(4), "little")
        if name == b"fmt ":
            body = file.read(16)
            if length < 16 or len(body) < 16:
                raise DataError("damaged: its format is cut off", file=path, expected="a whole WAV file")
            channels, rate = int.from_bytes(body[2:4], "little"), int.from_bytes(body[4:8], "little")
            _refuse_odd(rate, channels, path)
            if not int.from_bytes(body[12:14], "little"):
                raise DataError(
                    "damaged: blocks of 0 bytes", file=path, expected="a whole WAV file"
                )  # block align
            formed = True
        if name == b"data":
            if not formed:
                raise DataError("damaged: data before its format", file=path, expected="a whole WAV file")
            if length > size - at - 8:
                raise _truncated(f"{length:,} bytes of sound", f"{size - at - 8:,}", path)
            return
        at += 8 + length + length % 2
    raise DataError("damaged: no sound in it", file=path, expected="a whole WAV file")


def _refuse_odd(rate: int, channels: int, path: Path) -> None:
    if not RATES[0] <= rate <= RATES[1]:
        raise DataError(f"{rate:,} samples a second", file=path, expected=f"{RATES[0]:,} to {RATES[1]:,}")
    if not 1 <= channels <= CHANNELS:
        raise DataError(f"{channels:,} channels", file=path, expected=f"1 to {CHANNELS}")


def _truncated(claimed: str, there: str, path: Path) -> DataError:
    what = f"truncated: claims {claimed}, has {there}"
    return DataError(what, file=path, expected="a whole file", hint="copying it again")


def _damaged(error: Exception, path: Path) -> DataError:
    said = str(error).split(":")[-1].strip().rstrip(".")[:120]
    return DataError(f"cannot be decoded ({said})", file=path, expected="a whole WAV, FLAC or OGG file")
