"""Log-mel frames: librosa's; of chunks those of the whole; normalised; varied by chance that repeats."""

from __future__ import annotations

import math
from fractions import Fraction

import librosa
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.tones import RATE, sound
from unrolled.data.features import audio_augment, log_mel, normalization
from unrolled.data.features.audio_augment import augment
from unrolled.data.features.log_mel import Mel

MEL = Mel(RATE, 40)


@pytest.mark.parametrize(("rate", "bands"), [(8000, 40), (16000, 40), (16000, 80), (44100, 64), (8000, 128)])
def test_frames_are_librosas(rate: int, bands: int):
    mel, samples = Mel(rate, bands), sound("abca", rate=rate)
    made = log_mel.log_mel(mel, samples)
    size, triangles = log_mel.filters(mel)
    theirs = librosa.filters.mel(sr=rate, n_fft=size, n_mels=bands, fmin=20, htk=True, norm=None, dtype=float)
    np.testing.assert_allclose(triangles, theirs, atol=1e-6)
    # librosa sets a window in the middle of its transform, and ours begins with it.
    before = (size - mel.window) // 2
    padded = np.pad(samples.astype(float), (before, size - mel.window - before))
    power = librosa.feature.melspectrogram(
        y=padded, sr=rate, n_fft=size, win_length=mel.window, hop_length=mel.start(1), window="hann", center=False,
        n_mels=bands, fmin=20, htk=True, norm=None,
    )  # fmt: skip
    assert made.shape == (mel.frames(len(samples)), bands)
    np.testing.assert_allclose(made, np.log(power.T[: len(made)] + log_mel.FLOOR), atol=2e-4)


ODD_RATES = (1_000, 8_000, 11_025, 12_345, 16_000, 22_050, 44_100, 47_999)


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(ODD_RATES), st.lists(st.integers(0, 700), max_size=8))
def test_chunks_are_the_whole(rate: int, sizes: list[int]):
    mel = Mel(rate, 8)
    samples = np.random.default_rng(0).standard_normal(sum(sizes) + 1500).astype(np.float32)
    usual = normalization.initial_stats([0.0] * 8, [1.0] * 8)
    whole = log_mel.log_mel(mel, samples)
    smooth, _ = normalization.normalize_running(usual, whole)
    rest, state, at, parts, done = np.zeros(0, np.float32), usual, 0, [], 0
    for size in [*sizes, 1500]:
        frames, rest = log_mel.frames(mel, rest, samples[at : at + size], done)
        done += len(frames)
        made, state = normalization.normalize_running(state, frames)
        parts.append(made)
        at += size
    np.testing.assert_allclose(np.concatenate(parts), smooth, atol=1e-5)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(ODD_RATES) | st.integers(1_000, 384_000), st.integers(0, 200_000))
def test_frame_i_begins_at_10_ms_times_i_at_any_rate(rate: int, frame: int):
    mel = Mel(rate, 8)
    exact = Fraction(frame * rate, 100)
    assert abs(mel.start(frame) - exact) <= Fraction(1, 2)
    if rate % 100 == 0:
        assert mel.start(frame) == exact
    end = mel.start(frame) + mel.window
    assert mel.whole_windows(end) == frame + 1 and mel.whole_windows(end - 1) == frame


@pytest.mark.parametrize("rate", [8_000, 11_025])
def test_a_click_after_ten_minutes_is_in_its_frame(rate: int):
    mel = Mel(rate, 8)
    samples = np.zeros(610 * rate, np.float32)
    samples[round(600.1234 * rate)] = 1.0
    loud = np.flatnonzero(log_mel.log_mel(mel, samples).max(axis=1) > -5) * log_mel.HOP
    assert len(loud) and np.abs(loud - 600.1234).max() <= log_mel.WINDOW


def test_frames_are_those_of_windows_cut_by_hand():
    for rate in (8000, 16000, 11025):
        for count in (3, 5000, 30_000):
            samples = np.random.default_rng(count).standard_normal(count).astype(np.float32)
            mel = Mel(rate, 40)
            power = [
                np.abs(
                    np.fft.rfft(
                        samples[math.floor(i * rate / 100 + 0.5) :][: mel.window]
                        * np.hanning(mel.window + 1)[:-1],
                        log_mel.filters(mel)[0],
                    )
                )
                ** 2
                for i in range(max(0, mel.whole_windows(count)))
            ]
            if power:
                expected = np.log(np.array(power) @ log_mel.filters(mel)[1].T + log_mel.FLOOR)
                np.testing.assert_allclose(log_mel.log_mel(mel, samples), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("samples", "frames"), [(0, 0), (1, 1), (199, 1), (200, 1), (279, 1), (280, 2), (8000, 98)]
)
def test_how_many_frames(samples: int, frames: int):
    assert MEL.frames(samples) == frames == len(log_mel.log_mel(MEL, np.ones(samples, np.float32)))


