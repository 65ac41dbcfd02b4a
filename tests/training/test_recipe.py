import pytest

from warmnet.preprocessing import Preprocessing
from warmnet.training.recipe import DIGITS, PHOTOS, Recipe


@pytest.mark.parametrize(
    "images, batch_size, lr",
    [(2, 2, 0.01 / 32), (20, 8, 0.01 / 8), (96, 12, 0.01 * 12 / 64), (1433, 64, 0.01), (10**6, 64, 0.01)],
)
def test_few_images_come_in_small_batches_so_that_there_are_steps_to_learn_in(images, batch_size, lr):
    sized = PHOTOS.sized(images)
    assert sized.batch_size == batch_size and sized.lr == pytest.approx(lr)
    assert images < 16 or images // sized.batch_size >= 2


def test_what_is_asked_for_is_taken():
    sized = Recipe(epochs=1, resolution=32, batch_size=128, lr=0.5).sized(1000)
    assert (sized.batch_size, sized.lr) == (128, 0.5)
    assert Recipe(epochs=1, resolution=32, batch_size=128).sized(100).batch_size == 100


def test_the_preprocessing_is_the_papers_for_photos_and_cuts_no_ink_off_digits():
    assert PHOTOS.preprocessing == Preprocessing(PHOTOS.resolution)
    assert DIGITS.preprocessing.crop == 1


def test_the_batch_norm_momentum_and_its_reason_are_said():
    assert "batch norm momentum 0.1.\n(The paper's momentum, 0.01, lags" in str(DIGITS.sized(1000))
