"""Sound files: what is read, at which rate, and every way in which a file can lie."""

from __future__ import annotations

import gzip
import resource
import struct
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from support.tones import RATE, sound, write
from unrolled.core.errors import DataError, UnrolledError, UsageError
from unrolled.data.media import audio


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg"])
def test_formats_channels_and_rates(tmp_path: Path, name: str):
    one = sound("ab")
    stereo = np.stack([one, np.zeros_like(one)], axis=1)
    path = write(tmp_path / name, stereo)
    told = audio.header(path)
    assert (told.rate, told.channels, told.samples, told.format) == (RATE, 2, len(one), name[2:].upper())
    heard = audio.read(path, RATE)
    assert heard.dtype == np.float32 and heard.shape == one.shape
    if not name.endswith("ogg"):  # which loses some
        np.testing.assert_allclose(heard, one / 2, atol=2e-4)
    twice = audio.read(path, 2 * RATE)
    assert abs(len(twice) - 2 * len(one)) <= 2
    power = np.abs(np.fft.rfft(twice * np.hanning(len(twice)))) ** 2
    assert min(abs(np.argmax(power) * 2 * RATE / len(twice) - np.array([400, 900]))) < 30 or name.endswith(
        "ogg"
    )


def test_blocks_are_the_whole(tmp_path: Path):
    rng = np.random.default_rng(0)
    long = rng.uniform(-0.5, 0.5, 3 * audio.BLOCK + 17).astype(np.float32)
    path = write(tmp_path / "long.wav", long, subtype="FLOAT")
    parts = list(audio.blocks(path, RATE))
    assert len(parts) > 2 and max(map(len, parts)) <= audio.BLOCK
    np.testing.assert_array_equal(np.concatenate(parts), long)
    import soxr

    np.testing.assert_allclose(audio.read(path, 6000), soxr.resample(long, RATE, 6000), atol=1e-6)


def wav(fmt: bytes, data: bytes, claimed: int | None = None) -> bytes:
    chunks = b"fmt " + struct.pack("<I", len(fmt)) + fmt
    chunks += b"data" + struct.pack("<I", len(data) if claimed is None else claimed) + data
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks


def form(rate=8000, channels=1, align=2, bits=16, kind=1) -> bytes:
    return struct.pack("<HHIIHH", kind, channels, rate, rate * align & 0xFFFFFFFF, align, bits)


PCM = np.arange(160, dtype="<i2").tobytes()
FALSE = {
    "2^31 samples": (wav(form(), PCM, 0xFFFFFFFE), "truncated: claims 4,294,967,294 bytes of sound, has 320"),
    "0 samples": (wav(form(), b""), "0 samples"),
    "0 Hz": (wav(form(rate=0), PCM), "0 samples a second"),
    "4 GHz": (wav(form(rate=4_000_000_000), PCM), "samples a second"),
    "65,535 channels": (wav(form(channels=65535), PCM), "65,535 channels"),
    "no channels": (wav(form(channels=0), PCM), "0 channels"),
    "block align 0": (wav(form(align=0), PCM), "blocks of 0 bytes"),
    "no format": (b"RIFF\x20\x00\x00\x00WAVEdata\x04\x00\x00\x00abcd", "data before its format"),
    "no data": (b"RIFF\x20\x00\x00\x00WAVEfmt \x10\x00\x00\x00" + form(), "no sound in it"),
    "short format": (b"RIFF\x20\x00\x00\x00WAVEfmt \x04\x00\x00\x00abcd", "its format is cut off"),
    "unknown codec": (wav(form(kind=0x7777), PCM), "cannot be decoded"),
    "empty": (b"", "empty file"),
    "mp3": (b"ID3\x04" + bytes(100), "is MP3, not WAV"),
    "zip": (b"PK\x03\x04" + bytes(100), "is a ZIP archive, not WAV"),
    "html": (b"<!DOCTYPE html><html>", "is a web page or XML, not WAV"),
    "gzip": (gzip.compress(wav(form(), PCM)), "is gzipped, not WAV"),
    "flac": (b"fLaC" + bytes(50), "is FLAC, not WAV"),
    "avi": (b"RIFF\x20\x00\x00\x00AVI LIST", "is RIFF, but no WAV"),
    "nothing known": (bytes(range(100, 200)), "is no WAV"),
}


@pytest.mark.parametrize("name", FALSE)
def test_a_wav_that_lies_ends_in_an_error_that_says_so(tmp_path: Path, name: str):
    content, told = FALSE[name]
    path = tmp_path / "false.wav"
    path.write_bytes(content)
    with pytest.raises(DataError) as error:
        audio.read(path, 8000)
    assert told in str(error.value) and str(error.value).startswith(str(path))


