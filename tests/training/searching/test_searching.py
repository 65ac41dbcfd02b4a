"""A search, with real trainings: one policy.json however it is run; what it finds travels; what goes wrong loses nothing."""

import inspect
import json
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import warmnet
import warmnet.functional as W
from warmnet import training, weights
from warmnet.authoring.user_networks import find_network
from warmnet.data import read_policy
from warmnet.errors import InputError
from warmnet.training.run_folder import RunFolder
from warmnet.training.searching import process, running
from warmnet.training.searching.jobs import one_thread
from warmnet.training.searching.opening import SEARCH
from warmnet.training.searching.search_folder import AGAIN, FIRST, JOURNAL, Job
from warmnet.weights.reading import read

TRIALS = 6
RECIPE = replace(training.PHOTOS, epochs=3, resolution=12, batch_size=16, lr=0.02, network={}, flip=False)


class Net(warmnet.Classifier):
    def __init__(self, variant="small", num_classes=10, in_channels=3, *, device=None, seed=None):
        super().__init__(variant, num_classes, in_channels, resolution=12, reduction=2)
        self.warm_up(device, seed)

    def forward(self, x):
        x = warmnet.conv_bn_act(x, 8, 3, 2, name="stem")
        return W.linear(x.mean((2, 3)), self.num_classes, name="classifier")


NET = "import warmnet, warmnet.functional as W\n\n" + inspect.getsource(Net)  # the file of the same network


def images(count=24):
    """Noise, a little brighter in the upper or in the lower half."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 90, (count, 12, 12, 3), np.uint8)
    labels = np.arange(count) % 2
    x[labels == 0, :6] += 60
    x[labels == 1, 6:] += 60
    return training.arrays(x, labels, val_share=0.25)


def search(folder, **options):
    return training.search(images(), RECIPE, folder, **{"trials": TRIALS, "network": Net, "seed": 3} | options)


@pytest.fixture(scope="module", autouse=True)
def undrawn():
    """No search draws its pictures, which take longer than all of its trainings here. test_pictures.py looks at them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(running, "draw_pictures", lambda *_: None)
        patch.setattr(RunFolder, "draw", lambda *_: None)
        yield


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    return search(tmp_path_factory.mktemp("search") / "run")


def test_a_search_writes_its_policy_and_its_runs(found):
    assert found.policy.exists() and len(found.losses) == TRIALS
    assert (found.folder / "recipe" / weights.FILE).exists()
    trained = {path.parent.name for path in found.folder.glob(f"*/{weights.FILE}")}
    assert len(trained) == 1 + found.is_better
    names = {path.name for path in (found.folder / "trainings").glob("*.json")}
    assert {f"{Job(trial, FIRST, fold)}.json" for trial in range(TRIALS) for fold in range(3)} <= names
    assert {f"{Job(0, AGAIN, fold)}.json" for fold in range(3)} <= names
    assert not [path for path in (found.folder / "trainings").iterdir() if path.is_dir()], "no checkpoint is left"


def test_the_test_pictures_are_recorded_and_not_searched_on(found):
    split = (found.folder / "split.csv").read_text().splitlines()
    assert sum("held out" in line for line in split) == 6
    of_run = (found.folder / "recipe" / "split.csv").read_text().splitlines()
    assert split == of_run, "the last trainings are judged by the same ones"


@pytest.mark.slow
def test_two_jobs_find_the_same_byte_for_byte(found, tmp_path):
    (tmp_path / "net.py").write_text(NET)
    network = find_network(str(tmp_path / "net.py"))
    folders = [tmp_path / name for name in ("one", "two")]
    for jobs, folder in enumerate(folders, 1):
        search(folder, network=network, jobs=jobs)
    one, two = (folder / "policy.json" for folder in folders)
    assert one.read_bytes() == two.read_bytes()
    assert [result_of(folders[0], job) for job in jobs_of(folders[0])] == [
        result_of(folders[1], job) for job in jobs_of(folders[0])
    ]
    same = json.loads(one.read_text()) | {"found": None}
    assert same == json.loads(found.policy.read_text()) | {"found": None}, "nor does the file matter"


def jobs_of(folder):
    return sorted(path.name for path in (folder / "trainings").glob("*.json"))


