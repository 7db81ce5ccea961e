"""Recurrent layers for PyTorch, used like torch.nn.LSTM: `y, state = m(x, state=None, lengths=None)`.

    RNN         a^<t> = g1(W_a[a^<t-1>, x^<t>] + b_a), the same function as torch.nn.RNN
    GRUSimple   the lecture's simplified GRU
    GRU         the lecture's full GRU: Gamma_r is applied before the product; torch.nn.GRU applies it after
    LSTM        the same function as torch.nn.LSTM

The names in state_dict end with the lecture's names: `layers.0.forward_cell.W_c`,
`layers.0.forward_cell.b_c`, `layers.0.backward_cell.W_c` ...

For sequences of different lengths, pass `lengths` [batch] or packed sequences. Padding never changes an
output.

zoneout: in training, a random fraction of the units keeps its previous state at each step. In eval mode, each
state is the mean over such random draws.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Generic, TypeVar, cast

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from unrolled.core.errors import UsageError
from unrolled.models import cells
from unrolled.models.cells import Cell
from unrolled.models.initial_weights import initialise
from unrolled.models.network_spec import CoreSpec, NetworkSpec, Reals, Vectors
from unrolled.nn.input_forms import States, of_one, of_packed, refuse_lengths
from unrolled.nn.kernels.tensors import autocasts
from unrolled.nn.layer_arguments import check_fraction, check_size, one, refuse_projection
from unrolled.nn.layer_weights import CellWeights, new_names
from unrolled.nn.scan import NO_DROPOUTS, Dropouts, Lengths, deep, is_compiled
from unrolled.nn.torch_weights import copy_from_torch, copy_to_torch

__all__ = ["GRU", "LSTM", "RNN", "GRUSimple"]

TorchLayer = TypeVar("TorchLayer", bound=nn.RNNBase)
_Ours = TypeVar("_Ours", bound="_Recurrent[Any]")


class _Recurrent(nn.Module, Generic[TorchLayer]):
    """A layer of any cell. The public subclasses set the cell and the corresponding torch layer."""

    cell_name: ClassVar[str]
    torch_layer: ClassVar[Callable[..., nn.RNNBase]]

    def __init__(
        self,
        n_x: int | None = None,
        n_a: int | None = None,
        num_layers: int = 1,
        batch_first: bool = True,
        dropout: float = 0.0,
        bidirectional: bool = False,
        zoneout: float = 0.0,
        *,
        bias: bool = True,
        input_size: int | None = None,
        hidden_size: int | None = None,
        proj_size: int = 0,
        device: torch.device | str | int | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        """Create the layer and draw initial weights.

        n_x: number of inputs; torch's name is input_size.
        n_a: number of units; torch's name is hidden_size.
        dropout: in training, fraction of the inputs that is dropped, for each layer except the first.
        zoneout: fraction of the state that a step keeps.
        The other arguments are as in torch.nn.LSTM, but batch_first is True by default.

        Raises UsageError for values out of range, and for proj_size, which is not supported.
        """
        cell = cells.find(self.cell_name, zoneout=zoneout)
        n_x, n_a = one("n_x", n_x, "input_size", input_size), one("n_a", n_a, "hidden_size", hidden_size)
        refuse_projection(proj_size)
        self._set_up(cell, n_x, n_a, num_layers, batch_first, dropout, bidirectional, bias, device, dtype)

    def _set_up(
        self,
        cell: Cell,
        n_x: int,
        n_a: int,
        num_layers: int,
        batch_first: bool,
        dropout: float,
        bidirectional: bool,
        bias: bool,
        device: torch.device | str | int | None,
        dtype: torch.dtype | None,
    ) -> None:
        super().__init__()
        for name, value in (("n_x", n_x), ("n_a", n_a), ("num_layers", num_layers)):
            check_size(name, value)
        check_fraction("dropout", dropout)
        self.cell, self.n_x, self.n_a, self.num_layers = cell, n_x, n_a, num_layers
        self.batch_first, self.dropout, self.bidirectional = batch_first, dropout, bidirectional
        self.bias, self.zoneout = bias, cell.zoneout
        self._directions = self._spec().core.directions
        self.layers = nn.ModuleList()
        for layer in range(num_layers):
            width = self._spec().inputs(layer)
            place = nn.Module()
            for direction in self._directions:
                made = CellWeights(cell.gates, width, n_a, bias=bias, device=device, dtype=dtype)
                place.add_module(f"{direction}_cell", made)
            self.layers.append(place)
        self.reset_parameters()

    def _spec(self) -> NetworkSpec:
        core = CoreSpec(self.n_a, self.cell.name, self.cell.activation, self.num_layers, self.bidirectional)
        return NetworkSpec(Vectors(self.n_x), core, Reals(1))

    def reset_parameters(self) -> None:
        """Draw new initial weights. They depend on torch.manual_seed."""
        if not self._cells(0)[0].has_values:
            return
        seed = int(torch.randint(2**31 - 1, (), device="cpu"))
        first = initialise(self._spec(), seed)
        for layer in range(self.num_layers):
            for direction, own in zip(self._directions, self._cells(layer), strict=True):
                own.set({name: first[f"core.{layer}.{direction}.{name}"] for name in own.names})

    @property
    def input_size(self) -> int:
        """torch's name for n_x."""
        return self.n_x

    @property
    def hidden_size(self) -> int:
        """torch's name for n_a."""
        return self.n_a

    def forward(
        self, x: Tensor | PackedSequence, state: States | None = None, lengths: Lengths = None
    ) -> tuple[Tensor | PackedSequence, States]:
        """Run the layer: x [batch, T_x, n_x] -> (a [batch, T_x, directions * n_a], state).

        state: as in torch.nn, [num_layers * directions, batch, n_a], or a pair (a, c) of such tensors for the
            LSTM. None is zeros. The returned state is the state after the last valid step of each row.
        lengths: [batch], a tensor, an array or a list; None is T_x for all rows. Outputs in the padding are
            zeros.

        With batch_first=False, x and a are [T_x, batch, ...]. x can also be one sequence [T_x, n_x], with a
        state [num_layers * directions, n_a]. If x is a PackedSequence, a is a PackedSequence too. Under
        torch.autocast, the layer computes in the type of its weights, and a is rounded to the lower type.

        Raises UsageError for another shape or type.
        """
        if is_compiled():
            run = cast(
                Callable[..., tuple[Tensor | PackedSequence, States]], torch.compiler.disable(self._run)
            )
            return run(x, state, lengths)
        return self._run(x, state, lengths)

    def _run(
        self, x: object, state: States | None, lengths: Lengths
    ) -> tuple[Tensor | PackedSequence, States]:
        if isinstance(x, PackedSequence):
            refuse_lengths(lengths)
            return of_packed(self._run_batch, x, state, self.batch_first)
        if torch.is_tensor(x) and x.ndim == 2:
            refuse_lengths(lengths)
            return of_one(self._run_batch, x, state, self.batch_first)
        return self._run_batch(x, state, lengths)

    def _run_batch(self, given: object, state: States | None, lengths: Lengths) -> tuple[Tensor, States]:
        x = self._checked(given)
        core = [[own() for own in self._cells(layer)] for layer in range(self.num_layers)]
        kind = core[0][0][f"W_{self.cell.gates[0]}"]
        _check_type("x", x, kind)
        dropouts = Dropouts(self.dropout, zoneout=self.zoneout) if self.training else NO_DROPOUTS
        before = None if state is None else self._flat(state, x.shape[0 if self.batch_first else 1], kind)
        first = self.batch_first
        a, after = deep(self.cell, core, x, before, lengths, dropouts=dropouts, batch_first=first)
        if autocasts(a.device.type) and a.dtype == torch.float32:
            # As in torch.nn. The state is not rounded, so that it is exact in the next call.
            a = a.to(torch.get_autocast_dtype(a.device.type))
        names = len(self.cell.state)
        stacked = tuple(_stacked(after[k::names]) for k in range(names))  # [layers * directions, batch, n_a]
        return a, stacked[0] if names == 1 else stacked

    def _checked(self, x: object) -> Tensor:
        if not torch.is_tensor(x) or x.ndim != 3 or x.shape[-1] != self.n_x:
            found = list(x.shape) if torch.is_tensor(x) else type(x).__name__
            axes = "batch, T_x" if self.batch_first else "T_x, batch"
            hint = "lengths= for rows of different lengths"
            raise UsageError(f"x is {found}", expected=f"[{axes}, {self.n_x}]", hint=hint)
        return x

    def _flat(self, state: States, batch: int, kind: Tensor) -> tuple[Tensor, ...]:
        arrays = (state,) if torch.is_tensor(state) else tuple(state)
        shape = [self.num_layers * len(self._directions), batch, self.n_a]
        found = [list(array.shape) for array in arrays]
        if found != [shape] * len(self.cell.state):
            raise UsageError(f"the state is {found}", expected=f"{[shape] * len(self.cell.state)}")
        for array in arrays:
            _check_type("the state", array, kind)
        return tuple(array[k] for k in range(shape[0]) for array in arrays)

    def _cells(self, layer: int) -> list[CellWeights]:
        """Return the weights of a layer's directions.

        They are looked up in each call, because torch replaces sub-modules in copies of a module.
        """
        return [cast(CellWeights, getattr(self.layers[layer], f"{d}_cell")) for d in self._directions]

    def cells_by_torch_name(self) -> list[tuple[str, CellWeights]]:
        """Return, for each layer and direction, the suffix of torch's weight names and the weights."""
        return [
            (f"_l{layer}" + ("_reverse" if direction == "backward" else ""), own)
            for layer in range(self.num_layers)
            for direction, own in zip(self._directions, self._cells(layer), strict=True)
        ]

    def extra_repr(self) -> str:
        """Return the sizes and all values that differ from the defaults, for repr()."""
        parts = [f"{self.n_x}, {self.n_a}"]
        parts += [f"num_layers={self.num_layers}"] if self.num_layers != 1 else []
        parts += [f"activation='{self.cell.activation}'"] if self.cell.activation != "tanh" else []
        parts += [f"bias={self.bias}"] if not self.bias else []
        parts += [f"batch_first={self.batch_first}"] if not self.batch_first else []
        parts += [f"dropout={self.dropout}"] if self.dropout else []
        parts += [f"bidirectional={self.bidirectional}"] if self.bidirectional else []
        parts += [f"zoneout={self.zoneout}"] if self.zoneout else []
        return ", ".join(parts)

    def __getstate__(self) -> dict[str, object]:
        """Return the state for pickle.

        The cell is stored by name, because pickle may not support its functions.
        """
        cell = self.cell
        return {**self.__dict__, "cell": (cell.name, cell.activation, cell.zoneout)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore the state of __getstate__. The cell is found by its name."""
        super().__setstate__(state | {"cell": cells.find(*state["cell"])})

    def _load_from_state_dict(
        self,
        state_dict: dict[str, object],
        prefix: str,
        local_metadata: dict[str, object],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        """Load a state dict. Names of release 0.1, such as `layers.0.forward.W_c`, are also accepted."""
        new_names(state_dict, prefix)
        super()._load_from_state_dict(
            state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
        )

    @classmethod
    def from_torch(cls: type[_Ours], module: nn.RNNBase) -> _Ours:
        """Return a layer that computes the same function as `module`, with a copy of its weights.

        The mode (training or eval), the frozen weights, the type and the device are the same.

        Raises UsageError if torch's layer computes another function: a GRU, or an LSTM with a projection.
        Also raises UsageError if only one of weight_ih and weight_hh is frozen, because they are one matrix
        here.
        """
        refuse_projection(module.proj_size)
        if not isinstance(module, cast(type, cls.torch_layer)):
            raise UsageError(
                f"{type(module).__name__} is not torch's layer for {cls.__name__}",
                expected=f"torch.nn.{cls.torch_layer.__name__}",
            )
        weight = next(module.parameters())
        made = cls._like(module, weight.device, weight.dtype).train(module.training)
        copy_from_torch(made.cell, made.n_a, made.cells_by_torch_name(), module)
        return made

    def to_torch(self) -> TorchLayer:
        """Return torch's layer that computes the same function, with a copy of the weights.

        The mode (training or eval), the frozen weights, the type and the device are the same.

        Raises UsageError if torch has no such layer: for the GRUs, and for any layer with zoneout. Also
        raises UsageError if only some gates are frozen, because torch has one matrix for all gates.
        """
        if self.zoneout:
            raise UsageError("torch's layer has no zoneout: it computes another function", hint="zoneout=0.0")
        weight = next(self.parameters())
        made = self._torch_like(weight.device, weight.dtype).train(self.training)
        copy_to_torch(self.cell, self.cells_by_torch_name(), made)
        return cast(TorchLayer, made)

    @classmethod
    def _like(cls: type[_Ours], module: nn.RNNBase, device: torch.device, dtype: torch.dtype) -> _Ours:
        """Return a layer with the same sizes as torch's layer."""
        return cls(*_sizes(module), bias=module.bias, device=device, dtype=dtype)

    def _torch_like(self, device: torch.device, dtype: torch.dtype) -> nn.RNNBase:
        """Return torch's layer with the same sizes."""
        more = {"nonlinearity": self.cell.activation} if self.torch_layer is nn.RNN else {}
        return self.torch_layer(
            self.n_x,
            self.n_a,
            self.num_layers,
            bias=self.bias,
            batch_first=self.batch_first,
            dropout=self.dropout,
            bidirectional=self.bidirectional,
            device=device,
            dtype=dtype,
            **more,
        )


class RNN(_Recurrent[nn.RNN]):
    """The basic RNN. activation: g1, "tanh" or "relu". The call is described in _Recurrent.forward."""

    cell_name = "rnn"
    torch_layer = nn.RNN

    def __init__(
        self,
        n_x: int | None = None,
        n_a: int | None = None,
        num_layers: int = 1,
        batch_first: bool = True,
        dropout: float = 0.0,
        bidirectional: bool = False,
        activation: str | None = None,
        zoneout: float = 0.0,
        *,
        nonlinearity: str | None = None,
        bias: bool = True,
        input_size: int | None = None,
        hidden_size: int | None = None,
        proj_size: int = 0,
        device: torch.device | str | int | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        """Create the layer, with the arguments of the other layers.

        activation: "tanh" (default) or "relu"; torch's name is nonlinearity.
        """
        g1 = (
            "tanh"
            if activation is nonlinearity is None
            else one("activation", activation, "nonlinearity", nonlinearity)
        )
        cell = cells.find(self.cell_name, g1, zoneout)
        n_x, n_a = one("n_x", n_x, "input_size", input_size), one("n_a", n_a, "hidden_size", hidden_size)
        refuse_projection(proj_size)
        self._set_up(cell, n_x, n_a, num_layers, batch_first, dropout, bidirectional, bias, device, dtype)

    @classmethod
    def _like(cls: type[RNN], module: nn.RNNBase, device: torch.device, dtype: torch.dtype) -> RNN:
        sizes, g1 = _sizes(module), str(module.nonlinearity)
        return cls(*sizes, activation=g1, bias=module.bias, device=device, dtype=dtype)


class GRUSimple(_Recurrent[nn.GRU]):
    """The lecture's simplified GRU. The call is described in _Recurrent.forward."""

    cell_name = "gru-simple"
    torch_layer = nn.GRU


class GRU(_Recurrent[nn.GRU]):
    """The lecture's full GRU: Gamma_r is applied before the product.

    The call is described in _Recurrent.forward.
    """

    cell_name = "gru"
    torch_layer = nn.GRU


class LSTM(_Recurrent[nn.LSTM]):
    """Long short-term memory. The state is a pair (a, c). The call is described in _Recurrent.forward."""

    cell_name = "lstm"
    torch_layer = nn.LSTM


def _check_type(what: str, found: Tensor, weight: Tensor) -> None:
    """Raise UsageError unless the tensor has the type and the device of the weights.

    Under autocast, any floating-point type is allowed.
    """
    name = str(weight.dtype).removeprefix("torch.")
    if not found.is_floating_point():
        hint = f"{'x' if what == 'x' else 'state'}.to({weight.dtype}), or an embedding for ids"
        raise UsageError(f"{what} is {found.dtype}", expected=f"numbers of type {name}", hint=hint)
    if found.device != weight.device:
        raise UsageError(
            f"{what} is on {found.device}", expected=f"{weight.device}, the device of the weights"
        )
    if found.dtype != weight.dtype and not autocasts(found.device.type):
        hint = f".to({weight.dtype}) on it, or .to({found.dtype}) on the layer"
        raise UsageError(f"{what} is {found.dtype}", expected=f"{weight.dtype}, as the weights", hint=hint)


def _stacked(arrays: tuple[Tensor, ...]) -> Tensor:
    return arrays[0].unsqueeze(0) if len(arrays) == 1 else torch.stack(arrays)  # unsqueeze makes no copy


def _sizes(module: nn.RNNBase) -> tuple[int, int, int, bool, float, bool]:
    return (
        module.input_size,
        module.hidden_size,
        module.num_layers,
        module.batch_first,
        module.dropout,
        module.bidirectional,
    )
