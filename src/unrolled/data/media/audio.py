"""Decode recordings (WAV, FLAC, OGG, MP3 and others) with soundfile, in blocks, to one channel at one sample rate.

A header is checked before anything of the size that it claims is allocated; what is decoded is compared with it.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
from numpy.typing import NDArray

from unrolled.core.atomic_files import opening_error, storage_error
from unrolled.core.errors import DataError, UsageError, need
from unrolled.core.regular_files import open_regular
from unrolled.data import media_fragment
from unrolled.data.media_formats import wav_chunks

if TYPE_CHECKING:
    from soundfile import SoundFile

LONGEST = 1800.0  # seconds of a file
RATES = (1_000, 384_000)  # samples a second, lowest and highest
CHANNELS = 64
MOST = 500_000_000  # samples of all channels: half a minute of decoding
BLOCK = 1 << 16  # samples of each channel that stand in memory, or fewer of many channels
ROUNDED = 0.1  # seconds by which the end of a part may lie behind the end of the recording
LOUDEST = 8.0  # of a sample; full scale is 1, and only values of another scale are far beyond it
ENDINGS = {
    ".wav": "WAV",
    ".wave": "WAV",
    ".rf64": "WAV",
    ".flac": "FLAC",
    ".ogg": "OGG",
    ".oga": "OGG",
    ".opus": "OGG",
    ".mp3": "MP3",
    ".aif": "AIFF",
    ".aiff": "AIFF",
    ".aifc": "AIFF",
    ".au": "AU",
    ".snd": "AU",
    ".caf": "CAF",
    ".w64": "W64",
}
# Recordings that are known but not read: they are named, never left out in silence.
UNREAD = (
    ".m4a",
    ".aac",
    ".wma",
    ".amr",
    ".3gp",
    ".ac3",
    ".mka",
    ".weba",
    ".ape",
    ".wv",
    ".spx",
    ".dsf",
    ".ra",
)

_FOREIGN = (  # what the first bytes of a file tell
    *((form, "WAV") for form in wav_chunks.FORMS),
    (b"fLaC", "FLAC"),
    (b"OggS", "OGG"),
    (b"ID3", "MP3"),
    *((bytes((0xFF, second)), "MP3") for second in (0xFB, 0xFA, 0xF3, 0xF2, 0xE3, 0xE2)),
    (b"FORM", "AIFF"),
    (b".snd", "AU"),
    (b"caff", "CAF"),
    (b"riff", "W64"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x1f\x8b", "gzipped"),
    (b"\x1aE\xdf\xa3", "Matroska or WebM"),
    (b"\x30\x26\xb2\x75", "WMA"),
    (b"#!AMR", "AMR"),
    (b"<", "a web page or XML"),
    (b"%PDF", "a PDF"),
)
_INEXACT = ("MP3",)  # formats whose headers do not say exactly how many samples there are
_NOT_TOLD = 1 << 62  # libsndfile answers with more where a file does not say how many samples it has
_SCALES = {"int8": 1 << 7, "int16": 1 << 15, "int32": 1 << 31}

Samples = NDArray[np.float32]


@dataclass(frozen=True)
class Header:
    """The properties of an audio file: sample rate, channels, samples per channel (counted if the header does not give
    the number), and format."""

    rate: int
    channels: int
    samples: int
    format: str

    @property
    def seconds(self) -> float:
        """Its length."""
        return self.samples / self.rate


def header(path: Path) -> Header:
    """The header of a recording, or of a part of one (`media_fragment`), within limits.

    Raises UsageError where there is no such file or its extension is unknown, DataError for what it cannot be,
    StorageError, MissingExtra.
    """
    with _reading(path) as (told, _, _):
        return told


def blocks(path: Path, rate: int) -> Iterator[Samples]:
    """A recording, or a part of one, block by block: the mean of its channels, at `rate` samples a second, float32,
    full scale is 1.

    Raises what `header` raises, and DataError where there is less in the file than its header claims, where it cannot
    be decoded, or where a sample is not finite or far beyond full scale.
    """
    soundfile = _soundfile()
    with _reading(path) as (told, sound, part):
        resample = resampler(told.rate, rate)
        count, size = 0, max(1024, BLOCK // told.channels)
        last = False
        while not last:
            try:
                most = min(size, told.samples - count) if part else size
                read = sound.read(most, dtype="float32", always_2d=True)
            except (soundfile.LibsndfileError, RuntimeError) as error:
                raise _damaged(error, path) from error
            except OSError as error:
                raise storage_error(error, path) from error
            block = np.asarray(read, np.float32)  # [n, channels]
            _refuse_values(block, count, path)
            count += len(block)
            last = len(block) < size or count > told.samples or (part and count == told.samples)
            made = resample(block.mean(axis=1, dtype=np.float32), last)
            if len(made):
                yield made
    if count != told.samples and told.format not in _INEXACT:
        raise _truncated(f"{told.samples:,} samples", f"{count:,}", path)


def read(path: Path, rate: int) -> Samples:
    """All of a recording, [samples]; raises as `blocks`."""
    return np.concatenate([np.zeros(0, np.float32), *blocks(path, rate)])


def from_array(x: object) -> Samples:
    """Samples in memory as one channel, float32, full scale is 1: [samples], or with several channels [samples,
    channels] or [channels, samples] (the shorter axis is that of the channels), of which the mean is taken.

    Whole numbers are scaled by their type, int8, int16, int32 or uint8. Raises DataError for another type or shape,
    and for samples that are not finite or far beyond full scale.
    """
    found = np.asarray(x)
    expected = "floats within -1 to 1, or an array of int16, int32, int8 or uint8"
    if found.ndim not in (1, 2) or (found.ndim == 2 and min(found.shape) > CHANNELS):
        what = f"no sound: an array {list(found.shape)}"
        raise DataError(what, expected=f"samples [n], or [n, channels] of at most {CHANNELS} channels")
    if found.dtype == np.uint8:
        found = (found.astype(np.float64) - 128) / 128
    elif found.dtype.name in _SCALES:
        found = found.astype(np.float64) / _SCALES[found.dtype.name]
    elif found.dtype.kind != "f":
        raise DataError(f"no sound: values of type {found.dtype}", expected=expected)
    found = found.astype(np.float64)
    if found.size and not np.isfinite(found).all():
        raise DataError("no sound: a sample is not finite", expected=expected)
    if found.size and np.abs(found).max() > LOUDEST:
        what = f"a sample of {np.abs(found).max():,.6g}, where full scale is 1"
        raise DataError(what, expected=expected, hint="dividing by the largest value, 32768 for 16 bits")
    if found.ndim == 2:
        channels = int(np.argmin(found.shape))
        found = found.mean(axis=channels) if found.size else np.zeros(0)
    return found.astype(np.float32)


def resampler(rate_in: int, rate_out: int) -> Callable[[Samples, bool], Samples]:
    """A function of (samples, whether they are the last) -> samples at another rate; it remembers what came before."""
    if rate_in == rate_out:
        return lambda samples, last: samples
    with need("audio", "soxr"):
        import soxr
    stream = soxr.ResampleStream(rate_in, rate_out, 1, dtype="float32")
    return lambda samples, last: stream.resample_chunk(samples, last=last)


@contextmanager
def _reading(path: Path) -> Iterator[tuple[Header, SoundFile, bool]]:
    """The header of a recording or of a part of one, soundfile's object at its first sample, which is only read
    forward, and whether it is a part."""
    path, start, end = media_fragment.whole_of(path)
    soundfile, form = _soundfile(), _form(path)
    part = start > 0 or math.isfinite(end)
    try:
        stream = open_regular(path)
        size = os.fstat(stream.fileno()).st_size
    except OSError as error:
        raise opening_error(error, path) from error
    with stream:
        source = _source(stream, size, form, path)
        try:
            sound = soundfile.SoundFile(source)
        except (soundfile.LibsndfileError, RuntimeError) as error:
            raise _damaged(error, path) from error
        with sound:
            # soundfile seeks after each block, which fails where the length is not known, and is no use here.
            sound.seekable = lambda: False
            told = Header(int(sound.samplerate), int(sound.channels), int(sound.frames), form)
            _refuse_odd(told.rate, told.channels, path)
            if told.samples < _NOT_TOLD:
                cut = _cut(told, sound, start, end, path) if part else told
                _refuse_size(cut, path)
                yield cut, sound, part
                return
        with soundfile.SoundFile(_source(stream, size, form, path)) as sound:
            sound.seekable = lambda: False
            counted = Header(told.rate, told.channels, _counted(sound, told, path), form)
        with soundfile.SoundFile(_source(stream, size, form, path)) as sound:
            sound.seekable = lambda: False
            cut = _cut(counted, sound, start, end, path) if part else counted
            _refuse_size(cut, path)
            yield cut, sound, part


def _cut(told: Header, sound: SoundFile, start: float, end: float, path: Path) -> Header:
    """The header of the part between two moments, with the samples before it read and dropped."""
    if not start < end or start >= told.seconds or (math.isfinite(end) and end > told.seconds + ROUNDED):
        what = f"no part from {start:g} to {end:g} seconds in a recording of {told.seconds:.3f}"
        raise DataError(what, file=path, expected="0 <= start < end <= its length")
    first, last = round(start * told.rate), min(told.samples, round(min(end, told.seconds) * told.rate))
    left = first
    while left > 0:
        read = len(sound.read(min(left, BLOCK), dtype="float32", always_2d=True))
        if not read:
            raise _truncated(f"{told.samples:,} samples", f"{first - left:,}", path)
        left -= read
    return replace(told, samples=last - first)


def _source(stream: BinaryIO, size: int, form: str, path: Path) -> str | wav_chunks.Samples:
    """What soundfile is to open. Raises DataError where the file is of another format, or lies."""
    try:
        stream.seek(0)
        head = stream.read(12)
        _refuse_foreign(head, size, form, path)
        if form != "WAV":
            return str(path)
        layout = wav_chunks.find_layout(stream, size, path)
    except OSError as error:
        raise opening_error(error, path) from error
    _refuse_odd(layout.rate, layout.channels, path)
    if not int.from_bytes(layout.fmt[12:14], layout.order):
        raise DataError("damaged: blocks of 0 bytes", file=path, expected="a whole WAV file")
    return wav_chunks.Samples(stream, layout)


def _counted(sound: SoundFile, told: Header, path: Path) -> int:
    """How many samples there are in a file that does not say it, found by decoding; at most one more than allowed."""
    count, most = 0, int(min(LONGEST * told.rate, MOST // told.channels))
    try:
        while count <= most and (block := sound.read(BLOCK, dtype="float32", always_2d=True)).size:
            count += len(block)
    except RuntimeError as error:
        raise _damaged(error, path) from error
    return min(count, most + 1)


def _form(path: Path) -> str:
    """The format that the extension names."""
    ending = path.suffix.lower()
    if ending in UNREAD:
        hint = f"ffmpeg -i {path.name} {path.stem}.flac"
        raise DataError(f"{ending} is not read", file=path, expected=", ".join(ENDINGS), hint=hint)
    if ending not in ENDINGS:
        raise UsageError(f"unknown kind of recording {ending!r}", file=path, expected=", ".join(ENDINGS))
    return ENDINGS[ending]


def _refuse_size(told: Header, path: Path) -> None:
    if told.samples < 1:
        raise DataError("0 samples", file=path, expected="sound")
    if told.samples * told.channels > MOST and told.seconds <= LONGEST:
        what = f"says that it has {told.samples:,} samples in {told.channels} channels"
        raise DataError(what, file=path, expected=f"at most {MOST:,} in all", hint="a lower rate")
    if told.seconds > LONGEST:
        raise DataError(
            f"says that it has {told.samples:,} samples, {told.seconds:,.0f} seconds",
            file=path,
            expected=f"at most {LONGEST:,.0f} seconds",
            hint="cutting it into pieces",
        )


def _refuse_values(block: NDArray[np.float32], before: int, path: Path) -> None:
    """Raise DataError for a sample that is not finite, or of another scale."""
    finite = np.isfinite(block)
    if not finite.all():
        at = before + int(np.flatnonzero(~finite.all(axis=1))[0])
        raise DataError(f"sample {at:,} is not finite", file=path, expected="numbers")
    if block.size and float(np.abs(block).max()) > LOUDEST:
        at = before + int(np.flatnonzero((np.abs(block) > LOUDEST).any(axis=1))[0])
        what = f"sample {at:,} is {np.abs(block).max():,.6g}, where full scale is 1"
        raise DataError(what, file=path, expected="floats within -1 to 1", hint="writing it as 16 bits")


def _soundfile() -> ModuleType:
    with need("audio", "soundfile"):
        try:
            import soundfile
        except OSError as error:  # libsndfile, which it brings along or finds
            raise ImportError("libsndfile") from error
    return soundfile


def _refuse_foreign(head: bytes, size: int, form: str, path: Path) -> None:
    """Raise DataError where the name says one thing and the first bytes another."""
    if not size:
        raise DataError("empty file", file=path, expected=form)
    found = next((name for magic, name in _FOREIGN if head.startswith(magic)), None)
    if head[4:8] == b"ftyp":
        found = "MP4 (M4A)"
    if found != form and not (found is None and form in _INEXACT):  # an MP3 may begin with anything
        what = f"is {found}, not {form}" if found else f"is no {form}"
        hint = "the right extension" if found in ENDINGS.values() else "converting it to WAV or FLAC"
        raise DataError(what, file=path, expected=f"a {form} file", hint=hint)
    if form == "WAV" and head[8:12] != b"WAVE":
        raise DataError("is RIFF, but no WAV", file=path, expected="a WAV file")


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
    return DataError(f"cannot be decoded ({said})", file=path, expected="a whole recording")
