"""`warmnet train`: what fails, fails before it works, and a run can be repeated and go on by what it has written."""

import json
from contextlib import suppress

import pytest
import torch
from commands import SMALL
from pictures import write_digits

import warmnet
from warmnet import training, weights
from warmnet.cli.main import main, parse
from warmnet.training.run_record import FACTS
from warmnet.training.steps import Training

NET = """
import warmnet, warmnet.functional as W

class Net(warmnet.Classifier):
    def __init__(self, variant='small', num_classes=10, in_channels=3, *, momentum=0.1, device=None, seed=None):
        super().__init__(variant, num_classes, in_channels, resolution=32, reduction=4, momentum=momentum)
        self.warm_up(device, seed)

    def forward(self, x):
        x = warmnet.conv_bn_act(x, 4, 3, 4, name='stem')
        return W.linear(x.mean((2, 3)), {outputs}, name='classifier')
"""


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    return write_digits(tmp_path_factory.mktemp("images"), classes=(0, 1), count=10)


@pytest.fixture(scope="module")
def run(digits, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "run"
    assert train(digits, SMALL, "--epochs=2", "--resolution=32", "--seed=3", "--set=mixup=0.2", f"--out={out}") == 0
    return out


@pytest.fixture
def unread(monkeypatch):
    """No image can be read: what is refused is refused before."""
    monkeypatch.setattr("warmnet.data.folders.folder", None)
    monkeypatch.setattr("warmnet.data.folder", None, raising=False)


def train(*words):
    return main(["train", *map(str, words)])


def refused(capsys, *words):
    """The one line that is left of a mistake."""
    assert train(*words) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and "It goes on with: " not in err
    return err


def test_what_can_be_told_before_is_told_before_an_image_is_read(digits, run, tmp_path, unread, capsys):
    model, out = tmp_path / "model.py", f"--out={tmp_path / 'out'}"
    model.write_text(NET.format(outputs=12))
    for words, message in [
        ([f"--model={model}:Net"], "gives (3, 12) for 3 images of 7 classes"),
        (["--resolution=8"], "total stride, 32, is the least"),
        (["--set=network={'foo': 1}"], "Unknown option 'foo'"),
        (["--set=mixop=1"], "mixop"),
        (["--batch-size=4", "--accumulate=4"], "batch size of 4 is too small for 4 parts"),
        ([f"--weights={tmp_path / 'none.pth'}"], "none.pth does not exist"),
        ([f"--weights={run}", "--variant=b1"], "holds weights of another variant than b1"),
        ([f"--weights={run}", "--freeze=stage_9"], "Choose one of stem, stage_1, stage_2, head, all"),
        (["--preview", f"--out={model}"], "model.py is there already"),
    ]:
        assert message in refused(capsys, digits, out, *words), words
    assert not (tmp_path / "out").exists()


def test_a_run_that_cannot_go_on_as_given_is_refused_before_an_image_is_read(run, tmp_path, unread, capsys):
    for words, message in [
        ([], "is finished: all its 2 epochs are done"),
        (["--epochs=4", "--seed=4", "--lr=0.5", "--set=mixup=0.1"], "lr was"),
        (["--epochs=4", f"--weights={run}"], "was started from random weights, not from weights"),
    ]:
        said = refused(capsys, "--resume", f"--out={run}", *words)
        assert message in said, words
    assert "holds no run to go on with" in refused(capsys, f"--out={tmp_path / 'none'}", "--resume")


def test_every_setting_that_is_given_and_differs_is_named(run, unread, capsys):
    said = refused(capsys, "--resume", f"--out={run}", "--epochs=4", "--seed=4", "--lr=0.5", "--set=mixup=0.1")
    assert all(f"{name} was " in said for name in ("seed", "lr", "mixup")) and "epochs was" not in said


def test_a_run_is_repeated_by_its_own_json_to_the_very_bytes(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # its paths hold anywhere
    assert train(f"--config={run / 'run.json'}", "--out=again") == 0
    assert (tmp_path / "again" / weights.FILE).read_bytes() == (run / weights.FILE).read_bytes()
    first, again = (training.read_record(folder / "run.json") for folder in (run, tmp_path / "again"))
    assert first["versions"] == again["versions"] and first["recipe"] == again["recipe"] and first["results"]["kept"] == 2


def test_a_finished_run_goes_on_by_what_it_has_written(run, tmp_path, capsys):
    assert train(f"--config={run / 'run.json'}", f"--out={tmp_path / 'run'}") == 0
    assert train("--resume", f"--out={tmp_path / 'run'}", "--epochs=3") == 0
    said = capsys.readouterr()
    assert "was finished after 2 epochs and goes on to 3. Its learning rate is from here on that of a run of 3" in said.err
    assert train(f"--config={tmp_path / 'run' / 'run.json'}", f"--out={tmp_path / 'again'}") == 0
    assert "was made longer after 2 epochs: this one ends with other weights" in capsys.readouterr().err


def test_a_file_of_options_is_refused_for_what_is_no_option(digits, tmp_path, capsys):
    file = tmp_path / "options.json"
    for content, message in [
        ('{"epoch": 4}', "'epoch', and there is no such option. Did you mean 'epochs'?"),
        ("[1]", "holds no options"),
        ("epochs: 4", "is no JSON"),
        ('{"epochs": 4, "epochs": 5}', "has 'epochs' twice"),
        ('{"recipe": {"name": "bogus"}}', "is of the recipe 'bogus'. Choose one of small"),
        ('{"recipe": {"name": 5}}', "of the recipe 5"),
        ('{"recipe": {"network": {"act": {"function": "os:system"}}}}', "unknown function 'os:system'"),
        ('{"recipe": 5}', "recipe is 5; it must be text"),
        ('{"folder": 5}', "folder is 5; it must be text"),
        ('{"folder": ["data"]}', "folder is ['data']; it must be text"),
        ('{"folder": ""}', "folder is ''; it must be text"),
        (r'{"folder": "da\u0000ta"}', "it must be text"),
        ('{"strict": "false"}', "strict is 'false'; it must be true or false"),
        ('{"compile": "no"}', "compile is 'no'; it must be true or false"),
        ('{"epochs": true}', "epochs is True; it must be a number"),
        ('{"extended": 5}', "extended is 5; it must be a list"),
        ('{"processes": "two"}', "processes is 'two'; it must be a whole number"),
        ('{"model": "somebodys.py:Net"}', "code runs only if you name it. Do so if you trust it: --model somebodys.py:Net"),
    ]:
        file.write_text(content)
        assert message in refused(capsys, digits, f"--config={file}")
    file.write_text('{"epochs": 4.5}')
    with pytest.raises(SystemExit):
        train(digits, f"--config={file}")


def test_a_recipe_of_which_a_file_has_a_part_is_for_the_rest_the_one_it_names(digits, tmp_path, capsys):
    file = tmp_path / "options.json"
    file.write_text('{"recipe": {"name": "sgd", "network": {}}, "epochs": 1, "resolution": 32, "variant": "b0"}')
    assert train(digits, f"--config={file}", SMALL, f"--out={tmp_path / 'run'}") == 0
    assert "Recipe sgd: 1 epoch, batch 16, sgd " in capsys.readouterr().out


def test_a_whole_recipe_of_the_user_s_own_is_repeated_from_run_json(digits, tmp_path):
    network = {"stages": ((8, 2, 3, 2, 1), (16, 2, 5, 2, 2)), "stem": 8, "head": 32}
    recipe = training.Recipe("mine", epochs=1, resolution=32, network=network)
    options = {"folder": str(digits)}
    first = training.fit(training.folder(digits), recipe, tmp_path / "run", options=options).folder
    record = training.read_record(first / "run.json")
    del record["recipe"]["found"]  # as before there were policies
    (tmp_path / "run.json").write_text(json.dumps(record))
    assert train(f"--config={tmp_path / 'run.json'}", f"--out={tmp_path / 'again'}") == 0
    assert (first / weights.FILE).read_bytes() == (tmp_path / "again" / weights.FILE).read_bytes()


def test_a_run_that_is_repeated_by_other_processes_or_threads_is_said_to_end_with_other_weights(run, tmp_path, capsys):
    record = training.read_record(run / "run.json")
    assert (record["processes"], record["threads"]) == (1, torch.get_num_threads())
    file = tmp_path / "run.json"
    file.write_text(json.dumps({**record, "processes": 2, "threads": 7}))
    assert train(f"--config={file}", f"--out={tmp_path / 'again'}") == 0
    said = capsys.readouterr().err
    assert f"The run of {file} had 2 processes, and this one has 1: its weights will differ." in said and "7 threads" in said
    assert train(f"--config={file}", "--lr=0.02", "--epochs=1", f"--out={tmp_path / 'other'}") == 0
    assert "its weights will differ" not in capsys.readouterr().err, "everybody expects it of other settings"


@pytest.mark.parametrize("words", [["--config="], ["--out="], ["--weights", ""], [""]], ids=str)
def test_an_empty_word_is_refused_and_not_taken_for_a_default(words, capsys):
    with pytest.raises(SystemExit):
        train(*words)
    assert "it is empty" in capsys.readouterr().err


def test_options_that_are_given_go_before_those_of_the_file(digits, tmp_path):
    file = tmp_path / "options.json"
    options = {"folder": str(digits), "epochs": 9, "batch-size": 8, "mixup": 0.2, "resolution": 32, "network": {"dropout": 0.1}}
    file.write_text(json.dumps(options))
    assert train(f"--config={file}", "--epochs=1", f"--out={tmp_path / 'run'}") == 0
    recipe = training.read_record(tmp_path / "run" / "run.json")["recipe"]
    assert (recipe["epochs"], recipe["batch_size"], recipe["mixup"], recipe["network"]) == (1, 8, 0.2, {"dropout": 0.1})


def test_run_json_has_every_option_of_the_command(run):
    options = vars(parse(["train"])).keys()
    recorded = training.read_record(run / "run.json")
    elsewhere = {"out", "resume", "preview", "config", "set", "command", "parser", "words", "rest"}
    assert not options - elsewhere - recorded.keys() - recorded["recipe"].keys()
    assert not {*FACTS} & (options | recorded["recipe"].keys()), "a fact would hide an option of this name"


def test_a_run_from_weights_of_a_variant_without_a_name_is_repeated(digits, tmp_path):
    tiny = warmnet.WarmEfficientNet(warmnet.Variant(0.2, 0.2, 32, 0.2), 2, seed=0, stages=warmnet.STAGES[:1])
    warmnet.save(tiny, tmp_path / "tiny.safetensors")
    assert train(digits, f"--weights={tmp_path / 'tiny.safetensors'}", "--epochs=1", f"--out={tmp_path / 'run'}") == 0
    again = [f"--config={tmp_path / 'run' / 'run.json'}", f"--out={tmp_path / 'again'}"]
    assert train(*again) == 0
    assert (tmp_path / "again" / weights.FILE).read_bytes() == (tmp_path / "run" / weights.FILE).read_bytes()
    tiny.classifier.bias.data.fill_(1)
    warmnet.save(tiny, tmp_path / "tiny.safetensors")
    assert train(again[0], f"--out={tmp_path / 'other'}") == 2, "the weights have changed"


def test_freezing_says_how_many_parameters_learn(digits, run, tmp_path, capsys):
    assert train(digits, f"--weights={run}", "--freeze=all", "--epochs=1", f"--out={tmp_path / 'run'}") == 0
    assert "All but the classifier is frozen: 66 of " in capsys.readouterr().out


def fails(monkeypatch, at, error):
    take_step = Training.take_step

    def step(self, parts):
        if self.step == at:
            raise error
        take_step(self, parts)

    monkeypatch.setattr(Training, "take_step", step)


def ended_early(capsys, *words):
    """What a run that fails says on stderr."""
    with suppress(RuntimeError):
        assert train(*words) > 0
    return capsys.readouterr().err


def test_a_run_that_fails_at_its_first_step_leaves_nothing_and_no_advice(digits, tmp_path, monkeypatch, capsys):
    fails(monkeypatch, 0, RuntimeError("a bug"))
    assert "It goes on with" not in ended_early(capsys, digits, SMALL, "--resolution=32", f"--out={tmp_path / 'run'}")
    assert not any(tmp_path.iterdir())


def test_a_run_that_fails_at_the_same_step_again_is_not_advised_to_go_on_for_ever(digits, tmp_path, monkeypatch, capsys):
    out = tmp_path / "run"
    fails(monkeypatch, 3, RuntimeError("a bug"))  # in the second epoch
    said = ended_early(capsys, digits, SMALL, "--epochs=3", "--resolution=32", "--batch-size=8", f"--out={out}")
    assert f"It goes on with: warmnet train --resume --out {out}\n" in said
    assert "It goes on with" not in ended_early(capsys, "--resume", f"--out={out}")


@pytest.mark.parametrize(
    "error, advice",
    [
        (RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed. "), "--workers 0"),
        (MemoryError(), "--accumulate 2"),
    ],
    ids=["a worker is killed", "memory"],
)
def test_less_is_advised_where_too_much_ended_the_run(digits, tmp_path, monkeypatch, capsys, error, advice):
    out = tmp_path / "run"
    fails(monkeypatch, 3, error)
    options = ["--epochs=3", "--resolution=32", "--batch-size=8", f"--out={out}"]
    said = ended_early(capsys, digits, SMALL, *options)
    assert f"It goes on with: warmnet train --resume --out {out} {advice}\n" in said and "Traceback" not in said
    monkeypatch.undo()
    assert train("--resume", f"--out={out}", *advice.split()) == 0
