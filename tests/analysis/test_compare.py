"""Comparisons: tiny real ones by the command line, the judgement on made-up scores, and what stands beside them."""

from __future__ import annotations

import csv
import json
import math
import random
import signal
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.small_models import refused
from support.small_models import run as run_here
from support.training_runs import marks, run, start, write_text
from unrolled.analysis.baselines import bag_of_words, forecast, majority
from unrolled.analysis.compare import (
    benchmarks,
    count_models,
    run_baselines,
    verdict,
)
from unrolled.analysis.compare.equal_size import nearest
from unrolled.analysis.compare.verdict import Entry, Trial
from unrolled.analysis.evaluate import Measurement, measure
from unrolled.core.errors import DataError, need
from unrolled.core.types import Document, Example, Place
from unrolled.data.text.tokenize import split as split_text
from unrolled.datasets.example_source import from_lists
from unrolled.tasks.metrics import regression, spans

# Without the wide part, so that these tests compare networks with baselines.
TINY = ("--hidden", "24", "--epochs", "1", "--threads", "1", "--batch-size", "32", "--set", "wide=false")
GOOD, BAD, PLAIN = (
    ["fine", "lovely", "great"],
    ["poor", "awful", "dull"],
    ["the", "film", "plot", "actor", "was", "and", "a", "of"],
)


def reviews(path: Path, count: int = 240) -> Path:
    chance = random.Random(1)
    rows = ["text,label"]
    for _ in range(count):
        label = chance.choice(("good", "bad"))
        words = [*chance.choices(PLAIN, k=6), chance.choice(GOOD if label == "good" else BAD)]
        chance.shuffle(words)
        rows.append(f"{' '.join(words)},{label}")
    path.write_text("\n".join(rows) + "\n")
    return path


