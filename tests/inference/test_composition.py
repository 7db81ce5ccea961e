"""New tunes are as long as asked, have notes, and have the tempo, meter and instrument that were asked for."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import mido
import pytest

from support.small_models import refused, run
from support.small_tunes import band, tune
from unrolled.core.errors import UsageError
from unrolled.core.types import DRUMS, Note, Tune
from unrolled.data.media.midi import midi_bytes, seconds_until
from unrolled.data.media_formats.instruments import NAMES, program_of
from unrolled.inference.composition import CompositionOptions, compose
from unrolled.inference.open_model import open_trained
from unrolled.inference.tune_report import Known, report


def model():
    return open_trained(band().model)


def end(made: Tune) -> int:
    return max(note.end for note in made.notes)


@pytest.mark.parametrize("bars", [0.5, 1, 2.5, 7])
@pytest.mark.parametrize("temperature", [0.7, 3.0])
def test_tunes_keep_to_their_bars(bars: float, temperature: float):
    for genre, beats in (("march", 4), ("waltz", 3)):
        options = CompositionOptions(
            count=6, genre=genre, bars=bars, meter=(beats, 4), temperature=temperature, seed=3
        )
        for made in compose(model(), options):
            assert made.notes and end(made) / made.beat <= bars * beats + 1e-6
    plain = list(
        compose(model(), CompositionOptions(count=6, genre="march", bars=bars, meter=(4, 4), seed=1))
    )
    assert sum(end(made) / made.beat / 4 > bars - 1 for made in plain) >= 4  # unless it ends in silence


@pytest.mark.parametrize("seconds", [1.0, 4.0, 9.5])
def test_tunes_keep_to_their_seconds(seconds: float):
    for tempo in (None, 60.0, 200.0):
        for made in compose(model(), CompositionOptions(count=4, seconds=seconds, tempo=tempo, seed=5)):
            assert made.notes and seconds_until(end(made), made.beat, made.tempos) <= seconds * 1.03


def test_no_tune_is_empty_however_it_is_drawn():
    for seed in range(12):
        for made in compose(model(), CompositionOptions(count=4, bars=0.25, temperature=5.0, seed=seed)):
            assert made.notes


def test_a_prompt_goes_on_and_leaves_room():
    prompt = tune("march", 300, bars=2)
    (made,) = compose(model(), CompositionOptions(prompt=prompt, bars=4, seed=2))
    assert 2 * 4 < end(made) / made.beat <= 16 and len(made.notes) > len(prompt.notes)
    for bars in (1, 2):
        with pytest.raises(UsageError, match=r"the prompt lasts 2\.00 bars, 4\.0 seconds; expected a longer"):
            list(compose(model(), CompositionOptions(prompt=prompt, bars=bars)))


def test_tempo_meter_and_instrument_are_as_asked(tmp_path: Path):
    options = (
        "--tempo",
        "93.5",
        "--meter",
        "3/4",
        "--instrument",
        "Cello",
        "--length",
        "4",
        "--genre",
        "march",
    )
    done = run("sample", band().model, "--output", tmp_path / "new", "--count", 3, *options)
    assert done.code == 0, done.err
    for path in sorted((tmp_path / "new").glob("*.mid")):
        messages = [message for track in mido.MidiFile(path).tracks for message in track]
        assert [m.tempo for m in messages if m.type == "set_tempo"] == [round(6e7 / 93.5)]
        assert [(m.numerator, m.denominator) for m in messages if m.type == "time_signature"] == [(3, 4)]
        assert {m.program for m in messages if m.type == "program_change"} == {NAMES.index("cello")}


def test_a_prompt_takes_the_tempo_and_meter_that_are_asked_for():
    prompt = tune("march", 300, bars=1)
    (made,) = compose(model(), CompositionOptions(prompt=prompt, bars=3, tempo=200, meter=(3, 4), program=5))
    assert made.tempos == ((0, 200),) and made.meters == ((0, 3, 4),) and set(made.programs) == {5}


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--meter", "7/8"), "meter 7/8; expected a meter of the training set: 3/4, 4/4"),
        (("--meter", "seven"), "expected a meter such as 3/4"),
        (("--tempo", "1"), "expected 15 to 480 quarter notes per minute"),
        (("--instrument", "kazoo"), "unknown instrument 'kazoo'"),
        (("--instrument", "128"), "a program from 0 to 127"),
        (("--range", "C9-D9"), "no pitch of the model is in this key and range"),
    ],
)
def test_what_cannot_be_asked_for_is_told(options: tuple[str, ...], told: str, tmp_path: Path):
    assert told in refused(run("sample", band().model, "--output", tmp_path / "new", *options))


def test_instruments_by_name_and_number():
    assert len(NAMES) == len(set(NAMES)) == 128
    found = [program_of(text) for text in ("Violin", " acoustic  grand piano", "flute", "organ", "0", "127")]
    assert found == [40, 0, 73, 16, 0, 127]


def test_what_the_prompt_has_is_not_counted_as_copied(tmp_path: Path):
    known = tune("march", 0, bars=8)
    own = Tune(
        tuple(Note(at * 480, at * 480 + 480, 60 + 5 * (at % 3), 90, 0) for at in range(32, 48)), 480, (0,)
    )
    joined = replace(known, notes=(*known.notes, *own.notes))
    corpus = Known((known,), 24)
    assert report(joined, 24, corpus)["longest_copy"] >= 30
    found = report(joined, 24, corpus, known)
    assert found["longest_copy"] < 8 and found["copied_share"] == 0 and found["notes"] == len(joined.notes)
    assert all(note.voice != DRUMS for note in known.notes)
    (tmp_path / "known").mkdir()
    for name in ("known/a.mid", "prompt.mid"):
        (tmp_path / name).write_bytes(midi_bytes(known))
    done = run(
        *("sample", band().model, "--prompt", tmp_path / "prompt.mid", "--output", tmp_path / "new"),
        *("--length", "10", "--against", tmp_path / "known", "--format", "jsonl"),
    )
    assert done.code == 0 and json.loads(done.out)["longest_copy"] < 20, done.out
