"""Sounds of our own for tests: every letter a tone, written as WAV; small enough to be learnt in seconds."""

from __future__ import annotations

from pathlib import Path

import numpy as np

RATE = 8000
HERTZ = {"a": 400.0, "b": 900.0, "c": 1800.0, " ": 0.0}


def sound(text: str, seed: int = 0, rate: int = RATE) -> np.ndarray:
    """A tone of about 80 ms for each letter, 30 ms of noise between them."""
    rng = np.random.default_rng(seed)
    parts = [np.zeros(int(0.05 * rate))]
    for letter in text:
        length = int(rng.uniform(0.07, 0.09) * rate)
        tone = 0.3 * np.sin(2 * np.pi * HERTZ[letter] * np.arange(length) / rate + rng.uniform(0, 6))
        parts += [tone * np.hanning(length), np.zeros(int(0.03 * rate))]
    parts.append(np.zeros(int(0.05 * rate)))
    whole = np.concatenate(parts)
    return (whole + 0.003 * rng.standard_normal(len(whole))).astype(np.float32)


def write(path: Path, samples: np.ndarray, rate: int = RATE, **more: str) -> Path:
    import soundfile

    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, rate, **more)
    return path


def texts(count: int, seed: int = 0) -> list[str]:
    rng = np.random.default_rng(seed)
    return ["".join(rng.choice(["a", "b", "c"], rng.integers(1, 5))) for _ in range(count)]


def table(folder: Path, said: list[str], column: str = "text", seed: int = 0) -> Path:
    """A table of sounds and what is said in them; of labels it is the first letter."""
    lines = [f"audio,{column}"]
    for i, text in enumerate(said):
        path = write(folder / "wav" / f"{seed}-{i}.wav", sound(text, seed * 10_000 + i))
        lines.append(f"wav/{path.name},{text if column == 'text' else text[0]}")
    made = folder / f"{column}-{seed}.csv"
    made.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return made