def load(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def labels(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, tuple[object, ...], str]:
    """A comparison of labels: its home, its command, what it said."""
    home = tmp_path_factory.mktemp("labels")
    command = (
        *(
            "compare",
            "classify",
            reviews(home / "reviews.csv"),
            "--cells",
            "rnn,lstm",
            "--seeds",
            "0,1",
            *TINY,
        ),
        *("--out", home / "runs", "--json", home / "all.json", "--csv", home / "all.csv"),
    )
    code, said = run(home / "log", *command)
    assert code == 0, said
    return home, command, said


def test_labels_are_compared_in_a_table_json_and_csv(labels):
    home, _, said = labels
    found = load(home / "all.json")
    assert (found["task"], found["metric"], found["higher_is_better"]) == ("classify", "accuracy", True)
    assert found["scored"] == "scored on a held-out fifth of the data: 48 items"
    ours = [one for one in found["entries"] if one["recurrent"]]
    assert [(one["name"], one["cell"], one["bidirectional"]) for one in ours] == [
        ("rnn", "rnn", True),
        ("lstm", "lstm", True),
    ]
    for one in ours:
        values = [each["accuracy"] for each in one["runs"]]
        assert [each["seed"] for each in one["runs"]] == [0, 1]
        assert (one["mean"], one["low"], one["high"]) == (
            pytest.approx(np.mean(values)),
            min(values),
            max(values),
        )
        assert all(each["bytes"] > 1000 and each["milliseconds"] > 0 for each in one["runs"])
        assert one["parameters"] == pytest.approx(found["target_parameters"], rel=0.03)
    assert ours[1]["hidden"] == 24 and ours[1]["parameters"] == found["target_parameters"]
    assert said.rstrip().endswith(found["verdict"]["sentence"])
    with (home / "all.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["name"], row["seed"]) for row in rows[:4]] == [
        *(("rnn", "0"), ("rnn", "1"), ("lstm", "0"), ("lstm", "1")),
    ]
    assert len(rows) == 4 + sum(not one["recurrent"] for one in found["entries"])
    assert float(rows[2]["accuracy"]) == ours[1]["runs"][0]["accuracy"]
    table = said[said.index("  parameters  seeds") :].splitlines()
    assert {line.split("  ")[0] for line in table} >= {"rnn", "lstm", "most frequent class"}


def test_baselines_learn_what_an_epoch_does_not(labels):
    if find_spec("sklearn") is None:
        pytest.skip("scikit-learn is not installed")
    found = load(labels[0] / "all.json")
    best = {one["name"]: one["mean"] for one in found["entries"] if not one["recurrent"]}
    assert best["naive Bayes words 1-2"] == 1.0 and best["most frequent class"] < 0.7
    assert found["verdict"]["outcome"] == "not worth it" and found["verdict"]["high"] < 0


def test_the_same_command_again_repeats_no_training(labels):
    home, command, _ = labels
    watched = [*(home / "runs").glob("*/seed-?"), home / "runs" / "baselines.json"]
    before, content = [marks(path) for path in watched], (home / "all.json").read_bytes()
    assert len(watched) == 5
    code, said = run(home / "log", *command, "--force")
    assert code == 0, said
    assert [marks(path) for path in watched] == before
    assert (home / "all.json").read_bytes() == content  # to the second that a training took
    code, said = run(home / "log", *command)
    assert (code, "all.json: exists already" in said) == (2, True)


def test_other_settings_are_refused_in_the_same_folder(labels):
    home, command, _ = labels
    code, said = run(home / "log", *command[:-4], "--lr", "0.001")
    assert code == 2 and "cannot be resumed: configuration.training.lr was absent" in said.replace(
        "null", "absent"
    )


def test_a_stopped_comparison_goes_on(tmp_path: Path):
    data, out = reviews(tmp_path / "reviews.csv", 60), tmp_path / "runs"
    command = (
        "compare",
        "classify",
        data,
        "--cells",
        "rnn,gru",
        "--seeds",
        "4",
        "--no-baselines",
        "--batch-size",
        "32",
    )
    command = (*command, "--hidden", "8", "--epochs", "25", "--threads", "1", "--out", out)
    first, second = out / "rnn-word-1-both" / "seed-4", out / "gru-word-1-both" / "seed-4"
    begun = start(tmp_path / "log", *command)
    assert begun.wait_for((second.with_name("seed-4.run") / "checkpoint").exists), begun.said
    done = marks(first)
    begun.signal(signal.SIGINT)
    assert begun.wait() == 130
    if "stopped" in begun.said:  # and not between two trainings
        assert (
            f"error: {out}: stopped; all training so far is kept; try the same command again to resume"
            in begun.said
        )
    code, said = run(tmp_path / "log", *command)
    assert code == 0, said
    assert marks(first) == done and second.exists()
    assert "no baseline ran" in said.splitlines()[-1]


@pytest.fixture(scope="module")
def language(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    """Words against characters: the home of the comparison, and its JSON."""
    home = tmp_path_factory.mktemp("language")
    text, test = write_text(home / "text.txt", 300), write_text(home / "test.txt", 40, seed=5)
    command = (
        "compare",
        "language",
        text,
        "--test",
        test,
        "--cells",
        "gru",
        "--units",
        "char,word",
        "--seeds",
        "0",
    )
    command = (*command, "--out", home / "runs", "--json", home / "all.json", *TINY)
    code, said = run(home / "log", *command)
    assert code == 0, said
    return home, load(home / "all.json")


def test_words_and_characters_compare_in_bits_a_character(language):
    home, found = language
    characters = len((home / "test.txt").read_text())
    assert found["scored"] == f"scored on {home / 'test.txt'}: 40 lines, {characters:,} characters"
    entries = {one["name"]: one for one in found["entries"]}
    assert list(entries) == [
        *("gru, by char", "gru, by word", "all letters equally likely", "counts of letters"),
        *("counts of letters after 5 letters", "counts of words"),
    ]
    assert entries["gru, by word"]["parameters"] == pytest.approx(
        entries["gru, by char"]["parameters"], rel=0.05
    )
    letters_used = {*(home / "text.txt").read_text()}
    assert entries["all letters equally likely"]["mean"] == pytest.approx(math.log2(len(letters_used) + 1))
    assert entries["counts of letters after 5 letters"]["mean"] < entries["counts of letters"]["mean"] < 4.3
    for unit in ("char", "word"):
        exact = measure(Measurement(home / "runs" / f"gru-{unit}-1-one" / "seed-0", (home / "test.txt",)))
        assert exact["unknown"] == entries[f"gru, by {unit}"]["runs"][0]["unknown"] == 0.0
        # The text has one character less than the whole file, the end of which is one more to `evaluate`.
        bits = exact["bits_per_character"] * exact["characters"] / characters
        assert entries[f"gru, by {unit}"]["mean"] == pytest.approx(bits, rel=2e-3)


def tags(path: Path) -> Path:
    chance = random.Random(2)
    lines: list[str] = []
    for _ in range(60):
        for _ in range(5):
            name = chance.random() < 0.3
            lines.append(f"{chance.choice(('Ann', 'Bob') if name else PLAIN)}\t{'B-PER' if name else 'O'}")
        lines.append("")
    path.write_text("\n".join(lines) + "\n")
    return path


def waves(path: Path) -> Path:
    chance = random.Random(3)
    rows = [f"{math.sin(t * math.tau / 12) + 0.1 * chance.random():.4f}" for t in range(120)]
    path.write_text("load\n" + "\n".join(rows) + "\n")
    return path


@pytest.mark.parametrize(
    ("task", "write", "name", "more", "metric", "baselines"),
    [
        ("tag", tags, "a.conll", (), "span_f1", {"most frequent tag", "most frequent tag of each word"}),
        (
            "numbers:number",
            waves,
            "a.csv",
            ("--horizon", "3", "--history", "36", "--columns", "x=load"),
            "rmse",
            {"mean", "seasonal naive, period 12", "ridge on all 36 steps"},
        ),
    ],
)
def test_tags_and_forecasts_are_compared_too(task, write, name, more, metric, baselines, tmp_path: Path):
    out = tmp_path / "all.json"
    command = ("compare", task, write(tmp_path / name), "--cells", "gru-simple", "--seed", "7", *more, *TINY)
    code, said = run(tmp_path / "log", *command, "--json", out)
    assert code == 0, said
    assert "without --out FOLDER, no run is kept" in said
    found = load(out)
    assert found["metric"] == metric and {one["name"] for one in found["entries"]} >= baselines
    assert [each["seed"] for each in found["entries"][0]["runs"]] == [7]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a." + name[2:], "all.json", "log"]


def test_a_training_that_diverges_is_told_and_stops_nothing(tmp_path: Path):
    data = reviews(tmp_path / "reviews.csv", 60)
    command = (
        "compare",
        "classify",
        data,
        "--cells",
        "rnn",
        "--seed",
        "0",
        "--lr",
        "1e10",
        "--optimizer",
        "sgd",
    )
    code, said = run(tmp_path / "log", *command, *TINY, "--no-baselines", "--activation", "relu")
    assert code == 0, said
    last = said.splitlines()[-2:]
    assert last[0].startswith("rnn: seed 0: ") and "training diverged at step" in last[0]
    assert last[1] == "No recurrent model could be trained here, so none is worth it."


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--cells", "lstm,grue"), "unknown cell 'grue'; expected rnn, gru-simple, gru, lstm; try 'gru'"),
        (("--cells", "lstm,lstm"), "--cells lstm,lstm; expected each value only once"),
        (("--cells", "lstm", "--cell", "gru"), "--cells lstm and --cell; expected only one of them"),
        (("--units", "word,letter"), "--units word,letter; expected word, white, char"),
        (("--depths", "0,1"), "--depths 0,1; expected whole numbers from 1 to 32"),
        (("--directions", "both,none"), "--directions both,none; expected one, both"),
        (("--seeds", "1,x"), "--seeds 1,x; expected whole numbers from 0"),
        (("--parameters", "0"), "--parameters 0; expected 1 or more"),
        (("--parameters", "99", "--hidden", "3"), "--parameters and --hidden; expected only one of them"),
        (("--json", "nowhere/all.json"), "nowhere: there is no such folder; try mkdir -p nowhere"),
        (("--csv", "reviews.csv"), "reviews.csv: exists already; try another name, or --force"),
        (("--out", "reviews.csv"), "reviews.csv: is not a folder; try another --out"),
        (("--out", "full"), "full: is neither empty nor the folder of a comparison"),
        (("--out", "new", "--test", "nowhere.csv"), "nowhere.csv"),
        (
            ("--out", "new", "--parameters", "100"),
            "parameters even with one unit, most of them for its vocabulary",
        ),
        (("--hiden", "3"), "unknown option --hiden; try '--hidden'"),
    ],
)
def test_bad_usage_is_one_line_and_leaves_nothing(arguments, told, tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    reviews(tmp_path / "reviews.csv", 20)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").write_text("dear")
    assert told in refused(run_here("compare", "classify", "reviews.csv", *arguments))
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["full", "letter.txt", "reviews.csv"]


def test_what_makes_no_sense_is_refused(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = write_text(tmp_path / "text.txt", 5)
    told = refused(run_here("compare", "language", text, "--directions", "one,both"))
    assert "which it is to predict; try --directions one" in told
    table = tmp_path / "numbers.csv"
    table.write_text("a,label\n" + "1.5,x\n2.5,y\n" * 40)
    told = refused(run_here("compare", "numbers:label", table, "--units", "word,char"))
    assert "--units are for texts" in told
    few = reviews(tmp_path / "few.csv", 8)
    assert "8 sequences are too few to hold out a fifth" in refused(run_here("compare", "classify", few))


# ---- the judgement ----


def entry(
    name: str, right: list[int], *more: list[int], recurrent: bool = True, seconds: float = 2.0
) -> Entry:
    scoring = items(len(right))
    tries = [
        Trial(
            seed,
            {"accuracy": float(np.mean(one))},
            scoring.parts(["a" if hit else "b" for hit in one]),
            seconds,
        )
        for seed, one in enumerate([right, *more])
    ]
    return Entry(name, recurrent, tuple(tries))


def items(count: int) -> verdict.Scoring:
    return verdict.of_labels(["a"] * count, ["a", "b"], ordinal=False)


def hits(count: int, of: int = 200) -> list[int]:
    return [1] * count + [0] * (of - count)


def test_the_three_outcomes():
    baseline = entry("NB-SVM", hits(140), recurrent=False, seconds=0.5)
    worth = verdict.verdict([baseline, entry("lstm", hits(180), seconds=63)], items(200))
    assert worth.outcome == "worth it" and worth.low is not None and worth.low > 0
    assert worth.sentence.startswith(
        "A recurrent model is worth it here: lstm has accuracy 0.900 against 0.700 of NB-SVM (difference +0.200, "
        "95% interval +0.1"
    )
    assert worth.sentence.endswith("with 1m03s of training against 0.5s.")
    lost = verdict.verdict([entry("lstm", hits(100)), baseline], items(200))
    assert lost.outcome == "not worth it" and lost.sentence.startswith(
        "A recurrent model is not worth it here: lstm"
    )
    assert lost.difference == pytest.approx(-0.2)
    tied = verdict.verdict([entry("lstm", hits(141)), baseline], items(200))
    assert tied.outcome == "undecided" and tied.sentence.startswith(
        "A recurrent model is not significantly better or worse than NB-SVM here, so it is not worth it: lstm has"
    )
    for one in (worth, lost, tied):
        assert one.low is not None and one.difference is not None and one.high is not None
        assert one.low <= one.difference <= one.high and one.sentence.count(". ") == 0


def test_the_interval_is_paired():
    # Right on the very same items but for ten: that few differences are certain, though both are unsure alone.
    baseline, model = hits(100), hits(110)
    found = verdict.verdict([entry("lstm", model), entry("r", baseline, recurrent=False)], items(200))
    apart = verdict.verdict([entry("lstm", model[::-1]), entry("r", baseline, recurrent=False)], items(200))
    assert (found.outcome, apart.outcome) == ("worth it", "undecided")


def test_the_middle_seed_of_the_best_mean_speaks():
    lucky = entry("gru", hits(190), hits(100), hits(100))
    steady = entry("lstm", hits(150), hits(170), hits(160))
    baseline = entry("majority", hits(80), recurrent=False)
    found = verdict.verdict([lucky, steady, baseline], items(200))
    assert found.recurrent == "lstm" and "accuracy 0.800 (median of 3 seeds)" in found.sentence
    even = entry("lstm", hits(150), hits(170))
    assert verdict.middle(even, items(200)).scores["accuracy"] == 0.75
    assert [one.name for one in verdict.ranked([baseline, lucky, steady], items(200))] == [
        "lstm",
        "gru",
        "majority",
    ]


def test_a_side_that_is_missing_is_no_contest():
    alone = verdict.verdict([entry("lstm", hits(150))], items(200))
    assert (
        alone.outcome == "no comparison" and "no baseline ran" in alone.sentence and "0.750" in alone.sentence
    )
    nobody = verdict.verdict([Entry("lstm", True, (), note="diverged")], items(200))
    assert (nobody.outcome, nobody.recurrent) == ("no comparison", None)


def test_less_is_better_for_errors():
    gold = np.arange(40.0)[:, None]
    scoring = verdict.of_numbers(gold)
    near, far = [[x + 0.1] for x in range(40)], [[x + 5.0 * (-1) ** x] for x in range(40)]
    entries = [
        Entry(name, ours, (Trial(0, scoring.scores(answers), scoring.parts(answers), 1.0),))
        for name, ours, answers in (("rnn", True, near), ("ridge", False, far))
    ]
    found = verdict.verdict(entries, scoring)
    assert found.outcome == "worth it" and found.high is not None and found.high < 0
    assert (
        "rnn has rmse 0.1 against 5 of ridge (difference -4.9, 95% interval -4.9 to -4.9; lower is better)"
        in (found.sentence)
    )


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("ab")), min_size=1, max_size=30))
def test_labels_are_scored_by_their_parts(pairs):
    gold, answers = [a for a, _ in pairs], [b for _, b in pairs]
    scoring = verdict.of_labels(gold, ["a", "b"], ordinal=True)  # c was never seen in training
    scores = scoring.scores(answers)
    assert set(scores) == {"accuracy", "macro_f1", "mae"}
    assert scores["accuracy"] == pytest.approx(np.mean([a == b for a, b in pairs]))
    assert scoring.value(scoring.parts(answers).sum(0)) == pytest.approx(scores["accuracy"])
    assert scores["mae"] == pytest.approx(np.mean([abs(ord(a) - ord(b)) for a, b in pairs]))


