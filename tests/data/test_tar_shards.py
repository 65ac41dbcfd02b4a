import gzip
import io
import json
import multiprocessing
import random
import tarfile
from collections import Counter
from pathlib import Path

import braceexpand
import numpy as np
import pytest
import webdataset
from commands import FORKS
from pictures import write_digits
from PIL import Image
from sklearn.datasets import load_sample_image
from torch.utils.data import DataLoader

from warmnet.data import DataError, folder, read_image, shards
from warmnet.data.tar_members import Member, list_members
from warmnet.data.tar_shards import expand_braces


def photographs(count=6):
    """(key, class, JPEG) of real photographs' parts, which take 5 to 20 kB."""
    rng = random.Random(0)
    for n in range(count):
        for name in ("china", "flower"):
            left, top = rng.randrange(400), rng.randrange(250)
            file = io.BytesIO()
            part = load_sample_image(f"{name}.jpg")[top : top + 170, left : left + 230]
            Image.fromarray(part).save(file, "JPEG", quality=90)
            yield f"{name}{n:03}", name, file.getvalue()


PHOTOGRAPHS = list(photographs())


def write(path, files):
    """A tar of names and bytes, in this order."""
    with tarfile.open(path, "w") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return str(path)


def photo_files(label=lambda key, name: {f"{key}.cls": name.encode()}, photos=PHOTOGRAPHS):
    return {name: data for key, cls, jpeg in photos for name, data in {f"{key}.jpg": jpeg, **label(key, cls)}.items()}


def key(member):
    return member.name.rpartition("/")[2].split(".")[0]


def everything(data):
    return sorted((key(image), data.classes[label], image.read()) for image, label in data.train + data.held_out)


def test_shards_that_webdataset_wrote_hold_what_its_own_reader_reads(tmp_path):
    with webdataset.ShardWriter(f"{tmp_path}/train-%03d.tar", maxcount=5, verbose=0) as writer:
        for k, name, jpeg in PHOTOGRAPHS:
            writer.write(
                {
                    "__key__": k,
                    "jpg": jpeg,
                    "cls": name,
                    "json": {"label": "not this one"},
                    "txt": "a caption",
                    "url": "example.org",
                }
            )
    data = shards(f"{tmp_path}/train-{{000..002}}.tar")
    assert data.name == tmp_path.name and data.classes == ("china", "flower")
    assert everything(data) == sorted(PHOTOGRAPHS) and not data.skipped
    assert data.left_out == {".url": len(PHOTOGRAPHS)}
    pattern = f"{tmp_path}/train-{{000..002}}.tar"
    theirs = webdataset.WebDataset(pattern, shardshuffle=False).to_tuple("__key__", "cls", "jpg")
    assert everything(data) == sorted((k, name.decode(), jpeg) for k, name, jpeg in theirs)


def test_shards_hold_the_images_and_the_split_of_the_folder_they_were_made_of(tmp_path):
    root = write_digits(tmp_path / "digits", classes=(3, 7, 9), count=11)
    with tarfile.open(tmp_path / "digits.tar", "w") as tar:
        for path in sorted(root.rglob("*.png")):
            tar.add(path, f"./{path.relative_to(root)}")
    ours, theirs = shards(str(tmp_path / "digits.tar")), folder(root)
    assert ours.classes == theirs.classes == ("3", "7", "9")
    for part, wanted in (ours.train, theirs.train), (ours.held_out, theirs.held_out):
        assert [sample.label for sample in part] == [sample.label for sample in wanted]
        for (member, _), (path, _) in zip(part, wanted, strict=True):
            assert np.array_equal(read_image(member.open()), read_image(path))


def as_json(key, name):
    return {f"{key}.json": json.dumps({"label": name, "width": 230}).encode()}


def in_folders(json=None):
    keys = {f"a.b/{name}/{k}": jpeg for k, name, jpeg in PHOTOGRAPHS}
    return {f"{k}.jpg": jpeg for k, jpeg in keys.items()} | ({f"{k}.json": json for k in keys} if json else {})


