"""Recurrent layers for PyTorch, used as torch.nn.LSTM is: `y, state = m(x, state=None, lengths=None)`.

    RNN         a^<t> = g1(W_a[a^<t-1>, x^<t>] + b_a)             as torch.nn.RNN
    GRUSimple   the lecture's simplified GRU
    GRU         the lecture's full GRU: relevance before the product, which torch.nn.GRU applies after it
    LSTM        as torch.nn.LSTM

The names in state_dict end with the lecture's names: `layers.0.forward_cell.W_c`, `layers.0.forward_cell.b_c`,
`layers.0.backward_cell.W_c` ... For sequences of different lengths, `lengths` [batch] or packed sequences are given:
padding never changes an answer. zoneout: the fraction of units that keep their state at a step, drawn at random while
training; in eval mode the state is the mean of such draws.
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
    """A layer of any cell; the public classes name the cell and torch's layer."""

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
        """n_x inputs, n_a units; input_size and hidden_size are torch's names for the same two.

        dropout: fraction of the inputs of each layer but the first that is dropped while training. zoneout: fraction of
        the state that a step keeps. Raises UsageError for values out of range and for proj_size, which is not
        supported.
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
        """Draw new initial weights; torch.manual_seed decides which."""
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
        """x [batch, T_x, n_x] -> (a [batch, T_x, directions * n_a], state after each row's last true step).

        state, in and out, as torch.nn has it: [num_layers * directions, batch, n_a]; for the LSTM a pair (a, c);
        None is zeros. lengths: [batch], a tensor, an array or a list; None for all T_x; steps past them give zeros.
        With batch_first=False x and a are [T_x, batch, ...]. x may also be one sequence, [T_x, n_x], with a state
        [num_layers * directions, n_a]; or a PackedSequence, for which a is another. Under torch.autocast the layer
        computes in the type of its weights, and a is rounded to the lower type. Raises UsageError for another shape or
        type.
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
            a = a.to(
                torch.get_autocast_dtype(a.device.type)
            )  # as torch.nn's; the state stays exact for the next call
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
        """The weights of a layer's directions. Looked up at each call: torch replaces sub-modules in its copies."""
        return [cast(CellWeights, getattr(self.layers[layer], f"{d}_cell")) for d in self._directions]

    def cells_by_torch_name(self) -> list[tuple[str, CellWeights]]:
        """For each layer and direction, the ending of torch's names for it and the weights."""
        return [
            (f"_l{layer}" + ("_reverse" if direction == "backward" else ""), own)
            for layer in range(self.num_layers)
            for direction, own in zip(self._directions, self._cells(layer), strict=True)
        ]

    def extra_repr(self) -> str:
        """The sizes, and what differs from the defaults."""
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
        """Everything but the cell, whose functions pickle may not know: it is found again by name."""
        cell = self.cell
        return {**self.__dict__, "cell": (cell.name, cell.activation, cell.zoneout)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """The inverse of __getstate__."""
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
        """Load also the names of release 0.1, such as `layers.0.forward.W_c`."""
        new_names(state_dict, prefix)
        super()._load_from_state_dict(
            state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
        )

    @classmethod
    def from_torch(cls: type[_Ours], module: nn.RNNBase) -> _Ours:
        """The same function as `module`, with a copy of its weights, in the same mode (training or eval), with the same
        weights frozen, of the same type and on the same device.

        Raises UsageError if torch's layer computes another function: a GRU, or an LSTM with a projection; and if only
        one of two matrices is frozen that are one matrix here.
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
        """torch's layer that computes the same function, with a copy of the weights, in the same mode (training or
        eval), with the same weights frozen, of the same type and on the same device.

        Raises UsageError if torch has no such layer: the GRUs, and any layer with zoneout; and if some gates of one
        matrix are frozen and others are not.
        """
        if self.zoneout:
            raise UsageError("torch has no zoneout: its layer computes another function", hint="zoneout=0.0")
        weight = next(self.parameters())
        made = self._torch_like(weight.device, weight.dtype).train(self.training)
        copy_to_torch(self.cell, self.cells_by_torch_name(), made)
        return cast(TorchLayer, made)

    @classmethod
    def _like(cls: type[_Ours], module: nn.RNNBase, device: torch.device, dtype: torch.dtype) -> _Ours:
        """A layer of the same sizes as torch's."""
        return cls(*_sizes(module), bias=module.bias, device=device, dtype=dtype)

    def _torch_like(self, device: torch.device, dtype: torch.dtype) -> nn.RNNBase:
        """torch's layer of the same sizes."""
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
    """The basic RNN; activation is g1, "tanh" or "relu". See _Recurrent.forward for the call."""

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
        """As the other layers, and activation (torch's name: nonlinearity), "tanh" by default."""
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


def _check_type(what: str, found: Tensor, weight: Tensor) -> None:
    """Raise UsageError unless this tensor has the weights' type (any float under autocast) and is on their device."""
    name = str(weight.dtype).removeprefix("torch.")
    if not found.is_floating_point():
        hint = f"{'x' if what == 'x' else 'state'}.to({weight.dtype}), or an embedding for ids"
        raise UsageError(f"{what} is {found.dtype}", expected=f"numbers of type {name}", hint=hint)
    if found.device != weight.device:
        raise UsageError(f"{what} is on {found.device}", expected=f"{weight.device}, where the weights are")
    if found.dtype != weight.dtype and not autocasts(found.device.type):
        hint = f".to({weight.dtype}) on it, or .to({found.dtype}) on the layer"
        raise UsageError(f"{what} is {found.dtype}", expected=f"{weight.dtype}, as the weights", hint=hint)


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