TAGS = st.lists(st.sampled_from(["O", "B-A", "I-A", "B-B"]), max_size=6)


@given(st.lists(TAGS.flatmap(lambda t: st.tuples(st.just(t), st.permutations(t))), min_size=1, max_size=6))
@settings(max_examples=50)
def test_tags_are_scored_by_their_parts(pairs):
    gold, answers = [a for a, _ in pairs], [list(b) for _, b in pairs]
    scoring = verdict.of_tags(gold, "bio")
    scores = scoring.scores(answers)
    assert scores["span_f1"] == pytest.approx(spans.tally(gold, answers).overall.f1)
    assert scoring.value(scoring.parts(answers).sum(0)) == pytest.approx(scores["span_f1"])
    plain = verdict.of_tags(gold, "none")
    assert plain.main == "accuracy" and set(plain.scores(answers)) == {"accuracy"}
    assert plain.value(plain.parts(answers).sum(0)) == pytest.approx(scores["accuracy"])


def test_numbers_are_scored_by_their_parts():
    rng = np.random.default_rng(0)
    gold, answers = rng.normal(size=(30, 2)), rng.normal(size=(30, 2))
    scoring = verdict.of_numbers(gold)
    found = scoring.scores(answers.tolist())
    assert found["rmse"] == pytest.approx(regression.score(gold, answers).mean_rmse)
    assert scoring.value(scoring.parts(answers.tolist()).sum(0)) == pytest.approx(found["rmse"])
    single = verdict.of_numbers(gold[:, :1])
    assert single.scores(answers[:, 0].tolist()) == single.scores(answers[:, :1].tolist())


