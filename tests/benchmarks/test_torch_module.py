"""Every check of benchmarks/torch_module.py passes for every layer of unrolled.nn."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from typing import Any

import pytest
import torch

import torch_module
from support.paths import ROOT

OURS = [name for name in torch_module.LAYERS if name.startswith("unrolled")]
# These record the calls. They run in a process of their own: the annotations that the tests check at run time are not
# true of what torch passes then: sizes that are tensors, for example.
RECORDED = re.compile("torch.compile|torch.export|torch.onnx|torch.jit|fake")
# These take seconds: the quick tests run them for the LSTM alone.
LONG = re.compile("gradcheck")


def cases() -> list[Any]:
    found: list[Any] = []
    for check in torch_module.CHECKS:
        for layer in OURS if not RECORDED.match(check) else ():
            marks = pytest.mark.slow if LONG.match(check) and layer != OURS[0] else ()
            found.append(pytest.param(check, layer, marks=marks, id=f"{check}-{layer}"))
    return found


@pytest.mark.parametrize(("check", "layer"), cases())
def test_a_layer_passes(check, layer):
    assert torch_module.passes(torch_module.CHECKS[check], torch_module.LAYERS[layer]) is None


@pytest.mark.parametrize(
    "layer", [OURS[0], *(pytest.param(name, marks=pytest.mark.slow) for name in OURS[1:])]
)
def test_a_layer_passes_where_calls_are_recorded(layer):
    checks = RECORDED.pattern
    if shutil.which("c++") is None:  # which torch.compile's default backend needs
        checks = checks.replace("torch.compile|", "")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / "torch_module.py"), layer, "--checks", checks],
        capture_output=True,
        text=True,
        env=environment,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("| yes |") >= 7


class Deaf(torch.nn.LSTM):
    """A layer that answers with what it was made with, whatever becomes of its weights and of x."""

    def __init__(self, **more: Any) -> None:
        super().__init__(**more)
        self.answer = torch.rand(3, 7, self.hidden_size * (1 + self.bidirectional))

    def forward(self, x: torch.Tensor, state: Any = None) -> tuple[torch.Tensor, Any]:
        return self.answer * 1.0, state


@pytest.mark.parametrize(
    "check",
    [
        "torch.func.functional_call",
        "load_state_dict, also with assign=True",
        "parametrizations (weight_norm)",
        "DataParallel's replicate",
        "torch.autocast bfloat16, forward and backward",
        "empty batch, forward and backward",
        "PackedSequence",
        "gradients of gradients in float32",
        "train, eval, inference_mode",
        "torch.func.grad",
    ],
)
def test_a_check_sees_a_layer_that_does_nothing(check):
    assert torch_module.passes(torch_module.CHECKS[check], Deaf) is not None
