import csv
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from pictures import truncate, write_digits
from PIL import Image
from sklearn.calibration import calibration_curve
from sklearn.metrics import (
    accuracy_score,
    confusion_matrix,
    log_loss,
    precision_recall_fscore_support,
    top_k_accuracy_score,
)
from torch import nn

import warmnet
from warmnet.data import Sample, digits, folder
from warmnet.data.preprocessing import Preprocessing
from warmnet.deployment.prediction import computing
from warmnet.errors import InputError
from warmnet.training.evaluation import evaluate
from warmnet.training.evaluation_report import report
from warmnet.training.evaluation_result import Bin, Evaluation

DATA = digits()
TINY = warmnet.Variant(width=0.25, depth=0.1, resolution=32, dropout=0.2)


def network(num_classes=10):
    model = warmnet.WarmEfficientNet(TINY, num_classes, seed=0).eval()
    model.classes, model.preprocessing = tuple(map(str, range(num_classes))), Preprocessing(32, 1.0)
    return model


@pytest.fixture(scope="module")
def model():
    """Random features, a classifier on them by least squares: half of the held-out digits right, at all confidences."""
    model, features = network(), network(num_classes=0)
    x = torch.stack([model.preprocessing(sample.image) for sample in DATA.train])
    labels = nn.functional.one_hot(torch.tensor([sample.label for sample in DATA.train])).double()
    for module in features.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # the statistics are those of these images
    with torch.no_grad():
        features.train()(x)
        z = features.eval()(x).double()
        mean, std = z.mean(0), z.std(0)
        z = (z - mean) / std
        weight = 8 * torch.linalg.solve(z.T @ z + 10 * torch.eye(z.shape[1]), z.T @ (labels - 0.1)) / std[:, None]
        model.load_state_dict(features.state_dict(), strict=False)
        model.classifier.weight.copy_(weight.T)
        model.classifier.bias.copy_(-mean @ weight)
    return model


@pytest.fixture(scope="module")
def evaluation(model):
    return evaluate(model, DATA.held_out)


@pytest.fixture(scope="module")
def truth(model):
    """Labels and probabilities of the held-out digits, to the last digit those that are judged: in its batches and layout."""
    pixels = np.stack([model.preprocessing.pixels(sample.image) for sample in DATA.held_out])
    with computing(model, "cpu") as logits_of:
        logits = torch.from_numpy(np.concatenate([logits_of(pixels[i : i + 64]) for i in range(0, len(pixels), 64)]))
    with torch.no_grad():
        plain = model(torch.stack([model.preprocessing(sample.image) for sample in DATA.held_out]))
    torch.testing.assert_close(logits, plain, rtol=1e-5, atol=1e-3)
    return np.array([sample.label for sample in DATA.held_out]), logits.double().softmax(1).numpy()


def test_the_figures_are_those_of_scikit_learn(evaluation, truth):
    labels, probabilities = truth
    predicted = probabilities.argmax(1)
    assert evaluation.images == len(labels) == 364
    assert evaluation.top1 == accuracy_score(labels, predicted) == evaluation.right / 364
    assert evaluation.top5 == top_k_accuracy_score(labels, probabilities, k=5)
    assert 0.3 < evaluation.top1 < 0.7 < evaluation.top5 < 0.95, "neither is trivial"
    assert evaluation.nll == pytest.approx(log_loss(labels, probabilities), rel=1e-5)  # float32, in other batches
    assert np.array_equal(evaluation.confusion, confusion_matrix(labels, predicted))
    for name, scores in zip(("precision", "recall", "f1"), precision_recall_fscore_support(labels, predicted)):
        assert [getattr(row, name) for row in evaluation.per_class] == pytest.approx(scores)
    precision, recall, f1, _ = precision_recall_fscore_support(labels, predicted, average="macro")
    assert evaluation.macro == pytest.approx((recall, precision, f1))


def test_macro_averages_are_of_the_classes_that_have_images():
    confusion = [[3, 1, 0, 2], [0, 0, 0, 4], [0, 0, 0, 0], [1, 0, 0, 5]]  # 1 is never right, 2 has no images
    labels, predicted = np.repeat(np.arange(4), np.sum(confusion, 1)), np.repeat([0, 1, 3, 3, 0, 3], [3, 1, 2, 4, 1, 5])
    result = made(confusion, ["a", "b", "c", "d"])
    precision, recall, f1, _ = precision_recall_fscore_support(labels, predicted, labels=[0, 1, 3], average="macro")
    assert result.macro == pytest.approx((recall, precision, f1)) and result.per_class[2].f1 is None
    assert result.to_dict()["macro"]["f1"] == result.macro.f1
    assert f"macro average      16      8   {recall:.1%}" in str(result) and f"{f1:.1%}" in str(result)


