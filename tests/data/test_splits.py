import pytest
from pictures import write_digits

from warmnet.data import DataError, folder
from warmnet.data.splits import part_of, parts_of, words_in

SPELLED = {
    "train": ["train", "Train", "TRAIN", "training", "Training", "trainset", "train_set", "training-set", "train2017",
              "train_1", "train-split", "train data", "training_images", "trainval"],
    "val": ["val", "Val", "valid", "validation", "dev", "val2017", "validset", "dev-set", "Validation_Set", "validate",
            "holdout", "hold_out", "heldout"],
    "test": ["test", "Test", "testing", "testset", "test_set", "test1", "evaluation"],
    "": ["cat", "trains", "trainer", "freight_train", "invalid", "value", "valley", "device", "tests", "latest", "testament",
         "contest", "retrain", "2017", ""],
}  # fmt: skip


@pytest.mark.parametrize("part, name", [(part, name) for part, names in SPELLED.items() for name in names])
def test_a_part_is_spelled_in_many_ways(part, name):
    assert part_of(name) == part


@pytest.mark.parametrize(
    "names, parts",
    [
        (["seg_train", "seg_test", "seg_pred"], {"seg_train": "train", "seg_test": "test"}),
        (["imagenet-train", "imagenet-val"], {"imagenet-train": "train", "imagenet-val": "val"}),
        (["freight_train", "freight_car"], {}),
        (["blood_test", "blood_sample"], {}),
        (["train", "trolley"], {"train": "train"}),
        (["train_pets", "val_pets", "docs"], {"train_pets": "train", "val_pets": "val"}),
        (["train-clean", "test-clean"], {"train-clean": "train", "test-clean": "test"}),
        (["mytrain", "mytest"], {"mytrain": "train", "mytest": "test"}),
        (["trainA", "testA"], {"trainA": "train", "testA": "test"}),
        (["pets_training_set", "pets_holdout"], {"pets_training_set": "train", "pets_holdout": "val"}),
        (["test-run-train-0", "test-run-val-1"], {"test-run-train-0": "train", "test-run-val-1": "val"}),
        (
            ["train_val_split-train-0", "train_val_split-val-0"],
            {"train_val_split-train-0": "train", "train_val_split-val-0": "val"},
        ),
        (["imagenetTrain-0", "imagenetVal-0"], {"imagenetTrain-0": "train", "imagenetVal-0": "val"}),
        (["train_station", "test_tube"], {}),
        (["trainer", "tester", "cat"], {}),
        (["pets_trainset", "pets_test"], {"pets_trainset": "train", "pets_test": "test"}),
    ],
)
def test_a_name_that_differs_from_others_by_the_word_alone_says_a_part(names, parts):
    assert parts_of(names) == parts


@pytest.mark.parametrize(
    "name, parts",
    [
        ("train-000", {"train"}), ("imagenet1k-train-0001", {"train"}), ("imagenet1k-validation-0001", {"val"}),
        ("Train_00", {"train"}), ("val2017_00", {"val"}), ("cifar.test.3", {"test"}), ("cats-dev-1-of-9", {"val"}),
        ("imagenetTrain-0", {"train"}), ("TRAIN0", {"train"}), ("shard-000", set()), ("trainer-0", set()),
        ("train-test-0", {"train", "test"}),
    ],
)  # fmt: skip
def test_words_of_parts_are_found_in_names(name, parts):
    assert words_in(name) == parts


def write_parts(root, *names, **counts):
    for name in names:
        write_digits(root / name, count=counts.get(name, 2))
    return root


def parts(data):
    return [sorted({sample.image.parts[-3] for sample in samples}) for samples in (data.train, data.held_out)]


@pytest.mark.parametrize(
    "train, held_out",
    [("train", "val"), ("Train", "Valid"), ("training", "validation"), ("train", "dev"), ("TRAIN", "TEST"),
     ("training_set", "test_set"), ("train2017", "val2017"), ("seg_train", "seg_test"), ("trainset", "testing"),
     ("train_pets", "val_pets"), ("mytrain", "mytest"), ("train", "holdout"), ("train", "validate")],
)  # fmt: skip
def test_a_part_to_train_on_and_one_to_hold_out_are_no_classes(tmp_path, train, held_out):
    data = folder(write_parts(tmp_path, train, held_out))
    assert data.classes == ("0", "1") and parts(data) == [[train], [held_out]]


