import csv
import random
from dataclasses import replace

import numpy as np
import pytest
import torch
from pictures import write_digits

import warmnet
from warmnet import training, weights
from warmnet.data import ImageError, Preprocessing
from warmnet.errors import InputError
from warmnet.training import schedule
from warmnet.training.metrics import Epoch
from warmnet.training.optimizer import build_optimizer
from warmnet.training.recipe import DIGITS, RECIPES

DATA = training.digits()
FEW = replace(DATA, train=DATA.train[::10], held_out=DATA.held_out[::10])  # 144 and 37
SHORT = replace(DIGITS, epochs=1, batch_size=48)
TINY = warmnet.Variant(width=0.25, depth=0.1, resolution=32, dropout=0.2)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return training.fit(FEW, replace(SHORT, epochs=2), tmp_path_factory.mktemp("run"), variant=TINY)


def test_the_same_seed_gives_the_same_weights_bit_for_bit(tmp_path):
    torch.manual_seed(1)  # whatever was drawn before
    for n, seed in enumerate([5, 5, 6]):
        training.fit(FEW, SHORT, tmp_path / str(n), variant=TINY, seed=seed)
        np.random.rand(3), random.random(), torch.rand(3)
    first, again, other = ((tmp_path / str(n) / weights.FILE).read_bytes() for n in range(3))
    assert first == again != other


def test_the_number_of_workers_changes_no_bit(tmp_path):
    data = training.folder(write_digits(tmp_path / "digits"))
    for workers in 0, 2:
        training.fit(data, SHORT, tmp_path / str(workers), variant=TINY, execution=training.Execution(workers=workers))
    assert (tmp_path / "0" / weights.FILE).read_bytes() == (tmp_path / "2" / weights.FILE).read_bytes()


def test_the_saved_weights_do_what_the_run_says_of_them(run):
    model = warmnet.WarmEfficientNet.from_pretrained(run.folder)
    classes, preprocessing, facts = model.classes, model.preprocessing, model.metadata
    assert classes == DATA.classes and preprocessing == Preprocessing(32, crop=1.0)
    x = torch.stack([preprocessing(sample.image) for sample in FEW.held_out])
    y = torch.tensor([sample.label for sample in FEW.held_out])
    with torch.no_grad():
        predicted = model(x).argmax(1)
    confusion = torch.zeros(10, 10, dtype=torch.long)
    for label, guess in zip(y, predicted):
        confusion[label, guess] += 1
    assert torch.equal(run.confusion, confusion)
    assert run.history[-1].held_out_accuracy == pytest.approx((predicted == y).float().mean().item())
    assert facts["held_out_accuracy"] == run.history[-1].held_out_accuracy and facts["epoch"] == 2


def test_metrics_csv_is_the_history(run):
    with open(run.folder / "metrics.csv", newline="") as file:
        header, *rows = csv.reader(file)
    assert tuple(header) == Epoch._fields
    assert [[float(cell) for cell in row] for row in rows] == [list(epoch) for epoch in run.history]


def test_a_run_folder_holds_weights_metrics_and_pictures_and_no_more(run):
    assert sorted(path.name for path in run.folder.iterdir()) == [
        "best.safetensors", "checkpoint.pt", "confusion-matrix.png", "learning-curve.png", "metrics.csv", "run.json",
        "split.csv", "tensorboard", "weights.safetensors",
    ]  # fmt: skip


def test_tensorboard_has_the_history(run):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run.folder / "tensorboard")).Reload()
    for name in "train_loss", "held_out_accuracy", "lr":
        assert [e.value for e in events.Scalars(name)] == pytest.approx([getattr(epoch, name) for epoch in run.history])


def test_the_recipe_is_in_the_network_and_in_its_file(run):
    model = warmnet.WarmEfficientNet.from_pretrained(run.folder)
    facts = model.metadata
    assert model.options == {"momentum": 0.1} and model.stem.bn.momentum == 0.1
    assert facts["recipe"]["network"] == {"momentum": 0.1} and facts["seed"] == 0


def test_a_run_leaves_the_process_as_it_was(tmp_path):
    state = torch.get_rng_state()
    training.fit(FEW, SHORT, tmp_path, variant=TINY)
    assert torch.equal(torch.get_rng_state(), state)
    assert not torch.are_deterministic_algorithms_enabled()


def test_lightning_says_nothing(tmp_path, capfd, caplog, recwarn):
    training.fit(FEW, SHORT, tmp_path, variant=TINY)
    out, err = capfd.readouterr()
    assert out.startswith("epoch 1/1") and out.count("\n") == 1 and err == ""
    assert not recwarn.list and not caplog.records


def test_the_learning_rate_rises_to_its_peak_and_falls_to_nothing():
    recipe = replace(DIGITS, lr=0.5, warmup=0.1).sized(100)
    rates = [recipe.rate(step, 100, images=640) for step in range(100)]
    assert max(rates) == rates[10] == 0.5 and 0 < rates[0] < 0.06 and 0 < rates[-1] < 0.001
    assert rates == sorted(rates[:10]) + sorted(rates[10:], reverse=True)
    for steps in range(1, 30):
        assert all(0 < schedule.cosine(step, steps, 1, 0.1 * steps) <= 1 for step in range(steps))


