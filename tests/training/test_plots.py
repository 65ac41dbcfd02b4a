import numpy as np
import pytest
import torch
from PIL import Image

from warmnet.training.evaluation_result import Bin
from warmnet.training.image_grid import plot_grid
from warmnet.training.metrics import Epoch
from warmnet.training.plots import plot_calibration, plot_confusion, plot_learning


@pytest.mark.parametrize("epochs", [1, 2, 300])
def test_a_learning_curve_is_a_png_of_one_size(tmp_path, epochs):
    history = [Epoch(n, 0.01, 2 / n, 2.2 / n, 1 - 1 / n, 1 - 1.1 / n, 1.0) for n in range(1, epochs + 1)]
    plot_learning(history, "digits", tmp_path / "curve.png", 1)
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
    plot_learning([Epoch(1, 0.1, 1, 1, 0, 0, 1)], names[0], tmp_path / "curve.png", 1)
    assert not recwarn.list
    assert Image.open(tmp_path / "confusion.png").size[0] < 1000


def test_a_class_without_held_out_images_is_an_empty_row(tmp_path):
    plot_confusion(torch.tensor([[0, 0], [1, 2]]), ["none", "three"], tmp_path / "confusion.png")
    assert (tmp_path / "confusion.png").stat().st_size > 1000


@pytest.mark.parametrize("sizes", [[(8, 8)], [(640, 427)] * 3, [(8, 8), (900, 1), (1, 900)] * 21 + [(150, 150)]])
def test_a_grid_holds_every_tile_at_a_bearable_size(tmp_path, sizes):
    tiles = [(Image.new("RGB", size, (200, n, 0)), f"tile {n}\nof many") for n, size in enumerate(sizes)]
    plot_grid(tiles, tmp_path / "grid.png", "Tiles")
    grid = Image.open(tmp_path / "grid.png")
    assert 300 < grid.width < 1500 and 200 < grid.height < 2200
    pixels = np.asarray(grid)
    areas = [((pixels == (200, n, 0)).all(2)).sum() for n in range(len(tiles))]
    for size, area in zip(sizes, areas):
        assert area >= 140 * max(1, min(size) * 148 // max(size) - 1)


def test_small_images_are_enlarged_pixel_by_pixel(tmp_path):
    image = Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8) * 4)
    plot_grid([(image, "")], tmp_path / "grid.png", "")
    grid = np.asarray(Image.open(tmp_path / "grid.png").convert("L"))
    rows, columns = np.nonzero(grid == 36)  # the pixel (1, 1)
    side = np.ptp(rows) + 1
    assert side == np.ptp(columns) + 1 == 298 // 8 and len(rows) == side * side
    assert {*np.unique(grid)} == {*range(0, 256, 4), 221, 255}, "no shade that is not in it but frame and paper"


@pytest.mark.parametrize("columns, rows", [(None, 2), (1, 4), (4, 1), (9, 1)])
def test_a_grid_has_as_many_columns_as_asked_for(tmp_path, columns, rows):
    plot_grid([(Image.new("L", (8, 8)), "black")] * 4, tmp_path / "grid.png", "", columns)
    grid = np.asarray(Image.open(tmp_path / "grid.png").convert("L"))
    black = (grid == 0).sum(1) > 100
    assert (np.diff(black.astype(int)) == 1).sum() == rows


def test_captions_of_any_kind_stay_within_their_tile(tmp_path):
    names = [r"$\oops$", "猫" * 99, "x" * 300, b"\xff".decode(errors="surrogateescape"), "a\tb", "", "العربية", "W" * 40, "i"]
    plot_grid([(Image.new("L", (8, 8), 255), name) for name in names], tmp_path / "grid.png", "x" * 300)
    grid = np.asarray(Image.open(tmp_path / "grid.png").convert("L"))[60:]
    assert grid.shape[1] < 1500
    assert (grid[:, :16] == 255).all() and all((grid[:, 16 + n * 316 - 14 : 16 + n * 316] == 255).all() for n in (1, 2, 3))


def test_a_calibration_curve_may_have_any_bin_empty(tmp_path, recwarn):
    for n, last in enumerate([Bin(1.0, 1.0, 3), Bin(0.95, 0.0, 12_345_678)]):
        plot_calibration([Bin(None, None, 0)] * 14 + [last], tmp_path / f"{n}.png")
    first, second = (np.asarray(Image.open(tmp_path / f"{n}.png").convert("RGB")).astype(int) for n in range(2))
    assert first.shape == second.shape and not recwarn.list
    high = [np.nonzero(abs(picture - (209, 73, 91)).sum(2) < 9)[0].max() for picture in (first, second)]
    assert high[0] < 150 < 450 < high[1], "the curve's lowest point is near the top, and at the bottom"
