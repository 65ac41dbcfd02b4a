"""An explanation is what `predict` says, with maps for the first two classes; its picture is readable for any names."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from figure_texts import check_texts, texts_of
from PIL import Image

import warmnet
from warmnet.errors import InputError
from warmnet.inspection import Explanation

CAT = Path(__file__).parents[2] / "docs" / "cat.jpg"
LONG = [f"a rather long name of a class, number {n}, in a garden with trees" for n in range(1000)]
NAMES = {
    "one": ["cat"],
    "two": ["cat", "dog"],
    "ten": [*"0123456789"],
    "1,000 long": LONG,
    "any script": ["猫" * 30, "قطة", r"$\oops$", "बिल्ली", "\U0010fffd", "", "a\nb"],
}


def network(classes, seed=0):
    stages = (warmnet.Stage(size=16, expand=2, kernel=5, stride=2, repeat=1),)
    small = warmnet.Variant(1.0, 1.0, 32, 0.2)
    model = warmnet.WarmEfficientNet(small, len(classes), seed=seed, stages=stages, stem=8, head=32)
    model.classes, model.preprocessing = tuple(classes), warmnet.data.Preprocessing(32)
    return model


def test_an_explanation_is_the_prediction_with_the_grad_cam_of_its_first_two_classes():
    model = network("abc")
    explanation = warmnet.explain(model, CAT)
    assert explanation.probabilities == pytest.approx(model.predict(CAT), abs=1e-6)
    assert [*explanation.maps] == [*explanation.probabilities][:2] and explanation.block == "head"
    x = model.preprocessing(CAT)[None]
    for name, cam in explanation.maps.items():
        torch.testing.assert_close(cam, warmnet.grad_cam(model, x, model.classes.index(name))[0])
    assert np.array_equal(explanation.image, model.preprocessing.pixels(CAT)) and explanation.image.size == (32, 32)
    assert repr(explanation).startswith(f"Explanation({[*explanation.maps][0]} ") and model.training


def test_of_classes_with_one_name_the_most_probable_is_explained():
    model = network(["crane", "crane", "cat"])
    with torch.no_grad():
        model.classifier.bias[:] = torch.tensor([0.0, 9.0, 1.0])
    explanation = warmnet.explain(model, CAT)
    assert [*explanation.maps] == ["crane", "cat"]
    torch.testing.assert_close(explanation.maps["crane"], warmnet.grad_cam(model, model.preprocessing(CAT)[None], 1)[0])


def test_classes_without_names_have_numbers():
    model = network("ab")
    model.classes = ()
    assert {*warmnet.explain(model, CAT).maps} == {"class 0", "class 1"}


def test_what_cannot_be_explained_says_what_to_do():
    with pytest.raises(InputError, match="none.jpg: No such file"):
        warmnet.explain(network("ab"), "none.jpg")
    model = network("ab")
    model.preprocessing = None
    with pytest.raises(InputError, match="no preprocessing"):
        warmnet.explain(model, CAT)
    grey = warmnet.WarmEfficientNet(warmnet.Variant(0.2, 0.2, 32, 0.2), 2, in_channels=1, stages=warmnet.STAGES[:1])
    grey.preprocessing = warmnet.data.Preprocessing(32)
    with pytest.raises(InputError, match="built with in_channels=1, and.*model\\(x\\)"):
        warmnet.explain(grey, CAT)


def test_a_model_that_is_no_classifier_of_warmnet_is_refused_and_a_wrapped_one_is_not():
    for model, message in (torch.nn.Sequential(), "Sequential is none of warmnet's classifiers"), ("lite0", "model is 'lite0'"):
        with pytest.raises(InputError, match=message):
            warmnet.explain(model, CAT)
    expected, found = warmnet.explain(network("abc"), CAT), warmnet.explain(torch.nn.DataParallel(network("abc")), CAT)
    assert found.probabilities == expected.probabilities and {expected, found} == {found, expected}


def test_the_picture_is_written_as_png_alone(tmp_path):
    explanation = explanation_of(["cat", "dog"])
    explanation.save(tmp_path / "x.PNG")
    assert Image.open(tmp_path / "x.PNG").format == "PNG"
    with pytest.raises(InputError, match="x.jpg does not end in .png"):
        explanation.save(tmp_path / "x.jpg")


def explanation_of(names):
    shares = {name: 0.5 / 2**n for n, name in enumerate(names)}
    cams = [torch.ones(32, 32), torch.zeros(32, 32)]
    image = Image.new("RGB", (32, 32), "grey")
    return Explanation(image, tuple(names), shares, "stage_6.mb_block_4.depthwise.conv", dict(zip(names, cams)))


@pytest.mark.parametrize("names", NAMES.values(), ids=NAMES)
def test_no_text_of_the_picture_lies_on_another(names, recwarn):
    figure = explanation_of(names).figure()
    check_texts(figure)
    texts = [text for text, _ in texts_of(figure)]
    assert ("no signs of it" in texts) == (len(names) > 1), "where a map is 0 everywhere"
    assert sum(text.endswith("%") for text in texts) == min(5, len(names))
    assert not recwarn.list


def test_the_picture_shows_in_a_notebook_as_it_is_saved(tmp_path):
    explanation = explanation_of(["cat", "dog"])
    explanation.save(tmp_path / "cat.png")
    shown = Image.open(io.BytesIO(explanation._repr_png_()))
    assert np.array_equal(shown, Image.open(tmp_path / "cat.png")) and shown.width > 1000
