import os
import unicodedata

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


def test_other_files_are_counted_by_kind_and_no_class(tmp_path):
    write_digits(tmp_path, count=5)
    (tmp_path / "1" / "notes.txt").write_text("not an image")
    (tmp_path / "README.md").touch()
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "HEAD").touch()
    (tmp_path / "1" / "._00.png").write_text("what macOS puts into archives")
    data = folder(tmp_path)
    assert data.classes == ("0", "1") and len(data.train + data.held_out) == 10 and not data.skipped
    assert data.left_out == {".txt": 1, ".md": 1, "hidden": 1, "in .git": 1}


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


def class_without_images(root):
    write_digits(root)
    (root / "dog").mkdir()


def class_of_phone_images(root):
    class_without_images(root)
    (root / "dog" / "IMG_0001.HEIC").write_bytes(b"\x00\x00\x00\x18ftypheic")


def flat(root):
    write_digits(root, classes=[0], count=2)
    for path in (root / "0").iterdir():
        path.rename(root / path.name)
    (root / "0").rmdir()


def wrapped(root):
    write_digits(root / "digits")


def tars(root):
    (root / "train-0.tar").touch()


def two_unicode_forms(root):
    for form in "NFC", "NFD":
        (write_digits(root, classes=[0]) / "0").rename(root / unicodedata.normalize(form, "é"))


def not_utf_8(root):
    write_digits(root)
    (root / "0").rename(root / os.fsdecode(b"caf\xe9"))


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
        (flat, r"holds 0 class folders.* It holds 2 images: .* --labels"),
        (wrapped, "holds 1 class folders.* name it: .*photos/digits"),
        (tars, r"holds 0 class folders.* Shards are named themselves: '.*/\*\.tar'"),
        (class_without_images, "the class dog has 0 readable images"),
        (class_of_phone_images, r"the class dog has 0 readable images.* Left out: 1 \.heic \(convert them to JPEG\)"),
        (class_of_one_image, "the class 5 has 1 readable images, and 2 is the least"),
        (two_unicode_forms, "holds two folders called é, in two Unicode forms"),
        (not_utf_8, r"the class 'caf\\udce9' is not UTF-8. Rename it"),
    ],
)
def test_a_folder_that_cannot_be_trained_on_says_why(tmp_path, make, message):
    root = tmp_path / "photos"
    root.mkdir()
    make(root)
    with pytest.raises(DataError, match=message) as raised:
        folder(root)
    assert str(root) in str(raised.value)


@pytest.mark.parametrize("share, held_out", [(0.01, 1), (0.1, 2), (0.2, 3), (0.5, 6), (0.99, 10)])
def test_a_share_of_each_class_is_held_out_and_leaves_some(tmp_path, share, held_out):
    data = folder(write_digits(tmp_path, count=11), val_share=share)
    assert [sample.label for sample in data.held_out].count(0) == held_out
    assert {sample.label for sample in data.train} == {sample.label for sample in data.held_out} == {0, 1}
    assert folder(tmp_path, val_share=share) == data


@pytest.mark.parametrize("share", [1, -0.2, 20, float("nan")])
def test_a_share_that_leaves_nothing_is_refused(tmp_path, share):
    with pytest.raises(DataError, match="at least 0, none, and below 1"):
        folder(write_digits(tmp_path), val_share=share)


def test_another_folder_is_held_out_by_the_names_of_its_classes(tmp_path):
    write_digits(tmp_path / "pets", classes=(3, 7))
    write_digits(tmp_path / "other", classes=(7, 3), count=2)
    data = folder(tmp_path / "pets", val=tmp_path / "other")
    assert len(data.train) == 20 and names(data.held_out) == ["3/00.png", "3/01.png", "7/00.png", "7/01.png"]
    assert [data.classes[sample.label] for sample in data.held_out] == ["3", "3", "7", "7"]


def test_a_folder_to_hold_out_goes_before_the_folders_own(tmp_path):
    for part in "train", "val", "test":
        write_digits(tmp_path / part, count=2)
    data = folder(tmp_path, val=tmp_path / "test")
    assert {sample.image.parts[-3] for sample in data.held_out} == {"test"} and len(data.train) == 4
    assert data.notes == (f"Left alone, since {tmp_path / 'test'} is held out: val, 4 images.",)


def test_a_folder_without_train_says_so_whatever_is_held_out(tmp_path):
    write_digits(tmp_path / "pets" / "val")
    with pytest.raises(DataError, match="nothing is spelled like train. Name what to train on"):
        folder(tmp_path / "pets", val=write_digits(tmp_path / "other"))


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda root: {"val": root / "gone"}, "gone does not exist"),
        (lambda root: {"val": ""}, "The name of a folder is empty"),
        (lambda root: {"val": root}, "pets is to be held out, and trained on"),
        (
            lambda root: {"val": write_digits(root.parent / "v", classes=(0, 2))},
            "different classes: 1 in .* alone; 2 in .*/v alone",
        ),
        (lambda root: {"val": write_digits(root.parent / "v" / "train").parent}, "v holds parts of a data set. Name the one"),
        (
            lambda root: {"val": write_digits(root.parent / "v"), "val_share": 0.1},
            "v is held out already, and not a share of 0.1.*train on .*pets alone",
        ),
        (lambda root: {"val": write_digits(root.parent / "v"), "labels": root / "l.csv"}, "held out in a column split"),
    ],
)
def test_what_cannot_be_held_out_says_why(tmp_path, make, message):
    root = write_digits(tmp_path / "pets")
    with pytest.raises(DataError, match=message):
        folder(root, **make(root))


def test_files_whose_names_are_no_text_are_images_like_all(tmp_path):
    write_digits(tmp_path, count=2)
    (tmp_path / "0" / "00.png").rename(tmp_path / "0" / os.fsdecode(b"caf\xe9 \xff.png"))
    assert len(folder(tmp_path, workers=1).train) == 2


@pytest.mark.parametrize(
    "name",
    [
        "Gr\N{LATIN SMALL LETTER U WITH DIAERESIS}ner\N{NO-BREAK SPACE}Apfel",
        "\u0645\u06cc\u200c\u062e",
        "\N{WOMAN}\u200d\N{ROCKET}",
    ],
)
def test_classes_are_called_what_unicode_has(tmp_path, name):
    (write_digits(tmp_path, count=2) / "0").rename(tmp_path / name)
    assert name in folder(tmp_path).classes


def test_a_class_with_control_characters_is_refused(tmp_path):
    (write_digits(tmp_path, count=2) / "0").rename(tmp_path / "a\nb")
    with pytest.raises(DataError, match="has control characters"):
        folder(tmp_path)


def test_a_folder_that_was_moved_says_how_its_run_goes_on(tmp_path):
    with pytest.raises(
        DataError, match="pets does not exist. If it was moved, name where it is now: warmnet train FOLDER --resume"
    ):
        folder(tmp_path / "pets", run=tmp_path / "runs" / "pets-1")
