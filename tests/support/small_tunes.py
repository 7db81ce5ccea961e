"""Small tunes of two genres, and a model of them, trained once in a process."""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from support.small_models import apart, temporary
from unrolled.core.types import Note, Tune
from unrolled.data.media.midi import midi_bytes

BEAT = 480
SCALE = (60, 62, 64, 65, 67, 69, 71, 72)


def tune(genre: str, seed: int, bars: int = 4) -> Tune:
    """A march goes up and down in quarters, 4/4, over a low C; a waltz leaps in eighths and quarters, 3/4, up high."""
    chance = random.Random(f"{genre} {seed}")
    beats, notes, at, step = (4 if genre == "march" else 3), list[Note](), 0, chance.randrange(4)
    for bar in range(bars):
        if genre == "march":
            start = bar * beats * BEAT
            notes.append(Note(start, start + beats * BEAT, 36, 80, 1))
        end = (bar + 1) * beats * BEAT
        while at < end:
            length = BEAT if genre == "march" else chance.choice((BEAT, BEAT // 2))
            length = min(length, end - at)
            step = (step + (1 if genre == "march" else chance.choice((-2, 2, 3)))) % len(SCALE)
            pitch = SCALE[step] + (12 if genre == "waltz" else 0)
            notes.append(Note(at, at + length, pitch, 90, 0))
            at += length
    ordered = sorted(notes, key=lambda note: (note.start, note.voice, note.pitch))
    return Tune(tuple(ordered), BEAT, (0, 40), ((0, 120.0),), ((0, beats, 4),), genre)


def write_tunes(folder: Path, count: int, seed: int = 0) -> Path:
    """A folder for each genre, `count` files in each."""
    for genre in ("march", "waltz"):
        (folder / genre).mkdir(parents=True)
        for number in range(count):
            (folder / genre / f"{number:02}.mid").write_bytes(midi_bytes(tune(genre, seed + number)))
    return folder


@dataclass(frozen=True)
class Band:
    """A model of tunes, and what it was trained on."""

    home: Path
    model: Path
    train: Path
    test: Path


@cache
def band() -> Band:
    """Trained."""
    home = temporary()
    train, test = write_tunes(home / "train", 24), write_tunes(home / "test", 4, seed=100)
    command = ["train", "compose", train, "--out", home / "model", "--hidden", 48, "--epochs", 60]
    command += ["--batch-size", 4, "--transpose", 2, "--dropout", 0, "--threads", 1, "--seed", 3]
    apart(command)
    return Band(home, home / "model", train, test)
