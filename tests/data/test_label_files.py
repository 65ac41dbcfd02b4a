import csv

import pytest
from pictures import write_digits

from warmnet.data import DataError, folder
from warmnet.data.label_files import read_labels


def flat(root, count=4):
    """Images 3-00.png, 7-00.png, ... in one folder."""
    root.mkdir(parents=True)
    source = write_digits(root / "source", classes=(3, 7), count=count)
    for path in sorted(source.rglob("*.png")):
        path.rename(root / f"{path.parent.name}-{path.name}")
        if not any(path.parent.iterdir()):
            path.parent.rmdir()
    source.rmdir()
    return root


def rows_of(root):
    return [(path.name, {"3": "three", "7": "seven"}[path.name[0]]) for path in sorted(root.glob("*.png"))]


def write(path, text, encoding="utf-8"):
    path.write_bytes(text.encode(encoding))
    return path


def labelled(data):
    return sorted((sample.image.name, data.classes[sample.label]) for sample in data.train + data.held_out)


def lines(rows, delimiter=",", end="\n", header=()):
    return "".join(delimiter.join(row) + end for row in [*([header] if header else []), *rows])


@pytest.mark.parametrize(
    "header", [(), ("file", "label"), ("image_id", "breed"), ("Image", "Id"), ("File Name", "what it is"), ("id", "category")]
)
@pytest.mark.parametrize("delimiter, end, encoding", [(",", "\n", "utf-8"), (";", "\r\n", "utf-8-sig"), ("\t", "\r", "utf-16")])
def test_a_file_of_names_and_classes_says_the_classes(tmp_path, header, delimiter, end, encoding):
    root = flat(tmp_path / "images")
    labels = write(tmp_path / "labels.csv", lines(rows_of(root), delimiter, end, header) + end, encoding)
    data = folder(root, labels=labels)
    assert data.classes == ("seven", "three") and labelled(data) == rows_of(root) and len(data.held_out) == 2
    assert data.name == "images" and not data.notes and not data.left_out


@pytest.mark.parametrize(
    "rename", [lambda n: n[:-4], lambda n: f"./{n}", lambda n: f"images/{n}", lambda n: f"images\\{n[:-4]}"]
)
def test_names_may_lack_their_suffix_and_be_relative_to_the_csv_file(tmp_path, rename):
    root = flat(tmp_path / "images")
    labels = write(tmp_path / "labels.csv", lines([(rename(name), label) for name, label in rows_of(root)]))
    assert labelled(folder(root, labels=labels)) == rows_of(root)


def test_columns_may_stand_in_any_order_beside_others_which_are_named(tmp_path):
    root = flat(tmp_path / "images")
    rows = [(str(n), label, "12.5, or so", name) for n, (name, label) in enumerate(rows_of(root))]
    with open(tmp_path / "labels.csv", "w", newline="") as file:
        csv.writer(file).writerows([("", "class", "age", "path"), *rows])
    data = folder(root, labels=tmp_path / "labels.csv")
    assert labelled(data) == rows_of(root) and data.notes == ("Columns of labels.csv that are not used: age.",)


@pytest.mark.parametrize("names", [("train", "val"), ("Training", "Validation"), ("train", "test"), ("False", "True")])
def test_a_column_says_what_is_held_out(tmp_path, names):
    root = flat(tmp_path / "images")
    rows = [(*row, names["-03" in row[0]]) for row in rows_of(root)]
    data = folder(root, labels=write(tmp_path / "l.csv", lines(rows, header=("file", "label", "is_valid"))))
    assert [sample.image.name for sample in data.held_out] == ["3-03.png", "7-03.png"] and len(data.train) == 6
    assert data == folder(root, labels=write(tmp_path / "l.csv", lines(rows)))


@pytest.mark.parametrize(
    "first", [("3-00", "class_1"), ("3-00.png", "name"), ("3-00.png", "label"), ("3-00.png", "set_1"), ("img_001", "cat")]
)
def test_a_first_row_that_names_a_file_is_no_header(tmp_path, first):
    root = flat(tmp_path / "images")
    (root / "7-00.png").rename(root / "img_001.png")
    rows = [first, *[(f"{c}-0{n}.png", c) for c in "37" for n in (1, 2, 3)]]
    found = read_labels(root, write(tmp_path / "l.csv", lines(rows)))
    assert (first[0].removesuffix(".png"), first[1]) in [(path.stem, name) for path, name in found.train]


