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
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

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
    "2^31 samples": (
        wav(form(), PCM, 0xFFFFFFFE),
        "truncated: claims 4,294,967,294 bytes of samples, has 320",
    ),
    "0 samples": (wav(form(), b""), "0 samples"),
    "0 Hz": (wav(form(rate=0), PCM), "sample rate 0 Hz"),
    "4 GHz": (wav(form(rate=4_000_000_000), PCM), "sample rate 4,000,000,000 Hz"),
    "65,535 channels": (wav(form(channels=65535), PCM), "65,535 channels"),
    "no channels": (wav(form(channels=0), PCM), "0 channels"),
    "block align 0": (wav(form(align=0), PCM), "blocks of 0 bytes"),
    "no format": (b"RIFF\x20\x00\x00\x00WAVEdata\x04\x00\x00\x00abcd", "data chunk before the format chunk"),
    "no data": (b"RIFF\x20\x00\x00\x00WAVEfmt \x10\x00\x00\x00" + form(), "no data chunk"),
    "short format": (b"RIFF\x20\x00\x00\x00WAVEfmt \x04\x00\x00\x00abcd", "format chunk is truncated"),
    "unknown codec": (wav(form(kind=0x7777), PCM), "cannot be decoded"),
    "empty": (b"", "empty file"),
    "mp3": (b"ID3\x04" + bytes(100), "is MP3, not WAV"),
    "zip": (b"PK\x03\x04" + bytes(100), "is a ZIP archive, not WAV"),
    "html": (b"<!DOCTYPE html><html>", "is a web page or XML, not WAV"),
    "gzip": (gzip.compress(wav(form(), PCM)), "is gzipped, not WAV"),
    "flac": (b"fLaC" + bytes(50), "is FLAC, not WAV"),
    "avi": (b"RIFF\x20\x00\x00\x00AVI LIST", "is RIFF, but not WAV"),
    "nothing known": (bytes(range(100, 200)), "is not WAV"),
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
    with pytest.raises(DataError, match="header claims 68,719,476,735 samples"):
        audio.read(path, RATE)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # KB