USUAL = normalization.initial_stats([-3.0] * 40, [2.0] * 40)


def test_silence_is_finite_and_loudness_does_not_matter():
    silent = log_mel.log_mel(MEL, np.zeros(4000, np.float32))
    assert np.isfinite(silent).all()
    assert np.abs(normalization.normalize_utterance(USUAL, silent)).max() == 0.0
    assert normalization.normalize_utterance(USUAL, silent[:0]).shape == (0, 40)
    loud = sound("abc")
    np.testing.assert_allclose(
        normalization.normalize_utterance(USUAL, log_mel.log_mel(MEL, loud)),
        normalization.normalize_utterance(USUAL, log_mel.log_mel(MEL, loud * 3)),
        atol=0.15,  # but for the floor
    )


def test_a_short_sound_keeps_what_tells_it_and_a_long_one_loses_what_it_was_recorded_with():
    low, high = (np.where((np.arange(40) < 20) == below, 0.0, -6.0) for below in (True, False))
    noise = np.random.default_rng(0).standard_normal((30_000, 40))
    short = [normalization.normalize_utterance(USUAL, noise[:30] + bands) for bands in (low, high)]
    assert short[0][:, :20].mean() > 0.7 > -0.7 > short[0][:, 20:].mean()
    assert np.abs(short[0] - short[1]).mean() > 1.4  # two sounds of half the bands each are two
    long = [normalization.normalize_utterance(USUAL, noise + bands) for bands in (low, high)]
    assert np.abs(long[0] - long[1]).mean() < 0.1
    np.testing.assert_allclose(long[0].std(axis=0), 1.0, atol=0.1)


def test_the_running_mean_forgets_and_never_looks_ahead():
    usual = normalization.initial_stats([0.0], [1.0])
    x = np.concatenate([np.full((50, 1), 5.0), np.full((3000, 1), -2.0)]) + np.sin(np.arange(3050))[:, None]
    made, _ = normalization.normalize_running(usual, x)
    assert abs(made[-300:].mean()) < 0.1 and 0.7 < made[-300:].std() < 1.3
    some, _ = normalization.normalize_running(usual, x[:60])
    np.testing.assert_array_equal(some, made[:60])


def test_another_microphone_favours_bands_of_every_frame_alike(monkeypatch: pytest.MonkeyPatch):
    for name, nothing in (("SPEED", 0.0), ("PITCH", 0.0), ("NOISY", 0.0), ("TIMES", 0), ("BANDS", 0)):
        monkeypatch.setattr(audio_augment, name, nothing)
    x = normalization.normalize_utterance(USUAL, log_mel.log_mel(MEL, sound("ab"))).astype(np.float64)
    favoured = np.stack([augment(x, np.random.default_rng(seed)) - x for seed in range(30)])
    np.testing.assert_allclose(favoured, favoured[:, :1].repeat(len(x), axis=1), atol=1e-5)
    assert np.abs(favoured).max() <= audio_augment.FAVOUR + 1e-5
    assert np.abs(np.diff(favoured, axis=2)).max() < 0.1  # from band to band, but
    assert np.median(np.ptp(favoured[:, 0], axis=1)) > 0.3  # not all bands alike


def test_augmentation_repeats_and_keeps_its_bounds():
    x = normalization.normalize_utterance(USUAL, log_mel.log_mel(MEL, sound("abcabc")))
    before = x.copy()
    one, again = (augment(x, np.random.default_rng((1, 2, 3))) for _ in range(2))
    np.testing.assert_array_equal(one, again)
    np.testing.assert_array_equal(x, before)
    lengths = set()
    for seed in range(50):
        other = augment(x, np.random.default_rng(seed))
        assert other.dtype == np.float32 and other.shape[1] == 40 and np.isfinite(other).all()
        assert 0.87 * len(x) <= len(other) <= 1.13 * len(x)
        lengths.add(len(other))
    assert len(lengths) > 5
    assert augment(x[:1], np.random.default_rng(0)).shape == (1, 40)
    assert augment(x[:0], np.random.default_rng(0)).shape == (0, 40)
