"""Precision, accumulation, activation checkpointing and compilation change how a run is computed, and hardly what comes out."""

from dataclasses import replace
from functools import partial

import alive
import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks

import warmnet
from warmnet import training, weights
from warmnet.errors import InputError
from warmnet.training import Execution
from warmnet.training.activation_checkpointing import checkpoint_blocks
from warmnet.training.recipe import DIGITS
from warmnet.training.steps import Training

ALL = training.digits()
TWO = replace(ALL, train=[s for s in ALL.train if s.label < 2], held_out=[s for s in ALL.held_out if s.label < 2])
FEW = replace(TWO, train=TWO.train[::6], held_out=TWO.held_out[::6], classes=("0", "1"))
DATA = replace(TWO, classes=("0", "1"))
TINY = warmnet.Variant(width=0.25, depth=0.1, resolution=32, dropout=0.2)
SMALL = replace(DIGITS, epochs=5, batch_size=24)
pytestmark = pytest.mark.usefixtures("undrawn")
SHORT = replace(SMALL, epochs=2, batch_size=16)
THREE_BLOCKS = {"stages": [[16, 1, 3, 1, 1], [24, 6, 3, 2, 1], [40, 6, 5, 2, 1]], "momentum": 0.1}
ONE_BLOCK = {"stages": [[8, 1, 3, 1, 1]], "stem": 8, "head": 16, "momentum": 0.1, "se_ratio": 0.0}


@pytest.mark.parametrize(
    "execution",
    [
        Execution(),
        Execution(precision="bf16"),
        Execution(accumulate=3),
        Execution(activation_checkpointing=True),
        Execution(precision="bf16", accumulate=2, activation_checkpointing=True),
    ],
    ids=["plain", "bf16", "accumulate", "checkpointing", "all of them"],
)
def test_it_learns(tmp_path, execution):
    run = training.fit(DATA, replace(SMALL, epochs=3, network=THREE_BLOCKS), tmp_path, variant=TINY, execution=execution)
    assert run.history[-1].train_loss < 0.75 * run.history[0].train_loss
    assert run.history[-1].held_out_accuracy > 0.9, "half of them by chance"


@pytest.mark.parametrize("backend", ["aot_eager", pytest.param("inductor", marks=pytest.mark.slow)])
def test_it_learns_compiled(tmp_path, monkeypatch, backend):
    """In the default run without what takes a C++ compiler half a minute."""
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=backend))
    torch._dynamo.reset()
    before = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    recipe = replace(SMALL, network=ONE_BLOCK)
    runs = [training.fit(FEW, recipe, tmp_path / str(c), variant="b0", execution=Execution(compile=c)) for c in (False, True)]
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] > before
    plain, compiled = ([epoch.train_loss for epoch in run.history] for run in runs)
    assert compiled == pytest.approx(plain, rel=0.05) and compiled[-1] < compiled[0]


def test_bf16_computes_in_bfloat16_and_keeps_weights_in_float32(tmp_path, monkeypatch):
    computed, losses = set(), Training._losses

    def watched(self, images, labels):
        hook = self.model.stem.conv.register_forward_hook(lambda *parts: computed.add(parts[-1].dtype))
        found = losses(self, images, labels)
        hook.remove()
        assert found.dtype == torch.float32
        return found

    monkeypatch.setattr(Training, "_losses", watched)
    run, plain = (
        training.fit(FEW, SHORT, tmp_path / precision, variant=TINY, execution=Execution(precision=precision))
        for precision in ("bf16", "fp32")
    )
    assert computed == {torch.bfloat16, torch.float32}
    state = warmnet.WarmEfficientNet.from_pretrained(run.folder).state_dict()
    assert {value.dtype for value in state.values()} == {torch.float32, torch.int64}
    assert run.history[0].train_loss == pytest.approx(plain.history[0].train_loss, rel=0.02)


