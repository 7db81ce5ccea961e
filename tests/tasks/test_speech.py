"""Sound to text and to labels, from files to answers, as people use it; on tones of our own."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

import unrolled
from support.small_models import apart, refused, run
from support.small_sounds import NETWORK, small
from support.tolerances import TOLERANCES
from support.tones import RATE, sound, table, texts, write
from unrolled.core.errors import DataError, UsageError
from unrolled.core.types import Example, Place
from unrolled.data.read_request import ReadRequest
from unrolled.data.readers import find_reader
from unrolled.estimators import Classifier, Transcriber
from unrolled.inference import predictor, streaming_audio
from unrolled.inference.lm_fusion import lm_scorer, with_search
from unrolled.inference.open_model import open_language_model, open_trained
from unrolled.models.decoding.ctc import best_path
from unrolled.tasks.outputs.ctc import Transcript

CLOSE = TOLERANCES["float32"]["padding"]


def test_what_is_said_is_learnt():
    data = small()
    done = run("evaluate", data.causal, data.test, "--json")
    found = json.loads(done.out)
    assert done.code == 0 and found["sequences"] == 30
    assert found["wer"] < 0.2 and found["cer"] < 0.1 and found["loss"] < 0.3, found
    label = json.loads(run("evaluate", data.label, data.label.with_name("label-2.csv"), "--json").out)
    assert label["accuracy"] > 0.8


def test_answers_to_a_file_a_list_a_table_and_a_folder(tmp_path: Path):
    data = small()
    paths = [write(tmp_path / f"{i}.wav", sound(text, 77 + i)) for i, text in enumerate(("ab", "cab", "bca"))]
    one = run("predict", data.causal, paths[0])
    lines = run("predict", data.causal, stdin=("\n".join(map(str, paths)) + "\n\n").encode())
    folder = run("predict", data.causal, tmp_path, "--format", "jsonl")
    assert one.code == lines.code == folder.code == 0, (one, lines, folder)
    named = [f"{text}\t{path}" for text, path in zip(("ab", "cab", "bca"), paths, strict=True)]
    assert one.lines == named[:1] and lines.lines == [*named, ""]
    records = [json.loads(line) for line in folder.lines]
    assert [record["id"] for record in records] == ["0.wav", "1.wav", "2.wav"]
    assert [record["text"] for record in records] == ["ab", "cab", "bca"]
    word = records[0]["words"][0]
    assert word["word"] == "ab" and 0 <= word["start"] < word["end"] < 0.4 and 0.3 < word["confidence"] <= 1
    assert len(records[0]["nbest"]) == 5
    whole = run("predict", data.causal, data.test)
    assert whole.code == 0 and len(whole.lines) == 30


def test_a_sound_that_cannot_be_read_has_a_blank_answer_and_is_told(tmp_path: Path):
    data = small()
    for name in ("a.wav", "c.wav"):
        write(tmp_path / name, sound("ab", 7))
    (tmp_path / "b.wav").write_bytes(b"RIFF\x08\x00\x00\x00WAVEdata")
    listed = "\n".join(str(tmp_path / f"{name}.wav") for name in "abc").encode()
    for done in (run("predict", data.causal, tmp_path), run("predict", data.causal, stdin=listed + b"\n")):
        assert done.code == 5 and [line.split("\t")[0] for line in done.lines] == ["ab", "", "ab"], done
        assert "b.wav" in done.err and "Traceback" not in done.err
    single = run("predict", data.causal, tmp_path / "b.wav", "--format", "jsonl")
    assert single.code == 5 and "damaged" in single.out + single.err, single


def test_batches_engines_and_formats_change_nothing(tmp_path: Path):
    data = small()
    for path in (data.causal, data.both):
        ours, theirs = (open_trained(path, engine) for engine in ("numpy", "torch"))
        examples = list(find_reader(data.test)([data.test], ReadRequest(kind="audio", target="text")))[:9]
        encoded = [ours.input.encode(example.x) for example in examples]
        lengths = np.array([len(x) for x in encoded])
        batch = np.zeros((9, lengths.max() + 5, 12), np.float32)
        for row, x in zip(batch, encoded, strict=True):
            row[: len(x)] = x
        for model in (ours, theirs):
            together, _ = model.engine.run(batch, lengths)
            for row, example, length in zip(together, examples, lengths, strict=True):
                alone = predictor.forward(ours, example.x)
                steps = predictor.output_length(ours, int(length))
                assert len(alone) == steps
                np.testing.assert_allclose(np.exp(row[:steps]), np.exp(alone), atol=5 * CLOSE)
    same = [write(tmp_path / name, sound("abc", 5)) for name in ("a.wav", "a.flac")]
    assert len({run("predict", data.causal, path).out.split("\t")[0] for path in same}) == 1


@pytest.mark.parametrize("rate", [RATE, 11025])
@pytest.mark.parametrize("size", [7, 333, 100_000])
def test_chunks_are_the_whole(tmp_path: Path, rate: int, size: int):
    model = open_trained(small().causal)
    samples = sound("abcab", 4, rate)
    path = write(tmp_path / "a.wav", samples, rate, subtype="FLOAT")
    whole = predictor.forward(model, path)
    stream_state, parts = streaming_audio.begin(model, rate), []
    for begin in range(0, len(samples), size):
        made, stream_state = streaming_audio.process_chunk(model, stream_state, samples[begin : begin + size])
        parts.append(made)
    parts.append(streaming_audio.process_chunk(model, stream_state, samples[:0], last=True)[0])
    np.testing.assert_allclose(np.exp(np.concatenate(parts)), np.exp(whole), atol=5 * CLOSE)
    *partial, final = streaming_audio.transcribe(model, np.array_split(samples, 5), rate)
    said = predictor.answer(model, Example(path, None, Place(path, 1)), 1)
    assert final.text == said.text and final.record["final"] and not partial[-1].record["final"]
    assert all(final.text.startswith(one.text[:1]) for one in partial)


def test_a_sound_shorter_than_a_window_has_an_answer_in_chunks_too():
    model = open_trained(small().causal)
    tiny = sound("a")[:90]
    stream_state = streaming_audio.begin(model)
    some, stream_state = streaming_audio.process_chunk(model, stream_state, tiny[:40])
    rest, _ = streaming_audio.process_chunk(model, stream_state, tiny[40:], last=True)
    np.testing.assert_allclose(np.concatenate([some, rest]), predictor.forward(model, tiny), atol=5 * CLOSE)


def test_a_model_of_both_directions_hears_the_whole_first():
    with pytest.raises(UsageError, match="needs the whole recording before it answers"):
        streaming_audio.begin(open_trained(small().both))


def test_a_language_model_has_a_say():
    data = small()
    model = open_trained(data.both)
    paths = [line.partition(",")[0] for line in data.test.read_text().splitlines()[1:9]]
    examples = [Example(data.folder / path, None, Place(data.test, 1)) for path in paths]
    plain = [predictor.answer(model, one, 3).record for one in examples]
    with_lm = with_search(model, 16, data.lm, 2.0)
    heard = [predictor.answer(with_lm, one, 3).record for one in examples]
    assert [one["nbest"] for one in plain] != [one["nbest"] for one in heard]
    said = [one for record in heard for one in record["nbest"] if one["text"]]
    lines = "\n".join(one["text"] for one in said) + "\n"
    scored = [
        json.loads(line) for line in run("score", data.lm, "--format", "jsonl", stdin=lines.encode()).lines
    ]
    for one, line in zip(said, scored, strict=True):
        assert one["score"] - one["log_prob"] == pytest.approx(2.0 * line["log_probability"], abs=1e-3)
    done = run("predict", data.both, data.test, "--lm", data.lm, "--lm-weight", "0.3", "--beam", "8")
    assert done.code == 0 and len(done.lines) == 30
    assert "is no language model" in refused(run("predict", data.both, data.test, "--lm", data.causal))
    assert "expected a model of transcribe" in refused(
        run("evaluate", data.lm, data.folder / "said.txt", "--lm", data.lm)
    )


def test_bad_sounds_are_bad_rows(tmp_path: Path):
    rows = table(tmp_path, texts(6, 9))
    (tmp_path / "wav" / "0-2.wav").write_bytes(b"RIFF\x08\x00\x00\x00WAVEdata")
    with rows.open("a") as file:
        file.write(
            "wav/none.wav,a\nwav/0-1.wav,abcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabc\n"
        )
    words = ("train", "transcribe", rows, "--out", tmp_path / "m", *NETWORK, "--epochs", 1)
    assert "text-0.csv:8: no such file" in refused(run(*words))
    told = refused(run(*words, "--skip-bad", 1))
    assert "text-0.csv:4: " in told and "0-2.wav: damaged" in told
    assert not (tmp_path / "m").exists()
    report = run("check", "transcribe", rows)
    assert report.code == 2
    for place in (":4: ", ":8: no such file", ":9: 60 characters in"):
        assert f"text-0.csv{place}" in report.out, report.out
    done = run(*words, "--skip-bad", 3)
    assert done.code == 0 and "skipped" in done.err, done.err


@pytest.mark.parametrize(
    "direction", ["--bidirectional", "--no-bidirectional"]
)  # sounds normalised whole, running
def test_a_sound_that_breaks_in_the_middle_is_a_bad_row(tmp_path: Path, direction: str):
    rows = table(tmp_path, texts(6, 9))
    whole = write(tmp_path / "wav" / "broken.flac", sound("abc" * 10)).read_bytes()
    third = len(whole) // 3
    (tmp_path / "wav" / "broken.flac").write_bytes(whole[:third] + bytes(third) + whole[2 * third :])
    with rows.open("a") as file:
        file.write("wav/broken.flac,abc\nwav/0-1.wav,a\n")
    words = ("train", "transcribe", rows, "--out", tmp_path / "m", *NETWORK, "--epochs", 1, direction)
    told = refused(run(*words))
    assert "text-0.csv:8: " in told and "broken.flac" in told
    done = run(*words, "--skip-bad", 1)
    assert done.code == 0 and "skipped" in done.err and "7 sequences" in done.err, done.err


def test_the_doctor_hears_silence_clipping_and_rates(tmp_path: Path):
    rows = table(tmp_path, texts(6, 9))
    write(tmp_path / "wav" / "silent.wav", np.zeros(4000))
    write(tmp_path / "wav" / "loud.wav", np.clip(20 * sound("abc"), -1, 1))
    write(tmp_path / "wav" / "slow.wav", sound("abc", rate=6000), 6000)
    with rows.open("a") as file:
        file.write("wav/silent.wav,\nwav/loud.wav,abc\nwav/slow.wav,a?\nwav/loud.wav,abc\n")
    done = run("check", "transcribe", rows)
    assert done.code == 0, done
    for words in (
        "odd: silence: 1",
        "odd: clipping (samples at full scale): 2",
        "odd: sample rate lower than in training: 1",
        "odd: empty transcript (learnt as silence): 1",
        "odd: character seen fewer than 3 times",
        "duplicates in train (same x and same y): 1",
        "sample rates: 8,000 Hz (9 files), 6,000 Hz (1 files)",
    ):
        assert words in done.out, done.out
    assert "--fix does not support recordings" in refused(
        run("check", "transcribe", rows, "--fix", tmp_path / "clean")
    )


def test_folders_of_classes_of_texts_and_librispeechs(tmp_path: Path):
    for name in ("yes", "no"):
        write(tmp_path / "classes" / name / "deep" / "1.wav", sound("a"))
    write(tmp_path / "beside" / "1.flac", sound("ab"))
    (tmp_path / "beside" / "1.txt").write_text("a\nb\n")
    libri = tmp_path / "libri" / "84" / "121"
    write(libri / "84-121-0.flac", sound("ab"))
    (libri / "84-121.trans.txt").write_text("84-121-0 A B\n84-121-1 GONE\n")

    def read(folder: str, target, skip=0):
        wanted = ReadRequest(kind="audio", target=target, skip_bad=skip)
        return [(e.y, e.id) for e in find_reader(tmp_path / folder)([tmp_path / folder], wanted)]

    assert read("classes", "label") == [("no", "no/deep/1.wav"), ("yes", "yes/deep/1.wav")]
    assert read("beside", "text") == [("a b", "1.flac")]
    assert read("libri", "text", 1) == [("A B", "84-121-0")]
    assert read("libri", None) == [(None, "84/121/84-121-0.flac")]
    with pytest.raises(DataError, match=r"trans.txt:2: no recording '84-121-1'"):
        read("libri", "text")
    with pytest.raises(DataError, match=r"has no transcript; expected 1\.txt in the same folder"):
        read("classes", "text")
    with pytest.raises(DataError, match="is not in the folder of a class"):
        read("beside", "label")


def test_estimators(tmp_path: Path):
    data = small()
    listener = unrolled.load(data.causal)
    assert isinstance(listener, Transcriber)
    path = write(tmp_path / "a.wav", sound("cab", 3))
    assert listener.predict([str(path), path, soundfile.read(path)[0]]) == ["cab"] * 3
    assert listener.score([path, path], ["cab", "cab b"]) == pytest.approx(1 - 1 / 3)
    assert listener.transcribe([path])[0]["words"][0]["word"] == "cab"
    listener.save(tmp_path / "again")
    assert unrolled.load(tmp_path / "again").predict([path]) == ["cab"]
    paths = [write(tmp_path / f"{i}.wav", sound(text, i)) for i, text in enumerate(("a", "b") * 4)]
    fitted = Transcriber(epochs=1, hidden=4, threads=1, bands=4).fit(paths, ["a", "b"] * 4)
    assert len(fitted.predict(paths)) == 8
    classes = Classifier(epochs=1, hidden=4, threads=1, bands=4).fit(paths, ["x", "y"] * 4)
    assert set(classes.predict(paths)) <= {"x", "y"}


def test_the_best_path_says_the_same_where_the_model_is_sure():
    model = open_trained(small().causal)
    log_probs = predictor.forward(model, sound("abc", 11))
    assert model.output.text(best_path(log_probs)) == "abc"


def test_what_sound_has_no_use_for(tmp_path: Path):
    data = small()
    for words, told in (
        (("train", "transcribe", tmp_path / "none.csv"), "no such file"),
        (("train", "transcribe", data.train, "--bands", "2"), "bands = 2"),
        (("train", "audio:number", data.train), "unknown task"),
    ):
        assert told in refused(run(*words, "--out", tmp_path / "m")), words
    told = refused(run("compare", "transcribe", data.train, "--cells", "lstm", "--minutes", "1"))
    assert "compare cannot score transcribe" in told


def test_a_tag_every_10_ms(tmp_path: Path):
    rows = ["audio,tags"]
    for i, text in enumerate(texts(40, 5)):
        rng = np.random.default_rng(i)
        before, after = rng.integers(800, 3000, 2)
        whole = np.concatenate([np.zeros(before), sound(text, i), np.zeros(after)])
        noisy = (whole + 0.003 * rng.standard_normal(len(whole))).astype(np.float32)
        write(tmp_path / f"{i}.wav", noisy)
        stretch = f"{before / RATE + 0.05:.3f}-{(len(whole) - after) / RATE - 0.08:.3f} sound"
        rows.append(f"{i}.wav,{stretch}")
    data = tmp_path / "tags.csv"
    data.write_text("\n".join(rows) + "\n")
    done = run("train", "audio:tags", data, "--out", tmp_path / "m", *NETWORK, "--epochs", 4)
    assert done.code == 0, done.err
    found = json.loads(run("evaluate", tmp_path / "m", data, "--json").out)
    assert found["accuracy"] > 0.9
    said = run("predict", tmp_path / "m", tmp_path / "3.wav").lines[0].split("\t")[0].split()
    assert abs(len(said) - soundfile.info(tmp_path / "3.wav").duration * 100) < 4 and set(said) == {
        "O",
        "sound",
    }
    assert run("check", "audio:tags", data).code == 0
    data.write_text("audio,tags\n0.wav,0.5-0.2 sound\n")
    assert ":2: '0.5-0.2 sound' is not an interval of time" in refused(
        run("train", "audio:tags", data, "--out", tmp_path / "n")
    )
    data.write_text("\n".join(rows) + "\n")
    told = refused(run("train", "audio:tags", data, "--out", tmp_path / "n", "--augment"))
    assert "changes the times of the tags" in told


def test_pieces_of_words_are_said_and_a_language_model_of_words_has_its_say(tmp_path: Path):
    data = small()
    options = [*NETWORK, "--unit", "subword", "--vocab-size", "6", "--epochs", 20]
    apart(["train", "transcribe", data.train, "--out", tmp_path / "m", *options])
    found = json.loads(run("evaluate", tmp_path / "m", data.test, "--json").out)
    assert found["cer"] < 0.7, found  # to say nothing is 1
    with_lm = run("evaluate", tmp_path / "m", data.test, "--json", "--lm", data.lm, "--lm-weight", "0.1")
    assert "of characters" in refused(with_lm) and "--unit word" in with_lm.err
    said = tmp_path / "said.txt"
    said.write_text("\n".join(" ".join(texts(3, seed)) for seed in range(40)) + "\n")
    words = ("--documents", "line", "--unit", "word", "--epochs", 2, "--hidden", 8, "--threads", 1)
    assert run("train", "language", said, "--out", tmp_path / "lm", *words).code == 0
    asked = ("--lm", tmp_path / "lm", "--lm-weight", "0.1", "--json")
    assert json.loads(run("evaluate", tmp_path / "m", data.test, *asked).out)["cer"] < 0.7
    assert "characters or subwords" in refused(
        run("train", "transcribe", data.train, "--out", tmp_path / "n", "--unit", "word")
    )


@pytest.mark.parametrize("unit", ["char", "word"])
def test_what_a_language_model_says_on_the_way_adds_up_to_its_score_of_the_line(tmp_path: Path, unit: str):
    said = tmp_path / "said.txt"
    said.write_text("\n".join(" ".join(texts(3, seed)) for seed in range(40)) + "\n")
    words = ("--documents", "line", "--unit", unit, "--epochs", 2, "--hidden", 8, "--threads", 1)
    assert run("train", "language", said, "--out", tmp_path / "lm", *words).code == 0
    characters = (" ", "a", "b", "c", "?")
    rate = lm_scorer(open_language_model(tmp_path / "lm"), Transcript(characters))
    lines = ["ab c", "a", "cc ba ab", "?a b"]
    told = run("score", tmp_path / "lm", "--format", "jsonl", stdin=("\n".join(lines) + "\n").encode())
    for line, scored in zip(lines, map(json.loads, told.lines), strict=True):
        ids = tuple(characters.index(letter) + 1 for letter in line)
        nats = 0.0
        for end in range(len(ids)):
            follows, _ = rate([ids[:end]])
            assert follows.shape == (1, 6)
            nats += float(follows[0, ids[end]])
        _, ends = rate([ids])
        assert nats + float(ends[0]) == pytest.approx(scored["log_probability"], abs=1e-3), line
