"""`predict` says the probability of each class of an image by the class's name, and leaves the model as it was."""

import numpy as np
import pytest
import torch
from PIL import Image
from plain_classifier import Plain

from warmnet.data.errors import ImageError
from warmnet.data.preprocessing import Preprocessing
from warmnet.deployment import ENGINES, export, exported_path, open_exported
from warmnet.deployment.probabilities import by_class, probabilities
from warmnet.errors import InputError

PIXELS = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)


@pytest.fixture
def plain():
    model = Plain("large", 3, seed=0)
    model.classes, model.preprocessing = ("cat", "dog", "cow"), Preprocessing(32)
    with torch.no_grad():
        model.classifier.weight.mul_(10)
    return model


def expected(model, image):
    with torch.no_grad():
        return dict(zip(model.classes, model.eval()(model.preprocessing(image)[None]).softmax(1)[0].tolist()))


@pytest.mark.parametrize("training", [False, True])
def test_an_image_gives_its_classes_the_most_probable_first(plain, training):
    plain.train(training)
    prediction = plain.predict(Image.fromarray(PIXELS))
    assert plain.training is training
    assert prediction == pytest.approx(expected(plain, Image.fromarray(PIXELS)))
    assert [*prediction.values()] == sorted(prediction.values(), reverse=True) and sum(prediction.values()) == pytest.approx(1)


def test_each_module_is_in_its_own_mode_again_and_statistics_are_as_they_were(plain):
    plain.train().stem.bn.eval()
    before = {name: tensor.clone() for name, tensor in plain.state_dict().items()}
    plain.predict(PIXELS)
    assert plain.training and plain.stem.conv.training and not plain.stem.bn.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in plain.state_dict().items())


def test_images_of_every_kind_alone_or_in_a_list(plain, tmp_path):
    Image.fromarray(PIXELS).save(tmp_path / "image.png")
    one = plain.predict(PIXELS)
    for image in Image.fromarray(PIXELS), tmp_path / "image.png", str(tmp_path / "image.png"):
        assert plain.predict(image) == one
    several = plain.predict([PIXELS, tmp_path / "image.png", 255 - PIXELS] * 7)
    assert len(several) == 21 and several[0] == pytest.approx(one) == several[1] and several[2] != pytest.approx(one)
    assert plain.predict([]) == [] and plain.predict([PIXELS]) == [pytest.approx(one)]


def test_an_image_in_every_form_alone_and_several_are_as_the_predictor_takes_them(plain, tmp_path):
    Image.fromarray(PIXELS).save(tmp_path / "image.png")
    export(plain, tmp_path / "n", "torch")
    predictor = open_exported(tmp_path / "n.pt2")
    path, one = tmp_path / "image.png", plain.predict(PIXELS)
    for predict in plain.predict, predictor.predict:
        for image in path, path.read_bytes(), PIXELS.astype(np.uint16) * 257:
            assert predict(image) == pytest.approx(one, abs=1e-5)
        for images in (path, PIXELS), (image for image in (path, PIXELS)), np.stack([PIXELS, PIXELS]):
            assert predict(images) == [pytest.approx(one, abs=1e-5)] * 2
        with pytest.raises(ImageError, match="missing.png"):
            predict([path, "missing.png"])
        assert predict([]) == []


@pytest.mark.parametrize("threads", [0, 2])
def test_of_many_images_a_few_batches_are_read_ahead_and_broken_ones_keep_their_places(threads):
    read = []

    def images():
        for number in range(1000):
            read.append(number)
            yield PIXELS if number % 3 else "missing.png"

    results = probabilities(images(), Preprocessing(8), lambda x: x.mean((1, 2))[:, :2], batch_size=4, threads=threads)
    first = [next(results) for _ in range(4)]
    assert [isinstance(result, ImageError) for result in first] == [True, False, False, True] and len(read) <= 4 + 2 * 4 + 1
    assert sum(isinstance(result, ImageError) for result in results) == 334 - 2


def test_a_class_name_that_two_outputs_have_gets_the_probability_of_both():
    assert by_class([0.2, 0.5, 0.3], ["crane", "cat", "crane"]) == {"cat": 0.5, "crane": 0.5}
    with pytest.raises(InputError, match="3 outputs and 2 names"):
        by_class([0.2, 0.5, 0.3], ["cat", "dog"])


def test_a_model_without_values_and_one_that_diverged_do_not_predict(plain):
    with pytest.raises(InputError, match="on 'meta' and has no values"):
        plain.to("meta").predict(PIXELS)
    diverged = Plain("large", 3, seed=0)
    diverged.preprocessing = Preprocessing(32)
    torch.nn.init.constant_(diverged.classifier.bias, torch.nan)
    with pytest.raises(InputError, match="not finite"):
        diverged.predict(PIXELS)


def test_classes_without_names_are_numbered(plain):
    plain.classes = ()
    assert sorted(plain.predict(PIXELS)) == ["class 0", "class 1", "class 2"]


def test_a_model_in_bfloat16_predicts_too(plain):
    assert sum(plain.bfloat16().predict(PIXELS).values()) == pytest.approx(1, abs=1e-2)


def test_what_it_lacks_is_said_with_what_to_do(plain):
    plain.preprocessing = None
    with pytest.raises(InputError, match=r"Plain has no preprocessing.*model\.preprocessing = "):
        plain.predict(PIXELS)
    plain.preprocessing = Preprocessing(32)
    with pytest.raises(InputError, match=r"of floats 0 is black and 1 white\. Scale them"):
        plain.predict(PIXELS.astype(np.float32))
    plain.num_classes = 0
    with pytest.raises(InputError, match="no classes: num_classes is 0"):
        plain.predict(PIXELS)


@pytest.mark.parametrize("engine", [name for name, engine in ENGINES.items() if engine.builds_quickly])
def test_it_is_exported_to_each_engine_which_predicts_the_same(plain, tmp_path, engine):
    assert export(plain, tmp_path / "n", engine).error < 1e-4
    predictor = open_exported(exported_path(tmp_path / "n", engine))
    assert predictor.predict(PIXELS) == pytest.approx(plain.predict(PIXELS), abs=1e-5)
    assert len(predictor.predict([PIXELS] * 3)) == 3


def test_a_file_of_floats_or_without_classes_does_not_predict(plain, tmp_path):
    plain.preprocessing = None
    export(plain, tmp_path / "n", "torch")
    with pytest.raises(InputError, match="Predictor has no preprocessing"):
        open_exported(tmp_path / "n.pt2").predict(PIXELS)
