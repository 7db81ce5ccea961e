"""Speed of one layer on whole sequences, in training and inference: `unrolled.nn` against torch.nn.

    python benchmarks/layers.py --threads 2 --rounds 9
    python benchmarks/layers.py --cells gru --shapes 35,20,200,200 --work train,ragged --rounds 3

A shape is T, batch, inputs, units. The kinds of work:
- `train`: forward and backward, with the gradient of the input.
- `run`: only forward, without gradients; also ONNX Runtime and OpenVINO.
- `ragged`: training on lengths that are uniform in 5..T. torch pads, packs, or pads four buckets of similar
  lengths.

torch has no simplified GRU. Its GRU applies the relevance gate after the product, which is cheaper than the
lecture's GRU; it is compared with both GRUs. JAX, ONNX Runtime and OpenVINO take part if they are installed.

`mallopt` is the same with freed memory kept in the process (unrolled.tune), which any program can do. The
ratios to torch are printed with and without it. The share of peak compares the multiplications of the layer's
equation with torch.mm of square matrices.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

import jax_layer
from onnx_layer import layer, onnx_session
from results import parser
from turns import Contender, Job, add_turns, compete, ratio, serve

SHAPES = (
    "35,20,200,200",
    "35,20,650,650",
    "100,32,128,256",
    "100,32,512,512",
    "50,1,128,256",
    "200,64,64,64",
)
GATES = {"rnn": 1, "gru-simple": 2, "gru": 3, "lstm": 4}
SHORTEST = 5  # minimum length of ragged rows
BUCKETS = 4
SQUARE = 1024  # size of the matrices whose product measures the peak speed


def theirs(job: Job) -> nn.RNNBase:
    """Return the layer of torch for the cell of the job."""
    kinds: dict[str, type[nn.RNNBase]] = {"rnn": nn.RNN, "gru-simple": nn.GRU, "gru": nn.GRU, "lstm": nn.LSTM}
    _, _, n_x, n_a = job["shape"]
    return kinds[job["cell"]](n_x, n_a)


def ours(job: Job) -> nn.Module:
    """Return the layer of unrolled.nn."""
    import unrolled.nn

    kinds = {"rnn": "RNN", "gru-simple": "GRUSimple", "gru": "GRU", "lstm": "LSTM"}
    _, _, n_x, n_a = job["shape"]
    return getattr(unrolled.nn, kinds[job["cell"]])(n_x, n_a, batch_first=False)


def inputs(job: Job) -> tuple[Tensor, Tensor]:
    """Return x [T, batch, n_x] and lengths [batch], the same for all contenders."""
    steps, batch, n_x, _ = job["shape"]
    generator = torch.Generator().manual_seed(0)
    lengths = torch.randint(min(SHORTEST, steps), steps + 1, (batch,), generator=generator)
    lengths[0] = steps
    return torch.randn(steps, batch, n_x, generator=generator), lengths


def dense(module: nn.Module, job: Job) -> Callable[[], object]:
    """Return the work of training or inference on rows of equal length."""
    x, _ = inputs(job)
    if job["work"] == "run":
        module.eval()  # as a user does; torch then keeps nothing for the backward pass

        def run() -> None:
            with torch.inference_mode():
                module(x)

        return run
    x.requires_grad_()
    d_y = torch.ones_like(module(x)[0])

    def train() -> None:
        module.zero_grad(set_to_none=True)
        x.grad = None
        module(x)[0].backward(d_y)

    return train


def _training(module: nn.Module, loss: Callable[[], Tensor]) -> Callable[[], None]:
    def train() -> None:
        module.zero_grad(set_to_none=True)
        loss().backward()

    return train


def torch_layer(job: Job) -> Callable[[], object]:
    """torch.nn as its users run it; ragged rows are padded."""
    return dense(theirs(job), job | {"work": "run" if job["work"] == "run" else "train"})


def torch_tuned(job: Job) -> Callable[[], object]:
    """The same with freed memory kept."""
    _tune()
    return torch_layer(job)


def torch_packed(job: Job) -> Callable[[], object] | None:
    """Ragged rows as a PackedSequence."""
    if job["work"] != "ragged":
        return None
    module, (x, lengths) = theirs(job), inputs(job)
    x.requires_grad_()

    def loss() -> Tensor:
        packed = nn.utils.rnn.pack_padded_sequence(x, lengths, enforce_sorted=False)
        return module(packed)[0].data.sum()

    return _training(module, loss)


def torch_bucketed(job: Job) -> Callable[[], object] | None:
    """Ragged rows in buckets of similar lengths; each bucket is padded to its longest row."""
    if job["work"] != "ragged":
        return None
    module, (x, lengths) = theirs(job), inputs(job)
    parts = [part for part in torch.argsort(lengths).chunk(BUCKETS) if len(part)]
    batches = [x[: int(lengths[part].max()), part].requires_grad_() for part in parts]
    return _training(module, lambda: torch.stack([module(batch)[0].sum() for batch in batches]).sum())


def our_layer(job: Job) -> Callable[[], object]:
    """unrolled.nn."""
    if job["work"] != "ragged":
        return dense(ours(job), job)
    module, (x, lengths) = ours(job), inputs(job)
    x.requires_grad_()
    return _training(module, lambda: module(x, lengths=lengths)[0].sum())


def our_tuned(job: Job) -> Callable[[], object]:
    """The same with freed memory kept."""
    _tune()
    return our_layer(job)


def onnx_runtime(job: Job) -> Callable[[], object] | None:
    """ONNX Runtime, if it is installed."""
    graph = _graph(job, "onnxruntime")
    if graph is None:
        return None
    session = onnx_session(graph[0], torch.get_num_threads())
    given = {"X": inputs(job)[0].numpy()}
    return lambda: session.run(None, given)


def openvino(job: Job) -> Callable[[], object] | None:
    """OpenVINO, if it is installed."""
    graph = _graph(job, "openvino")
    if graph is None:
        return None
    import openvino

    core = openvino.Core()
    core.set_property("CPU", {"INFERENCE_NUM_THREADS": torch.get_num_threads()})
    precise = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
    request = core.compile_model(core.read_model(graph[0]), "CPU", precise).create_infer_request()
    x = inputs(job)[0].numpy()
    return lambda: request.infer([x])


def _graph(job: Job, package: str) -> tuple[bytes, list[str]] | None:
    if job["work"] != "run" or importlib.util.find_spec(package) is None:
        return None
    steps, batch, n_x, n_a = job["shape"]
    return layer(job["cell"], steps, batch, n_x, n_a, carried=False)


def jax_scan(job: Job) -> Callable[[], object] | None:
    """JAX, if it is installed."""
    if job["work"] == "ragged" or importlib.util.find_spec("jax") is None:
        return None
    _, _, n_x, n_a = job["shape"]
    return jax_layer.layer(job["cell"], n_x, n_a, inputs(job)[0].numpy(), train=job["work"] == "train")


def peak(job: Job) -> Callable[[], object]:
    """The product of two square matrices."""
    a = torch.randn(SQUARE, SQUARE)
    return lambda: a @ a


def _tune() -> None:
    from unrolled.core.system import tune

    tune()


CONTENDERS: dict[str, Contender] = {
    "torch": torch_layer,
    "torch mallopt": torch_tuned,
    "torch packed": torch_packed,
    "torch buckets": torch_bucketed,
    "unrolled": our_layer,
    "unrolled mallopt": our_tuned,
    "ONNX Runtime": onnx_runtime,
    "OpenVINO": openvino,
    "JAX scan": jax_scan,
    "peak": peak,
}


def multiplications(job: Job) -> float:
    """Return the floating-point operations of the layer's products; three times as many with gradients."""
    steps, batch, n_x, n_a = job["shape"]
    rows = float(inputs(job)[1].sum()) if job["work"] == "ragged" else steps * batch
    return 2.0 * GATES[job["cell"]] * rows * n_a * (n_a + n_x) * (1 if job["work"] == "run" else 3)


