"""Samples are drawn from the softmax, and never have `<UNK>` unless `--unknown` is given. README.md says:

* "writes texts or tunes: `--prompt`, `--temperature`, `--top-k`, `--top-p`, `--seed`"
"""

from __future__ import annotations

import json

import numpy as np
import pytest

import unrolled
from support.paths import GOLDEN
from support.small_models import refused, run

MODEL = GOLDEN / "format1.model"  # to which <UNK> is the most probable word after "the cat"
PROMPT = "the cat"
SAMPLE = ("sample", MODEL, "--prompt", PROMPT)


def after(prompt: str) -> dict[str, float]:
    """The probability of each token after a prompt. <UNK>0 is the unknown word; a word of the text is <UNK> too."""
    done = run("predict", MODEL, "--format", "jsonl", "--top", 99, stdin=f"{prompt}\n".encode())
    found = json.loads(done.out)["next"]
    return {
        f"{one['token']}{number if one['token'] == '<UNK>' else ''}": one["probability"]
        for number, one in enumerate(found)
    }


def first_words(*more: object, count: int = 400) -> list[str]:
    """The first word of each of many samples, without the prompt."""
    done = run(*SAMPLE, "--length", 1, "--count", count, *more)
    assert done.code == 0 and len(done.lines) == count, done.err
    return [line.removeprefix(PROMPT).strip() for line in done.lines]


def test_words_are_drawn_with_the_probabilities_of_the_model():
    known = {token: p for token, p in after(PROMPT).items() if token != "<UNK>0"}  # the unknown word
    total, drawn = sum(known.values()), first_words()
    for word in ("cat", "the"):
        p = known[word] / total
        assert abs(drawn.count(word) / len(drawn) - p) < 4 * np.sqrt(p * (1 - p) / len(drawn))


def test_the_same_draws_as_numpy_s_choice():
    """A word is the index that `Generator.choice(n, p=p)` draws from the same generator."""
    model = unrolled.load(MODEL).model_
    ids = np.array([[-1, *model.reading.encode(PROMPT)]])
    p = np.exp(model.engine.run(ids)[0][0, -1].astype(np.float64))
    p[0] = 0  # <UNK>
    p /= p.sum()
    names = [model.reading.vocabulary.name(number) for number in range(len(p))]
    generators = np.random.default_rng(5).spawn(50)
    expected = [names[generator.choice(len(p), p=p)] for generator in generators]
    assert first_words("--seed", 5, count=50) == ["" if name == "<EOS>" else name for name in expected]


def test_unk_is_never_written_unless_it_is_asked_for():
    def unknown(*more: object) -> int:
        done = run("sample", MODEL, "--count", 60, "--length", 20, *more)
        assert done.code == 0, done.err
        return sum(line.split().count("<UNK>") for line in done.lines)

    # A word of the text of this model is spelled <UNK>. Its probability is less than that of the unknown word.
    assert unknown("--unknown") > 2 * unknown()


def test_a_sample_begins_with_its_prompt_and_has_at_most_its_length():
    for line in run(*SAMPLE, "--count", 30, "--length", 4).lines:
        assert line.startswith(PROMPT) and len(line.split()) <= 2 + 4


def test_the_same_seed_gives_the_same_texts():
    words = (*SAMPLE, "--count", 5, "--length", 9)
    assert run(*words, "--seed", 1).out == run(*words, "--seed", 1).out != run(*words, "--seed", 2).out


def test_one_candidate_is_the_most_probable_word():
    best = max((token for token in after(PROMPT) if token != "<UNK>0"), key=after(PROMPT).__getitem__)
    for narrow in (("--top-k", 1), ("--top-p", 1e-9), ("--temperature", 0)):
        assert set(first_words(*narrow, count=20)) == {best}


@pytest.mark.parametrize("wrong", [("--top-k", 0), ("--top-p", 1.5), ("--temperature", -1)])
def test_impossible_wishes_are_refused(wrong: tuple[object, ...]):
    assert "expected" in refused(run(*SAMPLE, *wrong))
