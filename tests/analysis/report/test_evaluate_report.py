"""`evaluate` with details: on a terminal, as JSON and as a page. The page is a safe file that loads nothing."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from support.small_models import refused, run, small
from support.small_tasks import kinds, write_reviews
from unrolled.analysis.report import charts, svg
from unrolled.analysis.report.page import page
from unrolled.analysis.report.terminal import in_words
from unrolled.tasks.details.of_classes import class_scores, confusions
from unrolled.tasks.details.parts import Details, Histogram, Lines, Matrix, Scatter, Table

KINDS = ("label", "rating", "names", "forward", "number", "waves", "steps", "forecast", "log")
EMPTY = {"meta", "br", "wbr"}
LOADING = ("src", "href", "xlink:href", "srcset", "data", "action")


class Strict(HTMLParser):
    """Collects the tags and attributes of a page, and checks that every element is closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += attrs
        if tag not in EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def parsed(text: str) -> Strict:
    parser = Strict()
    parser.feed(text)
    parser.close()
    assert not parser.open
    return parser


def assert_loads_nothing(text: str) -> None:
    found = parsed(text)
    assert not found.tags & {"script", "link", "img", "iframe", "object", "embed", "base", "form"}
    assert not [name for name, _ in found.attributes if name in LOADING or name.startswith("on")]
    assert "url(" not in text and "@import" not in text and "default-src 'none'" in text


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_has_details_as_text_json_and_page(name: str, tmp_path: Path):
    kind, report = kinds()[name], tmp_path / "r.html"
    done = run("evaluate", kind.model, kind.test, "--report", report)
    text = report.read_text(encoding="utf-8")
    assert_loads_nothing(text)
    assert done.code == 0 and "<svg" in text and "nan" not in text.lower().split("</style>")[1]
    found = json.loads(run("evaluate", kind.model, kind.test, "--json").out)
    metrics, _, tables = done.out.partition("\n\n")
    assert kind.metric in metrics
    worst, perfect = found["worst"], found.get("accuracy") == 1.0
    assert bool(worst) != perfect and ("worst" in tables or "most surprising" in tables or perfect)
    assert all(one["file"] == str(kind.test) and one["line"] >= 1 for one in worst)
    assert perfect or f"{worst[0]['file']}:{worst[0]['line']}" in tables
    for metric, (low, high) in found["intervals"].items():
        assert low <= found[metric] <= high or metric in ("macro_f1", "kappa")
    assert run("evaluate", kind.model, kind.test, "--json").out == json.dumps(found) + "\n"


def test_worst_errors_are_the_lines_that_predict_gets_wrong(tmp_path: Path):
    data, model = write_reviews(tmp_path / "reviews.csv", 60), tmp_path / "model"
    weak = ("--epochs", "1", "--hidden", "4", "--no-wide", "--threads", "1")
    assert run("train", "classify", data, "--out", model, *weak).code == 0
    found = json.loads(run("evaluate", model, data, "--json").out)
    rows = data.read_text(encoding="utf-8").splitlines()
    answers = [json.loads(line) for line in run("predict", model, data, "--format", "jsonl").lines]
    wrong = {
        number
        for number, (row, answer) in enumerate(zip(rows[1:], answers, strict=True), 2)
        if f",{answer['label']}," not in row
    }
    assert {one["line"] for one in found["worst"]} == wrong
    first = found["worst"][0]
    assert first["text"] in rows[first["line"] - 1] and f",{first['true']}," in rows[first["line"] - 1]
    assert first["probability"] == pytest.approx(answers[first["line"] - 2]["probability"])


HOSTILE = '<script>alert("x")</script><img src=x onerror=y>\'&'


