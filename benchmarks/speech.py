"""Speech: spoken digits as labels, as strings and as a wake word; prompts with and without a language model.

The digits are from the Free Spoken Digit Dataset (3,000 recordings, 8 kHz, six speakers). Its official test
part has the recordings with the numbers 0 to 4. The tests:
- `words`: audio:label on the digits.
- `speakers`: the same, with each speaker held out in turn.
- `strings`: one to five digits of one speaker, joined with random gaps. transcribe runs without and with a
  language model of the transcripts of the training part. Each part has only its own recordings.
- `wake`: one digit among the other digits and noise, with the model of `words`.
- `prompts`: 432 telephone prompts of one voice, without and with a language model of the training
  transcripts. A tenth of the prompts is held out.

`--trial` does not use the test part of the digits: the recordings with the numbers 5 to 14 replace it.

    python benchmarks/speech.py words wake strings prompts [--data FOLDER] [--epochs N] [--trial]
"""

from __future__ import annotations

import csv
import hashlib
import json
import resource
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import soundfile

from results import data_folder, finish, parser, record, toolkit

RATE = 8000
NAMES = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
WAKE = "seven"
NOISE_MINUTES = 3
CLIP = 1.0  # seconds of a noise clip

Row = dict[str, Any]
Recording = tuple[Path, str, str, bool]  # file, digit, speaker, whether it is in the test part


@dataclass(frozen=True)
class Setup:
    """The options of the script.

    data: the folder of the recordings.
    work: the folder for files.
    options: options of `train`.
    count: number of training strings.
    trial: whether other recordings replace the test part.
    """

    data: Path
    work: Path
    options: list[str]
    count: int
    trial: bool


def digits(setup: Setup) -> list[Recording]:
    """Return the recordings of spoken digits."""
    found: list[Recording] = []
    for path in sorted((setup.data / "fsdd" / "recordings").glob("*.wav")):
        digit, speaker, number = path.stem.split("_")
        if setup.trial and int(number) < 5:
            continue
        found.append((path, NAMES[int(digit)], speaker, int(number) < (15 if setup.trial else 5)))
    return found


def table(path: Path, column: str, rows: list[tuple[Path | str, str]]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["audio", column])
        writer.writerows(rows)
    return path