def test_the_reliability_curve_is_that_of_scikit_learn(evaluation, truth):
    labels, probabilities = truth
    right, confidence = probabilities.argmax(1) == labels, probabilities.max(1)
    accuracies, confidences = calibration_curve(right, confidence, n_bins=15)
    filled = [row for row in evaluation.bins if row.images]
    assert len(evaluation.bins) == 15 and len(filled) > 10
    assert [row.accuracy for row in filled] == pytest.approx(accuracies)
    assert [row.confidence for row in filled] == pytest.approx(confidences, rel=1e-5)
    counts, _ = np.histogram(confidence, 15, (0, 1))
    assert [row.images for row in evaluation.bins] == counts.tolist()
    error = sum(counts[counts > 0] * abs(accuracies - confidences)) / 364  # equation 3 of Guo et al.
    assert evaluation.calibration_error == pytest.approx(error, rel=1e-5) and error > 0.05


def test_mistakes_are_all_there_the_most_confident_first(evaluation, truth):
    labels, probabilities = truth
    predicted = probabilities.argmax(1)
    assert sorted(mistake.place for mistake in evaluation.mistakes) == np.flatnonzero(predicted != labels).tolist()
    for mistake in evaluation.mistakes:
        assert mistake.sample is DATA.held_out[mistake.place] and mistake.true == str(mistake.sample.label)
        assert mistake.predicted == str(predicted[mistake.place])
        assert mistake.probability == pytest.approx(probabilities[mistake.place].max(), rel=1e-4)
    shares = [mistake.probability for mistake in evaluation.mistakes]
    assert shares == sorted(shares, reverse=True)


def test_each_class_says_whom_it_was_taken_for(evaluation):
    for row, taken_for in zip(evaluation.per_class, evaluation.confusion.tolist()):
        others = {name: count for name, count in zip(DATA.classes, taken_for) if name != row.name}
        assert row.times == max(others.values()) == others[row.most_often_taken_for]
        assert row.images == sum(taken_for) and row.right == row.images - sum(others.values())


def test_batches_and_workers_change_nothing(model, evaluation, tmp_path):
    data = folder(write_digits(tmp_path, range(10), 6))
    one, other = (evaluate(model, data.train, batch_size=size, workers=workers) for size, workers in ((64, 0), (7, 2)))
    assert torch.equal(one.confusion, other.confusion) and one.nll == pytest.approx(other.nll, rel=1e-5)
    assert [mistake.place for mistake in one.mistakes] == [mistake.place for mistake in other.mistakes]


def test_labels_refer_to_the_names_beside_them(model, evaluation):
    order = [7, 2, 9, 0, 1, 3, 4, 5, 6, 8]
    shuffled = [Sample(image, order.index(label)) for image, label in DATA.held_out]
    again = evaluate(model, shuffled, [str(digit) for digit in order])
    assert torch.equal(again.confusion, evaluation.confusion) and again.classes == DATA.classes


def test_classes_without_images_are_empty_rows(model, tmp_path):
    data = folder(write_digits(tmp_path, classes=(3, 7)))
    some = evaluate(model, data.train, data.classes)
    assert [row.images for row in some.per_class] == [0, 0, 0, 8, 0, 0, 0, 8, 0, 0]
    assert some.per_class[0].recall is None and some.per_class[3].recall is not None
    assert "without images here: 8" in str(some) and json.dumps(some.to_dict(), allow_nan=False)
    report(some, tmp_path / "report")


def test_an_unknown_class_is_an_error_that_names_both_lists(model):
    with pytest.raises(InputError, match="does not know 'cat', 'dog'. Its classes are '0', '1'.*images are '0', 'cat', 'dog'"):
        evaluate(model, DATA.held_out[:1], ["0", "cat", "dog"])


def test_a_network_without_names_takes_as_many_in_their_order(truth):
    nameless = network(3)
    nameless.classes = ()
    assert evaluate(nameless, DATA.held_out[:3], ["a", "b", "c"]).classes == ("a", "b", "c")
    assert evaluate(nameless, [Sample(DATA.held_out[0].image, 2)]).classes == ("class 0", "class 1", "class 2")
    with pytest.raises(InputError, match="does not know 'a', 'b'"):
        evaluate(nameless, DATA.held_out[:3], ["a", "b"])