def test_texts_classes_and_names_of_files_are_escaped(tmp_path: Path):
    folder = tmp_path / "<b>&"
    folder.mkdir()
    kind = kinds()["label"]
    model, data = folder / "m'\"<i>", folder / "<script>.csv"
    shutil.copy(kind.model, model)
    cells = HOSTILE.replace('"', '""')
    data.write_text(f'text,label\n"{cells} awful broken",like\n"good great {cells}",hate\n', encoding="utf-8")
    report = tmp_path / "r.html"
    assert run("evaluate", model, data, "--report", report).code == 0
    text = report.read_text(encoding="utf-8")
    assert_loads_nothing(text)
    assert "&lt;script&gt;" in text and not parsed(text).tags & {"b", "img"}
    parts, _ = class_scores([HOSTILE, "b"], np.eye(2, dtype=np.int64))
    more, _ = confusions([HOSTILE, "b"], np.array([[3, 1], [2, 4]]))
    charted = Details(
        (*parts, *more, Lines(HOSTILE, HOSTILE, HOSTILE, (1.0, 2.0), {HOSTILE: (1.0, 2.0), "b": (0, 1)}))
    )
    assert_loads_nothing(page(model, [data], [(HOSTILE, HOSTILE, HOSTILE)], charted, HOSTILE))


def test_a_report_is_never_overwritten_without_force(tmp_path: Path):
    kind, report = kinds()["label"], tmp_path / "r.html"
    report.write_text("mine")
    told = refused(run("evaluate", kind.model, kind.test, "--report", report))
    assert told == f"{report}: exists already; try another name, or --force to replace it"
    assert report.read_text() == "mine"
    assert run("evaluate", kind.model, kind.test, "--report", report, "--force").code == 0
    assert report.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert "no such folder" in refused(
        run("evaluate", kind.model, kind.test, "--report", tmp_path / "a" / "r.html")
    )
    assert "is a folder" in refused(run("evaluate", kind.model, kind.test, "--report", tmp_path, "--force"))


def test_a_language_model_has_a_report_of_its_metrics(tmp_path: Path):
    report = tmp_path / "r.html"
    assert run("evaluate", small().char, small().few, "--report", report).code == 0
    text = report.read_text(encoding="utf-8")
    assert_loads_nothing(text)
    assert "perplexity" in text and "settings of the training" in text


def test_bad_rows_are_skipped_and_named(tmp_path: Path):
    kind = kinds()["label"]
    table = tmp_path / "t.csv"
    lines = kind.test.read_text(encoding="utf-8").splitlines()
    table.write_text("\n".join([*lines[:3], "only one field", *lines[3:]]) + "\n", encoding="utf-8")
    assert f"{table}:4: " in refused(run("evaluate", kind.model, table))
    done = run("evaluate", kind.model, table, "--skip-bad", "1", "--json")
    assert f"note: skipped {table}:4: 1 field in this row, 4 in the header" in done.err
    found, whole = json.loads(done.out), json.loads(run("evaluate", kind.model, kind.test, "--json").out)
    assert found["skipped"] == 1 and found["accuracy"] == whole["accuracy"]
    assert f"{table}:4: " in refused(run("evaluate", kind.model, table, "--skip-bad", "0"))
    assert "--skip-bad -1; expected 0 or more" in refused(
        run("evaluate", kind.model, table, "--skip-bad", "-1")
    )
    assert "--skip-bad is for rows" in refused(run("evaluate", small().char, small().few, "--skip-bad", "1"))


