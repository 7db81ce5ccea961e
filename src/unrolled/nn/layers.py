"""Recurrent layers for PyTorch, used as torch.nn.LSTM is: `y, state = m(x, state=None, lengths=None)`.

    RNN         a^<t> = g1(W_a[a^<t-1>, x^<t>] + b_a)             as torch.nn.RNN
    GRUSimple   the lecture's simplified GRU
    GRU         the lecture's full GRU: relevance before the product, which torch.nn.GRU applies after it
    LSTM        as torch.nn.LSTM

state_dict leaves are the lecture's names: `layers.0.forward.W_c`, `layers.0.forward.b_c`, `layers.0.backward.W_c` ...
Instead of packed sequences, `lengths` [batch] are given: padding never changes an answer. zoneout: the share of units
that keep their state at a step, drawn by chance while training; in eval mode the state is the mean of such draws.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Generic, TypeVar, cast

import numpy as np
import torch
from torch import Tensor, nn

from unrolled.core.errors import UsageError
from unrolled.models import cells
from unrolled.models.cells import NUMPY, Cell
from unrolled.models.initial_weights import initialise
from unrolled.models.network_spec import NetworkSpec
from unrolled.nn.embedding_and_head import plant
from unrolled.nn.scan import NO_DROPOUTS, Dropouts, deep

__all__ = ["GRU", "LSTM", "RNN", "GRUSimple"]

_LEAVES = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")  # torch's names


TorchLayer = TypeVar("TorchLayer", bound=nn.RNNBase)
_Ours = TypeVar("_Ours", bound="_Recurrent[Any]")


class _Recurrent(nn.Module, Generic[TorchLayer]):
    """A layer of any cell; the public classes name the cell and torch's layer."""

    cell_name: ClassVar[str]
    torch_layer: ClassVar[Callable[..., nn.RNNBase]]

    def __init__(
        self,
        n_x: int,
        n_a: int,
        num_layers: int = 1,
        batch_first: bool = True,
        dropout: float = 0.0,
        bidirectional: bool = False,
        zoneout: float = 0.0,
    ) -> None:
        """n_x inputs, n_a units; dropout between layers; zoneout: fraction of the state that a step keeps."""
        cell = cells.find(self.cell_name, zoneout=zoneout)
        self._set_up(cell, n_x, n_a, num_layers, batch_first, dropout, bidirectional, zoneout)

    def _set_up(
        self,
        cell: Cell,
        n_x: int,
        n_a: int,
        num_layers: int,
        batch_first: bool,
        dropout: float,
        bidirectional: bool,
        zoneout: float,
    ) -> None:
        super().__init__()
        self.cell, self.n_x, self.n_a, self.num_layers = cell, n_x, n_a, num_layers
        self.batch_first, self.dropout, self.bidirectional = batch_first, dropout, bidirectional
        self.zoneout = zoneout
        spec = NetworkSpec(
            n_x=n_x,
            n_y=1,
            n_a=n_a,
            cell=cell.name,
            activation=cell.activation,
            layers=num_layers,
            bidirectional=bidirectional,
            ids=False,
        )
        self._directions = spec.directions
        first = initialise(spec, int(torch.randint(2**31 - 1, ())))  # torch.manual_seed decides
        plant(
            self,
            {
                name.replace("core", "layers", 1): torch.tensor(value, dtype=torch.get_default_dtype())
                for name, value in first.items()
                if name.startswith("core.")
            },
        )
        layers = [dict(self.get_submodule(f"layers.{k}").named_children()) for k in range(num_layers)]
        self._places = [[layer[d] for d in self._directions] for layer in layers]
        self._names = [f"{kind}_{gate}" for gate in cell.gates for kind in "Wb"]

    def forward(self, x: Any, state: Any = None, lengths: Tensor | None = None) -> tuple[Tensor, Any]:
        """x [batch, T_x, n_x] -> (a [batch, T_x, directions * n_a], state after each row's last true step).

        state, in and out, as torch.nn has it: [num_layers * directions, batch, n_a]; for the LSTM a pair (a, c);
        None is zeros. lengths: [batch], None for all T_x; steps past them give zeros. With batch_first=False x and
        a are [T_x, batch, ...]. Raises UsageError for another shape.
        """
        if not torch.is_tensor(x) or x.ndim != 3 or x.shape[-1] != self.n_x:
            found = list(x.shape) if torch.is_tensor(x) else type(x).__name__
            axes = "batch, T_x" if self.batch_first else "T_x, batch"
            raise UsageError(
                f"x is {found}", expected=f"[{axes}, {self.n_x}]", hint="lengths= for ragged rows"
            )
        dropouts = Dropouts(self.dropout, zoneout=self.zoneout) if self.training else NO_DROPOUTS
        before = None if state is None else self._flat(state, x.shape[0 if self.batch_first else 1])
        first = self.batch_first
        a, after = deep(self.cell, self._core(), x, before, lengths, dropouts=dropouts, batch_first=first)
        names = len(self.cell.state)
        stacked = tuple(_stacked(after[k::names]) for k in range(names))  # [layers * directions, batch, n_a]
        return a, stacked[0] if names == 1 else stacked

    def _flat(self, state: Any, batch: int) -> tuple[Tensor, ...]:
        arrays = (state,) if torch.is_tensor(state) else tuple(state)
        shape = [self.num_layers * len(self._directions), batch, self.n_a]
        found = [list(array.shape) for array in arrays]
        if found != [shape] * len(self.cell.state):
            raise UsageError(f"the state is {found}", expected=f"{[shape] * len(self.cell.state)}")
        return tuple(array[k] for k in range(shape[0]) for array in arrays)

    def _core(self) -> list[list[dict[str, Tensor]]]:
        return [
            [{name: getattr(place, name) for name in self._names} for place in layer]
            for layer in self._places
        ]

    def places(self) -> list[tuple[str, dict[str, Tensor]]]:
        """For each layer and direction, the ending of torch's names for it and the weights."""
        core = self._core()
        return [
            (f"_l{layer}" + ("_reverse" if d == "backward" else ""), core[layer][k])
            for layer in range(self.num_layers)
            for k, d in enumerate(self._directions)
        ]

    @classmethod
    def from_torch(cls: type[_Ours], module: nn.RNNBase) -> _Ours:
        """The same function as `module`, with a copy of its weights.

        Raises UsageError if torch's layer computes another function: a GRU, or an LSTM with a projection.
        """
        if module.proj_size:
            raise UsageError("an LSTM with a projection (proj_size) computes another function")
        return _copy_from(cls._like(module), module)

    def to_torch(self) -> TorchLayer:
        """torch's layer that computes the same function, with a copy of the weights.

        Raises UsageError if torch has no such layer: the GRUs, and any layer with zoneout.
        """
        return cast(TorchLayer, _copy_to(self._torch_like(), self))

    @classmethod
    def _like(cls: type[_Ours], module: nn.RNNBase) -> _Ours:
        """A layer of the same sizes as torch's."""
        return cls(*_sizes(module))

    def _torch_like(self) -> nn.RNNBase:
        """torch's layer of the same sizes."""
        return self.torch_layer(
            self.n_x,
            self.n_a,
            self.num_layers,
            batch_first=self.batch_first,
            dropout=self.dropout,
            bidirectional=self.bidirectional,
        )


