import shutil

from pictures import write_digits

from warmnet.data import folder
from warmnet.data.copies import find_copies, held_out_copies
from warmnet.data.split_csv import split_of


def names(groups):
    return [[row.facts.file for row in copies] for copies in groups]


def test_copies_are_found_by_their_content_across_parts_and_classes_and_within_a_class(tmp_path):
    train, val = tmp_path / "train", tmp_path / "val"
    write_digits(train)
    write_digits(val, skip=10)
    assert not any(find_copies(split_of(folder(tmp_path)))) and not held_out_copies(folder(tmp_path))

    shutil.copy(train / "0" / "03.png", val / "0" / "leaked.png")
    shutil.copy(train / "0" / "04.png", train / "1" / "other class.png")
    shutil.copy(train / "1" / "05.png", train / "1" / "again.png")
    shutil.copy(train / "1" / "06.png", val / "0" / "leaked into another class.png")
    data = folder(tmp_path)
    copies = find_copies(split_of(data))
    assert names(copies.across_parts) == [
        ["train/0/03.png", "val/0/leaked.png"], ["train/1/06.png", "val/0/leaked into another class.png"],
    ]  # fmt: skip
    assert names(copies.across_classes) == [["train/0/04.png", "train/1/other class.png"], names(copies.across_parts)[1]]
    assert names(copies.within_class) == [["train/1/05.png", "train/1/again.png"]]
    assert {sample.image.name for sample in held_out_copies(data)} == {"leaked.png", "leaked into another class.png"}