@pytest.mark.parametrize(
    "files, classes",
    [
        (photo_files(), ("china", "flower")),
        (photo_files(lambda k, name: {f"{k}.CLS": f"{name}\n".encode()}), ("china", "flower")),
        (photo_files(lambda k, name: {f"{k}.txt": f"{name}\r\n".encode()}), ("china", "flower")),
        (photo_files(lambda k, name: {f"{k}.label": name.encode()}), ("china", "flower")),
        (photo_files(as_json), ("china", "flower")),
        (photo_files(lambda k, name: {f"{k}.json": json.dumps({"class": name}).encode()}), ("china", "flower")),
        (photo_files(lambda k, name: {f"{k}.json": json.dumps({"cls": len(name)}).encode()}), ("5", "6")),
        (photo_files(lambda k, name: {f"{k}.json": json.dumps({"label": len(name)}).encode()}), ("5", "6")),
        (in_folders(), ("china", "flower")),
        (in_folders(b'{"url": "example.org"}'), ("china", "flower")),
        (in_folders(b"[1]"), ("china", "flower")),
    ],
    ids=[
        "cls",
        "CLS, a line",
        "txt",
        "label",
        "json",
        "json, class",
        "json, cls",
        "json, a number",
        "folder",
        "folder, json without a label",
        "folder, json of a list",
    ],
)
def test_a_class_is_what_cls_says_or_json_or_the_folder(tmp_path, files, classes):
    data = shards(write(tmp_path / "x.tar", files))
    assert data.classes == classes and len(data.train + data.held_out) == len(PHOTOGRAPHS) and not data.skipped
    number = {name: label for label, name in enumerate(sorted({name for _, name, _ in PHOTOGRAPHS}))}
    assert all(number[key(image)[:-3]] == label for image, label in data.train + data.held_out)


def test_names_of_images_in_folders_may_have_dots(tmp_path):
    files = {f"{name}/Photo 10.30.{n}.jpg": jpeg for n, (_, name, jpeg) in enumerate(PHOTOGRAPHS)}
    data = shards(write(tmp_path / "x.tar", files), strict=True)
    assert data.classes == ("china", "flower") and len(data.train + data.held_out) == len(PHOTOGRAPHS) and not data.left_out


def test_numbers_as_classes_are_sorted_as_numbers(tmp_path):
    photos = [(f"{n}", f"{n % 12}", jpeg) for n, (_, _, jpeg) in enumerate(PHOTOGRAPHS * 2)]
    data = shards(write(tmp_path / "x.tar", photo_files(photos=photos)))
    assert data.classes == tuple(map(str, range(12)))
    assert all(int(key(image)) % 12 == label for image, label in data.train + data.held_out)


def test_a_sample_is_one_wherever_its_files_are_in_the_shard(tmp_path):
    files = photo_files()
    shuffled = dict(random.Random(0).sample([*files.items()], len(files)))
    assert everything(shards(write(tmp_path / "x.tar", shuffled))) == sorted(PHOTOGRAPHS)


def test_equal_keys_in_two_shards_are_two_samples_and_a_shard_named_twice_is_one(tmp_path):
    paths = [write(tmp_path / f"{name}.tar", photo_files()) for name in "ab"]
    data = shards([f"{tmp_path}/*.tar", paths[1]])
    assert everything(data) == sorted(PHOTOGRAPHS * 2)
    assert data == shards(f"{tmp_path}/{{a,b}}.tar")


def test_val_shards_are_held_out(tmp_path):
    write(tmp_path / "train-0.tar", photo_files(photos=PHOTOGRAPHS[:8]))
    write(tmp_path / "val-0.tar", photo_files(photos=PHOTOGRAPHS[8:]))
    data = shards(f"{tmp_path}/{{train,val}}-*.tar")
    assert [key(image) for image, _ in data.held_out] == [k for k, _, _ in PHOTOGRAPHS[8:]]
    assert [key(image) for image, _ in data.train] == [k for k, _, _ in PHOTOGRAPHS[:8]]
    assert len(shards(f"{tmp_path}/train-*.tar").held_out) == 2, "only what is named is read"


