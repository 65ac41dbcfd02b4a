from dataclasses import replace
from pathlib import Path

import pytest

from warmnet.data import Augmentation, Preprocessing
from warmnet.data.policy import Policy, Step
from warmnet.errors import InputError
from warmnet.training.recipe import DIGITS, PHOTOS, RECIPES, Recipe
from warmnet.training.schedule import paper


@pytest.mark.parametrize(
    "images, batch_size, lr",
    [(2, 2, 0.01 / 32), (20, 8, 0.01 / 8), (96, 12, 0.01 * 12 / 64), (1433, 64, 0.01), (10**6, 64, 0.01)],
)
def test_few_images_come_in_small_batches_so_that_there_are_steps_to_learn_in(images, batch_size, lr):
    sized = PHOTOS.sized(images)
    assert sized.batch_size == batch_size and sized.lr == pytest.approx(lr)
    assert images < 16 or images // sized.batch_size >= 2


def test_what_is_asked_for_is_taken():
    sized = Recipe("mine", epochs=1, resolution=32, batch_size=128, lr=0.5).sized(1000)
    assert (sized.batch_size, sized.lr) == (128, 0.5)
    assert Recipe("mine", epochs=1, resolution=32, batch_size=128).sized(100).batch_size == 100


def test_the_preprocessing_is_the_papers_for_photos_and_cuts_no_ink_off_digits():
    assert PHOTOS.sized(1000).preprocessing == Preprocessing(224)
    assert DIGITS.sized(1000, short_side=8).preprocessing == Preprocessing(32, crop=1.0)


def test_what_the_size_of_the_images_decides_is_not_known_before_it():
    for name in "preprocessing", "augmentation":
        with pytest.raises(InputError, match="Call sized"):
            getattr(PHOTOS, name)


def test_a_recipe_s_own_settings_go_before_what_the_size_of_the_images_would_decide():
    own = {"resolution": 48, "crop": 0.9, "area": (0.1, 0.2)}
    sized = replace(PHOTOS, **own).sized(1000, short_side=28)
    assert {name: getattr(sized, name) for name in own} == own


def test_weights_that_are_there_keep_their_resolution_however_small_the_images():
    assert RECIPES["finetune"].sized(1000, short_side=8, resolution=260, from_weights=True).resolution == 260


def test_what_decides_the_run_is_said():
    assert str(RECIPES["small"]).startswith("Recipe small: 30 epochs, batch by the data, adamw 0.04 for 256 images (cosine)")
    assert str(RECIPES["finetune"]).startswith("Recipe finetune: so many epochs, batch by the data, adamw 0.001 (cosine)")
    assert all(str(recipe).startswith(f"Recipe {name}: ") for name, recipe in RECIPES.items())
    assert str(DIGITS.sized(1000)) == "Recipe small: 16 epochs, batch 64, adamw 0.01 (cosine), momentum 0.1."
    said = str(RECIPES["paper"].sized(1_281_167))
    assert said == "Recipe paper: 350 epochs, batch 4096, rmsprop 0.26 (paper), augment autoaugment, ema paper."


@pytest.mark.parametrize(
    "wrong", [{"optimizer": "adam"}, {"schedule": "step"}, {"augment": "v0"}, {"ema": 0.9}, {"interpolation": "cubic"}]
)
def test_what_is_no_choice_is_refused(wrong):
    with pytest.raises(InputError, match=f"{next(iter(wrong))} is .*Choose one of"):
        Recipe("mine", epochs=1, **wrong)


def test_the_papers_learning_rate_is_the_papers_at_every_step_and_shrinks_with_shorter_runs():
    recipe = RECIPES["paper"].sized(1_281_167)
    steps = 350 * round(1_281_167 / 4096)
    for step in range(0, steps, 7):
        assert recipe.rate(step, steps, 1_281_167) == paper(step, 4096)
    short = replace(recipe, epochs=35)
    for share in (0.005, 0.1, 0.5, 0.99):  # of the run: the same place on the same stairs
        assert short.rate(round(share * steps / 10), steps // 10, 1_281_167) == pytest.approx(
            recipe.rate(round(share * steps), steps, 1_281_167), rel=0.035
        )


