"""Writes golden files, one for each format of the model file, by hand and without the package.

A golden file is written once, when its format is new, and never again: every later release must open it. What it
says is in `content`, which the tests compare with what the package reads. Its answers are those of the LSTM of the
lecture, computed here in float64.

    python tests/golden/make.py      writes what is missing, touches nothing that is there
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

HERE = Path(__file__).resolve().parent
ZEROS = "0" * 64


def numbers(shape: tuple[int, ...], start: int) -> NDArray[np.float32]:
    """Values that float32 holds exactly and that differ from their neighbours."""
    count = int(np.prod(shape))
    return ((np.arange(start, start + count) * 37 % 101 - 50) / 64).astype(np.float32).reshape(shape)


def content() -> dict[str, Any]:
    """A word model of format 1: an embedding of 3, one LSTM layer of 4 units, 6 tokens."""
    n_x, n_e, n_a = 6, 3, 4
    tensors = {"embedding.E": numbers((n_x, n_e), 1)}
    for start, gate in enumerate("ufco"):
        tensors[f"core.0.forward.W_{gate}"] = numbers((n_a, n_a + n_e), 100 * start)
        tensors[f"core.0.forward.b_{gate}"] = numbers((n_a,), 100 * start + 50)
    tensors |= {"head.W_ya": numbers((n_x, n_a), 7), "head.b_y": numbers((n_x,), 70)}
    spec = {
        "n_x": n_x,
        "n_y": n_x,
        "n_a": n_a,
        "cell": "lstm",
        "activation": "tanh",
        "layers": 1,
        "bidirectional": False,
        "ids": True,
        "embedding": n_e,
        "tie": False,
        "softmax": "exact",
        "architecture": "many-to-many",
    }
    vocabulary = {"tokens": ["the", "cat", "<UNK>", 'quote"\\é'], "counts": [5, 3, 1, 1]}
    ids = [-1, 2, 3, 0, 1]
    return {
        "task": "language",
        "spec": spec,
        "learnt": {"unit": "word", "lower": True, "documents": "line", "vocabulary": vocabulary},
        "config": {"training": {"lr": 0.004, "seed": 1}},
        "notes": {"loss": 1.5, "version": "0.1.0", "x": ids, "log_probs": answers(tensors, ids)},
        "tensors": tensors,
    }


def answers(tensors: dict[str, NDArray[np.float32]], ids: list[int]) -> list[list[float]]:
    """log y_hat^<t> for each step of one sequence, [T][n_y]; the id -1 is the vector of zeros."""
    w = {name.rpartition(".")[2]: array.astype(np.float64) for name, array in tensors.items()}
    a, c, rows = np.zeros(4), np.zeros(4), []
    for number in ids:
        x = w["E"][number] if number >= 0 else np.zeros(3)
        gate = {g: w[f"W_{g}"] @ np.concatenate([a, x]) + w[f"b_{g}"] for g in "ufco"}
        gamma = {g: 1 / (1 + np.exp(-gate[g])) for g in "ufo"}
        c = gamma["u"] * np.tanh(gate["c"]) + gamma["f"] * c
        a = gamma["o"] * np.tanh(c)
        y = w["W_ya"] @ a + w["b_y"]
        rows.append([round(float(v), 9) for v in y - np.log(np.exp(y).sum())])  # the same on every machine
    return rows


def format_1(model: dict[str, Any]) -> bytes:
    """The bytes of format 1."""
    model = dict(model)
    tensors = dict(sorted(model.pop("tensors").items()))  # all float32: by name
    hashes = {name: hashlib.sha256(array.tobytes()).hexdigest() for name, array in tensors.items()}
    document = {**model, "kind": "model", "format": 1, "sha256": hashes}
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    header: dict[str, Any] = {"__metadata__": {"header_sha256": ZEROS, "unrolled": text}}
    stop = 0
    for name, array in tensors.items():
        start, stop = stop, stop + array.nbytes
        header[name] = {"dtype": "F32", "shape": list(array.shape), "data_offsets": [start, stop]}
    raw = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    raw += b" " * (-len(raw) % 8)
    raw = raw.replace(ZEROS.encode(), hashlib.sha256(raw).hexdigest().encode(), 1)
    return len(raw).to_bytes(8, "little") + raw + b"".join(array.tobytes() for array in tensors.values())


if __name__ == "__main__":
    golden = HERE / "format1.model"
    if golden.exists():
        print(f"{golden.name} is there; golden files are never rewritten")
    else:
        golden.write_bytes(format_1(content()))
        print(f"wrote {golden.name}")
