"""Texts for texts, as people do it: train on a table or two files, evaluate, predict; both engines; what is refused."""

from __future__ import annotations

import gzip
import json
import random
import signal
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import unrolled
from support import small_models as small
from support import training_runs as training
from support.paths import GOLDEN
from support.small_models import apart, refused, run, temporary
from unrolled import Translator
from unrolled.core.config import DataConfig, ModelConfig
from unrolled.core.config import build as configure
from unrolled.core.errors import DataError, UsageError
from unrolled.core.types import Example, Place
from unrolled.data.text.vocabulary import UNK
from unrolled.datasets.example_source import from_files
from unrolled.inference import predictor
from unrolled.inference.open_model import open_trained
from unrolled.models import model_file
from unrolled.models.decoding.beam_search import Hypothesis
from unrolled.models.network_spec import DecoderSpec
from unrolled.tasks.fill import resolve_data
from unrolled.tasks.inputs import INPUTS
from unrolled.tasks.inputs.tokens import Reading, learn_reading
from unrolled.tasks.metrics.edit_distance import character_errors
from unrolled.tasks.outputs import OUTPUTS
from unrolled.tasks.outputs.sequence import Candidate, Found, GenerationOptions, Sequences, size
from unrolled.tasks.sizes import resolve_examples
from unrolled.training.run_folder import CHECKPOINT

PLACE = Place(Path("pairs.csv"), 2)


def write_pairs(path: Path, count: int, seed: int) -> list[tuple[str, str]]:
    """Letters, and the same from behind."""
    chance = random.Random(seed)
    pairs = [
        ("".join(one), "".join(reversed(one)))
        for one in (chance.choices("abcdefg", k=chance.randint(1, 6)) for _ in range(count))
    ]
    path.write_text("\n".join(["source,target", *(f"{x},{y}" for x, y in pairs)]) + "\n")
    return pairs


@dataclass(frozen=True)
class Reversal:
    """Models of the same data: with attention, and the plain form of the lecture."""

    folder: Path
    test: Path
    attends: Path
    plain: Path
    steps: Path  # series of numbers, with a word for each
    series: Path


@cache
def reversal() -> Reversal:
    home = temporary()
    write_pairs(home / "train.csv", 1500, 0)
    write_pairs(home / "test.csv", 80, 1)
    rows = [f"s{i},{t if i % 2 else -t},{'up' if i % 2 else 'down'}" for i in range(210) for t in range(4)]
    (home / "steps.csv").write_text("\n".join(["run,level,target", *rows]) + "\n")
    found = Reversal(
        home, home / "test.csv", home / "attends", home / "plain", home / "steps.csv", home / "series"
    )
    common = (
        "train",
        "translate",
        home / "train.csv",
        "--unit",
        "char",
        "--hidden",
        48,
        "--dropout",
        0.1,
        "--threads",
        1,
    )
    commands = [
        (*common, "--epochs", 9, "--out", found.attends),
        (
            *common,
            "--epochs",
            4,
            "--attention",
            "none",
            "--cell",
            "gru",
            "--no-bidirectional",
            "--out",
            found.plain,
        ),
    ]
    columns = ("--columns", "by=run,x=level,y=target")
    commands.append(
        (
            "train",
            "numbers:sequence",
            found.steps,
            *columns,
            "--hidden",
            8,
            "--epochs",
            6,
            "--threads",
            1,
            "--out",
            found.series,
        )
    )
    apart(*commands)
    return found


def test_it_learns_to_write_backward() -> None:
    made = reversal()
    done = run("evaluate", made.attends, made.test, "--json")
    found = json.loads(done.out)
    assert found["exact"] > 0.8 and found["cer"] < 0.1 and found["chrf"] > 80, found
    assert found["sequences"] == 80 and found["perplexity"] < 1.5
    assert "version:" in found["bleu_signature"]
    plain = json.loads(run("evaluate", made.plain, made.test, "--json").out)
    assert (
        plain["exact"] < found["exact"] and plain["perplexity"] < 8
    )  # of 8 letters, each as probable as the other
    assert "bleu_signature" in run("evaluate", made.attends, made.test).out