# ---- baselines and counts ----


def test_a_baseline_that_fails_is_told_and_one_that_ran_is_kept(tmp_path: Path):
    ran: list[str] = []

    def good() -> run_baselines.BaselineResult:
        ran.append("good")
        return run_baselines.BaselineResult("good one", ["a", ["B", "O"], [1.5]], 0.25, "picked")

    def missing() -> run_baselines.BaselineResult:
        with need("compare", "scikit-learn"):
            raise ModuleNotFoundError("no such module", name="sklearn")

    def bad_data() -> run_baselines.BaselineResult:
        raise DataError("no words in the training texts", expected="text")

    def broken() -> run_baselines.BaselineResult:
        raise ValueError("a matrix\nis singular")

    all_of_them = {"good": good, "words_logistic": missing, "bad_data": bad_data, "crf": broken}
    file, key = tmp_path / "baselines.json", {"data": {"train": "x"}, "version": "1"}
    found = list(run_baselines.run_baselines(all_of_them, file, key))
    assert [one.name for one in found] == ["good one", "words logistic", "bad data", "crf"]
    assert found[1].note == "not installed: pip install 'unrolled[compare]'"
    assert [one.note for one in found[2:]] == [
        "no words in the training texts; expected text",
        "ValueError: a matrix is singular",
    ]
    assert [one.answers is None for one in found] == [False, True, True, True]
    assert list(run_baselines.run_baselines(all_of_them, file, key)) == found and ran == ["good"]
    list(run_baselines.run_baselines(all_of_them, file, {**key, "version": "2"}))
    assert ran == ["good", "good"]
    file.write_text("{")
    assert next(run_baselines.run_baselines({"good": good}, file, key)) == found[0] and len(ran) == 3


