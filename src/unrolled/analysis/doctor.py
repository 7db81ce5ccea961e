"""`unrolled doctor`: verify on this machine that each engine computes the equation of each cell, and time it.

The reference is the equation of the cell in float64 with NumPy. The reference of the gradients is the complex
step of this equation: the imaginary part of f(w + ihv) / h. Unlike a finite difference, it has no
cancellation error (Squire and Trapp 1998).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch

from unrolled.core.types import Array
from unrolled.models import native
from unrolled.models.cells import NUMPY, Cell, every, step_with_zoneout, variants
from unrolled.models.engines import Engine
from unrolled.models.engines.numpy_engine import NumpyEngine
from unrolled.models.network_spec import Classes, CoreSpec, NetworkSpec, Vectors
from unrolled.models.tensor_shapes import shapes
from unrolled.nn.kernels.native_sequence import sequence
from unrolled.nn.kernels.reference import Kernel, reference
from unrolled.nn.kernels.tensors import TensorState, TensorWeights
from unrolled.nn.kernels.torch_kernels import KERNELS, loop_hoisted
from unrolled.nn.scan import scan
from unrolled.nn.torch_engine import TorchEngine

TOLERANCE = 1e-10  # float64: about a million rounding errors
SINGLE = 1e-5  # float32, as in the native kernels: about a hundred rounding errors
ENGINES: dict[str, Callable[[NetworkSpec, dict[str, Array]], Engine]] = {
    "numpy": NumpyEngine,
    "torch": TorchEngine,
}
BATCH, STEPS, N_X, N_A = 3, 7, 5, 6  # small, and all different, so that swapped axes are found
DIRECTIONS = 3  # random directions in which gradients are compared; a wrong gradient is wrong in each of them
TIMED_A, TIMED_STEPS = 200, 50

Whole = Callable[
    [TensorWeights, torch.Tensor, TensorState], torch.Tensor
]  # returns a of every step, [batch, T, n_a]
Direction = tuple[dict[str, Array], Array, tuple[Array, ...]]  # directions of w, of x, and of the state


@dataclass(frozen=True)
class Row:
    """One row of the table.

    forward, gradient: largest difference of values and of gradients from the equation; gradient is None for
    an engine, since it only runs forward.
    microseconds: time of one streaming step of 200 units with a batch of 1.
    """

    cell: str
    where: str
    forward: float
    gradient: float | None
    microseconds: float
    tolerance: float = TOLERANCE

    @property
    def passed(self) -> bool:
        """Whether both differences are within the tolerance. NaN is not."""
        return self.forward <= self.tolerance and (self.gradient is None or self.gradient <= self.tolerance)


def run() -> Iterator[Row]:
    """Check every cell, including cells of other packages, on every kernel and engine that supports it."""
    for cell in every():
        yield from check(cell)


def check(cell: Cell) -> Iterator[Row]:
    """Check one registered cell on every kernel and engine that supports it."""
    yield _check_kernel(cell, "reference loop", reference)
    if cell.groups:
        yield _check_kernel(cell, "training kernel", KERNELS.get(cell.name, loop_hoisted))
    for library in native.libraries().values() if native.knows(cell) else ():
        yield _check_native(cell, library)
    yield _check_scan(cell)
    for where, engine in ENGINES.items():
        yield _check_engine(cell, where, engine)
    if native.library() is not None and native.knows(cell):  # native step in float32
        yield _check_engine(cell, "float32 numpy", NumpyEngine, np.float32, SINGLE)


def report() -> int:
    """Print the table on stdout. Return the exit code: 0 if all rows passed, else 4."""
    failed, width = 0, max(12, *(len(_title(cell)) for cell in every()))
    print(f"{'cell':{width}} {'where':20} {'values':>9} {'gradients':>9} {'us/step':>9}")
    for row in run():
        gradient = "" if row.gradient is None else f"{row.gradient:.1e}"
        failed += not row.passed
        mark = "" if row.passed else f"  FAILED (tolerance {row.tolerance:g})"
        print(
            f"{row.cell:{width}} {row.where:20} {row.forward:9.1e} {gradient:>9} {row.microseconds:9.1f}{mark}"
        )
    print(f"whole sequences in float32 run on: {_kernels()}")
    print("all cells compute their equations" if not failed else f"{failed} rows are outside the tolerance")
    return 4 if failed else 0


def _kernels() -> str:
    built = ", ".join(native.libraries()) or "none: no C++ compiler was found when unrolled was installed"
    return f"{native.running()} (native kernels that this CPU runs: {built})"


def equation(cell: Cell, w: dict[str, Array], x: Array, state: tuple[Array, ...]) -> Array:
    """Return a of every step, [batch, T, n_a], computed step by step with the equation of the cell."""
    outputs: list[Array] = []
    for t in range(x.shape[1]):
        state = step_with_zoneout(cell, NUMPY, w, state, x[:, t])
        outputs.append(cell.output(state))
    return np.stack(outputs, axis=1)


def slope(
    cell: Cell, w: dict[str, Array], x: Array, state: tuple[Array, ...], towards: Array, v: Direction
) -> float:
    """Return the derivative of sum(a * towards) in the direction v of (w, x, state), by a complex step."""
    h = 1e-30
    moved_w = {name: value + 1j * h * v[0][name] for name, value in w.items()}
    moved_state = tuple(s + 1j * h * d for s, d in zip(state, v[2], strict=True))
    moved = equation(cell, moved_w, x + 1j * h * v[1], moved_state) * towards
    return float(np.imag(moved).sum() / h)


def _problem(cell: Cell) -> tuple[dict[str, Array], Array, tuple[Array, ...], np.random.Generator]:
    rng = np.random.default_rng(7)
    w = {
        k: value + 0.3 * rng.standard_normal(value.shape)
        for k, value in cell.initialise(rng, N_X, N_A).items()
    }
    x = rng.standard_normal((BATCH, STEPS, N_X))
    return w, x, tuple(rng.standard_normal((BATCH, N_A)) for _ in cell.state), rng


def _check_kernel(cell: Cell, where: str, kernel: Kernel) -> Row:
    def whole(w: TensorWeights, x: torch.Tensor, state: TensorState) -> torch.Tensor:
        return kernel(cell, w, x.transpose(0, 1), state)[0].transpose(0, 1)

    return _check_values_and_gradients(cell, where, whole)


def _check_native(cell: Cell, library: native.Library) -> Row:
    def whole(w: TensorWeights, x: torch.Tensor, state: TensorState) -> torch.Tensor:
        return sequence(library, cell, w, x.transpose(0, 1), state)[0].transpose(0, 1)

    return _check_values_and_gradients(cell, f"native {library.name}", whole, torch.float32, SINGLE)


def _check_scan(cell: Cell) -> Row:
    def whole(w: TensorWeights, x: torch.Tensor, state: TensorState) -> torch.Tensor:
        return scan(cell, w, x, state)[0]

    return _check_values_and_gradients(cell, "scan", whole)


def _check_values_and_gradients(
    cell: Cell,
    where: str,
    whole: Whole,
    dtype: torch.dtype = torch.float64,
    tolerance: float = TOLERANCE,
) -> Row:
    w, x, state, rng = _problem(cell)
    towards = rng.standard_normal((BATCH, STEPS, N_A))
    p = {k: torch.tensor(value, dtype=dtype, requires_grad=True) for k, value in w.items()}
    inputs = torch.tensor(x, dtype=dtype, requires_grad=True)
    before = tuple(torch.tensor(s, dtype=dtype, requires_grad=True) for s in state)
    a = whole(p, inputs, before)
    (a * torch.tensor(towards)).sum().backward()
    worst = 0.0
    for _ in range(DIRECTIONS):
        v = (
            {k: rng.standard_normal(value.shape) for k, value in w.items()},
            rng.standard_normal(x.shape),
            tuple(rng.standard_normal(s.shape) for s in state),
        )
        leaves = [
            *zip(p.values(), v[0].values(), strict=True),
            (inputs, v[1]),
            *zip(before, v[2], strict=True),
        ]
        ours = sum(float((leaf.grad * torch.tensor(d)).sum()) for leaf, d in leaves if leaf.grad is not None)
        true = slope(cell, w, x, state, towards, v)
        worst = max(worst, abs(ours - true) / max(1.0, abs(true)))
    difference = float(np.abs(a.detach().numpy() - equation(cell, w, x, state)).max())
    return Row(_title(cell), where, difference, worst, _time_kernel(cell, whole), tolerance)


def _check_engine(
    cell: Cell,
    where: str,
    engine: Callable[[NetworkSpec, dict[str, Array]], Engine],
    dtype: type[np.float32] | type[np.float64] = np.float64,
    tolerance: float = TOLERANCE,
) -> Row:
    """Check the values of `run` and of `step`.

    The matrix of the head is the identity, so that the logits are a, and the output is its log softmax.
    """
    spec = _spec(cell, N_X, N_A)
    w, x, _, _ = _problem(cell)
    tensors = {f"core.0.forward.{k}": value for k, value in w.items()}
    tensors |= {"head.W_ya": np.eye(N_A), "head.b_y": np.zeros(N_A)}
    a = equation(cell, w, x, tuple(np.zeros((BATCH, N_A)) for _ in cell.state))
    expected = a - np.log(np.exp(a).sum(axis=-1, keepdims=True))
    made = engine(spec, {name: value.astype(dtype) for name, value in tensors.items()})
    lengths = np.array([STEPS, 2, STEPS - 1])
    log_probs, _ = made.run(x, lengths)
    state, worst = made.start(BATCH), 0.0
    for t in range(STEPS):
        stepped, _, state = made.step(state, x[:, t])
        there = t < lengths
        worst = max(worst, float(np.abs(stepped - expected[:, t]).max()))
        worst = max(worst, float(np.abs(log_probs[there, t] - expected[there, t]).max()))
    return Row(_title(cell), f"{where} engine", worst, None, _time_engine(cell, engine), tolerance)


def _spec(cell: Cell, n_x: int, n_a: int) -> NetworkSpec:
    return NetworkSpec(Vectors(n_x), CoreSpec(n_a, cell.name, cell.activation), Classes(n_a))


def _title(cell: Cell) -> str:
    return f"{cell.name} {cell.activation}" if len(variants(cell.name)) > 1 else cell.name


def _time_kernel(cell: Cell, whole: Whole) -> float:
    w = {
        name.rpartition(".")[2]: torch.tensor(value)
        for name, value in _timed(cell).items()
        if name.startswith("core.")
    }
    x = torch.zeros(1, TIMED_STEPS, TIMED_A)
    state = tuple(torch.zeros(1, TIMED_A) for _ in cell.state)
    with torch.no_grad():
        return _quickest(lambda: whole(w, x, state)) / TIMED_STEPS


def _time_engine(cell: Cell, engine: Callable[[NetworkSpec, dict[str, Array]], Engine]) -> float:
    made, x = engine(_spec(cell, TIMED_A, TIMED_A), _timed(cell)), np.zeros((1, TIMED_A), np.float32)

    def stream() -> None:
        state = made.start(1)
        for _ in range(TIMED_STEPS):
            _, _, state = made.step(state, x, 1)

    return _quickest(stream) / TIMED_STEPS


def _timed(cell: Cell) -> dict[str, Array]:
    """Return small random weights. Their values do not affect the time."""
    rng = np.random.default_rng(0)
    sizes = shapes(_spec(cell, TIMED_A, TIMED_A))
    return {name: rng.uniform(-0.05, 0.05, shape).astype(np.float32) for name, shape in sizes.items()}


def _quickest(work: Callable[[], object], times: int = 3) -> float:
    """Return the microseconds of the fastest of several calls, since other processes slow down the others."""
    best = float("inf")
    for _ in range(times):
        begin = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - begin)
    return 1e6 * best