def test_lines_in_and_lines_out_on_both_engines() -> None:
    made = reversal()
    lines = b"abc\n\nga\nabcdefg\n"
    done = run("predict", made.attends, stdin=lines)
    assert done.code == 0 and done.lines[1] == "" and len(done.lines) == 4
    assert done.lines[0] == "cba" and done.lines[2] == "ag"
    assert run("predict", made.attends, "--engine", "torch", stdin=lines).out == done.out
    records = [
        json.loads(line) for line in run("predict", made.attends, "--format", "jsonl", stdin=lines).lines
    ]
    assert [record["text"] for record in records] == done.lines
    assert records[0]["tokens"] == [*"cba"] and records[0]["log_probability"] < 0
    table = run("predict", made.attends, made.test)
    assert len(table.lines) == 80 and sum(len(line) > 0 for line in table.lines) == 80


def test_n_best_with_scores_and_alignment() -> None:
    made = reversal()
    lines = b"abc\nfgd\n"
    done = run("predict", made.attends, "--nbest", 3, "--scores", "--alignment", stdin=lines)
    assert done.code == 0, done.err
    blocks = [block.splitlines() for block in done.out.removesuffix("\n\n").split("\n\n")]
    assert [len(block) for block in blocks] == [3, 3]
    rows = [line.split("\t") for line in blocks[0]]
    scores = [float(row[0]) for row in rows]
    assert scores == sorted(scores, reverse=True) and rows[0][1] == "cba"
    assert rows[0][2] == "2-0 1-1 0-2"  # what is written first was read last
    done = run(
        "predict", made.attends, "--nbest", 2, "--beam", 6, "--alignment", "--format", "jsonl", stdin=lines
    )
    record = json.loads(done.lines[0])
    assert len(record["nbest"]) == 2 and record["alignment"] == [[2, 0], [1, 1], [0, 2]]
    drawn = ("predict", made.attends, "--temperature", 1.5, "--seed", 4, "--nbest", 4)
    once = run(*drawn, stdin=lines)
    assert once.out == run(*drawn, stdin=lines).out and len(set(once.lines[:4])) > 1
    assert run("predict", made.attends, "--temperature", 0, stdin=lines).lines == ["cba", "dgf"]


def test_the_best_of_many_is_the_answer_and_equal_lines_draw_samples_of_their_own() -> None:
    made, chance = reversal(), random.Random(6)
    lines = ["".join(chance.choices("abcdefgh", k=chance.randint(1, 12))) for _ in range(12)]
    given = "\n".join(lines).encode()
    best = run("predict", made.attends, stdin=given).lines
    for nbest in (2, 6):
        several = run("predict", made.attends, "--nbest", nbest, stdin=given).out.split("\n\n")
        assert [group.split("\n")[0] for group in several if group] == best
    drawn = run("predict", made.attends, "--temperature", 2.5, stdin=b"abcdefgh\n" * 8).lines
    assert len(set(drawn)) > 4
    assert drawn[:3] == run("predict", made.attends, "--temperature", 2.5, stdin=b"abcdefgh\n" * 3).lines


def test_wishes_that_make_no_sense(tmp_path: Path) -> None:
    made = reversal()
    assert "beam is 0" in refused(run("predict", made.attends, "--beam", 0, stdin=b"a\n"))
    assert "nbest is 0" in refused(run("predict", made.attends, "--nbest", 0, stdin=b"a\n"))
    assert "need a model with attention" in refused(run("predict", made.plain, "--alignment", stdin=b"a\n"))
    (tmp_path / "words").write_text("one two\n")
    dictionary = ("--dictionary", tmp_path / "words")
    assert "--copy-unknown" in refused(run("predict", made.attends, *dictionary, stdin=b"a\n"))
    message = refused(run("predict", made.attends, "--copy-unknown", *dictionary, stdin=b"a\n"))
    assert "words:1: not a pair of words" in message
    word = GOLDEN / "format1.model"
    assert "models that write sequences" in refused(run("predict", word, "--nbest", 2, stdin=b"a\n"))