def windows(series: np.ndarray, history: int, horizon: int) -> list[Example]:
    return [
        Example(
            series[i : i + history],
            tuple(series[i + history : i + history + horizon].ravel().tolist()),
            Place(Path("x"), 1 + i + history),
            series=0,
        )
        for i in range(len(series) - history - horizon)
    ]


def test_the_season_is_repeated_over_the_horizon():
    series = np.stack([np.sin(np.arange(120) * math.tau / 8), np.arange(120) % 8], axis=1)
    examples = windows(series, 32, 11)
    found = forecast.seasonal_windows(examples[:60], examples[60:], horizon=11)
    assert (found.name, found.note) == ("seasonal naive, period 8", "period 8")
    np.testing.assert_allclose(found.predictions, [example.y for example in examples[60:]], atol=1e-9)
    walk = windows(np.cumsum(np.random.default_rng(0).normal(size=(90, 1)), axis=0), 16, 2)
    last = forecast.seasonal_windows(walk[:40], walk[40:], horizon=2)
    assert last.name == "the last value"
    assert all(np.array_equal(a, [e.x[-1, 0]] * 2) for a, e in zip(last.predictions, walk[40:], strict=True))


def test_the_season_is_searched_in_the_whole_series():
    """A window of 40 steps cannot show a season of 30 steps three times, but the series can."""
    shape = np.random.default_rng(0).normal(size=30)
    examples = windows(np.tile(shape, 6)[:, None], 40, 5)
    found = forecast.seasonal_windows(examples[:100], examples[100:], horizon=5)
    assert found.name == "seasonal naive, period 30"
    np.testing.assert_allclose(found.predictions, [example.y for example in examples[100:]])


