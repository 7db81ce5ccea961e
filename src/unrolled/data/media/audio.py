"""Decode recordings (WAV, FLAC, OGG, MP3 ...) with soundfile, in blocks, to one channel at one sample rate.

The size in a header is checked before memory is allocated. The number of decoded samples is compared with it.
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

LONGEST = 1800.0  # maximum seconds of a file
RATES = (1_000, 384_000)  # minimum and maximum sample rate in Hz
CHANNELS = 64  # maximum channels
MOST = 500_000_000  # maximum samples of all channels; decoding them takes half a minute
BLOCK = 1 << 16  # samples of all channels in memory at once (at least 1024 per channel)
ROUNDED = 0.1  # seconds by which the end of a part may be after the end of the recording
LOUDEST = 8.0  # maximum absolute sample; full scale is 1, so larger values mean that the scale is wrong
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
# Extensions of audio formats that are not supported. Such files are reported, never ignored silently.
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

_FOREIGN = (  # first bytes of a file -> its format
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
_INEXACT = ("MP3",)  # formats whose headers do not contain the exact number of samples
_NOT_TOLD = 1 << 62  # libsndfile returns at least this number if a file does not give its number of samples
_SCALES = {"int8": 1 << 7, "int16": 1 << 15, "int32": 1 << 31}

Samples = NDArray[np.float32]


@dataclass(frozen=True)
class Header:
    """The properties of an audio file.

    rate: sample rate in Hz.  channels: number of channels.  format: a value of `ENDINGS`.
    samples: samples per channel; they are counted if the header does not contain the number.
    """

    rate: int
    channels: int
    samples: int
    format: str

    @property
    def seconds(self) -> float:
        """The length in seconds."""
        return self.samples / self.rate


def header(path: Path) -> Header:
    """Read the header of a recording, or of a part of it (`media_fragment`), and check it against the limits.

    Raises UsageError if the file does not exist or its extension is unknown. Raises DataError if it is
    damaged, beyond the limits or not an audio file. Raises StorageError if it cannot be read, and
    MissingExtra without soundfile.
    """
    with _reading(path) as (told, _, _):
        return told


def blocks(path: Path, rate: int) -> Iterator[Samples]:
    """Decode a recording, or a part of it, block by block.

    rate: sample rate of the output in Hz.
    Yields the mean of the channels, float32, with full scale 1.

    Raises the errors of `header`. Raises DataError if the file has fewer samples than its header claims, if
    it cannot be decoded, or if a sample is not finite or far beyond full scale.
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
    """Decode a whole recording, [samples]. Raises the errors of `blocks`."""
    return np.concatenate([np.zeros(0, np.float32), *blocks(path, rate)])


def from_array(x: object) -> Samples:
    """Convert samples in memory to one channel, float32, with full scale 1.

    x: [samples], [samples, channels] or [channels, samples]. The shorter axis has the channels; their mean is
    taken. Floats have full scale 1. Whole numbers are scaled by their type: int8, int16, int32 or uint8.

    Raises DataError for another type or shape, and for samples that are not finite or far beyond full scale.
    """
    found = np.asarray(x)
    expected = "floats within -1 to 1, or an array of int16, int32, int8 or uint8"
    if found.ndim not in (1, 2) or (found.ndim == 2 and min(found.shape) > CHANNELS):
        what = f"not audio: an array of shape {list(found.shape)}"
        raise DataError(what, expected=f"samples [n], or [n, channels] with at most {CHANNELS} channels")
    if found.dtype == np.uint8:
        found = (found.astype(np.float64) - 128) / 128
    elif found.dtype.name in _SCALES:
        found = found.astype(np.float64) / _SCALES[found.dtype.name]
    elif found.dtype.kind != "f":
        raise DataError(f"not audio: values of type {found.dtype}", expected=expected)
    found = found.astype(np.float64)
    if found.size and not np.isfinite(found).all():
        raise DataError("not audio: a sample is not finite", expected=expected)
    if found.size and np.abs(found).max() > LOUDEST:
        what = f"a sample is {np.abs(found).max():,.6g}, but full scale is 1"
        raise DataError(what, expected=expected, hint="dividing by the largest value, 32768 for 16 bits")
    if found.ndim == 2:
        channels = int(np.argmin(found.shape))
        found = found.mean(axis=channels) if found.size else np.zeros(0)
    return found.astype(np.float32)


def resampler(rate_in: int, rate_out: int) -> Callable[[Samples, bool], Samples]:
    """Return a streaming function (samples, whether they are the last) -> samples at the rate `rate_out`."""
    if rate_in == rate_out:
        return lambda samples, last: samples
    with need("audio", "soxr"):
        import soxr
    stream = soxr.ResampleStream(rate_in, rate_out, 1, dtype="float32")
    return lambda samples, last: stream.resample_chunk(samples, last=last)


