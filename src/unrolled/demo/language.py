"""`unrolled demo`: find names, then learn real text for a minute and show what the model writes and knows."""

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

TEXT_BYTES = 3_000_000  # of the library's source: more than a minute can read
DRAWS = 1_000


def demo(file: Path | None, minutes: float, folder: Path, reporter: Reporter) -> None:
    """The taggers, then a language model: trained in `folder` (or opened where they are there), and looked at.

    Raises UsageError where the standard library's source is missing and no `file` is given.
    """
    from unrolled.training.fit import fit
    from unrolled.training.language_job import request

    folder.mkdir(parents=True, exist_ok=True)
    demo_tagger(folder, reporter)
    paths = (file,) if file else library_source()
    reporter.note(
        f"A character model (an LSTM) learns {file or 'the source of the Python standard library'} for {minutes:g} "
        f"minute{'' if minutes == 1 else 's'}. What it would write appears as it learns."
    )
    source = from_files(paths, "file")
    # Half of the windows start from zeros at a line, so that a minute is enough to learn how lines begin.
    config = build("language", {"minutes": minutes, "unit": "char", "cold": 0.5})
    out = folder / "language"
    began = time.monotonic()  # the taggers are not on this clock
    fit(request(config, source, None, out, resume=True, force=True, began=began), reporter)
    model = open_language_model(out)
    prepared = prepare(source, None, resolve_data(config).data, out.with_name(out.name + ".run") / "data")
    _losses(model, prepared.train)
    _copies(model, prepared.train)
    _first_unit(model, prepared.train)
    _farewell(out)


def library_source() -> tuple[Path, ...]:
    """The modules of Python's standard library, by name, up to `TEXT_BYTES`."""
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
            hint="any text: unrolled demo FILE",
        )
    return tuple(chosen)


def _losses(model: Model, train: Store) -> None:
    """The loss beside what one knows without any model."""
    counts = np.bincount(train.ids, minlength=len(model.reading.vocabulary)).astype(np.float64)
    p = counts[counts > 0] / counts.sum()
    loss = model.file.notes["validation_loss"]
    if loss is None:
        print("\nThe text is too short to hold a part of it out, so how well it is learnt was not measured.")
        return
    loss = as_number(loss)
    print("\nHow well does it guess the next character of text it has not seen? (nats, lower is better)")
    print(f"  every character equally likely  {math.log(len(model.reading.vocabulary)):.3f}")
    print(f"  characters by how often they occur  {-float((p * np.log(p)).sum()):.3f}")
    print(f"  the model  {loss:.3f}   (as unsure as between {perplexity(loss):.1f} characters)")


def _copies(model: Model, train: Store) -> None:
    """A sample, and the longest passage of it that stands in the text."""
    text = next(
        iter(samples(model.engine, model.reading, SampleOptions(length=600, temperature=0.7, seed=1)))
    )
    passage = longest_copied(model.reading.encode(text), train.ids)
    copied = text[passage.start : passage.start + passage.length]
    print("\nWhat it writes, from nothing:\n")
    print("\n".join("  | " + line for line in text.split("\n")))
    print(
        f"\nThe longest passage of it that stands in its text word for word: {passage.length} characters, {copied!r}"
    )


def _first_unit(model: Model, train: Store) -> None:
    """What the first unit guesses from zeros: a distribution, not one answer."""
    n = len(model.reading.vocabulary)
    starts = np.asarray(train.all_lines[:-1])
    starts = starts[starts < len(train)]
    counted = np.bincount(train.ids[starts], minlength=n) / len(starts)
    log_probs, _, _ = model.engine.step(model.engine.start(1), np.array([ZERO_INPUT_ID]))
    p = distribution(log_probs[0])
    rng = np.random.default_rng(0)
    drawn = np.bincount([draw(p, rng) for _ in range(DRAWS)], minlength=n) / DRAWS
    print(
        "\nThe first unit sees only zeros. Does it always guess the same? No: it is to learn how lines begin."
    )
    print(f"  {'first character':18}{'in the text':>12}{'the softmax':>13}{f'{DRAWS:,} draws':>13}")
    for number in np.argsort(-counted, kind="stable")[:6].tolist():
        name = visible(model.reading.vocabulary.name(number))
        print(f"  {name:18}{counted[number]:12.1%}{p[number]:13.1%}{drawn[number]:13.1%}")
    print(
        f"  total variation from the counts: softmax {total_variation(p, counted):.3f}, "
        f"draws {total_variation(drawn, counted):.3f}  (0: the same, 1: nothing in common)"
    )


def _farewell(out: Path) -> None:
    print("\nNow with a text of yours:")
    print("  unrolled train language yours.txt --out yours --minutes 3")
    print("  unrolled sample yours --prompt 'Once'")
    print("  echo 'How likely is this line?' | unrolled score yours --tokens")
    print(f"\nThe demo's own model is {out}: `unrolled sample {out} --prompt 'def '` goes on from there.")
