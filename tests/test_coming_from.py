"""docs/coming-from.md: the calls in its right column run."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_sample_image

import warmnet
import warmnet.functional as W
from warmnet import training

ROOT = Path(__file__).parents[1]
TABLE = re.compile(r"^\| (?!-)(.*) \| (.*) \|$", re.MULTILINE)


def codes():
    """Every piece of Python in the right column, under what it stands for."""
    rows = TABLE.findall((ROOT / "docs/coming-from.md").read_text())
    found = [(left, code) for left, right in rows if right != "warmnet" for code in re.findall(r"`([^`]+)`", right)]
    return [(left, code) for left, code in found if re.search(r"[(=]", code) and not code.startswith(("warmnet ", "(B"))]


def as_python(code):
    """A line to run: keywords alone are those of a recipe, or of a network."""
    if re.match(r"unfreeze=", code):
        return f"replace(RECIPES['finetune'], {code})"
    if re.match(r"\w+=", code):
        return f"WarmEfficientNet('b0', {code})"
    if code.startswith("W."):  # a layer: in a forward
        return f"tabulate(lambda x: {code}, (1, 3, 64, 64))"
    return code


@pytest.fixture
def names(tmp_path, monkeypatch):
    """What the page's lines speak of, in a folder of their own."""
    monkeypatch.chdir(tmp_path)
    photo = load_sample_image("china.jpg")
    for part in "train", "val":
        for i, name in enumerate(("cat", "dog")):
            for j in range(3):
                path = tmp_path / "pets" / part / name / f"{j}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(photo[50 * j :, 100 * i : 300 + 100 * i]).save(path)
    model = warmnet.WarmEfficientNet("b0", seed=0).eval()
    model.preprocessing = warmnet.WarmEfficientNet.from_pretrained("lite0").preprocessing
    warmnet.convert(model, "file.h5", to="keras")
    warmnet.save(model, "file.safetensors")
    Path("runs").mkdir()
    tiny = warmnet.Variant(0.25, 0.3, 32, 0.0)
    data = training.folder("pets")
    training.fit(data, replace(training.RECIPES["small"], epochs=1), "runs/pets-1", variant=tiny, progress=False)
    images = np.stack([photo[i : i + 64, i : i + 64] for i in range(20)])
    return {
        **vars(warmnet), "W": W, "torch": torch, "nn": torch.nn, "training": training, "RECIPES": training.RECIPES,
        "replace": replace, "model": model, "data": data, "file": "file.safetensors", "image": Image.fromarray(photo),
        "path": "pets",
        "from_pretrained": warmnet.WarmEfficientNet.from_pretrained, "x": torch.rand(2, 3, 64, 64), "images": images,
        "labels": [0, 1] * 10,
    }  # fmt: skip


def test_every_line_of_the_right_column_runs(names):
    assert len(codes()) >= 30
    wrong = []
    for left, code in codes():
        try:
            exec(as_python(code), dict(names))
        except Exception as error:
            wrong.append(f"{left}: {code}: {type(error).__name__}: {error}")
    assert wrong == []
