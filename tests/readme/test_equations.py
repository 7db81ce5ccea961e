"""The cells compute the equations of the lecture. README.md says:

* "The equations are those of a [lecture on sequence models](docs/lecture/index.md). Tests compare each implementation
  with a second, independent implementation in float64."
* "`unrolled doctor` runs every cell on every engine (NumPy, native kernels, PyTorch) and compares the results with the
  equations."
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from support import oracle
from support.small_models import run
from support.tolerances import FLOAT64
from unrolled import nn
from unrolled.models.cells import CELLS

LAYERS = {"rnn-tanh": nn.RNN, "gru-simple-tanh": nn.GRUSimple, "gru-tanh": nn.GRU, "lstm-tanh": nn.LSTM}


def weights(layer: torch.nn.Module, prefix: str) -> dict[str, np.ndarray]:
    """The matrices of a direction of a layer, by the lecture's names."""
    state = layer.state_dict()
    return {name.removeprefix(prefix): v.numpy() for name, v in state.items() if name.startswith(prefix)}


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("name", LAYERS)
def test_the_layers_compute_the_lecture_s_equations(name: str, bidirectional: bool):
    torch.manual_seed(1)
    layer = LAYERS[name](n_x=4, n_a=5, num_layers=2, bidirectional=bidirectional, dtype=torch.float64)
    sides = ("forward_cell", "backward_cell")[: 1 + bidirectional]
    core = [[weights(layer, f"layers.{i}.{side}.") for side in sides] for i in range(2)]
    x = torch.randn(1, 7, 4, dtype=torch.float64)
    expected, _ = oracle.network(name, core, list(x[0].numpy()))
    assert np.abs(layer(x)[0][0].detach().numpy() - np.array(expected)).max() <= FLOAT64["oracle"]


def test_the_gru_is_not_that_of_torch():
    """With the same weights both agree at the first step, where the state is zeros, and at no later one."""
    torch.manual_seed(1)
    theirs = torch.nn.GRU(4, 5, batch_first=True, dtype=torch.float64)
    ours = nn.GRU(n_x=4, n_a=5, dtype=torch.float64)
    with torch.no_grad():
        theirs.bias_hh_l0.zero_()
        for row, (gate, sign) in enumerate(
            (("r", 1), ("u", -1), ("c", 1))
        ):  # torch's update gate keeps the old state
            rows = slice(5 * row, 5 * row + 5)
            W = torch.cat([theirs.weight_hh_l0[rows], theirs.weight_ih_l0[rows]], dim=1)
            ours.get_parameter(f"layers.0.forward_cell.W_{gate}").copy_(sign * W)
            ours.get_parameter(f"layers.0.forward_cell.b_{gate}").copy_(sign * theirs.bias_ih_l0[rows])
    x = torch.randn(1, 6, 4, dtype=torch.float64)
    apart = (ours(x)[0] - theirs(x)[0]).abs().amax(dim=2)[0]  # [T_x]
    assert apart[0] <= FLOAT64["forward"]
    assert (apart[1:] > 1e-4).all()


def test_doctor_verifies_every_cell():
    done = run("doctor")
    assert done.code == 0 and "all cells compute their equations" in done.out + done.err, done
    cells = {line.split()[0] for line in done.out.splitlines() if line.strip()}
    assert {name for name in CELLS} <= cells