def result_of(folder, name):
    content = json.loads((folder / "trainings" / name).read_text())
    return name, content["loss"], content["accuracy"]


def test_a_search_that_was_stopped_goes_on_to_the_same_policy(found, tmp_path, monkeypatch):
    """At each training in turn: after its epochs, and between two of them, with and without a checkpoint."""
    stops, real = iter(range(1, 60, 7)), process.train

    def stopped(training_, data, keeper, *rest, **options):
        training_.recipe = replace(training_.recipe, epochs=1)
        real(training_, data, keeper, *rest, **options)
        keeper.save(training_)
        raise KeyboardInterrupt

    folder, count, next_stop = tmp_path / "run", [0], [next(stops)]

    def train(*arguments, **options):
        count[0] += 1
        if count[0] == next_stop[0]:
            next_stop[0] = next(stops, None)
            return stopped(*arguments, **options)
        return real(*arguments, **options)

    monkeypatch.setattr(process, "train", train)
    interrupted = 0
    while True:
        try:
            again = search(folder, resume=(folder / SEARCH).exists())
            break
        except KeyboardInterrupt:
            interrupted += 1
    assert interrupted >= 4
    assert again.policy.read_bytes() == found.policy.read_bytes()


def test_a_damaged_result_checkpoint_or_journal_is_made_again(found, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(found.folder, folder)
    path = folder / "trainings" / f"{Job(2, FIRST, 1)}.json"
    path.write_bytes(path.read_bytes()[:9])
    (folder / "trainings" / f"{Job(0, AGAIN, 1)}.json").write_text('{"loss": null, "accuracy": 0, "seconds": 1}')
    for fold, text in (0, '{"loss": "low", "accuracy": 1, "seconds": 1}'), (2, '{"loss": NaN, "accuracy": 1, "seconds": 1}'):
        (folder / "trainings" / f"{Job(2, FIRST, fold)}.json").write_text(text)
    (folder / JOURNAL).write_bytes((folder / JOURNAL).read_bytes()[:-7])
    half = folder / "trainings" / path.stem
    half.mkdir()
    (half / "checkpoint.pt").write_bytes(b"junk")
    again = search(folder, resume=True)
    assert again.policy.read_bytes() == found.policy.read_bytes()
    assert result_of(folder, path.name) == result_of(found.folder, path.name)


def test_optuna_reads_the_journal(found):
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    storage = JournalStorage(JournalFileBackend(str(found.folder / JOURNAL)))
    study = optuna.load_study(study_name=found.folder.name, storage=storage)
    assert [trial.value for trial in study.trials] == found.losses[1:]
    assert study.best_value == min(found.losses[1:])


def test_more_trials_go_on_where_the_search_ended(found, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(found.folder, folder)
    before = {name: (folder / "trainings" / name).stat().st_mtime_ns for name in jobs_of(folder)}
    longer = search(folder, resume=True, trials=TRIALS + 2)
    assert longer.losses[:TRIALS] == found.losses and len(longer.losses) == TRIALS + 2
    assert all((folder / "trainings" / name).stat().st_mtime_ns == at for name, at in before.items())
    with pytest.raises(InputError, match="holds no search"):
        search(tmp_path / "elsewhere", resume=True)


def test_minutes_end_a_search_after_a_generation(tmp_path):
    short = search(tmp_path / "run", trials=None, minutes=1e-6)
    assert len(short.losses) == 5
    assert len(search(tmp_path / "run", trials=None, resume=True).losses) == 5, "it is over"
    assert len(search(tmp_path / "run", trials=7, resume=True).losses) == 7


def test_a_policy_that_is_found_travels_with_the_weights(tmp_path):
    """AutoAugment blackens and inverts pictures that differ in brightness, so that a candidate does better."""
    bad = replace(RECIPE, augment="autoaugment", epochs=6, lr=0.05)
    better = training.search(images(36), bad, tmp_path / "run", trials=6, network=Net, seed=1)
    content = json.loads(better.policy.read_text())
    assert better.is_better and content["found"]["result"] == "better than the recipe"
    assert content["found"]["difference"] < -content["found"]["standard error"] < 0
    trained = better.folder / f"trial-{content['found']['trial']:03}"
    metadata = read(trained).description.metadata["recipe"]
    assert metadata["found"] == content["found"] and metadata["flip"] == content["flip"]
    recipe = bad.with_settings(read_policy(better.policy))
    with one_thread():
        again = training.fit(images(36), recipe, tmp_path / "again", network=Net, seed=1, progress=False)
    digests = {training.digest(Net.from_pretrained(folder)) for folder in (tmp_path / "again", trained)}
    assert len(digests) == 1 and again.history[-1].held_out_accuracy == better.found
    longer = training.search(images(36), bad, tmp_path / "run", trials=11, network=Net, seed=1, resume=True)
    taken = json.loads(longer.policy.read_text())["found"]["trial"]
    metrics = (better.folder / f"trial-{taken:03}" / "metrics.csv").read_text().splitlines()
    assert longer.found == float(metrics[-1].split(",")[5]), "of the network that was trained by this policy"


def test_the_policy_of_a_search_that_found_nothing_is_all_that_the_recipe_does_to_images(tmp_path):
    recipe = replace(RECIPE, augment="randaugment", magnitude=15, erase=0.25)
    found = training.search(images(), recipe, tmp_path / "run", trials=1, network=Net)
    again = RECIPE.with_settings(read_policy(found.policy))
    assert (again.augment, again.magnitude, again.erase) == ("randaugment", 15, 0.25)
    assert again.found["result"] == "nothing better than the recipe was found"


def test_what_cannot_be_searched_is_refused_before_a_training(tmp_path):
    with pytest.raises(InputError, match="Leave out one of them"):
        search(tmp_path / "a", minutes=3)
    few = training.arrays(np.zeros((6, 8, 8), np.uint8), [0, 0, 0, 0, 1, 1])
    with pytest.raises(InputError, match="3 is the least"):
        training.search(few, RECIPE, tmp_path / "a", network=Net)
    nothing = replace(images(), held_out=[])
    with pytest.raises(InputError, match="no test pictures"):
        training.search(nothing, RECIPE, tmp_path / "a", network=Net)
    with pytest.raises(InputError, match="holds no search"):
        search(tmp_path / "a", resume=True)
    assert not (tmp_path / "a").exists()


def test_a_search_goes_on_only_as_it_was_started(found):
    before = {path: path.read_bytes() for path in found.folder.iterdir() if path.is_file()}
    with pytest.raises(InputError, match="seed was 3 and is 4"):
        search(found.folder, resume=True, seed=4)
    with pytest.raises(InputError, match="lr was 0.02 and is 0.1"):
        training.search(images(), replace(RECIPE, lr=0.1), found.folder, trials=TRIALS, network=Net, seed=3, resume=True)
    with pytest.raises(InputError, match="new"):
        training.search(images(30), RECIPE, found.folder, trials=TRIALS, network=Net, seed=3, resume=True)
    with pytest.raises(InputError, match="is there already"):
        search(found.folder)
    assert before == {path: path.read_bytes() for path in found.folder.iterdir() if path.is_file()}


@pytest.mark.parametrize("end", ["draw", "finish"])
def test_a_search_that_ended_between_a_last_epoch_and_its_results_goes_on(found, tmp_path, monkeypatch, end):
    def stop(*_):
        raise KeyboardInterrupt

    folder = tmp_path / "run"
    shutil.copytree(found.folder, folder)
    shutil.rmtree(folder / "recipe")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(RunFolder, end, stop)
        search(folder, resume=True)
    assert search(folder, resume=True).policy.read_bytes() == found.policy.read_bytes()
    (folder / "recipe" / "run.json").unlink()
    assert search(folder, resume=True).recipe == found.recipe


@pytest.mark.parametrize("name, content", [("checkpoint.pt", None), ("checkpoint.pt", 100), ("run.json", 1)])
def test_a_last_training_of_which_a_file_is_lost_or_damaged_is_done_again(found, tmp_path, name, content):
    """`content`: so many of its bytes are left."""
    folder = tmp_path / "run"
    shutil.copytree(found.folder, folder)
    path = folder / "recipe" / name
    if content is None:
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:content])
    again = search(folder, resume=True)
    assert (again.recipe, again.policy.read_bytes()) == (found.recipe, found.policy.read_bytes())