def test_test_beside_val_is_left_alone_and_that_is_said(tmp_path):
    data = folder(write_parts(tmp_path, "train", "Valid", "test"))
    assert parts(data) == [["train"], ["Valid"]] and data.notes == ("Left alone, beside Valid: test, 4 images.",)


def test_test_by_itself_is_held_out_and_that_is_said(tmp_path):
    data = folder(write_parts(tmp_path, "Train", "Test"))
    assert parts(data) == [["Train"], ["Test"]] and data.notes == ("Held out, since there is no val: Test.",)


def test_of_train_by_itself_a_share_is_held_out_and_that_is_said(tmp_path):
    data = folder(write_parts(tmp_path, "train", train=5))
    assert data.classes == ("0", "1") and parts(data) == [["train"], ["train"]] and len(data.held_out) == 2
    assert data.notes == ("There is no val: a share of train is held out.",)


def test_images_without_classes_beside_train_are_left_alone_and_that_is_said(tmp_path):
    write_parts(tmp_path, "train", "val")
    (write_digits(tmp_path / "more", classes=[0]) / "0").rename(tmp_path / "test")
    (tmp_path / "more").rename(tmp_path / "annotations")
    data = folder(tmp_path)
    assert parts(data) == [["train"], ["val"]]
    assert data.notes == (
        "Left alone, since it holds no images: annotations.",
        "Left alone, since its 10 images are in no class folders: test.",
    )


@pytest.mark.parametrize("name", ["train", "test", "Valid"])
def test_a_class_may_be_called_like_a_part_and_that_is_said(tmp_path, name):
    write_digits(tmp_path, count=2)
    (tmp_path / "0").rename(tmp_path / name)
    data = folder(tmp_path)
    assert data.classes == tuple(sorted(("1", name))) and data.notes[0].startswith("Read as a class") and name in data.notes[0]


def test_images_beside_the_parts_are_counted(tmp_path):
    write_parts(tmp_path, "train", "val")
    (tmp_path / "stray.png").write_bytes((tmp_path / "train/0/00.png").read_bytes())
    assert folder(tmp_path).left_out == {"images beside the parts": 1}


def test_images_without_classes_beside_both_parts_are_left_alone_and_that_is_said(tmp_path):
    write_parts(tmp_path, "train", "val")
    (write_digits(tmp_path, classes=[7]) / "7").rename(tmp_path / "Meta")
    data = folder(tmp_path)
    assert parts(data) == [["train"], ["val"]]
    assert data.notes == ("Left alone, since its 10 images are in no class folders: Meta.",)


def test_a_val_that_is_empty_is_left_alone_and_that_is_said(tmp_path):
    write_parts(tmp_path, "train")
    (tmp_path / "val").mkdir()
    assert "Left alone, since it holds no images: val." in folder(tmp_path).notes


def train_beside_classes(root):
    write_digits(root / "Train")
    write_digits(root, classes=(7,))


def loose_train(root):
    write_digits(root / "val")
    (write_digits(root, classes=(7,)) / "7").rename(root / "train")


def empty_train(root):
    write_digits(root / "val")
    (root / "train").mkdir()


def stray_images(root):
    write_parts(root, "train", "val")
    for name in "train/stray.png", "val/stray.png":
        (root / name).write_bytes((root / "train/0/00.png").read_bytes())
    (write_digits(root, classes=(7,)) / "7").rename(root / "docs")


def flat_parts_beside_another(root):
    images_without_classes(root)
    (write_digits(root, classes=(7,)) / "7").rename(root / "extra")


def parts_in_the_last_class(root):
    write_digits(root, classes=(7,))
    (root / "7").rename(root / "aaa")
    parts_in_classes(root)


def detection(root):
    for part in "train", "val":
        (root / "labels" / part).mkdir(parents=True)
        (write_digits(root / "images", classes=[0]) / "0").rename(root / "images" / part)