def test_fine_tuning_is_as_long_as_few_or_many_images_need():
    lengths = {
        images: (sized := RECIPES["finetune"].sized(images)).epochs * images / sized.batch_size
        for images in (50, 500, 5000, 50_000)
    }
    assert all(200 <= steps <= 8000 for steps in lengths.values()), lengths


@pytest.mark.parametrize(
    "wrong",
    [
        {"mixup": "abc"}, {"mixup": -1}, {"layer_decay": -2}, {"layer_decay": 0}, {"unfreeze": 2.5}, {"unfreeze": -1},
        {"lr": -1}, {"area": (0.5,)}, {"area": (5, 6)}, {"patience": -3}, {"label_smoothing": 2}, {"resolution": "abc"},
        {"epochs": 2.5},
        {"shift": -3}, {"erase": 2}, {"warmup": 2}, {"weight_decay": -1}, {"magnitude": -5}, {"flip": "no"}, {"network": 5},
        {"flip": 1}, {"patience": True}, {"unfreeze": 9},
        {"freeze": 5}, {"crop": 0}, {"crop": 5}, {"name": 5}, {"found": 5}, {"area": (True, True)}, {"area": "12"},
    ],
    ids=str,
)  # fmt: skip
def test_settings_out_of_range_are_refused_by_name(wrong):
    ((name, value),) = wrong.items()
    with pytest.raises(InputError, match=f"{name} is"):
        Recipe(**{"name": "mine", "epochs": 3, **wrong})


@pytest.mark.parametrize("file", ["x.json", "X.JSON", Path("x.json")])
def test_a_file_of_a_policy_is_to_be_read_first(file):
    with pytest.raises(InputError, match=r"a file. Read it, by warmnet.data.read_policy: .*read_policy\('[xX]"):
        DIGITS.with_settings({"augment": file})


def test_a_policy_may_be_given_as_json_has_it():
    step = {"operations": ["hue"], "probability": 0.5, "strength": 0.3}
    policies = [DIGITS.with_settings({"augment": augment}).augment for augment in ([[step]], {"sub_policies": [[step]]})]
    assert policies[0] == policies[1] == Policy(((Step(("hue",), 0.5, strength=0.3),),))


def test_what_a_network_is_made_with_by_the_run_is_no_option_of_a_recipe():
    for name in "variant", "num_classes", "in_channels", "device", "seed":
        with pytest.raises(InputError, match=f"network has '{name}', which is no option of a recipe"):
            Recipe("mine", epochs=1, network={name: 1})


def test_the_name_of_a_recipe_is_no_setting():
    with pytest.raises(InputError, match="name: recipes have no such setting"):
        DIGITS.with_settings({"name": "paper"})


def test_timm_s_stairs_do_not_stretch_in_longer_runs():
    long, published = (RECIPES["timm-b0"].sized(1_281_167), replace(RECIPES["timm-b0"], epochs=900).sized(1_281_167))
    assert [long.rate(step, 450 * 10, 1) for step in range(450)] == [published.rate(step, 900 * 10, 1) for step in range(450)]


def test_images_are_evaluated_bicubic_where_they_are_trained_on_with_either_filter():
    assert Recipe("mine", epochs=1, resolution=48, interpolation="random").preprocessing == Preprocessing(48)
    assert RECIPES["timm-b0"].sized(1000).preprocessing == Preprocessing(224, 0.875, "bicubic")


def test_the_augmentation_has_the_recipes_settings():
    given = {"sampling": "part", "area": (0.1, 0.2), "shift": 0.3, "flip": True, "augment": "randaugment", "magnitude": 4}
    recipe = Recipe("mine", epochs=1, erase=0.5, interpolation="random", **given)
    assert recipe.augmentation == Augmentation(random_interpolation=True, erase=0.5, **given)
    assert not DIGITS.sized(1000).augmentation.random_interpolation


def test_an_option_of_the_network_among_settings_is_put_in_its_place():
    with pytest.raises(InputError, match=r"act: recipes have no such setting. .* network={'act': 'silu'}"):
        RECIPES["small"].with_settings({"act": "silu"})
