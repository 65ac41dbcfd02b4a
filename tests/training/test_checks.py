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


class GoesToNumPy(Small):
    def pooled(self, x):
        return x.mean((2, 3)) + float(x.detach().numpy().sum() > 1e9)


class SortsNumbers(Small):
    def pooled(self, x):
        return x.mean((2, 3)) + len(torch.unique(x)) / 1e9


class OtherHead(Small):
    def forward(self, x):
        return W.linear(self.pooled(warmnet.conv_bn_act(x, 4, 3, 4, name="stem")), self.num_classes, name="fc")


class Detached(Small):
    def forward(self, x):
        return super().forward(x).detach()


class WholeNumbers(Small):
    def forward(self, x):
        return super().forward(x).long()


class WritesOverWhatItNeeds(Small):
    def pooled(self, x):
        y = x.sigmoid()
        z = y * y
        y.zero_()
        return z.mean((2, 3))


class NotWarm(warmnet.Classifier):
    def __init__(self, variant="small", num_classes=10, in_channels=3, *, momentum=0.1, device=None, seed=None):
        super().__init__(variant, num_classes, in_channels, resolution=32, reduction=4, momentum=momentum)

    forward = Small.forward


class FirstIsTwo(Small):
    outputs = 2


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
        (TwelveOutputs, SHORT, r"gives \(3, 12\) for 3 images of 7 classes, and \(3, 7\) is expected.* tried with 7 classes"),
        (LooksAtNumbers, SHORT, r"gives \(3, 12\)"),  # which is not to be had on 'meta'
        (FirstIsTwo, SHORT, r"gives \(3, 2\)"),  # which may be the number of the classes by chance
        (NotWarm, SHORT, r"NotWarm has no layers yet.* self.warm_up\(device, seed\)"),
        (Detached, SHORT, "output has no gradient"),
        (WholeNumbers, SHORT, "gives torch.int64"),
        (OtherHead, SHORT, "no layer 'classifier' with 7 outputs.* last tensor is fc.bias"),
        (TwoOutputsInTraining, SHORT, "gives a tuple for 3 images"),
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


@pytest.mark.parametrize("network", [GoesToNumPy, SortsNumbers])
def test_a_network_that_cannot_compute_on_meta_is_tried_on_the_cpu(network):
    model, _ = check(network)
    assert not any(parameter.is_meta for parameter in model.parameters())


def test_what_fails_on_the_way_back_fails_before():
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        check(WritesOverWhatItNeeds)


@pytest.mark.parametrize("recipe", [SHORT, replace(SHORT, zero_classifier=False)], ids=["zero", "random"])
def test_rows_of_a_head_of_another_name_are_not_left_where_they_were(recipe, tmp_path):
    source = OtherHead(num_classes=10, seed=0)
    with pytest.raises(InputError, match="no layer 'classifier'"):
        check(None, recipe, source=source)
    with pytest.raises(InputError, match="no layer 'classifier'"):
        training.fit(FEW, recipe, tmp_path / "run", source=source)


def test_a_wrong_variant_is_not_blamed_on_the_recipes_options():
    with pytest.raises(InputError) as raised:
        check(None, variant="b99")
    assert str(raised.value).startswith("Unknown variant 'b99'")


def test_a_forward_that_fails_at_the_resolution_of_training_fails_before():
    with pytest.raises(MismatchError, match="built for 256 input channels"):
        check(ForOneSize, replace(SHORT, resolution=64))


def test_outputs_of_another_shape_end_the_first_step_and_leave_nothing(tmp_path):
    with pytest.raises(InputError, match=r"gives \(\d+, 12\) for \d+ images of 10 classes"):
        training.fit(FEW, replace(SHORT, zero_classifier=False), tmp_path / "run", network=TwelveOutputs)
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


def test_a_network_of_other_channels_than_rgb_is_refused(tmp_path):
    source = warmnet.WarmEfficientNet(warmnet.Variant(0.2, 0.2, 32, 0.2), num_classes=10, in_channels=1, seed=0)
    with pytest.raises(InputError, match="takes 1 channels, and images are RGB"):
        training.fit(FEW, SHORT, tmp_path / "run", source=source)
