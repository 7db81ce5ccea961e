"""Metrics against the packages that define them, on 2,000 random cases each: unseen types, empty truths and answers."""

from __future__ import annotations

import random
import warnings
from pathlib import Path
from typing import Any

import jiwer
import numpy as np
import pytest
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF
from seqeval.metrics.sequence_labeling import get_entities, precision_recall_fscore_support
from sklearn import metrics as sklearn_metrics

from unrolled.core.config import DataConfig, ModelConfig
from unrolled.core.types import Example, Place
from unrolled.tasks.metrics import bleu, classification, regression
from unrolled.tasks.metrics.edit_distance import character_errors, edits, word_errors
from unrolled.tasks.metrics.spans import Span, spans, tags_of
from unrolled.tasks.outputs.tags import Tags, learn_tags

CASES = 2_000
SCHEMES = ("bio", "iob1", "bioes")
CLOSE = 1e-12


def random_spans(chance: random.Random, length: int, types: str) -> list[Span]:
    """Spans of random types, often next to each other."""
    found: list[Span] = []
    at = 0
    while at < length:
        size = chance.randint(1, 3)
        if chance.random() < 0.6 and at + size <= length:
            found.append(Span(chance.choice(types), at, at + size))
        at += size if chance.random() < 0.7 else size + 1
    return found


def sentences(chance: random.Random, types: str, scheme: str) -> list[tuple[str, ...]]:
    """None to five sentences of one to nine tags."""
    lengths = [chance.randint(1, 9) for _ in range(chance.randint(0, 5))]
    return [tags_of(random_spans(chance, n, types), n, scheme) for n in lengths]


def learnt(scheme: str) -> Tags:
    """The tags that training with the types A and B gives."""
    rows = [random_spans(random.Random(i), 9, "AB") for i in range(30)]
    examples = [Example(("w",) * 9, tags_of(row, 9, scheme), Place(Path("t.conll"), 1)) for row in rows]
    return learn_tags(examples, DataConfig(), ModelConfig(crf=False))


LEARNT = {scheme: learnt(scheme) for scheme in SCHEMES}


def rows_that_say(output: Tags, said: tuple[str, ...]) -> np.ndarray:
    """[T, n_y] log-probabilities whose best tags are those that people write as `said`."""
    ids = output.encode(said, len(said))
    rows = np.full((len(said), output.n_y), -9.0)
    rows[np.arange(len(said)), ids] = -0.1
    return rows


