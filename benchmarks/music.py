"""Music: what the event format loses, what a model composes, and published results on piano rolls.

    python benchmarks/music.py trip [FOLDER]                  convert every file to events and back
    python benchmarks/music.py tunes [FOLDER] --minutes 15
    python benchmarks/music.py rolls [FOLDER] --minutes 10    88 independent keys per step, as published
    python benchmarks/music.py chords [FOLDER] --minutes 10   the same steps, note by note
    python benchmarks/music.py genres [FOLDER] --minutes 10

For `trip` and `tunes`, the folder has the Nottingham tunes as MIDI files. For the others, it has
JSB_Chorales.mat and Nottingham.mat. `tunes` holds out every tenth tune. It compares intervals, durations and
pitch classes of new melodies with those of the held-out tunes (Jensen-Shannon distance, base 2), and does the
same for a Markov chain of order three.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from results import data_folder, finish, parser, record, toolkit
from unrolled.core.errors import UnrolledError
from unrolled.core.types import Note, Tune
from unrolled.data.features.note_events import events_of, name_of, quantised, tune_of
from unrolled.data.media.midi import midi_bytes, read_midi
from unrolled.inference.tune_report import Known, melody_of, report
from unrolled.tasks.inputs.rolls import LOWEST

GRID = 24
EVERY = 10  # one of this many tunes is held out
ORDER = 3
COUNT = 20
PUBLISHED = {"JSB_Chorales": (8.33, 7.72), "Nottingham": (3.25, 2.92)}  # an LSTM, the best recurrent network
# Number of tunes per genre; equal, so that no genre is more frequent.
ALIKE = {"train": 229, "test": 76, "new": 50}
KEYS = range(-5, 7)  # semitones by which `chords` transposes its training pieces
HEARD = 300  # number of events of a tune that the classifier reads

Histograms = dict[str, Counter[int]]


def trip(files: Sequence[Path]) -> list[dict[str, Any]]:
    """Return one row: how many tunes are the same after conversion to events and back, and the grid's
    changes.
    """
    same = notes = moved = doubled = cut = events = 0
    for file in files:
        plain, changes = quantised(read_midi(file), GRID)
        told = events_of(plain)
        back = quantised(tune_of(told, GRID), GRID)[0]
        same += (back.notes, back.tempos, back.meters) == (plain.notes, plain.tempos, plain.meters)
        notes, moved, events = notes + changes.notes, moved + changes.moved, events + len(told)
        doubled, cut = doubled + changes.doubled, cut + changes.cut
    return [
        {
            "tunes": len(files),
            "the same": same,
            "notes": notes,
            "moved to the grid": moved,
            "left out": doubled,
            "cut": cut,
            "events": events,
        }
    ]


def histograms(melodies: Iterable[Any]) -> Histograms:
    """Return the counts of intervals, durations and pitch classes of melodies, [notes, 3]."""
    found: Histograms = {"interval": Counter(), "duration": Counter(), "pitch class": Counter()}
    for one in melodies:
        found["interval"].update(np.diff(one[:, 2]).tolist())
        found["duration"].update(one[:, 1].tolist())
        found["pitch class"].update((one[:, 2] % 12).tolist())
    return found


def distance(one: Counter[int], other: Counter[int]) -> float:
    """Return the Jensen-Shannon distance, base 2, from 0 to 1."""
    keys = sorted(set(one) | set(other))
    p, q = (np.array([counts[key] for key in keys], float) for counts in (one, other))
    p, q = p / p.sum(), q / q.sum()
    middle = (p + q) / 2

    def against(a: Any) -> float:
        there = a > 0
        return float((a[there] * np.log2(a[there] / middle[there])).sum())

    return ((against(p) + against(q)) / 2) ** 0.5


def markov(melodies: Sequence[Any], lengths: Sequence[int], seed: int) -> list[Any]:
    """Sample melodies from a Markov chain over (pitch, duration) of order ORDER, with back-off."""
    follow: dict[tuple[Any, ...], list[tuple[int, int]]] = defaultdict(list)
    for one in melodies:
        notes = [(int(pitch), int(lasts)) for _, lasts, pitch in one.tolist()]
        for i, note in enumerate(notes):
            for order in range(min(ORDER, i) + 1):
                follow[tuple(notes[i - order : i])].append(note)
    chance, found = random.Random(seed), []
    for length in lengths:
        notes = []
        while len(notes) < length:
            history = tuple(notes[-ORDER:])
            while history not in follow:
                history = history[1:]
            notes.append(chance.choice(follow[history]))
        found.append(np.array([(0, lasts, pitch) for pitch, lasts in notes]))
    return found


def tunes(files: Sequence[Path], options: argparse.Namespace) -> list[dict[str, Any]]:
    """Train, compose twenty tunes, and measure them."""
    import mido

    work: Path = options.work
    for part, chosen in (("train", [f for i, f in enumerate(files) if i % EVERY]), ("test", files[::EVERY])):
        (work / part).mkdir(parents=True, exist_ok=True)
        for file in chosen:
            shutil.copy(file, work / part / file.name)
    trained = toolkit(
        "train", "compose", work / "train", "--minutes", f"{options.minutes:g}", "--seed", str(options.seed),
        "--out", work / "model", "--force", *options.extra,
    )  # fmt: skip
    metrics = json.loads(toolkit("evaluate", work / "model", work / "test", "--json").out)
    shutil.rmtree(work / "new", ignore_errors=True)
    toolkit(
        "sample", work / "model", "--count", str(COUNT), "--seed", str(options.seed), "--output", work / "new"
    )
    made = sorted((work / "new").glob("*.mid"))
    for file in made:
        mido.MidiFile(file)
    new = [read_midi(file) for file in made]
    old = {
        part: [read_midi(file) for file in sorted((work / part).glob("*.mid"))] for part in ("train", "test")
    }
    known = Known(old["train"], GRID)
    told = [report(tune, GRID, known) for tune in new]
    own = [copied for one in told if (copied := one["copy_bars"]) > max(4, one["shared_bars"])]
    melodies = {name: [melody_of(t, GRID) for t in some] for name, some in [("new", new), *old.items()]}
    chain = markov(melodies["train"], [len(one) for one in melodies["new"]], options.seed)
    truth = histograms(melodies["test"])
    return [
        {
            "minutes": options.minutes,
            "seconds": round(trained.seconds),
            "nats an event": metrics["loss"],
            "tunes": len(new),
            "on the grid": _on_grid(new),
            "before 64 bars": sum(one["bars"] < 64 for one in told),
            "lowest": min(note.pitch for tune in new for note in tune.notes),
            "highest": max(note.pitch for tune in new for note in tune.notes),
            "copied 8-note passages": float(np.mean([one["copied_share"] for one in told])),
            "longest copy (notes)": max(one["longest_copy"] for one in told),
            "copies of one tune over 4 bars": len(own),
            **{
                f"{name}: {who}": distance(found[name], truth[name])
                for who, found in (("model", histograms(melodies["new"])), ("chain", histograms(chain)))
                for name in truth
            },
        }
    ]


def _on_grid(some: Sequence[Tune]) -> float:
    """Return the fraction of onsets on sixteenths or triplets."""
    starts = [note.start % GRID for tune in some for note in quantised(tune, GRID)[0].notes]
    return float(np.mean([start % (GRID // 4) == 0 or start % (GRID // 3) == 0 for start in starts]))


def rolls(folder: Path, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Return one row per data set: the negative log-likelihood per step, as published."""
    found: list[dict[str, Any]] = []
    for name, (lstm, best) in PUBLISHED.items():
        home, model = options.work / name, options.work / f"{name}.model"
        steps = {part: write_rolls(folder, name, part, home / part) for part in ("train", "valid", "test")}
        toolkit(
            "train", "rolls:next", home / "train", "--valid", home / "valid",
            "--minutes", f"{options.minutes:g}", "--seed", str(options.seed), "--out", model, "--force",
            *options.extra,
        )  # fmt: skip
        metrics = json.loads(toolkit("evaluate", model, home / "test", "--json").out)
        found.append(
            {"rolls": name, **metrics, "steps in the file": steps["test"], "LSTM": lstm, "best": best}
        )
        print(json.dumps(found[-1]), file=sys.stderr, flush=True)
    return found


