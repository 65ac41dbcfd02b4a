import csv
import random

import numpy as np
import pytest
import torch
from pictures import truncate, write_digits
from PIL import Image
from sklearn.datasets import load_digits
from torch.utils.data import DataLoader

from warmnet import training
from warmnet.data.preprocessing import Preprocessing
from warmnet.errors import InputError
from warmnet.training.data import Batches, DataError, Images, augment
from warmnet.training.recipe import DIGITS, PHOTOS


def names(samples):
    return [f"{sample.image.parent.name}/{sample.image.name}" for sample in samples]


def test_digits_are_all_there_and_a_fifth_of_each_class_is_held_out():
    data = training.digits()
    assert data.classes == tuple("0123456789")
    assert len(data.train) + len(data.held_out) == 1797
    for label in range(10):
        held_out, train = (sum(sample.label == label for sample in part) for part in (data.held_out, data.train))
        assert 0 <= held_out - (held_out + train) / 5 < 1
    scans = [16 - np.asarray(sample.image) / (255 / 16) for sample in data.train + data.held_out]
    given = load_digits().images  # every scan is in one of the two parts, and nothing else is
    assert sorted(scan.round().tolist() for scan in scans) == sorted(given.tolist())


def test_a_folder_of_class_folders_holds_out_the_first_of_every_five(tmp_path):
    data = training.folder(write_digits(tmp_path / "digits", classes=(3, 7), count=11))
    assert data.name == "digits" and data.classes == ("3", "7")
    assert names(data.held_out) == [f"{c}/{n}.png" for c in (3, 7) for n in ("00", "05", "10")]
    assert len(data.train) == 16 and not {*names(data.train)} & {*names(data.held_out)}
    assert all(data.classes[sample.label] == sample.image.parent.name for sample in data.train + data.held_out)


def test_a_folder_with_train_and_val_holds_out_val(tmp_path):
    write_digits(tmp_path / "train", count=3)
    write_digits(tmp_path / "val", count=2)
    write_digits(tmp_path / "test", count=1)
    data = training.folder(tmp_path)
    assert data.classes == ("0", "1")
    assert [len(data.train), len(data.held_out)] == [6, 4]
    assert {sample.image.parts[-3] for sample in data.held_out} == {"val"}


def test_a_class_may_be_called_train(tmp_path):
    write_digits(tmp_path, count=2)
    (tmp_path / "0").rename(tmp_path / "train")
    assert training.folder(tmp_path).classes == ("1", "train")


def test_images_below_a_class_folder_count_and_other_files_are_counted(tmp_path):
    write_digits(tmp_path, count=5)
    (tmp_path / "0" / "more").mkdir()
    (tmp_path / "0" / "00.png").rename(tmp_path / "0" / "more" / "UPPER.PNG")
    (tmp_path / "1" / "notes.txt").write_text("not an image")
    (tmp_path / ".git").mkdir()
    (tmp_path / "__MACOSX").mkdir()
    (tmp_path / "1" / "._00.png").write_text("what macOS puts into archives")
    data = training.folder(tmp_path)
    assert data.classes == ("0", "1") and len(data.train + data.held_out) == 10 and not data.skipped
    assert data.ignored == 2


def test_unreadable_images_are_named_and_left_out_or_refused(tmp_path):
    write_digits(tmp_path)
    truncate(tmp_path / "0" / "03.png")
    (tmp_path / "1" / "05.png").write_text("no image")
    data = training.folder(tmp_path)
    assert len(data.train + data.held_out) == 18
    assert ["0/03.png" in data.skipped[0], "1/05.png" in data.skipped[1], len(data.skipped)] == [True, True, 2]
    with pytest.raises(DataError, match=r"0/03\.png.* and 1 more"):
        training.folder(tmp_path, strict=True)


def test_worker_processes_find_the_same_unreadable_images(tmp_path):
    write_digits(tmp_path, count=80)
    for name in ("0/03.png", "0/70.png", "1/05.png"):
        truncate(tmp_path / name)
    assert len(training.folder(tmp_path).skipped) == 3
    assert training.folder(tmp_path, workers=2) == training.folder(tmp_path)


def test_images_of_a_run_that_goes_on_are_not_decoded_again(tmp_path):
    data = training.folder(write_digits(tmp_path / "digits"))
    (tmp_path / "run").mkdir()
    with open(tmp_path / "run" / "split.csv", "w", newline="") as file:
        csv.writer(file).writerows([("part", "class", "file", "bytes"), *data.split()])
    damaged = data.train[3].image
    damaged.write_bytes(bytes(len(damaged.read_bytes())))
    assert training.folder(tmp_path / "digits", run=tmp_path / "run") == data
    assert len(training.folder(tmp_path / "digits").skipped) == 1
    damaged.write_bytes(b"shorter")
    assert len(training.folder(tmp_path / "digits", run=tmp_path / "run").skipped) == 1


def mixed(root):
    write_digits(root)
    (root / "0" / "00.png").rename(root / "loose.png")


def third_folder(root):
    for part in "train", "val", "extra":
        write_digits(root / part)


