"""Check torch.nn.LSTM and the layers of unrolled.nn against the requirements of torch's own tests of modules.

    python benchmarks/torch_module.py      prints the table of docs/reference/torch.md

Each check is a function that raises an error if a layer fails. tests/benchmarks/test_torch_module.py runs the
checks.
"""

from __future__ import annotations

import argparse
import copy
import io
import pickle
import re
import sys
import warnings
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize, prune, rnn

import unrolled.nn as ours
from unrolled.core.errors import UsageError

N_X, N_A, ROWS, STEPS = 4, 5, 3, 7

Make = Callable[..., nn.Module]  # makes a layer; takes keyword arguments of torch.nn.LSTM


def torch_lstm(**more: object) -> nn.Module:
    return nn.LSTM(**{"input_size": N_X, "hidden_size": N_A, "batch_first": True} | more)


LAYERS: dict[str, Make] = {"torch.nn.LSTM": torch_lstm} | {
    f"unrolled.nn.{kind.__name__}": lambda kind=kind, **more: kind(
        **{"input_size": N_X, "hidden_size": N_A} | more
    )
    for kind in (ours.LSTM, ours.GRU, ours.GRUSimple, ours.RNN)
}


def inputs(rows: int = ROWS, steps: int = STEPS, seed: int = 0) -> Tensor:
    return torch.randn(rows, steps, N_X, generator=torch.Generator().manual_seed(seed))


def same(found: Tensor, expected: Tensor, tolerance: float = 1e-5) -> None:
    """Raise an error if two results differ."""
    assert found.shape == expected.shape, (found.shape, expected.shape)
    assert torch.isfinite(found).all()
    off = float((found.detach().to(expected.dtype) - expected.detach()).abs().max()) if found.numel() else 0.0
    assert off <= tolerance, f"off by {off:.1e}"


def output(layer: nn.Module, *given: object) -> Tensor:
    return layer(*given)[0]


def doubled(layer: nn.Module) -> dict[str, Tensor]:
    return {name: 2 * p.detach() for name, p in layer.named_parameters()}


def other_values(layer: nn.Module) -> nn.Module:
    """Return a copy with other weights."""
    changed = copy.deepcopy(layer)
    with torch.no_grad():
        for p in changed.parameters():
            p.mul_(2)
    return changed


# ---- weights by name


def functional_call(make: Make) -> None:
    layer, x = make(), inputs()
    found = torch.func.functional_call(layer, doubled(layer), (x,))[0]
    same(found, output(other_values(layer), x))
    same(torch.func.functional_call(layer, layer.state_dict(), (x,))[0], output(layer, x))


def get_parameter(make: Make) -> None:
    layer = make(num_layers=2, bidirectional=True)
    for name, p in layer.named_parameters():
        assert layer.get_parameter(name) is p
    for name, module in layer.named_modules():
        assert layer.get_submodule(name) is module


def load_state_dict(make: Make) -> None:
    one, two = make(bidirectional=True), make(bidirectional=True)
    two.load_state_dict(one.state_dict(), strict=True)
    same(output(two, inputs()), output(one, inputs()))
    two.load_state_dict(other_values(one).state_dict(), strict=True, assign=True)
    same(output(two, inputs()), output(other_values(one), inputs()))


def weight_holder(layer: nn.Module) -> tuple[nn.Module, str]:
    """Return the module that has the first matrix, and the name of the matrix in it."""
    path, _, leaf = next(name for name, p in layer.named_parameters() if p.ndim == 2).rpartition(".")
    return layer.get_submodule(path), leaf


def weight_norm(make: Make) -> None:
    layer, x = make(), inputs()
    expected = output(layer, x)
    holder, leaf = weight_holder(layer)
    parametrizations.weight_norm(holder, leaf)
    same(output(layer, x), expected)
    made_of = holder.get_submodule(f"parametrizations.{leaf}")
    with torch.no_grad():
        next(made_of.parameters()).mul_(3)  # the lengths of the rows
    assert not torch.equal(output(layer, x), expected)
    output(layer, x).sum().backward()
    assert all(p.grad is not None for p in made_of.parameters())
    parametrize.remove_parametrizations(holder, leaf)
    assert torch.isfinite(output(layer, x)).all()


