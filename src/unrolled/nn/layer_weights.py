"""The weights of one cell as a torch module. State dicts with the names of release 0.1 can also be loaded."""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from unrolled.core.types import Array

# Release 0.1 called the two directions "forward" and "backward". But every module has a method "forward",
# which hid the sub-module of the same name from torch.
_OLD = re.compile(r"layers\.(\d+)\.(forward|backward)\.")


class CellWeights(nn.Module):
    """The weights W_* [n_a, n_a + n_x] and b_* [n_a] of each gate of one cell. A call returns them by name.

    Without bias, the b_* are zeros and not parameters.
    """

    def __init__(
        self,
        gates: tuple[str, ...],
        n_x: int,
        n_a: int,
        *,
        bias: bool,
        device: torch.device | str | int | None,
        dtype: torch.dtype | None,
    ) -> None:
        super().__init__()
        self.gates, self.bias = gates, bias
        # The weights of all gates are parts of one array. So they are adjacent in memory, and the kernels can
        # read them as one array.
        W = torch.empty(len(gates), n_a, n_a + n_x, device=device, dtype=dtype)
        b = torch.empty(len(gates), n_a, device=device, dtype=dtype)
        for gate, W_gate, b_gate in zip(gates, W.unbind(), b.unbind(), strict=True):
            self.register_parameter(f"W_{gate}", nn.Parameter(W_gate))
            if bias:
                self.register_parameter(f"b_{gate}", nn.Parameter(b_gate))

    @property
    def names(self) -> list[str]:
        """The names of the parameters.

        They do not come from torch, whose parametrizations and copies hide them.
        """
        return [f"{kind}_{gate}" for gate in self.gates for kind in ("Wb" if self.bias else "W")]

    @property
    def has_values(self) -> bool:
        """False on the device "meta" and for fake tensors, which have only shapes and no values."""
        weight = self.weight(self.names[0])
        return type(weight) in (Tensor, nn.Parameter) and not weight.is_meta

    def weight(self, name: str) -> Tensor:
        """Return one of the weights.

        With a parametrization (such as weight_norm), return its current value.
        """
        return getattr(self, name)

    def forward(self) -> dict[str, Tensor]:
        """Return all weights by name."""
        found = {name: self.weight(name) for name in self.names}
        if not self.bias:
            W = found[f"W_{self.gates[0]}"]
            zeros = W.new_zeros(len(self.gates), W.shape[0]).unbind()
            found |= {f"b_{gate}": b for gate, b in zip(self.gates, zeros, strict=True)}
        return found

    def set(self, values: Mapping[str, Array]) -> None:
        """Copy `values` into the parameters, and round them to the type of the parameters."""
        with torch.no_grad():
            for name, value in values.items():
                given = torch.as_tensor(value, device="cpu")
                if parametrize.is_parametrized(self, name):
                    setattr(self, name, given.to(self.weight(name)))  # torch sets the underlying parameters
                else:
                    self.weight(name).copy_(given)


def new_names(state_dict: dict[str, object], prefix: str) -> None:
    """Replace the names of release 0.1 in place. prefix: prefix of the layer's names in `state_dict`."""
    for name in [name for name in state_dict if name.startswith(prefix)]:
        rest = _OLD.sub(r"layers.\1.\2_cell.", name[len(prefix) :])
        if rest != name[len(prefix) :]:
            state_dict[prefix + rest] = state_dict.pop(name)