def other_classes(root):
    write_digits(root / "train", classes=(0, 1))
    write_digits(root / "val", classes=(0, 2))


def train_and_test(root):
    for part in "train", "test":
        write_digits(root / part)


def class_without_images(root):
    write_digits(root)
    (root / "dog").mkdir()


def class_of_one_image(root):
    write_digits(root)
    write_digits(root, classes=[5], count=1)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda root: root.rmdir(), "does not exist"),
        (lambda root: (root.rmdir(), root.touch()), "not a folder"),
        (lambda root: None, r"holds 0 class folders"),
        (lambda root: write_digits(root, classes=[0]), r"holds 1 class folders, \['0'\]"),
        (mixed, r"mixed.*loose\.png"),
        (third_folder, "mixed.*train and val beside extra"),
        (train_and_test, "holds test, train. What is held out is expected in .*/val, beside"),
        (other_classes, "different classes: 1, 2"),
        (class_without_images, "dog holds 0 readable images"),
        (class_of_one_image, "5 holds 1 readable images, and 2 is the least"),
    ],
)
def test_a_folder_that_cannot_be_trained_on_says_why(tmp_path, make, message):
    root = tmp_path / "photos"
    root.mkdir()
    make(root)
    with pytest.raises(DataError, match=message) as raised:
        training.folder(root)
    assert str(root) in str(raised.value)


def test_the_same_images_come_in_the_same_order_with_any_number_of_workers():
    data, recipe = training.digits(), DIGITS

    def batches(workers, seed):
        images = Images(data.train[:64], recipe.preprocessing, recipe)
        order = Batches(64, 16, seed)
        loader = DataLoader(images, batch_sampler=order, num_workers=workers)
        found = []
        for order.step in 0, 4:  # 2 epochs
            found += [x for x, _ in loader]
        return torch.stack(found)

    assert torch.equal(batches(0, seed=3), batches(2, seed=3))
    assert not torch.equal(batches(0, seed=3), batches(0, seed=4))
    first, second = batches(0, seed=3).chunk(2)
    assert not torch.equal(first, second), "another epoch is another order"


def test_digits_are_moved_by_up_to_half_a_pixel_and_never_mirrored():
    image = Image.new("RGB", (8, 8), "white")
    image.paste((0, 0, 0), (0, 2, 4, 6))  # dark on the left
    moved = [augment(image, DIGITS.preprocessing, DIGITS, random.Random(seed)) for seed in range(200)]
    red = torch.stack(moved)[:, 0]  # (200, 32, 32)
    ink = red.amax() - red
    assert (ink[:, :, 0].mean(1) > ink[:, :, -1].mean(1)).all(), "still dark on the left"
    right, bottom = ((ink.mean(axis) * torch.arange(32.0)).sum(1) / ink.mean(axis).sum(1) for axis in (1, 2))
    for place, still in (right, 7.5), (bottom, 15.5):
        assert still - 2.5 < place.min() < still - 0.5 and still + 0.5 < place.max() < still + 2.5


@pytest.mark.parametrize("images, size, world, parts", [(1433, 64, 1, 1), (1433, 64, 2, 1), (100, 32, 2, 3), (50, 7, 3, 1)])
def test_every_image_comes_once_an_epoch_whatever_the_processes_and_parts(images, size, world, parts):
    for epoch in range(2):
        steps = []
        for rank in range(world):
            batches = Batches(images, size, 5, rank, world, parts)
            batches.step = epoch * batches.steps
            dealt = list(batches)
            assert len(dealt) == len(batches) == batches.steps * parts
            steps.append([sum(dealt[i : i + parts], []) for i in range(0, len(dealt), parts)])
        whole = [sorted(sum((process[i] for process in steps), [])) for i in range(batches.steps)]
        assert sorted(index for step in whole for index, _ in step) == list(range(images))
        alone = Batches(images, size, 5)
        alone.step = epoch * alone.steps
        assert [sorted(step) for step in alone] == whole, "the same images in the same steps as in one process"
        assert [len(step) for step in whole] == [alone.size(epoch * alone.steps + i) for i in range(alone.steps)]
        assert max(map(len, whole)) - min(map(len, whole)) <= 1


def test_an_epoch_goes_on_from_any_step():
    batches = Batches(100, 16, seed=3)
    whole = list(batches)
    for step in range(batches.steps):
        batches.step = step
        assert list(batches) == whole[batches.step :] and len(batches) == batches.steps - batches.step


def test_steps_that_are_too_small_to_share_are_refused():
    with pytest.raises(InputError, match="8 images in a step are too few for 4 processes with 2 parts"):
        Batches(64, 8, seed=0, world=4, parts=2)


def test_photos_are_mirrored_half_of_the_time():
    image = Image.new("RGB", (8, 8), "white")
    image.paste((0, 0, 0), (0, 0, 4, 8))  # dark on the left
    parts = [augment(image, Preprocessing(8), PHOTOS, random.Random(seed)) for seed in range(200)]
    mirrored = sum(bool(part[:, :, 0].mean() > part[:, :, -1].mean()) for part in parts)
    assert 70 < mirrored < 130
