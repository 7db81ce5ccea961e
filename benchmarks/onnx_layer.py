"""One recurrent layer as an ONNX graph with one node, for the runtimes that are compared with the kernels."""

from __future__ import annotations

from typing import Any

import numpy as np

OPERATORS = {
    "rnn": ("RNN", 1),
    "gru": ("GRU", 3),
    "lstm": ("LSTM", 4),
}  # with the number of gates; the GRU is that of the lecture


def layer(
    cell: str, steps: int, batch: int, n_x: int, n_a: int, *, carried: bool
) -> tuple[bytes, list[str]] | None:
    """Return the graph X [T, batch, n_x] -> Y and the names of its inputs; None if ONNX lacks the cell.

    carried: whether the graph has the states as inputs and outputs instead of Y.
    """
    if cell not in OPERATORS:
        return None
    from onnx import TensorProto, helper, numpy_helper

    operator, gates = OPERATORS[cell]
    names = ["h", "c"][: 2 if cell == "lstm" else 1]
    rng = np.random.default_rng(0)
    weights = {
        name: rng.uniform(-0.1, 0.1, (1, gates * n_a, size)).astype(np.float32)
        for name, size in (("W", n_x), ("R", n_a))
    }

    def value(name: str, *shape: int) -> Any:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape))

    given = ["X", "W", "R", *(["", "", *names] if carried else [])]
    made = ["", *(f"{name}_after" for name in names)] if carried else ["Y"]
    outputs = (
        [value(name, 1, batch, n_a) for name in made[1:]] if carried else [value("Y", steps, 1, batch, n_a)]
    )
    inputs = [value("X", steps, batch, n_x), *(value(name, 1, batch, n_a) for name in names if carried)]
    graph = helper.make_graph(
        [helper.make_node(operator, given, made, hidden_size=n_a)],
        "layer",
        inputs,
        outputs,
        [numpy_helper.from_array(weight, name) for name, weight in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return model.SerializeToString(), [each.name for each in inputs]


def onnx_session(model: bytes, threads: int) -> Any:
    """Return a session of ONNX Runtime on the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(model, options, ["CPUExecutionProvider"])
