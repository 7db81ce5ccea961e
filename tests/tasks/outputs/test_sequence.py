"""The output `sequence`: what is compared with what when answers are measured."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

from unrolled.core.config import DataConfig, ModelConfig
from unrolled.core.types import Example, Place
from unrolled.models.decoding.beam_search import Hypothesis
from unrolled.tasks.outputs.sequence import PLAIN, Candidate, Found, Sequences, learn_sequence

WORDS = st.lists(
    st.sampled_from(
        ["8,2", "Euro", "(ja)", '"so"', "l'eau", "10:30", "a-b", "«x»", "Ende.", "-", "你好\uff0c世界"]
    )
)
TEXTS = st.lists(WORDS.map(" ".join).filter(bool), min_size=1, max_size=8)


def learnt(texts: list[str], unit: str, lower: bool = False) -> Sequences:
    """The output learnt of such targets."""
    examples = [Example("x", text, Place(Path("t.tsv"), i)) for i, text in enumerate(texts, 2)]
    return learn_sequence(examples, DataConfig(unit=unit, lower=lower), ModelConfig())


def right(output: Sequences, text: str) -> Found:
    """The answer in which every token is right."""
    return Found((Candidate(Hypothesis(tuple(output.encode(text, 1)[:-1].tolist()), -1.0, -1.0)),), 1.0, 1)


@given(TEXTS, st.sampled_from(["word", "white", "char", "subword"]))
def test_right_tokens_are_a_right_text(texts, unit):
    output = learnt(texts, unit)
    found = [right(output, text) for text in texts]
    assert [output.told(one, (), PLAIN).text for one in found] == texts
    figures = output.figures(texts, found, {})
    assert (figures["exact"], figures["cer"], figures["token_error_rate"]) == (1.0, 0.0, 0.0)
    assert figures["bleu"] == pytest.approx(BLEU().corpus_score(texts, [texts]).score)


@pytest.mark.parametrize("unit", ["word", "subword"])
def test_scores_of_a_lower_cased_model_say_that_case_is_ignored(unit):
    texts = ["Der Hund sieht EINEN Baum", "Die Katze mag den Mond", "Er hat 8,2 Euro und einen Hut"] * 3
    output = learnt(texts, unit, lower=True)
    found = [right(output, text) for text in [*texts[1:], texts[0]]]
    said = [output.told(one, (), PLAIN).text for one in found]
    figures = output.figures(texts, found, {})
    assert said[0] == texts[1].lower()
    assert figures["bleu"] == pytest.approx(BLEU(lowercase=True).corpus_score(said, [texts]).score)
    assert figures["chrf"] == pytest.approx(CHRF(lowercase=True).corpus_score(said, [texts]).score)
    assert "case:lc" in figures["bleu_signature"] and "case:lc" in figures["chrf_signature"]


def test_nothing_measured_is_no_loss_of_zero():
    output = learnt(["a b"], "word")
    figures = output.figures([], [], {})
    assert figures["loss"] is None and figures["perplexity"] is None and figures["exact"] is None
