import pytest

from warmnet import VARIANTS
from warmnet.data import Preprocessing
from warmnet.training.recipe import RECIPES
from warmnet.training.resolution import choose_area, choose_crop, choose_resolution


@pytest.mark.parametrize(
    "short_side, side", [(1, 32), (8, 32), (16, 32), (17, 64), (28, 64), (32, 64), (109, 224), (4000, 224)]
)
def test_images_are_enlarged_twice_but_not_beyond_what_the_network_is_for(short_side, side):
    assert choose_resolution(short_side, most=224) == side


def test_the_side_is_a_multiple_of_a_stride_that_is_larger_and_at_least_that():
    assert [choose_resolution(short_side, 224, stride=64) for short_side in (8, 40, 400)] == [64, 128, 224]
    assert choose_resolution(8, most=20) == 32


def test_small_images_are_seen_whole_and_of_others_no_more_than_an_eighth_is_cut_off():
    assert (choose_area(28), choose_crop(28, 64)) == ((0.7, 1.0), 1.0)
    assert choose_area(375)[0] < 0.5
    assert [choose_crop(375, side) for side in (64, 224, 600)] == [0.875, 0.875, 600 / 632]


@pytest.mark.parametrize("variant", [name for name in VARIANTS if name != "l2"])  # whose 800 is beyond twice 375
def test_the_papers_recipe_on_imagenet_keeps_the_papers_resolution_and_crop(variant):
    sized = RECIPES["paper"].sized(1_281_167, resolution=VARIANTS[variant].resolution)
    assert sized.preprocessing == Preprocessing(VARIANTS[variant].resolution)
