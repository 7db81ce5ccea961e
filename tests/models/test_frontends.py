"""What stands before the recurrent layers: NumPy = torch = a loop; padding, batch and chunks change nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from support.networks import spec_of
from support.tolerances import TOLERANCES
from unrolled.core.errors import UsageError
from unrolled.models import tensor_shapes
from unrolled.models.engines.numpy_engine import NumpyEngine
from unrolled.models.frontends import FRONTS, Sizes
from unrolled.models.initial_weights import initialise
from unrolled.models.network_spec import FrontSpec
from unrolled.models.tensor_shapes import shapes
from unrolled.nn.architectures import build
from unrolled.nn.frontends import front
from unrolled.nn.torch_engine import TorchEngine

CLOSE = TOLERANCES["float64"]
ENGINES = {"numpy": NumpyEngine, "torch": TorchEngine}
engines = pytest.mark.parametrize("engine", ENGINES.values(), ids=ENGINES)
ways = pytest.mark.parametrize("bidirectional", [False, True], ids=["causal", "both directions"])


def a_network(bidirectional=False, **more):
    spec = spec_of(
        n_x=3, n_y=4, n_a=5, ids=False, front="time", front_size=6, bidirectional=bidirectional, **more
    )
    rng = np.random.default_rng(1)
    first = initialise(spec, 0)
    return spec, {k: v.astype(np.float64) + 0.2 * rng.standard_normal(v.shape) for k, v in first.items()}


def frames(*lengths, seed=2):
    """Some sequences in one batch, with garbage past their ends."""
    rng = np.random.default_rng(seed)
    return rng.standard_normal((len(lengths), max(lengths), 3)), np.array(lengths)


def by_loop(W, b, x, causal):
    """The convolution as its docstring says it."""
    W, out = W.reshape(len(W), x.shape[1], 6), []
    for u in range(-(-len(x) // 2)):
        first = 2 * u + 1 - 5 if causal else 2 * u - 2
        z = b.copy()
        for k in range(6):
            if 0 <= first + k < len(x):
                z += W[:, :, k] @ x[first + k]
        out.append(np.maximum(z, 0))
    return np.array(out).reshape(-1, len(b))


@pytest.mark.parametrize("steps", [0, 1, 2, 3, 8, 9])
@pytest.mark.parametrize("causal", [True, False])
def test_the_convolution_over_time_is_a_loop(causal, steps):
    sizes, time = Sizes(3, 4, causal), FRONTS["time"]
    rng = np.random.default_rng(0)
    p = {k: rng.standard_normal(shape) for k, shape in time.shapes(sizes).items()}
    x = rng.standard_normal((steps, 3))
    made, past = time.run(sizes, p, x, np.zeros(time.past(sizes)))
    assert made.shape == (time.steps(steps), 4) and past.shape == (time.past(sizes),)
    np.testing.assert_allclose(made, by_loop(p["W"], p["b"], x, causal), atol=CLOSE["oracle"])


@ways
@pytest.mark.parametrize("architecture", ["many-to-many", "many-to-one"])
def test_both_engines_and_every_company_say_the_same(bidirectional, architecture):
    spec, tensors = a_network(bidirectional, architecture=architecture, layers=2)
    x, lengths = frames(9, 4, 1, 0, 6)
    answers, state = NumpyEngine(spec, tensors).run(x, lengths)
    assert answers.shape == (5, 5 if architecture == "many-to-many" else 1, 4)
    theirs, after = TorchEngine(spec, tensors).run(x, lengths)
    np.testing.assert_allclose(theirs, answers, atol=CLOSE["forward"])
    for ours, other, name in zip(state, after, tensor_shapes.state_names(spec), strict=True):
        if name != "front" or architecture == "many-to-many":
            np.testing.assert_allclose(ours, np.asarray(other), atol=CLOSE["forward"])
    for row, length in enumerate(lengths):
        for engine in ENGINES.values():
            alone, _ = engine(spec, tensors).run(x[row : row + 1, : max(1, length)], lengths[row : row + 1])
            steps = spec.steps(length) if architecture == "many-to-many" else 1
            np.testing.assert_allclose(alone[0, :steps], answers[row, :steps], atol=CLOSE["padding"])


@engines
def test_chunks_are_the_whole(engine):
    spec, tensors = a_network(layers=2)
    made = engine(spec, tensors)
    x, _ = frames(13, 13)
    whole, end = made.run(x)
    parts, state = [], made.start(2)
    for begin, stop in ((0, 2), (2, 4), (4, 10), (10, 13)):
        part, state = made.run(x[:, begin:stop], None, state)
        parts.append(part)
    np.testing.assert_allclose(np.concatenate(parts, axis=1), whole, atol=CLOSE["forward"])
    for one, other in zip(state[:-1], end[:-1], strict=True):
        np.testing.assert_allclose(np.asarray(one), np.asarray(other), atol=CLOSE["forward"])
    assert [tuple(a.shape) for a in state] == [(2, size) for size in tensor_shapes.state_sizes(spec)]


@ways
def test_gradient(bidirectional):
    spec, tensors = a_network(bidirectional)
    x, lengths = frames(5, 2)
    weights = {
        name: torch.tensor(value, requires_grad=True)
        for name, value in tensors.items()
        if name.startswith("front")
    }

    def made(x, W, b):
        return front(spec, {"front.W": W, "front.b": b}, x, torch.tensor(lengths), None)[0]

    given = (torch.tensor(x, requires_grad=True), *weights.values())
    assert torch.autograd.gradcheck(made, given)


def test_padding_does_not_change_the_loss():
    spec, tensors = a_network()
    x, lengths = frames(7, 3)
    clean = np.where(np.arange(7)[None, :, None] < lengths[:, None, None], x, 0.0)  # as buckets pad
    y = torch.tensor([[1, 2, 0, 3], [2, 1, -1, -1]])
    net = build(spec, tensors)
    total, count, _ = net.loss(torch.tensor(clean), y, torch.tensor(lengths))
    alone = [
        net.loss(torch.tensor(x[row : row + 1, :n]), y[row : row + 1, : -(-n // 2)], torch.tensor([n]))[0]
        for row, n in enumerate(lengths)
    ]
    assert count == 6
    np.testing.assert_allclose(float(total.detach()), sum(float(a.detach()) for a in alone), rtol=1e-12)


def test_what_makes_no_sense_is_refused():
    with pytest.raises(UsageError, match="unknown front"):
        FrontSpec("times", 6)
    spec, tensors = a_network()
    for engine in ENGINES.values():
        made = engine(spec, tensors)
        with pytest.raises(UsageError, match="chunks"):
            made.step(made.start(1), np.zeros((1, 3)))
    assert {"front.W", "front.b"} < set(shapes(spec))
