"""The Triton kernels compute what the layers do, and compile to what was meant, without a GPU.

Its numbers come from Triton's interpreter, in a process of its own: Triton reads TRITON_INTERPRET when it is imported. Where
there is a GPU, they are computed on it, too.
"""

import json
import os
import re
import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F

from warmnet.kernels import fused

triton = pytest.importorskip("triton")
from warmnet.kernels import triton_kernels  # noqa: E402

TOLERANCES = {"float32": 1e-5, "float16": 2**-11 + 1e-5, "bfloat16": 2**-7 + 1e-5}  # the interpreter cuts bfloat16 off

CASES = [  # batch, channels, size, kernel, stride, zeros, dtype
    (1, 40, (9, 18), (3, 3), (1, 1), (2, 2), "float32"),
    (3, 33, (6, 7), (5, 5), (1, 1), (4, 4), "float32"),
    (1, 64, (8, 20), (3, 3), (2, 2), (1, 1), "float32"),
    (2, 40, (9, 7), (5, 5), (2, 2), (4, 4), "float32"),
    (1, 40, (10, 34), (5, 5), (2, 2), (3, 3), "float32"),
    (1, 24, (7, 6), (3, 5), (1, 2), (2, 3), "float32"),
    (1, 24, (6, 7), (5, 3), (2, 1), (3, 0), "float32"),
    (1, 8, (1, 1), (5, 5), (1, 1), (4, 4), "float32"),
    (1, 8, (4, 6), (7, 7), (1, 1), (6, 6), "float32"),
    (1, 8, (5, 4), (2, 2), (1, 1), (1, 1), "float32"),
    (3, 40, (6, 5), (3, 3), (1, 1), (2, 2), "float16"),
    (1, 64, (6, 10), (5, 5), (2, 2), (3, 3), "float16"),
    (3, 40, (6, 5), (3, 3), (1, 1), (2, 2), "bfloat16"),
    (1, 64, (6, 10), (5, 5), (2, 2), (3, 3), "bfloat16"),
]

NORMALIZED = [  # batch, channels, size, dtype
    (2, 64, (9, 16), "float32"), (1, 40, (33, 8), "float32"), (3, 24, (7, 5), "float16"), (1, 64, (5, 7), "bfloat16"),
    (1, 96, (1, 1), "float32"), (2, 33, (8, 8), "float32"), (1, 3, (6, 6), "bfloat16"),
]  # fmt: skip

LAYERS = [  # channels, kernel, stride, columns of the output: b0's, and the widest kernel
    (32, 3, 1, 112), (96, 3, 2, 56), (144, 3, 1, 56), (144, 5, 2, 28), (240, 5, 1, 28), (240, 3, 2, 14), (480, 3, 1, 14),
    (480, 5, 1, 14), (672, 5, 1, 14), (672, 5, 2, 7), (1152, 5, 1, 7), (1152, 3, 1, 7), (64, 7, 1, 32), (64, 7, 2, 32),
]  # fmt: skip


def drawn(batch, channels, size, dtype, device):
    """An input that NaN surrounds in memory, and what normalizes it."""
    count, generator = batch * channels * size[0] * size[1], torch.manual_seed(0)
    memory = torch.full((count + 2048,), torch.nan, dtype=dtype, device=device)
    x = memory[1024:-1024].view(batch, *size, channels).permute(0, 3, 1, 2)
    x.copy_(torch.randn(x.shape, generator=generator))
    draw = torch.randn(channels), torch.randn(channels), torch.randn(channels), torch.rand(channels) + 0.1
    return x, [y.to(device, dtype) for y in draw]


def apart(y, x, normalization, activation):
    """How far y is from the layers' output of x, in float64, of the largest."""
    weight, bias, mean, var = (z.double() for z in normalization)
    expected = F.batch_norm(x, mean, var, weight, bias, eps=0.1)
    expected = expected if activation is None else activation(expected)
    assert y.shape == expected.shape and y.is_contiguous(memory_format=torch.channels_last)
    return float((y - expected).abs().max() / expected.abs().max())