@pytest.mark.parametrize("name, change, message", [
    (SEARCH, {"trials": 0}, "trials=0 must be at least 1"), (SEARCH, {"trials": 2.5}, "trials=2.5 must be a whole"),
    (SEARCH, {"minutes": "x"}, "minutes='x'"), (SEARCH, {"recipe": 3}, "recipe"), (SEARCH, {"split": None}, "split"),
    (SEARCH, "[]", "holds no options"), ("trials.json", "x", "trials.json is not a whole number"),
])  # fmt: skip
def test_files_that_were_edited_are_named(found, tmp_path, name, change, message):
    folder = tmp_path / "run"
    shutil.copytree(found.folder, folder)
    settings = json.loads((folder / SEARCH).read_text()) | {"trials": None, "minutes": 1e-6}
    (folder / SEARCH).write_text(json.dumps(settings | change if isinstance(change, dict) else settings))
    if isinstance(change, str):
        (folder / name).write_text(change)
    with pytest.raises(InputError, match=message):
        search(folder, trials=None, resume=True)


@pytest.mark.parametrize(
    "name, value",
    [("trials", 0), ("trials", "3"), ("jobs", 0), ("jobs", 1.5), ("minutes", -1), ("seed", "a"), ("seed", -1), ("seed", True)],
)
def test_numbers_that_cannot_be_are_named(tmp_path, name, value):
    with pytest.raises((ValueError, TypeError), match=f"{name}={value!r} must be"):
        search(tmp_path / "run", **{"trials": None, name: value})
    assert not (tmp_path / "run").exists()