def test_windows_become_their_series_again():
    series = np.arange(20.0)[:, None]
    cut = windows(series, 4, 1)
    other = [replace(one, series=1) for one in windows(series + 100, 4, 1)]
    found = forecast.whole_series([*cut, *other])
    assert [part[:, 0].tolist() for part in found] == [list(range(18)), list(range(100, 118))]
    gaps = forecast.whole_series([cut[0], cut[2], cut[9]])
    np.testing.assert_array_equal(gaps[0][:, 0], [0, 1, 2, 3, 4, 5, np.nan, np.nan, np.nan, 9, 10, 11, 12])
    alone = [replace(one, series=None) for one in cut[:3]]
    assert [len(part) for part in forecast.whole_series(alone)] == [4, 4, 4]


def test_ridge_reads_the_whole_window():
    """The next value is the one 30 steps before."""
    shape = np.random.default_rng(0).normal(size=30)
    examples = windows(np.tile(shape, 8)[:, None], 40, 2)
    found = forecast.ridge_windows(examples[:150], examples[150:])
    assert found.name == "ridge on all 40 steps"
    np.testing.assert_allclose(found.predictions, [example.y for example in examples[150:]], atol=0.01)


def test_other_tasks_have_baselines_too():
    place = Place(Path("x"), 1)
    texts = [
        Example(f"{'good' if n % 3 else 'bad'} film", (float(n % 3 > 0), 5.0 * (n % 3 > 0)), place)
        for n in range(30)
    ]
    series = [Example(np.zeros((n + 1, 2)), ("up",) * n + ("down",), place) for n in range(5)]
    step = majority.majority_step(series, series[:2])
    assert step.predictions == (("up",), ("up", "up"))
    pytest.importorskip("sklearn")
    found = bag_of_words.words_ridge(texts, texts[:4])
    np.testing.assert_allclose(found.predictions, [[0, 0], [1, 5], [1, 5], [0, 0]], atol=0.3)
    assert set(run_baselines.of_examples("tokens:number", None, lambda: iter(texts), texts)) == {
        "mean_number",
        "words_ridge",
    }


