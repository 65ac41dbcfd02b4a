"""The Triton kernel computes what the three layers do, and compiles to what was meant, without a GPU.

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
from torch._subclasses import FakeTensorMode

from warmnet.kernels import triton_depthwise

triton = pytest.importorskip("triton")

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

LAYERS = [  # channels, kernel, stride, columns of the output: b0's, and the widest kernel
    (32, 3, 1, 112), (96, 3, 2, 56), (144, 3, 1, 56), (144, 5, 2, 28), (240, 5, 1, 28), (240, 3, 2, 14), (480, 3, 1, 14),
    (480, 5, 1, 14), (672, 5, 1, 14), (672, 5, 2, 7), (1152, 5, 1, 7), (1152, 3, 1, 7), (64, 7, 1, 32), (64, 7, 2, 32),
]  # fmt: skip


def largest_error(batch, channels, size, kernel, stride, zeros, dtype, device, layout=torch.channels_last):
    """How far the kernel is from the layers in float64, of their largest output. What surrounds x in memory is NaN."""
    dtype, count, generator = getattr(torch, dtype), batch * channels * size[0] * size[1], torch.manual_seed(0)
    memory = torch.full((count + 2048,), torch.nan, dtype=dtype, device=device)
    x = memory[1024:-1024].view(batch, *size, channels).permute(0, 3, 1, 2)
    x.copy_(torch.randn(x.shape, generator=generator))
    draw = [torch.randn(channels, 1, *kernel), torch.randn(channels), torch.randn(channels), torch.randn(channels)]
    held = [y.to(device, dtype) for y in (*draw, torch.rand(channels) + 0.1)]
    y = triton_depthwise.depthwise_silu(x.contiguous(memory_format=layout), *held, 0.1, stride, zeros)
    assert y.dtype == dtype and y.is_contiguous(memory_format=torch.channels_last)

    x, w, weight, bias, mean, var = (z.double() for z in (x, *held))
    x = F.pad(x, [half for n in reversed(zeros) for half in (n // 2, n - n // 2)])
    expected = F.silu(F.batch_norm(F.conv2d(x, w, None, stride, groups=channels), mean, var, weight, bias, eps=0.1))
    assert y.shape == expected.shape
    return float((y - expected).abs().max() / expected.abs().max())


def largest_errors(device):
    """Those of all cases, and that of the first in another layout."""
    found = [largest_error(*case, device) for case in CASES]
    return [*found, largest_error(*CASES[0], device, torch.contiguous_format)]


@pytest.fixture(scope="module", params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def errors(request):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    if request.param == "cpu":
        environment |= {"TRITON_INTERPRET": "1", "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, __file__, request.param]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("number", range(len(CASES)), ids=lambda i: "-".join(map(str, CASES[i])))
def test_the_kernel_computes_what_the_three_layers_do(errors, number):
    assert errors[number] < TOLERANCES[CASES[number][-1]]


def test_maps_in_another_layout_are_copied_to_channels_last(errors):
    assert errors[-1] == errors[0]


def compiled(monkeypatch, folder, capability, dtype, channels, kernel, stride, wide):
    """What Triton makes of the kernel for a GPU of that capability."""
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    monkeypatch.setenv("TRITON_CACHE_DIR", str(folder))
    function = triton_depthwise.triton_kernel()
    settings = triton_depthwise.compiled_in(channels, (kernel, kernel), (stride, stride), wide)
    constants = {p.name: settings.pop(p.name) for p in function.params if p.is_constexpr}
    kinds = {p.name: "i32" if p.do_not_specialize else "*" + dtype for p in function.params}
    kinds |= {"eps": "fp32", **dict.fromkeys(constants, "constexpr")}
    aligned = {(i,): [["tt.divisibility", 16]] for i, kind in enumerate(kinds.values()) if kind.startswith("*")}
    source = ASTSource(function, kinds, constants, aligned)
    return triton.compile(source, target=GPUTarget("cuda", capability, 32), options=settings)


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
@pytest.mark.parametrize("capability", [80, 90])
def test_the_compiled_kernel_keeps_all_in_registers_and_loads_widely(monkeypatch, tmp_path, capability, dtype, layer):
    found = compiled(monkeypatch, tmp_path, capability, dtype, *layer)
    assert found.metadata.shared == 0 and "bar.sync" not in found.asm["ptx"]
    narrow = layer[-1] <= 8 and dtype == "bf16"
    widths = set(re.findall(r"(?:ld|st)\.global[.\w:]*", found.asm["ptx"]))
    assert {width[2:] for width in widths} == {".global.v2.b32" if narrow else ".global.v4.b32"}

    (tmp_path / "cubin").write_bytes(found.asm["cubin"])
    tool = triton.knobs.nvidia.cuobjdump.path
    usage = subprocess.run([tool, "-res-usage", tmp_path / "cubin"], capture_output=True, text=True, check=True).stdout
    used = {key: int(n) for key, n in re.findall(r"(REG|STACK|LOCAL):(\d+)", usage)}
    assert used["STACK"] == used["LOCAL"] == 0 and 0 < used["REG"] <= 144  # 14 warps a multiprocessor


FITTING = {
    "size": (2, 8, 6, 5),
    "device": "cuda",
    "dtype": torch.float16,
    "format": torch.channels_last,
    "kernel": (8, 1, 3, 5),
}


@pytest.mark.parametrize(
    "change, expected",
    [
        ({}, True), ({"dtype": torch.float32}, True), ({"dtype": torch.bfloat16}, True), ({"kernel": (8, 1, 7, 7)}, True),
        ({"device": "cpu"}, False), ({"dtype": torch.float64}, False), ({"format": torch.contiguous_format}, False),
        ({"size": (0, 8, 6, 5)}, False), ({"kernel": (8, 8, 3, 3)}, False), ({"kernel": (16, 1, 3, 3)}, False),
        ({"kernel": (8, 1, 3, 9)}, False), ({"dilation": (1, 2)}, False), ({"kernel": (8, 1, 3)}, False),
    ],
)  # fmt: skip
def test_only_what_the_kernel_is_made_for_is_asked_of_it(change, expected):
    case = {**FITTING, "dilation": (1, 1), **change}
    with FakeTensorMode():
        x = torch.empty(case["size"], device=case["device"], dtype=case["dtype"], memory_format=case["format"])
        assert triton_depthwise.fits(x, torch.empty(case["kernel"]), case["dilation"]) is expected


def test_importing_it_imports_no_triton():
    code = "import sys, warmnet.kernels.triton_depthwise; print('triton' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


if __name__ == "__main__":
    print(json.dumps(largest_errors(sys.argv[1])))
