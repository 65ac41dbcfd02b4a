"""What commands do with files: nothing is written over unasked, weights are read as said, and code is trusted first."""

import pytest
import torch
from pictures import write_digits

import warmnet
from warmnet.cli.main import main
from warmnet.data.preprocessing import Preprocessing

TINY = warmnet.Variant(width=0.2, depth=0.2, resolution=32, dropout=0.2)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    model = warmnet.WarmEfficientNet(TINY, 2, seed=0, stages=warmnet.STAGES[:1])
    model.classes, model.preprocessing = ("0", "1"), Preprocessing(32)
    warmnet.save(model, path := tmp_path_factory.mktemp("weights") / "w.safetensors")
    return path


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    return write_digits(tmp_path_factory.mktemp("images"), classes=(0, 1), count=5)


def refused(capsys, *words):
    """The one line that a command of a user's mistake leaves."""
    assert main([str(word) for word in words]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    return error


WRITING = {  # the words of a command, and the file that it writes
    "convert": (["convert", "{weights}", "{out}/w.safetensors"], "w.safetensors"),
    "export": (["export", "{weights}", "{out}/n.pt2", "--to=torch"], "n.pt2"),
    "evaluate": (["evaluate", "{weights}", "{digits}", "--out={out}", "--all"], "per-class.csv"),
    "new": (["new", "{out}/mymodel.py"], "mymodel.py"),
}


@pytest.mark.parametrize("words, file", WRITING.values(), ids=WRITING)
def test_a_command_writes_over_a_file_only_if_it_is_to(words, file, weights, digits, tmp_path, capsys):
    words = [word.format(weights=weights, digits=digits, out=tmp_path) for word in words]
    (tmp_path / file).write_text("somebody's")
    assert f"{file} is there already. Name another file, or write over it with --force" in refused(capsys, *words)
    assert (tmp_path / file).read_text() == "somebody's" and len([*tmp_path.iterdir()]) == 1
    assert main([*words, "--force"]) == 0
    assert (tmp_path / file).read_bytes() != b"somebody's"


READING = {
    "predict": ["predict", "{source}", "{image}"],
    "evaluate": ["evaluate", "{source}", "{digits}"],
    "export": ["export", "{source}", "{out}/n", "--to=torch"],
    "convert": ["convert", "{source}", "{out}/w.safetensors"],
    "train": ["train", "{digits}", "--weights={source}", "--out={out}/run"],
}


@pytest.mark.parametrize("words", READING.values(), ids=READING)
def test_a_command_reads_weights_in_the_lineage_that_it_is_given(words, weights, digits, tmp_path, capsys):
    torch.save(warmnet.WarmEfficientNet(TINY, 2, seed=0).state_dict(), tmp_path / "w.pth")

    def run(source):
        names = {"source": source, "digits": digits, "image": digits / "0" / "00.png", "out": tmp_path}
        return refused(capsys, *[word.format(**names) for word in words], "--lineage=keras")

    assert "none of its tensors is stem_conv/kernel (keras)" in run(tmp_path / "w.pth")
    assert "has warmnet's own names and layout, and not those of keras" in run(weights)


def test_a_lineage_of_what_has_none_is_refused(digits, tmp_path, capsys):
    assert "Name them with --weights" in refused(capsys, "train", digits, "--lineage=timm", f"--out={tmp_path / 'run'}")
    (tmp_path / "n.pt2").touch()
    image = digits / "0" / "00.png"
    assert "has no lineage. Leave out --lineage" in refused(capsys, "predict", tmp_path / "n.pt2", image, "--lineage=timm")


def test_machine_code_runs_only_with_trust(digits, tmp_path, capsys):
    (tmp_path / "n.aoti.pt2").write_bytes(b"something")
    words = "predict", tmp_path / "n.aoti.pt2", digits / "0" / "00.png"
    assert "holds machine code" in refused(capsys, *words)
    assert "is damaged, or no torch archive" in refused(capsys, *words, "--trust")