@pytest.mark.parametrize(
    "train, val",
    [
        ("imagenet1k-train-0001", "imagenet1k-validation-0001"),
        ("Train_00", "Valid_00"),
        ("x-train", "x-test"),
        ("train/0", "dev/0"),
        ("pets_train/0", "pets_dev/0"),
        ("test-run-train-0", "test-run-val-0"),
        ("train_val_split-train-0", "train_val_split-val-0"),
        ("imagenetTrain-0", "imagenetVal-0"),
        ("mytrain_0", "myval_0"),
    ],
)
def test_shards_are_held_out_by_the_words_of_folders(tmp_path, train, val):
    for name, photos in (train, PHOTOGRAPHS[:8]), (val, PHOTOGRAPHS[8:]):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        write(tmp_path / f"{name}.tar", photo_files(photos=photos))
    data = shards([f"{tmp_path}/{train}.tar", f"{tmp_path}/{val}.tar"])
    assert [key(image) for image, _ in data.held_out] == [k for k, _, _ in PHOTOGRAPHS[8:]]
    assert [key(image) for image, _ in data.train] == [k for k, _, _ in PHOTOGRAPHS[:8]]


def test_test_shards_beside_val_are_left_alone_and_that_is_said(tmp_path):
    for name, photos in ("train", PHOTOGRAPHS[:4]), ("val", PHOTOGRAPHS[4:8]), ("test", PHOTOGRAPHS[8:]):
        write(tmp_path / f"{name}-0.tar", photo_files(photos=photos))
    data = shards(f"{tmp_path}/*.tar")
    assert everything(data) == sorted(PHOTOGRAPHS[:8])
    assert data.notes == ("Left alone, beside the val shards: the test shards, 1 of them.",)


def test_a_name_that_comes_twice_is_counted(tmp_path):
    with tarfile.open(tmp_path / "x.tar", "w") as tar:
        for files in photo_files(), {name: data for name, data in photo_files().items() if name.endswith("jpg")}:
            for name, data in files.items():
                info = tarfile.TarInfo(name)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    data = shards(str(tmp_path / "x.tar"))
    assert everything(data) == sorted(PHOTOGRAPHS) and data.left_out == {"whose names come again later": len(PHOTOGRAPHS)}


@pytest.mark.parametrize(
    "kind, target", [(tarfile.LNKTYPE, "cat/0.jpg"), (tarfile.SYMTYPE, "../cat/0.jpg"), (tarfile.SYMTYPE, "gone")]
)
def test_links_in_a_tar_are_followed_or_counted(tmp_path, kind, target):
    with tarfile.open(tmp_path / "x.tar", "w") as tar:
        info = tarfile.TarInfo("cat/0.jpg")
        info.size = len(PHOTOGRAPHS[0][2])
        tar.addfile(info, io.BytesIO(PHOTOGRAPHS[0][2]))
        link = tarfile.TarInfo("dog/1.jpg")
        link.type, link.linkname = kind, target
        tar.addfile(link)
    left_out = Counter()
    contents = [(member.name, member.read()) for member in list_members(str(tmp_path / "x.tar"), left_out)]
    assert contents[0] == ("cat/0.jpg", PHOTOGRAPHS[0][2])
    if target == "gone":
        assert len(contents) == 1 and left_out == {"links to no file in the tar": 1}
    else:
        assert contents[1:] == [("dog/1.jpg", PHOTOGRAPHS[0][2])] and not left_out


def test_a_label_may_have_a_byte_order_mark_or_be_a_whole_number_with_a_point(tmp_path):
    bom = photo_files(lambda key, name: {f"{key}.cls": name.encode("utf-8-sig")})
    assert shards(write(tmp_path / "x.tar", bom)).classes == ("china", "flower")
    points = photo_files(lambda key, name: {f"{key}.json": json.dumps({"label": float(len(name))}).encode()})
    assert shards(write(tmp_path / "x.tar", points)).classes == ("5", "6")


def test_a_share_of_shards_is_held_out(tmp_path):
    data = shards(write(tmp_path / "val-0.tar", photo_files()), val_share=0.5)
    assert len(data.held_out) == len(PHOTOGRAPHS) // 2


