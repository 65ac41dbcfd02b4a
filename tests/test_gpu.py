"""A network on a GPU is the one on the CPU: the same start, the same numbers up to rounding, and as quiet and as quick to use.

Numbers are double where rounding must not hide anything. Without a CUDA device these are skipped; see conftest.py.
"""

import copy
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from alive import error, fill
from small_networks import Small, images

import warmnet
import warmnet.functional as W
from warmnet import WarmModule
from warmnet.kernels import rules
from warmnet.networks.families import NAMES

pytestmark = pytest.mark.gpu

GPU = torch.device("cuda", 0)
VARIANT = warmnet.Variant(0.5, 0.5, 64, 0.0)


@pytest.fixture(autouse=True)
def exact():
    """Float32 is computed in float32, and every test draws the same numbers."""
    backends = torch.backends.cudnn, torch.backends.cuda.matmul
    before = [backend.allow_tf32 for backend in backends]
    for backend in backends:
        backend.allow_tf32 = False
    torch._dynamo.reset()
    torch.manual_seed(0)
    yield
    for backend, allowed in zip(backends, before):
        backend.allow_tf32 = allowed


def pair(dtype=torch.double, **options):
    """The same network twice, alive and with nothing random: on the CPU in double, and on the GPU."""
    model = fill(warmnet.WarmEfficientNet(VARIANT, 10, **{"drop_connect": 0.0, **options}))
    return copy.deepcopy(model).double(), model.to(GPU, dtype)


def step(model, x):
    """The logits and all gradients of a training step, and the statistics after it."""
    model.zero_grad()
    y = model.train()(x)
    F.cross_entropy(y, torch.arange(len(y), device=y.device)).backward()
    gradient = torch.cat([p.grad.flatten() for p in model.parameters()])
    return y.detach(), gradient, torch.cat([b.flatten() for n, b in model.named_buffers() if "running" in n])


def assert_equal(found, expected, tolerance):
    """Equal up to `tolerance` of the largest number, and not silent."""
    found, expected = found.detach().double().cpu(), expected.detach().double().cpu()
    assert found.shape == expected.shape and expected.std() > 1e-3 * expected.abs().max() > 0
    assert error(found, expected) <= tolerance


# A build.


def test_a_build_starts_from_the_same_values_as_on_the_cpu():
    there, here = (warmnet.WarmEfficientNet(VARIANT, 10, seed=7, device=device) for device in (GPU, "cpu"))
    assert {tensor.device for tensor in there.state_dict().values()} == {GPU}
    for name, value in here.state_dict().items():
        assert torch.equal(there.state_dict()[name].cpu(), value), name


@pytest.mark.parametrize("how", ["argument", "context", "default"])
def test_a_build_on_the_gpu_leaves_the_generators_untouched(how):
    torch.manual_seed(3)
    states = torch.get_rng_state(), torch.cuda.get_rng_state()
    seed = torch.initial_seed(), torch.cuda.initial_seed()
    if how == "default":
        torch.set_default_device(GPU)
    try:
        if how == "context":
            with GPU:
                model = Small(seed=7)
        else:
            model = Small(seed=7, device=GPU if how == "argument" else None)
    finally:
        torch.set_default_device(None)
    assert model.stem.conv.weight.device == GPU
    assert torch.equal(torch.get_rng_state(), states[0]) and torch.equal(torch.cuda.get_rng_state(), states[1])
    assert (torch.initial_seed(), torch.cuda.initial_seed()) == seed


def test_a_build_without_a_seed_follows_torchs():
    models = []
    for _ in range(2):
        torch.manual_seed(5)
        models.append(Small(device=GPU).stem.conv.weight)
    torch.manual_seed(6)
    models.append(Small(device=GPU).stem.conv.weight)
    assert torch.equal(models[0], models[1]) and not torch.equal(models[0], models[2])


# A call.


@pytest.mark.parametrize("size", [(64, 64), (75, 106)], ids=["even", "odd"])
@pytest.mark.parametrize("padding", ["same", "symmetric"])
@pytest.mark.parametrize("format", [torch.contiguous_format, torch.channels_last], ids=["NCHW", "channels_last"])
def test_logits_are_those_of_the_cpu(format, padding, size):
    here, there = (model.eval() for model in pair(padding=padding))
    there, x = there.to(memory_format=format), images(2, *size).double()
    for context in torch.enable_grad, torch.no_grad, torch.inference_mode:
        with context():
            assert_equal(there(x.to(GPU, memory_format=format)), here(x), 1e-12)