@pytest.mark.parametrize("file", ["image", "name"])
def test_files_are_in_the_column_whose_values_are_files(tmp_path, file):
    root = flat(tmp_path / "images")
    rows = rows_of(root)
    for number, (name, _) in enumerate(rows):
        (root / name).rename(root / f"{number}.png")
    rows = [(str((number + 1) % 8), f"{number}.png", label) for number, (_, label) in enumerate(rows)]
    found = read_labels(root, write(tmp_path / "l.csv", lines(rows, header=("id", file, "label"))))
    assert [(path.name, label) for path, label in found.train] == [row[1:] for row in rows]
    assert found.notes == ["Columns of l.csv that are not used: id."]


@pytest.mark.parametrize("header", [("class_id", "class_name"), ("target", "category"), ("class", "species")])
def test_names_of_classes_go_before_their_numbers(tmp_path, header):
    root = flat(tmp_path / "images")
    rows = [(name, "0" if label == "three" else "1", label) for name, label in rows_of(root)]
    data = folder(root, labels=write(tmp_path / "l.csv", lines(rows, header=("file", *header))))
    assert data.classes == ("seven", "three")


@pytest.mark.parametrize(
    "names, header",
    [
        (("0", "1"), ("fname", "label", "is_valid")),
        (("0.0", "1.0"), ("fname", "label", "is_valid")),
        (("train", "valid"), ("filepaths", "labels", "data set")),
    ],
)
def test_the_columns_of_well_known_files_are_known(tmp_path, names, header):
    root = flat(tmp_path / "images")
    rows = [(*row, names["-03" in row[0]]) for row in rows_of(root)]
    data = folder(root, labels=write(tmp_path / "l.csv", lines(rows, header=header)))
    assert [sample.image.name for sample in data.held_out] == ["3-03.png", "7-03.png"] and not data.notes


@pytest.mark.parametrize("before, delimiter", [("sep=;\r\n", ";"), ("sep=,\n", ","), ("\n\r\n", ";")])
def test_lines_before_the_header_do_not_count(tmp_path, before, delimiter):
    root = flat(tmp_path / "images")
    labels = write(tmp_path / "l.csv", before + lines(rows_of(root), delimiter, header=("file", "label")))
    assert labelled(folder(root, labels=labels)) == rows_of(root)


def test_images_without_a_class_are_left_out_and_counted(tmp_path):
    root = flat(tmp_path / "images", count=5)
    rows = rows_of(root)
    data = folder(root, labels=write(tmp_path / "l.csv", lines([(rows[0][0], " "), *rows[1:], ("gone.png", "")])))
    assert labelled(data) == rows[1:] and data.left_out == {"that l.csv gives no class": 1}


def test_classes_that_are_whole_numbers_with_a_point_are_numbers(tmp_path):
    root = flat(tmp_path / "images")
    rows = [(name, "0.0" if label == "three" else "10.0") for name, label in rows_of(root)]
    assert folder(root, labels=write(tmp_path / "l.csv", lines(rows))).classes == ("0", "10")


def test_names_may_be_relative_to_the_current_folder(tmp_path, monkeypatch):
    root = flat(tmp_path / "data" / "images")
    monkeypatch.chdir(tmp_path)
    rows = [(f"data/images/{name}", label) for name, label in rows_of(root)]
    assert labelled(folder(root, labels=write(root / "l.csv", lines(rows)))) == rows_of(root)


def test_files_in_another_folder_are_said_once(tmp_path):
    root = flat(tmp_path / "pets" / "train").parent
    labels = write(root / "l.csv", lines(rows_of(root / "train")))
    with pytest.raises(
        DataError, match=f"relative to {root} or to .*One of that name is {root}/train/3-00.png: name"
    ) as raised:
        folder(root, labels=labels)
    assert str(raised.value).count(f"to {root} or") == 1 and f"or to {root}" not in str(raised.value)


def test_the_file_may_lie_in_the_folder(tmp_path):
    root = flat(tmp_path / "images")
    write(root / "of-images.csv", lines(rows_of(root)))
    assert labelled(folder(root, labels="of-images.csv")) == rows_of(root)