def test_many_channels_of_a_high_rate_count_together(tmp_path: Path):
    whole = np.zeros((500, 8), np.float32)
    path = forged(write(tmp_path / "a.flac", whole, 384_000), 100_000_000)
    with pytest.raises(
        DataError, match="header claims 100,000,000 samples in 8 channels; expected at most 500"
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
    with pytest.raises(UsageError, match=r"unknown audio format '.xyz'; expected .wav, "):
        audio.read(tmp_path / "a.xyz", RATE)
    for ending in audio.UNREAD:
        with pytest.raises(
            DataError, match=rf"{ending} files are not supported; .*ffmpeg -i a{ending} a.flac"
        ):
            audio.read(tmp_path / f"a{ending}", RATE)
    (tmp_path / "folder.wav").mkdir()
    with pytest.raises(UnrolledError):
        audio.read(tmp_path / "folder.wav", RATE)


# What soundfile can write and the largest error of a smooth signal that each format leaves; None: the codec is lossy
# in ways of its own, and only the loudness is compared.
WRITTEN: dict[tuple[str, str], float | None] = {
    ("WAV", "PCM_U8"): 1e-2, ("WAV", "PCM_16"): 1e-4, ("WAV", "PCM_24"): 1e-6, ("WAV", "PCM_32"): 1e-6,
    ("WAV", "FLOAT"): 1e-7, ("WAV", "DOUBLE"): 1e-7, ("WAV", "ULAW"): 3e-2, ("WAV", "ALAW"): 3e-2,
    ("WAV", "IMA_ADPCM"): None, ("WAV", "MS_ADPCM"): None, ("WAV", "GSM610"): None, ("WAV", "G721_32"): None,
    ("WAV", "NMS_ADPCM_16"): None, ("WAV", "NMS_ADPCM_24"): None, ("WAV", "NMS_ADPCM_32"): None,
    ("WAVEX", "PCM_U8"): 1e-2, ("WAVEX", "PCM_16"): 1e-4, ("WAVEX", "PCM_24"): 1e-6, ("WAVEX", "PCM_32"): 1e-6,
    ("WAVEX", "FLOAT"): 1e-7, ("WAVEX", "DOUBLE"): 1e-7, ("WAVEX", "ULAW"): 3e-2, ("WAVEX", "ALAW"): 3e-2,
    ("RF64", "PCM_16"): 1e-4, ("RF64", "PCM_24"): 1e-6, ("RF64", "FLOAT"): 1e-7, ("RF64", "ULAW"): 3e-2,
    ("FLAC", "PCM_S8"): 1e-2, ("FLAC", "PCM_16"): 1e-4, ("FLAC", "PCM_24"): 1e-6,
    ("AIFF", "PCM_16"): 1e-4, ("AIFF", "PCM_S8"): 1e-2, ("AIFF", "FLOAT"): 1e-7, ("AU", "PCM_16"): 1e-4,
    ("CAF", "PCM_24"): 1e-6, ("CAF", "ALAC_16"): 1e-4, ("W64", "PCM_16"): 1e-4, ("OGG", "VORBIS"): None,
    ("OGG", "OPUS"): None, ("MP3", "MPEG_LAYER_III"): None,
}  # fmt: skip
ENDING = {
    "WAV": "wav",
    "WAVEX": "wav",
    "RF64": "wav",
    "FLAC": "flac",
    "AIFF": "aiff",
    "AU": "au",
    "CAF": "caf",
}
ENDING |= {"W64": "w64", "OGG": "ogg", "MP3": "mp3"}
ONE_CHANNEL = ("GSM610", "G721_32", "NMS_ADPCM_16", "NMS_ADPCM_24", "NMS_ADPCM_32")


def tones(seconds: float, rate: int, channels: int) -> np.ndarray:
    """[n, channels] tones of different pitch and loudness."""
    t = np.arange(max(1, round(seconds * rate)))[:, None] / rate
    pitch, loudness = 200.0 + 150 * np.arange(channels), 0.5 / (1 + np.arange(channels))
    return loudness * np.sin(2 * np.pi * pitch * t)


@pytest.mark.parametrize(("form", "subtype"), WRITTEN)
def test_every_subtype_that_soundfile_writes_is_read(tmp_path: Path, form: str, subtype: str):
    told = WRITTEN[form, subtype]
    for channels, rate, seconds in ((1, 8000, 0.5), (2, 16_000, 1.1), (1, 44_100, 0.3)):
        if channels > 1 and subtype in ONE_CHANNEL:
            continue
        rate = 48_000 if subtype == "OPUS" else rate
        samples, path = tones(seconds, rate, channels), tmp_path / f"a.{ENDING[form]}"
        soundfile.write(path, samples, rate, format=form, subtype=subtype)
        heard, mean = audio.read(path, rate), samples.mean(axis=1)
        header = audio.header(path)
        assert (header.rate, header.channels) == (rate, channels)
        assert len(mean) <= len(heard) <= len(mean) + rate // 10, "a codec may fill up its last block"
        if told is not None:
            assert len(heard) == len(mean) == header.samples
            np.testing.assert_allclose(heard, mean, atol=told)
        else:
            assert np.std(heard[: len(mean)]) == pytest.approx(np.std(mean), rel=0.25)


@pytest.mark.property
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_wav_is_read_whatever_chunks_stand_in_it(tmp_path: Path, data: st.DataObject):
    """Random chunks before and behind the samples, padded or not; lengths known or not; both byte orders."""
    draw = data.draw
    channels, big = draw(st.integers(1, 3)), draw(st.booleans())
    endian, order = ("BIG", "big") if big else ("LITTLE", "little")
    samples = np.random.default_rng(0).integers(
        -30000, 30000, (draw(st.integers(2, 400)), channels), np.int16
    )
    source = tmp_path / "source.wav"
    soundfile.write(source, samples, 8000, "PCM_16", endian)
    whole = source.read_bytes()
    body = whole[-samples.nbytes :]

    def number(value: int) -> bytes:
        return (value & 0xFFFFFFFF).to_bytes(4, order)

    chunks = whole[12:36]  # the format
    for name, content, padded in draw(
        st.lists(
            st.tuples(
                st.sampled_from([b"LIST", b"bext", b"id3 ", b"JUNK", b"abcd"]),
                st.binary(max_size=40),
                st.booleans(),
            ),
            max_size=4,
        )
    ):
        odd = len(content) % 2 and (padded or name == b"abcd")
        chunks += name + number(len(content)) + content + b"\0" * odd
    if draw(st.booleans()):
        size, riff, behind = samples.nbytes, 4 + len(chunks) + 8 + len(body), draw(st.binary(max_size=40))
    else:
        size, riff = draw(st.sampled_from([(0xFFFFFFFF, 0xFFFFFFFF), (0, 0), (0, 0xFFFFFFFF)]))
        behind = b""
    path = tmp_path / "a.wav"
    head = (b"RIFX" if big else b"RIFF") + number(riff) + b"WAVE"
    path.write_bytes(head + chunks + b"data" + number(size) + body + behind)
    assert audio.header(path).samples == len(samples)
    np.testing.assert_allclose(audio.read(path, 8000), (samples / 32768).mean(axis=1), atol=1e-7)


def test_samples_behind_a_size_of_zero_and_padding_between_chunks_are_read(tmp_path: Path):
    """A recorder that was switched off leaves the size 0; some writers align chunks with zero bytes."""
    path = tmp_path / "a.wav"
    soundfile.write(path, np.linspace(-0.5, 0.5, 8000), 8000, subtype="PCM_16")
    content = path.read_bytes()
    at = content.index(b"data")
    whole = audio.read(path, 8000)
    for changed in (
        content[: at + 4] + bytes(4) + content[at + 8 :],
        *(content[:at] + bytes(count) + content[at:] for count in (1, 4, 7, 500)),
    ):
        path.write_bytes(changed)
        np.testing.assert_array_equal(audio.read(path, 8000), whole)


@pytest.mark.parametrize("content", ["", "a little", "a chunk"])
def test_rf64_and_bw64_are_read_under_the_name_of_wav(tmp_path: Path, content: str):
    samples = tones(1, 8000, 1)
    path = tmp_path / "a.wav"
    soundfile.write(path, samples, 8000, format="RF64")
    whole = path.read_bytes()
    bext = content.encode()
    inserted = whole[:48] + (b"bext" + struct.pack("<I", len(bext)) + bext if bext else b"") + whole[48:]
    for magic in (b"RF64", b"BW64"):
        path.write_bytes(magic + inserted[4:])
        np.testing.assert_allclose(audio.read(path, 8000), samples[:, 0], atol=1e-4)


@pytest.mark.parametrize("seconds", [0.001, 1.0, 9.0])
def test_a_flac_that_does_not_say_how_long_it_is_is_counted(tmp_path: Path, seconds: float):
    samples = tones(seconds, 16_000, 2)
    path = forged(write(tmp_path / "a.flac", samples, 16_000), 0)  # RFC 9639, 8.2: 0 is not known
    assert audio.header(path).samples == len(samples)
    np.testing.assert_allclose(audio.read(path, 16_000), samples.mean(axis=1), atol=1e-4)


def test_a_flac_of_unknown_length_is_bounded_too(tmp_path: Path):
    path = tmp_path / "bomb.flac"
    with soundfile.SoundFile(path, "w", RATE, 1, format="FLAC") as file:
        for _ in range(1900):
            file.write(np.zeros(RATE, np.float32))
    with pytest.raises(DataError, match="1,800 seconds; expected at most 1,800"):
        audio.header(forged(path, 0))


ARRAYS = {
    "float32": lambda s: s.astype(np.float32),
    "float64": lambda s: s,
    "float16": lambda s: s.astype(np.float16),
    "list": lambda s: s.tolist(),
    "int16": lambda s: np.round(s * 32768).astype(np.int16),
    "int32": lambda s: np.round(s * 2**31).astype(np.int32),
    "int8": lambda s: np.round(s * 128).astype(np.int8),
    "uint8": lambda s: np.round(s * 128 + 128).astype(np.uint8),
}


@pytest.mark.parametrize("kind", ARRAYS)
@pytest.mark.parametrize("shape", ["[n]", "[n, 1]", "[1, n]", "[n, 2]", "[2, n]", "[n, 6]"])
def test_arrays_are_read_by_their_type_and_shape(kind: str, shape: str):
    samples = tones(0.1, 8000, 1)[:, 0]
    channels = 6 if "6" in shape else 2 if "2" in shape else 1
    mean = samples * (channels + 1) / (2 * channels)
    if shape != "[n]":
        samples = samples[:, None] * (1 + np.arange(channels)) / channels
        samples = samples.T if shape in ("[2, n]", "[1, n]") else samples
    tolerance = 1e-2 if "8" in kind else 1e-3 if kind == "float16" else 5e-5
    np.testing.assert_allclose(audio.from_array(ARRAYS[kind](samples)), mean, atol=tolerance)


@pytest.mark.parametrize(
    ("x", "told"),
    [
        ([1, 0, 2], "values of type int64"),
        (np.array([True, False]), "values of type bool"),
        (np.array(["a"]), "values of type <U1"),
        (np.array([0.1 + 1j]), "values of type complex128"),
        (np.array([0.1, np.nan]), "not finite"),
        (np.array([0.0, 12_000.0]), "a sample is 12,000, but full scale is 1"),
        (np.zeros((100, 90)), "an array of shape [100, 90]"),
        (np.zeros((2, 3, 4)), "an array of shape [2, 3, 4]"),
        (np.array(0.5), "an array of shape []"),
    ],
)
def test_arrays_of_no_known_scale_are_refused(x: object, told: str):
    with pytest.raises(DataError) as error:
        audio.from_array(x)
    assert told in str(error.value) and "expected" in str(error.value)


def test_a_file_of_floats_of_another_scale_is_refused(tmp_path: Path):
    path = write(tmp_path / "a.wav", sound("a") * 32768, subtype="FLOAT")
    with pytest.raises(DataError, match="but full scale is 1"):
        audio.read(path, RATE)


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