@pytest.mark.parametrize("format", [torch.contiguous_format, torch.channels_last], ids=["NCHW", "channels_last"])
def test_a_training_steps_logits_gradients_and_statistics_are_those_of_the_cpu(format):
    here, there = pair()
    x = images(4, 96, 96).double()
    found = step(there.to(memory_format=format), x.to(GPU, memory_format=format))
    for ours, theirs in zip(found, step(here, x)):
        assert_equal(ours, theirs, 1e-10)


def test_float32_is_that_of_the_cpu_up_to_rounding():
    here, there = pair(torch.float32)
    x = images(4, 96, 96)
    for ours, theirs in zip(step(there, x.to(GPU)), step(here, x.double())):
        assert_equal(ours, theirs, 1e-4)


@pytest.mark.parametrize("dtype, tolerance", [(torch.bfloat16, 0.1), (torch.float16, 0.02)], ids=["bf16", "fp16"])
@pytest.mark.parametrize("how", ["autocast", "converted"])
def test_half_precision_is_float32_coarsely(how, dtype, tolerance):
    here, there = (model.eval() for model in pair(torch.float32))
    x = images(2, 64, 64).to(GPU)
    with torch.no_grad(), torch.autocast("cuda", dtype, enabled=how == "autocast"):
        y = there(x) if how == "autocast" else there.to(dtype)(x.to(dtype))
    assert y.dtype == dtype
    assert_equal(y, here(x.double().cpu()), tolerance)


def test_a_step_in_amp_with_a_scaler_goes_where_one_in_float32_does():
    here, there = pair(torch.float32)
    x = images(4, 96, 96).to(GPU)
    before = torch.cat([p.detach().flatten() for p in there.parameters()])
    optimizer, scaler = torch.optim.SGD(there.parameters(), 0.1), torch.amp.GradScaler("cuda", init_scale=2.0**7)
    with torch.autocast("cuda", torch.float16):
        loss = F.cross_entropy(there.train()(x), torch.arange(4, device=GPU))
    scaler.scale(loss).backward()
    scaler.step(optimizer)
    scaler.update()
    assert scaler.get_scale() == 2.0**7, "no gradient was infinite"
    after = torch.cat([p.detach().flatten() for p in there.parameters()])
    assert_equal((before - after) / 0.1, step(here, x.double().cpu())[1], 0.1)


def test_channels_last_stays_channels_last_through_the_network():
    _, there = pair(torch.float32)
    there, layouts = there.eval().to(memory_format=torch.channels_last), {}
    for name, module in there.named_modules():
        if isinstance(module, torch.nn.Conv2d) and "squeeze_excitation" not in name:
            module.register_forward_hook(
                lambda module, args, y, name=name: layouts.update({name: y.is_contiguous(memory_format=torch.channels_last)})
            )
    with torch.no_grad():
        there(images(2, 128, 96).to(GPU, memory_format=torch.channels_last))
    assert len(layouts) > 20 and all(layouts.values()), layouts


@pytest.mark.parametrize("training", [False, True])
def test_nothing_waits_for_the_gpu(training):
    _, there = pair(torch.float32, drop_connect=0.2, dropout=0.2)
    there, x = there.train(training), images(4, 64, 64).to(GPU)

    def use():
        with torch.autocast("cuda", torch.bfloat16):
            y = there(x)
        y.float().sum().backward()
        with torch.no_grad():
            there(x)

    use()  # whatever is done once
    torch.cuda.set_sync_debug_mode("error")
    try:
        use()
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_images_on_another_device_than_the_network_are_an_error():
    _, there = pair(torch.float32)
    with pytest.raises(RuntimeError):
        there.eval()(images(2, 64, 64))


# The kernels of `warmnet.kernels.fused`, in inference.


def seen(call):
    """What a call gives, the names of the kernels that it ran on the GPU, and the sides of its convolutions' kernels."""
    with torch.profiler.profile(record_shapes=True) as profile:
        y = call()
        torch.cuda.synchronize()
    names = {event.name for event in profile.events() if event.device_type == torch.autograd.DeviceType.CUDA}
    sides = {event.input_shapes[1][-1] for event in profile.events() if event.name == "aten::convolution"}
    return y, names, sides


FUSED = {"depthwise", "normalized"}


