"""Words and tags with times as SRT, WebVTT, CTM, TextGrid and the syntax of tables."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unrolled.core.errors import UsageError
from unrolled.core.types import Place, Timeline
from unrolled.data.fields import Stretches, are_intervals, as_intervals
from unrolled.inference.time_formats import FORMATS
from unrolled.tasks.outputs.tags import Tags

PLACE = Place(Path("t.csv"), 2)
WORDS = {
    "words": [
        {"word": "<a>", "start": 0.5, "end": 0.75, "confidence": 0.5},
        {"word": 'b"c', "start": 0.8, "end": 1.0, "confidence": 1.0},
        {"word": "late", "start": 3661.25, "end": 3662.0, "confidence": 0.25},
    ],
    "seconds": 3663.5,
}


def test_the_forms_of_words():
    assert FORMATS["srt"](WORDS, "x.wav") == (
        '1\n00:00:00,500 --> 00:00:01,000\n<a> b"c\n\n2\n01:01:01,250 --> 01:01:02,000\nlate\n'
    )
    assert FORMATS["vtt"](WORDS, "x.wav").startswith(
        'WEBVTT\n\n00:00:00.500 --> 00:00:01.000\n&lt;a&gt; b"c\n'
    )
    assert FORMATS["ctm"](WORDS, "my dir/my x.wav").splitlines()[1] == 'my_x 1 0.800 0.200 b"c 1.000'
    assert FORMATS["intervals"](WORDS, "x") == '0.5-0.75 <a>; 0.8-1 b"c; 3661.25-3662 late\n'


@pytest.mark.property
@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2000), st.integers(1, 900)), max_size=8), st.integers(0, 500))
def test_a_textgrid_has_no_gaps(found: list[tuple[int, int]], rest: int):
    at, words = 0.0, list[dict[str, object]]()
    for gap, length in found:
        start = at + gap / 1000
        at = start + length / 1000
        words.append({"word": "w", "start": round(start, 3), "end": round(at, 3), "confidence": 1.0})
    text = FORMATS["textgrid"]({"words": words, "seconds": at + rest / 1000}, "x.wav")
    edges = [(float(a), float(b)) for a, b in re.findall(r"xmin = ([\d.]+)\n +xmax = ([\d.]+)\n +text", text)]
    assert edges[0][0] == 0 and len(edges) == int(re.findall(r"intervals: size = (\d+)", text)[0])
    assert all(a < b or len(edges) == 1 for a, b in edges)
    assert all(end == begin for (_, end), (begin, _) in pairwise(edges))
    assert text.count('text = "w"') == len(found)


def answered(tags: list[str], seconds: float, scheme: str = "none") -> dict[str, object]:
    classes = tuple(sorted({*tags, "O", "x"}))
    output = Tags(classes, scheme, crf=False)
    p = np.full((len(tags), len(classes)), 0.1 / (len(classes) - 1))
    p[np.arange(len(tags)), [classes.index(tag) for tag in tags]] = 0.9
    return dict(output.to_answer(np.log(p), Timeline(seconds), 1, {}).record)


def test_tags_of_steps_are_intervals_with_times_and_confidence():
    record = answered(["O", "speech", "speech", "O", "cough"], 0.01)
    assert record["intervals"] == [
        {
            "tag": "speech",
            "first": 1,
            "last": 3,
            "start": 0.01,
            "end": 0.03,
            "confidence": pytest.approx(0.9),
        },
        {"tag": "cough", "first": 4, "last": 5, "start": 0.04, "end": 0.05, "confidence": pytest.approx(0.9)},
    ]
    assert record["tokens"] == []
    spans = answered(["B-a", "I-a", "B-a"], 0.1, "bio")["intervals"]
    assert [(one["tag"], one["first"], one["last"]) for one in spans] == [("a", 0, 2), ("a", 2, 3)]  # pyright: ignore
    untimed = answered(["a", "a"], 0.0)
    assert "start" not in untimed["intervals"][0]  # pyright: ignore
    with pytest.raises(UsageError, match="have no times"):
        FORMATS["srt"](untimed, "x")


@pytest.mark.property
@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(["O", "wave", "jump"]), min_size=1, max_size=40))
def test_intervals_of_an_answer_are_tags_of_a_table(tags: list[str]):
    """What `predict --format intervals` writes can be trained on: the same tag at each step comes back."""
    text = FORMATS["intervals"](answered(tags, 0.1), "x").strip()
    times = [0.1 * i for i in range(len(tags))]
    marks = as_intervals(text, PLACE)
    assert are_intervals(text) == bool(marks) and not are_intervals(" ".join(tags))
    assert list(Stretches(tuple(marks)).at(times)) == tags


def test_a_collection_of_stretches_is_its_tags():
    made = Stretches(((0.0, 1.0, "a"), (0.5, 2.0, "b")))
    assert list(made) == ["O", "a", "b"] and len(made) == 3
    assert made.at([0.0, 0.4, 0.5, 1.9, 2.0]) == ("a", "a", "b", "b", "O")