@pytest.mark.parametrize("workers", [0, 2])
def test_unreadable_images_are_named_and_count_nowhere_or_are_refused(model, tmp_path, workers):
    data = folder(write_digits(tmp_path, classes=(0, 1)))
    for broken in data.train[:2]:
        truncate(broken.image)
    result = evaluate(model, data.train, data.classes, batch_size=2, workers=workers)
    assert result.images == len(data.train) - 2 and "skipped: 2" in str(result)
    assert all(str(sample.image) in message for sample, message in zip(data.train, result.skipped))
    assert all(mistake.sample is data.train[mistake.place] for mistake in result.mistakes)
    with pytest.raises(InputError, match=f"--strict refuses: {data.train[0].image}"):
        evaluate(model, data.train, data.classes, strict=True, workers=workers)
    with pytest.raises(InputError, match=f"None of the 2 images can be read. {data.train[0].image}"):
        evaluate(model, data.train[:2], data.classes, workers=workers)


def test_the_model_stays_as_it_was(model):
    model.train()
    model.stem.eval()
    modes, before = [module.training for module in model.modules()], {k: v.clone() for k, v in model.state_dict().items()}
    evaluate(model, DATA.held_out[:8])
    assert [module.training for module in model.modules()] == modes
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    model.eval()


def test_dropout_is_off_whatever_the_mode(model, evaluation):
    assert evaluate(model.train(), DATA.held_out).nll == evaluation.nll
    model.eval()


def test_what_cannot_be_evaluated_says_why():
    with pytest.raises(InputError, match="lacks what evaluation needs"):
        evaluate(warmnet.WarmEfficientNet(TINY, 10), DATA.held_out)
    with pytest.raises(InputError, match="None of the 0 images"):
        evaluate(network(), [])
    if not torch.cuda.is_available():
        with pytest.raises(InputError, match="device 'cuda' is not there. Choose one of auto"):
            evaluate(network(), DATA.held_out, device="cuda")
    diverged = network()
    nn.init.constant_(diverged.classifier.bias, torch.nan)
    with pytest.raises(InputError, match="not finite"):
        evaluate(diverged, DATA.held_out[:2])


@pytest.mark.parametrize("model, said", [
    ("runs/pets-1", "model is 'runs/pets-1', which does not say.*from_pretrained"),
    (nn.DataParallel(network()), "model is a DataParallel, which does not say its classes.*pass what is in it"),
])  # fmt: skip
def test_what_is_no_model_or_no_list_of_samples_is_named(model, said):
    with pytest.raises(InputError, match=said):
        evaluate(model, DATA.held_out)


@pytest.mark.parametrize("samples", [DATA, "digits", None, ["a.png"]], ids=str)
def test_what_are_no_samples_is_named(samples):
    with pytest.raises(InputError, match="samples is .*, and no list of samples, as data.held_out of"):
        evaluate(network(), samples)


class Colder(nn.Module):
    """A wrapper of the user's, which has what its network has."""

    def __init__(self, network):
        super().__init__()
        self.network, self.num_classes, self.classes = network, network.num_classes, network.classes
        self.preprocessing = network.preprocessing

    def forward(self, x):
        return self.network(x) * 2


def test_what_has_a_classifiers_names_is_evaluated_by_its_own_forward(model, evaluation):
    found = evaluate(Colder(model), DATA.held_out)
    assert torch.equal(found.confusion, evaluation.confusion) and found.nll != evaluation.nll


def test_equal_probabilities_are_ranked_once_for_all_figures():
    undecided = network(7)
    nn.init.zeros_(undecided.classifier.weight), nn.init.zeros_(undecided.classifier.bias)
    result = evaluate(undecided, [Sample(DATA.held_out[0].image, label) for label in range(7)])
    assert result.top1 == 1 / 7 and result.top5 == 5 / 7 and result.nll == pytest.approx(np.log(7))


def made(confusion, classes, **fields):
    bins = tuple(Bin(None, None, 0) for _ in range(14)) + (Bin(0.98, 0.9, int(torch.as_tensor(confusion).sum())),)
    facts = {"top5": 1.0, "nll": 0.1, "bins": bins, "mistakes": (), "skipped": (), "images_per_second": 1234.5}
    return Evaluation(tuple(classes), torch.as_tensor(confusion), network_images_per_second=2345.6, **{**facts, **fields})