def test_unknown_words_are_copied_or_looked_up() -> None:
    made = reversal()
    model = open_trained(made.attends)
    output = model.output
    assert isinstance(output, Sequences)
    one = Candidate(Hypothesis((output.reading.vocabulary.index["a"], UNK, UNK), -1.0, -1.0), (2, 1, 0))
    steps = ["q", "r", "s"]
    assert output.tokens(one, steps, GenerationOptions()) == ["a", "<UNK>", "<UNK>"]
    assert output.tokens(one, steps, GenerationOptions(copy_unknown=True)) == ["a", "r", "q"]
    assert output.tokens(one, steps, GenerationOptions(copy_unknown=True, dictionary={"q": "Q"})) == [
        "a",
        "r",
        "Q",
    ]
    told = output.told(Found((one,)), steps, GenerationOptions(copy_unknown=True))
    assert told.text == "arq" and told.record["tokens"] == ["a", "r", "q"]


def test_company_changes_no_answer() -> None:
    made = reversal()
    model = open_trained(made.attends)
    examples = list(from_files([made.test], model.config).examples())[:20]
    together = [answer.record for answer in predictor.answers(model, examples)]
    for example, record in zip(examples, together, strict=True):
        alone = predictor.answer(model, example, 5).record
        assert alone["text"] == record["text"]
        np.testing.assert_allclose(alone["log_probability"], record["log_probability"], atol=1e-6)


def test_a_source_of_10_000_tokens_ends_well() -> None:
    model = open_trained(reversal().plain)
    found = predictor.answer(model, Example("abcdefg" * 1430, None, PLACE), 5)
    assert len(found.text) <= model.output.to_json()["longest"] * 4 + 8


def test_a_model_file_opens_as_it_was_and_damage_is_told(tmp_path: Path) -> None:
    made = reversal()
    damaged = tmp_path / "damaged"
    content = bytearray(made.attends.read_bytes())
    content[-3] ^= 1
    damaged.write_bytes(content)
    assert "damaged" in refused(run("predict", damaged, stdin=b"abc\n"))
    learnt = dict(open_trained(made.attends).output.to_json())
    again = OUTPUTS["sequence"].restore(learnt)
    assert again.to_json() == learnt
    for wrong in ({**learnt, "ratio": "x"}, {**learnt, "longest": 0}, {"reading": learnt["reading"]}):
        with pytest.raises(DataError):
            OUTPUTS["sequence"].restore(wrong)


def test_what_is_learnt_of_y() -> None:
    pairs = [Example("one two", "eins zwei", PLACE), Example("three", "drei", PLACE)]
    found = OUTPUTS["sequence"].learn(pairs, DataConfig(unit="word"), ModelConfig())
    assert found.encode("zwei eins neun", 3).tolist()[-2:] == [0, 1]  # <UNK>, <EOS>
    assert found.n_y == 5 and found.targets == "own"
    assert found.head(configure("translate", {"layers": 3})) == DecoderSpec(n_y=5, layers=3)
    assert "3 distinct words" in found.describe()
    assert size("one two") == 7
    shared = OUTPUTS["sequence"].learn(pairs, DataConfig(unit="word", shared=True), ModelConfig())
    assert shared.n_y == 2 + 6


def test_subwords_go_there_and_back(tmp_path: Path) -> None:
    texts = ["the cat sat on the mat", "the cats sat", "die Katze saß auf der Matte"] * 40
    reading, coverage = learn_reading(texts, "subword", False, 10_000)
    assert coverage.kept == len(reading.vocabulary) - 2
    assert reading.split("the cats")[0] == "\u0120the" and len(reading.split("the cats")) < 8
    for text in (*texts[:3], "cat\u00e9 \u65e5\u672c  x"):
        assert reading.join(reading.split(text)) == text
    again = Reading.from_json(json.loads(json.dumps(reading.to_json())))
    assert again == reading and again.text(again.encode("the mat").tolist()) == "the mat"
    for wrong in ({"subwords": "{}"}, {"unit": "word"}, {"subwords": None}):
        with pytest.raises((DataError, UsageError)):
            Reading.from_json({**reading.to_json(), **wrong}).encode("x")


