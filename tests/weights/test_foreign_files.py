"""What is no file of weights is named for what it is, with what to do, and nothing in it runs."""

import gzip
import io
import json
import struct
import zipfile

import numpy as np
import pytest
import torch

import warmnet
from warmnet.weights import WeightsError
from warmnet.weights.reading import read

TENSORS = {"conv.weight": torch.rand(2, 3, 1, 1)}


def saved(content):
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def zipped(**files):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def arrays():
    buffer = io.BytesIO()
    np.savez(buffer, weight=np.zeros(3))
    return buffer.getvalue()


def torchscript():
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.script(torch.nn.ReLU()), buffer)
    return buffer.getvalue()


def exported():
    buffer = io.BytesIO()
    torch.export.save(torch.export.export(torch.nn.ReLU(), (torch.zeros(1),)), buffer)
    return buffer.getvalue()


def pickled_deeply():
    """A file of torch.save with 100,000 mappings, each in the one before."""
    nested = b"\x80\x02" + b"}X\x01\x00\x00\x00a" * 100_000 + b"}" + b"s" * 100_000 + b"."
    with zipfile.ZipFile(io.BytesIO(saved({}))) as archive:
        return zipped(**{name: nested if name.endswith("data.pkl") else archive.read(name) for name in archive.namelist()})


def within_itself():
    content = {"epoch": 3}
    content["all"] = [content]
    return saved(content)


def safetensors(shape, metadata=None):
    header = {"a": {"dtype": "F32", "shape": shape, "data_offsets": [0, 4]}, "__metadata__": metadata or {}}
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(4)


def larger_than_itself():
    return saved({"conv.weight": torch.rand(1).as_strided((2**62,), (0,))})


FILES = {  # what it is: its name, its content, what the error says
    "Git LFS": (
        "x.safetensors",
        b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
        "Git LFS.*git lfs pull",
    ),
    "a web page": ("x.pth", b"\n<!DOCTYPE html><html lang=en>", "is a web page.*log in"),
    "a web page in place of a file": ("tf_efficientnet_b0-0123abcd.pth", b"<html>", "is a web page"),
    "a message": ("x.safetensors", b"Entry not found", "is text, which begins with 'Entry not found'"),
    "JSON": ("x.safetensors", b'{"weight_map": {}}', "is text, which begins with"),
    "empty": ("x.safetensors", b"", "is empty.*Get it again"),
    "gzip": ("x.pth.gz", gzip.compress(saved(TENSORS)), "is a compressed file.*Unpack it"),
    "a ZIP of weights": ("x.zip", zipped(**{"x.pth": saved(TENSORS)}), r"is a ZIP archive of x\.pth.*Unpack it"),
    "a ZIP cut off": ("x.pth", saved(TENSORS)[:-100], "is not whole"),
    "NumPy's arrays": ("x.npz", arrays(), r"archive of NumPy's arrays.*torch\.from_numpy"),
    "TorchScript": ("x.pt", torchscript, r"is a TorchScript archive.*torch\.jit\.load"),
    "torch.export": ("x.pt2", exported, "is a network that torch.export wrote.*open_exported"),
    "ONNX": ("x.onnx", b"\x08\x07\x12\x07pytorch", "is an ONNX network.*open_exported"),
    "TensorFlow": ("saved_model.pb", b"\x08\x01", r"is a TensorFlow graph.*model\.weights\.h5"),
    "a picture": ("x.png", b"\x89PNG\r\n\x1a\n\0\0\0\0", "is a picture.*Name the weights first"),
    "a list of tensors": ("x.pth", saved([torch.rand(2)] * 3), "holds no tensors by name. It is a list of 3"),
    "a mere tensor": ("x.pth", saved(torch.rand(2, 5)), r"It is a mere tensor \(2, 5\)"),
    "a number": ("x.pth", saved(3), "It is of type int"),
    "within itself": ("x.pth", within_itself, r"holds no tensors by name. It has epoch \(int\), all \(list\)"),
    "nested deeply": ("x.pth", pickled_deeply, r"holds no tensors by name. It has a \(dict\)"),
    "a shape of 2**62": ("x.safetensors", safetensors([2**62]), "is not a safetensors file, or is not whole"),
    "a shape of 2**62, by torch": (
        "x.pth",
        larger_than_itself,
        r"says that conv\.weight is \(4611686018427387904,\).*holds 4 of",
    ),
    "brackets": ("x.safetensors", safetensors([1], {"warmnet": "[" * 200_000}), "damaged.*nested too deeply"),
    "brackets in config": ("x.safetensors", safetensors([1], {"config": "[" * 200_000}), "is of no network that warmnet has"),
}


@pytest.mark.parametrize("name, content, message", FILES.values(), ids=FILES)
@pytest.mark.filterwarnings("ignore:`torch.jit")
def test_it_is_named_for_what_it_is(name, content, message, tmp_path):
    (tmp_path / name).write_bytes(content() if callable(content) else content)
    with pytest.raises(WeightsError, match="(?s)" + message) as raised:
        warmnet.WarmEfficientNet.from_pretrained(tmp_path / name)
    assert name in str(raised.value)


@pytest.mark.parametrize(
    "file, message",
    [
        ("saved_model.pb", "SavedModel of TensorFlow"),
        ("model.ckpt.index", "checkpoint of TensorFlow"),
        ("model.safetensors", r"has model\.safetensors. Name one of these files"),
        ("notes", "stopped in its first epoch"),
    ],
)
def test_a_folder_is_named_for_what_it_is(file, message, tmp_path):
    (tmp_path / file).write_bytes(b"x")
    with pytest.raises(WeightsError, match=message):
        read(tmp_path)


def test_a_checkpoint_of_tensorflow_is_known_by_its_index(tmp_path):
    (tmp_path / "model.ckpt.index").write_bytes(b"x")
    with pytest.raises(WeightsError, match="index of a TensorFlow checkpoint"):
        read(tmp_path / "model.ckpt")


def test_the_second_file_of_an_openvino_network_names_the_first(tmp_path):
    (tmp_path / "n.xml").touch()
    (tmp_path / "n.bin").write_bytes(np.full(300, 0.1).tobytes())
    with pytest.raises(WeightsError, match=r"second file of an OpenVINO network.*Name the first, .*n\.xml"):
        read(tmp_path / "n.bin")