@pytest.fixture
def however_few(monkeypatch):
    """Small maps are given to the kernels, too."""
    monkeypatch.setattr(rules, "MANY", 1)


@pytest.mark.parametrize("how", ["float32", "bfloat16", "float16", "autocast"])
@pytest.mark.usefixtures("however_few")
def test_inference_in_channels_last_runs_the_fused_kernels_which_round_at_most_twice_as_much(how):
    dtype = torch.float32 if how == "autocast" else getattr(torch, how)
    here, there = pair(dtype)
    there, x = there.eval().to(memory_format=torch.channels_last), images(2, 192, 192)
    put = x.to(GPU, dtype, memory_format=torch.channels_last)
    with torch.autocast("cuda", torch.bfloat16, enabled=how == "autocast"):
        with torch.no_grad():
            y, names, sides = seen(lambda: there(put))
        theirs, others, _ = seen(lambda: there(put))  # while gradients are wanted, torch's layers run
    assert names >= FUSED and not FUSED & others and sides <= {1, 3}, "the stem has 3 rows, and no other convolution is left"
    expected = here.eval()(x.double())
    assert y.dtype == theirs.dtype
    assert_equal(y, expected, max(2 * error(theirs.detach().double().cpu(), expected), 1e-5))


@pytest.mark.parametrize("variant", ["lite0", "mobilenetv2-1.0", "v2-s", "resnet50"])
@pytest.mark.usefixtures("however_few")
def test_inference_of_every_family_is_that_of_the_cpu(variant):
    here = fill(NAMES[variant](variant, 10)).eval()
    there = copy.deepcopy(here).to(GPU, memory_format=torch.channels_last)
    x = images(2, 96, 75)
    with torch.no_grad():
        y, names, _ = seen(lambda: there(x.to(GPU, memory_format=torch.channels_last)))
        assert_equal(y, here.double()(x.double()), 1e-5)
    assert {"depthwise": variant != "resnet50", "normalized": True} == {name: name in names for name in FUSED}


class Depthwise(WarmModule):
    """(B, C, H, W) -> (B, size, *): such a layer."""

    def __init__(self, settings):
        super().__init__()
        self.settings = settings

    def forward(self, x):
        return W.conv_batch_norm(x, **self.settings)