def test_subwords_read_and_write_any_text_whatever_their_number() -> None:
    chance = random.Random(4)
    words = ["".join(chance.choices("abcdefghiklmnop", k=5)) for _ in range(40)]
    texts = [" ".join(chance.choices(words, k=4)) for _ in range(298)] + [
        "Quiz \u00e9t\u00e9 42",
        "Z\u00fcrich 1975",
    ]
    pairs = [Example(text, text[::-1], Place(Path("t.csv"), i)) for i, text in enumerate(texts, 2)]
    data = DataConfig(unit="subword", vocab_size=60, shared=False)
    given, _ = INPUTS["tokens"].learn(pairs, data)
    asked = OUTPUTS["sequence"].learn(pairs, data, ModelConfig())
    assert isinstance(asked, Sequences)
    for text in ("QQ z\u00e9 007", "\u65e5\u672c \U0001f600", *texts[-2:]):
        assert given.unknown(text, given.encode(text)) == 0
        assert asked.reading.text(asked.encode(text, 1)[:-1].tolist()) == text
    assert asked.n_y <= 2 + 256 + 60


def test_what_is_chosen_for_pairs() -> None:
    def chosen(settings: dict[str, object]) -> tuple[object, ...]:
        config = resolve_examples(resolve_data(configure("translate", settings)), 2_000, 20_000, 500)
        model, training = config.model, config.training
        return config.data.shared, model.tie, model.embedding, training.label_smoothing

    assert chosen({}) == (True, True, 128, 0.1)
    assert chosen({"hidden": 8}) == (True, True, 8, 0.1)
    assert chosen({"hidden": 8, "embedding": 6}) == (True, False, 6, 0.1)
    assert chosen({"embedding": 0}) == (False, False, 0, 0.1)
    assert chosen({"unit": "char"}) == (False, False, 64, 0.1)
    assert chosen({"source_unit": "char"})[:2] == chosen({"shared": False})[:2] == (False, False)
    assert chosen({"tie": False, "label_smoothing": 0.0}) == (True, False, 128, 0.0)
    assert chosen({"softmax": "adaptive"}) == (True, False, 128, 0.0)


def test_two_files_line_by_line(tmp_path: Path) -> None:
    pairs = write_pairs(tmp_path / "t.csv", 260, 3)
    for number, name in enumerate(("train.xx", "train.yy")):
        (tmp_path / name).write_text("\n".join(pair[number] for pair in pairs) + "\n\n")
    with gzip.open(tmp_path / "valid.xx.gz", "wt") as file:
        file.write("ab\ncd\n")
    (tmp_path / "valid.yy").write_text("ba\ndc\n")
    out = tmp_path / "m"
    files = (tmp_path / "train.xx", tmp_path / "train.yy")
    valid = ("--valid", tmp_path / "valid.xx.gz", tmp_path / "valid.yy")
    sizes = ("--hidden", 8, "--epochs", 1, "--threads", 1)
    done = run("train", "translate", *files, *valid, *sizes, "--out", out)
    assert done.code == 0, done.err
    assert "260 sequences" in done.err and "2 for validation" in done.err and "distinct subwords" in done.err
    found = json.loads(run("evaluate", out, *files, "--json").out)
    assert found["sequences"] == 260
    (tmp_path / "short").write_text("a\n")
    message = refused(run("evaluate", out, tmp_path / "train.xx", tmp_path / "short"))
    assert "train.xx:2: 261 lines, but" in message and "has 1" in message
    assert "pairs of files: SOURCE TARGET" in refused(run("evaluate", out, tmp_path / "train.xx"))
    (tmp_path / "gap").write_text("a\n\nb\n")
    (tmp_path / "whole").write_text("a\nx\nb\n")
    assert "gap:2: a blank line" in refused(run("evaluate", out, tmp_path / "gap", tmp_path / "whole"))


def test_options_that_make_no_sense(tmp_path: Path) -> None:
    write_pairs(tmp_path / "t.csv", 20, 0)
    command = ("train", "translate", tmp_path / "t.csv", "--out", tmp_path / "m")
    with small.nothing_new(tmp_path):
        assert "shared" in refused(run(*command, "--shared", "--source-unit", "char"))
        assert "compare does not support translate" in refused(
            run("compare", "translate", tmp_path / "t.csv", "--minutes", 1)
        )
        assert "feeding" in refused(run(*command, "--attention", "none", "--feeding"))
        assert "subword" in refused(
            run("train", "language", tmp_path / "t.csv", "--unit", "subword", "--out", tmp_path / "m")
        )
        assert "does not support 'attention'" in refused(
            run("train", "classify", tmp_path / "t.csv", "--attention", "additive", "--out", tmp_path / "m")
        )


