"""What can be told of a run before an image is read is told then, and what cannot leaves no half of a run."""

import os
import signal
from dataclasses import replace

import pytest
import torch
from torch.utils.data import Dataset

import warmnet
import warmnet.functional as W
from warmnet import training
from warmnet.data import WorkerError
from warmnet.data.loading import loader, worker_errors
from warmnet.errors import InputError, MismatchError
from warmnet.training.recipe import DIGITS

pytestmark = pytest.mark.usefixtures("undrawn")
ALL = training.digits()
FEW = replace(ALL, train=ALL.train[::20], held_out=ALL.held_out[::20])
SHORT = replace(DIGITS, epochs=1, batch_size=24)


class Small(warmnet.Classifier):
    outputs = None

    def __init__(self, variant="small", num_classes=10, in_channels=3, *, momentum=0.1, device=None, seed=None):
        super().__init__(variant, num_classes, in_channels, resolution=32, reduction=4, momentum=momentum)
        self.warm_up(device, seed)

    def forward(self, x):
        x = self.pooled(warmnet.conv_bn_act(x, 4, 3, 4, name="stem"))
        return W.linear(x, self.outputs or self.num_classes, name="classifier")

    def pooled(self, x):
        return x.mean((2, 3))


class TwelveOutputs(Small):
    outputs = 12


class ForOneSize(Small):
    def pooled(self, x):
        return x.flatten(1)


class LooksAtNumbers(TwelveOutputs):
    def pooled(self, x):
        return x.mean((2, 3)) if x.sum().item() < 1e9 else x.amax((2, 3))


class KillsItsProcess(Dataset):
    def __len__(self):
        return 4

    def __getitem__(self, index):
        os.kill(os.getpid(), signal.SIGKILL)


class TwoOutputsInTraining(Small):
    def forward(self, x):
        y = super().forward(x)
        return (y, y) if self.training else y


def check(network, recipe=SHORT, execution=None, **options):
    return training.check_run(recipe, execution or training.Execution(), network=network, **options)


def test_a_network_that_can_be_trained_is_given_on_meta():
    model, note = check(Small)
    assert note == "" and all(parameter.is_meta for parameter in model.parameters())


@pytest.mark.parametrize(
    "network, recipe, message",
    [
        (TwelveOutputs, SHORT, r"gives \(2, 12\) for 2 images of 2 classes, and \(2, 2\) is expected"),
        (LooksAtNumbers, SHORT, r"gives \(2, 12\)"),  # which is not to be had on 'meta'
        (TwoOutputsInTraining, SHORT, "gives a tuple for 2 images"),
        (Small, replace(SHORT, resolution=3), "total stride, 4, is the least"),
        (Small, replace(SHORT, network={"mometum": 1}), "network is {'mometum': 1}: .*'momentum'"),
        (None, replace(SHORT, network={}), "Unknown variant 'b99'"),
        (Small, replace(SHORT, batch_size=7), r"7 is too small for 4 parts"),
    ],
)
def test_what_is_wrong_with_the_network_or_the_settings_is_said(network, recipe, message):
    options = {} if network else {"variant": "b99"}
    with pytest.raises(InputError, match=message):
        check(network, recipe, training.Execution(accumulate=4), **options)


def test_a_wrong_variant_is_not_blamed_on_the_recipes_options():
    with pytest.raises(InputError) as raised:
        check(None, variant="b99")
    assert str(raised.value).startswith("Unknown variant 'b99'")


def test_a_forward_that_fails_at_the_resolution_of_training_fails_before():
    with pytest.raises(MismatchError, match="built for 256 input channels"):
        check(ForOneSize, replace(SHORT, resolution=64))


def test_outputs_of_another_shape_end_the_first_step_and_leave_nothing(tmp_path):
    with pytest.raises(InputError, match=r"gives \(\d+, 12\) for \d+ images of 10 classes"):
        training.fit(FEW, SHORT, tmp_path / "run", network=TwelveOutputs)
    assert not any((tmp_path / "run").iterdir())


def test_a_worker_that_was_killed_is_one_line_with_what_to_do():
    with pytest.raises(WorkerError, match=r"worker \(pid.*--workers 0") as raised, worker_errors():
        [*loader(KillsItsProcess(), workers=1)]
    assert "\n" not in str(raised.value)
    with pytest.raises(RuntimeError, match="another"), worker_errors():
        raise RuntimeError("another")


def test_check_leaves_the_random_numbers_alone():
    state = torch.get_rng_state()
    check(Small)
    assert torch.equal(torch.get_rng_state(), state)