def error_of_depthwise(activation, batch, channels, size, kernel, stride, zeros, dtype, device):
    dtype = getattr(torch, dtype)
    x, normalization = drawn(batch, channels, size, dtype, device)
    w = torch.randn(channels, 1, *kernel).to(device, dtype)
    y = fused.depthwise(x, w, *normalization, 0.1, activation, stride, zeros)
    assert y.dtype == dtype
    padded = F.pad(x.double(), [half for n in reversed(zeros) for half in (n // 2, n - n // 2)])
    return apart(y, F.conv2d(padded, w.double(), None, stride, groups=channels), normalization, activation)


def error_of_normalized(activation, batch, channels, size, dtype, device):
    dtype = getattr(torch, dtype)
    x, normalization = drawn(batch, channels, size, dtype, device)
    y = fused.normalized(x, *normalization, 0.1, activation)
    assert y.dtype == dtype
    return apart(y, x.double(), normalization, activation)


def error_far_from_zero(device):
    """Of numbers whose mean is a thousand times as large as how they vary, normalized."""
    x, (weight, bias, mean, var) = drawn(2, 32, (8, 8), torch.float32, device)
    x, mean, var = x.mul_(0.1).add_(100), mean.fill_(100), var.fill_(0.01)
    y = fused.normalized(x, weight, bias, mean, var, 0.0, None)
    expected = F.batch_norm(x.double(), *(z.double() for z in (mean, var, weight, bias)), eps=0.0)
    return float((y - expected).abs().max() / expected.abs().max())


def largest_errors(device):
    """Those of all cases, with each activation in turn, and that far from zero."""
    activations = [*fused.ACTIVATIONS]
    of_depthwise = [error_of_depthwise(activations[i % 4], *case, device) for i, case in enumerate(CASES)]
    of_normalized = [error_of_normalized(activations[(i + 1) % 4], *case, device) for i, case in enumerate(NORMALIZED)]
    return [*of_depthwise, *of_normalized, error_far_from_zero(device)]


@pytest.fixture(scope="module", params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def errors(request):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    if request.param == "cpu":
        environment |= {"TRITON_INTERPRET": "1", "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, __file__, request.param]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("number", range(len(CASES + NORMALIZED)), ids=lambda i: "-".join(map(str, (CASES + NORMALIZED)[i])))
def test_the_kernels_compute_what_the_layers_do(errors, number):
    assert errors[number] < TOLERANCES[(CASES + NORMALIZED)[number][-1]]


def test_a_large_mean_takes_no_digits_away(errors):
    assert errors[-1] < 1e-6


def compiled(monkeypatch, folder, capability, dtype, function, settings):
    """What Triton makes of a kernel for a GPU of that capability."""
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    monkeypatch.setenv("TRITON_CACHE_DIR", str(folder))
    settings = {**settings, "ACTIVATION": "silu"}
    constants = {p.name: settings.pop(p.name) for p in function.params if p.is_constexpr}
    kinds = {p.name: "i32" if p.do_not_specialize else "*" + dtype for p in function.params}
    kinds |= {"eps": "fp32", **dict.fromkeys(constants, "constexpr")}
    aligned = {(i,): [["tt.divisibility", 16]] for i, kind in enumerate(kinds.values()) if kind.startswith("*")}
    source = ASTSource(function, kinds, constants, aligned)
    return triton.compile(source, target=GPUTarget("cuda", capability, 32), options=settings)


def used(found, folder):
    """The registers, and bytes of a thread's own memory, of what was compiled."""
    (folder / "cubin").write_bytes(found.asm["cubin"])
    tool = triton.knobs.nvidia.cuobjdump.path
    usage = subprocess.run([tool, "-res-usage", folder / "cubin"], capture_output=True, text=True, check=True).stdout
    return {key: int(n) for key, n in re.findall(r"(REG|STACK|LOCAL):(\d+)", usage)}


def widths(found):
    """The kinds of loads and stores in a GPU's memory."""
    return {width[2:] for width in re.findall(r"(?:ld|st)\.global[.\w:]*", found.asm["ptx"])}


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
@pytest.mark.parametrize("capability", [80, 90])
def test_the_compiled_convolution_keeps_all_in_registers_and_loads_widely(monkeypatch, tmp_path, capability, dtype, layer):
    channels, kernel, stride, wide = layer
    settings = fused.compiled_in(channels, kernel, kernel, stride, stride, wide)
    found = compiled(monkeypatch, tmp_path, capability, dtype, triton_kernels.depthwise, settings)
    assert found.metadata.shared == 0 and "bar.sync" not in found.asm["ptx"]
    assert widths(found) == {".global.v2.b32" if wide <= 8 and dtype == "bf16" else ".global.v4.b32"}
    usage = used(found, tmp_path)
    assert usage["STACK"] == usage["LOCAL"] == 0 and 0 < usage["REG"] <= 144  # 14 warps a multiprocessor


@pytest.mark.parametrize("channels", [32, 64, 1152])
@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_the_compiled_normalization_keeps_all_in_registers_and_loads_widely(monkeypatch, tmp_path, dtype, channels):
    settings = fused.tile_in(channels)
    found = compiled(monkeypatch, tmp_path, 90, dtype, triton_kernels.normalized, settings)
    assert found.metadata.shared == 0 and "bar.sync" not in found.asm["ptx"]
    assert widths(found) == {".global.v4.b32"}
    usage = used(found, tmp_path)
    assert usage["STACK"] == usage["LOCAL"] == 0 and 0 < usage["REG"] <= 128


def test_importing_it_imports_no_triton():
    code = "import sys, warmnet; print('triton' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


if __name__ == "__main__":
    print(json.dumps(largest_errors(sys.argv[1])))
