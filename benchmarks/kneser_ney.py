"""The baseline for word models: an interpolated, modified Kneser-Ney n-gram with a closed vocabulary.

    p_k(w | h) = max(c_k(hw) - D_k(c_k(hw)), 0) / c_k(h.) + gamma_k(h) * p_{k-1}(w | h without its first word)

for k = order ... 1. The symbols:
- p_0 is uniform over the vocabulary.
- c is the count at the highest order; at lower orders it is the number of different left neighbours.
- D_k has one of three values (for count 1, 2, 3 and more), estimated from the counts of counts of order k.
- gamma_k(h) is the mass of all discounts of h, so that every p_k(. | h) sums to one.
Source: Chen & Goodman, "An empirical study of smoothing techniques for language modeling" (1998, TR-10-98).

Each line is a sentence: <begin> w_1 ... w_T <EOS>. There is only one begin symbol, as in SRILM and KenLM. A
history that would reach before it is shorter. An n-gram that starts with it has no left neighbours, so it
keeps its plain count. With more begin symbols, the model would back off through the same count several times,
and unigrams would get too little mass.

The vocabulary is that of the toolkit: <UNK>, <EOS> and the most frequent training words, ties by code point.
Words are split as with `--unit word` of the toolkit.

    python benchmarks/kneser_ney.py --train TRAIN --test TEST [--nbest LISTS.tsv] [--order 5] [--json]
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

UNK, EOS = 0, 1
WORDS = re.compile(r"\w+(?:['\u2019]\w+)*|[^\w\s]")
FALLBACK = np.array([0.0, 0.5, 1.0, 1.5])  # discounts for texts that are too small to estimate them


def split(line: str) -> list[str]:
    """Return the words and punctuation marks of a line, in order."""
    return WORDS.findall(line)


@dataclass(frozen=True)
class Order:
    """The n-grams of length k, sorted by key = number of the context * base + last word.

    The context is the first k-1 words.
    """

    keys: Ints  # [n]
    counts: Ints  # [n] count; at lower orders the number of left neighbours
    discounts: Floats  # [4] for counts 0, 1, 2, 3 and more
    totals: Floats  # [contexts] sum of the counts after each context
    gammas: Floats  # [contexts] fraction of the mass that goes to the shorter context

    def find(self, keys: Ints) -> Ints:
        """Return the numbers of the n-grams with these keys; -1 for unseen n-grams."""
        at = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return np.where(self.keys[at] == keys, at, -1)


@dataclass(frozen=True)
class KneserNey:
    """A trained model: word -> id (`<UNK>` 0, `<EOS>` 1, then by frequency), and one table per order."""

    ids: dict[str, int]
    orders: tuple[Order, ...]

    @property
    def size(self) -> int:
        """Size of the vocabulary, including the two special tokens.

        This number is also the id of the begin symbol.
        """
        return len(self.ids) + 2

    def encode(self, words: Iterable[str]) -> list[int]:
        """Return the ids of the words. Unknown words become <UNK>."""
        return [self.ids.get(word, UNK) for word in words]

    def log_probabilities(self, sentences: Sequence[Sequence[int]]) -> list[Floats]:
        """Return the log-probabilities of each sentence and its `<EOS>` in nats, [len(sentence) + 1]."""
        flat, places = _flatten(sentences, self.size)
        values = np.log(self._probabilities(flat, places))
        return [part[1:] for part in np.split(values, np.flatnonzero(places == 0)[1:])]

    def log_probability(self, sentence: str) -> float:
        """Return the log-probability in nats of one line of text, including its `<EOS>`."""
        return float(self.log_probabilities([self.encode(split(sentence))])[0].sum())

    def perplexity(self, lines: Iterable[str]) -> float:
        """Return exp of the mean negative log-probability of a token; every `<EOS>` is counted."""
        values = np.concatenate(self.log_probabilities([self.encode(split(line)) for line in lines]))
        return float(np.exp(-values.mean()))

    def distribution(self, context: Sequence[int]) -> Floats:
        """Return p(. | begin, context), [size], computed like the scores."""
        flat, places = _flatten([[*context, w] for w in range(self.size)], self.size)
        return self._probabilities(flat, places)[places == len(context) + 1]

    def _probabilities(self, flat: Ints, places: Ints) -> Floats:
        """Return the probability of each token, given the tokens before it in its sentence, [tokens].

        It is 1 for begin symbols.
        """
        base = self.size + 1
        p = np.full(len(flat), 1 / self.size)
        context = np.zeros(
            len(flat), np.int64
        )  # number of the k-1 words before each token; order 1 has one context
        for k, order in enumerate(self.orders, 1):
            found = order.find(np.where(context >= 0, context * base + flat, -1))
            count = np.where(found >= 0, order.counts[found], 0)
            # A context is used only if it was seen and does not reach before the begin symbol.
            seen = np.flatnonzero((context >= 0) & (places >= max(k - 1, 1)) & (order.totals[context] > 0))
            c, h = count[seen], context[seen]
            kept = (c - order.discounts[np.minimum(c, 3)]) / order.totals[h]
            p[seen] = kept + order.gammas[h] * p[seen]
            grams = flat if k == 1 else np.where(places >= k - 1, found, -1)
            context = np.concatenate(
                [[-1], grams[:-1]]
            )  # the k-gram that ends just before is the next context
        p[places == 0] = 1
        return p


def train(lines: Iterable[str], vocabulary_size: int = 10_000, order: int = 5) -> KneserNey:
    """Train a model. vocabulary_size: number of words, without `<UNK>` and `<EOS>`."""
    sentences = [split(line) for line in lines]
    counter = Counter(word for sentence in sentences for word in sentence)
    chosen = sorted(counter, key=lambda word: (-counter[word], word))[:vocabulary_size]
    ids = {word: i for i, word in enumerate(chosen, 2)}
    size = len(ids) + 2
    flat, places = _flatten([[ids.get(word, UNK) for word in sentence] for sentence in sentences], size)
    return KneserNey(ids, _tables(flat, places, size, order))


def _tables(flat: Ints, places: Ints, size: int, highest: int) -> tuple[Order, ...]:
    base = size + 1
    # grams[k-1][t]: number of the k-gram that ends at position t; -1 if the sentence has fewer than k tokens
    # there.
    grams, keys, first = [flat], [np.arange(base)], [np.zeros(0, np.int64)]
    raw = [np.bincount(flat, minlength=base)]
    for k in range(2, highest + 1):
        ends = np.flatnonzero(places >= k - 1)
        if not len(ends):  # no sentence is that long, so the order below is the highest and keeps its counts
            highest = k - 1
            break
        key, at, inverse, count = np.unique(
            grams[-1][ends - 1] * base + flat[ends],
            return_index=True,
            return_inverse=True,
            return_counts=True,
        )
        numbers = np.full(len(flat), -1)
        numbers[ends] = inverse
        grams.append(numbers)
        keys.append(key)
        first.append(ends[at])
        raw.append(count)
    tables: list[Order] = []
    for k in range(1, highest + 1):
        counts = raw[k - 1]
        if k < highest:  # each different (k+1)-gram is one left neighbour of the k-gram at its end
            neighbours = np.bincount(grams[k - 1][first[k]], minlength=len(counts))
            # Only an n-gram at the start of a sentence has no left neighbours; it keeps its plain count.
            begins = neighbours == 0
            counts = np.where(begins, counts, neighbours)
        if k == 1:
            counts[size] = 0  # the begin symbol is never predicted
        tables.append(_smooth(keys[k - 1], counts, base, 1 if k == 1 else len(keys[k - 2])))
    return tuple(tables)


def _smooth(keys: Ints, counts: Ints, base: int, contexts: int) -> Order:
    discounts = estimate_discounts(counts)
    context = keys // base
    totals = np.bincount(context, counts, contexts).astype(np.float64)
    freed = np.bincount(context, discounts[np.minimum(counts, 3)], contexts)
    gammas = np.divide(freed, totals, out=np.ones(contexts), where=totals > 0)
    return Order(keys, counts, discounts, totals, gammas)


def estimate_discounts(counts: Ints) -> Floats:
    """Return D(0), D(1), D(2), D(3+) from the counts of counts n_1 ... n_4 (Chen & Goodman)."""
    n = np.bincount(np.minimum(counts, 5), minlength=6).astype(np.float64)
    if not n[1:5].all():
        return FALLBACK
    y = n[1] / (n[1] + 2 * n[2])
    k = np.arange(1, 4)
    estimated = k - (k + 1) * y * n[2:5] / n[1:4]
    # With a discount of 0, unseen words of a context would get no mass. This happens only with small texts.
    return np.concatenate([[0.0], estimated]) if (estimated > 0).all() else FALLBACK


def _flatten(sentences: Sequence[Sequence[int]], begin: int) -> tuple[Ints, Ints]:
    """Return two arrays [tokens]: the concatenated sentences, and each token's position in its sentence.

    A sentence is begin w_1 ... w_T <EOS>.
    """
    flat = np.array([i for sentence in sentences for i in (begin, *sentence, EOS)], np.int64)
    lengths = np.array([len(sentence) + 2 for sentence in sentences], np.int64)
    starts = np.cumsum(lengths) - lengths
    return flat, np.arange(len(flat)) - np.repeat(starts, lengths)


@dataclass(frozen=True)
class NBest:
    """How often the true hypothesis of a list has the highest score."""

    lists: int
    # If k hypotheses share the highest score and the true one is among them, the list counts 1/k.
    accuracy: float
    tied: int  # number of lists in which the true hypothesis shares the highest score
    chance: float  # accuracy of a random choice


def read_lists(path: Path) -> dict[str, list[tuple[bool, str]]]:
    """Read the lists: name -> (whether it is true, text) of each hypothesis.

    A line is `list_id TAB is_reference TAB hypothesis`. Lines that begin with # are comments.
    """
    lists: dict[str, list[tuple[bool, str]]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            name, truth, hypothesis = line.split("\t")
            lists.setdefault(name, []).append((truth == "1", hypothesis))
    return lists


def choose(lists: Sequence[Sequence[bool]], scores: Sequence[Sequence[float]], near: float = 1e-9) -> NBest:
    """Return the accuracy of choosing the highest score in each list.

    Hypotheses that differ only in unknown words have the same score. The order in the file must not decide,
    so such a list counts 1/k, the expected value of a random choice. Scores within `near` (relative) are
    equal.
    """
    right, tied, chance = 0.0, 0, 0.0
    for truths, values in zip(lists, scores, strict=True):
        highest = max(values)
        winners = [
            truth for truth, v in zip(truths, values, strict=True) if highest - v <= near * abs(highest)
        ]
        right += sum(winners) / len(winners)
        tied += len(winners) > 1 and any(winners)
        chance += sum(truths) / len(truths)
    return NBest(len(lists), right / len(lists), tied, chance / len(lists))


def rescore(model: KneserNey, lists: Sequence[Sequence[tuple[bool, str]]]) -> NBest:
    """Return the choices of the model in n-best lists."""
    flat = model.log_probabilities([model.encode(split(text)) for one in lists for _, text in one])
    totals = iter([float(values.sum()) for values in flat])
    return choose([[t for t, _ in one] for one in lists], [[next(totals) for _ in one] for one in lists])


def report(train_file: Path, test_file: Path, nbest: Path | None, size: int, order: int) -> dict[str, object]:
    """Train, test and rescore. Return the numbers for a table."""
    started = time.perf_counter()
    model = train(_lines(train_file), size, order)
    trained = time.perf_counter()
    sentences = [model.encode(split(line)) for line in _lines(test_file)]
    values = np.concatenate(model.log_probabilities(sentences))
    unknown = sum(sentence.count(UNK) for sentence in sentences)
    answer: dict[str, object] = {
        "order": order,
        "vocabulary": model.size,
        "perplexity": float(np.exp(-values.mean())),
        "nats_per_token": float(-values.mean()),
        "tokens": len(values),
        "unknown_share": unknown / len(values),
        "n_grams": [int((table.counts > 0).sum()) for table in model.orders],
        "discounts": [[round(float(d), 4) for d in table.discounts[1:]] for table in model.orders],
        "train_seconds": round(trained - started, 2),
        "test_seconds": round(time.perf_counter() - trained, 2),
    }
    if nbest is not None:
        answer["nbest"] = asdict(rescore(model, list(read_lists(nbest).values())))
    return answer


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").removesuffix("\n").split("\n")


def main() -> int:
    """Print the results as lines of text or as one JSON object."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--train", type=Path, required=True, metavar="F", help="one sentence per line")
    parser.add_argument("--test", type=Path, required=True, metavar="F", help="one sentence per line")
    parser.add_argument(
        "--nbest", type=Path, metavar="TSV", help="list_id, is_reference (0 or 1), hypothesis"
    )
    parser.add_argument("--vocab-size", type=int, default=10_000, metavar="N")
    parser.add_argument("--order", type=int, default=5, metavar="K")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    answer = report(options.train, options.test, options.nbest, options.vocab_size, options.order)
    if options.json:
        print(json.dumps(answer))
    else:
        for name, value in answer.items():
            print(f"{name:16} {value}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