def test_kernels_are_decayed_and_biases_if_the_recipe_says_so():
    model = warmnet.WarmEfficientNet(num_classes=2, device="meta")
    for recipe, biases in (DIGITS, False), (RECIPES["paper"], True):
        groups = build_optimizer(model, recipe.sized(100)).param_groups
        decayed = {id(p) for group in groups if group["weight_decay"] for p in group["params"]}
        for name, parameter in model.named_parameters():
            expected = ".bn." not in name and (biases or name.endswith(".weight"))
            assert (id(parameter) in decayed) == expected, name
        assert {group["weight_decay"] for group in groups} == {0, recipe.weight_decay}
        assert sum(len(group["params"]) for group in groups) == len(list(model.parameters()))


def test_runs_are_numbered(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert [str(training.new_folder("digits")) for _ in range(3)] == [f"runs/digits-{n}" for n in (1, 2, 3)]
    (tmp_path / "runs" / "digits-2").rmdir()
    assert str(training.new_folder("digits")) == "runs/digits-2"


def test_nothing_is_written_over(run):
    before = (run.folder / weights.FILE).read_bytes()
    for taken in run.folder, run.folder / weights.FILE:
        with pytest.raises(InputError, match=f"{taken} is there already"):
            training.fit(FEW, SHORT, taken, variant=TINY)
    assert (run.folder / weights.FILE).read_bytes() == before


@pytest.mark.parametrize(
    "recipe, options, message",
    [
        (replace(SHORT, resolution=31), {}, "resolution is 31; .* 32, is the least"),
        (SHORT, {"execution": training.Execution("cuda")}, "device 'cuda' is not there. Choose one of auto, cpu"),
    ],
)
def test_what_cannot_be_trained_is_refused_before_it_starts(tmp_path, recipe, options, message):
    if options and torch.cuda.is_available():
        pytest.skip("it is there")
    with pytest.raises(InputError, match=message):
        training.fit(FEW, recipe, tmp_path, **options)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"data": "pets"}, r"data is 'pets', and not a data set\. .* training\.folder\('pets'\)"),
        ({"recipe": "small"}, r"recipe is 'small', and not a Recipe\. .* training\.RECIPES\['small'\]"),
        ({"network": warmnet.WarmModule}, "network is .*WarmModule.*, and not a class that inherits from warmnet.Classifier"),
    ],
)
def test_what_is_no_data_recipe_or_network_is_said_before_anything_is_written(tmp_path, wrong, message):
    arguments = {"data": FEW, "recipe": SHORT, "network": None, **wrong}
    for trains in training.fit, training.search:
        with pytest.raises(InputError, match=message):
            trains(arguments["data"], arguments["recipe"], tmp_path / "run", network=arguments["network"])
    assert not any(tmp_path.iterdir())


def test_a_data_set_prints_in_a_line():
    assert repr(training.digits()) == "<Data 'digits': 10 classes, 1,433 images to train on, 364 held out>"


def test_training_without_held_out_images_is_refused(tmp_path):
    with pytest.raises(InputError, match="digits: no images are held out"):
        training.fit(replace(FEW, held_out=[]), SHORT, tmp_path)


@pytest.mark.parametrize("workers", [0, 2])
def test_an_image_that_is_lost_in_the_middle_is_named_in_one_line(tmp_path, workers):
    data = training.folder(write_digits(tmp_path / "digits"))
    lost = data.train[3].image
    lost.unlink()
    with pytest.raises(ImageError) as raised:
        training.fit(data, SHORT, tmp_path / "run", variant=TINY, execution=training.Execution(workers=workers))
    assert str(raised.value) == f"{lost}: No such file or directory."


def test_an_error_in_the_middle_leaves_the_epochs_before_it(tmp_path, monkeypatch):
    save = weights.save

    def fails_in_the_third_epoch(*args, **kw):
        if kw["epoch"] == 3:
            raise OSError(28, "No space left on device", "weights.safetensors")
        save(*args, **kw)

    monkeypatch.setattr(weights, "save", fails_in_the_third_epoch)
    with pytest.raises(OSError, match="No space"):
        training.fit(FEW, replace(SHORT, epochs=5), tmp_path, variant=TINY)
    assert warmnet.WarmEfficientNet.from_pretrained(tmp_path).metadata["epoch"] == 2
    assert len((tmp_path / "metrics.csv").read_text().splitlines()) == 3
    assert (tmp_path / "learning-curve.png").exists()


def test_a_rare_class_counts_more_and_the_common_one_is_still_learned(tmp_path):
    """40 to 1, with label smoothing: torch's own weights would make the common class the rare one."""
    of = [[s for s in part if s.label in (0, 1)] for part in (DATA.train, DATA.held_out)]
    train = [s for s in of[0] if s.label == 0][:120] + [s for s in of[0] if s.label == 1][:3]
    data = replace(DATA, classes=("0", "1"), train=train, held_out=of[1])
    recipe = replace(DIGITS, epochs=10, batch_size=24, class_weights=True)
    run = training.fit(data, recipe, tmp_path, variant=warmnet.Variant(0.5, 0.3, 32, 0.2))
    recall = run.confusion.diag() / run.confusion.sum(1)
    assert recall.min() > 0.6, recall


def test_a_network_of_no_such_option_is_refused_with_the_recipe_s_words(tmp_path):
    with pytest.raises(InputError, match="network is {'foo': 1}: Unknown option 'foo'"):
        training.fit(FEW, replace(SHORT, network={"foo": 1}), str(tmp_path / "run"))
