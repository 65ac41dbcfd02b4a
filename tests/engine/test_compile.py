"""A built network compiles, exports and traces like any other module, exactly and without needless graphs."""

import pytest
import torch
from small_networks import Small, images
from torch import nn
from torch._dynamo.testing import CompileCounter

import warmnet


@pytest.fixture(scope="module")
def b0():
    return alive(warmnet.WarmEfficientNet("b0", 10, seed=0))


def alive(model):
    """The model in eval mode, with statistics of its own activations, so that its output is not just the bias."""
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.momentum = None  # a plain average
    with torch.no_grad():
        model.train()(images(8, 64, 64))
    return model.eval()


def close(a, b):
    """Equal up to the order of float32 additions, which compilers may change; and not silent."""
    assert b.std() > 0.05
    assert (a - b).abs().max() <= 1e-4 * b.abs().max()


of_b0 = pytest.mark.parametrize(
    "stages", [warmnet.STAGES[:3], pytest.param(warmnet.STAGES, marks=pytest.mark.slow)], ids=["three stages", "all of b0"]
)


@of_b0
@pytest.mark.parametrize("training", [False, True])
def test_one_graph_serves_a_shape_and_one_more_any_batch(training, stages):
    torch._dynamo.reset()
    counter = CompileCounter()
    model, its = (warmnet.WarmEfficientNet("b0", 10, seed=0, stages=stages) for _ in range(2))
    model.train(training).load_state_dict(alive(its).state_dict())
    compiled = torch.compile(model, fullgraph=True, backend=counter)
    with torch.set_grad_enabled(training):
        for _ in range(3):
            compiled(images(2, 64, 64))
        assert counter.frame_count == 1
        for batch in (3, 4, 5, 3, 2):
            compiled(images(batch, 64, 64))
        assert counter.frame_count == 2
        if not training:
            close(compiled(images(5, 64, 64)), model(images(5, 64, 64)))


def test_compiled_training_steps_equal_eager_ones():
    """Without random parts, so that both draw nothing."""
    states = []
    for compile in (False, True):
        torch._dynamo.reset()
        model = Small(seed=0, drop=0.0).double()
        run = torch.compile(model, fullgraph=True, backend="aot_eager") if compile else model
        optimizer = torch.optim.SGD(model.parameters(), 0.1)
        for step in range(2):
            optimizer.zero_grad()
            nn.functional.cross_entropy(run(images(4, 48, 48, step).double()), torch.arange(4)).backward()
            optimizer.step()
        states.append(model.state_dict())
    assert not torch.equal(states[0]["stem.conv.weight"], Small(seed=0).double().stem.conv.weight)
    for name, value in states[0].items():
        torch.testing.assert_close(states[1][name], value, rtol=1e-8, atol=1e-10, msg=name)


def test_a_block_compiles_alone(b0):
    torch._dynamo.reset()
    counter = CompileCounter()
    model = alive(warmnet.WarmEfficientNet("b0", 10, seed=0))
    with torch.no_grad():
        y = model(images(2, 64, 64))
        model.stage_2.compile(fullgraph=True, backend=counter)
        for _ in range(3):
            close(model(images(2, 64, 64)), y)
    assert counter.frame_count == 1


@of_b0
@pytest.mark.parametrize("padding", ["same", "symmetric"])
def test_one_exported_program_serves_every_batch_height_and_width(padding, stages):
    model = alive(warmnet.WarmEfficientNet("b0", 10, seed=0, stages=stages, padding=padding))
    auto = torch.export.Dim.AUTO
    program = torch.export.export(model, (images(2, 64, 96),), dynamic_shapes=({0: auto, 2: auto, 3: auto},))
    for shape in ((1, 64, 64), (3, 65, 97), (2, 127, 64), (5, 33, 50)):
        close(program.module()(images(*shape)), model(images(*shape)))


def test_a_jit_trace_serves_its_size_and_any_batch(b0):
    with torch.no_grad():
        traced = torch.jit.trace(b0, images(2, 65, 48), check_trace=False)
        close(traced(images(2, 65, 48, seed=1)), b0(images(2, 65, 48, seed=1)))
        close(traced(images(5, 65, 48)), b0(images(5, 65, 48)))


def test_an_onnx_file_serves_every_batch_and_size(tmp_path):
    import onnxruntime

    model, path, auto = alive(Small(seed=0)), tmp_path / "small.onnx", torch.export.Dim.AUTO
    shapes = ({0: auto, 2: auto, 3: auto},)
    torch.onnx.export(model, (images(2, 64, 96),), dynamo=True, verbose=False, dynamic_shapes=shapes).save(path)
    session = onnxruntime.InferenceSession(path)
    for shape in ((1, 64, 64), (3, 65, 97)):
        (y,) = session.run(None, {session.get_inputs()[0].name: images(*shape).numpy()})
        close(torch.from_numpy(y), model(images(*shape)))
