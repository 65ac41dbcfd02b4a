"""What becomes of files that are not simply right: they load with a word, or are refused by name and change nothing."""

import argparse
import os
import resource
import signal
import subprocess
import sys
import warnings
from itertools import count
from multiprocessing import get_context

import pytest
import torch
from safetensors.torch import load_file, save_file

import warmnet
from warmnet.weights import WeightsError, WeightsWarning

load = warmnet.WarmEfficientNet.from_pretrained
B0 = warmnet.WarmEfficientNet("b0", 10, seed=0)
TINY = warmnet.WarmEfficientNet(warmnet.Variant(width=0.2, depth=0.2, resolution=32, dropout=0.2), 10, seed=0)


def timm(model=B0):
    """The tensors as timm names them."""
    state = model.state_dict()
    return {name: state[ours].clone() for ours, name in warmnet.weights.LINEAGES["timm_tf"][0].names(state).items()}


def put(path, tensors):
    (save_file if path.suffix == ".safetensors" else torch.save)(tensors, path)


def cut(path, tensors):
    put(path, tensors)
    path.write_bytes(path.read_bytes()[:-1000])


def tampered(path, tensors):
    """A file of warmnet's in which one bit of one weight was turned."""
    warmnet.save(B0, path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def misnamed(path, tensors):
    put(path.with_name("tf_efficientnet_b0-0123abcd.pth"), tensors)


class Code:
    def __reduce__(self):
        return print, ("this must not run",)


def resnet(path, tensors):
    put(path, {"conv1.weight": torch.rand(64, 3, 7, 7), "bn1.weight": torch.rand(64), "fc.bias": torch.rand(10)})


def not_finite(path, tensors):
    tensors["blocks.2.0.conv_dw.weight"][3, 0, 1, 1] = torch.nan
    put(path, tensors)


def two_networks(path, tensors):
    put(path, {f"{who}.{name}": tensor for who in ("student", "teacher") for name, tensor in tensors.items()})


def incomplete(path, tensors):
    del tensors["blocks.1.0.conv_dw.weight"]
    tensors["blocks.1.0.conv_dw.kernel"] = torch.rand(96, 1, 3, 3)
    put(path, tensors)


REFUSED = [  # what the file is, how it is made, what the error says
    ("truncated", "x.safetensors", cut, "not a safetensors file, or is not whole"),
    ("truncated", "x.pth", cut, "not a file of torch.save, or is not whole"),
    ("empty", "x.pth", lambda path, tensors: path.touch(), "is empty"),
    ("tampered with", "x.safetensors", tampered, "was changed or damaged: its tensors are not those that were written"),
    ("not what its name's hash says", "tf_efficientnet_b0-0123abcd.pth", misnamed, "0123abcd"),
    ("a pickle with code", "x.pth", lambda path, tensors: put(path, {"state_dict": tensors, "x": Code()}),
     r"would run code of its own: it asks for \S*print.*torch\.load\(.*weights_only=False\)"),
    ("a whole pickled model", "x.pth", lambda path, tensors: put(path, B0),
     r"holds a whole model, which would run code.*WarmEfficientNet.*state_dict\(\)"),
    ("a pickle of something else", "x.pth", lambda path, tensors: put(path, [1, 2]), "no tensors by name. It is a list of 2"),
    ("without tensors", "x.pth", lambda path, tensors: put(path, {"epoch": 3}), r"no tensors by name. It has epoch \(int\)"),
    ("of another network", "x.pth", resnet,
     r"is of no network that warmnet has: none.*It begins with conv1\.weight \(64, 3, 7, 7\)"),
    ("with NaN", "x.pth", not_finite, r"NaN or infinity in blocks\.2\.0\.conv_dw\.weight\. strict=False"),
    ("of two networks", "x.pth", two_networks, r"holds 2 networks, under 'student\.', 'teacher\.'"),
    ("with a tensor missing and one too many", "x.pth", incomplete,
     r"- stage_2\.mb_block_1\.depthwise\.conv\.weight \(96, 1, 3, 3\)   nearest: blocks\.1\.0\.conv_dw\.kernel\n"
     r"  \+ blocks\.1\.0\.conv_dw\.kernel \(96, 1, 3, 3\)   nearest: stage_2\.mb_block_1\.depthwise\.conv\.weight"),
]  # fmt: skip


def prefixed(prefix):
    return lambda tensors: {prefix + name: tensor for name, tensor in tensors.items()}


def half(tensors):
    return {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}


def averaged(tensors):
    """As torch's AveragedModel has it."""
    return {"n_averaged": torch.tensor(3), **prefixed("module.")(tensors)}


def of_timm_s_script(tensors):
    """A checkpoint as timm's train.py writes it."""
    other = {name: torch.zeros_like(tensor) for name, tensor in tensors.items()}
    arguments = argparse.Namespace(lr=0.1, model="tf_efficientnet_b0")
    return {"epoch": 3, "arch": "tf_efficientnet_b0", "args": arguments, "state_dict": other, "state_dict_ema": tensors}


LOADED = [  # what the file is, how it is made, what the warning says
    ("in half precision", half, "311 tensors were converted from float16 to float32"),
    ("of DistributedDataParallel", prefixed("module."), r"'module\.' was taken off the names"),
    ("of torch.compile", prefixed("_orig_mod."), r"'_orig_mod\.' was taken off the names"),
    ("of both", prefixed("_orig_mod.module."), r"'module\.' was taken off the names"),
    ("of Lightning", lambda tensors: {"state_dict": prefixed("model.")(tensors), "epoch": 1}, "'state_dict' was taken"),
    ("averaged by torch", averaged, r"'module\.' was taken off the names"),
    ("of timm's script, with an average", of_timm_s_script, "'state_dict_ema' was taken, and not 'state_dict'"),
]


@pytest.mark.parametrize("name, make, message", [row[1:] for row in REFUSED], ids=[" ".join(row[:2]) for row in REFUSED])
def test_a_bad_file_is_refused_by_name_and_the_model_is_as_it_was(name, make, message, tmp_path, capsys):
    make(tmp_path / name, timm())
    model = warmnet.WarmEfficientNet("b0", 10, seed=1)
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    for loading in (lambda path: load(path, lineage="timm_tf"), lambda path: warmnet.load(model, path, lineage="timm_tf")):
        with pytest.raises(WeightsError, match="(?s)" + message) as raised:
            loading(tmp_path / name)
        assert name in str(raised.value)
    assert all(torch.equal(tensor, before[key]) for key, tensor in model.state_dict().items())
    assert "must not run" not in capsys.readouterr().out


@pytest.mark.parametrize("make, message", [row[1:] for row in LOADED], ids=[row[0] for row in LOADED])
def test_a_wrapped_file_loads_with_a_word(make, message, tmp_path):
    torch.save(make(timm()), tmp_path / "tf_efficientnet_b0.pth")
    with pytest.warns(WeightsWarning, match=message):
        model = load(tmp_path / "tf_efficientnet_b0.pth")
    for (key, tensor), (_, expected) in zip(model.state_dict().items(), B0.state_dict().items(), strict=True):
        assert torch.equal(tensor, expected.half().float() if make is half and expected.is_floating_point() else expected), key


def test_the_wrong_variant_says_which_it_is(tmp_path):
    torch.save(timm(), tmp_path / "tf_efficientnet_b0.pth")
    model = warmnet.WarmEfficientNet("b1", 10, seed=1)
    before = model.stem.conv.weight.clone()
    with pytest.raises(
        WeightsError, match=r"(?s)The source is of b0 in the layout of timm_tf, the model is b1.*from_pretrained"
    ):
        warmnet.load(model, tmp_path / "tf_efficientnet_b0.pth")
    assert torch.equal(model.stem.conv.weight, before)
    with pytest.warns(WeightsWarning):
        report = warmnet.load(model, tmp_path / "tf_efficientnet_b0.pth", strict=False)
    assert 0.4 < report.share < 0.9 and torch.equal(model.stem.conv.weight, B0.stem.conv.weight)


def test_nan_is_taken_if_asked_for(tmp_path):
    tensors = timm()
    tensors["conv_stem.weight"][0] = torch.nan
    model = load(tensors, strict=False, lineage="timm_tf")
    assert model.stem.conv.weight[0].isnan().all()


def test_the_lineage_must_be_one_that_there_is():
    with pytest.raises(ValueError, match="Unknown lineage 'jax'. Choose one of timm_tf, torchvision, timm"):
        load(timm(), lineage="jax")
    with pytest.raises(WeightsError, match=r"none of its tensors is _conv_stem\.weight \(lukemelas\)"):
        load(timm(), lineage="lukemelas")


def test_what_is_not_there_is_no_hub_repository_either(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for source in "here/model.pth", "model.pth", tmp_path / "there" / "x.safetensors", "a/b/c":
        with pytest.raises(WeightsError, match="does not exist"):
            load(source)
    with pytest.raises(WeightsError, match="'model' is neither a path here nor the name of a checkpoint. Choose one of b0, "):
        load("model")


def test_a_path_below_a_folder_that_is_here_is_never_asked_of_the_hub(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("warmnet.weights.hub.download", lambda source, revision: pytest.fail(f"{source} was asked for"))
    for name in "pets-1", "a":
        (tmp_path / "runs" / name).mkdir(parents=True)
    (tmp_path / "b0-best.pth").touch()
    for source, message in {
        "runs/pets-2": r"runs/pets-2 does not exist. Did you mean 'runs/pets-1'\? .* is written runs/pets-2@main",
        "runs/zz": "runs/zz does not exist. runs holds 'a', 'pets-1'",
        "b0_best.pth": "Did you mean 'b0-best.pth'",
    }.items():
        with pytest.raises(WeightsError, match=message):
            load(source)


def test_loading_a_file_reads_it_once_and_makes_no_second_copy(tmp_path):
    model = warmnet.WarmEfficientNet("b4", seed=0)
    warmnet.convert(model, tmp_path / "tf_efficientnet_b4.safetensors", to="timm")
    size = sum(tensor.nbytes for tensor in model.state_dict().values())
    code = r"""
import re, sys, warmnet
memory = lambda what: int(re.search(what + r":\s+(\d+)", open("/proc/self/status").read())[1]) * 1024
warmnet.WarmEfficientNet("b4", device="meta")
open("/proc/self/clear_refs", "w").write("5")  # the peak is now
before = memory("VmRSS")
model = warmnet.WarmEfficientNet.from_pretrained(sys.argv[1])
print(memory("VmHWM") - before)"""
    run = [sys.executable, "-c", code, str(tmp_path / "tf_efficientnet_b4.safetensors")]
    used = int(subprocess.run(run, check=True, capture_output=True, text=True).stdout)
    assert 0.9 * size < used < 1.5 * size


def save_until_killed(path, most, step, number):
    """Save, and be killed where a file grows beyond `most` bytes, or before the `step`th call that opens or moves one."""
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    steps = count()
    sys.addaudithook(lambda event, _: event.startswith(FILES) and next(steps) == step and os.kill(os.getpid(), signal.SIGKILL))
    warmnet.save(TINY, path, round=number)


FILES = "open", "os.", "shutil."


def test_saving_that_is_killed_at_any_moment_leaves_a_whole_file(tmp_path):
    """Between any two things that it does to files, and after any number of bytes."""
    path = tmp_path / "weights.safetensors"
    warmnet.save(TINY, path, round=-1)
    size, expected, rounds = path.stat().st_size, load_file(path), []
    lengths = [(length, -1) for length in (0, 1, 8, 4096, size // 3, size - 1)]
    for number, (most, step) in enumerate([*lengths, *((2 * size, step) for step in range(1000))]):
        process = get_context("fork").Process(target=save_until_killed, args=(path, most, step, number))
        process.start()
        process.join()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            rounds.append(load(path).metadata["round"])
        found = load_file(path)
        assert found.keys() == expected.keys() and all(torch.equal(found[key], expected[key]) for key in found)
        if process.exitcode == 0:
            break
        assert process.exitcode == -(signal.SIGXFSZ if step < 0 else signal.SIGKILL)
    assert rounds[: len(lengths)] == [-1] * len(lengths), "they were killed before the new file was whole"
    assert rounds[-2:] == [number - 1, number], "the last was killed after it, and one was not killed"
