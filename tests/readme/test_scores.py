"""The score of a line is its log-probability; each input is the token before. README.md says:

* "prints the log-probability of each line, its perplexity, bits per character and number of unknown tokens"
* "`--nbest` reorders n-best lists"
"""

from __future__ import annotations

import json
import math

import pytest

from support.small_models import run, small

LINE = "the cat sat ."


def test_a_line_in_text_is_its_score_in_that_order():
    (record,) = map(
        json.loads, run("score", small().char, "--format", "jsonl", stdin=f"{LINE}\n".encode()).lines
    )
    characters = len(LINE) + 1  # the end is counted
    total = record["log_probability"]
    assert record["perplexity"] == pytest.approx(math.exp(-total / characters))
    assert record["bits_per_character"] == pytest.approx(-total / math.log(2) / characters)
    fields = run("score", small().char, stdin=f"{LINE}\n".encode()).lines[0].split("\t")
    assert fields == [
        f"{total:.4f}",
        f"{record['perplexity']:.4f}",
        f"{record['bits_per_character']:.4f}",
        f"{record['unknown']}",
        LINE,
    ]


def test_each_input_is_the_token_before():
    """The probability of a token in a score is that of the token after the line so far."""
    tokens = LINE.split()
    scored = run("score", small().word, "--tokens", "--format", "jsonl", stdin=f"{LINE}\n".encode()).lines
    scores = json.loads(scored[0])["token_scores"]
    begun = "".join(f"{' '.join(tokens[:n])}\n" for n in range(1, len(tokens)))
    answers = run("predict", small().word, "--format", "jsonl", "--top", 999, stdin=begun.encode()).lines
    for token, score, answer in zip(tokens[1:], scores[1:], map(json.loads, answers), strict=False):
        probabilities = {one["token"]: one["probability"] for one in answer["next"]}
        assert math.log(probabilities[token]) == pytest.approx(score["log_probability"], abs=1e-5)


def test_the_first_input_is_the_vector_of_zeros():
    """The first token has the same probability whatever stands in the line before."""
    lines = f"{LINE}\n{LINE}\nthe dog ran .\n".encode()
    records = map(json.loads, run("score", small().word, "--tokens", "--format", "jsonl", stdin=lines).lines)
    firsts = {record["token_scores"][0]["log_probability"] for record in records}
    assert len(firsts) == 1
    assert math.exp(firsts.pop()) == pytest.approx(0.5, abs=0.15)  # half of the lines of the text begin so


def test_the_true_sentence_is_more_probable_than_one_that_sounds_alike():
    guesses = b"1\tthe cat sat .\n1\tthe sat cat .\n2\tdog a ran .\n2\ta dog ran .\n"
    done = run("score", small().word, "--nbest", stdin=guesses)
    assert [line.split("\t")[1:] for line in done.lines] == [
        ["1", "the cat sat ."],
        ["1", "the sat cat ."],
        ["2", "a dog ran ."],
        ["2", "dog a ran ."],
    ]
    alone = {line.split("\t")[4]: line.split("\t")[0] for line in run("score", small().word, stdin=b"".join(
        line.split(b"\t")[1] + b"\n" for line in guesses.splitlines())).lines}  # fmt: skip
    assert all(alone[text] == score for score, _, text in (line.split("\t") for line in done.lines))
