import numpy as np
import pytest
from PIL import Image

from warmnet.training.image_grid import LINE, plot_grid


@pytest.mark.parametrize("sizes", [[(8, 8)], [(640, 427)] * 3, [(8, 8), (900, 1), (1, 900)] * 21 + [(150, 150)]])
def test_a_grid_holds_every_tile_at_a_bearable_size(tmp_path, sizes):
    tiles = [(Image.new("RGB", size, (200, n, 0)), f"tile {n}\nof many") for n, size in enumerate(sizes)]
    plot_grid(tiles, tmp_path / "grid.png", "Tiles")
    grid = Image.open(tmp_path / "grid.png")
    assert 300 < grid.width < 1500 and 200 < grid.height < 2200
    red, green, blue = np.moveaxis(np.asarray(grid), 2, 0)
    areas = np.bincount(green[(red == 200) & (blue == 0)], minlength=len(tiles))
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


def test_rows_without_captions_stand_closer(tmp_path):
    black = Image.new("L", (8, 8))
    heights = []
    for captions in ("", "a\nb"), ("a\nb", "a\nb"):
        plot_grid([(black, caption) for caption in captions], tmp_path / "grid.png", "", 1)
        heights.append(Image.open(tmp_path / "grid.png").height)
    assert heights[1] - heights[0] == 2 * LINE
