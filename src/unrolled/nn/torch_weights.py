"""Copy weights from and to torch's recurrent layers. Frozen weights stay frozen."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from unrolled.core.errors import UsageError
from unrolled.models.cells import NUMPY, Cell
from unrolled.nn.layer_weights import CellWeights

_MATRICES, _BIASES = ("weight_ih", "weight_hh"), ("bias_ih", "bias_hh")  # torch's names

Places = Sequence[tuple[str, CellWeights]]  # the suffix of torch's names, and our weights


def copy_from_torch(cell: Cell, n_a: int, places: Places, module: nn.RNNBase) -> None:
    """Copy the weights of `module` into ours, and freeze the same weights.

    Raises UsageError as _Recurrent.from_torch.
    """
    leaves = (*_MATRICES, *(_BIASES if module.bias else ()))
    for ending, own in places:
        # getattr, not named_parameters(): with parametrizations, the parameters have other names.
        theirs: dict[str, Tensor] = {leaf: getattr(module, leaf + ending) for leaf in leaves}
        values = {leaf: _values(tensor) for leaf, tensor in theirs.items()}
        zeros = np.zeros(len(values["weight_hh"]), values["weight_hh"].dtype)
        converted = cell.from_torch(dict.fromkeys(_BIASES, zeros) | values, n_a)
        own.set({name: converted[name] for name in own.names})
        learns = {leaf: _learns(module, leaf + ending) for leaf in leaves}
        if learns["weight_ih"] != learns["weight_hh"]:
            raise UsageError(
                f"only one of weight_ih{ending} and weight_hh{ending} is frozen; here they are one matrix",
                hint="freezing both, or none",
            )
        for name in own.names:
            asked = _MATRICES if name.startswith("W") else _BIASES
            own.weight(name).requires_grad_(any(learns[leaf] for leaf in asked))


def copy_to_torch(cell: Cell, places: Places, module: nn.RNNBase) -> None:
    """Copy our weights into `module`, and freeze the same weights.

    Raises UsageError as _Recurrent.to_torch.
    """
    for ending, own in places:
        ours = own()
        packed = cell.to_torch(NUMPY, {name: _values(tensor) for name, tensor in ours.items()})
        for kind, leaves in (("W", _MATRICES), ("b", _BIASES if own.bias else ())):
            learns = {_learns(own, name) for name in own.names if name.startswith(kind)}
            if len(learns) > 1:
                raise UsageError(
                    f"some of {kind}_* are frozen; torch has one array for all gates",
                    hint="freezing the weights of all gates, or none",
                )
            for leaf in leaves:
                into: nn.Parameter = getattr(module, leaf + ending)
                with torch.no_grad():
                    into.copy_(torch.as_tensor(packed[leaf], device="cpu"))
                into.requires_grad_(learns == {True})


def _values(tensor: Tensor) -> np.ndarray:
    """Return the tensor as an array. NumPy has no bfloat16, so bfloat16 becomes float32 (exact)."""
    tensor = tensor.detach().cpu()
    return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()


def _learns(module: nn.Module, name: str) -> bool:
    """Return whether a weight is trained.

    With a parametrization: whether any of its underlying parameters is.
    """
    made_of = getattr(module, "parametrizations", {})
    if name in made_of:
        return any(p.requires_grad for p in made_of[name].parameters())
    return bool(getattr(module, name).requires_grad)
