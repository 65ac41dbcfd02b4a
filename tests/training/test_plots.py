import numpy as np
import pytest
import torch
from PIL import Image

from warmnet.training.fit import Epoch
from warmnet.training.plots import plot_confusion, plot_learning


@pytest.mark.parametrize("epochs", [1, 2, 300])
def test_a_learning_curve_is_a_png_of_one_size(tmp_path, epochs):
    history = [Epoch(n, 0.01, 2 / n, 2.2 / n, 1 - 1 / n, 1 - 1.1 / n, 1.0) for n in range(1, epochs + 1)]
    plot_learning(history, "digits", tmp_path / "curve.png")
    assert Image.open(tmp_path / "curve.png").size == (1080, 456)


@pytest.mark.parametrize("classes", [2, 10, 40, 200])
def test_a_confusion_matrix_grows_with_its_classes_up_to_a_limit(tmp_path, classes):
    confusion = torch.eye(classes, dtype=torch.long) * 30
    confusion[0, 1] = 7
    names = [f"a rather long name of a class, number {n}" for n in range(classes)]
    plot_confusion(confusion, names, tmp_path / "confusion.png")
    image = Image.open(tmp_path / "confusion.png")
    assert min(image.size) > 500 and max(image.size) <= 3000
    assert len(np.unique(np.asarray(image.convert("L")))) > 20, "it is not empty"


def test_classes_may_have_any_name(tmp_path, recwarn):
    names = [r"$\oops$", "猫", "x" * 300, b"\xff".decode(errors="surrogateescape"), "a\nb"]
    plot_confusion(torch.eye(5, dtype=torch.long), names, tmp_path / "confusion.png")
    plot_learning([Epoch(1, 0.1, 1, 1, 0, 0, 1)], names[0], tmp_path / "curve.png")
    assert not recwarn.list
    assert Image.open(tmp_path / "confusion.png").size[0] < 1000


def test_a_class_without_held_out_images_is_an_empty_row(tmp_path):
    plot_confusion(torch.tensor([[0, 0], [1, 2]]), ["none", "three"], tmp_path / "confusion.png")
    assert (tmp_path / "confusion.png").stat().st_size > 1000