def test_it_prints_as_a_table():
    assert str(made([[9, 1], [0, 2000]], ["猫", "dog"], skipped=("a.png: broken",))).splitlines() == [
        "2,009 of 2,010 images right.",
        "Unreadable images, skipped: 1.",
        "",
        "top-1          100.0%  have their class as the most probable",
        "macro F1        97.4%  the mean F1 of classes with images",
        "NLL             0.100  mean negative log likelihood, in nats",
        "calibration      8.0%  expected calibration error, 15 bins",
        "images/s        1,234  with decoding",
        "network alone   2,346  images/s",
        "",
        "class          images  right  recall  precision      F1  taken for  times",
        "─────────────────────────────────────────────────────────────────────────",
        "猫                 10      9   90.0%     100.0%   94.7%  dog            1",
        "dog             2,000  2,000  100.0%     100.0%  100.0%",
        "─────────────────────────────────────────────────────────────────────────",
        "macro average   2,010  2,009   95.0%     100.0%   97.4%",
    ]


def test_of_many_classes_the_worst_are_shown():
    confusion = 10 * torch.eye(50, dtype=torch.long)
    for label in range(25):
        confusion[label, label], confusion[label, 49] = 5 + label // 6, 5 - label // 6
    lines = str(made(confusion, [f"class {n}" for n in range(50)])).splitlines()
    rows = [line for line in lines if line.startswith("class ") and "%" in line]
    assert [line.split()[1] for line in rows] == [str(n) for n in range(20)]
    assert lines[-1] == "... and 30 more classes, with a recall of 80.0% or above"


@pytest.mark.parametrize("width", [40, 60, 80])
def test_on_a_terminal_nothing_but_names_of_classes_is_cut_and_these_end_in_dots(width, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(width))
    confusion = 10 * torch.eye(61, dtype=torch.long)
    confusion[60, 60], confusion[:60, 1] = 0, 3
    lines = str(made(confusion, [f"a very long name of class number {n:02} out of many" for n in range(61)])).splitlines()
    assert max(map(len, lines)) <= width
    cut = [line for line in lines if "…" in line]
    assert len(cut) == 20 and all(line.startswith("a very") and line.count("…") in (2, 4) for line in cut)
    text = " ".join(lines)
    assert ("as the most probable" in text) == (width >= 60) and "Classes of the network without images here: 1." in text


def test_names_of_any_kind_stay_in_their_line_and_column():
    names = ["a\nb", b"\xff".decode(errors="surrogateescape"), "x" * 300, "猫" * 8, ""]
    lines = str(made(torch.eye(5, dtype=torch.long), names)).splitlines()[-7:-2]
    assert lines[0].startswith("a?b ") and lines[1].startswith("? ") and "x" * 300 + " " in lines[2]
    assert all(line.endswith("1      1  100.0%     100.0%  100.0%") for line in lines)
    str(made(torch.eye(5, dtype=torch.long), names)).encode()


def test_a_report_is_the_evaluation_in_files(evaluation, tmp_path):
    paths = report(evaluation, tmp_path / "new" / "folder")
    assert sorted(paths) == sorted((tmp_path / "new" / "folder").iterdir()) and len(paths) == 5
    said = json.loads(paths[0].read_text())
    assert said == json.loads(json.dumps(evaluation.to_dict())) and said["top1"] == evaluation.top1
    assert [mistake["place"] for mistake in said["mistakes"]] == [mistake.place for mistake in evaluation.mistakes]
    with open(paths[1], newline="") as file:
        *rows, means = csv.DictReader(file)
    assert float(means["f1"]) == evaluation.macro.f1
    assert [float(row["recall"]) for row in rows] == [row.recall for row in evaluation.per_class]
    for path in paths[2:]:
        assert len(np.unique(np.asarray(Image.open(path).convert("L")))) > 10, "it is not empty"


def test_a_report_names_the_files_of_mistakes_and_holds_no_older_ones(model, tmp_path):
    data = folder(write_digits(tmp_path / "digits", range(10), 6))
    paths = report(result := evaluate(model, data.held_out), tmp_path / "report")
    said = json.loads(paths[0].read_text())["mistakes"]
    assert said and [mistake["sample"] for mistake in said] == [str(mistake.sample.image) for mistake in result.mistakes]
    report(replace(result, mistakes=()), tmp_path / "report")
    assert not (tmp_path / "report" / "worst-mistakes.png").exists()


def test_a_report_takes_names_of_any_kind(tmp_path):
    names = [r"$\oops$", "猫", "x" * 300, b"\xff".decode(errors="surrogateescape"), "a\nb"]
    report(made(torch.ones(5, 5, dtype=torch.long), names), tmp_path)
    with open(tmp_path / "per-class.csv", newline="", encoding="utf-8", errors="surrogateescape") as file:
        *rows, means = csv.DictReader(file)
    assert [row["name"] for row in rows] == names and means["name"] == "macro average" and float(means["f1"]) == 0.2
    assert json.loads((tmp_path / "evaluation.json").read_text())["classes"] == names