def test_a_recipe_that_diverges_ends_the_search_and_a_candidate_does_not(tmp_path, monkeypatch):
    with pytest.raises(InputError, match="not a number"):
        training.search(images(), replace(RECIPE, lr=1e6, weight_decay=1e6), tmp_path / "a", trials=2, network=Net)
    real = process.Search.recipe_of

    def recipe_of(self, trial):
        return replace(real(self, trial), **{"lr": 1e6, "weight_decay": 1e6} if trial == 1 else {})

    monkeypatch.setattr(process.Search, "recipe_of", recipe_of)
    found = search(tmp_path / "b", trials=3)
    assert found.losses[1] == float("inf") and found.losses[2] < 10


class Wide(warmnet.Variant):
    """A user's own."""


@pytest.mark.parametrize("kind, options", [
    (Net, {"network": Net}), (Wide, {"variant": Wide(width=0.25, depth=0.1, resolution=32, dropout=0.2)}),
])  # fmt: skip
def test_what_a_script_defines_cannot_be_sent_to_jobs(tmp_path, monkeypatch, kind, options):
    monkeypatch.setattr(kind, "__module__", "__main__")
    with pytest.raises(InputError, match=f"{kind.__name__} is written in the script.*in a file of its own"):
        training.search(images(), replace(RECIPE, resolution=32), tmp_path / "a", jobs=2, **options)
    assert not (tmp_path / "a").exists()


def test_the_number_of_threads_is_as_before(found, tmp_path):
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        assert search(tmp_path / "run", trials=1).folder
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(threads)


SCRIPT = """
import sys
from pathlib import Path
sys.path.insert(0, str(Path({tests!r})))
import test_searching
from warmnet.authoring.user_networks import find_network
folder = Path(sys.argv[1])
test_searching.search(folder, jobs=2, network=find_network(sys.argv[2]), resume=(folder / "search.json").exists())
"""


@pytest.mark.slow
def test_a_search_of_two_jobs_that_is_killed_5_times_finds_the_same(tmp_path):
    (tmp_path / "net.py").write_text(NET)
    network = find_network(str(tmp_path / "net.py"))
    whole = search(tmp_path / "whole", network=network)
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(tests=str(Path(__file__).parent)))
    command = [sys.executable, str(script), str(tmp_path / "killed"), str(tmp_path / "net.py")]
    kills = 0
    while kills < 5:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        done = len(list((tmp_path / "killed" / "trainings").glob("*.json")))
        while process.poll() is None and len(list((tmp_path / "killed" / "trainings").glob("*.json"))) < done + 1:
            time.sleep(0.01)
        if process.poll() is not None:
            break
        process.kill()
        process.wait()
        kills += 1
    subprocess.run(command, check=True)
    assert kills == 5
    assert (tmp_path / "killed" / "policy.json").read_bytes() == whole.policy.read_bytes()
