"""Small labelled data and models of it, trained once in a process: for tests of what people do with such models."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from support.small_models import apart, temporary

GOOD, BAD = ("good", "great", "fine", "lovely"), ("bad", "awful", "poor", "broken")
OTHER = ("the", "a", "soup", "chair", "was", "is", "very", "and", "then", "it")
NAMES = ("anna", "bob", "carla", "dan", "eve", "frank", "grace", "hans")
TRAIN = ("--threads", "1", "--seed", "3", "--deterministic")


def review(chance: random.Random) -> tuple[str, int]:
    """A text, and how many of its two judgements are good: 0, 1 or 2."""
    stars = chance.choice((0, 1, 2))
    judged = [chance.choice(GOOD) for _ in range(stars)] + [chance.choice(BAD) for _ in range(2 - stars)]
    words = judged + chance.choices(OTHER, k=chance.randint(1, 9))
    chance.shuffle(words)
    return " ".join(words), stars


def write_reviews(path: Path, count: int, seed: int = 0) -> Path:
    """A table of text, label (like, meh, hate), stars and a number that follows from them."""
    chance = random.Random(seed)
    rows = ["text,label,stars,price"]
    for _ in range(count):
        text, stars = review(chance)
        rows.append(
            f'"{text}, indeed",{("hate", "meh", "like")[stars]},{stars},{10 * stars + len(text) / 100}'
        )
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


def sentence(chance: random.Random) -> list[tuple[str, str]]:
    """Words and tags; a name of one or two words follows `mister`, and the same words elsewhere are none."""
    pairs: list[tuple[str, str]] = []
    for _ in range(chance.randint(1, 3)):
        pairs += [(word, "O") for word in chance.choices((*OTHER, *NAMES), k=chance.randint(1, 4))]
        if chance.random() < 0.7:
            names = chance.sample(NAMES, k=chance.randint(1, 2))
            pairs.append(("mister", "O"))
            pairs += [(name, "B-PER" if i == 0 else "I-PER") for i, name in enumerate(names)]
            pairs.append(("came", "O"))
    return pairs


def write_conll(path: Path, count: int, seed: int = 0) -> Path:
    """Sentences, a word and its tag a line."""
    chance = random.Random(seed)
    blocks = ("\n".join(f"{word}\t{tag}" for word, tag in sentence(chance)) for _ in range(count))
    path.write_text("\n\n".join(blocks) + "\n", encoding="utf-8")
    return path


def write_vectors(path: Path, width: int = 5, seed: int = 0) -> Path:
    """Word vectors as text: random numbers for the words of `sentence`, and for a few words that it never writes."""
    chance = random.Random(seed)
    words = dict.fromkeys(word for _ in range(50) for word, _ in sentence(chance))
    rows = (
        " ".join((word, *(f"{chance.gauss(0, 1):.4f}" for _ in range(width))))
        for word in (*words, "moon", "sun")
    )
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


def write_sensors(path: Path, count: int, seed: int = 0) -> Path:
    """Series of two numbers a step, of 4 to 30 steps: a slow or a quick wave; `high` marks steps above 0."""
    chance = random.Random(seed)
    rows = ["run,left,right,kind,high"]
    for run in range(count):
        kind = chance.choice(("slow", "quick"))
        phase, speed = chance.uniform(0, 6.28), {"slow": 0.3, "quick": 1.5}[kind]
        for t in range(chance.randint(4, 30)):
            left = math.sin(phase + speed * t) + chance.gauss(0, 0.1)
            right = math.cos(phase + speed * t) + chance.gauss(0, 0.1)
            rows.append(f"r{run},{left:.4f},{right:.4f},{kind},{'up' if left > 0 else 'down'}")
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


def write_series(path: Path, steps: int, seed: int = 0) -> Path:
    """One long series of two waves."""
    chance = random.Random(seed)
    rows = [f"{math.sin(t / 3):.4f},{2 + math.cos(t / 5) + chance.gauss(0, 0.02):.4f}" for t in range(steps)]
    path.write_text("\n".join(["heat,flow", *rows]) + "\n", encoding="utf-8")
    return path


@dataclass(frozen=True)
class Kind:
    """A task on small data: `train` and `test` files, options, and the metric with what the trivial answer gets."""

    task: str
    train: Path
    test: Path
    options: tuple[str, ...]
    metric: str
    trivial: float
    model: Path

    @property
    def command(self) -> tuple[str, ...]:
        """Its training."""
        return ("train", self.task, str(self.train), "--out", str(self.model), *self.options, *TRAIN)


@cache
def kinds() -> dict[str, Kind]:
    """Every kind, trained."""
    home = temporary()
    reviews = write_reviews(home / "reviews.csv", 400), write_reviews(home / "more.csv", 60, 1)
    tagged = write_conll(home / "train.conll", 300), write_conll(home / "test.conll", 40, 1)
    sensors = write_sensors(home / "sensors.csv", 220), write_sensors(home / "others.csv", 40, 1)
    series = write_series(home / "series.csv", 900), write_series(home / "later.csv", 200, 1)
    small, run = ("--hidden", "16"), "by=run,x=left+right"
    table = (
        ("label", "classify", reviews, (*small, "--epochs", "12"), "accuracy", 0.5),
        (
            "rating",
            "classify",
            reviews,
            (*small, "--epochs", "8", "--ordinal", "--columns", "y=stars", "--pooling", "attention"),
            "kappa",
            0.3,
        ),
        ("names", "tag", tagged, (*small, "--epochs", "10"), "span_f1", 0.5),
        (
            "forward",
            "tag",
            tagged,
            (*small, "--epochs", "16", "--dropout", "0.1", "--no-bidirectional", "--no-crf"),
            "span_f1",
            0.5,
        ),
        ("number", "tokens:number", reviews, (*small, "--epochs", "12", "--columns", "y=price"), "r2", 0.3),
        (
            "waves",
            "numbers:label",
            sensors,
            (*small, "--epochs", "12", "--columns", f"{run},y=kind"),
            "accuracy",
            0.65,
        ),
        (
            "steps",
            "numbers:tags",
            sensors,
            (*small, "--epochs", "6", "--columns", f"{run},y=high"),
            "accuracy",
            0.65,
        ),
        (
            "forecast",
            "numbers:number",
            series,
            (*small, "--epochs", "8", "--horizon", "3", "--history", "12"),
            "r2",
            0.3,
        ),
        ("log", "numbers:next", series, (*small, "--epochs", "20", "--history", "16"), "r2", 0.3),
    )
    found = {
        name: Kind(task, files[0], files[1], options, metric, trivial, home / name)
        for name, task, files, options, metric, trivial in table
    }
    apart(*(kind.command for kind in found.values()))
    return found
