"""A training starts quickly: it imports no module that is slow and not needed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

# About one second of processor time, loaded by the classes of `torch.optim` and by `torch.compile`.
SLOW = ("torch._dynamo", "torch._inductor", "sympy")
CODE = """
import sys
from unrolled.cli import main
code = main(sys.argv[1:])
print(code, *(name for name in {slow!r} if name in sys.modules))
"""


@pytest.mark.parametrize("optimizer", ["muon", "adamw", "sgd"])
def test_a_whole_training_imports_no_compiler(optimizer: str, tmp_path: Path):
    table = tmp_path / "reviews.csv"
    rows = [f"{'good' if i % 2 else 'bad'} film number {i},{'yes' if i % 2 else 'no'}\n" for i in range(20)]
    table.write_text("text,label\n" + "".join(rows))
    command = [
        "train",
        "classify",
        str(table),
        "--out",
        str(tmp_path / "m"),
        "--epochs",
        "2",
        "--hold-out",
        "0.3",
    ]
    command += ["--hidden", "8", "--optimizer", optimizer]
    done = subprocess.run(
        [sys.executable, "-c", CODE.format(slow=SLOW), *command], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.stdout.split() == ["0"], done.stdout + done.stderr
    assert (tmp_path / "m").exists()