@given(st.text("ab c\n", min_size=1, max_size=60), st.text("abcx", max_size=6), st.integers(0, 4))
@settings(max_examples=40)
def test_counts_of_letters_are_a_distribution(text: str, before: str, order: int):
    counted = count_models.count_letters(text, order)
    known = set(text)
    total = sum(2 ** -counted.bits(letter, before) for letter in known)
    total += (count_models.LETTERS - len(known)) * 2 ** -counted.bits("\u2603", before)
    assert total == pytest.approx(1, rel=1e-9)


def test_counts_by_hand():
    train = count_models.training_text([Document("aab\nab", Place(Path("x"), 1))], lower=False)
    assert train.lines == ("aab", "ab") and train.joined == "aab\nab\n"
    scored = count_models.Text(("ab", "", "c"), {"x": (0, 3)})
    alike = count_models.uniform_costs(train, scored)
    assert [row[0] for row in alike[:2]] == [
        pytest.approx(3 * 2.0),
        pytest.approx(2.0),
    ]  # a, b, line end, and others
    assert alike[2][0] == pytest.approx(2 * 2.0 + math.log2(count_models.LETTERS)) and alike[2][1:] == [
        1.0,
        2.0,
    ]
    # 7 letters of 3 kinds: (3 + 3 u) / 10 for a, (2 + 3 u) / 10 for b and the line end, u = 1 / LETTERS.
    by_counts = count_models.letter_costs(train, scored, 0)
    u = 3 / count_models.LETTERS
    assert by_counts[0][0] == pytest.approx(-math.log2((3 + u) / 10 * ((2 + u) / 10) ** 2))
    assert count_models.letter_costs(train, scored, 3)[0][0] < by_counts[0][0]
    words = count_models.word_costs(train, scored, "word")  # aab, ab, two line ends: 4 of 3 kinds
    assert words[0] == [pytest.approx(math.log2(7 / 1) + math.log2(7 / 2)), 0.0, 2.0]
    assert words[1] == [0.0, 0.0, 0.0]
    spelled = count_models.count_letters("aab\nab\n", 0).spelled("c")
    assert words[2] == [pytest.approx(math.log2(7 / 3) + spelled + math.log2(7 / 2)), 1.0, 2.0]


