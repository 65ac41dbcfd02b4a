import os
from pathlib import Path

import pytest
from pictures import write_digits

from warmnet.data import DataError, folder
from warmnet.data.walk import find_images, left_out_text


def names(files, root):
    return [str(path.relative_to(root)) for path in files.images]


def put(path, content=b"a file"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_images_below_folders_are_found_in_the_order_of_their_paths_whatever_their_case(tmp_path):
    for name in "b/2.JPG", "b/1.jpeg", "a.png", "b/c/x y.TiF", "bb.webp":
        put(tmp_path / name)
    assert names(find_images(tmp_path), tmp_path) == ["a.png", "b/1.jpeg", "b/2.JPG", "b/c/x y.TiF", "bb.webp"]


@pytest.mark.parametrize(
    "name, reason",
    [
        (".ipynb_checkpoints/0-checkpoint.png", "in .ipynb_checkpoints"),
        ("deep/er/.thumbnails/0.png", "in .thumbnails"),
        ("__MACOSX/cat/0.png", "in __MACOSX"),
        ("@eaDir/0.jpg/SYNOPHOTO_THUMB_XL.jpg", "in @eaDir"),
        (".AppleDouble/0.png", "in .AppleDouble"),
        ("#recycle/0.png", "in #recycle"),
        ("$RECYCLE.BIN/0.png", "in $RECYCLE.BIN"),
        ("lost+found/0.png", "in lost+found"),
        ("._0.png", "hidden"),
        (".DS_Store", "hidden"),
        ("Thumbs.db", "hidden"),
        ("desktop.ini", "hidden"),
        ("IMG_1.HEIC", ".heic"),
        ("notes.txt", ".txt"),
        ("0.eps", ".eps"),
        ("0.jpg.part", ".part"),
        ("LICENSE", "without a suffix"),
    ],
)
def test_what_is_no_image_is_counted_once_with_its_reason(tmp_path, name, reason):
    put(tmp_path / name)
    put(tmp_path / "1.png")
    files = find_images(tmp_path)
    assert names(files, tmp_path) == ["1.png"] and files.left_out == {reason: 1}


def test_a_class_may_be_called_as_detectors_call_the_background(tmp_path):
    root = write_digits(tmp_path, count=2)
    (root / "0").rename(root / "__background__")
    assert folder(root).classes == ("1", "__background__")


def test_links_are_followed_and_a_file_that_is_reached_twice_counts_once(tmp_path):
    image = put(tmp_path / "elsewhere" / "0.png")
    cat = tmp_path / "cat"
    put(cat / "1.png")
    (cat / "2.png").symlink_to(image)
    (cat / "3.png").symlink_to(image)
    (cat / "more").symlink_to(tmp_path / "elsewhere")
    (cat / "most").symlink_to(tmp_path / "elsewhere")
    assert names(find_images(cat), cat) == ["1.png", "2.png"]
    assert find_images(cat).left_out == {"links to what is there already": 3}


@pytest.mark.parametrize("target", [".", "..", "../..", "../more"])
def test_links_in_circles_end(tmp_path, target):
    cat = tmp_path / "pets" / "cat"
    put(cat / "more" / "1.png")
    (cat / "more" / "loop").symlink_to(target)
    assert names(find_images(cat), cat) == ["more/1.png"]


def test_a_link_around_all_classes_changes_nothing(tmp_path):
    before = folder(write_digits(tmp_path, count=5))
    (tmp_path / "0" / "all").symlink_to(tmp_path)
    (tmp_path / "itself").symlink_to(tmp_path)
    after = folder(tmp_path)
    assert (after.train, after.held_out) == (before.train, before.held_out)
    assert after.left_out == {"links to what is there already": 2}


def test_links_that_lead_nowhere_are_named(tmp_path):
    root = write_digits(tmp_path / "pets", count=2)
    (root / "0" / "gone.png").symlink_to("/gone/1.png")
    (root / "0" / "self").symlink_to("self")
    (root / "cat").symlink_to("/gone/cat")
    data = folder(root)
    assert len(data.train + data.held_out) == 4 and len(data.skipped) == 3 and not data.left_out
    assert f"{root}/0/gone.png is a link to /gone/1.png, which cannot be reached." in data.skipped
    with pytest.raises(DataError, match="strict refuses.* and 2 more"):
        folder(root, strict=True)


def test_one_file_cannot_be_of_two_classes(tmp_path):
    root = write_digits(tmp_path, count=2)
    (root / "1" / "link.png").symlink_to(root / "0" / "00.png")
    with pytest.raises(DataError, match=r"1/link\.png and .*0/00\.png are one file, reached by a link"):
        folder(root)


def test_a_pipe_is_not_opened(tmp_path):
    os.mkfifo(tmp_path / "0.png")
    assert find_images(tmp_path).left_out == {"pipes or devices": 1}


def test_what_was_left_out_is_said_with_what_to_do():
    text = left_out_text({".heic": 3, ".txt": 1200, "hidden": 1, "in @eaDir": 2})
    assert text == "1,200 .txt, 3 .heic (convert them to JPEG), 2 in @eaDir, 1 hidden"
    assert left_out_text({f".{n}": 1 for n in range(100)}).endswith(".7, and 92 other kinds")


def test_a_folder_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(DataError, match="gone cannot be read: No such file"):
        find_images(Path(tmp_path / "gone"))
