import json

import pytest
from pictures import write_digits

from warmnet.cli.main import main


@pytest.fixture
def pets(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return write_digits(tmp_path / "pets", count=6)


def counts(capsys):
    report = json.loads(capsys.readouterr().out)
    return report["train"], report["held_out"]


def test_options_of_reading_reach_the_images(pets, capsys):
    write_digits(pets.parent / "other", count=1)
    rows = [
        f"{path.relative_to(pets)},{path.parent.name},{'val' if path.stem == '00' else 'train'}" for path in pets.rglob("*.png")
    ]
    (pets.parent / "labels.csv").write_text("\n".join(rows))
    for words, wanted in ("", (8, 4)), ("--val other", (12, 2)), ("--val-share 0.5", (6, 6)), ("--labels labels.csv", (10, 2)):
        assert main(["data", "pets", "--json", *words.split()]) == 0
        assert counts(capsys) == wanted, words


@pytest.mark.parametrize(
    "words, message",
    [
        (["pets", "--val-share=1"], "'1' is not a number above 0 and below 1"),
        (["pets", "--val="], "The name of a folder is empty"),
        ([""], "The name of a folder is empty"),
        (["--val-share=0.1"], "are for the images of a FOLDER. Name it"),
        (["x/*.tar", "--labels=l.csv"], "--labels is for folders. Of shards those are held out that have val in their names"),
    ],
)
def test_options_of_reading_that_mean_nothing_are_refused(pets, capsys, words, message):
    with pytest.raises(SystemExit) as ended:
        raise SystemExit(main(["data", *words]))
    assert ended.value.code and message in capsys.readouterr().err


def test_how_a_folder_was_read_is_said_before_training(pets, capsys):
    for part in "Train", "valid", "test":
        write_digits(pets.parent / "split" / part, count=2)
    (pets.parent / "split" / "Train" / "0" / "IMG_1.HEIC").touch()
    assert main(["train", "split", "--preview"]) == 0
    err = capsys.readouterr().err
    assert "Left alone, beside valid: test, 4 images." in err and "left out: 1 .heic (convert them to JPEG)." in err
