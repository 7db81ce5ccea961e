"""Time of one streaming step of one layer: batch 1, called from Python, with carried state, in microseconds.

    python benchmarks/steps.py --rounds 9
    python benchmarks/steps.py --cells gru --units 128,650 --threads 1

The contenders are the layer of torch with one step, the cell of torch, the equation in NumPy, ONNX Runtime
(if it is installed), and the native kernels with float32 and int8 weights. The layer reads numbers, has the
same number of inputs and units, and has no output layer. torch and ONNX have no simplified GRU. The GRU of
torch is another function with a cheaper step.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from onnx_layer import layer, onnx_session
from results import parser
from turns import Contender, Job, add_turns, compete, ratio, serve
from unrolled.models import native
from unrolled.models.engines.numpy_engine import NumpyEngine
from unrolled.models.initial_weights import initialise
from unrolled.models.network_spec import CoreSpec, NetworkSpec, Reals, Vectors

UNITS = "128,200,256,512,650"


def network(job: Job) -> tuple[NetworkSpec, dict[str, Any]]:
    """Return a layer with the cell and size of the job.

    A network must have an output layer; it has one output.
    """
    n = job["units"]
    spec = NetworkSpec(Vectors(n), CoreSpec(n, job["cell"]), Reals(1))
    return spec, {name: value.astype(np.float32) for name, value in initialise(spec, 0).items()}


def torch_layer(job: Job) -> Callable[[], object] | None:
    """The layer of torch.nn, on a sequence of one step."""
    import torch

    kinds = {"rnn": torch.nn.RNN, "gru": torch.nn.GRU, "lstm": torch.nn.LSTM}
    if job["cell"] not in kinds:
        return None
    module, x, carried = (
        kinds[job["cell"]](job["units"], job["units"]),
        torch.zeros(1, 1, job["units"]),
        [None],
    )

    def step() -> None:
        with torch.inference_mode():
            _, carried[0] = module(x, carried[0])

    return step


def torch_cell(job: Job) -> Callable[[], object] | None:
    """The cell of torch.nn."""
    import torch

    kinds = {"rnn": torch.nn.RNNCell, "gru": torch.nn.GRUCell, "lstm": torch.nn.LSTMCell}
    if job["cell"] not in kinds:
        return None
    module, x, carried = kinds[job["cell"]](job["units"], job["units"]), torch.zeros(1, job["units"]), [None]

    def step() -> None:
        with torch.inference_mode():
            carried[0] = module(x, carried[0])

    return step


def numpy_equation(job: Job) -> Callable[[], object]:
    """The NumPy engine without native kernels. Its time includes the output layer with one output."""
    os.environ["UNROLLED_KERNEL"] = "reference"
    engine, x = NumpyEngine(*network(job)), np.zeros((1, job["units"]), np.float32)
    carried = [engine.start(1)]

    def step() -> None:
        _, _, carried[0] = engine.step(carried[0], x)

    return step


def onnx_runtime(job: Job) -> Callable[[], object] | None:
    """ONNX Runtime on a graph with one node, with the state as input and output.

    The GRU is that of the lecture (linear_before_reset 0).
    """
    n = job["units"]
    made = layer(job["cell"], 1, 1, n, n, carried=True) if importlib.util.find_spec("onnxruntime") else None
    if made is None:
        return None
    model, names = made
    session = onnx_session(model, int(os.environ["OMP_NUM_THREADS"]))
    carried = {name: np.zeros((1, 1, n), np.float32) for name in names}

    def step() -> None:
        carried.update(zip(names[1:], session.run(None, carried), strict=True))

    return step


def native_steps(bits: int) -> Contender:
    """The native kernels, without the output layer. bits: bits per weight."""

    def contender(job: Job) -> Callable[[], object] | None:
        library, threads = native.library(), int(os.environ["OMP_NUM_THREADS"])
        if library is None:
            return None
        if threads > 1:
            import torch  # for the number of threads

            torch.set_num_threads(threads)
            native.share_threads()
        spec, tensors = network(job)
        made = dataclasses.replace(native.steps(library, spec, tensors, bits, threads), head=None)
        x, arrays = np.zeros((1, job["units"]), np.float32), len(spec.core.cell_definition.state)
        carried = [tuple(np.zeros((1, job["units"]), np.float32) for _ in range(arrays))]

        def step() -> None:
            _, _, carried[0] = made.step(carried[0], x, None)

        return step

    return contender


CONTENDERS: dict[str, Contender] = {
    "torch layer": torch_layer,
    "torch cell": torch_cell,
    "NumPy": numpy_equation,
    "ONNX Runtime": onnx_runtime,
    "unrolled": native_steps(32),
    "unrolled int8": native_steps(8),
}


def row(job: Job, seconds: dict[str, float | None]) -> dict[str, Any]:
    """Return one row of the table: microseconds, and the speed-up over ONNX Runtime and the cell of torch."""
    line: dict[str, Any] = dict(job)
    line |= {f"{name} us": None if s is None else 1e6 * s for name, s in seconds.items()}
    for name in ("ONNX Runtime", "torch cell"):
        line[f"x {name}"] = ratio(seconds[name], seconds["unrolled"])
        line[f"int8 x {name}"] = ratio(seconds[name], seconds["unrolled int8"])
    return line


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--cells", default="lstm,gru,gru-simple,rnn", help="%(default)s")
    options.add_argument("--units", default=UNITS, help="%(default)s")
    add_turns(options, seconds=0.3, threads=1, whose="")
    asked = options.parse_args()
    if asked.contender:
        serve(CONTENDERS[asked.contender])
        return
    jobs: list[Job] = [
        {"cell": cell, "units": int(units)}
        for cell in asked.cells.split(",")
        for units in asked.units.split(",")
    ]
    compete("steps", CONTENDERS, jobs, row, asked)


if __name__ == "__main__":
    sys.exit(main())