def pruning(make: Make) -> None:
    layer, x = make(), inputs()
    before = output(layer, x)
    holder, leaf = weight_holder(layer)
    prune.random_unstructured(holder, leaf, amount=0.5)
    pruned = getattr(holder, leaf).detach().clone()
    assert not torch.equal(output(layer, x), before)
    prune.remove(holder, leaf)
    assert torch.equal(getattr(holder, leaf), pruned)
    assert torch.isfinite(output(layer, x)).all()


# ---- copies


def pickled(make: Make) -> None:
    layer = make(num_layers=2, dropout=0.5).eval()
    again = pickle.loads(pickle.dumps(layer))
    same(output(again, inputs()), output(layer, inputs()), 0.0)
    assert not again.training and repr(again) == repr(layer)


def saved(make: Make) -> None:
    layer, file = make(), io.BytesIO()
    torch.save(layer, file)
    file.seek(0)
    same(output(torch.load(file, weights_only=False), inputs()), output(layer, inputs()), 0.0)


def deepcopied(make: Make) -> None:
    layer, x = make(), inputs()
    again, expected = copy.deepcopy(layer), output(layer, x).detach().clone()
    with torch.no_grad():
        for p in layer.parameters():
            p.zero_()
    same(output(again, x), expected, 0.0)


def replicate(make: Make) -> None:
    """Do what torch.nn.parallel.replicate does, on the CPU. The original function needs GPUs."""
    layer, x = make(num_layers=2, bidirectional=True), inputs()
    of = list(layer.modules())
    replicas = [module._replicate_for_data_parallel() for module in of]
    for module, replica in zip(of, replicas, strict=True):
        for name, child in module._modules.items():
            setattr(replica, name, replicas[next(k for k, m in enumerate(of) if m is child)])
        for name, p in module._parameters.items():
            setattr(replica, name, (2 * p).view(p.shape))  # no parameter, as there
    found = output(replicas[0], x)
    same(found, output(other_values(layer), x))
    found.sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in layer.parameters())


def shared_memory(make: Make) -> None:
    layer, expected = make(), None
    expected = output(layer, inputs())
    layer.share_memory()
    same(output(layer, inputs()), expected)


# ---- types and devices


def autocast(make: Make, kind: torch.dtype = torch.bfloat16) -> None:
    layer, x = make(num_layers=2, bidirectional=True), inputs()
    expected = output(layer, x)
    with torch.autocast("cpu", dtype=kind):
        found, state = layer(nn.Linear(N_X, N_X)(x))  # given numbers of the lower type
        assert found.dtype in (kind, torch.float32)
        found, state = layer(x)
        again, _ = layer(x, state)
        (found.float().sum() + again.float().sum()).backward()
    same(found.float(), expected, 0.05)


def autocast_half(make: Make) -> None:
    autocast(make, torch.float16)


def default_dtype(make: Make) -> None:
    layer, x, before = make(), inputs(), torch.get_default_dtype()
    expected = output(layer, x)
    for kind in (torch.bfloat16, torch.float64):
        torch.set_default_dtype(kind)
        try:
            found = output(layer, x)
            found.sum().backward()
            assert make().get_parameter(next(iter(layer.state_dict()))).dtype == kind
        finally:
            torch.set_default_dtype(before)
        same(found, expected)


def default_device(make: Make) -> None:
    layer, x = make(), inputs()
    expected = output(layer, x)
    with torch.device("meta"):
        found = output(layer, x)
        found.sum().backward()
    same(found, expected)


def other_types(make: Make) -> None:
    x = inputs()
    for kind in (torch.float64, torch.bfloat16, torch.float16):
        layer = make(dtype=kind)
        assert {p.dtype for p in layer.parameters()} == {kind}
        expected = output(copy.deepcopy(layer).double(), x.double())
        same(output(layer, x.to(kind)), expected, 0.05)
        output(layer, x.to(kind)).sum().backward()


def wrong_types(make: Make) -> None:
    layer, x = make(), inputs()
    for wrong in (x.long(), x.double(), x[..., :2], x.bool()):
        try:
            layer(wrong)
        except (ValueError, RuntimeError, UsageError) as error:
            assert str(error)
        else:
            raise AssertionError(f"{wrong.dtype} {list(wrong.shape)} was accepted")


