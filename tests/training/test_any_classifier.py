"""Any `Classifier` is trained and evaluated, not only an EfficientNet."""

from dataclasses import replace

import pytest
from torch.utils.data import DataLoader

import warmnet
import warmnet.functional as W
from warmnet import training
from warmnet.data import Batches, Images
from warmnet.training.optimizer import build_optimizer, part_depths
from warmnet.training.steps import Training

ALL = training.digits()
FEW = replace(ALL, train=ALL.train[::5], held_out=ALL.held_out[::5])


class Plain(warmnet.Classifier):
    """Two convolutions; it has no stages of blocks, and its normalization is not called bn."""

    def __init__(self, variant="narrow", num_classes=10, in_channels=3, *, width=16, device=None, seed=None):
        super().__init__(variant, num_classes, in_channels, resolution=32, reduction=4, width=width)
        self.warm_up(device, seed)

    def forward(self, x):
        width = self.options.get("width", 16)
        x = W.conv(x, width, 3, stride=2, padding="same", name="first").relu()
        x = W.batch_norm(x, name="norm")
        x = W.conv(x, 2 * width, 3, stride=2, padding="same", name="second").relu()
        return W.linear(x.mean((2, 3)), self.num_classes, name="classifier")


@pytest.mark.parametrize("change", [{}, {"unfreeze": 2, "layer_decay": 0.5}, {"frozen_norm": True}, {"ema": "paper"}], ids=str)
def test_it_is_trained_and_evaluated(change):
    recipe = replace(training.DIGITS, epochs=3, network={}, **change).sized(len(FEW.train), 32)
    model, execution = Plain(seed=0), training.Execution("cpu")
    model.classes, model.preprocessing = FEW.classes, recipe.preprocessing
    batches = Batches(len(FEW.train), recipe.batch_size, seed=0)
    images = DataLoader(Images(FEW.train, recipe.preprocessing, recipe.augmentation), batch_sampler=batches)
    held_out = DataLoader(Images(FEW.held_out, recipe.preprocessing), 64)
    run = Training(execution.fabric(), model, recipe, batches, 0, execution)
    while run.step < run.steps:
        batches.step = run.step
        run.start_epoch()
        for batch in images:
            run.take_step([batch])
        run.finish_epoch(held_out)
    assert run.history[-1].train_loss < run.history[0].train_loss
    with run.weights_to_save():
        assert training.evaluate(model, FEW.held_out).confusion.equal(run.confusion)


def test_its_parts_are_numbered_in_their_order_and_its_normalization_does_not_decay():
    model = Plain(seed=0)
    assert part_depths(model) == {"first": 0, "norm": 1, "second": 2, "classifier": 3}
    recipe = replace(training.RECIPES["paper"], layer_decay=0.5).sized(100)
    groups = build_optimizer(model, recipe).param_groups
    decayed = {id(p) for group in groups if group["weight_decay"] for p in group["params"]}
    names = {name for name, parameter in model.named_parameters() if id(parameter) in decayed}
    assert {name.partition(".")[0] for name in names} == {"first", "second", "classifier"}
    assert {group["share"] for group in groups} == {1.0, 0.5, 0.25, 0.125}
