"""`warmnet explain` writes a picture beside nothing else, and says what it found."""

from pathlib import Path

import pytest
import torch
from PIL import Image

import warmnet
from warmnet import weights
from warmnet.cli.main import main
from warmnet.data import Preprocessing

CAT = Path(__file__).parents[2] / "docs" / "cat.jpg"


@pytest.fixture
def saved(tmp_path, monkeypatch):
    """The weights of a network of seven classes, in a folder of their own, which is the current one."""
    monkeypatch.chdir(tmp_path)
    stages = (warmnet.Stage(size=16, expand=2, kernel=5, stride=2, repeat=1),)
    model = warmnet.WarmEfficientNet(warmnet.Variant(1.0, 1.0, 32, 0.2), 7, seed=0, stages=stages, stem=8, head=32)
    model.classes, model.preprocessing = ("cat", "a very long name of a class" * 4, *"cdefg"), Preprocessing(32)
    with torch.no_grad():
        model.classifier.bias[1] = 1  # the one with the long name comes first
    weights.save(model, "network.safetensors")
    return "network.safetensors"


def refused(capsys, *words, code=2):
    assert main([str(word) for word in words]) == code
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1
    return err


def test_the_picture_and_the_five_most_probable_classes(saved, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    assert main(["explain", saved, str(CAT)]) == 0
    *lines, gap, path = capsys.readouterr().out.splitlines()
    expected = [*warmnet.WarmEfficientNet.from_pretrained(saved).predict(CAT).items()][:5]
    assert [line[:6] for line in lines] == [f"{share:6.1%}" for _, share in expected]
    assert [line[8:] for line in lines if "…" not in line] == [name for name, _ in expected if len(name) < 52]
    assert max(map(len, lines)) <= 60 and gap == "" and path == "  cat-explained.png"
    assert Image.open("cat-explained.png").width > 1000


def test_a_picture_is_written_over_by_force_alone(saved, capsys):
    Path("cat-explained.png").write_text("precious")
    assert "cat-explained.png is there already" in refused(capsys, "explain", saved, CAT)
    assert Path("cat-explained.png").read_text() == "precious"
    assert main(["explain", saved, str(CAT), "--force"]) == 0 and Image.open("cat-explained.png")
    assert main(["explain", saved, str(CAT), "--out", "new/other.png"]) == 0 and Image.open("new/other.png")


def test_what_cannot_be_explained_is_answered_in_a_line(saved, capsys):
    Path("network.onnx").touch()
    Path("notes.txt").write_text("no image")
    assert "Give the run folder or the weights that it was exported from" in refused(capsys, "explain", "network.onnx", CAT)
    assert "other.jpg does not end in .png" in refused(capsys, "explain", saved, CAT, "--out=other.jpg")
    assert "cannot be written" in refused(capsys, "explain", "none", CAT, f"--out={saved}/x.png")
    assert "device 'mps' is not there" in refused(capsys, "explain", saved, CAT, "--device=mps")
    assert "notes.txt: " in refused(capsys, "explain", saved, "notes.txt", code=1)
    assert "none.jpg: No such file" in refused(capsys, "explain", saved, "none.jpg", code=1)
    assert "none.jpg: No such file" in refused(capsys, "explain", "no-network", "none.jpg", code=1)
    assert not [*Path().glob("*.png")]


def test_a_command_with_the_words_in_another_order_is_answered_with_the_right_one(saved, capsys):
    Image.new("RGB", (32, 32)).save("a.jpg")
    Path("pictures").mkdir()
    Image.new("RGB", (32, 32)).save("pictures/b.jpg")
    for words, right in {
        ("explain", "a.jpg", "lite0", "--force"): "warmnet explain lite0 a.jpg --force",
        ("explain", "a.jpg", saved): f"warmnet explain {saved} a.jpg",
        ("explain", "a.jpg", "pictures/b.jpg"): "warmnet explain lite0 pictures/b.jpg",
        ("explain", "pictures", "a.jpg"): "warmnet explain lite0 a.jpg",
        ("predict", "a.jpg", "lite0"): "warmnet predict lite0 a.jpg",
        ("predict", "pictures", "a.jpg"): "warmnet predict lite0 pictures a.jpg",
    }.items():
        assert refused(capsys, *words).endswith(f"RUN comes first, the network, such as: {right}\n")


def test_the_photo_is_never_written_over(saved, capsys):
    Image.new("RGB", (32, 32)).save("a.PNG")
    before = Path("a.PNG").read_bytes()
    assert "--out a.PNG is the photo itself" in refused(capsys, "explain", saved, "a.PNG", "--out=a.PNG", "--force")
    assert Path("a.PNG").read_bytes() == before
    assert main(["explain", saved, "a.PNG", "--out", "b.PNG"]) == 0 and Image.open("b.PNG").format == "PNG"