@pytest.mark.parametrize("context", [multiprocessing.get_context("fork"), FORKS], ids=["fork", "forkserver"])
def test_workers_read_members_by_turns_from_one_shard(tmp_path, context):
    members = list_members(write(tmp_path / "x.tar", photo_files()), Counter())
    order = random.Random(0).choices(members, k=100)
    with context.Pool(2) as pool:
        read = pool.map(Member.read, order, chunksize=1)
    assert read == [photo_files()[member.name] for member in order]


def test_a_data_loader_with_workers_gives_the_bytes_in_the_order_asked(tmp_path):
    data = shards(write(tmp_path / "x.tar", photo_files()))
    loader = DataLoader([image for image, _ in data.train], None, num_workers=2, collate_fn=Member.read)
    assert [*loader] == [image.read() for image, _ in data.train]


@pytest.mark.parametrize("pattern", ["a", "{a,b}-{08..11}.tar", "x{000..002}", "{0..10}", "{a,{b,c}}/{1..2}", "{}", "{a}{,b}"])
def test_braces_expand_as_webdatasets_do(pattern):
    assert sorted({*expand_braces(pattern)}) == sorted({*braceexpand.braceexpand(pattern)})


def test_files_of_other_kinds_are_counted(tmp_path):
    rest = (
        "README",
        "notes.txt",
        "__MACOSX/._china000.jpg",
        ".ipynb_checkpoints/0-checkpoint.jpg",
        "._1.jpg",
        "2.heic",
        "china000.mask.png",
    )
    data = shards(write(tmp_path / "x.tar", dict.fromkeys(rest, b"") | photo_files()), strict=True)
    assert everything(data) == sorted(PHOTOGRAPHS)
    assert data.left_out == {
        "without a suffix": 1, ".txt": 1, "in __MACOSX": 1, "in .ipynb_checkpoints": 1, "hidden": 1, ".heic": 1,
        ".png beside the image of a sample": 1,
    }  # fmt: skip


CUT = {
    "china000.jpg": PHOTOGRAPHS[0][2][:3000],
    "china001.cls": b" ",
    "flower001.json": b'{"label": 0.5}',
    "flower002.json": b"{",
    "flower003.png": PHOTOGRAPHS[0][2],
}


def test_samples_that_cannot_be_used_are_named_and_left_out_or_refused(tmp_path):
    files = photo_files()
    for name in ("china002.jpg", "china001.cls", "flower001.cls", "flower002.cls", "flower000.cls"):
        del files[name]
    path = write(tmp_path / "x.tar", files | CUT)
    data = shards(path)
    assert len(data.train + data.held_out) == len(PHOTOGRAPHS) - 7
    for what in (
        f"{path}: china000.jpg: ",
        f"{path}: china002 has 0 images, and 1 is expected; there is cls.",
        f"{path}: china001 has no label; there is jpg, cls.",
        f"{path}: flower000 has no label; there is jpg.",
        f"{path}: flower001 has the label 0.5; there is jpg, json.",
        f"{path}: flower002 has an unreadable label",
        f"{path}: flower003 has 2 images, and 1 is expected; there is jpg, cls, png.",
    ):
        assert sum(message.startswith(what) for message in data.skipped) == 1, (what, data.skipped)
    with pytest.raises(
        DataError, match=r"strict refuses images that cannot be used: .*x\.tar: flower000 has no label.* and 6 more"
    ):
        shards(path, strict=True)


