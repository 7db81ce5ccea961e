"""Inputs that are far larger than they look, or far too large, are refused soon or read in little memory."""

from __future__ import annotations

import gzip
import io
import subprocess
import sys
import zipfile
from pathlib import Path

import mido
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.small_models import run
from unrolled.core.config import build, read_toml
from unrolled.core.errors import DataError, UsageError
from unrolled.data.media.midi import parse_midi
from unrolled.data.media_formats.midi_size import count_events
from unrolled.data.read_request import ReadRequest
from unrolled.data.readers import npz, table
from unrolled.datasets import example_dataset, example_source
from unrolled.tasks.fill import resolve_data


def tune(events: list[tuple[int, int, int]]) -> bytes:
    """The bytes of a MIDI file: notes on, each with its pitch, velocity and wait; a tempo and lyrics among them."""
    file, stream = mido.MidiFile(), io.BytesIO()
    track = mido.MidiTrack([mido.MetaMessage("set_tempo"), mido.MetaMessage("lyrics", text="la " * 70)])
    for pitch, velocity, wait in events:
        track.append(mido.Message("note_on", note=pitch, velocity=velocity, time=wait))
    track += [mido.Message("sysex", data=(1, 2, 3)), mido.Message("program_change", program=3)]
    file.tracks += [track, mido.MidiTrack([mido.Message("pitchwheel", pitch=9)])]
    file.save(file=stream)
    return stream.getvalue()


pitches = st.tuples(st.integers(0, 127), st.integers(0, 127), st.integers(0, 300_000))


@given(st.lists(pitches, max_size=40), st.integers(0, 60))
def test_events_are_counted_as_mido_counts_them(events: list[tuple[int, int, int]], most: int):
    content = tune(events)
    true = sum(map(len, mido.MidiFile(file=io.BytesIO(content)).tracks))
    assert count_events(content, 10**6) == true
    assert min(count_events(content, most), most + 1) == min(true, most + 1)


@given(st.binary(max_size=60), st.integers(0, 60))
def test_counting_ends_whatever_the_bytes_are(noise: bytes, at: int):
    content = tune([(60, 64, 10)] * 5)
    count_events(noise, 100)
    count_events(content[:at] + noise + content[at:], 100)


def test_a_tune_of_a_third_of_a_million_events_is_refused_before_it_is_parsed(
    monkeypatch: pytest.MonkeyPatch,
):
    content = tune([(60 + i % 2, 64 * (i % 2), 1) for i in range(330_000)])
    monkeypatch.setattr(mido, "MidiFile", None)  # nothing is made of the events
    with pytest.raises(DataError, match="more than 200,000 events"):
        parse_midi(content, Path("big.mid"))


def test_an_archive_that_unpacks_to_gigabytes_is_refused_before_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(npz, "_LARGE", 1 << 20)
    np.savez_compressed(tmp_path / "z.npz", x=np.zeros((60, 50, 100)), y=np.array(["a", "b"] * 30))
    with (
        monkeypatch.context() as patch,
        pytest.raises(DataError, match=r"x\.npy unpacks to .* times its size"),
    ):
        patch.setattr(zipfile.ZipFile, "open", None)
        next(npz.read([tmp_path / "z.npz"], ReadRequest(kind="numbers", target="label")))
    np.savez(tmp_path / "z.npz", x=np.zeros((60, 50, 100)), y=np.array(["a", "b"] * 30))
    assert sum(1 for _ in npz.read([tmp_path / "z.npz"], ReadRequest(kind="numbers", target="label"))) == 60


def test_a_row_of_a_million_tokens_is_named(tmp_path: Path):
    path, config = tmp_path / "t.csv", resolve_data(build("classify"))
    path.write_text("text,label\n" + "so good,yes\nbad,no\n" * 10 + "word " * 1_000_000 + ",yes\n")
    with pytest.raises(DataError) as caught:
        example_dataset.prepare(example_source.from_files([path], config), None, config, tmp_path / "data")
    assert str(caught.value).startswith(f"{path}:22: a sequence of 1,000,000 steps; expected at most 200,000")
    assert "batch" not in str(caught.value)


