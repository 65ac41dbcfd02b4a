"""A small network, exported, and pictures with what it gives for them."""

import io

import numpy as np
import pytest
from alive import fill
from PIL import Image

import warmnet
from warmnet.data import Preprocessing
from warmnet.deployment import export, open_exported

from .servers import ROOT, write_files


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """The files of docs/serving.md and network.onnx."""
    folder = tmp_path_factory.mktemp("served")
    write_files(folder)
    variant = warmnet.Variant(width=0.25, depth=0.3, resolution=64, dropout=0.2)
    model = fill(warmnet.WarmEfficientNet(variant, 3, seed=0)).eval()
    model.classes, model.preprocessing = ("cat", "dog", "cow"), Preprocessing(64)
    export(model, folder / "network.onnx")
    return folder


@pytest.fixture(scope="session")
def predictor(folder):
    return open_exported(folder / "network.onnx", threads=1)


@pytest.fixture(scope="session")
def pictures():
    """Files: a photograph as JPEG, and parts of it as JPEG, PNG and WebP."""
    photograph = Image.open(ROOT / "docs" / "cat.jpg")
    parts = [photograph.crop((left, 0, left + 200, 300)) for left in (0, 120, 240)]
    files = [encoded(part, kind) for part, kind in zip(parts, ["JPEG", "PNG", "WEBP"])]
    return [(ROOT / "docs" / "cat.jpg").read_bytes(), *files]


def encoded(image, kind):
    file = io.BytesIO()
    image.save(file, kind)
    return file.getvalue()


@pytest.fixture(scope="session")
def broken(pictures):
    """Files that are no pictures, by what is wrong."""
    return {
        "empty": b"",
        "text": b"no picture at all",
        "cut off": pictures[0][: len(pictures[0]) // 2],
        "damaged": pictures[1][:10] + bytes(100) + pictures[1][110:],
        "PostScript, a program": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n",
        "a bomb": encoded(Image.fromarray(np.zeros((8000, 8000), bool)), "PNG"),  # 64 million pixels
    }
