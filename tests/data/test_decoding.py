import hashlib
import os
import shutil
import struct
import tarfile

import numpy as np
import pytest
from pictures import png, tiff, write_digits
from PIL import Image

from warmnet import training
from warmnet.data import Data, Sample, arrays, digits, folder, image_facts, read_image, shards
from warmnet.data.split_csv import split_of, write_split


def write_modes(root):
    """A folder of images of several modes, 40x20, one of them turned by EXIF."""
    for label in "cat", "dog":
        (root / label).mkdir(parents=True)
        for mode in "L", "P", "RGB", "RGBA":
            image = Image.effect_noise((40, 20), 50).convert(mode)
            image.save(root / label / f"{mode}.png", **({"transparency": 0} if mode == "P" else {}))
        exif = Image.Exif()
        exif[0x0112] = 6  # a quarter turn
        Image.effect_noise((40, 20), 50).save(root / label / "turned.jpg", exif=exif)
        Image.fromarray(np.arange(0, 64000, 80, dtype=np.uint16).reshape(20, 40)).save(root / label / "deep.png")
    return root


def test_decoding_finds_size_mode_and_the_digest_of_the_bytes(tmp_path):
    data = folder(write_modes(tmp_path / "pets"))
    facts = {facts.file: facts for facts in data.facts.values()}
    assert len(facts) == 12
    assert {name[4:]: facts.mode for name, facts in facts.items() if name.startswith("cat")} == {
        "L.png": "L", "P.png": "P, transparent", "RGB.png": "RGB", "RGBA.png": "RGBA", "turned.jpg": "L", "deep.png": "I;16",
    }  # fmt: skip
    for name, image in facts.items():
        path = tmp_path / "pets" / name
        assert (image.width, image.height) == ((20, 40) if "turned" in name else (40, 20))
        assert image.bytes == path.stat().st_size and image.modified == path.stat().st_mtime_ns
        assert image.digest == hashlib.sha256(path.read_bytes()).hexdigest()
    assert data.median_short_side == 20


@pytest.mark.parametrize("bits", [10, 12, 14])
def test_pictures_of_a_camera_of_fewer_bits_keep_their_proportions_and_it_is_said(tmp_path, bits):
    for label in "cat", "dog":
        (tmp_path / label).mkdir()
        for n, brightness in enumerate((1, 0.5, 0.3)):  # by day and by night
            ramp = np.linspace(0, brightness * (2**bits - 1), 800).astype(np.uint16).reshape(20, 40)
            Image.fromarray(ramp).save(tmp_path / label / f"{n}.png")
    data = folder(tmp_path)
    assert len(data.facts) == 6 and not data.skipped, "no night is left out"
    most = 2**bits - 1
    assert f"6 images of 16 bits reach at most {most:,}, and 65,535 is white: they are read as dark as that." in data.notes[-1]
    assert [np.max(read_image(tmp_path / "cat" / f"{n}.png")) for n in range(2)] == [most >> 8, most // 2 >> 8]
    assert data.notes[-1] in training.report_data(data).text()
    assert f"{most:,}" in arrays(np.full((10, 2, 2), most, np.uint16), [0, 1] * 5).notes[-1]

    Image.fromarray(np.full((20, 40), 40_000, np.uint16)).save(tmp_path / "cat" / "bright.png")
    assert not folder(tmp_path).notes and not arrays(np.full((10, 2, 2), 40_000, np.uint16), [0, 1] * 5).notes


def test_the_depth_of_colours_is_known_too_and_that_of_a_12_bit_tiff_needs_no_word(tmp_path):
    for label in "cat", "dog":
        (tmp_path / label).mkdir()
        for n in range(2):
            (tmp_path / label / f"{n}.tif").write_bytes(tiff(12, bytes(6)))
    assert not folder(tmp_path).notes
    (tmp_path / "cat" / "deep.png").write_bytes(png(16, 2, struct.pack(">6H", 0, 0, 0, 1000, 2000, 3000), width=2))
    assert folder(tmp_path).notes[-1].startswith("1 image of 16 bits reaches at most 3,071,")


def test_the_facts_of_a_member_are_those_of_the_file_that_was_packed(tmp_path):
    root = write_digits(tmp_path / "digits")
    with tarfile.open(tmp_path / "all.tar", "w") as tar:
        tar.add(root, "digits")
    in_folder, in_tar = folder(root), shards(str(tmp_path / "all.tar"))
    assert [row.identity for row in split_of(in_tar)] == [row.identity for row in split_of(in_folder)]
    assert split_of(in_tar)[0].facts.file == "all.tar: digits/0/01.png"


def test_images_that_are_no_files_are_known_by_their_pixels():
    data = digits()
    rows = split_of(data)
    assert len({row.facts.digest for row in rows}) > 1790 and data.median_short_side == 8
    assert [row.identity for row in split_of(digits())] == [row.identity for row in rows]


def test_data_that_somebody_made_of_paths_is_decoded_when_its_facts_are_asked_for(tmp_path):
    root = write_digits(tmp_path / "digits")
    samples = [Sample(path, int(path.parent.name)) for path in sorted(root.rglob("*.png"))]
    assert Data("mine", ("0", "1"), samples[1:], samples[:1]).median_short_side == 8


@pytest.fixture
def reads(monkeypatch):
    """The names of the files that are read, and in capitals of those that are decoded."""
    names = []
    read, decode = image_facts._read, image_facts.upright_rgb
    monkeypatch.setattr(image_facts, "_read", lambda image: names.append(image.name) or read(image))
    monkeypatch.setattr(image_facts, "upright_rgb", lambda image: names.append("DECODED") or decode(image))
    return names


def test_a_run_that_goes_on_reads_what_has_another_time_and_decodes_what_has_another_content(tmp_path, reads):
    data = folder(write_digits(tmp_path / "digits"))
    run = tmp_path / "run"
    write_split(run, split_of(data))
    reads.clear()
    moved = (tmp_path / "digits").rename(tmp_path / "moved")
    assert split_of(folder(moved, run=run)) == split_of(data) and reads == []

    shutil.copytree(moved, tmp_path / "copied", copy_function=shutil.copyfile)
    assert [row.identity for row in split_of(folder(tmp_path / "copied", run=run))] == [row.identity for row in split_of(data)]
    assert len(reads) == 20 and "DECODED" not in reads
    reads.clear()

    replaced, touched = moved / "0" / "03.png", moved / "1" / "04.png"
    replaced.write_bytes(bytes(replaced.stat().st_size))
    os.utime(touched, ns=(0, 0))
    assert len(folder(moved, run=run).skipped) == 1, "of the same size, and no image"
    assert reads == ["03.png", "04.png"]


def test_worker_processes_find_the_same_facts(tmp_path):
    root = write_digits(tmp_path / "digits", count=80)
    assert folder(root, workers=2).facts == folder(root).facts