def test_numbers_are_sorted_as_numbers(tmp_path):
    root = flat(tmp_path / "images", count=22)
    rows = [(path.name, str(n % 11)) for n, path in enumerate(sorted(root.iterdir()))]
    assert folder(root, labels=write(tmp_path / "l.csv", lines(rows))).classes == tuple(map(str, range(11)))


def test_images_that_the_file_does_not_name_are_counted_and_equal_rows_are_one(tmp_path):
    root = flat(tmp_path / "images", count=5)
    rows = rows_of(root)
    data = folder(root, labels=write(root / "l.csv", lines([*rows[1:], rows[1]])))
    assert labelled(data) == rows[1:] and data.left_out == {".csv": 1, "that l.csv does not name": 1}


ROWS = [(f"{c}-0{n}.png", c) for c in "37" for n in range(4)]


@pytest.mark.parametrize(
    "text, message",
    [
        ("", r"l\.csv is empty"),
        (
            lines([*ROWS, ("gone.png", "3"), ("lost.png", "3")]),
            "names 2 files of 10 that are not there, such as gone.png on line 9",
        ),
        (lines([*ROWS, ("3-00.png", "7")]), "3-00.png is 3 on line 1 and 7 on line 9"),
        (lines([*ROWS, ("3-00", "7")]), "3-00 is 3 on line 1 and 7 on line 9"),
        (
            lines([(f"{n}", *row, row[1]) for n, row in enumerate(ROWS)], header=("id", "image", "breed", "species")).replace(
                "3-03.png,3,3", "3-03.png,3,7"
            ),
            "columns breed and species may each be the label, and differ. Call the one that is meant label",
        ),
        (
            lines([(a, ROWS[n - 1][0], b) for n, (a, b) in enumerate(ROWS)], header=("image", "path", "label")),
            "columns image and path may each be the file, and differ. Call the one that is meant file",
        ),
        (
            lines([(a[:-4], ROWS[n - 1][0], b) for n, (a, b) in enumerate(ROWS)], header=("id", "something", "label")),
            "columns id and something may each be the file, and differ",
        ),
        (lines([(a, "z", b) for a, b in ROWS], header=("file", "label", "class")), r"column label: 1 classes, \['z'\]"),
        (lines([*ROWS, ("", "3")]), "line 9: no file"),
        (lines([*ROWS, ("3-00.png",)]), "line 9: 1 fields"),
        (lines(ROWS[:4]), "1 classes, .*'3'.*, and 2 is the least"),
        (
            lines([(a, b, "1", "0") for a, b in ROWS], header=("image", "MEL", "NV", "BCC")),
            "columns are image, MEL, NV, BCC.* no label",
        ),
        ("3-00.png\n7-00.png\n", "columns are 3-00.png, and there is no file"),
        (lines([(*row, "7") for row in ROWS]), "line 1: the split '7' is not train, val or test"),
        (lines([(*row, "train" if row[1] == "3" else "val") for row in ROWS]), "different classes: 3 in .*, train alone; 7"),
        (lines([(*row, "val") for row in ROWS]), "nothing is spelled like train"),
        (b"PK\x03\x04\xff\xfe an Excel file", r"not a text in UTF-8. Save it as CSV"),
        ('"' + "x" * 200_000, "field larger than field limit"),
    ],
)
def test_a_file_that_cannot_be_used_says_why(tmp_path, text, message):
    root = flat(tmp_path / "images")
    (tmp_path / "l.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(DataError, match=message) as raised:
        folder(root, labels=tmp_path / "l.csv")
    assert str(tmp_path / "l.csv") in str(raised.value)


def test_a_name_that_may_be_two_files_is_refused(tmp_path):
    root = flat(tmp_path / "images")
    (root / "3-00.jpg").write_bytes((root / "3-00.png").read_bytes())
    with pytest.raises(DataError, match="3-00 may be 3-00.jpg or 3-00.png"):
        read_labels(root, write(tmp_path / "l.csv", "3-00,3\n"))


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(DataError, match=r"gone\.csv cannot be read: No such file"):
        folder(flat(tmp_path / "images"), labels=tmp_path / "gone.csv")