def meta_device(make: Make) -> None:
    layer = make(device="meta")
    assert all(p.is_meta for p in layer.parameters())
    assert output(layer, inputs().to("meta")).shape == (ROWS, STEPS, N_A)
    layer.to_empty(device="cpu").reset_parameters()
    assert torch.isfinite(output(layer, inputs())).all()


# ---- values and gradients


def empty_batch(make: Make) -> None:
    layer, x = make(num_layers=2), torch.zeros(0, STEPS, N_X, requires_grad=True)
    a, _ = layer(x)
    assert a.shape == (0, STEPS, N_A)
    a.sum().backward()
    assert x.grad is not None and x.grad.shape == x.shape
    assert all(p.grad is None or not p.grad.any() for p in layer.parameters())


def without_batch(make: Make) -> None:
    layer, x = make(num_layers=2, bidirectional=True), inputs(1)
    a, state = layer(x)
    one, last = layer(x[0])
    same(one, a[0])
    pairs = [(last, state)] if torch.is_tensor(last) else zip(last, state, strict=True)
    for found, expected in pairs:
        same(found, expected[:, 0])
    same(output(layer, x[0], last), output(layer, x, state)[0])


def packed_sequence(make: Make) -> None:
    layer, x = make(bidirectional=True), inputs()
    lengths = torch.tensor([2, 7, 4])
    packed = rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    made, state = layer(packed)
    a, found = rnn.pad_packed_sequence(made, batch_first=True)
    assert torch.equal(found, lengths)
    for row, length in enumerate(lengths.tolist()):
        alone, last = layer(x[row : row + 1, :length])
        same(a[row, :length], alone[0])
        last, own = (last, state) if torch.is_tensor(last) else (last[0], state[0])
        same(own[:, row], last[:, 0])


def without_bias(make: Make) -> None:
    layer = make(bias=False, bidirectional=True)
    assert not [name for name in layer.state_dict() if name.rpartition(".")[2].startswith("b")]
    assert not output(layer, torch.zeros(ROWS, STEPS, N_X)).any()
    output(layer, inputs()).sum().backward()


def not_contiguous(make: Make) -> None:
    layer, x = make(), inputs()
    expected = output(layer, x)
    for strange in (
        x.transpose(0, 1).contiguous().transpose(0, 1),
        torch.cat([x, x], dim=2)[..., :N_X],
        x.flip(1).flip(1),
        x[:1].expand(ROWS, -1, -1),
    ):
        same(output(layer, strange), output(layer, strange.clone(memory_format=torch.contiguous_format)))
    same(output(layer, x), expected)


def gradients(make: Make) -> None:
    layer, x = make().double(), inputs(2, 3).double().requires_grad_()
    values = [x, *(p for p in layer.parameters())]
    names = [name for name, _ in layer.named_parameters()]

    def call(x: Tensor, *weights: Tensor) -> Tensor:
        return torch.func.functional_call(layer, dict(zip(names, weights, strict=True)), (x,))[0]

    assert torch.autograd.gradcheck(call, values, fast_mode=True)
    assert torch.autograd.gradgradcheck(call, values, fast_mode=True)


def double_backward(make: Make) -> None:
    found = []
    for kind in (torch.float32, torch.float64):
        torch.manual_seed(0)
        layer, x = make().to(kind), inputs().to(kind).requires_grad_()
        (d_x,) = torch.autograd.grad(output(layer, x).square().sum(), x, create_graph=True)
        d_x.square().sum().backward()
        found.append(x.grad)
    same(found[0], found[1], 1e-4)


def in_place(make: Make) -> None:
    """The output may be changed in place. If backward needs the old values, it must raise an error."""
    layer, x = make(), inputs()
    output(layer, x).mul_(2)
    try:
        output(layer, x).mul_(2).sum().backward()
    except RuntimeError as error:
        assert "modified by an inplace operation" in str(error)


def modes(make: Make) -> None:
    layer, x = make(num_layers=2, dropout=0.5), inputs()
    assert not torch.equal(output(layer, x), output(layer, x))
    layer.eval()
    assert torch.equal(output(layer, x), output(layer, x))
    with torch.inference_mode():
        inferred = output(layer, x)
    same(inferred, output(layer, x))
    output(layer, x).sum().backward()


