"""`unrolled demo`: train the name taggers, then a language model of real text, and show what they learnt."""

from __future__ import annotations

import math
import sysconfig
import time
from pathlib import Path

import numpy as np

from unrolled.core.config import build
from unrolled.core.errors import UsageError
from unrolled.core.progress import Reporter
from unrolled.core.types import ZERO_INPUT_ID
from unrolled.core.values.json_values import as_number
from unrolled.datasets.text_dataset import from_files, prepare
from unrolled.datasets.token_store import Store
from unrolled.demo.tagger import demo_tagger
from unrolled.inference.open_model import Model, open_language_model
from unrolled.inference.scoring import SampleOptions, samples
from unrolled.models.decoding.sampling import distribution, draw
from unrolled.tasks.fill import resolve_data
from unrolled.tasks.metrics.language import longest_copied, perplexity, total_variation
from unrolled.tasks.outputs.next_token import visible

TEXT_BYTES = 3_000_000  # bytes of the library's source: more than can be read in a minute
DRAWS = 1_000  # characters that are sampled to compare their frequencies with the softmax


def demo(file: Path | None, minutes: float, folder: Path, reporter: Reporter) -> None:
    """Train the taggers and then a language model in `folder`, and print what they learnt.

    Models that are trained already are only opened.
    file: the text of the language model; None: the source code of Python's standard library.
    Raises UsageError if there is no `file` and the source of the standard library is missing.
    """
    from unrolled.training.fit import fit
    from unrolled.training.language_job import request

    folder.mkdir(parents=True, exist_ok=True)
    demo_tagger(folder, reporter)
    paths = (file,) if file else library_source()
    reporter.note(
        f"A character model (an LSTM) learns {file or 'the source of the Python standard library'} for {minutes:g} "
        f"minute{'' if minutes == 1 else 's'}. During training it shows samples of its text."
    )
    source = from_files(paths, "file")
    # Half of the windows start at a line with a zero state: then a minute is enough to learn how lines begin.
    config = build("language", {"minutes": minutes, "unit": "char", "cold": 0.5})
    out = folder / "language"
    began = time.monotonic()  # the time of the taggers is not counted
    fit(request(config, source, None, out, resume=True, force=True, began=began), reporter)
    model = open_language_model(out)
    prepared = prepare(source, None, resolve_data(config).data, out.with_name(out.name + ".run") / "data")
    _losses(model, prepared.train)
    _copies(model, prepared.train)
    _first_unit(model, prepared.train)
    _farewell(out)


def library_source() -> tuple[Path, ...]:
    """Return the modules of Python's standard library by name, up to `TEXT_BYTES` in total."""
    home = Path(sysconfig.get_paths()["stdlib"])
    chosen: list[Path] = []
    size = 0
    for path in sorted(home.glob("*.py")):
        size += path.stat().st_size
        if size > TEXT_BYTES:
            break
        if path.stat().st_size:
            chosen.append(path)
    if not chosen:
        raise UsageError(
            "the source of Python's standard library is not on this machine",
            hint="another text: unrolled demo FILE",
        )
    return tuple(chosen)


def _losses(model: Model, train: Store) -> None:
    """Print the validation loss next to two simple baselines."""
    counts = np.bincount(train.ids, minlength=len(model.reading.vocabulary)).astype(np.float64)
    p = counts[counts > 0] / counts.sum()
    loss = model.file.notes["validation_loss"]
    if loss is None:
        print("\nThe text is too short for a validation set, so the loss on new text was not measured.")
        return
    loss = as_number(loss)
    print("\nHow well does it predict the next character of new text? (loss in nats, lower is better)")
    print(f"  all characters equally likely  {math.log(len(model.reading.vocabulary)):.3f}")
    print(f"  characters by their frequency  {-float((p * np.log(p)).sum()):.3f}")
    print(f"  the model  {loss:.3f}   (like a choice between {perplexity(loss):.1f} characters)")


def _copies(model: Model, train: Store) -> None:
    """Print a sample, and its longest passage that is copied from the training text."""
    text = next(
        iter(samples(model.engine, model.reading, SampleOptions(length=600, temperature=0.7, seed=1)))
    )
    passage = longest_copied(model.reading.encode(text), train.ids)
    copied = text[passage.start : passage.start + passage.length]
    print("\nA sample without a prompt:\n")
    print("\n".join("  | " + line for line in text.split("\n")))
    print(f"\nIts longest passage copied from the training text: {passage.length} characters, {copied!r}")


def _first_unit(model: Model, train: Store) -> None:
    """Print the prediction of the first step, whose input is zeros: a distribution, not one answer."""
    n = len(model.reading.vocabulary)
    starts = np.asarray(train.all_lines[:-1])
    starts = starts[starts < len(train)]
    counted = np.bincount(train.ids[starts], minlength=n) / len(starts)
    log_probs, _, _ = model.engine.step(model.engine.start(1), np.array([ZERO_INPUT_ID]))
    p = distribution(log_probs[0])
    rng = np.random.default_rng(0)
    drawn = np.bincount([draw(p, rng) for _ in range(DRAWS)], minlength=n) / DRAWS
    print(
        "\nThe input of the first step is only zeros. Does it always predict the same character? "
        "No: its output is the distribution of first characters."
    )
    print(f"  {'first character':18}{'in the text':>12}{'the softmax':>13}{f'{DRAWS:,} draws':>13}")
    for number in np.argsort(-counted, kind="stable")[:6].tolist():
        name = visible(model.reading.vocabulary.name(number))
        print(f"  {name:18}{counted[number]:12.1%}{p[number]:13.1%}{drawn[number]:13.1%}")
    print(
        f"  total variation distance to the text: softmax {total_variation(p, counted):.3f}, "
        f"draws {total_variation(drawn, counted):.3f}  (0: equal, 1: nothing in common)"
    )


def _farewell(out: Path) -> None:
    print("\nNow try it with your own text:")
    print("  unrolled train language yours.txt --out yours --minutes 3")
    print("  unrolled sample yours --prompt 'Once'")
    print("  echo 'How likely is this line?' | unrolled score yours --tokens")
    print(f"\nThe model of the demo is {out}: `unrolled sample {out} --prompt 'def '` continues this prompt.")