def test_the_estimator(tmp_path: Path) -> None:
    pairs = write_pairs(tmp_path / "t.csv", 120, 5)
    X, y = [x for x, _ in pairs], [y for _, y in pairs]
    made = Translator(unit="char", hidden=8, epochs=1, threads=1, attention="additive")
    score = made.fit(X, y).score(X[:40], y[:40])
    assert score == 1 - character_errors(zip(y[:40], made.predict(X[:40]), strict=True)).rate
    made.save(tmp_path / "m")
    again = unrolled.load(tmp_path / "m")
    assert isinstance(again, Translator) and again.predict(X[:5]) == made.predict(X[:5])
    assert again.attention == "additive"


def test_the_doctor_looks_at_pairs(tmp_path: Path) -> None:
    x = [f"the number {i} of many" for i in range(40)]
    y = [f"die Zahl {i} von vielen" for i in range(40)]
    x[3], y[3] = "OK", "OK"
    x[5], y[5] = (
        "short",
        "und hier steht viel mehr als dort, was kaum stimmen kann, oder es ist eine andere Zeile",
    )
    x[7], y[7] = x[6], y[6]
    y[9] = ""
    x[11], y[11] = "", ""
    for name, lines in (("a.en", x), ("a.de", y)):
        (tmp_path / name).write_text(
            "\n".join(lines) + "\n", encoding="utf-16" if name == "a.de" else "utf-8"
        )
    files = (tmp_path / "a.en", tmp_path / "a.de")
    done = run("check", "translate", *files, "--skip-bad", 1)
    assert done.code == 0, done.out
    for told in (
        "38 sequences",
        "untranslated: the same text on both sides: 1",
        f"{files[0]}:4: 'OK'",
        "unusual ratio of lengths",
        f"{files[0]}:6: ",
        "duplicates in train (same x and same y): 1",
        "encoding other than plain UTF-8",
        "a blank line, but",
        "copy of x",
    ):
        assert told in done.out, (told, done.out)
    assert run("check", "translate", *files).code == 2  # a bad row stops training
    report = json.loads(run("check", "translate", *files, "--skip-bad", 1, "--json").out)
    assert report["parts"]["train"]["y"]["untranslated"] == 1
    (tmp_path / "few").write_text("a\n")
    done = run("check", "translate", files[0], tmp_path / "few")
    assert done.code == 2 and "a.en:2: 40 lines, but" in done.out
    assert "--fix is for tables" in refused(run("check", "translate", *files, "--fix", tmp_path / "clean"))
    write_pairs(tmp_path / "t.csv", 300, 0)
    assert run("check", "translate", tmp_path / "t.csv").code == 0


def test_text_for_a_series() -> None:
    made = reversal()
    found = json.loads(run("evaluate", made.series, made.steps, "--json").out)
    assert found["exact"] > 0.9
    assert set(run("predict", made.series, made.steps).lines) == {"up", "down"}


def test_resumed_it_is_the_same_to_the_bit(tmp_path: Path) -> None:
    write_pairs(tmp_path / "t.csv", 260, 5)
    command = (
        "train",
        "translate",
        tmp_path / "t.csv",
        "--unit",
        "char",
        "--hidden",
        "12",
        "--epochs",
        "2",
        "--threads",
        "1",
    )
    command = tuple(map(str, command))
    assert training.run(tmp_path / "log", *command, "--out", tmp_path / "straight")[0] == 0
    stopped = training.start(tmp_path / "log2", *command, "--out", str(tmp_path / "m"))
    checkpoint = tmp_path / "m.run" / CHECKPOINT
    assert stopped.wait_for(checkpoint.exists)
    stopped.signal(signal.SIGKILL)
    stopped.wait()
    code, said = training.run(tmp_path / "log3", *command, "--resume", "--out", tmp_path / "m")
    assert code == 0, said
    ours, theirs = (model_file.load(tmp_path / name).tensors for name in ("straight", "m"))
    assert all(np.array_equal(ours[name], theirs[name]) for name in ours)
