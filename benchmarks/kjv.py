"""Words of the King James Bible: the toolkit against a Kneser-Ney 5-gram, perplexity and n-best lists.

The source has one verse per line. It is lower-cased; the last 3,000 verses are the test part, all others the
training part. There are two versions of the text:
- `words`: punctuation is split off. For the perplexity.
- `plain`: without punctuation, like the hypotheses of the n-best lists. For choosing the true hypothesis of
  each list.

Both models read the same files with the same vocabulary (10,000 words, `<UNK>`, `<EOS>`). Nothing is held out
of the training text: the toolkit would learn its vocabulary without that part and know fewer words, and its
perplexity would be too good, because `<UNK>` is easy to predict. If the counts of tokens or of unknown tokens
still differ, the script reports it and the exit code is 1.

    python benchmarks/kjv.py [KJV.txt] [--nbest LISTS.tsv] --minutes 20 --softmax exact,adaptive --seeds 0
"""

from __future__ import annotations

import argparse
import json
import re
import shlex
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

import kneser_ney
from results import data_file, finish, parser, record, toolkit
from unrolled.core.types import ZERO_INPUT_ID
from unrolled.inference.open_model import open_language_model
from unrolled.models.decoding.sampling import distribution
from unrolled.tasks.metrics.language import total_variation

TEST_VERSES = 3_000
# The form of the n-best lists: "jesus' sake", "the king's son", no punctuation.
LETTERS = re.compile(r"[a-z']+")
TEXTS = {"words": kneser_ney.split, "plain": LETTERS.findall}


@dataclass(frozen=True)
class Pair:
    """The training file and the test file of one version of the text."""

    name: str
    train: Path
    test: Path


def prepare(source: Path, work: Path) -> dict[str, Pair]:
    """Write both versions of the text into `work`."""
    verses = source.read_text(encoding="utf-8").lower().splitlines()
    work.mkdir(parents=True, exist_ok=True)
    pairs: dict[str, Pair] = {}
    for name, words in TEXTS.items():
        lines = [" ".join(words(verse)) + "\n" for verse in verses]
        pairs[name] = Pair(name, work / f"{name}.train.txt", work / f"{name}.test.txt")
        pairs[name].train.write_text("".join(lines[:-TEST_VERSES]), encoding="utf-8")
        pairs[name].test.write_text("".join(lines[-TEST_VERSES:]), encoding="utf-8")
    return pairs


def missing_references(nbest: Path, test: Path) -> int:
    """Count the lists whose true hypothesis is not a line of the test text; 0 if the version is right."""
    lines = set(test.read_text(encoding="utf-8").splitlines())
    lists = kneser_ney.read_lists(nbest)
    return sum(not any(truth and text in lines for truth, text in one) for one in lists.values())


def kneser_ney_rows(pairs: dict[str, Pair], nbest: Path, size: int) -> Iterator[dict[str, Any]]:
    """Yield one row per version of the text for the 5-gram."""
    for pair in pairs.values():
        lists = nbest if pair.name == "plain" else None
        found = kneser_ney.report(pair.train, pair.test, lists, size, 5)
        yield {
            "text": pair.name,
            "model": "Kneser-Ney 5-gram",
            "perplexity": found["perplexity"],
            "tokens": found["tokens"],
            "unknown": found["unknown_share"],
            **_listed(found.get("nbest")),
            "train seconds": found["train_seconds"],
        }


def toolkit_row(
    pair: Pair, nbest: Path, softmax: str, seed: int, options: argparse.Namespace
) -> dict[str, Any]:
    """Train and evaluate a model. For the plain text, also rescore the lists."""
    model = options.work / f"{pair.name}.{softmax}.{seed}"
    trained = toolkit(
        "train", "language", pair.train, "--unit", "word", "--documents", "line",
        "--vocab-size", str(options.vocab_size), "--hold-out", "0", "--softmax", softmax,
        "--minutes", f"{options.minutes:g}", "--seed", str(seed), "--out", model, "--force",
        *shlex.split(options.extra),
    )  # fmt: skip
    measured = json.loads(toolkit("evaluate", model, pair.test, "--json").out)
    lists = asdict(rescore(model, nbest)) if pair.name == "plain" else None
    return {
        "text": pair.name,
        "model": f"unrolled, {softmax} softmax",
        "seed": seed,
        "perplexity": measured["perplexity"],
        "tokens": round(measured["tokens"]),
        "unknown": measured["unknown"],
        **_listed(lists),
        "first words": first_words(model, pair.train),
        "train seconds": round(trained.seconds, 1),
        "megabytes": round(model.stat().st_size / 1e6, 2),
    }


