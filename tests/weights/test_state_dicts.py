"""A network's tensors are found under any key, beside optimizers and whatever scripts save; of several the average."""

import argparse
import collections
import datetime
import io
import pathlib
import types

import numpy as np
import pytest
import torch
from torch import nn

from warmnet.weights import WeightsError
from warmnet.weights.reading import read


def network(value=1.0):
    return {"stem.weight": torch.full((2, 3, 1, 1), value), "stem.bias": torch.full((2,), value)}


def optimizer():
    """The state of one that has taken a step."""
    moments = {"step": torch.tensor(1.0), "exp_avg": torch.rand(2, 3, 1, 1), "exp_avg_sq": torch.rand(2, 3, 1, 1)}
    return {"state": {0: moments}, "param_groups": [{"lr": 0.1, "params": [0]}]}


NESTED = {
    "net": lambda: {"net": network()},
    "params": lambda: {"params": network(), "epoch": 3},
    "state.model": lambda: {"state": {"model": network()}},
    "model": lambda: {"optimizer": optimizer(), "model": network(), "optim_average": network(2)},
    "state_dict": lambda: {"optimizer_states": [optimizer()], "state_dict": network(), "callbacks": {"best": torch.tensor(3)}},
    "nets.0": lambda: {"nets": [network()], "classifier": {"weight": torch.rand(5, 2)}},
    "ema.module": lambda: {"model": network(2), "ema": {"module": network(), "decay": torch.tensor(0.9)}},
    "model_ema": lambda: {"model": network(2), "model_ema": network()},
}


@pytest.mark.parametrize("path, make", NESTED.items(), ids=NESTED)
def test_a_network_is_found_wherever_it_is(path, make, tmp_path):
    torch.save(make(), tmp_path / "x.pth")
    checkpoint = read(tmp_path / "x.pth")
    assert checkpoint.tensors.keys() == network().keys() and (checkpoint.tensors["stem.weight"] == 1).all()
    assert checkpoint.notes[0].startswith(f"'{path}' was taken")


def test_the_average_is_said_to_have_gone_first():
    assert read({"model": network(), "net_ema": network()}).notes == ("'net_ema' was taken, and not 'model'",)


def test_of_several_networks_one_has_to_be_passed(tmp_path):
    torch.save({"nets": {"student": network(), "teacher": network(2)}}, tmp_path / "x.pth")
    with pytest.raises(WeightsError, match=r"2 networks, under 'nets.student', 'nets.teacher'.*\['nets'\]\['teacher'\]"):
        read(tmp_path / "x.pth")


def test_an_optimizer_alone_is_no_network():
    with pytest.raises(WeightsError, match="holds no tensors by name"):
        read(optimizer())


def test_a_model_within_a_mapping_is_its_state_dict():
    model = nn.Conv2d(3, 2, 1)
    assert torch.equal(read({"model": model}).tensors["weight"], model.weight)


@pytest.mark.parametrize("source", [[torch.rand(2)], torch.rand(2), None, 3])
def test_what_is_no_source_is_refused(source):
    with pytest.raises(WeightsError, match="holds no tensors by name"):
        read(source)


@pytest.mark.parametrize("is_zip", [True, False])
def test_data_beside_the_tensors_is_read(is_zip, tmp_path):
    path = pathlib.Path("runs/1")
    beside = {
        "numbers": [np.float64(0.5), np.float32(0.5), np.int64(3), np.bool_(True), np.str_("x"), np.dtype("f4")],
        "arrays": [np.arange(3), np.array(["a", "b"])],
        "times": [datetime.datetime(2026, 1, 2), datetime.date(2026, 1, 2), datetime.timedelta(1), datetime.timezone.utc],
        "paths": [path, pathlib.PureWindowsPath("runs")],
        "settings": [argparse.Namespace(out=path), types.SimpleNamespace(lr=0.1), collections.OrderedDict(a=1)],
        "others": [collections.Counter("aab"), {1, 2}, 1j, b"x"],
    }
    torch.save({"net": network(), **beside}, tmp_path / "x.pth", _use_new_zipfile_serialization=is_zip)
    assert read(tmp_path / "x.pth").tensors.keys() == network().keys()


class Touch:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return exec, (f"import pathlib; pathlib.Path({str(self.marker)!r}).touch()",)


@pytest.mark.parametrize("wrap", [list, lambda x: np.array([x, None], object), lambda x: argparse.Namespace(x=x)])
def test_code_within_data_does_not_run(wrap, tmp_path):
    torch.save({"net": network(), "x": wrap([Touch(tmp_path / "ran")])}, tmp_path / "x.pth")
    with pytest.raises(WeightsError, match="would run code of its own"):
        read(tmp_path / "x.pth")
    assert not (tmp_path / "ran").exists()


def test_reading_allows_no_more_than_before_afterwards(tmp_path):
    torch.save({"net": network(), "path": pathlib.Path("x")}, tmp_path / "x.pth")
    read(tmp_path / "x.pth")
    with pytest.raises(Exception, match="Weights only load failed"):
        torch.load(io.BytesIO((tmp_path / "x.pth").read_bytes()), weights_only=True)
