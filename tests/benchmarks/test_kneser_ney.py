"""The 5-gram to beat: mass, a case by hand, the recursion written naively, the vocabulary and fair ties."""

from __future__ import annotations

import importlib.util
import json
import math
import subprocess
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from support.paths import ROOT

SCRIPT = ROOT / "benchmarks" / "kneser_ney.py"


def load_script(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # dataclasses look their module up there
    spec.loader.exec_module(module)
    return module


kn = load_script(SCRIPT)

corpora = st.lists(st.lists(st.sampled_from("abcde"), max_size=7).map(" ".join), min_size=1, max_size=25)


def naive(lines: list[str], keep: int, order: int):
    """The recursion of the module's docstring over dictionaries of tuples: p(word | words before it)."""
    sentences = [line.split() for line in lines]
    frequency = Counter(w for s in sentences for w in s)
    known = sorted(frequency, key=lambda w: (-frequency[w], w))[:keep]
    padded = [["<s>", *(w if w in known else "<UNK>" for w in s), "<EOS>"] for s in sentences]
    raw = [
        Counter(tuple(s[i : i + k]) for s in padded for i in range(len(s) - k + 1))
        for k in range(1, order + 2)
    ]
    counts: list[dict[tuple[str, ...], int]] = []
    for k in range(1, order + 1):
        left = Counter(gram[1:] for gram in raw[k])
        counts.append({g: c if k == order or g[0] == "<s>" else left[g] for g, c in raw[k - 1].items()})
    counts[0].pop(("<s>",))
    discount = [kn.estimate_discounts(np.array(list(c.values()) or [0])) for c in counts]

    def p(w: str, history: tuple[str, ...]) -> float:
        lower = p(w, history[1:]) if history else 1 / (len(known) + 2)
        table, d = counts[len(history)], discount[len(history)]
        after = {g[-1]: c for g, c in table.items() if g[:-1] == history}
        if not after:
            return lower
        free = sum(d[min(c, 3)] for c in after.values())
        c = after.get(w, 0)
        return (c - d[min(c, 3)] + free * lower) / sum(after.values())

    return known, lambda w, words: p(w, tuple(["<s>", *words][-(order - 1) :]) if order > 1 else ())


@settings(max_examples=60)
@example(["b d d d a a", "d", "a c", "c e", "a c b b b b", "c e d"], 3, 2)  # an estimated discount of 0
@given(corpora, st.integers(1, 6), st.integers(0, 6))
def test_equals_the_recursion_written_naively(lines: list[str], order: int, keep: int):
    model = kn.train(lines, keep, order)
    known, p = naive(lines, keep, order)
    assert list(model.ids) == known
    for line in [*lines[:3], "a b a b c e d", "", "z a z"]:
        words = [w if w in known else "<UNK>" for w in line.split()]
        expected = [math.log(p(w, words[:i])) for i, w in enumerate([*words, "<EOS>"])]
        (got,) = model.log_probabilities([model.encode(kn.split(line))])
        np.testing.assert_allclose(got, expected, rtol=1e-10, atol=1e-10)


@settings(max_examples=60)
@given(corpora, st.integers(1, 7), st.lists(st.integers(0, 6), max_size=7))
def test_every_context_has_mass_one_whatever_the_order(lines: list[str], order: int, context: list[int]):
    model = kn.train(lines, 5, order)
    context = [i for i in context if i < model.size and i != kn.EOS]
    p = model.distribution(context)
    assert p.shape == (model.size,) and (p > 0).all()
    assert p.sum() == pytest.approx(1, abs=1e-12)


def test_mass_is_one_on_running_text_at_every_order():
    rng = np.random.default_rng(0)
    words = [f"w{int(i)}" for i in rng.zipf(1.3, 4000) % 300]
    lines = [" ".join(words[i : i + 9]) for i in range(0, len(words), 9)]
    for order in range(1, 8):
        model = kn.train(lines, 200, order)
        assert (model.orders[-1].discounts[1:] > 0).all()
        for line in lines[:20]:
            ids = model.encode(line.split())
            for cut in range(len(ids)):
                assert model.distribution(ids[:cut]).sum() == pytest.approx(1, abs=1e-12)


def test_by_hand():
    """Bigram of three lines; vocabulary <UNK> <EOS> a b, so p_0 = 1/4.

    lines       a b | a a | b           with the ends: [ a b .   [ a a .   [ b .      ([ begins, . is <EOS>)
    bigrams     [a 2   [b 1   ab 1   aa 1   b. 2   a. 1
    order 2     counts of counts: n_1 = 4, n_2 = 2, n_3 = n_4 = 0, so the fallback: D(1) = 1/2, D(2) = 1
    order 1     different left neighbours: a has [ and a: 2; b has [ and a: 2; . has b and a: 2; <UNK> 0.
                the sum is 6; n_1 = 0, so the fallback again: D(2) = 1
                gamma = (1 + 1 + 1) / 6 = 1/2
                p_1(a) = p_1(b) = p_1(.) = (2 - 1) / 6 + 1/2 * 1/4 = 7/24;  p_1(<UNK>) = 1/2 * 1/4 = 3/24;  sum 24/24
    after [     c(a) = 2, c(b) = 1, sum 3, gamma = (D(2) + D(1)) / 3 = 1/2
                p(a) = (2 - 1) / 3 + 1/2 * 7/24 = 16/48 + 7/48 = 23/48
                p(b) = (1 - 1/2) / 3 + 7/48 = 8/48 + 7/48 = 15/48
                p(.) = 7/48;  p(<UNK>) = 1/2 * 3/24 = 3/48;  sum 48/48
    after a     c(a) = c(b) = c(.) = 1, sum 3, gamma = 3/2 / 3 = 1/2
                p(a) = p(b) = p(.) = (1/2) / 3 + 7/48 = 15/48;  p(<UNK>) = 3/48;  sum 48/48
    after b     c(.) = 2, sum 2, gamma = 1/2
                p(.) = (2 - 1) / 2 + 7/48 = 31/48;  p(a) = p(b) = 7/48;  p(<UNK>) = 3/48;  sum 48/48
    after <UNK> nothing was seen: p_1
    "a b"       23/48 * 15/48 * 31/48
    "z"         p(<UNK> | [) = 3/48, p(. | <UNK>) = 7/24
    """
    model = kn.train(["a b", "a a", "b"], 10, 2)
    unk, a, b = 0, model.ids["a"], model.ids["b"]
    order = ["<UNK>", "<EOS>", "a", "b"]
    assert [*order[:2], *model.ids] == order
    np.testing.assert_allclose(model.distribution([]), np.array([3, 7, 23, 15]) / 48, rtol=1e-14)
    np.testing.assert_allclose(model.distribution([a]), np.array([3, 15, 15, 15]) / 48, rtol=1e-14)
    np.testing.assert_allclose(model.distribution([a, b]), np.array([3, 31, 7, 7]) / 48, rtol=1e-14)
    np.testing.assert_allclose(model.distribution([unk]), np.array([3, 7, 7, 7]) / 24, rtol=1e-14)
    assert model.log_probability("a b") == pytest.approx(math.log(23 * 15 * 31 / 48**3), rel=1e-14)
    assert model.log_probability("z") == pytest.approx(math.log(3 / 48 * 7 / 24), rel=1e-14)
    both = 23 * 15 * 31 / 48**3 * 3 / 48 * 7 / 24  # five tokens, both <EOS> among them
    assert model.perplexity(["a b", "z"]) == pytest.approx(both ** (-1 / 5), rel=1e-14)


def test_discounts_by_hand():
    """n_1..n_4 = 6, 3, 2, 1: Y = 6/12; D(1) = 1 - 2Y 3/6, D(2) = 2 - 3Y 2/3, D(3+) = 3 - 4Y 1/2."""
    counts = np.array([1] * 6 + [2] * 3 + [3] * 2 + [4] + [9, 0, 0])
    np.testing.assert_allclose(kn.estimate_discounts(counts), [0, 0.5, 1, 2], rtol=1e-14)
    # Twice as many of count 3: D(2) = 2 - 3Y 4/3 = 0 would free nothing, so the fallback.
    np.testing.assert_array_equal(kn.estimate_discounts(np.append(counts, [3, 3])), kn.FALLBACK)


def test_lower_orders_count_neighbours_not_tokens():
    # "francisco" is as frequent as "the", but only ever follows "san": alone it is the less likely of the two.
    lines = ["san francisco", "san francisco", "san francisco", "in the", "by the", "of the"]
    model = kn.train(lines, 10, 2)
    after_unknown = model.distribution([kn.UNK])
    assert after_unknown[model.ids["the"]] > 1.5 * after_unknown[model.ids["francisco"]]


def test_the_vocabulary_is_the_toolkits():
    from unrolled.data.text.token_counter import TokenCounter

    words = [*"bbaaüüzcé"]
    counter = TokenCounter()
    counter.add(words)
    for size in range(1, 8):
        vocabulary, _ = counter.vocabulary(size)
        model = kn.train([" ".join(words)], size)
        assert tuple(model.ids) == vocabulary.tokens
        assert len(model.ids) + 2 == len(vocabulary) == model.size


def test_words_are_split_as_the_toolkit_splits_them():
    from unrolled.data.text.tokenize import split

    for line in ["and, the king's son; he said: don\u2019t!", "jesus' sake", "well-beloved 3,000 ü—é", ""]:
        assert kn.split(line) == split(line, "word", False)


def test_ties_count_as_a_fair_die():
    answer = kn.choose(
        [[True, False], [True, False], [False, True, False], [True]],
        [[-1.0, -1.0], [-2.0, -1.0], [-5.0, -1.0, -1.0 - 1e-12], [-3.0]],
    )
    assert (answer.lists, answer.tied) == (4, 2)
    assert answer.accuracy == pytest.approx((1 / 2 + 0 + 1 / 2 + 1) / 4)
    assert answer.chance == pytest.approx((1 / 2 + 1 / 2 + 1 / 3 + 1) / 4)


def test_command_line(tmp_path: Path):
    (tmp_path / "train").write_text("i see the sea\nyou see the sea\n" * 5)
    (tmp_path / "test").write_text("i see the sea\n\nwe see\n")
    (tmp_path / "lists").write_text(
        "# note\n0\t0\ti sea the see\n0\t1\ti see the sea\n1\t1\tx see\n1\t0\ty see\n"
    )
    files = [f"--{name}={tmp_path / name}" for name in ("train", "test")]
    done = subprocess.run(
        [sys.executable, SCRIPT, *files, f"--nbest={tmp_path / 'lists'}", "--json"],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    answer = json.loads(done.stdout)
    assert (answer["tokens"], answer["unknown_share"]) == (9, 1 / 9)
    assert answer["nbest"] == {"lists": 2, "accuracy": 0.75, "tied": 1, "chance": 0.5}