def wrong_arguments(make: Make) -> None:
    for wrong in (
        {"dropout": 1.5},
        {"dropout": True},
        {"num_layers": 0},
        {"hidden_size": 0},
        {"input_size": 2.5},
    ):
        try:
            with warnings.catch_warnings(action="ignore"):
                make(**{"input_size": N_X, "hidden_size": N_A} | wrong)(inputs())
        except Exception as error:  # torch and this package raise different classes; there must be a message
            assert str(error)
        else:
            raise AssertionError(f"{wrong} was accepted")


# ---- recording and transforming


def compiled(make: Make) -> None:
    torch.compiler.reset()
    net = nn.Sequential(make(), Pick(), nn.Linear(N_A, 2))
    expected = net(inputs())
    expected.sum().backward()
    grads = [p.grad.clone() for p in net.parameters()]
    net.zero_grad()
    found = torch.compile(net)(inputs())
    same(found, expected)
    found.sum().backward()
    for p, grad in zip(net.parameters(), grads, strict=True):
        same(p.grad, grad, 1e-4)


class Pick(nn.Module):
    """A module that returns the output of a layer without its state."""

    def forward(self, made: tuple[Tensor, object]) -> Tensor:
        return made[0]


def exported(make: Make, *, strict: bool = False) -> None:
    net = nn.Sequential(make(num_layers=2, bidirectional=True), Pick()).eval()
    program = torch.export.export(net, (inputs(),), strict=strict)
    x = inputs(seed=1)
    same(program.module()(x), net(x))
    file = io.BytesIO()
    torch.export.save(program, file)
    file.seek(0)
    same(torch.export.load(file).module()(x), net(x))


def exported_strict(make: Make) -> None:
    exported(make, strict=True)


def exported_any_batch(make: Make) -> None:
    net = nn.Sequential(make(), Pick()).eval()
    program = torch.export.export(net, (inputs(),), dynamic_shapes=({0: torch.export.Dim("batch")},))
    same(program.module()(inputs(9)), net(inputs(9)))


def onnx_exported(make: Make) -> None:
    import onnx
    from onnx.reference import ReferenceEvaluator

    net, file = nn.Sequential(make(bidirectional=True), Pick()).eval(), io.BytesIO()
    torch.onnx.export(net, (inputs(),), file, dynamo=False, input_names=["x"])
    x = inputs(seed=1)
    found = ReferenceEvaluator(onnx.load_from_string(file.getvalue())).run(None, {"x": x.numpy()})[0]
    same(torch.from_numpy(found), net(x))


def traced(make: Make) -> None:
    net = nn.Sequential(make(num_layers=2), Pick()).eval()
    made = torch.jit.trace(net, inputs())
    same(made(inputs(seed=1)), net(inputs(seed=1)))


def fake(make: Make) -> None:
    from torch._subclasses.fake_tensor import FakeTensorMode

    with FakeTensorMode():
        layer = make()
        assert output(layer, torch.randn(ROWS, STEPS, N_X)).shape == (ROWS, STEPS, N_A)


def func_grad(make: Make) -> None:
    layer, x = make(), inputs()

    def loss(weights: Mapping[str, Tensor]) -> Tensor:
        return torch.func.functional_call(layer, weights, (x,))[0].square().sum()

    found = torch.func.grad(loss)(dict(layer.named_parameters()))
    output(layer, x).square().sum().backward()
    for name, p in layer.named_parameters():
        same(found[name], p.grad, 1e-4)


def vmap(make: Make) -> None:
    layer, x = make(), torch.stack([inputs(), inputs(seed=1)])
    found = torch.func.vmap(lambda each: output(layer, each))(x)
    same(found, torch.stack([output(layer, each) for each in x]))


def jvp(make: Make) -> None:
    layer, x = make().double(), inputs().double()
    _, found = torch.func.jvp(lambda x: output(layer, x), (x,), (torch.ones_like(x),))
    step = 1e-6
    same(found, (output(layer, x + step) - output(layer, x - step)) / (2 * step), 1e-6)


# ---- other uses


def hooks(make: Make) -> None:
    layer, seen = make(), []
    layer.register_forward_hook(lambda module, given, made: seen.append(made[0].shape))
    layer.register_full_backward_hook(lambda module, d_in, d_out: seen.append(d_out[0].shape))
    output(layer, inputs().requires_grad_()).sum().backward()
    assert seen == [(ROWS, STEPS, N_A)] * 2