def test_lines_are_found_again_in_many_files(tmp_path: Path):
    (tmp_path / "a.txt").write_text("One two\n\nthree")
    (tmp_path / "b.txt").write_text("four\n")
    text = count_models.read_text([tmp_path], lower=True)
    assert text.lines == ("one two", "", "three", "four")
    assert text.files == {str(tmp_path / "a.txt"): (0, 3), str(tmp_path / "b.txt"): (3, 1)}
    assert text.characters.tolist() == [8.0, 1.0, 6.0, 5.0]
    assert split_text(text.lines[0], "word") == ["one", "two"]


# ---- parts and sizes ----


@pytest.mark.parametrize("count", [10, 57, 500])
def test_a_fifth_is_held_out_by_a_fixed_rule(count: int):
    whole = from_lists([f"text {n}" for n in range(count)], ["a"] * count)
    kept, out = benchmarks.split(whole, None)
    xs = [[example.x for example in part.examples()] for part in (kept, out)]
    assert len(xs[1]) == count // 5 and not {*xs[0]} & {*xs[1]} and len(xs[0]) + len(xs[1]) == count
    assert [example.x for example in benchmarks.split(whole, None)[1].examples()] == xs[1]
    assert len({whole.sha256, kept.sha256, out.sha256}) == 3
    if count == 500:  # spread over all of the file
        places = [int(str(x).split()[1]) for x in xs[1]]
        assert 200 < np.mean(places) < 300 and places != list(range(min(places), max(places) + 1))


def test_forecasts_of_the_fifth_were_never_seen():
    horizon = 4
    series = np.arange(100.0)[:, None]
    whole = from_lists(*zip(*((one.x, one.y) for one in windows(series, 8, horizon)), strict=True))
    kept, out = benchmarks.split(whole, horizon)
    seen = {value for example in kept.examples() for value in example.y or ()}
    asked = {value for example in out.examples() for value in example.y or ()}
    assert not seen & asked and max(seen) + 1 == min(asked)


def test_a_text_is_cut_at_a_line(tmp_path: Path):
    first, second = write_text(tmp_path / "a.txt", 30), write_text(tmp_path / "b.txt", 30, seed=1)
    config = benchmarks.Files((first, second))
    kept, valid, out, about = benchmarks.text_parts(config, tmp_path / "runs")
    assert valid == () and about == "scored on the last fifth of the text"
    texts = [count_models.read_text(part, lower=False) for part in (kept, out)]
    whole = count_models.read_text((first, second), lower=False)
    assert texts[0].lines + texts[1].lines == whole.lines
    assert [len(text.files) for text in texts] == [2, 1]
    assert texts[1].characters.sum() == pytest.approx(whole.characters.sum() / 5, abs=60)


@given(st.integers(1, 2_000_000), st.integers(1, 40), st.integers(0, 500))
def test_the_size_is_the_nearest_there_is(target: int, factor: int, more: int):
    found = nearest(lambda units: factor * units * units + more, target)
    off = abs(factor * found**2 + more - target)
    assert all(off <= abs(factor * units**2 + more - target) for units in (max(1, found - 1), found + 1))