def compare_with_seqeval(found: dict[str, Any], gold: list[list[str]], said: list[list[str]]) -> None:
    """Every figure of spans against seqeval's."""
    names = sorted({kind for kind, _, _ in get_entities(gold) + get_entities(said)})
    assert [*found["span_f1_by_type"]] == names
    if not names:
        assert found["span_f1"] == 0
        return
    micro = precision_recall_fscore_support(gold, said, average="micro", zero_division=0)
    ours = [found[f"span_{name}"] for name in ("precision", "recall", "f1")]
    assert ours == pytest.approx(micro[:3], abs=CLOSE)
    each = precision_recall_fscore_support(gold, said, average=None, zero_division=0)[2]
    assert [*found["span_f1_by_type"].values()] == pytest.approx(list(each), abs=CLOSE)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_spans_with_unseen_types_score_as_seqeval_scores_them(scheme):
    output, chance = LEARNT[scheme], random.Random(scheme)
    assert output.written == scheme
    for _ in range(CASES // len(SCHEMES) + 1):
        gold = sentences(chance, chance.choice(("AB", "ABC", "CD")), scheme)
        said = [tags_of(random_spans(chance, len(row), "AB"), len(row), scheme) for row in gold]
        measuring = output.meeting(gold)
        y = [measuring.encode(row, len(row)) for row in gold]
        found = measuring.figures(y, [rows_that_say(output, row) for row in said], {})
        compare_with_seqeval(found, [list(row) for row in gold], [list(row) for row in said])
        flat = [
            (a, b) for ours, theirs in zip(gold, said, strict=True) for a, b in zip(ours, theirs, strict=True)
        ]
        right = sum(a == b for a, b in flat) / len(flat) if flat else None
        assert found["accuracy"] == (right if right is None else pytest.approx(right))
        unseen = [a for a, _ in flat if a.endswith(("C", "D"))]
        assert found.get("unseen", 0) == pytest.approx(len(unseen) / max(1, len(flat)))
        seen = [not any(tag.endswith(("C", "D")) for tag in row) for row in gold]
        assert (found["loss"] is None) == (len(unseen) == len(flat)), (gold, seen)


@pytest.mark.parametrize("letters", ["BMES", "BILU"])
@pytest.mark.parametrize("separator", "-_")
def test_other_letters_and_separators_mark_the_same_spans(letters, separator):
    chance, names = random.Random(letters), dict(zip("BIES", letters, strict=True))
    for _ in range(200):
        rows = sentences(chance, "AB", "bioes")
        written = [
            tuple(names.get(tag[0], "O") + separator + tag[2:] if tag != "O" else tag for tag in row)
            for row in rows
        ]
        assert [spans(row) for row in written] == [spans(row) for row in rows]


def text(chance: random.Random, letters: str = "ab ") -> str:
    """A text of up to nine characters, sometimes empty; spaces stand alone, as jiwer has them."""
    return " ".join("".join(chance.choices(letters, k=chance.randint(0, 9))).split())


def test_error_rates_are_those_of_jiwer_with_empty_texts():
    chance = random.Random(1)
    for _ in range(CASES):
        pairs = [(text(chance), text(chance, "abé ")) for _ in range(chance.randint(1, 4))]
        truth, said = [a for a, _ in pairs], [b for _, b in pairs]
        assert word_errors(pairs).rate == pytest.approx(jiwer.wer(truth, said), abs=CLOSE)
        assert character_errors(pairs).rate == pytest.approx(jiwer.cer(truth, said), abs=CLOSE)
        theirs = jiwer.process_words(truth, said)
        ours = word_errors(pairs)
        assert ours.errors == theirs.substitutions + theirs.deletions + theirs.insertions
        assert ours.deletions - ours.insertions == theirs.deletions - theirs.insertions
    assert edits((), ()).rate == 0


def test_classes_score_as_scikit_learn_scores_them():
    rng = np.random.default_rng(2)
    for _ in range(CASES):
        n, count = int(rng.integers(2, 6)), int(rng.integers(1, 12))
        gold = rng.integers(0, n, count)
        predicted = rng.integers(0, int(rng.integers(1, n + 1)), count)
        table = classification.confusion(gold, predicted, n)
        assert classification.accuracy(table) == pytest.approx(float((gold == predicted).mean()))
        f1 = sklearn_metrics.f1_score(gold, predicted, average="macro", zero_division=0)
        assert classification.macro_f1(table) == pytest.approx(f1, abs=CLOSE)
        off = float(np.abs(gold - predicted).mean())
        assert classification.mean_absolute_error(table) == pytest.approx(off, abs=CLOSE)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of cases without a value
            kappa = sklearn_metrics.cohen_kappa_score(
                gold, predicted, labels=[*range(n)], weights="quadratic"
            )
        ours = classification.quadratic_kappa(table)
        assert ours == (0 if np.isnan(kappa) else pytest.approx(kappa, abs=1e-9))


def test_probabilities_score_as_scikit_learn_scores_them():
    rng = np.random.default_rng(3)
    for _ in range(CASES):
        n, count = int(rng.integers(2, 6)), int(rng.integers(1, 9))
        p = rng.dirichlet(np.ones(n), count)
        gold = rng.integers(0, n, count)
        loss = sklearn_metrics.log_loss(gold, p, labels=range(n))
        assert classification.log_loss(np.log(p), gold) == pytest.approx(loss, abs=1e-9)


def test_numbers_score_as_scikit_learn_scores_them():
    rng = np.random.default_rng(4)
    for _ in range(CASES):
        count, n = int(rng.integers(2, 9)), int(rng.integers(1, 4))
        gold = rng.integers(0, 3, (count, n)).astype(np.float64) * 10.0 ** rng.integers(0, 6)
        predicted = gold + rng.normal(size=(count, n)) * rng.integers(0, 2)
        ours = regression.score(gold, predicted)
        r2 = sklearn_metrics.r2_score(gold, predicted, multioutput="raw_values")
        assert ours.r2 == pytest.approx(r2, rel=1e-9, abs=1e-9)
        mae = sklearn_metrics.mean_absolute_error(gold, predicted, multioutput="raw_values")
        assert ours.mae == pytest.approx(mae, rel=1e-9)
        mse = sklearn_metrics.mean_squared_error(gold, predicted, multioutput="raw_values")
        assert ours.rmse**2 == pytest.approx(mse, rel=1e-9)


def test_translations_score_as_sacrebleu_scores_them():
    chance, words = random.Random(5), ["Der", "hund", ",", "8,2", "", "ein", "Ende.", "«so»"]
    for _ in range(CASES):
        truth, said = (
            [" ".join(chance.choices(words, k=chance.randint(0, 6))) for _ in range(3)] for _ in range(2)
        )
        lower = chance.random() < 0.5
        found = bleu.score(truth, said, lower=lower)
        for name, metric in (("bleu", BLEU(lowercase=lower)), ("chrf", CHRF(lowercase=lower))):
            assert found[name] == pytest.approx(metric.corpus_score(said, [truth]).score, abs=CLOSE)
            assert found[f"{name}_signature"] == str(metric.get_signature())
