"""Tunes as events: there and back without loss, what is learnt, transposed, cut and composed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.networks import spec_of
from support.small_models import refused, run
from support.small_tunes import band, tune
from support.tolerances import FLOAT32
from unrolled.core.config import DataConfig
from unrolled.core.errors import DataError, UsageError
from unrolled.core.types import DRUMS, Example, Note, Place, Tune
from unrolled.data.features.note_events import (
    END,
    Changes,
    events_of,
    name_of,
    nearest_tempo,
    quantised,
    tempo_of,
    tune_of,
    waits,
)
from unrolled.data.media.midi import midi_bytes, parse_midi, read_midi
from unrolled.datasets.example_source import from_files
from unrolled.datasets.windows import split_windows
from unrolled.inference.composition import CompositionOptions, Player, compose
from unrolled.inference.open_model import open_trained
from unrolled.inference.predictor import forward
from unrolled.models.engines.numpy_engine import NumpyEngine
from unrolled.models.initial_weights import initialise
from unrolled.tasks.inputs.notes import OFF, ON, SETTINGS, NoteInput, learn_notes, note_input, transposed

PLACE = Place(Path("made"), 1)


TICKS = st.integers(0, 2000)
NOTES = st.lists(
    st.tuples(
        TICKS,
        st.integers(1, 900),
        st.integers(50, 56),
        st.integers(1, 127),
        st.sampled_from((0, 1, 2, DRUMS)),
    ),
    min_size=1,
    max_size=25,
)
TEMPOS = st.lists(st.tuples(TICKS, st.floats(1, 1000)), max_size=3)
METERS = st.lists(st.tuples(TICKS, st.integers(1, 20), st.sampled_from((1, 2, 4, 8, 16, 3))), max_size=3)


def same(one: Tune, other: Tune) -> bool:
    """Whether two tunes on grids of their own are the same."""
    a, b = quantised(one, 24)[0], quantised(other, 24)[0]
    used = sorted({note.voice for note in a.notes} - {DRUMS})
    programs = [a.programs[voice] for voice in used] == [b.programs[voice] for voice in used]
    return (a.notes, a.tempos, a.meters) == (b.notes, b.tempos, b.meters) and programs


@given(NOTES, st.sampled_from((1, 7, 96, 120, 480)), TEMPOS, METERS)
@settings(max_examples=60)
def test_what_is_on_the_grid_comes_back_from_events_and_from_a_file(notes, beat, tempos, meters):
    played = (Note(at, at + length, *rest) for at, length, *rest in notes)
    made = Tune(tuple(played), beat, (3, 40, 73), tuple(sorted(tempos)), tuple(sorted(meters)))
    flat, changes = quantised(made, 24)
    assert changes.notes == len(flat.notes) + changes.doubled
    back = tune_of(events_of(flat), 24)
    assert same(back, flat)
    assert quantised(back, 24)[1] == Changes(len(flat.notes), 0, 0, 0)
    assert same(parse_midi(midi_bytes(back), Path("x")), flat)


@given(
    st.lists(
        st.tuples(st.sampled_from(("on", "off", "wait", "voice", "velocity", "hit")), st.integers(0, 31))
    )
)
@settings(max_examples=60)
def test_any_events_are_a_tune_whose_notes_end(events: list[tuple[str, int]]):
    found = tune_of([(kind, value % 15 if kind == "voice" else value) for kind, value in events], 24)
    assert all(note.start < note.end for note in found.notes)
    flat, changes = quantised(found, 24)
    assert changes.moved == changes.cut == 0
    assert same(tune_of(events_of(flat), 24), flat)


def test_what_quantisation_does_is_counted():
    notes = (
        Note(0, 10, 60, 64, 0),
        Note(0, 20, 60, 64, 0),
        Note(10, 30, 60, 64, 0),
        Note(13, 13 + 24, 62, 64, 0),
    )
    flat, changes = quantised(Tune(notes, 48), 24)
    assert changes == Changes(notes=4, moved=1, doubled=1, cut=1)
    assert [(n.start, n.end, n.pitch) for n in flat.notes] == [(0, 5, 60), (5, 15, 60), (7, 19, 62)]
    assert waits(200) == [("wait", 96), ("wait", 96), ("wait", 8)]
    assert tempo_of(nearest_tempo(120)) == 120 and abs(tempo_of(nearest_tempo(97)) / 97 - 1) < 0.011


def learnt(*genres: str, transpose: int = 2) -> NoteInput:
    examples = [Example(tune(genre, n), None, PLACE) for genre in genres for n in range(3)]
    return learn_notes(examples, DataConfig(transpose=transpose))[0]


def test_every_event_has_an_id_of_its_own_and_unknown_settings_the_nearest():
    notes = learnt("march", "waltz")
    events = [notes.event(number) for number in range(notes.n_events)]
    assert [notes.number(event) for event in events] == list(range(notes.n_events))
    assert len({name_of(event) for event in events}) == notes.n_events and events[0] == END
    assert notes.event(notes.number(("program", 42)) or 0) == ("program", 40)
    assert notes.event(notes.number(("meter", 6 * 256 + 8)) or 0) == ("meter", 3 * 256 + 4)
    assert notes.number(("hit", 38)) is None
    assert note_input(json.loads(json.dumps(notes.to_json()))) == notes
    march = tune("march", 9)
    for one, count in ((march, 0), (replace(march, programs=(1, 40)), 1)):
        assert notes.unknown(one, notes.encode(one)) == count


@pytest.mark.parametrize(
    "name, value",
    [("grid", 0), ("transpose", 99), ("low", 100), ("settings", [["on", 3]]), ("genres", ["a", "a"]), ("more", 1),
     ("settings", [["voice", 1 << 70]]), ("genres", None)],
)  # fmt: skip
def test_what_is_damaged_is_refused(name: str, value: object):
    with pytest.raises(DataError, match="damaged"):
        note_input({**learnt("march").to_json(), name: value})


def test_x_is_y_one_step_late_with_the_genre_at_every_step():
    notes = learnt("march", "waltz")
    x, y = notes.encode(tune("waltz", 1)), notes.numbers(tune("waltz", 1))
    assert x[0].tolist() == [-1, notes.n_events + 1, notes.n_events + 4] and y[-1] == 0
    assert (x[1:, 0] == y[:-1]).all() and (x[:, 1] == notes.n_events + 1).all()
    assert learnt("march", transpose=0).width == 2
    with pytest.raises(DataError, match=r"unknown genre"):
        notes.encode(replace(tune("waltz", 1), genre="polka"))


def test_transposition_moves_pitches_alike_and_tells_how_far():
    notes = learnt("march", "waltz")
    x, y = notes.encode(tune("march", 1)), notes.numbers(tune("march", 1))
    seen = set[int]()
    for chance in range(200):
        new_x, new_y = transposed(notes, x, y, np.random.default_rng(chance))
        moved = y[(y >= ON) & (y < SETTINGS)] != 0
        shift = (new_y - y)[(y >= ON) & (y < SETTINGS)]
        assert moved.any() and len(set(shift.tolist())) == 1
        assert (new_x[1:, 0] == new_y[:-1]).all() and new_x[0, 0] == -1
        assert (new_y[(y < ON) | (y >= SETTINGS)] == y[(y < ON) | (y >= SETTINGS)]).all()
        told = set(new_x[:, 2].tolist())
        assert told == {notes.n_events + 4 + shift[0]} and max(told) < notes.n_x
        assert set(new_x[:, 1].tolist()) in ({-1}, {notes.n_events})
        seen.add(int(shift[0]))
    assert seen == {-2, -1, 0, 1, 2}


def test_long_rows_are_cut_and_every_step_asked_once():
    from unrolled.datasets.example_store import EncodedExample

    row, counts = EncodedExample(np.arange(23), np.arange(1, 24), PLACE), []
    found = list(split_windows([row], 8, counts))
    assert counts == [3] and [len(one.x) for one in found] == [8, 10, 9]
    assert np.concatenate([one.y[one.y >= 0] for one in found]).tolist() == list(range(1, 24))
    assert list(split_windows([row], 23, counts)) == [row] and counts == [3, 1]


def test_genres_come_from_folders_and_from_tables(tmp_path: Path):
    from unrolled.core.config import build

    config = build("compose")
    found = [example.x.genre for example in from_files([band().test], config).examples()]
    assert found == ["march"] * 4 + ["waltz"] * 4
    table = tmp_path / "tunes.csv"
    for number in range(2):
        (tmp_path / f"{number}.mid").write_bytes(midi_bytes(tune("march", number)))
    table.write_text("midi,genre\n0.mid,a\n1.mid,b\n")
    assert [example.x.genre for example in from_files([table], config).examples()] == ["a", "b"]
    table.write_text("midi,genre\n0.mid,a\nnone.mid,b\n")
    with pytest.raises(DataError, match=r"tunes\.csv:3: no such file: 'none.mid'"):
        list(from_files([table], config).examples())


def test_it_is_learnt_better_than_by_counting_events():
    metrics = json.loads(run("evaluate", band().model, band().test, "--json").out)
    model = open_trained(band().model)
    every = [
        np.asarray(model.input.encode(e.x))[1:, 0] for e in from_files([band().test], model.config).examples()
    ]
    counts = np.unique(np.concatenate(every), return_counts=True)[1]
    entropy = -float((counts / counts.sum() * np.log(counts / counts.sum())).sum())
    assert metrics["loss"] < 0.5 * entropy and metrics["notes"] > 100
    told = run("predict", band().model, band().test).lines[0].split("\t")
    assert len(told) == 5 and float(told[1]) < 4
    record = json.loads(run("predict", band().model, band().test, "--format", "jsonl").lines[0])
    assert sum(n["surprise"] for n in record["notes"]) + record["end"] == pytest.approx(
        -record["log_probability"]
    )


def test_both_engines_say_and_compose_the_same():
    slow, quick = open_trained(band().model), open_trained(band().model, "torch")
    made = tune("waltz", 200)
    assert np.abs(forward(slow, made) - forward(quick, made)).max() <= 10 * FLOAT32["forward"]
    options = CompositionOptions(count=2, genre="waltz", bars=4, seed=5)
    assert list(compose(slow, options)) == list(compose(quick, options))


def test_tunes_are_composed_in_their_genre_and_end():
    model = open_trained(band().model)
    for genre, beats in (("march", 4), ("waltz", 3)):
        for made in compose(model, CompositionOptions(count=4, genre=genre, bars=8, seed=1, temperature=0.8)):
            assert made.meters[0][1:] == (beats, 4) and made.genre == genre
            assert max(note.end for note in made.notes) <= (8 * beats + 8) * made.beat
            assert parse_midi(midi_bytes(made), Path("x")).notes == made.notes
            mean = np.mean([note.pitch for note in made.notes if note.voice == 0])
            assert (mean > 73) == (genre == "waltz")


def test_nonsense_left_out_makes_an_end_no_likelier():
    """Else a network that waits for the end of a note which does not sound would end the tune instead."""
    notes = learnt("march")
    p = np.full(notes.n_events, 1e-9)
    p[OFF + 60], p[0], p[1] = 0.9, 0.06, 0.03
    spec = spec_of(n_x=notes.n_x, n_y=notes.n_events, n_a=2, embedding=2, multi_hot=notes.multi_hot)
    always = {name: np.zeros_like(value) for name, value in initialise(spec, 0).items()}
    always["head.b_y"] = np.log(p / p.sum()).astype(np.float32)
    player = Player(NumpyEngine(spec, always), notes, CompositionOptions())
    state = player.start(1)
    for event in (ON + 60, 1, OFF + 60):  # a note of one step, and nothing sounds
        answers, _, state = player.step(state, np.array([event]))
    p = np.exp(answers[0])
    assert p[0] == pytest.approx(0.06 / 0.99, rel=1e-4) and p[OFF + 60] == 0
    assert p[1] == pytest.approx(1 - p[0], rel=1e-4)


def test_notes_begin_where_notes_of_the_training_part_do():
    model = open_trained(band().model)
    given: Any = model.input
    assert given.onsets == (0, 12)  # quarters and eighths
    ends = set[int]()
    for made in compose(
        model, CompositionOptions(count=3, bars=64, seed=2, temperature=6)
    ):  # wild: waits of any length
        plain = quantised(made, 24)[0]
        assert {note.start % 24 for note in plain.notes} <= {0, 12}
        ends |= {note.end % 24 for note in plain.notes}
    assert len(ends) > 2, "only beginnings are held to it"


def test_wishes_are_kept(tmp_path: Path):
    model = open_trained(band().model)
    prompt = tune("march", 300, bars=2)
    options = CompositionOptions(
        prompt=prompt, genre="march", bars=6, low=62, high=69, scale=frozenset((2, 4, 5, 7, 9)), seed=2
    )
    (found,) = compose(model, options)
    grown = quantised(found, 24)[0].notes
    own = quantised(prompt, 24)[0].notes
    assert set(own) <= set(grown) and len(grown) > len(own)
    for note in set(grown) - set(own):
        assert 62 <= note.pitch <= 69 and note.pitch % 12 in (2, 4, 5, 7, 9)
    (short,) = compose(model, CompositionOptions(seconds=2.0, seed=4))
    assert max(note.end for note in short.notes) / short.beat <= 2 * 2 + 4
    again = list(compose(model, CompositionOptions(count=2, bars=4, seed=9)))
    assert (
        again[:1] == list(compose(model, CompositionOptions(count=1, bars=4, seed=9)))
        and again[0] != again[1]
    )
    with pytest.raises(UsageError, match=r"unknown genre .polka.; expected march, waltz$"):
        list(compose(model, CompositionOptions(genre="polka")))
    with pytest.raises(UsageError):
        CompositionOptions(low=70, high=60)


def test_bad_files_stop_training_unless_they_may_be_skipped(tmp_path: Path):
    folder = tmp_path / "tunes"
    folder.mkdir()
    (folder / "good.mid").write_bytes(midi_bytes(tune("march", 1)))
    (folder / "bad.mid").write_bytes(b"MThd and no more")
    command = (
        "train",
        "compose",
        folder,
        "--out",
        tmp_path / "m",
        "--epochs",
        1,
        "--hidden",
        8,
        "--threads",
        1,
    )
    assert "bad.mid:1: damaged MIDI file" in refused(run(*command))
    done = run(*command, "--skip-bad", 1)
    assert done.code == 0 and "skipped" in done.err and "bad.mid:1" in done.err
    assert "grid" in refused(run("train", "classify", folder, "--out", tmp_path / "n", "--grid", 12))
    assert "MIDI files contain tunes" in refused(
        run("train", "classify", folder / "good.mid", "--out", tmp_path / "n")
    )


@pytest.mark.data
def test_real_files_come_back_whole(data: Path):
    files = sorted((data / "music" / "nottingham" / "MIDI").glob("*.mid"))
    for file in files[::26]:
        flat, changes = quantised(read_midi(file), 24)
        assert changes.cut == 0 and changes.doubled <= 4  # notes of no length on others
        assert same(parse_midi(midi_bytes(tune_of(events_of(flat), 24)), file), flat)


def test_the_doctor_tells_every_file_that_is_dropped_or_changed_with_its_reason(tmp_path: Path):
    folder = tmp_path / "tunes"
    folder.mkdir()
    (folder / "good.mid").write_bytes(midi_bytes(tune("march", 1)))
    (folder / "same.mid").write_bytes(midi_bytes(tune("march", 1)))
    (folder / "bad.mid").write_bytes(b"MThd and no more")
    (folder / "off.mid").write_bytes(midi_bytes(Tune((Note(1, 300, 60, 64, 0),), 480)))
    done = run("check", "compose", folder)
    assert done.code == 2 and "bad.mid:1: damaged MIDI file" in done.out
    assert "same.mid:1: same as " in done.out and "off.mid:1: 1 of 1" in done.out
    report = json.loads(run("check", "compose", folder, "--skip-bad", 1, "--json").out)
    assert report["fatal"] is None and report["parts"]["train"]["moved"] == 1
    assert run("check", "rolls:next", folder, "--skip-bad", 1).code == 0


def test_the_estimator_composes_and_scores():
    import unrolled

    composer = unrolled.Composer(hidden=8, epochs=1, threads=1, transpose=0)
    made = [tune("march", number) for number in range(6)]
    composer.fit(made, ["march"] * 6)
    assert len(composer.sample(CompositionOptions(count=2, bars=2, genre="march"))) == 2
    assert composer.score(made) < 0 and len(composer.score_samples(made)[0]["notes"]) == len(made[0])
    loaded = unrolled.load(band().model)
    known, strange = (replace(tune("waltz", 500), genre=genre) for genre in ("waltz", "march"))
    assert loaded.score([known]) > loaded.score([strange])


def test_scores_by_the_command_line():
    file = band().test / "waltz" / "00.mid"
    told = run("score", band().model, file, "--tokens").out.rstrip("\n").split("\t")
    assert told[4] == str(file) and len(told[5].split()) == len(read_midi(file))
    assert "expected FILE: a MIDI file" in refused(run("score", band().model))