def two_names_of_one_part(root):
    write_parts(root, "trainA", "trainB", "testA", "testB")


def unlike_names(root):
    write_parts(root, "imagenet_train", "places_val")


def images_without_classes(root):
    for part in "train", "test":
        (write_digits(root, classes=[0]) / "0").rename(root / part)


def parts_in_classes(root):
    for name in "cat", "dog":
        for part in "train", "val":
            (write_digits(root / name, classes=[0]) / "0").rename(root / name / part)


def other_classes(root):
    write_digits(root / "train", classes=(0, 1, 2))
    write_digits(root / "val", classes=(0, 1, 3))


def subset(root):
    write_digits(root / "train", classes=(0, 1, 2))
    write_digits(root / "val", classes=(0, 1))


def other_case(root):
    for part, name in ("train", "Cat"), ("val", "cat"):
        write_digits(root / part)
        (root / part / "0").rename(root / part / name)


def nested(root):
    write_digits(root / "train" / "train")
    write_digits(root / "val" / "val")


@pytest.mark.parametrize(
    "make, message",
    [
        (
            train_beside_classes,
            "two ways: Train as train, and then move 7 elsewhere; or 7, Train as classes, and then rename Train, .* class_1",
        ),
        (
            lambda root: write_parts(root, "train", "val", "extra"),
            "two ways: train as train and val as val, and then move extra elsewhere",
        ),
        (
            lambda root: write_parts(root, "train", "training", "val"),
            "holds train and training, which both are spelled like train",
        ),
        (lambda root: write_parts(root, "train", "val", "dev"), "holds dev and val, which both are spelled like val"),
        (lambda root: write_parts(root, "val", "test"), "test and val can be held out, and nothing is spelled like train"),
        (loose_train, "train holds 10 images, and no class folders"),
        (empty_train, "train holds 0 images, and no class folders"),
        (images_without_classes, "holds test and train, and no class folders in them"),
        (
            flat_parts_beside_another,
            "no class folders in them.*If they are classes, rename test, train, such as to class_1 and class_2",
        ),
        (stray_images, "train is mixed: it holds images beside its class folders, such as stray.png"),
        (parts_in_the_last_class, "cat holds train and val. Put the classes into the parts: .*/train/cat, .*/val/cat"),
        (detection, "images holds train and val. If these are the parts, name the folder that they are in"),
        (two_names_of_one_part, "holds trainA and trainB, which both are spelled like train"),
        (unlike_names, "imagenet_train, places_val, which can be read in two ways"),
        (parts_in_classes, "cat holds train and val. Put the classes into the parts: .*/train/cat, .*/val/cat"),
        (other_classes, "different classes: 2 in .*train alone; 3 in .*val alone"),
        (subset, "different classes: 2 in .*train alone. Both need"),
        (other_case, "The class Cat of .*train is spelled cat in .*val"),
        (
            lambda root: write_digits(root / "train", [0]),
            r"train holds 1 class folders.*/train/cat/1.jpg, .*/train/dog/1.jpg.$",
        ),
        (nested, "train holds 1 class folders.*name it: .*train/train"),
    ],
)
def test_parts_that_cannot_be_read_say_why(tmp_path, make, message):
    make(tmp_path)
    with pytest.raises(DataError, match=message):
        folder(tmp_path)


def test_a_class_is_one_in_both_forms_of_unicode(tmp_path):
    for part, name in ("train", "caf\N{LATIN SMALL LETTER E WITH ACUTE}"), ("val", "cafe\N{COMBINING ACUTE ACCENT}"):
        write_digits(tmp_path / part, count=2)
        (tmp_path / part / "0").rename(tmp_path / part / name)
    data = folder(tmp_path)
    assert data.classes == ("1", "caf\N{LATIN SMALL LETTER E WITH ACUTE}") and parts(data) == [["train"], ["val"]]


def test_classes_that_differ_in_case_only_are_said(tmp_path):
    write_digits(tmp_path, count=2)
    (tmp_path / "0").rename(tmp_path / "A")
    (tmp_path / "1").rename(tmp_path / "a")
    data = folder(tmp_path)
    assert data.classes == ("A", "a") and data.notes == ("Classes that differ in case only: A and a.",)