@pytest.mark.parametrize(
    "settings, fuses",
    [
        ({"padding": 1}, True), ({"padding": "same", "stride": 2}, True), ({"kernel": (3, 7), "padding": "symmetric"}, True),
        ({"kernel": 2, "stride": 3}, True), ({"padding": (0, 2), "stride": (2, 1)}, True), ({"activation": F.hardswish}, False),
        ({"dilation": 2, "padding": "same"}, False), ({"groups": 4}, False), ({"kernel": 9, "padding": 4}, False),
        ({"size": 16}, False), ({"activation": "relu"}, False), ({"activation": None}, True), ({"activation": F.relu}, True),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("however_few")
def test_a_depthwise_layer_of_the_users_is_fused_where_that_is_the_same(settings, fuses):
    settings = {"size": 8, "kernel": 3, "groups": 8, "activation": F.silu, **settings}
    here = warmnet.up(Depthwise(settings), [2, 8, 12, 17]).eval()
    for tensor in here.state_dict().values():
        if tensor.is_floating_point():
            tensor.uniform_(0.5, 1.5)
    there = copy.deepcopy(here).to(GPU)
    x = torch.randn(3, 8, 12, 17)
    with torch.no_grad():
        y, names, _ = seen(lambda: there(x.to(GPU, memory_format=torch.channels_last)))
        assert_equal(y, here.double()(x.double()), 1e-5)
    assert ("depthwise" in names) == fuses


@pytest.mark.usefixtures("however_few")
@pytest.mark.parametrize("how", ["strided", "autocast", "groups", "padding", "stride", "dilation", "eps", "vmap"])
def test_what_torch_computes_otherwise_or_refuses_is_not_fused(how):
    """Statistics that are not in a row; float32 under autocast; settings that somebody changed; a network for several."""
    model = warmnet.up(Depthwise({"size": 8, "kernel": 3, "groups": 8, "activation": F.silu}), [2, 8, 12, 17]).eval()
    conv, norm = model.conv_1, model.batch_norm_1
    norm.running_mean.uniform_(-1, 1)
    norm.running_var.uniform_(0.5, 1.5)
    x = torch.randn(3, 8, 12, 17)
    with torch.no_grad():
        expected = copy.deepcopy(model).double()(x.double())
        model, x = model.to(GPU), x.to(GPU, memory_format=torch.channels_last)
        refused = {"groups": 2, "padding": (-1, -1), "stride": (-1, -1), "dilation": (1, 0)}
        if how in refused:
            setattr(conv, how, refused[how])
            with pytest.raises(RuntimeError, match=how):
                model(x)
            return
        if how == "strided":
            norm.running_var = torch.stack([norm.running_var, torch.ones_like(norm.running_var)], 1)[:, 0]
        if how == "eps":
            norm.eps = np.float32(norm.eps)
        if how == "vmap":
            tensors = {name: tensor.unsqueeze(0) for name, tensor in model.state_dict().items()}
            y = torch.vmap(lambda one: torch.func.functional_call(model, one, (x,)))(tensors)[0]
        else:
            with torch.autocast("cuda", torch.bfloat16, enabled=how == "autocast"):
                y = model(x)
    assert y.dtype == (torch.bfloat16 if how == "autocast" else torch.float32)
    assert_equal(y, expected, 0.05 if how == "autocast" else 1e-5)


@pytest.mark.parametrize("how", ["NCHW", "double", "gradients", "training"])
@pytest.mark.usefixtures("however_few")
def test_what_the_fused_kernels_are_not_made_for_runs_torchs(how):
    _, there = pair(torch.double if how == "double" else torch.float32)
    there, x = there.train(how == "training"), images(2, 96, 96).to(GPU)
    x = x.double() if how == "double" else x
    x = x if how == "NCHW" else x.contiguous(memory_format=torch.channels_last)
    with torch.set_grad_enabled(how == "gradients"):
        _, names, sides = seen(lambda: there(x))
    assert names and not FUSED & names and sides == {1, 3, 5}, "zeros are not put into kernels, of 4 and 6 rows then"


def test_small_maps_are_left_to_torch_and_large_ones_are_not():
    _, there = pair(torch.float32)
    there = there.eval().to(memory_format=torch.channels_last)
    few, many = (images(2, 128, 128).repeat(n, 1, 1, 1).to(GPU, memory_format=torch.channels_last) for n in (1, 100))
    with torch.no_grad():
        y, of_few, _ = seen(lambda: there(few))
        z, of_many, _ = seen(lambda: there(many))
    assert not FUSED & of_few and of_many >= FUSED
    assert_equal(z[:2], y, 1e-5)


def test_where_triton_cannot_compile_a_warning_says_so_and_torchs_layers_run(tmp_path):
    code = """
import torch, warmnet, warmnet.kernels.rules, warnings
torch.backends.cudnn.allow_tf32 = False
model = warmnet.WarmEfficientNet(warmnet.Variant(0.5, 0.5, 64, 0.0), 10).eval()
x = torch.rand(2, 3, 64, 64, generator=torch.manual_seed(0))
with torch.no_grad(), warnings.catch_warnings(record=True) as seen:
    warnings.simplefilter("always")
    expected = model(x)
    there = model.cuda().to(memory_format=torch.channels_last)
    warmnet.kernels.rules.MANY = 1
    for _ in range(2):
        y = there(x.cuda().to(memory_format=torch.channels_last)).cpu()
said = [str(warning.message) for warning in seen if "Triton compiles no kernels here" in str(warning.message)]
print(len(said), torch.allclose(y, expected, atol=1e-4))
"""
    environment = {**os.environ, "CC": str(tmp_path / "none"), "TRITON_CACHE_DIR": str(tmp_path)}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.stdout == "1 True\n", done.stderr


# Endpoints.


def test_endpoints_are_those_of_the_cpu():
    here, there = (model.eval() for model in pair())
    names, x = ["stem", "stage_2", "stage_5.mb_block_1", "logits"], images(2, 64, 64).double()
    found, expected = warmnet.Endpoints(there, names)(x.to(GPU)), warmnet.Endpoints(here, names)(x)
    assert [*found] == names
    for name in names:
        assert found[name].device == GPU
        assert_equal(found[name], expected[name], 1e-12)


# Randomness.


class Drops(WarmModule):
    """(B, C, H, W) -> (B, C, H, W): drop_connect alone."""

    def __init__(self):
        super().__init__()
        warmnet.up(self, [2, 3, 4, 4], device=GPU)

    def forward(self, x):
        return W.drop_connect(x, 0.5)


def test_drop_connect_draws_on_the_device():
    drops, x = Drops().train(), torch.ones(64, 3, 4, 4, device=GPU)
    state = torch.get_rng_state()
    torch.cuda.manual_seed(1)
    first, second = drops(x), drops(x)
    torch.cuda.manual_seed(1)
    assert torch.equal(drops(x), first) and not torch.equal(first, second)
    assert torch.equal(torch.get_rng_state(), state), "the CPU's generator has no part in it"
    samples = first.flatten(1)
    assert (samples == samples[:, :1]).all() and set(samples[:, 0].tolist()) == {0.0, 2.0}
    assert torch.equal(drops.eval()(x), x)


def test_drop_connect_draws_anew_in_every_replay_of_a_graph():
    drops, x = Drops().train(), torch.ones(64, 3, 4, 4, device=GPU)
    drops(x)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        y = drops(x)
    replays = []
    for _ in range(3):
        graph.replay()
        replays.append(y[:, 0, 0, 0].clone())
    assert all(set(mask.tolist()) == {0.0, 2.0} for mask in replays)
    assert not torch.equal(replays[0], replays[1]) and not torch.equal(replays[1], replays[2])


# CUDA graphs and compilers.


@pytest.mark.parametrize("training", [False, True])
def test_a_graphed_network_computes_what_an_eager_one_does(training):
    """The output and, in training, the gradients, for images that it was not captured with."""
    _, eager = pair(torch.float32)
    eager.train(training)
    sample, other = images(4, 96, 96).to(GPU), images(4, 96, 96, seed=1).to(GPU)
    graphed = torch.cuda.make_graphed_callables(copy.deepcopy(eager), (sample,))
    found, expected = graphed(other), eager(other)
    assert_equal(found, expected, 1e-5)
    if training:
        for y in found, expected:
            F.cross_entropy(y, torch.arange(4, device=GPU)).backward()
        gradients = [torch.cat([p.grad.flatten() for p in model.parameters()]) for model in (graphed, eager)]
        assert_equal(*gradients, 1e-4)


def test_a_forward_captured_as_a_graph_follows_its_images_and_its_weights():
    _, model = pair(torch.float32)
    model.eval()
    x = images(2, 64, 64).to(GPU)
    with torch.no_grad():
        model(x)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            y = model(x)
        x.copy_(images(2, 64, 64, seed=1))
        model.stem.bn.bias.add_(0.5)
        graph.replay()
        assert_equal(y, model(x), 1e-5)


def test_the_function_of_docs_speed_that_captures_a_graph_follows_its_images():
    page = (Path(__file__).parents[1] / "docs/speed.md").read_text()
    namespace = {"torch": torch}
    exec(re.findall(r"```python\n(.*?)```", page, re.DOTALL)[0], namespace)
    _, model = pair(torch.float32)
    model.eval().to(memory_format=torch.channels_last)
    logits = namespace["graphed"](model, images(2, 64, 64).to(GPU))
    for seed in range(3):
        x = images(2, 64, 64, seed=seed).to(GPU)
        with torch.no_grad():
            assert_equal(logits(x), model(x), 1e-5)
    with pytest.raises(ValueError, match="images of another shape"):
        logits(x[:1])


def small():
    """An alive network without anything random that compiles in less time than b0, which gpu.sh measures compiled."""
    return fill(Small(seed=0, drop=0.0, device=GPU))


def test_a_compiled_network_computes_what_an_eager_one_does():
    """Logits, gradients and statistics, each in one graph."""
    eager = small()
    compiled = torch.compile(copy.deepcopy(eager), fullgraph=True)
    x = images(4, 64, 64).to(GPU)
    with torch.no_grad():
        assert_equal(compiled.eval()(x), eager.eval()(x), 1e-4)
    for ours, theirs in zip(step(compiled, x), step(eager, x)):
        assert_equal(ours, theirs, 1e-3)


def test_a_network_compiled_with_cuda_graphs_computes_what_an_eager_one_does():
    eager = small().eval()
    compiled = torch.compile(copy.deepcopy(eager), mode="reduce-overhead", fullgraph=True)
    with torch.no_grad():
        for seed in range(4):  # the first calls are recorded, the others replayed
            x = images(2, 64, 64, seed).to(GPU)
            assert_equal(compiled(x).clone(), eager(x), 1e-4)
