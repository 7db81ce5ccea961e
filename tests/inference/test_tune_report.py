"""What of a tune stands in others: against brute force, in other keys, and real samples of the command line."""

from __future__ import annotations

import io
import json
import random
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import mido
import numpy as np
import pytest

from support.small_models import nothing_new, refused, run
from support.small_tunes import band, tune
from unrolled.core.types import Note, Tune
from unrolled.data.media.midi import midi_bytes, read_midi
from unrolled.inference.piano_roll_svg import bars, svg
from unrolled.inference.tune_report import Known, report
from unrolled.tasks.metrics.melody_copying import beats, copied, corpus, loop, melody, share


def made(pairs: list[tuple[int, int]]) -> np.ndarray:
    """A melody of (pitch, duration), one after the other."""
    at, found = 0, []
    for pitch, duration in pairs:
        found.append((at, duration, pitch))
        at += duration
    return np.array(found, dtype=np.int64).reshape(-1, 3)


def brute(one: np.ndarray, others: list[np.ndarray]) -> list[int]:
    """For each note the longest passage that ends there and stands elsewhere, by trying all."""

    def form(passage: np.ndarray) -> tuple:
        return tuple(np.diff(passage[:, 2]).tolist()), tuple(passage[:, 1].tolist())

    known = {
        form(other[i:j]) for other in others for i in range(len(other)) for j in range(i + 1, len(other) + 1)
    }
    return [
        max((j - i for i in range(j) if form(one[i:j]) in known), default=0) for j in range(1, len(one) + 1)
    ]


def test_copied_passages_are_those_that_brute_force_finds():
    chance = random.Random(5)
    for _ in range(30):
        tunes = [
            made([(chance.randint(60, 63), chance.randint(1, 2)) for _ in range(chance.randint(1, 14))])
            for _ in range(4)
        ]
        best, second = copied(tunes[0], corpus(tunes[1:]))
        assert best.tolist() == brute(tunes[0], tunes[1:])
        each = sorted(zip(*(brute(tunes[0], [other]) for other in tunes[1:]), strict=True))
        assert sorted(second.tolist()) == sorted(sorted(row)[-2] for row in each)


def test_another_key_is_no_hiding_place_and_another_rhythm_is():
    own = [(60 + step, 2) for step in (0, 2, 4, 5, 7, 5, 4, 2, 0, 7)]
    moved = made([(pitch + 5, duration) for pitch, duration in own])
    best, second = copied(made(own), corpus([moved]))
    assert best[-1] == 10 and share(best) == 1 and (second == 0).all()
    assert beats(made(own), best, 4)[-1] == 5
    rested = made(own)
    rested[5:, 0] += 100  # a rest, which is no part of the copy
    assert beats(rested, copied(rested, corpus([moved]))[0], 4)[-1] == 5
    slower = made([(pitch, 3) for pitch, _ in own])
    assert copied(made(own), corpus([slower]))[0].max() == 0
    assert copied(made(own), corpus([]))[0].max() == 0 and share(best[:3]) == 0


def test_the_melody_has_nothing_above_it():
    notes = [(0, 8, 40), (0, 4, 60), (2, 4, 50), (4, 8, 62), (8, 9, 41)]
    assert melody(notes).tolist() == [[0, 4, 60], [4, 4, 62], [8, 1, 41]]


def test_loops_are_counted():
    assert loop(made([(60, 1), (62, 1)] * 5)) == (2, 5)
    assert loop(made([(60 + i, 1) for i in range(9)])) == (0, 1)
    assert loop(made([])) == (0, 1)


def test_a_report_of_a_tune_that_is_known_says_so():
    known = Known((tune("march", 1), tune("waltz", 1)), 24)
    found = report(tune("march", 1), 24, known)
    assert found["copied_share"] == 1 and found["copy_bars"] == 4 and found["bars"] == 4
    assert found["seconds"] == 8 and found["longest_copy"] == 16


def test_pictures_show_every_note_and_bar():
    drawn = tune("waltz", 1)
    root = ElementTree.fromstring(svg(drawn, "a < b & c"))
    shapes = [child for child in root if child.get("rx")]
    assert len(shapes) == len(drawn.notes)
    lines = [child for child in root if child.tag.endswith("line")]
    assert len(lines) == len(list(bars(drawn, drawn.notes[-1].end))) == 4
    ElementTree.fromstring(svg(Tune((Note(0, 1, 38, 1, 15),), 4)))
    assert list(bars(Tune((), 4, meters=((16, 3, 4),)), 40)) == [0, 16, 28]


def test_samples_are_files_that_any_player_opens(tmp_path: Path):
    new = tmp_path / "new"
    command = (
        "sample",
        band().model,
        "--count",
        3,
        "--output",
        new,
        "--genre",
        "waltz",
        "--length",
        6,
        "--seed",
        2,
    )
    done = run(*command, "--against", band().train, "--format", "jsonl")
    assert done.code == 0, done.err
    records = [json.loads(line) for line in done.lines]
    assert [Path(record["file"]).name for record in records] == ["1.mid", "2.mid", "3.mid"]
    for record in records:
        file = mido.MidiFile(file=io.BytesIO(Path(record["file"]).read_bytes()))
        assert file.length > 0 and record["genre"] == "waltz" and 0 <= record["copied_share"] <= 1
        assert record["bars"] <= 8 and record["longest_copy"] > 0
        ElementTree.fromstring(Path(record["file"]).with_suffix(".svg").read_text())
    with nothing_new(tmp_path):
        assert "exists already" in refused(run(*command))
    assert run(*command, "--force").out.startswith(f"{new / '1.mid'}: ")
    (tmp_path / "known").mkdir()
    whole = sorted(band().train.rglob("*.mid"))[0].read_bytes()
    (tmp_path / "known" / "a.mid").write_bytes(whole)
    (tmp_path / "known" / "b.mid").write_bytes(whole[: len(whole) // 2])
    done = run(*command, "--force", "--against", tmp_path / "known")
    assert done.code == 0 and f"note: not compared: {tmp_path / 'known' / 'b.mid'}" in done.err


def test_prompts_keys_and_ranges_by_the_command_line(tmp_path: Path):
    prompt = tmp_path / "prompt.mid"
    prompt.write_bytes(midi_bytes(tune("march", 400, bars=1)))
    options = ("--prompt", prompt, "--length", "8s", "--key", "C major", "--range", "C2-D5")
    done = run("sample", band().model, "--output", tmp_path / "new", *options)
    assert done.code == 0, done.err
    found = read_midi(tmp_path / "new" / "1.mid")
    assert {note.pitch % 12 for note in found.notes} <= {0, 2, 4, 5, 7, 9, 11}
    assert max(note.pitch for note in found.notes) <= 74 and 36 in {n.pitch for n in found.notes}


@pytest.mark.parametrize(
    "options, reason",
    [
        ((), "no folder for the tunes"),
        (("--output", "new", "--genre", "polka"), "unknown genre 'polka'; expected march, waltz"),
        (("--output", "new", "--length", "long"), "expected bars such as 16, or seconds"),
        (("--output", "new", "--length", "0"), "at least 0.25"),
        (("--output", "new", "--key", "H moll"), "expected a key"),
        (("--output", "new", "--range", "C4"), "expected LOW-HIGH"),
        (("--output", "new", "--range", "C5-C4"), "low to high"),
        (("--output", "new", "--prompt", "none.mid"), "no such file"),
        (("--output", "new", "--count", "0"), "at least 1"),
    ],
)
def test_refusals(options: tuple[str, ...], reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    with nothing_new(tmp_path):
        assert reason in refused(run("sample", band().model, *options))