def skip_init(make: Make) -> None:
    kind = type(make())
    layer = nn.utils.skip_init(kind, input_size=N_X, hidden_size=N_A)
    assert output(layer, torch.zeros(ROWS, STEPS, N_X)).shape[-1] == N_A


def printed(make: Make) -> None:
    text = repr(make(num_layers=2, bidirectional=True, dropout=0.25))
    assert all(
        part in text for part in (f"{N_X}, {N_A}", "num_layers=2", "bidirectional=True", "dropout=0.25")
    )


def averaged(make: Make) -> None:
    layer = make()
    mean = torch.optim.swa_utils.AveragedModel(layer)
    mean.update_parameters(layer)
    mean.update_parameters(other_values(layer))
    same(
        mean(inputs())[0],
        torch.func.functional_call(
            layer, {name: 1.5 * p.detach() for name, p in layer.named_parameters()}, (inputs(),)
        )[0],
    )


CHECKS: dict[str, Callable[[Make], None]] = {
    "torch.func.functional_call": functional_call,
    "get_parameter, get_submodule": get_parameter,
    "load_state_dict, also with assign=True": load_state_dict,
    "parametrizations (weight_norm)": weight_norm,
    "torch.nn.utils.prune": pruning,
    "pickle": pickled,
    "torch.save, torch.load": saved,
    "copy.deepcopy": deepcopied,
    "DataParallel's replicate": replicate,
    "share_memory": shared_memory,
    "torch.autocast bfloat16, forward and backward": autocast,
    "torch.autocast float16, forward and backward": autocast_half,
    "default dtype bfloat16, float64": default_dtype,
    "another default device": default_device,
    "dtype float64, bfloat16, float16": other_types,
    "x of a wrong type or size is refused": wrong_types,
    "device meta, to_empty, reset_parameters": meta_device,
    "empty batch, forward and backward": empty_batch,
    "x without a batch": without_batch,
    "PackedSequence": packed_sequence,
    "bias=False": without_bias,
    "x that is not contiguous": not_contiguous,
    "gradcheck, gradgradcheck": gradients,
    "gradients of gradients in float32": double_backward,
    "output changed in place": in_place,
    "train, eval, inference_mode": modes,
    "wrong arguments are refused": wrong_arguments,
    "torch.compile, default backend": compiled,
    "torch.export, save, load": exported,
    "torch.export, strict": exported_strict,
    "torch.export, any batch size": exported_any_batch,
    "torch.onnx.export": onnx_exported,
    "torch.jit.trace": traced,
    "fake tensors": fake,
    "torch.func.grad": func_grad,
    "torch.func.vmap": vmap,
    "torch.func.jvp": jvp,
    "forward and backward hooks": hooks,
    "torch.nn.utils.skip_init": skip_init,
    "repr": printed,
    "AveragedModel": averaged,
}


def passes(check: Callable[[Make], None], make: Make) -> str | None:
    """Return None if the check passes, else the error as one line."""
    torch.manual_seed(0)
    try:
        with warnings.catch_warnings(action="ignore"):
            check(make)
    except Exception as error:  # every error of a check is reported in the table
        return f"{type(error).__name__}: {error}".splitlines()[0]
    return None


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("layers", nargs="*", default=list(LAYERS), help="names of layers; default: all")
    parser.add_argument("--checks", default="", help="only the checks whose names contain this expression")
    asked = parser.parse_args()
    print(f"| | {' | '.join(f'`{name}`' for name in asked.layers)} |")
    print("|---" * (len(asked.layers) + 1) + "|")
    worse: list[str] = []
    for name, check in CHECKS.items():
        if not re.search(asked.checks, name):
            continue
        failed = {layer: passes(check, LAYERS[layer]) for layer in asked.layers}
        print(f"| {name} | {' | '.join('no' if each else 'yes' for each in failed.values())} |", flush=True)
        for layer, each in failed.items():
            if each and layer != "torch.nn.LSTM":
                worse.append(f"{name}, {layer}: {each}")
    for line in worse:
        print("failed:", line, file=sys.stderr)
    sys.exit(bool(worse))


if __name__ == "__main__":
    main()
