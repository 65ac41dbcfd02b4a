import pytest
from pictures import truncate, write_digits

from warmnet.data import DataError, folder


def names(samples):
    return [f"{sample.image.parent.name}/{sample.image.name}" for sample in samples]


def test_a_folder_of_class_folders_holds_out_the_first_of_every_five(tmp_path):
    data = folder(write_digits(tmp_path / "digits", classes=(3, 7), count=11))
    assert data.name == "digits" and data.classes == ("3", "7")
    assert names(data.held_out) == [f"{c}/{n}.png" for c in (3, 7) for n in ("00", "05", "10")]
    assert len(data.train) == 16 and not {*names(data.train)} & {*names(data.held_out)}
    assert all(data.classes[sample.label] == sample.image.parent.name for sample in data.train + data.held_out)


def test_a_folder_with_train_and_val_holds_out_val(tmp_path):
    write_digits(tmp_path / "train", count=3)
    write_digits(tmp_path / "val", count=2)
    write_digits(tmp_path / "test", count=1)
    data = folder(tmp_path)
    assert data.classes == ("0", "1")
    assert [len(data.train), len(data.held_out)] == [6, 4]
    assert {sample.image.parts[-3] for sample in data.held_out} == {"val"}


def test_a_class_may_be_called_train(tmp_path):
    write_digits(tmp_path, count=2)
    (tmp_path / "0").rename(tmp_path / "train")
    assert folder(tmp_path).classes == ("1", "train")


def test_images_below_a_class_folder_count_and_other_files_are_counted(tmp_path):
    write_digits(tmp_path, count=5)
    (tmp_path / "0" / "more").mkdir()
    (tmp_path / "0" / "00.png").rename(tmp_path / "0" / "more" / "UPPER.PNG")
    (tmp_path / "1" / "notes.txt").write_text("not an image")
    (tmp_path / ".git").mkdir()
    (tmp_path / "__MACOSX").mkdir()
    (tmp_path / "1" / "._00.png").write_text("what macOS puts into archives")
    data = folder(tmp_path)
    assert data.classes == ("0", "1") and len(data.train + data.held_out) == 10 and not data.skipped
    assert data.ignored == 2


def test_unreadable_images_are_named_and_left_out_or_refused(tmp_path):
    write_digits(tmp_path)
    truncate(tmp_path / "0" / "03.png")
    (tmp_path / "1" / "05.png").write_text("no image")
    data = folder(tmp_path)
    assert len(data.train + data.held_out) == 18
    assert ["0/03.png" in data.skipped[0], "1/05.png" in data.skipped[1], len(data.skipped)] == [True, True, 2]
    with pytest.raises(DataError, match=r"0/03\.png.* and 1 more"):
        folder(tmp_path, strict=True)


def test_worker_processes_find_the_same_unreadable_images(tmp_path):
    write_digits(tmp_path, count=80)
    for name in ("0/03.png", "0/70.png", "1/05.png"):
        truncate(tmp_path / name)
    assert len(folder(tmp_path).skipped) == 3
    assert folder(tmp_path, workers=2) == folder(tmp_path)


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
        folder(root)
    assert str(root) in str(raised.value)