def test_a_row_of_a_million_tokens_is_skipped_on_request_and_checked(tmp_path: Path):
    path, config = tmp_path / "t.csv", resolve_data(build("classify", {"skip_bad": 1}))
    rows = [("so good", "yes"), ("word " * 300_000, "yes"), *[("bad", "no"), ("fine", "yes")] * 10]
    path.write_text("text,label\n" + "".join(f"{x},{y}\n" for x, y in rows))
    for part in (None, example_source.from_files([path], config)):
        source = example_source.from_files([path], config)
        ready = example_dataset.prepare(source, part, config, tmp_path / f"data-{part is None}")
        assert len(ready.train) == 21 and max(ready.train.lengths) == 2
        assert ready.skipped[0] == f"{path}:3: a sequence of 300,000 steps"
    checked = run("check", "classify", path)
    assert checked.code == 2
    told = checked.out + checked.err
    assert f"{path}:3: a sequence of 300,000 steps; expected at most 200,000 (a bad row in train)" in told
    assert "training would see 21 sequences" in told and "try --skip-bad 1" in told
    assert "training would start" in run("check", "classify", path, "--skip-bad", "1").out


def test_a_skipped_row_does_not_shift_the_rows_that_are_held_out(tmp_path: Path):
    held: list[set[int]] = []
    for name, odd in (("short", "so good"), ("long", "word " * 200_001)):
        config = resolve_data(build("classify", {"skip_bad": 1, "hold_out": 0.2}))
        path = tmp_path / f"{name}.csv"
        texts = (
            [f"text {number}" for number in range(60)] + [odd] + [f"more {number}" for number in range(150)]
        )
        path.write_text("text,label\n" + "".join(f"{text},{n % 2}\n" for n, text in enumerate(texts)))
        source = example_source.from_files([path], config)
        valid = example_dataset.prepare(source, None, config, tmp_path / name).valid
        assert valid is not None
        held.append({valid.place(number).line for number in range(len(valid))})
    assert len(held[0]) == 42 and held[1] == held[0] - {62}


@pytest.mark.parametrize("ending", [".csv", ".jsonl", ".csv.gz"])
def test_a_line_of_a_hundred_megabytes_is_named(tmp_path: Path, ending: str):
    path = tmp_path / f"t{ending}"
    opening = gzip.open if ending.endswith("gz") else open
    with opening(path, "wt") as file:
        file.write('{"text":"' if ending == ".jsonl" else "text,label\n")
        for _ in range(100):
            file.write("x" * 1_000_000)
        file.write('","label":"a"}\n' if ending == ".jsonl" else ",yes\n")
    with pytest.raises(DataError, match="line too long") as caught:
        list(table.read([path], ReadRequest(kind="text", target="label")))
    assert caught.value.line == (1 if ending == ".jsonl" else 2)


def test_a_packed_text_of_a_thousand_times_its_size_is_read_in_little_memory(tmp_path: Path):
    with gzip.open(tmp_path / "t.txt.gz", "wb", 9) as file:
        for _ in range(200):
            file.write(b"ab " * 333_333 + b"\n")
    code = """
import resource, sys
from pathlib import Path
from unrolled.data.readers import text_files
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(sum(len(one.text) for one in text_files.read([Path(sys.argv[1])])))
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10)
"""
    words = [sys.executable, "-c", code, str(tmp_path / "t.txt.gz")]
    done = subprocess.run(words, capture_output=True, text=True, timeout=300)
    characters, more = map(int, done.stdout.split())
    assert characters == 200 * 1_000_000 and more < 60


@pytest.mark.parametrize(
    "content",
    [
        "hidden = " + "[" * 8_000 + "]" * 8_000,
        "hidden = " + "{a=" * 4_000 + "1" + "}" * 4_000,
        "hidden" + ".a" * 4_000 + " = 1",
        "[" + "a." * 4_000 + "b]",
        "\n".join(f"a{number} = 1" for number in range(1_000)),
        "# much\n" * 1_000_000,
        "hidden = " + "9" * 10_000,
    ],
    ids=("lists", "tables", "dots", "header", "wide", "long", "digits"),
)
def test_deep_and_wide_configurations_are_refused(tmp_path: Path, content: str):
    (tmp_path / "c.toml").write_text(content)
    with pytest.raises(UsageError) as caught:
        build("language", read_toml(tmp_path / "c.toml"))
    assert len(str(caught.value)) < 500