class RNN(_Recurrent[nn.RNN]):
    """The basic RNN; activation is g1, "tanh" or "relu". See _Recurrent.forward for the call."""

    cell_name = "rnn"
    torch_layer = nn.RNN

    def __init__(
        self,
        n_x: int,
        n_a: int,
        num_layers: int = 1,
        batch_first: bool = True,
        dropout: float = 0.0,
        bidirectional: bool = False,
        activation: str = "tanh",
        zoneout: float = 0.0,
    ) -> None:
        """As the other layers, and activation."""
        cell = cells.find(self.cell_name, activation, zoneout)
        self._set_up(cell, n_x, n_a, num_layers, batch_first, dropout, bidirectional, zoneout)

    @classmethod
    def _like(cls: type[RNN], module: nn.RNNBase) -> RNN:
        return cls(*_sizes(module), activation=str(module.nonlinearity))

    def _torch_like(self) -> nn.RNN:
        return nn.RNN(
            self.n_x,
            self.n_a,
            self.num_layers,
            nonlinearity=self.cell.activation,
            batch_first=self.batch_first,
            dropout=self.dropout,
            bidirectional=self.bidirectional,
        )


class GRUSimple(_Recurrent[nn.GRU]):
    """The lecture's simplified GRU. See _Recurrent.forward for the call."""

    cell_name = "gru-simple"
    torch_layer = nn.GRU


class GRU(_Recurrent[nn.GRU]):
    """The lecture's full GRU, relevance before the product. See _Recurrent.forward for the call."""

    cell_name = "gru"
    torch_layer = nn.GRU


class LSTM(_Recurrent[nn.LSTM]):
    """Long short-term memory; the state is a pair (a, c). See _Recurrent.forward for the call."""

    cell_name = "lstm"
    torch_layer = nn.LSTM


def _stacked(arrays: tuple[Tensor, ...]) -> Tensor:
    return arrays[0].unsqueeze(0) if len(arrays) == 1 else torch.stack(arrays)  # the same, without a copy


def _sizes(module: nn.RNNBase) -> tuple[int, int, int, bool, float, bool]:
    return (
        module.input_size,
        module.hidden_size,
        module.num_layers,
        module.batch_first,
        module.dropout,
        module.bidirectional,
    )


_Theirs = TypeVar("_Theirs", bound=nn.RNNBase)


def _copy_from(ours: _Ours, theirs: nn.RNNBase) -> _Ours:
    values = {name: p.detach().cpu().numpy() for name, p in theirs.named_parameters()}
    ours = ours.to(dtype=next(theirs.parameters()).dtype)
    with torch.no_grad():
        for ending, own in ours.places():
            rows = values[f"weight_hh{ending}"].shape[0]
            zeros = np.zeros(rows, values[f"weight_hh{ending}"].dtype)  # where bias=False
            t = {leaf: values.get(leaf + ending, zeros) for leaf in _LEAVES}
            for leaf, value in ours.cell.from_torch(t, ours.n_a).items():
                own[leaf].copy_(torch.tensor(value))
    return ours


def _copy_to(theirs: _Theirs, ours: _Recurrent[Any]) -> _Theirs:
    if ours.zoneout:
        raise UsageError("torch has no zoneout: its layer computes another function", hint="zoneout=0.0")
    values: dict[str, Tensor] = {}
    for ending, own in ours.places():
        packed = ours.cell.to_torch(NUMPY, {leaf: p.detach().cpu().numpy() for leaf, p in own.items()})
        values |= {leaf + ending: torch.tensor(value) for leaf, value in packed.items()}
    theirs = theirs.to(dtype=next(iter(values.values())).dtype)
    theirs.load_state_dict(values)
    return theirs