def test_a_terminal_shows_the_worst_of_many_classes(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", "100")
    names = [f"class {i}" for i in range(77)]
    counts = np.diag(np.full(77, 10))
    counts[5, 6], counts[8, 1] = 9, 4
    scores, _ = class_scores(names, counts)
    pairs, _ = confusions(names, counts)
    lines = in_words(Details((*scores, *pairs))).splitlines()
    assert lines[0] == "scores of each class, the lowest F1 first (10 of 77):"
    assert {line.split("  ")[1] for line in lines[2:6]} == {"class 5", "class 6", "class 1", "class 8"}
    at = lines.index("most confused pairs:")
    assert [line.split() for line in lines[at + 2 : at + 4]] == [
        ["class", "5", "class", "6", "9", "0.474"],
        ["class", "8", "class", "1", "4", "0.286"],
    ]
    few = in_words(Details(tuple(confusions(["a", "b"], np.array([[3, 1], [2, 4]]))[0])))
    assert few.splitlines() == [
        "confusion matrix (rows: true, columns: predicted):",
        "     a  b",
        "  a  3  1",
        "  b  2  4",
    ]


def test_long_texts_are_cut_to_the_terminal_but_places_are_not(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", "60")
    place = f"{'folder/' * 12}file.csv:12"
    table = Table("worst errors", ("place", "p", "text"), ((place, 0.00001, "word " * 50),), long=("text",))
    lines = in_words(Details((table,))).splitlines()
    assert lines[2] == f"  {place}  1.0e-05" and len(lines[3]) == 60 and lines[3].endswith("...")


def test_ticks_are_round_numbers_that_enclose_the_values():
    for values in ([0.0, 1.0], [-3.2, 17.9], [5.0], [1e-9, 3e-9], [1e7, 1.2e7], [0.0, 0.0], [-1e-3, 2.0]):
        found = svg.axis(values)
        assert found.low <= min(values) and max(values) <= found.high and 2 <= len(found.ticks) <= 8
        texts = [found.text(tick) for tick in found.ticks]
        assert len(set(texts)) == len(texts)


def test_bars_of_a_histogram_have_the_height_of_their_counts():
    drawn = charts.histogram(Histogram("t", "x", (0.0, 0.5, 1.0), {"a": (4, 0), "b": (0, 2)}))
    heights = [float(height) for height in re.findall(r'height="([\d.]+)" class="c\d"', drawn)]
    assert len(heights) == 2 and heights[0] == pytest.approx(2 * heights[1], abs=0.11)
    drawn = charts.scatter(Scatter("t", "x", "y", ((0.0, 0.0), (1.0, 1.0)), diagonal=True))
    centres = [tuple(map(float, pair)) for pair in re.findall(r'cx="([\d.]+)" cy="([\d.]+)"', drawn)]
    line = re.search(r'x1="([\d.]+)" y1="([\d.]+)" x2="([\d.]+)" y2="([\d.]+)" class="ideal"', drawn)
    assert line is not None and [float(n) for n in line.groups()] == [*centres[0], *centres[1]]


def test_a_row_of_a_heat_map_is_normalised():
    drawn = charts.heat_map(Matrix("t", ("a", "b"), ("a", "b"), ((1, 3), (0, 100)), (4, 100)))
    shades = [float(shade) for shade in re.findall(r'fill-opacity="([\d.]+)"', drawn)]
    assert shades == [0.54, 0.88, 1.0]
    assert "true a, predicted b: 3 of 4 (75.0%)" in drawn


# A browser is no dependency of the tests: it takes hundreds of megabytes. Other tests check the text of the page.
@pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not installed")
def test_a_browser_shows_the_page_without_an_overflow_on_a_phone(tmp_path: Path):
    """The page is drawn in a frame that is 390 pixels wide; another page then reads its width."""
    kind, report = kinds()["label"], tmp_path / "r.html"
    assert run("evaluate", kind.model, kind.test, "--report", report).code == 0
    outer = tmp_path / "outer.html"
    outer.write_text(
        '<iframe id="f" src="r.html" width="390" height="800" style="border:0"></iframe><p id="p"></p><script>'
        'onload = () => { const d = document.getElementById("f").contentDocument;'
        'document.getElementById("p").textContent = d.documentElement.scrollWidth + " "'
        '+ d.querySelectorAll("svg").length + " " + getComputedStyle(d.querySelector("rect.right")).fill }</script>'
    )
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files"]
    profile = f"--user-data-dir={tmp_path / 'profile'}"
    done = subprocess.run(
        [*command, profile, "--dump-dom", outer.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    shown = re.search(r'<p id="p">(\d+) (\d+) (rgb[^<]*)</p>', done.stdout)
    assert (
        shown is not None and int(shown[1]) <= 390 and int(shown[2]) >= 4 and shown[3] == "rgb(29, 78, 216)"
    )