def test_images_and_weights_are_channels_last_all_the_way(tmp_path, monkeypatch):
    seen, losses = {}, Training._losses

    def watched(self, images, labels):
        def note(name):
            return lambda module, args, out: seen.update({name: [args[0], module.weight, out]})

        convs = {name: m for name, m in self.model.named_modules() if name.endswith("conv") and m.weight.shape[1] > 1}
        hooks = [module.register_forward_hook(note(name)) for name, module in convs.items()]
        found = losses(self, images, labels)
        for hook in hooks:
            hook.remove()
        return found

    monkeypatch.setattr(Training, "_losses", watched)
    training.fit(FEW, replace(SHORT, epochs=1, resolution=64), tmp_path, variant=TINY)
    assert len(seen) == 15
    for name, tensors in seen.items():
        assert all(tensor.is_contiguous(memory_format=torch.channels_last) for tensor in tensors), name


def test_checkpointing_changes_no_bit(tmp_path):
    """The statistics of batch normalization, drop connect's random numbers and the average are among what is the same."""
    recipe = replace(SHORT, ema="paper", network={"momentum": 0.1, "drop_connect": 0.5})
    deep = TINY._replace(depth=0.6)
    for checkpointing in False, True:
        training.fit(
            FEW,
            recipe,
            tmp_path / str(checkpointing),
            variant=deep,
            execution=Execution(activation_checkpointing=checkpointing),
        )
    assert (tmp_path / "True" / weights.FILE).read_bytes() == (tmp_path / "False" / weights.FILE).read_bytes()


def kept_bytes(model):
    """What a training step holds for its way back, beside the weights."""
    kept, own = {}, {tensor.untyped_storage().data_ptr() for tensor in model.state_dict().values()}

    def pack(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    x = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with saved_tensors_hooks(pack, lambda tensor: tensor):
        out = model(x)
    del out
    return sum(size for pointer, size in kept.items() if pointer not in own)


def test_checkpointing_holds_a_fraction_of_the_activations():
    plain, checkpointed = (warmnet.WarmEfficientNet("b0", seed=0) for _ in range(2))
    checkpoint_blocks(checkpointed)
    assert kept_bytes(checkpointed) < 0.25 * kept_bytes(plain)
    assert kept_bytes(plain) > 2 * 2**20


@pytest.mark.parametrize("accumulate", [2, 3])
def test_parts_give_the_gradient_of_the_whole(tmp_path, monkeypatch, accumulate):
    """With nothing random in the network and its statistics frozen: otherwise a part is normalized by itself."""
    gradients, step = [], torch.optim.SGD.step
    monkeypatch.setattr(torch.optim.SGD, "step", lambda self, *args: (gradients.append(noted(self)), step(self, *args))[1])
    still = {"momentum": 0.1, "dropout": 0.0, "drop_connect": 0.0}
    recipe = replace(
        SHORT, epochs=1, optimizer="sgd", frozen_norm=True, network=still, class_weights=True, zero_classifier=False
    )
    alive_one = alive.fill(warmnet.WarmEfficientNet(TINY, 10))
    for parts in 1, accumulate:
        training.fit(FEW, recipe, tmp_path / str(parts), source=alive_one, execution=Execution(accumulate=parts))
    half = len(gradients) // 2
    assert half == 3
    for whole, parts in zip(gradients[:half], gradients[half:]):
        assert whole.norm() > 1e-3
        assert (whole - parts).norm() < 1e-5 * whole.norm(), "float32 added up in another order"


def noted(optimizer):
    return torch.cat([p.grad.flatten() for group in optimizer.param_groups for p in group["params"]]).double()


def test_what_cannot_be_is_refused_before_anything_is_written(tmp_path):
    for execution, message in [
        (Execution("tpu"), "device 'tpu' is not there.* Choose one of auto, cpu"),
        (Execution(precision="fp16"), "precision is 'fp16'. Choose fp32 or bf16."),
        (
            Execution(accumulate=9),
            "16 images in a step are too few for 1 processes with 9 parts each.*Choose a larger batch size",
        ),
        (Execution(accumulate=0), "accumulate is 0; 1 is the least."),
    ]:
        with pytest.raises(InputError, match=message):
            training.fit(FEW, SHORT, tmp_path / "run", variant=TINY, execution=execution)
    assert not (tmp_path / "run").exists()
