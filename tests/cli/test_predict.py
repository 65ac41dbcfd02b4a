"""`warmnet predict` takes what a shell gives: files, folders, patterns, names on stdin; some may be broken."""

import csv
import io
import json
import sys

import pytest
from pictures import truncate, write_digits

import warmnet
from warmnet import weights
from warmnet.cli.main import main
from warmnet.cli.predictions import Csv
from warmnet.data import Preprocessing
from warmnet.deployment import export


@pytest.fixture(scope="module")
def model():
    stages = (warmnet.Stage(size=16, expand=2, kernel=5, stride=2, repeat=1),)
    model = warmnet.WarmEfficientNet(warmnet.Variant(1.0, 1.0, 32, 0.2), num_classes=3, seed=0, stages=stages, stem=8, head=32)
    model.classes = "cat", "dog", "a very long name of a class that no terminal has room for"
    model.preprocessing = Preprocessing(32)
    return model


@pytest.fixture(scope="module")
def saved(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "network.safetensors"
    weights.save(model, path)
    return str(path)


@pytest.fixture
def pets(tmp_path, monkeypatch):
    """A folder of class folders with three images each, one of them damaged, and a text."""
    monkeypatch.chdir(tmp_path)
    write_digits(tmp_path / "pets", classes=(0, 1), count=3)
    truncate(tmp_path / "pets" / "1" / "01.png")
    (tmp_path / "pets" / "notes.txt").write_text("no image")
    return tmp_path / "pets"


ALL = [f"pets/{label}/{n:02}.png" for label in (0, 1) for n in range(3)]


def files_of(capsys):
    return [result["file"] for result in json.loads(capsys.readouterr().out)]


def refused(capsys, *words):
    try:
        code = main([str(word) for word in words])
    except SystemExit as error:
        code = error.code
    assert code == 2
    return capsys.readouterr().err


def test_folders_patterns_and_files_are_predicted_in_the_order_given(saved, pets, capsys):
    assert main(["predict", saved, "--json", "pets/1/00.png", "pets/0", "pets/**/02.png"]) == 0
    assert files_of(capsys) == ["pets/1/00.png", *ALL[:3], "pets/0/02.png", "pets/1/02.png"]
    assert main(["predict", saved, "pets", "--json", "--batch-size=2"]) == 1
    assert files_of(capsys) == ALL


@pytest.mark.parametrize("end", ["\n", "\r\n", "\0"])
def test_names_come_on_stdin(saved, pets, capsys, monkeypatch, end):
    (pets / "a new\nline.png").write_bytes((pets / "0" / "00.png").read_bytes())
    names = ["pets/1/02.png", "pets/0/00.png", *(["pets/a new\nline.png"] if end == "\0" else [])]
    stdin = io.TextIOWrapper(io.BytesIO("".join(name + end for name in names).encode()))
    monkeypatch.setattr(sys, "stdin", stdin)
    assert main(["predict", saved, "-", "--json"]) == 0
    assert files_of(capsys) == names


def test_what_is_left_out_beside_images_is_said(saved, pets, capsys):
    (pets / "0" / "IMG.HEIC").write_bytes(b"heic")
    (pets / "0" / "photo").write_bytes(b"")
    for word in "pets/0", "pets/0/*":
        assert main(["predict", saved, word, "--csv"]) == 0
        err = capsys.readouterr().err
        assert f"{word}: left out: 1 .heic (convert them to JPEG), 1 without a suffix" in err and err.count("\n") == 1
    assert main(["predict", saved, "pets/0/IMG.HEIC"]) == 1
    assert "IMG.HEIC: .heic files are not read here: convert them to JPEG." in capsys.readouterr().err


def test_folders_that_a_pattern_matches_are_walked_and_each_image_counts_once(saved, pets, capsys):
    (pets / "__MACOSX").mkdir()
    (pets / "__MACOSX" / "02.png").write_bytes((pets / "0" / "02.png").read_bytes())
    for pattern in "pets/*", "./pets/**", "pets/[01]", "p*":
        assert main(["predict", saved, pattern, "--json"]) == 1
        assert files_of(capsys) == ALL


def test_names_on_stdin_may_be_folders_and_come_from_an_editor(saved, pets, capsys, monkeypatch):
    (pets / " blank.png").write_bytes((pets / "0" / "00.png").read_bytes())
    text = "\ufeffpets/0\npets/0/00.png\n  pets/1/02.png \npets/ blank.png\n"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    assert main(["predict", saved, "-", "--json"]) == 0
    assert files_of(capsys) == [*ALL[:3], "pets/1/02.png", "pets/ blank.png"]


def test_rows_of_csv_are_whole_though_classes_have_the_same_name():
    file = io.StringIO()
    rows = Csv(file, 3, None)
    rows.add("a.png", {"crane": 0.75, "cat": 0.25})
    rows.add("b.png", {}, "broken")
    file.seek(0)
    lengths = {len(row) for row in csv.reader(file)}
    assert lengths == {8}, "file, three classes and their probabilities, error"


def test_probabilities_do_not_depend_on_batches_or_threads(model, saved, pets, capsys):
    for options in ["--batch-size=1", "--workers=0"], ["--batch-size=4", "--workers=3"]:
        assert main(["predict", saved, "pets", "--json", *options]) == 1
        results = json.loads(capsys.readouterr().out)
        for file, result in zip(ALL, results):
            if file == "pets/1/01.png":
                assert "pets/1/01.png: " in result["error"] and len(result) == 2
            else:
                assert result["probabilities"] == pytest.approx(model.predict(file), abs=1e-6)


def test_csv_has_a_row_for_each_image_with_its_classes_or_the_error(model, saved, pets, capsys):
    assert main(["predict", saved, "pets", "--top=2", "--csv"]) == 1
    out, err = capsys.readouterr()
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [row["file"] for row in rows] == ALL and err.count("\n") == 2 and "pets/1/01.png" in err
    names, shares = zip(*list(model.predict("pets/0/00.png").items())[:2])
    assert (rows[0]["class 1"], rows[0]["class 2"]) == names and rows[0]["error"] == ""
    assert [float(rows[0][f"probability {rank}"]) for rank in (1, 2)] == pytest.approx(shares, abs=1e-6)
    assert rows[4]["class 1"] == "" and "pets/1/01.png" in rows[4]["error"]
    assert main(["predict", saved, "pets", "--csv=out.csv", "--top=2"]) == 1
    said = capsys.readouterr()
    assert (pets.parent / "out.csv").read_text() == out and said.out == "" and said.err.endswith("out.csv is written.\n")


def test_no_file_is_written_over_but_by_force_and_no_image_is_taken_for_the_csv(saved, pets, capsys):
    (pets.parent / "out.csv").write_text("precious")
    assert "out.csv is there already" in refused(capsys, "predict", saved, "pets", "--csv", "out.csv")
    assert "required: IMAGE" in refused(capsys, "predict", saved, "--csv", "pets/0/00.png")
    assert "does not end in .csv" in refused(capsys, "predict", saved, "pets", "--csv", "pets/0/00.png")
    assert (pets.parent / "out.csv").read_text() == "precious"
    assert main(["predict", saved, "pets/0", "--csv=out.csv", "--force"]) == 0


def test_the_table_fits_the_terminal_and_says_that_classes_are_left_out(saved, pets, capsys, monkeypatch):
    for columns in 60, 80, 200:
        monkeypatch.setenv("COLUMNS", str(columns))
        main(["predict", saved, "pets"])
        lines = capsys.readouterr().out.splitlines()
        assert len(lines) == 5 and max(map(len, lines)) <= columns
        assert all(("…" in line) == (columns < 200) for line in lines)
        assert all(line.startswith("pets/") and "%" in line for line in lines)


@pytest.mark.parametrize(
    "words, message",
    [
        ([], "required: IMAGE"),
        (["none/*.png"], "No image matches none/*.png"),
        (["empty"], "empty holds no images"),
        ([""], "IMAGE: it is empty"),
        (["pets", "--device=cuda"], "device 'cuda' is not there"),
        (["pets", "--csv", "--json"], "not allowed with argument --csv"),
    ],
)
def test_what_cannot_be_predicted_says_what_to_do(saved, pets, capsys, words, message):
    (pets.parent / "empty").mkdir()
    assert message in refused(capsys, "predict", saved, *words)


def test_a_file_that_is_not_there_is_said_to_be_missing(tmp_path, capsys, monkeypatch):
    (tmp_path / "net8.onnx").write_bytes(b"")
    found = refused(capsys, "predict", f"{tmp_path}/net7.onnx", "x.png")
    assert f"{tmp_path}/net7.onnx does not exist. Did you mean '{tmp_path}/net8.onnx'?" in found
    monkeypatch.chdir(tmp_path)
    for words in ("predict", "net7.onnx", "x.png"), ("export", "net7.onnx", "out"):
        assert "net7.onnx does not exist. Did you mean 'net8.onnx'?" in refused(capsys, *words)


def test_a_forgotten_network_is_named(pets, capsys):
    for words in ["pets/0/00.png", "pets/0/01.png"], ["pets", "pets/0/01.png"]:
        assert f"RUN comes first, the network, such as: warmnet predict lite0 {words[0]}" in refused(capsys, "predict", *words)


def test_an_exported_network_without_its_ending_is_named(pets, capsys):
    (pets.parent / "network.onnx").touch()
    assert "network does not exist. Did you mean 'network.onnx'?" in refused(capsys, "predict", "network", "pets")


def test_an_exported_network_needs_no_model_file(pets, capsys):
    (pets.parent / "network.onnx").touch()
    for command in "predict", "evaluate":
        assert "Leave out --model" in refused(capsys, command, "network.onnx", "pets", "--model=net.py:Net")


@pytest.mark.parametrize(
    "to, ending",
    [
        ("torch", ".pt2"),
        pytest.param("onnx", ".onnx", marks=pytest.mark.slow),
        pytest.param("openvino", ".xml", marks=pytest.mark.slow),
        pytest.param("aoti", ".aoti.pt2", marks=pytest.mark.slow),
    ],
)
def test_an_exported_network_is_evaluated_like_its_model(model, pets, capsys, to, ending):
    model.classes, classes = ("0", "1", "2"), model.classes
    try:
        weights.save(model, "network.safetensors")
        export(model, "network", to)
    finally:
        model.classes = classes
    found = []
    for source in "network.safetensors", f"network{ending}":
        assert main(["evaluate", source, "pets", "--all", "--json", "--trust"]) == 0
        found.append(json.loads(capsys.readouterr().out))
    for key in "confusion", "classes", "macro":
        assert found[0][key] == found[1][key]
    assert found[0]["nll"] == pytest.approx(found[1]["nll"], abs=1e-4)
    message = "computes on the processor, not on 'cuda'. Leave the device out"
    assert message in refused(capsys, "predict", f"network{ending}", "pets", "--device=cuda", "--trust")


def test_digits_are_evaluated_without_a_folder_only_by_a_network_that_says_digits(saved, capsys):
    assert "Give a FOLDER of class folders" in refused(capsys, "evaluate", saved)
