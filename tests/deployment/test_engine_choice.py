"""The fastest engine is found by measuring, once."""

import json
from dataclasses import replace

import pytest
import torch.nn.functional as F

import warmnet
from warmnet.deployment import DeployError, deploy, engine_choice
from warmnet.deployment.metadata import describe
from warmnet.errors import InputError


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache/warmnet/engine-times.json"


def test_engines_are_measured_once_and_the_fastest_is_remembered(model, cache, monkeypatch):
    found = deploy(model)
    ((key, times),) = json.loads(cache.read_text()).items()
    assert {*times} == {"onnx", "openvino", "torch"} and min(times.values()) > 0
    assert found.engine == min(times, key=times.get)
    cache.write_text(json.dumps({key: {"an engine that is gone": 0.1}, "other": {"onnx": 1.0}}))
    assert deploy(model).engine in times
    known = json.loads(cache.read_text())
    assert {*known} == {key, "other"} and {*known[key]} == {*times}
    cache.write_text(json.dumps({key: {"onnx": 3.0, "openvino": 2.0, "torch": 1.0}}))
    monkeypatch.setattr(engine_choice, "measure", None)
    assert deploy(model).engine == "torch"


@pytest.mark.parametrize("precision", ["bf16", "int8"])
def test_a_lower_precision_that_is_slower_here_is_not_picked(model, data, precision, monkeypatch):
    def measured(predictors, batch):
        return {name: 1.0 if "fp32" in name else 2.0 for name in predictors}

    monkeypatch.setattr(engine_choice, "measure", measured)
    message = f"{precision} takes longer than fp32 on this machine, so that this is the network in fp32. engine='.*' gives"
    for _ in "measured", "remembered":
        with pytest.warns(UserWarning, match=message):
            assert deploy(model, precision=precision, data=data, max_top1_drop=1).precision == "fp32"
    assert deploy(model, "openvino", precision, data=data, max_top1_drop=1).precision == precision


def test_a_memory_that_lacks_a_contender_is_as_none(model, data, cache, monkeypatch):
    """As one from before fp32 was measured beside a lower precision, or before an engine was installed."""
    monkeypatch.setattr(engine_choice, "measure", lambda predictors, batch: {name: len(name) for name in predictors})
    deploy(model, precision="int8", data=data, max_top1_drop=1)
    ((key, times),) = json.loads(cache.read_text()).items()
    assert {*times} == {"onnx", "openvino", "onnx fp32", "openvino fp32", "torch fp32"}
    cache.write_text(json.dumps({key: {"onnx": 1.0, "openvino": 2.0}}))
    deploy(model, precision="int8", data=data, max_top1_drop=1)
    assert json.loads(cache.read_text()) == {key: times}


def test_a_lower_precision_that_is_faster_here_is_picked_in_silence(model, data, monkeypatch, recwarn):
    monkeypatch.setattr(engine_choice, "measure", lambda predictors, batch: {name: len(name) for name in predictors})
    assert deploy(model, precision="int8", data=data, max_top1_drop=1).precision == "int8"
    assert not [each for each in recwarn if "takes longer" in str(each.message)]


def test_a_precision_that_no_engine_gives_is_its_error_and_not_another_precision(model, data):
    with pytest.raises(DeployError, match="int8 loses"):
        deploy(model, precision="int8", data=data, max_top1_drop=-1.0)


@pytest.mark.parametrize("content", ["", "[]", "{", '{"KEY": 3}', '{"KEY": {}}', '{"KEY": {"onnx": "x"}}', "\x00"])
def test_a_damaged_memory_is_as_none(cache, content):
    cache.parent.mkdir(parents=True)
    cache.write_text(content.replace("KEY", "abc"))
    assert engine_choice.recall("abc") is None
    engine_choice.remember("abc", {"onnx": 1.0, "torch": 2.0})
    assert engine_choice.recall("abc") == "onnx"


def test_a_cache_folder_that_cannot_be_written_is_no_error(tmp_path):
    (tmp_path / "cache").write_text("a file")
    engine_choice.remember("abc", {"onnx": 1.0})
    assert engine_choice.recall("abc") is None


def test_the_choice_depends_on_network_size_precision_batch_threads_and_machine(network):

    metadata = describe(network(), "auto", "fp32")
    keys = [engine_choice.key(metadata, batch, threads) for batch in (1, 16) for threads in (1, 2)]
    others = describe(network(stages=warmnet.STAGES[:1]), "auto", "fp32"), describe(network(65), "auto", "fp32")
    moved = replace(metadata, machine={**metadata.machine, "processor": "another"})
    keys += [engine_choice.key(each, 1, 1) for each in (*others, replace(metadata, precision="bf16"), moved)]
    assert len({*keys}) == len(keys)
    assert engine_choice.key(describe(network(), "auto", "fp32"), 1, 1) == keys[0]
    assert "0x" not in str(describe(network(act=F.relu), "auto", "fp32")), "it is the same in every process"


def test_only_engines_with_the_precision_are_measured():
    assert engine_choice.candidates("int8") == ["onnx", "openvino"]
    assert engine_choice.candidates("bf16") == ["openvino", "torch"]
    with pytest.raises(InputError, match="fp8"):
        engine_choice.candidates("fp8")