def rescore(model: Path, nbest: Path) -> kneser_ney.NBest:
    """Return the choices of the toolkit, with ties counted as for the 5-gram.

    `score` itself keeps the file order.
    """
    answers = toolkit("score", model, nbest, "--nbest", "--format", "jsonl").out.splitlines()
    scores: dict[tuple[str, str], float] = {}
    for answer in map(json.loads, answers):
        scores[answer["list"], answer["text"]] = answer["log_probability"]
    lists = kneser_ney.read_lists(nbest)
    return kneser_ney.choose(
        [[truth for truth, _ in one] for one in lists.values()],
        [[scores[name, text] for _, text in one] for name, one in lists.items()],
    )


def first_words(model: Path, train: Path) -> float:
    """Return the total variation distance of two distributions of the first word.

    They are the model's prediction from a state of zeros, and the first words of the training lines.
    """
    opened = open_language_model(model)
    vocabulary = opened.reading.vocabulary
    lines = train.read_text(encoding="utf-8").splitlines()
    firsts = [int(opened.reading.encode(line)[0]) for line in lines]
    counted = np.bincount(firsts, minlength=len(vocabulary)) / len(lines)
    log_probs, _, _ = opened.engine.step(opened.engine.start(1), np.array([ZERO_INPUT_ID]))
    return total_variation(distribution(log_probs[0]), counted)


def _listed(found: Any) -> dict[str, Any]:
    return (
        {}
        if found is None
        else {"n-best": found["accuracy"], "tied": found["tied"], "chance": found["chance"]}
    )


def differences(rows: list[dict[str, Any]]) -> list[str]:
    """Return the rows whose tokens or unknown tokens differ in number from the first row of the same text."""
    asked: dict[str, tuple[int, int]] = {}
    found: list[str] = []
    for row in rows:
        mine = (row["tokens"], round(row["unknown"] * row["tokens"]))
        first = asked.setdefault(row["text"], mine)
        if mine != first:
            found.append(
                f"{row['model']} on {row['text']}: {mine} tokens and unknown ones, the 5-gram {first}"
            )
    return found


def main() -> int:
    """Prepare the texts, run both models, print the table and the record."""
    options = _options()
    source = data_file(options.kjv, "lm_word/kjv-bible/kjv.txt")
    nbest = data_file(options.nbest, "rescoring/kjv_last3000_homophone_nbest.tsv")
    pairs = prepare(source, options.work)
    missing = missing_references(nbest, pairs["plain"].test)
    if missing:
        print(f"warning: in {missing} lists the true hypothesis is not in the test text", file=sys.stderr)
    rows = list(kneser_ney_rows(pairs, nbest, options.vocab_size))
    for seed in map(int, options.seeds.split(",")):
        for softmax in filter(None, options.softmax.split(",")):
            for text in options.texts.split(","):
                rows.append(toolkit_row(pairs[text], nbest, softmax, seed, options))
                print(json.dumps(rows[-1]), *differences(rows), sep="\n", file=sys.stderr, flush=True)
    settings = {"minutes": options.minutes, "extra": options.extra, "vocab_size": options.vocab_size}
    finish(record("kjv", [source, nbest], settings=settings, rows=rows), rows, options.json)
    unequal = differences(rows)
    if unequal:
        print("error: the models were not tested on the same tokens", *unequal, sep="\n", file=sys.stderr)
    return 1 if unequal else 0


def _options() -> argparse.Namespace:
    p = parser(__doc__)
    p.add_argument("kjv", type=Path, nargs="?", metavar="KJV.txt", help="one verse per line, in order")
    p.add_argument("--nbest", type=Path, metavar="TSV", help="list_id, is_reference, hypothesis")
    p.add_argument(
        "--work", type=Path, default=Path("runs/kjv"), metavar="DIR", help="folder for texts and models"
    )
    p.add_argument("--minutes", type=float, default=20, metavar="M", help="time for each training")
    p.add_argument("--softmax", default="exact,adaptive", help="one or both; empty: only the 5-gram")
    p.add_argument("--texts", default="words,plain", help="one or both")
    p.add_argument("--seeds", default="0", metavar="S,S...")
    p.add_argument("--vocab-size", type=int, default=10_000, metavar="N")
    p.add_argument("--extra", default="", metavar="'OPTIONS'", help="more options for `unrolled train`")
    return p.parse_args()


if __name__ == "__main__":
    sys.exit(main())
