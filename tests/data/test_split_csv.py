import shutil
import tarfile

import pytest
from pictures import write_digits

from warmnet.data import DataError, digits, folder, shards
from warmnet.data.split_csv import digest_of, read_split, split_of, trained_on, write_split


def test_what_is_written_is_read(tmp_path):
    root = write_digits(tmp_path / "digits")
    (root / "0" / "00.png").rename(root / "0" / "a,\n\udcff.png")
    rows = split_of(folder(root))
    write_split(tmp_path / "run", rows)
    assert read_split(tmp_path / "run") == rows
    assert read_split(tmp_path) == []


@pytest.mark.parametrize("text", ["part,class,file,bytes\ntrain,0,/0/01.png,100\n", "part\ntrain,0,0.png,ten,,,,,\n"])
def test_a_split_of_other_columns_is_refused(tmp_path, text):
    (tmp_path / "split.csv").write_text(text)
    with pytest.raises(DataError, match=r"split\.csv is damaged, or of an older warmnet: .* than part, class, file, bytes, "):
        read_split(tmp_path)


def test_the_order_counts_and_the_names_of_files_do_not(tmp_path):
    root = write_digits(tmp_path / "digits")
    rows = split_of(folder(root))
    shutil.copytree(root, tmp_path / "copy")
    (tmp_path / "copy" / "0" / "05.png").rename(tmp_path / "copy" / "0" / "05 (1).png")
    assert digest_of(split_of(folder(tmp_path / "copy"))) == digest_of(rows)
    assert digest_of(rows[::-1]) != digest_of(rows)


def test_what_was_trained_on_is_known_wherever_it_lies(tmp_path):
    root, run = write_digits(tmp_path / "digits"), tmp_path / "run"
    data = folder(root)
    write_split(run, split_of(data))
    trained = len(data.train)
    assert trained_on(run, data, data.train) == data.train and trained_on(run, data, data.held_out) == []

    with tarfile.open(tmp_path / "all.tar", "w") as tar:
        tar.add(root, "digits")
    packed = shards(str(tmp_path / "all.tar"))
    shutil.copytree(root, tmp_path / "copy")
    for path in (tmp_path / "copy").rglob("*.png"):
        path.rename(path.with_name(f"renamed-{99 - int(path.stem)}.png"))
    copied = folder(tmp_path / "copy")
    for other in packed, copied:
        assert len(trained_on(run, other, other.train + other.held_out)) == trained
        assert trained_on(run / "weights.safetensors", other, other.train) == [], "which is not there"
        (run / "best.safetensors").touch()
        assert len(trained_on(run / "best.safetensors", other, other.train + other.held_out)) == trained
    assert trained_on(tmp_path, data, data.train) == []


def test_digits_that_were_trained_on_are_known(tmp_path):
    data = digits()
    write_split(tmp_path, split_of(data))
    assert len(trained_on(tmp_path, data, data.train)) == len(data.train)