def trained(task: str, train: Path, out: Path, options: list[str]) -> tuple[float, float]:
    """Train a model. Return the wall time and the CPU time in seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = toolkit("train", task, train, "--out", out, "--force", *options)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return done.seconds, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def measured(model: Path, test: Path, *options: str | Path) -> dict[str, Any]:
    return json.loads(toolkit("evaluate", model, test, "--json", *options).out)


def words(setup: Setup) -> list[Row]:
    every = digits(setup)
    train = table(setup.work / "train.csv", "label", [(p, d) for p, d, _, test in every if not test])
    test = table(setup.work / "test.csv", "label", [(p, d) for p, d, _, test in every if test])
    wall, cpu = trained("audio:label", train, setup.work / "words", setup.options)
    found = measured(setup.work / "words", test)
    part = "trial part" if setup.trial else "official test"
    return [{"what": f"words right, {part}", "accuracy": found["accuracy"], "seconds": wall, "cpu": cpu}]


def wake(setup: Setup) -> list[Row]:
    """Measure the misses of one digit at one false accept per minute. This needs the model of `words`."""
    rng = np.random.default_rng(0)
    test = [(p, d) for p, d, _, test in digits(setup) if test]
    noise = []
    for i in range(int(NOISE_MINUTES * 60 / CLIP)):
        path = setup.work / f"noise{i}.wav"
        white = rng.standard_normal(int(CLIP * RATE)) * 10 ** rng.uniform(-3, -0.7)
        kind = [white, np.cumsum(white) * 0.03, np.convolve(white, np.ones(8) / 8, "same")][i % 3]
        soundfile.write(path, np.clip(kind, -1, 1), RATE)
        noise.append((path, "noise"))
    rows = [*test, *noise]
    listed = table(setup.work / "wake.csv", "label", rows)
    lines = toolkit(
        "predict", setup.work / "words", listed, "--format", "jsonl", "--top", "10"
    ).out.splitlines()
    scores = np.array([json.loads(line)["probabilities"][WAKE] for line in lines])
    true = np.array([label == WAKE for _, label in rows])
    minutes = sum(soundfile.info(p).duration for p, label in rows if label != WAKE) / 60
    allowed = int(minutes)  # one per minute
    threshold = np.sort(scores[~true])[::-1][allowed] if allowed < (~true).sum() else 0.0
    missed = int((scores[true] <= threshold).sum())
    return [
        {
            "what": f"wake word '{WAKE}', misses at one false accept a minute",
            "missed": missed / true.sum(),
            "of": int(true.sum()),
            "minutes": minutes,
            "at": float(threshold),
        }
    ]


def speakers(setup: Setup) -> list[Row]:
    every, rows = digits(setup), []
    for speaker in sorted({s for _, _, s, _ in every}):
        train = table(setup.work / "s.train.csv", "label", [(p, d) for p, d, s, _ in every if s != speaker])
        test = table(setup.work / "s.test.csv", "label", [(p, d) for p, d, s, _ in every if s == speaker])
        wall, cpu = trained("audio:label", train, setup.work / "speaker", setup.options)
        found = measured(setup.work / "speaker", test)
        rows.append(
            {"what": f"without {speaker}", "accuracy": found["accuracy"], "seconds": wall, "cpu": cpu}
        )
    worst = min(rows, key=lambda row: row["accuracy"])
    return [*rows, {"what": f"worst: {worst['what']}", "accuracy": worst["accuracy"]}]


def _gap(rng: np.random.Generator) -> Any:
    return np.zeros(int(rng.uniform(0.05, 0.4) * RATE))


def joined(folder: Path, recordings: list[Recording], count: int, seed: int) -> list[Any]:
    """Write strings of one to five digits of one speaker, with gaps of 50 to 400 ms."""
    rng, folder_made = np.random.default_rng(seed), folder
    folder_made.mkdir(exist_ok=True)
    by_speaker: dict[str, list[tuple[Path, str]]] = {}
    for path, digit, speaker, _ in recordings:
        by_speaker.setdefault(speaker, []).append((path, digit))
    names, rows = sorted(by_speaker), []
    for i in range(count):
        own = by_speaker[names[rng.integers(len(names))]]
        chosen = [own[j] for j in rng.integers(len(own), size=rng.integers(1, 6))]
        parts: list[Any] = []
        for path, _ in chosen:
            parts += [_gap(rng), soundfile.read(path)[0]]
        parts.append(_gap(rng))
        made = np.concatenate(parts)
        made += 1e-4 * rng.standard_normal(len(made))
        soundfile.write(folder_made / f"{i}.wav", made, RATE)
        rows.append((folder_made / f"{i}.wav", " ".join(digit for _, digit in chosen)))
    return rows


def strings(setup: Setup) -> list[Row]:
    every = digits(setup)
    rows = joined(setup.work / "train", [row for row in every if not row[3]], setup.count, 1)
    train = table(setup.work / "strings.csv", "text", rows)
    tested = joined(setup.work / "test", [row for row in every if row[3]], 300, 2)
    test = table(setup.work / "strings.test.csv", "text", tested)
    wall, cpu = trained("transcribe", train, setup.work / "strings", setup.options)
    lm = language_model(setup.work, [text for _, text in rows], "--epochs", "5")
    found: list[Row] = []
    for name, more in beside(lm):
        told = measured(setup.work / "strings", test, *more)
        kept = {key: told[key] for key in ("wer", "greedy_wer", "cer", "exact")}
        found.append({"what": f"strings of 1-5 digits, {name}", **kept})
    found[0] |= {"seconds": wall, "cpu": cpu}
    return found


def language_model(work: Path, texts: list[str], *options: str) -> Path:
    """Train a small language model of characters on the transcripts of the training part."""
    said, out = work / "said.txt", work / "lm"
    said.write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
    own = ("--documents", "line", "--hidden", "64", "--dropout", "0.3", "--threads", "1", *options)
    toolkit("train", "language", said, "--out", out, "--force", *own)
    return out


def beside(lm: Path) -> list[tuple[str, list[str | Path]]]:
    """Return the options of an evaluation without and with a language model."""
    return [("alone", []), ("with a language model", ["--lm", lm, "--lm-weight", "0.5"])]


def prompts(setup: Setup) -> list[Row]:
    """Transcribe prompts: lower-case letters, spaces and apostrophes.

    A tenth, by a hash of the name, is the test part.
    """
    parts: dict[bool, list[tuple[Path, str]]] = {True: [], False: []}
    with (setup.data / "asterisk_en" / "transcripts.tsv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            text = "".join(c if c.isalpha() or c == "'" else " " for c in row["text"].lower())
            held = hashlib.sha256(row["file"].encode()).digest()[0] % 10 == 0
            parts[held].append((setup.data / "asterisk_en" / "wav" / row["file"], " ".join(text.split())))
    train = table(setup.work / "prompts.csv", "text", parts[False])
    test = table(setup.work / "prompts.test.csv", "text", parts[True])
    wall, cpu = trained("transcribe", train, setup.work / "prompts", setup.options)
    lm = language_model(setup.work, [text for _, text in parts[False]], "--epochs", "40")
    rows = []
    for name, more in beside(lm):
        found = measured(setup.work / "prompts", test, *more)
        row = {"what": f"prompts, {name}", "wer": found["wer"], "cer": found["cer"], "of": found["sequences"]}
        rows.append(row | ({"seconds": wall, "cpu": cpu} if name == "alone" else {}))
    return rows


PARTS = {"words": words, "wake": wake, "speakers": speakers, "strings": strings, "prompts": prompts}


def main() -> int:
    made = parser(__doc__)
    made.add_argument("parts", nargs="+", choices=PARTS)
    made.add_argument("--data", type=Path, help="the folder with fsdd/ and asterisk_en/")
    made.add_argument("--count", type=int, default=3000, help="number of training strings (default 3000)")
    made.add_argument("--threads", default="2")
    made.add_argument("--options", default="", help="more options of train")
    made.add_argument("--epochs", default="40")
    made.add_argument("--trial", action="store_true", help="do not use the test part of the digits")
    args = made.parse_args()
    home = data_folder(args.data, "speech")
    data = home if (home / "fsdd").is_dir() else home / "speech"
    options = ["--threads", args.threads, "--seed", "0", "--epochs", args.epochs, *args.options.split()]
    began, rows = time.monotonic(), list[Row]()
    with TemporaryDirectory() as folder:
        setup = Setup(data, Path(folder), options, args.count, args.trial)
        for part in args.parts:
            rows += PARTS[part](setup)
            print(rows[-1], file=sys.stderr)
    listed = [data / "asterisk_en" / "transcripts.tsv", data / "fsdd" / "README.md"]
    settings = {"options": options, "count": args.count, "trial": args.trial}
    result = record("speech", listed, settings=settings, rows=rows, seconds=time.monotonic() - began)
    finish(result, rows, args.json)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
