import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from pictures import truncate, write_digits
from PIL import Image

from warmnet import training
from warmnet.data import Data, Sample
from warmnet.errors import InputError


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """The report of a folder that has a bit of everything."""
    root = write_digits(tmp_path_factory.mktemp("digits"), classes=(0, 1), count=60)
    write_digits(root, classes=(2,), count=6)
    shutil.copy(root / "0" / "01.png", root / "0" / "01 copy.png")
    shutil.copy(root / "0" / "02.png", root / "1" / "58 copy.png")
    shutil.copy(root / "1" / "01.png", root / "1" / "00 copy.png")  # the first of its class, which is held out
    truncate(root / "2" / "03.png")
    Image.new("RGBA", (40, 30)).save(root / "1" / "03.png")
    Image.fromarray(np.zeros((3, 9), np.uint16)).save(root / "1" / "04.png")
    return training.report_data(training.folder(root))


@pytest.mark.parametrize("use", [training.report_data, lambda data: training.preview(data, training.DIGITS)])
def test_what_is_no_data_set_is_named(use):
    with pytest.raises(InputError, match=r"data is 'pets', and not a data set.*training.folder\('pets'\)"):
        use("pets")


def test_a_preview_is_by_a_recipe():
    with pytest.raises(InputError, match="recipe is 'small', and not a Recipe"):
        training.preview(training.digits(), "small")


def test_a_report_counts_classes_sizes_and_modes(report):
    assert [tuple(row) for row in report.classes] == [("0", 48, 13), ("1", 49, 13), ("2", 4, 1)]
    assert (report.train, report.held_out) == (101, 27)
    assert report.sizes["width"] == (8, 8, 40) and report.sizes["height"] == (3, 8, 30)
    assert [(image.file, image.width, image.height) for image in report.smallest][:1] == [("1/04.png", 9, 3)]
    assert report.kinds == {"grey": 126, "RGB with transparency": 1, "grey of more than 8 bits": 1}


def test_a_report_says_what_stands_out(report):
    advice = " ".join(report.advice)
    assert "1 image is in more than one class: 0/02.png = 1/58 copy.png." in advice
    assert "1 image is there twice, in the same class: 0/01 copy.png = 0/01.png." in advice
    assert "1 held-out image is trained on, too, so that accuracy looks better than it is: 1/01.png = 1/00 copy.png." in advice
    assert "out of balance: 1 has 49 images to train on, 2 4" in advice and "Fewer than 10 images to train on: 2." in advice
    assert len(report.skipped) == 1


def test_the_text_of_a_report_fits(report):
    many = replace(report, classes=tuple(row._replace(name=f"{'long ' * 9}{n}") for n, row in enumerate(report.classes * 20)))
    for text in report.text(60), many.text(60):
        assert max(map(len, text.splitlines())) <= 60
    lines = many.text(60).splitlines()
    assert "... 40 more" in lines and sum("█" in line for line in lines) == 20 and "2/03.png" in report.text()


def test_programs_get_all_of_a_report(report):
    fields = json.loads(json.dumps(report.to_dict()))
    assert fields["copies"]["across_classes"] == [["0/02.png", "1/58 copy.png"]]
    assert fields["classes"][2] == {"name": "2", "train": 4, "held_out": 1} and fields["sizes"]["width"]["most"] == 40
    assert fields["advice"] == report.advice and len(fields["skipped"]) == 1


def test_the_report_of_images_of_one_size_says_it_in_a_line():
    assert "all are 8x8 pixels" in training.report_data(training.digits()).text()


def test_the_picture_of_many_classes_shows_some_from_the_first_to_the_last(tmp_path):
    samples = [Sample(Image.new("L", (8, 8)), label) for label in range(100)]
    training.plot_classes(Data("many", tuple(map(str, range(100))), samples, samples), tmp_path / "grid.png")
    assert Image.open(tmp_path / "grid.png").height < 1600, "48 images in rows of 8"