@contextmanager
def _reading(path: Path) -> Iterator[tuple[Header, SoundFile, bool]]:
    """Open a recording or a part of it.

    Yields its header, the soundfile object at its first sample (to be read forward only), and whether it is a
    part.
    """
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
            # soundfile seeks after each block. This is not needed here, and fails if the length is unknown.
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
    """Skip the samples before a part, and return the header of the part. start, end: in seconds."""
    if not start < end or start >= told.seconds or (math.isfinite(end) and end > told.seconds + ROUNDED):
        what = f"no part from {start:g} to {end:g} seconds in a recording of {told.seconds:.3f} seconds"
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
    """Return the path or the file object that soundfile opens.

    Raises DataError if the file has another format, or a damaged WAV header.
    """
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
        raise DataError("damaged: blocks of 0 bytes", file=path, expected="a complete WAV file")
    return wav_chunks.Samples(stream, layout)


def _counted(sound: SoundFile, told: Header, path: Path) -> int:
    """Count the samples of a file by decoding it, up to one more than the limits allow."""
    count, most = 0, int(min(LONGEST * told.rate, MOST // told.channels))
    try:
        while count <= most and (block := sound.read(BLOCK, dtype="float32", always_2d=True)).size:
            count += len(block)
    except RuntimeError as error:
        raise _damaged(error, path) from error
    return min(count, most + 1)


def _form(path: Path) -> str:
    """Return the format of a file's extension. Raises DataError or UsageError for other extensions."""
    ending = path.suffix.lower()
    if ending in UNREAD:
        hint = f"ffmpeg -i {path.name} {path.stem}.flac"
        raise DataError(
            f"{ending} files are not supported", file=path, expected=", ".join(ENDINGS), hint=hint
        )
    if ending not in ENDINGS:
        raise UsageError(f"unknown audio format {ending!r}", file=path, expected=", ".join(ENDINGS))
    return ENDINGS[ending]


def _refuse_size(told: Header, path: Path) -> None:
    if told.samples < 1:
        raise DataError("0 samples", file=path, expected="at least one sample")
    if told.samples * told.channels > MOST and told.seconds <= LONGEST:
        what = f"header claims {told.samples:,} samples in {told.channels} channels"
        raise DataError(what, file=path, expected=f"at most {MOST:,} in total", hint="a lower sample rate")
    if told.seconds > LONGEST:
        raise DataError(
            f"header claims {told.samples:,} samples, {told.seconds:,.0f} seconds",
            file=path,
            expected=f"at most {LONGEST:,.0f} seconds",
            hint="cutting it into pieces",
        )


def _refuse_values(block: NDArray[np.float32], before: int, path: Path) -> None:
    """Raise DataError for a sample that is not finite or far beyond full scale."""
    finite = np.isfinite(block)
    if not finite.all():
        at = before + int(np.flatnonzero(~finite.all(axis=1))[0])
        raise DataError(f"sample {at:,} is not finite", file=path, expected="finite numbers")
    if block.size and float(np.abs(block).max()) > LOUDEST:
        at = before + int(np.flatnonzero((np.abs(block) > LOUDEST).any(axis=1))[0])
        what = f"sample {at:,} is {np.abs(block).max():,.6g}, but full scale is 1"
        raise DataError(what, file=path, expected="floats within -1 to 1", hint="writing it as 16 bits")


def _soundfile() -> ModuleType:
    with need("audio", "soundfile"):
        try:
            import soundfile
        except OSError as error:  # soundfile is installed, but does not find libsndfile
            raise ImportError("libsndfile") from error
    return soundfile


def _refuse_foreign(head: bytes, size: int, form: str, path: Path) -> None:
    """Raise DataError if the first bytes do not match the format of the extension."""
    if not size:
        raise DataError("empty file", file=path, expected=form)
    found = next((name for magic, name in _FOREIGN if head.startswith(magic)), None)
    if head[4:8] == b"ftyp":
        found = "MP4 (M4A)"
    if found != form and not (found is None and form in _INEXACT):  # an MP3 may begin with any bytes
        what = f"is {found}, not {form}" if found else f"is not {form}"
        hint = "the right extension" if found in ENDINGS.values() else "converting it to WAV or FLAC"
        raise DataError(what, file=path, expected=f"a {form} file", hint=hint)
    if form == "WAV" and head[8:12] != b"WAVE":
        raise DataError("is RIFF, but not WAV", file=path, expected="a WAV file")


def _refuse_odd(rate: int, channels: int, path: Path) -> None:
    if not RATES[0] <= rate <= RATES[1]:
        raise DataError(f"sample rate {rate:,} Hz", file=path, expected=f"{RATES[0]:,} to {RATES[1]:,}")
    if not 1 <= channels <= CHANNELS:
        raise DataError(f"{channels:,} channels", file=path, expected=f"1 to {CHANNELS}")


def _truncated(claimed: str, there: str, path: Path) -> DataError:
    what = f"truncated: claims {claimed}, has {there}"
    return DataError(what, file=path, expected="a complete file", hint="copying it again")


def _damaged(error: Exception, path: Path) -> DataError:
    said = str(error).split(":")[-1].strip().rstrip(".")[:120]
    return DataError(f"cannot be decoded ({said})", file=path, expected="a complete recording")
