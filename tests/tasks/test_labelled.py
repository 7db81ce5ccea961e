"""Labels, numbers and tags from files to answers: they are learnt, and every promise of the spine holds for them."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest

from support.small_models import refused, run
from support.small_tasks import GOOD, kinds
from support.tolerances import FLOAT32
from unrolled.core.types import Example, Place
from unrolled.datasets.example_batches import batches_by_length
from unrolled.datasets.example_dataset import encode_examples
from unrolled.datasets.example_source import from_files
from unrolled.datasets.example_store import write_examples
from unrolled.inference.open_model import Predictor, open_trained
from unrolled.inference.predictor import forward

KINDS = ("label", "rating", "names", "forward", "number", "waves", "steps", "forecast", "log")
PLACE = Place(Path("made"), 1)


def opened(name: str, engine: str = "numpy") -> Predictor:
    return open_trained(kinds()[name].model, engine)


@pytest.mark.parametrize("name", KINDS)
def test_what_was_learnt_beats_the_trivial_answer_on_new_data(name: str):
    kind = kinds()[name]
    metrics = json.loads(run("evaluate", kind.model, kind.test, "--json").out)
    assert metrics[kind.metric] > kind.trivial, metrics
    assert all(np.isfinite(value) for value in metrics.values() if isinstance(value, float))


@pytest.mark.parametrize("name", KINDS)
def test_both_engines_answer_alike(name: str):
    kind = kinds()[name]
    examples = list(itertools.islice(from_files([kind.test], opened(name).config).examples(), 12))
    slow, quick = opened(name), opened(name, "torch")
    for example in examples:
        found, expected = forward(quick, example.x), forward(slow, example.x)
        assert np.abs(found - expected).max() <= 10 * FLOAT32["forward"]


@pytest.mark.parametrize("engine", ["numpy", "torch"])
@pytest.mark.parametrize("name", KINDS)
def test_an_answer_is_the_same_alone_and_in_any_company(name: str, engine: str, tmp_path: Path):
    model = opened(name, engine)
    examples = list(itertools.islice(from_files([kinds()[name].test], model.config).examples(), 24))
    part = write_examples(
        tmp_path, encode_examples(examples, model.input, model.output), targets=model.output.targets
    )
    for batch, numbers in batches_by_length(part, 7):
        together, _ = model.engine.run(batch.x, batch.lengths)
        for row, number, length in zip(together, numbers.tolist(), batch.lengths.tolist(), strict=True):
            alone = forward(model, examples[number].x)
            own = row[: length if model.output.targets == "each" else 1]
            # Of a log-probability of -9 the last bit is 1e-6 already.
            assert (np.abs(own - alone) <= FLOAT32["padding"] * np.maximum(1, np.abs(alone))).all()


@pytest.mark.parametrize("engine", ["numpy", "torch"])
def test_what_comes_later_never_changes_what_a_forward_tagger_said(engine: str):
    model = opened("forward", engine)
    words = ("mister", "anna", "bob", "came", "and", "carla", "is", "very", "good")
    whole = forward(model, words)
    other = forward(model, (*words[:4], "unheard", "mister", "dan"))
    assert (
        np.array_equal(whole[:4], other[:4])
        if engine == "numpy"
        else np.allclose(whole[:4], other[:4], atol=1e-6)
    )
    assert not np.array_equal(whole[4], other[4])


def test_one_that_reads_both_ways_knows_what_comes_later():
    model = opened("names")
    whole, other = forward(model, ("it", "was", "mister")), forward(model, ("it", "was", "soup"))
    assert not np.allclose(whole[0], other[0], atol=1e-6)


def test_lines_in_lines_out():
    kind = kinds()["label"]
    done = run("predict", kind.model, stdin=b"good and great soup\n\nthe bad broken chair\n   \n")
    assert done.code == 0 and done.out == "like\n\nhate\n\n"
    records = [
        json.loads(line)
        for line in run(
            "predict",
            kind.model,
            "--format",
            "jsonl",
            stdin=(b'{"id": 7, "text": "good and great soup"}\nnever seen words\n\n'),
        ).lines
    ]
    assert records[0]["id"] == 7 and records[0]["label"] == "like" and records[0]["unknown"] == 0
    assert sum(records[0]["probabilities"].values()) == pytest.approx(1)
    assert records[1]["unknown"] == 3
    assert records[2] == {"label": None, "probability": None, "probabilities": {}}
    assert (
        len(
            json.loads(run("predict", kind.model, "--format", "jsonl", "--top", "1", stdin=b"good\n").out)[
                "probabilities"
            ]
        )
        == 1
    )


def test_tables_in_answers_out_with_their_ids(tmp_path: Path):
    table = tmp_path / "new.csv"
    table.write_text('id,text\na1,"good, and\ngreat"\nb2,bad broken thing\n')
    done = run("predict", kinds()["label"].model, table, "--format", "jsonl")
    records = [json.loads(line) for line in done.lines]
    assert [(record["id"], record["label"]) for record in records] == [("a1", "like"), ("b2", "hate")]
    renamed = tmp_path / "other.csv"
    renamed.write_text("wording\ngood and great\n")
    assert run("predict", kinds()["label"].model, renamed, "--columns", "x=wording").out == "like\n"
    assert "no column" in refused(run("predict", kinds()["label"].model, renamed, "--columns", "x=speech"))


def test_columns_of_numbers_go_by_name_whatever_their_order(tmp_path: Path):
    kind = kinds()["log"]
    header, *lines = kind.test.read_text().splitlines()
    turned = tmp_path / "turned.csv"
    encode_examples = (",".join(["7", *reversed(line.split(","))]) for line in lines)
    turned.write_text("\n".join(["more,flow,heat", *encode_examples]) + "\n")
    assert header == "heat,flow"
    assert run("predict", kind.model, turned).out == run("predict", kind.model, kind.test).out
    # The places of the worst errors name the file, so only the metrics are equal.
    metrics = [run("evaluate", kind.model, path).out.split("\n\n")[0] for path in (turned, kind.test)]
    assert metrics[0] == metrics[1] and "r2" in metrics[0]


def test_tags_of_sentences_and_of_conll_in_three_forms(tmp_path: Path):
    model = kinds()["names"].model
    line = b"then mister anna bob came\n"
    assert run("predict", model, stdin=line).out == "O O B-PER I-PER O\n"
    assert run("predict", model, "--format", "conll", stdin=line).out == (
        "then\tO\nmister\tO\nanna\tB-PER\nbob\tI-PER\ncame\tO\n\n"
    )
    record = json.loads(run("predict", model, "--format", "jsonl", stdin=line).out)
    assert record["spans"] == [{"type": "PER", "start": 2, "end": 4, "text": "anna bob"}]
    assert len(record["probabilities"]) == 5 and all(0 <= p <= 1 for p in record["probabilities"])
    bare = tmp_path / "new.conll"
    bare.write_text("then\nmister\nanna\nbob\ncame\n\nit\nwas\n")
    assert run("predict", model, bare).out == "O O B-PER I-PER O\nO O\n"


def test_a_path_never_breaks_the_scheme():
    model = kinds()["names"].model
    words = ["mister", "anna", "mister", "bob", "came", "carla", "came", "dan", "mister"]
    text = "\n".join(" ".join(some) for some in itertools.permutations(words, 2)).encode()
    for line in run("predict", model, stdin=text).lines:
        tags = ["O", *line.split()]
        for before, tag in itertools.pairwise(tags):
            assert not (tag == "I-PER" and before == "O")


def test_numbers_come_with_an_interval_that_holds_them():
    kind = kinds()["number"]
    record = json.loads(run("predict", kind.model, "--format", "jsonl", stdin=b"good and great soup\n").out)
    low, high = record["interval"]
    assert low < record["value"] < high and record["share"] == 0.9
    metrics = json.loads(run("evaluate", kind.model, kind.test, "--json").out)
    assert 0.7 < metrics["coverage"] <= 1
    assert metrics["mae"] <= metrics["rmse"]


def test_a_forecast_tells_what_comes_after_the_end():
    kind = kinds()["forecast"]
    values = [float(value) for value in run("predict", kind.model, kind.test).out.split()]
    assert len(values) == 6  # three steps of two numbers
    assert max(map(abs, values)) < 5


def test_a_rating_is_off_by_less_than_guessing_the_middle():
    kind = kinds()["rating"]
    metrics = json.loads(run("evaluate", kind.model, kind.test, "--json").out)
    assert metrics["mae"] < 0.6  # the middle of three alike ones is off by 2/3


def test_the_order_of_examples_changes_no_metric(tmp_path: Path):
    kind = kinds()["label"]
    header, *lines = kind.test.read_text().splitlines()
    turned = tmp_path / "turned.csv"
    turned.write_text("\n".join([header, *reversed(lines)]) + "\n")
    found = [json.loads(run("evaluate", kind.model, path, "--json").out) for path in (kind.test, turned)]
    assert found[0].keys() == found[1].keys()
    assert found[0]["confusion"] == found[1]["confusion"] and found[0]["classes"] == found[1]["classes"]
    for name, value in found[0].items():
        if isinstance(value, float):
            assert value == pytest.approx(found[1][name], abs=1e-9)


def test_a_class_that_training_never_saw_is_told_with_its_line(tmp_path: Path):
    bad = tmp_path / "bad.csv"
    bad.write_text("text,label\ngood soup,like\nbad soup,lik\n")
    told = refused(run("evaluate", kinds()["label"].model, bad))
    assert told == f"{bad}:3: unknown class 'lik'; expected hate, like, meh; try 'like'"


def test_what_does_not_fit_a_model_is_one_line(tmp_path: Path):
    waves = kinds()["waves"].model
    assert "this model reads numbers" in refused(run("predict", waves, stdin=b"1 2\n"))
    wide = tmp_path / "wide.csv"
    wide.write_text("run,left,right,kind\nr,1,x,slow\n")
    told = refused(run("evaluate", waves, wide))
    assert told.startswith(f"{wide}:2: ") and "expected" in told
    told = refused(run("evaluate", kinds()["label"].model, kinds()["label"].test, "--dynamic"))
    assert told == "lanes, dynamic evaluation and a cache are for language models"
    assert "needs a model of tag" in refused(run("predict", kinds()["label"].model, "--format", "conll"))
    for verb in ("sample", "score"):
        assert "is no language model" in refused(run(verb, kinds()["label"].model))


def test_words_never_seen_are_read_by_what_they_look_like():
    assert opened("names").spec.input.several  # affixes: on for tags
    assert not opened("label").spec.input.several
    given, text = opened("label").input, " ".join((*GOOD, "xyzzy"))
    assert given.unknown(text, given.encode(text)) == 1


def test_a_sequence_of_no_steps_is_answered_and_never_nan():
    for engine in ("numpy", "torch"):
        found = forward(opened("label", engine), "")
        assert found.shape == (1, 3) and np.isfinite(found).all()
    assert run("predict", kinds()["names"].model, stdin=b"\n").out == "\n"
    example = Example(np.zeros((0, 2)), None, PLACE)
    from unrolled.inference.predictor import answer

    assert answer(opened("waves"), example, 3).text == ""
