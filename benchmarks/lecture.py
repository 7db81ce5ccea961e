"""The figures of docs/lecture: each claim of the lecture, measured on small networks.

    python benchmarks/lecture.py padding|verb|gradients|first|units|teddy|cells|depth [--folder docs/lecture]

Each command trains for about two minutes on one core, prints its numbers and writes its figures (SVG).
`--tiny` trains for seconds, to test the script.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from lecture_gradients import gate, reach, saturated
from lecture_networks import (
    LAYERS,
    Connected,
    Plan,
    Recurrent,
    batches,
    neighbours,
    parameters,
    right,
    train,
    train_verbs,
    verbs,
    verbs_right,
)
from lecture_plots import Axis, bars, lines
from lecture_texts import bits, distance, first_distribution, first_words, sentences, train_library
from results import finish, parser, record

ROOT = Path(__file__).resolve().parent.parent
Row = dict[str, Any]
Figures = dict[str, str]
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
ACCURACY = Axis("accuracy", (0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0), percent=True)
NAMES = {"rnn": "RNN", "gru-simple": "simplified GRU", "gru": "GRU", "lstm": "LSTM"}


def padding(tiny: bool) -> tuple[list[Row], Figures]:
    """A fully connected network with padding against the cells, at positions that training did not have."""
    longest, steps, plan = 10, 20, Plan(20 if tiny else 1500)
    count, tests = (50, 20) if tiny else (1000, 1000)
    known = neighbours(tests, 1, longest, steps, seed=2)
    new = neighbours(tests, steps, steps, steps, seed=3)
    makers = {"fully connected": lambda: Connected(steps)}
    makers |= {NAMES[cell]: (lambda cell=cell: Recurrent(cell)) for cell in LAYERS}
    rows, series = list[Row](), dict[str, list[tuple[float, float]]]()
    for number in (count, 10 * count):
        for name, make in makers.items() if number == count else list(makers.items())[:: len(LAYERS)]:
            network = train(make, batches(neighbours(number, 1, longest, steps, seed=1), plan), plan)
            by_position = right(network, new).nanmean(0).tolist()
            row = {"network": name, "training sequences": number, "parameters": parameters(network)}
            row |= {"new sequences, length 1 to 10": float(right(network, known).nanmean())}
            row |= {"length 20, steps 1 to 10": sum(by_position[:longest]) / longest}
            row |= {"length 20, steps 11 to 20": sum(by_position[longest:]) / longest}
            rows.append(row)
            if name == "fully connected" or (name == "LSTM" and number == count):
                series[f"{name}, {number:,}"] = [(t + 1.0, share) for t, share in enumerate(by_position)]
    x = Axis("step t of a sequence of 20 steps", (1, 5, 10, 15, 20))
    marks = {"longest training sequence": float(longest)}
    return rows, {"padding": lines(series, x, ACCURACY, marks)}


def verb(tiny: bool) -> tuple[list[Row], Figures]:
    """The verb of "the cats, which ...," when training has only one distance, and when it has all shorter ones."""
    distances = (2, 5) if tiny else (5, 10, 15, 20, 30)
    seeds, steps, count = (1, 5, 20) if tiny else (3, 400, 300)
    rows, series = list[Row](), dict[str, list[tuple[float, float]]]()
    for cell, spelled in (("rnn", False), ("gru", False), ("lstm", False), ("lstm", True)):
        name = NAMES[cell] + (", characters" if spelled else "")
        points = series[name] = []
        for k in distances if not spelled else distances[:2]:
            plans = [Plan(steps, seed=seed) for seed in range(seeds)]
            found = [verbs_right(train_verbs(cell, (k, k), p, spelled), k, count, spelled) for p in plans]
            points.append((float(k), sum(found) / seeds))
            rows.append({"network": name, "training": "one distance", f"{k} words": sum(found) / seeds})
    for cell in ("rnn", "gru", "lstm"):
        network = train_verbs(cell, (1, 4 if tiny else 30), Plan(steps + steps // 2))
        shares = {f"{k} words": verbs_right(network, k, count) for k in (*distances, 60, 120)}
        rows.append({"network": NAMES[cell], "training": "all distances up to 30", **shares})
    x = Axis("words between subject and verb", (0, *distances))
    return _joined(rows), {"verb": lines(series, x, ACCURACY, dots=True)}


def _joined(rows: list[Row]) -> list[Row]:
    """Return one row for each network and training, with the columns of all its rows."""
    found: dict[tuple[str, str], Row] = {}
    for row in rows:
        found.setdefault((row["network"], row["training"]), {}).update(row)
    return list(found.values())


def gradients(tiny: bool) -> tuple[list[Row], Figures]:
    """The size of d a^<t> / d a^<t-k> (and c for an LSTM) before and after training, and the update gate."""
    steps, rows_of_x, lag = (4, 2, 6) if tiny else (600, 16, 60)
    x, _, _ = verbs(rows_of_x, (lag - 3, lag - 3), torch.Generator().manual_seed(7))
    rows, found, gates = list[Row](), dict[str, dict[str, list[float]]](), dict[str, torch.Tensor]()
    for when, number in (("at initialisation", 0), ("after training", steps)):
        for cell in LAYERS:
            network = train_verbs(cell, (1, 4 if tiny else 30), Plan(number))
            for state, sizes in reach(network, x).items():
                name = NAMES[cell] + (f", {state}" if cell == "lstm" else "")
                found.setdefault(when, {})[name] = sizes
                shown = {f"k = {k}": sizes[k] for k in (1, 5, 10, 20, 40, 60) if k <= x.shape[1]}
                rows.append({"network": name, "weights": when, **shown})
            rows[-1]["|a| above 0.9"] = saturated(network, x)
            if cell != "rnn":
                gates[f"{NAMES[cell]}, {when}"] = gate(network, x, "u")
    for name, values in gates.items():
        low, high = float((values < 0.1).float().mean()), float((values > 0.9).float().mean())
        rows.append({"network": name, "Γ_u below 0.1": low, "Γ_u above 0.9": high})
    lag_k, size = Axis("lag k", (0, 10, 20, 30, 40, 50, 60)), Axis("size of the gradient", TENS, log=True)
    figures = {
        f"gradients-{when.split()[-1]}": lines(
            {name: [(k, v) for k, v in enumerate(sizes) if v >= TENS[0]] for name, sizes in series.items()},
            lag_k,
            size,
        )
        for when, series in found.items()
    }
    return rows, figures | {"gates": _histogram(gates)}


TENS = tuple(10.0**power for power in range(-8, 2))


def _histogram(gates: Mapping[str, torch.Tensor]) -> str:
    """Return the distribution of the update gate of the two GRUs, in ten bins."""
    shown = {name: values for name, values in gates.items() if name.startswith("GRU")}
    shares = {name: (values.histc(10, 0, 1) / len(values)).tolist() for name, values in shown.items()}
    groups = [f"{low / 10:.1f}" for low in range(10)]
    return bars(
        groups,
        shares,
        Axis("share of all values", (0, 0.1, 0.2, 0.3), percent=True),
        "lower end of the bin of Γ_u",
    )


def first(tiny: bool) -> tuple[list[Row], Figures]:
    """The distribution of the first word, whose input is only zeros, against the counts of the training text."""
    from unrolled import LanguageModel

    texts, draws = sentences(60 if tiny else 4000), 1000
    counted = {word: number / len(texts) for word, number in first_words(texts).items()}
    rows, shown = list[Row](), dict[str, dict[str, float]]()
    for epochs in (1,) if tiny else (1, 2, 4, 8):
        model = LanguageModel(unit="word", hidden=8 if tiny else 64, epochs=epochs, threads=1).fit(texts)
        p = first_distribution(model)
        seen = first_words([text for text in model.sample(length=1, count=draws) if text.strip()])
        drawn = {word: number / draws for word, number in seen.items()}
        best = max(p, key=lambda word: p[word])
        rows.append(
            {"epochs": epochs, "softmax": distance(p, counted), "1,000 draws": distance(drawn, counted)}
        )
        rows[-1] |= {"always the most probable word": distance({best: 1.0}, counted), "most probable": best}
        shown = {"in the text": counted, "softmax": p, "1,000 draws": drawn}
    top = sorted(counted, key=lambda word: -counted[word])[:8]
    rows += [{"first word": word, **{k: v.get(word, 0.0) for k, v in shown.items()}} for word in top]
    series = {name: [values.get(word, 0.0) for word in top] for name, values in shown.items()}
    y = Axis("share of all sentences", (0, 0.04, 0.08, 0.12), percent=True)
    return rows, {"first": bars(top, series, y, "first word")}


def teddy(tiny: bool) -> tuple[list[Row], Figures]:
    """Taggers of names with one and with both directions, on sentences where only the next words decide."""
    from unrolled import Tagger
    from unrolled.demo.sentence_maker import make
    from unrolled.demo.sentence_words import AMBIGUOUS
    from unrolled.demo.tagger import PAIR

    learn, test = (
        (make(0, 60, "train"), make(1, 40, "test"))
        if tiny
        else (make(0, 4000, "train"), make(1, 1000, "test"))
    )
    double = {entry.split(":")[0] for entry in AMBIGUOUS["test"]}
    rows = list[Row]()
    for name, both in (("forward", False), ("both directions", True)):
        sizes = {"hidden": 8 if tiny else 64, "embedding": 8 if tiny else 64, "epochs": 1 if tiny else 4}
        tagger = Tagger(unit="white", crf=False, bidirectional=both, threads=1, **sizes)
        tagger.fit([list(one.x) for one in learn], [list(one.y) for one in learn])
        answers = tagger.predict([list(one.x) for one in test])
        pairs = list(zip(test, answers, strict=True))
        every = [a == b for one, tags in pairs for a, b in zip(one.y, tags, strict=True)]
        heads = [one.y[0] == tags[0] for one, tags in pairs if one.x[0] in double]
        p = [float(tagger.predict_proba([words.split()])[0][0][1]) for words in PAIR]
        row = {"tagger": name, f"p(name): {PAIR[0]}": p[0], f"p(name): {PAIR[1]}": p[1]}
        row |= {f"right, {len(heads)} ambiguous first words": sum(heads) / len(heads)}
        rows.append(row | {"right, all words": sum(every) / len(every)})
    series = {row["tagger"]: list(row.values())[1:] for row in rows}
    groups = ["Teddy Roosevelt", "Teddy bears", "double words", "all words"]
    return rows, {"teddy": bars(groups, series, Axis("p(name); accuracy", SHARES, percent=True))}


def units(tiny: bool) -> tuple[list[Row], Figures]:
    """Words with small and large vocabularies against characters, after equally many passes."""
    from unrolled import LanguageModel

    learn, test = sentences(60 if tiny else 4000), sentences(20 if tiny else 500, "test")
    limit = {"epochs": 1, "hidden": 8} if tiny else {"epochs": 4, "hidden": 128}
    rows = list[Row]()
    for unit, size in [("word", size) for size in (100, 300, 1000, 3000)] + [("char", 10_000)]:
        began = time.process_time()
        model = LanguageModel(unit=unit, vocab_size=size, threads=1, **limit).fit(learn)
        spent, scores = time.process_time() - began, model.score_samples(test)
        plain, spelled, unknown = bits(model, test, learn)
        row = {"unit": unit, "vocabulary": len(model.model_.reading.vocabulary), "<UNK>": unknown}
        row |= {"steps per sentence": sum(len(one.tokens) for one in scores) / len(test)}
        row |= {"bits per character": plain, "unknown words spelled": spelled}
        rows.append(row | {"CPU seconds": spent})
    groups = [f"{row['unit']} {row['vocabulary']:,}" for row in rows]
    series = {name: [row[name] for row in rows] for name in ("bits per character", "unknown words spelled")}
    return rows, {"units": bars(groups, series, Axis("bits per character", (0, 1, 2, 3, 4)), "vocabulary")}


BUDGET = 12.0  # CPU seconds of a training of `cells` and `depth`
NATS = Axis("loss on new text", (0, 0.5, 1, 1.5, 2, 2.5, 3))


def cells(tiny: bool) -> tuple[list[Row], Figures]:
    """The four cells with equally many units: size, time, and the loss after one pass and after equal time."""
    rows = [{"cell": NAMES[cell], **_library(tiny, cell=cell)} for cell in LAYERS]
    return rows, {"cells": bars([row["cell"] for row in rows], _losses(rows), NATS)}


def depth(tiny: bool) -> tuple[list[Row], Figures]:
    """LSTMs of one, two, four and six layers: the loss after one pass over the text, and after equal time."""
    numbers = [1, 2] if tiny else [1, 2, 4, 6]
    rows = [{"layers": number, **_library(tiny, layers=number)} for number in numbers]
    return rows, {"depth": bars([str(number) for number in numbers], _losses(rows), NATS, "layers")}


def _library(tiny: bool, **options: object) -> Row:
    size, budget, units = (3_000, 0.1, 8) if tiny else (200_000, BUDGET, 128)
    return train_library(size, budget, hidden=units, **options)


def _losses(rows: list[Row]) -> dict[str, list[float]]:
    return {name: [row[f"loss, {name}"] for row in rows] for name in ("one pass", "equal time")}


FIGURES: dict[str, Callable[[bool], tuple[list[Row], Figures]]] = {
    one.__name__: one for one in (padding, first, units, verb, gradients, cells, teddy, depth)
}


def main(arguments: argparse.Namespace) -> int:
    torch.set_num_threads(1)
    rows, figures = FIGURES[arguments.figure](arguments.tiny)
    for name, svg in figures.items():
        (arguments.folder / f"{name}.svg").write_text(svg, encoding="utf-8")
    settings = {"figure": arguments.figure, "tiny": arguments.tiny, "seed": 0}
    finish(record("lecture", [], settings=settings, rows=rows), rows, arguments.json)
    return 0


def options_of(words: list[str]) -> argparse.Namespace:
    made = parser(__doc__)
    made.add_argument("figure", choices=FIGURES)
    made.add_argument("--folder", type=Path, default=ROOT / "docs" / "lecture", help="folder of the figures")
    made.add_argument("--tiny", action="store_true", help="train for seconds, to test the script")
    return made.parse_args(words)


if __name__ == "__main__":
    sys.exit(main(options_of(sys.argv[1:])))
