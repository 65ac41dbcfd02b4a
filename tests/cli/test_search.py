"""`warmnet search`: what it says, what it refuses, how it goes on; and what is found is trained with."""

import json
import shlex
from dataclasses import asdict
from pathlib import Path

import pytest
from pictures import write_digits
from test_train import NET

from warmnet import training
from warmnet.cli import train_options
from warmnet.cli.main import main, parse
from warmnet.training.run_record import to_json
from warmnet.training.searching import running


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_digits(tmp_path_factory.mktemp("images"), classes=(0, 1), count=12)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "net.py"
    path.write_text(NET.format(outputs="self.num_classes"))
    return f"--model={path}"


@pytest.fixture(scope="module", autouse=True)
def undrawn():
    """No search draws its pictures, see tests/training/searching."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(running, "draw_pictures", lambda *_: None)
        yield


@pytest.fixture(scope="module")
def found(folder, model, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "search"
    words = "--epochs=1", "--resolution=12", "--trials=2", "--set=network={}", f"--out={out}"
    assert search(folder, model, *words) == 0
    return out


def search(*words):
    return main(["search", *map(str, words)])


def refused(capsys, *words):
    """The one line that is left of a mistake."""
    capsys.readouterr()
    assert search(*words) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1
    return err


def test_it_says_what_is_tried_and_what_was_found(folder, model, tmp_path, capsys):
    words = "--epochs=1", "--resolution=12", "--trials=1", "--set=network={}", f"--out={tmp_path / 'run'}"
    assert search(folder, model, *words) == 0
    out = capsys.readouterr().out
    assert "18 images" in out and "6 test pictures are set aside" in out and "trial 0/0   held out" in out
    assert "Nothing better than your recipe was found." in out and "of 6, in" in out
    run = tmp_path / "run"
    assert "a training takes" in out and f"{run / 'recipe'} is trained on all but the test pictures" in out
    next_words = shlex.split(out.partition("Next:")[2])
    assert next_words[2:] == ["--config", f"{run / 'search.json'}", "--augment", f"{run / 'policy.json'}", *model.split("=")]
    assert main([*next_words[1:], f"--out={tmp_path / 'again'}"]) == 0
    recipe, again = (training.read_record(path / "run.json")["recipe"] for path in (run / "recipe", tmp_path / "again"))
    assert again.pop("found") and not recipe.pop("found")
    assert again == recipe


def test_a_search_goes_on_by_its_own_options(found, model, capsys):
    before = (found / "policy.json").read_bytes()
    assert search("--resume", f"--out={found}", model) == 0
    assert "trial" not in capsys.readouterr().out.partition("Next:")[0].partition("\n\n")[0], "all is done"
    assert (found / "policy.json").read_bytes() == before
    assert search("--join", found, model) == 0
    assert search("--resume", f"--out={found}", model, "--trials=3") == 0
    assert json.loads((found / "search.json").read_text())["trials"] == 3
    assert (found / "trainings" / "trial-002-fold-0.json").exists()


def test_code_runs_only_if_it_is_named(found, capsys):
    assert "code runs only if you name it" in refused(capsys, "--join", found)


def test_what_cannot_be_is_refused_in_one_line(found, folder, model, tmp_path, capsys):
    assert "holds no search" in refused(capsys, "--join", tmp_path)
    assert "--out" in refused(capsys, "--resume")
    assert "Leave out --out" in refused(capsys, "--join", found, f"--out={tmp_path}")
    assert "where it is begun" in refused(capsys, "--join", found, "--trials=9")
    assert "is there already" in refused(capsys, folder, f"--out={found}")
    assert "among the images" in refused(capsys, folder, f"--out={folder / 'run'}")
    assert "Leave it out" in refused(capsys, folder, model, "--patience=3")
    assert "Leave it out" in refused(capsys, folder, model, "--set=patience=3")
    assert "seed was 0 and is 7" in refused(capsys, "--resume", f"--out={found}", model, "--seed=7")
    assert "not allowed with" in refused_by_usage(capsys, folder, "--trials=3", "--minutes=2")
    assert "whole number from 1" in refused_by_usage(capsys, folder, "--jobs=0")


def refused_by_usage(capsys, *words):
    capsys.readouterr()
    with pytest.raises(SystemExit):
        search(*words)
    return capsys.readouterr().err


def test_changed_images_are_named(found, model, folder, capsys, tmp_path):
    other = write_digits(tmp_path / "other", classes=(0, 1), count=13)
    assert "new" in refused(capsys, other, "--resume", f"--out={found}", model)


def test_what_was_found_is_trained_with_and_looked_at(found, folder, tmp_path, capsys):
    policy = tmp_path / "policy.json"
    steps = [[{"operations": ["rotate"], "probability": 0.5, "strength": 0.2}]]
    policy.write_text(json.dumps({"flip": False, "sampling": "shift", "shift": 0.1, "augment": steps}))
    assert main(["train", str(folder), f"--augment={policy}", "--preview", f"--out={tmp_path / 'preview.png'}"]) == 0
    assert (tmp_path / "preview.png").exists()
    words = "--epochs=1", "--resolution=32", "--set=network={'stem_stride': 1}", f"--out={tmp_path / 'run'}"
    assert main(["train", str(folder), f"--augment={policy}", "--set=shift=0.2", *words]) == 0
    recipe = training.read_record(tmp_path / "run" / "run.json")["recipe"]
    assert (recipe["sampling"], recipe["shift"], recipe["flip"]) == ("shift", 0.2, False), "what is given goes before"
    assert recipe["augment"]["sub_policies"][0][0]["operations"] == ["rotate"]
    assert main(["train", f"--config={tmp_path / 'run'}", f"--out={tmp_path / 'again'}"]) == 0
    weights = [(tmp_path / name / "weights.safetensors").read_bytes() for name in ("run", "again")]
    assert weights[0] == weights[1]


def test_a_policy_of_another_resolution_is_said(folder, model, tmp_path, capsys):
    policy = tmp_path / "policy.json"
    policy.write_text(json.dumps({"flip": False, "found": {"resolution": 24}}))
    words = "train", str(folder), model, "--epochs=1", "--set=network={}", f"--augment={policy}"
    for side in 12, 24:
        assert main([*words, f"--resolution={side}", f"--out={tmp_path / str(side)}"]) == 0
        assert ("found at 24x24" in capsys.readouterr().err) == (side == 12)


def test_of_a_policy_that_was_edited_a_run_that_goes_on_says_what_differs(folder, model, tmp_path, capsys):
    policy, out = tmp_path / "policy.json", tmp_path / "run"
    step = {"operations": ["rotate", "shear_x"], "probability": 0.5, "strength": 0.2}
    words = "train", str(folder), model, "--epochs=1", "--resolution=12", "--set=network={}", f"--out={out}", "--resume"
    policy.write_text(json.dumps({"augment": [[step]], "found": {"seed": 1}}))
    assert main([*words[:-1], f"--augment={policy}"]) == 0
    policy.write_text(json.dumps({"augment": [[step | {"strength": 0.4}]]}))
    capsys.readouterr()
    assert main([*words, f"--augment={policy}"]) == 2
    err = capsys.readouterr().err
    assert "augment.sub_policies[0][0].strength was 0.2 and is 0.4" in err and "operations" not in err and "found" not in err
    policy.write_text(json.dumps({"augment": [[step]], "found": {"seed": 2}}))
    assert main([*words, f"--augment={policy}"]) == 2
    assert "is finished" in capsys.readouterr().err, "where it comes from does not count"


@pytest.mark.parametrize("option", ["--augment=POLICY.JSON", "--set=augment=POLICY.JSON"])
def test_a_policy_is_read_by_either_option_and_its_origin_goes_with_it(folder, tmp_path, monkeypatch, option):
    monkeypatch.chdir(tmp_path)
    Path("POLICY.JSON").write_text('{"augment": null, "erase": 0.5, "found": {"seed": 1}}')
    by_policy = recipe_of("train", folder, option, "--recipe=timm-b0")
    assert (by_policy.augment, by_policy.erase, by_policy.found) == (None, 0.5, {"seed": 1})
    Path("run.json").write_text(to_json({"recipe": asdict(by_policy), "folder": str(folder)}))
    assert recipe_of("train", "--config=run.json").found == {"seed": 1}
    assert recipe_of("train", "--config=run.json", "--augment=randaugment").found == {}
    assert recipe_of("train", "--config=run.json", "--set=flip=False").found == {}, "it is another one now"
    assert recipe_of("train", folder, option, "--set=flip=False").found == {}
    assert recipe_of("train", folder, option, "--lr=0.1").found == {"seed": 1}


def recipe_of(*words):
    """The recipe that a command line stands for."""
    arguments = parse(words)
    return train_options.recipe_of(train_options.with_options_of_file(arguments, arguments.config and Path(arguments.config)))


def test_a_file_of_options_may_name_a_policy(folder, tmp_path):
    (tmp_path / "policy.json").write_text('{"flip": true, "augment": null}')
    for name, policy in ("a", "autoaugment"), ("b", str(tmp_path / "policy.json")):
        file, run = tmp_path / f"{name}.json", tmp_path / name
        file.write_text(json.dumps({"augment": policy, "epochs": 1, "resolution": 32, "folder": str(folder)}))
        assert main(["train", f"--config={file}", f"--out={run}"]) == 0
        recipe = training.read_record(run / "run.json")["recipe"]
        assert (recipe["augment"], recipe["flip"]) == ("autoaugment" if name == "a" else None, True)


def test_a_policy_that_is_none_is_refused(folder, tmp_path, capsys):
    (tmp_path / "policy.json").write_text('{"augment": [[{"operations": ["rotat"], "probability": 1, "strength": 1}]]}')
    assert main(["train", str(folder), f"--augment={tmp_path / 'policy.json'}"]) == 2
    assert "'rotate'" in capsys.readouterr().err
    assert main(["train", str(folder), f"--config={tmp_path / 'policy.json'}"]) == 2
    assert "Train by it with --augment" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["train", str(folder), "--augment=autoaugmnt"])
    assert "autoaugment" in capsys.readouterr().err
