"""Small recordings and models of them, trained once in a process: for tests of what people do with such models."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from support.small_models import apart, temporary
from support.tones import table, texts

POOLINGS = ("last", "mean", "max", "attention")
FORWARD = ("--no-bidirectional", "--pooling")
NETWORK = ("--bands", 12, "--hidden", 24, "--threads", 1, "--seed", 3)


@dataclass(frozen=True)
class Tones:
    """Recordings and models of them: a causal one of texts, one in both directions, one of labels, a language model; in
    `folder` also causal ones of labels, by the names of their poolings."""

    folder: Path
    train: Path
    test: Path
    causal: Path
    both: Path
    label: Path
    lm: Path


@cache
def small() -> Tones:
    folder = temporary()
    train, test = table(folder, texts(150)), table(folder, texts(30, 1), seed=1)
    label = table(folder, texts(60, 2), "label", seed=2)
    said = folder / "said.txt"
    said.write_text("\n".join(texts(150)) + "\n")
    commands = [
        [
            "train",
            "transcribe",
            train,
            "--out",
            folder / "causal",
            *NETWORK,
            "--epochs",
            14,
            "--no-bidirectional",
        ],
        ["train", "transcribe", train, "--out", folder / "both", *NETWORK, "--epochs", 2],
        ["train", "audio:label", label, "--out", folder / "label", *NETWORK, "--epochs", 16],
        *(
            [
                "train",
                "audio:label",
                label,
                "--out",
                folder / pooling,
                *NETWORK,
                "--epochs",
                3,
                *FORWARD,
                pooling,
            ]
            for pooling in POOLINGS
        ),
        [
            "train",
            "language",
            said,
            "--out",
            folder / "lm",
            "--documents",
            "line",
            "--epochs",
            2,
            "--hidden",
            8,
        ],
    ]
    apart(*commands)
    return Tones(folder, train, test, *(folder / name for name in ("causal", "both", "label", "lm")))