def write_rolls(folder: Path, name: str, part: str, home: Path, most: int | None = None) -> int:
    """Write the rolls of a part of a data set as MIDI files. Return their number of steps."""
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    matrices = read_matrices(folder, name, part)[:most]
    for number, matrix in enumerate(matrices):
        (home / f"{number:04}.mid").write_bytes(midi_bytes(tune_of_roll(matrix)))
    return sum(len(matrix) for matrix in matrices)


def read_matrices(folder: Path, name: str, part: str) -> Any:
    """Return the rolls of a part of a data set, each [steps, 88]."""
    from scipy.io import loadmat

    return loadmat(folder / f"{name}.mat")[f"{part}data"][0]


def chords(folder: Path, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Return one row per data set: the same steps, with a language model that predicts note by note.

    A step is its notes from low to high and the word `.`. Each roll is one text, so the log-likelihood of the
    text is that of the roll. The training part has every piece in twelve keys, and a first word gives the
    transposition. That word and the end of a piece are not counted, because the published results have
    nothing like them.
    """
    found: list[dict[str, Any]] = []
    for name in PUBLISHED:
        home, model = options.work / f"{name}.chords", options.work / f"{name}.chords.model"
        home.mkdir(parents=True, exist_ok=True)
        steps = {
            part: write_chords(folder, name, part, home / f"{part}.txt", KEYS if part == "train" else (0,))
            for part in ("train", "valid", "test")
        }
        toolkit(
            "train", "language", home / "train.txt", "--valid", home / "valid.txt", "--unit", "white",
            "--documents", "line", "--minutes", f"{options.minutes:g}", "--seed", str(options.seed),
            "--out", model, "--force", *options.extra,
        )  # fmt: skip
        scored = toolkit("score", model, home / "test.txt", "--tokens", "--format", "jsonl").out
        texts = [json.loads(line) for line in scored.splitlines()]
        nats = [-sum(token["log_probability"] for token in text["token_scores"][1:-1]) for text in texts]
        means = [total / count for total, count in zip(nats, steps["test"], strict=True)]
        found.append(
            {
                "chords": name,
                "nats a step": sum(nats) / sum(steps["test"]),
                "mean of the pieces": float(np.mean(means)),
                "steps": sum(steps["test"]),
                "unknown": sum(text["unknown"] for text in texts),
            }
        )
        print(json.dumps(found[-1]), file=sys.stderr, flush=True)
    return found


def write_chords(folder: Path, name: str, part: str, file: Path, keys: Iterable[int]) -> list[int]:
    """Write the rolls of a part of a data set as a text. Return the number of steps of each piece.

    Each piece is one line per key (in semitones): the key, then for each step its notes and a dot.
    """
    matrices = [np.asarray(matrix) > 0 for matrix in read_matrices(folder, name, part)]
    lines = [
        " ".join([f"{key:+}", *(" ".join([*map(str, np.flatnonzero(step) + key), "."]) for step in matrix)])
        for key in keys
        for matrix in matrices
    ]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return [len(matrix) for matrix in matrices]


def genres(folder: Path, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Compose chorales and folk tunes with one model, and classify them with a model trained on real ones.

    All files are written from piano rolls, so that the two genres differ only in their notes.
    """
    home: Path = options.work / "genres"
    for name in PUBLISHED:
        for part in ("train", "test"):
            write_rolls(folder, name, part, home / part / name, ALIKE[part])
    toolkit(
        "train", "compose", home / "train", "--minutes", f"{options.minutes:g}", "--seed", str(options.seed),
        "--out", home / "composer", "--force", *options.extra,
    )  # fmt: skip
    for name in PUBLISHED:
        shutil.rmtree(home / "new" / name, ignore_errors=True)
        toolkit(
            "sample", home / "composer", "--genre", name, "--count", str(ALIKE["new"]), "--output",
            home / "new" / name, "--seed", str(options.seed),
        )  # fmt: skip
    tables = {part: in_words(home / part) for part in ("train", "test", "new")}
    toolkit(
        "train", "classify", tables["train"], "--unit", "white", "--seed", str(options.seed),
        "--out", home / "classifier", "--force", *options.extra,
    )  # fmt: skip
    measured = {
        part: json.loads(toolkit("evaluate", home / "classifier", tables[part], "--json").out)
        for part in ("test", "new")
    }
    rows = {"real tunes held out": measured["test"], "composed": measured["new"]}
    return [
        {"tunes": name, "count": found["sequences"], "genre recognised": found["accuracy"]}
        for name, found in rows.items()
    ]


def in_words(folder: Path) -> Path:
    """Write a table of the first events of the tunes, one word per event, with the name of their folder."""
    table = folder.with_suffix(".tsv")
    lines = ["text\tlabel"]
    for file in sorted(folder.rglob("*.mid")):
        events = events_of(quantised(read_midi(file), GRID)[0])[:HEARD]
        lines.append(" ".join(name_of(one).replace(" ", "_") for one in events) + f"\t{file.parent.name}")
    table.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return table


def tune_of_roll(matrix: Any) -> Tune:
    """Return the tune of a roll [steps, 88] with four steps per quarter note.

    Consecutive steps become one note.
    """
    notes: list[Note] = []
    edges = np.diff(np.pad(np.asarray(matrix) > 0, ((1, 1), (0, 0))).astype(int), axis=0)
    for key in range(edges.shape[1]):
        starts, ends = (np.flatnonzero(edges[:, key] == sign).tolist() for sign in (1, -1))
        notes += [Note(a * 120, b * 120, LOWEST + key, 80, 0) for a, b in zip(starts, ends, strict=True)]
    ordered = sorted(notes, key=lambda note: (note.start, note.voice, note.pitch))
    return Tune(tuple(ordered), 480, (0,), ((0, 120.0),), ((0, 4, 4),), None)


ROLLS = {"rolls": rolls, "chords": chords, "genres": genres}


def main() -> int:
    options = _options()
    try:
        if options.part in ROLLS:
            folder = options.folder or data_folder(None, "music") / "music" / "poly_mat"
            data = [folder / f"{name}.mat" for name in PUBLISHED]
            rows = ROLLS[options.part](folder, options)
        else:
            folder = options.folder or data_folder(None, "music") / "music" / "nottingham"
            files = sorted(folder.rglob("*.mid"))
            data = files[:1]
            parts: dict[str, Callable[[], list[dict[str, Any]]]] = {
                "trip": lambda: trip(files),
                "tunes": lambda: tunes(files, options),
            }
            rows = parts[options.part]()
    except UnrolledError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    settings = {"minutes": options.minutes, "seed": options.seed, "extra": options.extra}
    finish(record(f"music {options.part}", data, settings=settings, rows=rows), rows, options.json)
    return 0


def _options() -> argparse.Namespace:
    made = parser(__doc__)
    made.add_argument("part", choices=("trip", "tunes", *ROLLS))
    made.add_argument("folder", type=Path, nargs="?", help="folder of the data")
    made.add_argument(
        "--minutes", type=float, default=15, metavar="M", help="time for each training (%(default)s)"
    )
    made.add_argument("--seed", type=int, default=0)
    made.add_argument("--work", type=Path, default=Path("runs/music"), metavar="DIR", help="folder for files")
    made.add_argument(
        "--extra", nargs=argparse.REMAINDER, default=[], help="more options of `unrolled train`"
    )
    return made.parse_args()


if __name__ == "__main__":
    sys.exit(main())