def row(job: Job, seconds: dict[str, float | None]) -> dict[str, Any]:
    """Return one row of the table: milliseconds, and the speed-up over the contenders of torch."""
    own, tuned, square = seconds["unrolled"], seconds["unrolled mallopt"], seconds["peak"]
    line: dict[str, Any] = {
        "work": job["work"],
        "cell": job["cell"],
        "shape": ",".join(map(str, job["shape"])),
    }
    line |= {f"{name} ms": None if s is None else 1e3 * s for name, s in seconds.items() if name != "peak"}
    for name in ("torch", "torch packed", "torch buckets", "JAX scan", "ONNX Runtime", "OpenVINO"):
        line[f"x {name}"] = ratio(seconds[name], own)
    line["x torch, both mallopt"] = ratio(seconds["torch mallopt"], tuned)
    if tuned is not None and square is not None:
        line["share of peak"] = multiplications(job) / tuned / (2.0 * SQUARE**3 / square)
    return line


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--cells", default="lstm,gru,gru-simple,rnn", help="%(default)s")
    options.add_argument(
        "--shapes",
        nargs="+",
        default=SHAPES,
        metavar="T,B,I,U",
        help="shapes (default: those of the table in the docs)",
    )
    options.add_argument("--work", default="train,run,ragged", help="%(default)s")
    add_turns(options, seconds=0.5, threads=2, whose="")
    asked = options.parse_args()
    if asked.contender:
        serve(CONTENDERS[asked.contender])
        return
    jobs: list[Job] = [
        {"work": work, "cell": cell, "shape": [int(n) for n in shape.split(",")]}
        for work in asked.work.split(",")
        for cell in asked.cells.split(",")
        for shape in asked.shapes
    ]
    compete("layers", CONTENDERS, jobs, row, asked)


if __name__ == "__main__":
    sys.exit(main())
