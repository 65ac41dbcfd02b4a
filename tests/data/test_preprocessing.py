import json
import struct

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_sample_images

from warmnet.data import ImageError, Preprocessing, read_image
from warmnet.data.preprocessing import CROP_MODES

CHINA = Image.fromarray(load_sample_images().images[0])  # 640x427


@pytest.mark.parametrize(
    "resolution, share",  # crop_pct of the published checkpoints, ../shared/reference/recipe.md 1.2
    [(224, 0.875), (240, 0.8824), (260, 0.8904), (300, 0.9036), (380, 0.9223), (456, 0.9344), (528, 0.9429), (600, 0.9494)],
)
def test_the_crop_is_the_papers_by_default(resolution, share):
    assert Preprocessing(resolution).crop == pytest.approx(share, abs=5e-5)


def test_an_image_is_cropped_then_resized_then_normalized():
    x = Preprocessing(224)(CHINA)
    side = int(427 * 0.875)  # 373
    left, top = 134, 27  # (640 - 373 + 1) // 2, (427 - 373 + 1) // 2
    resized = CHINA.crop((left, top, left + side, top + side)).resize((224, 224), Image.Resampling.BICUBIC)
    expected = (np.asarray(resized) / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    assert x.dtype == torch.float32 and x.shape == (3, 224, 224)
    torch.testing.assert_close(x, torch.tensor(expected, dtype=torch.float32).permute(2, 0, 1))


@pytest.mark.parametrize("mode, size", [("center", (383, 256)), ("squash", (256, 256))])
def test_an_image_is_resized_before_it_is_cropped_where_the_crop_mode_says_so(mode, size):
    resized = CHINA.resize(size, Image.Resampling.BILINEAR)  # 224 / 0.875 is 256, and 640 * 256 / 427 is 383.7
    left = round((size[0] - 224) / 2)
    pixels = Preprocessing(224, interpolation="bilinear", crop_mode=mode).pixels(CHINA)
    np.testing.assert_array_equal(pixels, resized.crop((left, 16, left + 224, 16 + 224)))


def test_it_survives_json():
    for preprocessing in Preprocessing(380), Preprocessing(32, 1.0, "lanczos", (0.5, 0.5, 0.5), (1.0, 1.0, 1.0), "squash"):
        assert Preprocessing.from_dict(json.loads(json.dumps(preprocessing.to_dict()))) == preprocessing


@pytest.mark.parametrize("size", [(1, 1), (3, 500), (500, 3), (31, 33)])
@pytest.mark.parametrize("mode", CROP_MODES)
def test_any_size_of_image_will_do(size, mode):
    x = Preprocessing(32, crop_mode=mode)(Image.new("RGB", size, (124, 116, 104)))  # ImageNet's mean
    assert x.shape == (3, 32, 32) and x.abs().max() < 0.02


def test_an_image_too_narrow_to_be_resized_whole_is_refused():
    with pytest.raises(ImageError, match="An image of 1x100000 is too narrow: .* 256x25600000 pixels"):
        Preprocessing(224, 0.875, crop_mode="center").pixels(Image.new("RGB", (1, 100_000)))


@pytest.mark.parametrize(
    "fields",
    [
        {"resolution": 0},
        {"crop": 0.0},
        {"crop": 1.5},
        {"crop": float("nan")},
        {"interpolation": "cubic"},
        {"crop_mode": "border"},
    ],
)
def test_fields_that_cannot_be_are_refused_with_their_value(fields):
    with pytest.raises(ValueError, match=str(*fields.values())):
        Preprocessing(**{"resolution": 224, **fields})


FEW_COLOURS = CHINA.resize((64, 48)).quantize(64).convert("RGB")
GREY = FEW_COLOURS.convert("L")


@pytest.mark.parametrize(
    "image, same, suffix",
    [
        (FEW_COLOURS.convert("RGBA"), FEW_COLOURS, "png"),
        (FEW_COLOURS.quantize(256), FEW_COLOURS, "gif"),
        (FEW_COLOURS.quantize(256), FEW_COLOURS, "png"),
        (FEW_COLOURS.convert("CMYK"), FEW_COLOURS, "tif"),
        (GREY, GREY, "png"),
        (GREY.convert("LA"), GREY, "png"),
        (Image.fromarray(np.asarray(GREY).astype(np.uint16) * 257), GREY, "png"),
        (Image.fromarray(np.asarray(GREY).astype(">u2") * 257), GREY, "tif"),
        (Image.fromarray(np.asarray(GREY).astype(np.int32) * 257), GREY, "tif"),
        (GREY.convert("1"), GREY.convert("1"), "png"),
    ],
    ids=lambda value: getattr(value, "mode", value),
)
def test_an_image_in_any_mode_is_the_same_picture(tmp_path, image, same, suffix):
    image.save(tmp_path / f"image.{suffix}")
    read = read_image(tmp_path / f"image.{suffix}")
    assert read.mode == "RGB"
    np.testing.assert_array_equal(read, same.convert("RGB"))


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_the_transparent_shows_white(tmp_path, mode):
    image = Image.new("RGBA", (8, 8), (0, 0, 0, 0))  # black, as drawing programs leave it, but nothing of it is seen
    image.paste((255, 0, 0, 255), (2, 2, 6, 6))
    image.convert(mode).save(tmp_path / "image.png")
    pixels = np.asarray(read_image(tmp_path / "image.png"))
    assert (pixels[0, 0] == 255).all() and not (pixels[4, 4] == 255).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photo_taken_sideways_stands_upright(tmp_path, orientation):
    stored = np.asarray(FEW_COLOURS)  # the inverse of what EXIF 2.3 says of the tag's values
    turned = {1: stored, 2: stored[:, ::-1], 3: stored[::-1, ::-1], 4: stored[::-1]}
    turned |= {value: turned[mirrored].swapaxes(0, 1) for value, mirrored in {5: 1, 6: 2, 7: 3, 8: 4}.items()}
    if orientation in (6, 8):
        turned[6], turned[8] = np.rot90(stored), np.rot90(stored, -1)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.ascontiguousarray(turned[orientation])).save(tmp_path / "image.png", exif=exif)
    np.testing.assert_array_equal(read_image(tmp_path / "image.png"), stored)


def test_exif_that_is_garbage_does_not_cost_the_image(tmp_path):
    FEW_COLOURS.save(tmp_path / "image.jpg", exif=b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + struct.pack("<H", 0x0112))
    assert read_image(tmp_path / "image.jpg").size == FEW_COLOURS.size


def test_what_is_not_an_image_is_named(tmp_path):
    CHINA.save(tmp_path / "whole.jpg")
    CHINA.save(tmp_path / "whole.png")
    for suffix in "jpg", "png":
        whole = (tmp_path / f"whole.{suffix}").read_bytes()
        for share in 0.001, 0.5, 0.9:
            (tmp_path / f"part-{share}.{suffix}").write_bytes(whole[: int(len(whole) * share)])
    (tmp_path / "text.png").write_text("no image")
    (tmp_path / "empty.png").touch()
    (tmp_path / "folder.png").mkdir()
    Image.fromarray(np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8)).save(tmp_path / "floats.tif")
    bad = ["missing.png", *(path.name for path in tmp_path.iterdir() if "whole" not in path.name)]
    assert len(bad) == 11
    for name in bad:
        with pytest.raises(ImageError, match=name):
            read_image(tmp_path / name)