@pytest.mark.parametrize(
    "damage", ["in a file", "in a header", "before a header", "before the end", "zeroed", "header changed"]
)
def test_a_damaged_shard_is_named_and_left_out_or_refused(tmp_path, damage):
    whole, broken = (write(tmp_path / f"{name}.tar", photo_files()) for name in ("whole", "broken"))
    member = list_members(broken, Counter())[10]
    data = bytearray((tmp_path / "broken.tar").read_bytes())
    if damage == "zeroed":  # a copy that reserved the space and then stopped
        data[member.offset :] = bytes(len(data) - member.offset)
        del data[member.offset + member.size // 2 :]
    elif damage == "header changed":
        data[member.offset - 500] ^= 1
    else:
        last = list_members(broken, Counter())[-1]
        places = {"in a file": 700, "in a header": -100, "before a header": -512}
        del data[member.offset + places[damage] if damage in places else last.offset + 512 :]
    (tmp_path / "broken.tar").write_bytes(data)
    found = shards([whole, broken])
    assert everything(found) == sorted(PHOTOGRAPHS)
    assert len(found.skipped) == 1 and found.skipped[0].startswith(f"{broken} is truncated or damaged, in or after ")
    with pytest.raises(DataError, match=r"strict refuses .*broken\.tar is truncated"):
        shards([whole, broken], strict=True)


def test_a_shard_that_shrank_since_says_so(tmp_path):
    path = write(tmp_path / "x.tar", photo_files())
    member = list_members(path, Counter())[-2]
    (tmp_path / "x.tar").write_bytes((tmp_path / "x.tar").read_bytes()[: member.offset + 10])
    with pytest.raises(DataError, match=rf"x\.tar: {member.name}: 10 of {member.size:} bytes are left"):
        member.read()


def gzipped(root):
    path = write(root / "x.tar", photo_files())
    (root / "x.tar").write_bytes(gzip.compress(Path(path).read_bytes()))


def one_class(root):
    write(root / "x.tar", photo_files(photos=PHOTOGRAPHS[::2]))


def class_of_one(root):
    write(root / "x.tar", photo_files(photos=PHOTOGRAPHS[:3]))


def other_classes(root):
    write(root / "train-0.tar", photo_files())
    write(root / "val-0.tar", photo_files(photos=PHOTOGRAPHS[::2]))


def no_words(root):
    write(root / "more-0.tar", photo_files())
    other_classes(root)


def two_words(root):
    write(root / "test-run-train-0.tar", photo_files())
    write(root / "cats-0.tar", photo_files())


def parts_inside(root):
    files = {f"pets/{part}/{name}": data for part in ("train", "val") for name, data in photo_files().items()}
    write(root / "x.tar", files)


def only_wrong_labels(root):
    write(root / "x.tar", photo_files(lambda key, name: {f"{key}.json": b'{"class_name": "cat"}'}))


def no_train(root):
    for part in "val", "test":
        write(root / f"{part}-0.tar", photo_files())


@pytest.mark.parametrize(
    "make, patterns, message",
    [
        (one_class, "y-{0..3}.tar", r"No file matches .*/y-0\.tar\. Shards are tar files"),
        (one_class, "{x,y}*.tar", r"No file matches .*/y\*\.tar"),
        (one_class, "x.tar", r"x\.tar: 1 classes, \['china'\], and 2 is the least"),
        (class_of_one, "x.tar", "the class flower has 1 readable images, and 2 is the least"),
        (gzipped, "x.tar", r"x\.tar is compressed with gzip, .* gunzip .*x\.tar"),
        (lambda root: (root / "x.tar").write_text("no tar" * 1000), "x.tar", r"x\.tar is not a tar file"),
        (lambda root: (root / "x.tar").touch(), "x.tar", r"x\.tar is not a tar file"),
        (other_classes, "*.tar", "different classes: flower"),
        (no_words, "*.tar", r"may be parts, such as .*train-0\.tar, and of .*more-0\.tar it is not clear"),
        (two_words, "*.tar", r"may be parts, such as .*test-run-train-0\.tar, and of .*cats-0\.tar it is not clear"),
        (parts_inside, "x.tar", r"inside are pets/train and pets/val, which are parts"),
        (
            only_wrong_labels,
            "x.tar",
            r"0 classes, .*cannot be used: .*china000 has no label.*, as 'label', 'cls' or 'class' in .json",
        ),
        (no_train, "*.tar", r"the test shards and the val shards can be held out, and nothing is spelled like train"),
    ],
)
def test_shards_that_cannot_be_trained_on_say_why(tmp_path, make, patterns, message):
    make(tmp_path)
    with pytest.raises(DataError, match=message):
        shards(f"{tmp_path}/{patterns}")


def test_no_pattern_is_refused():
    with pytest.raises(DataError, match="No shards are given"):
        shards([])
