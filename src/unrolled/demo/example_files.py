"""Example files for a first training: support tickets, tagged sentences, machine sensors and a text.

The package makes all of them up, so that every example of the documentation runs on a fresh machine. The same seed
gives the same files.
"""

from __future__ import annotations

import csv
import io
import math
import random
from collections.abc import Callable, Iterator
from pathlib import Path

from unrolled.core.atomic_files import refuse_to_overwrite, write_atomically
from unrolled.core.values.example_values import elements
from unrolled.demo.sentence_maker import NAME, make

TICKETS, SENTENCES, RUNS, STEPS = 400, 500, 120, 30
SEED = 0

# Each ticket is an opening, a problem of its class and a closing. Some problems share their words.
OPENINGS = ("Hello,", "Hi team,", "Good morning,", "Dear support,", "Hey,", "")
CLOSINGS = ("Please help.", "Thanks!", "Can you check?", "This is urgent.", "Kind regards", "")
ITEMS = ("order", "parcel", "invoice", "account", "subscription", "refund")
PROBLEMS = {
    "billing": (
        "I was charged twice for my {item}",
        "the amount on my {item} is wrong",
        "my card was declined when I paid for the {item}",
        "I did not get the money back for my {item}",
        "why is the {item} more expensive than last month",
    ),
    "delivery": (
        "my {item} has not arrived yet",
        "the {item} came to the wrong address",
        "the box of my {item} was damaged",
        "the driver did not ring when he brought the {item}",
        "where is my {item} now, it is a week late",
    ),
    "login": (
        "I cannot sign in to see my {item}",
        "the page with my {item} asks for my password again and again",
        "I did not get the code to open my {item}",
        "my password for the {item} page is wrong after the update",
        "the app closes when I open my {item}",
    ),
}
# State of a machine: mean and standard deviation of the vibration, its period in steps, and the drift of temperature.
STATES = {"idle": (0.2, 0.1, 0, 0.00), "running": (1.0, 0.3, 8, 0.02), "worn": (1.0, 0.3, 5, 0.06)}


def write_examples(folder: Path, *, force: bool = False) -> list[Path]:
    """Write tickets.csv, names.conll, machine.csv and sentences.txt into a folder. Return their paths.

    Raises UsageError if one of them exists and `force` is not given, StorageError if the disk refuses.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / name for name in FILES]
    for path in paths:
        refuse_to_overwrite(path, force=force)
    for path, text in zip(paths, (make_text() for make_text in FILES.values()), strict=True):
        write_atomically(path, text.encode())
    return paths


def tickets() -> str:
    """A CSV file with the columns text and label. One ticket in twenty has the label of another class."""
    rng = random.Random(SEED)
    labels = list(PROBLEMS)
    rows = [("text", "label")]
    for _ in range(TICKETS):
        label = rng.choice(labels)
        problem = rng.choice(PROBLEMS[label]).format(item=rng.choice(ITEMS))
        text = " ".join(filter(None, (rng.choice(OPENINGS), problem + ".", rng.choice(CLOSINGS))))
        rows.append((text, rng.choice(labels) if rng.random() < 0.05 else label))
    return _csv(rows)


def names() -> str:
    """A CoNLL file: one word and its tag per line, a blank line after each sentence. Names of persons are PER."""
    lines: list[str] = []
    for example in make(SEED, SENTENCES, "train"):
        inside = False
        for word, tag in zip(elements(example.x), elements(example.y), strict=True):
            named = tag == NAME
            lines.append(f"{word} {('I-PER' if inside else 'B-PER') if named else 'O'}")
            inside = named
        lines.append("")
    return "\n".join(lines)


def machine() -> str:
    """A CSV file with the columns run, vibration, temperature and state: one row per step, 30 steps per run."""
    rng = random.Random(SEED)
    rows: list[tuple[str, ...]] = [("run", "vibration", "temperature", "state")]
    for run in range(RUNS):
        state = rng.choice(list(STATES))
        mean, spread, period, drift = STATES[state]
        temperature, phase = rng.gauss(40, 2), rng.random()
        for step in range(STEPS):
            wave = math.sin(2 * math.pi * (step / period + phase)) if period else 0.0
            temperature += rng.gauss(drift, 0.1)
            vibration = mean * (1 + 0.5 * wave) + rng.gauss(0, spread)
            rows.append((f"run{run:03}", f"{vibration:.3f}", f"{temperature:.2f}", state))
    return _csv(rows)


def sentences() -> str:
    """A text: one sentence per line."""
    texts = (" ".join(map(str, elements(example.x))) for example in make(SEED + 1, 4 * SENTENCES, "train"))
    return "\n".join((*texts, ""))


FILES: dict[str, Callable[[], str]] = {
    "tickets.csv": tickets,
    "names.conll": names,
    "machine.csv": machine,
    "sentences.txt": sentences,
}


def commands(folder: Path) -> Iterator[str]:
    """A training with each file, as a command line."""
    for task, name, more in (
        ("classify", "tickets.csv", " --epochs 15"),
        ("tag", "names.conll", " --epochs 15"),
        ("numbers:label", "machine.csv", " --columns y=state,by=run --epochs 30"),
        ("language", "sentences.txt", " --epochs 5"),
    ):
        yield f"unrolled train {task} {folder / name}{more} --out {Path(name).stem}.model"


def _csv(rows: list[tuple[str, ...]]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue()