def test_numbers_that_are_not_finite_are_told(tmp_path: Path):
    samples = sound("a")
    samples[123] = np.nan
    path = write(tmp_path / "a.wav", samples, subtype="FLOAT")
    with pytest.raises(DataError, match="sample 123 is not finite"):
        audio.read(path, RATE)


def forged(path: Path, samples: int) -> Path:
    """A FLAC whose header claims so many samples (36 bits of STREAMINFO)."""
    content = bytearray(path.read_bytes())
    content[21] = (content[21] & 0xF0) | (samples >> 32)
    content[22:26] = (samples & 0xFFFFFFFF).to_bytes(4, "big")
    path.write_bytes(bytes(content))
    return path


def test_a_flac_that_claims_2_to_36_samples_is_refused_before_it_is_allocated(tmp_path: Path):
    path = forged(write(tmp_path / "a.flac", sound("ab")), (1 << 36) - 1)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(DataError, match="says that it has 68,719,476,735 samples"):
        audio.read(path, RATE)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # KB


def test_many_channels_of_a_high_rate_count_together(tmp_path: Path):
    whole = np.zeros((500, 8), np.float32)
    path = forged(write(tmp_path / "a.flac", whole, 384_000), 100_000_000)
    with pytest.raises(
        DataError, match="says that it has 100,000,000 samples in 8 channels; expected at most 500"
    ):
        audio.read(path, RATE)


def test_a_flac_that_claims_more_than_it_has_is_truncated(tmp_path: Path):
    whole = sound("abcabc")
    path = forged(write(tmp_path / "a.flac", whole), len(whole) + 5000)
    with pytest.raises(DataError, match=r"truncated: claims|cannot be decoded"):
        audio.read(path, RATE)
    cut = write(tmp_path / "b.flac", np.random.default_rng(0).uniform(-1, 1, 40_000))
    cut.write_bytes(cut.read_bytes()[:30_000])
    with pytest.raises(DataError, match=r"truncated: claims|cannot be decoded"):
        audio.read(cut, RATE)


def test_an_hour_of_silence_in_a_few_bytes_is_too_long(tmp_path: Path):
    path = tmp_path / "bomb.flac"
    with soundfile.SoundFile(path, "w", RATE, 1, format="FLAC") as file:
        for _ in range(3600):
            file.write(np.zeros(RATE, np.float32))
    assert path.stat().st_size < 1 << 20
    with pytest.raises(DataError, match="3,600 seconds; expected at most 1,800"):
        audio.read(path, RATE)


def test_what_is_not_there_or_no_sound(tmp_path: Path):
    with pytest.raises(UsageError):
        audio.read(tmp_path / "none.wav", RATE)
    with pytest.raises(UsageError, match=r"unknown kind of sound '.mp3'; expected .wav, .flac"):
        audio.read(tmp_path / "a.mp3", RATE)
    (tmp_path / "folder.wav").mkdir()
    with pytest.raises(UnrolledError):
        audio.read(tmp_path / "folder.wav", RATE)


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["wav", "flac"])
def test_a_thousand_mutants_end_in_an_answer_or_an_error_of_ours(tmp_path: Path, ending: str):
    rng = np.random.default_rng(1)
    valid = write(tmp_path / f"valid.{ending}", sound("abcab")).read_bytes()
    path, answered = tmp_path / f"mutant.{ending}", 0
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number in range(1000):
        content = bytearray(valid)
        for _ in range(int(rng.integers(1, 8))):
            # Half of the damage where it matters most: in the first 64 bytes.
            at = int(rng.integers(0, 64 if rng.random() < 0.5 else len(content)))
            content[at] = int(rng.choice([0, 255, 128, 127, rng.integers(256)]))
        if number % 4 == 0:
            content = content[: int(rng.integers(0, len(content)))]
        if number % 7 == 0:
            content += rng.bytes(int(rng.integers(1, 2000)))
        path.write_bytes(bytes(content))
        began = time.process_time()
        try:
            heard = audio.read(path, 8000)
            assert heard.ndim == 1 and np.isfinite(heard).all()
            answered += 1
        except UnrolledError as error:
            assert str(path) in str(error)
        assert time.process_time() - began < 10, bytes(content)[:64]
    assert 0 < answered < 1000
    assert (
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1_000_000
    )  # KB; half an hour is 345 MB
