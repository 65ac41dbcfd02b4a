import csv

import numpy as np
import pytest
import torch
from figure_texts import check_texts, texts_of
from matplotlib.transforms import Bbox
from PIL import Image

from warmnet.plotting.fonts import class_labels
from warmnet.training.confusion_plot import confusion_matrix, confusion_of_many, plot_confusion
from warmnet.training.evaluation_result import Bin
from warmnet.training.metrics import Epoch
from warmnet.training.plots import calibration_curve, compact, learning_curve, plot_calibration, plot_learning

LONG = [f"a rather long name of a class, number {n}, in a garden" for n in range(60)]


def check_legend(figure):
    """The legend lies on no axes."""
    (legend,) = figure.legends
    assert not any(Bbox.intersection(legend.get_window_extent(), axes.get_window_extent()) for axes in figure.axes)


def history(epochs, loss=lambda n: 2 / n):
    return [Epoch(n, 0.01, loss(n), 1.1 * loss(n), 1 - 1 / (n + 1), 1 - 1.1 / (n + 1), 1.0) for n in range(1, epochs + 1)]


def confusion_of(classes, images=30):
    confusion = torch.eye(classes, dtype=torch.long) * images
    confusion[0, 1] = 7
    return confusion


HISTORIES = {
    "one epoch": history(1),
    "16 epochs": history(16),
    "500 epochs": history(500),
    "a jump": history(16, lambda n: 1e4 if n == 7 else 2 / n),
    "large losses": history(16, lambda n: 3e4 / n),
    "no loss": history(3, lambda n: 0.0),
}


@pytest.mark.parametrize("epochs", HISTORIES.values(), ids=HISTORIES)
def test_a_learning_curve_has_its_texts_and_its_legend_in_free_places(epochs):
    figure = learning_curve(epochs, "a data set with a name that goes on and on", kept=len(epochs))
    check_texts(figure)
    check_legend(figure)
    assert len({tuple(figure.get_size_inches()) for epochs in HISTORIES.values()}) == 1


def test_a_learning_curve_marks_the_epoch_whose_weights_are_kept():
    epochs = history(16)
    figure = learning_curve(epochs, "digits", kept=12)
    texts = [text for text, _ in texts_of(figure)]
    accuracy = epochs[11].held_out_accuracy
    assert "epoch 12, kept" in texts
    assert f"digits: {accuracy:.1%} of the held-out images right by the weights kept, of epoch 12" in texts
    for axes, value in zip(figure.axes, (epochs[11].held_out_loss, accuracy)):
        mark = next(line for line in axes.lines if line.get_marker() == "o")
        assert (mark.get_xdata().item(), mark.get_ydata().item()) == (12, value)


def test_a_loss_that_jumps_is_on_a_logarithmic_scale():
    scales = {name: learning_curve(epochs, "", 1).axes[0].get_yscale() for name, epochs in HISTORIES.items()}
    assert {name for name, scale in scales.items() if scale == "log"} == {"a jump", "500 epochs"}


@pytest.mark.parametrize(
    "names",
    [["cat", "dog"], [*"0123456789"], LONG[:10], pytest.param(LONG, marks=pytest.mark.slow)],
    ids=["2 short", "10 short", "10 long", "60 long"],
)
def test_the_labels_of_a_confusion_matrix_are_different_and_do_not_overlap(names):
    labels = class_labels(names, 24)
    assert len({*labels.values()}) == len(names)
    figure = confusion_matrix(confusion_of(len(names), 12_345), [*labels.values()], "7 of 8 right")
    check_texts(figure)
    (axes, _), shown = figure.axes, {text for text, _ in texts_of(figure)}
    assert shown >= {*labels.values()}
    width = axes.get_window_extent().width / len(names)
    assert all(text.get_window_extent().width < width for text in axes.texts)


def test_the_words_beside_a_matrix_are_as_large_as_it_is():
    figure = confusion_matrix(confusion_of(60), LONG, "7 of 8 right")
    check_texts(figure)
    axes, scale = figure.axes
    words = [axes.title, axes.xaxis.label, axes.yaxis.label, scale.yaxis.label, *scale.get_yticklabels()]
    assert min(word.get_fontsize() for word in words) >= 0.75 * min(figure.get_size_inches())


def test_confusions_that_are_not_named_though_as_frequent_as_the_last_are_counted():
    confusion = 25 * torch.eye(70, dtype=torch.long)
    confusion[0, 1] = 2
    confusion[torch.arange(2, 42), torch.arange(3, 43)] = 1
    figure = confusion_of_many(confusion, [f"class {n}" for n in range(70)], range(70), "7 of 8 right", "")
    assert figure.axes[1].get_xlabel() == "images (11 more pairs have 1, too)"


def test_a_thousand_classes_are_numbers_beside_the_confusions_by_name(tmp_path):
    names = [f"{LONG[n % 60]} {n}" for n in range(1000)]
    confusion = confusion_of(1000)
    confusion[500, 900] = 12
    path, legend = plot_confusion(confusion, names, tmp_path / "confusion.png")
    assert max(Image.open(path).size) < 2100
    rows = list(csv.reader(legend.open(encoding="utf-8")))
    assert rows[501] == ["#500", names[500]] and len(rows) == 1001
    labels = [*class_labels(names, 24).values()]
    figure = confusion_of_many(confusion, labels, range(1000), "7 of 8 right", " (numbers: classes.csv)")
    check_texts(figure)
    texts = [text for text, _ in texts_of(figure)]
    assert {"#0", "#900", "12 of 42", "7 of 37"} <= {*texts}
    assert any(labels[500] in text and labels[900] in text for text in texts)
    points = figure.axes[0].images[0].get_array()
    assert points[500 // 5, 900 // 5] == pytest.approx(12 / 42), "no confusion is lost between the points"


def test_numbers_are_those_of_all_classes_where_only_some_have_images(tmp_path):
    names = [*map(str, range(8)), "\U000e0101\U0010fffd"]  # a letter of private use
    confusion = torch.zeros(9, 9, dtype=torch.long)
    confusion[8, 8] = confusion[2, 8] = 3
    _, legend = plot_confusion(confusion, names, tmp_path / "confusion.png")
    assert [row[0] for row in csv.reader(legend.open(encoding="utf-8"))] == ["number", "#2", "#8"]
    plot_confusion(confusion[:8, :8] + 1, names[:8], tmp_path / "confusion.png")
    assert not legend.exists(), "that of an earlier plot"


@pytest.mark.parametrize("classes", [2, 10, pytest.param(40, marks=pytest.mark.slow), 200])
def test_a_confusion_matrix_grows_with_its_classes_up_to_a_limit(tmp_path, classes):
    names = [f"a rather long name of a class, number {n}" for n in range(classes)]
    plot_confusion(confusion_of(classes), names, tmp_path / "confusion.png")
    image = Image.open(tmp_path / "confusion.png")
    assert min(image.size) > 500 and max(image.size) <= 3200
    assert len(np.unique(np.asarray(image.convert("L")))) > 20, "it is not empty"


def test_classes_may_have_any_name(tmp_path, recwarn):
    names = [r"$\oops$", "猫", "x" * 300, b"\xff".decode(errors="surrogateescape"), "a\nb", "قطة", "बिल्ली", "😀", ""]
    plot_confusion(torch.eye(9, dtype=torch.long), names, tmp_path / "confusion.png")
    plot_learning([Epoch(1, 0.1, 1, 1, 0, 0, 1)], names[0], tmp_path / "curve.png", 1)
    assert not recwarn.list
    assert Image.open(tmp_path / "confusion.png").size[0] < 1000


def test_a_class_without_held_out_images_is_an_empty_row(tmp_path):
    plot_confusion(torch.tensor([[0, 0], [1, 2]]), ["none", "three"], tmp_path / "confusion.png")
    assert (tmp_path / "confusion.png").stat().st_size > 1000


def test_numbers_in_little_room_are_short():
    assert [compact(n) for n in (0, 9999, 12_345, 999_499, 1_234_567)] == ["0", "9999", "12k", "999k", "1.2M"]


def test_a_calibration_curve_has_its_texts_and_its_legend_in_free_places():
    figure = calibration_curve([Bin(None, None, 0)] * 3 + [Bin(n / 15, n / 15, 10 ** (n // 2)) for n in range(3, 15)])
    check_texts(figure)
    check_legend(figure)


def test_a_calibration_curve_may_have_any_bin_empty(tmp_path, recwarn):
    for n, last in enumerate([Bin(1.0, 1.0, 3), Bin(0.95, 0.0, 12_345_678)]):
        plot_calibration([Bin(None, None, 0)] * 14 + [last], tmp_path / f"{n}.png")
    first, second = (np.asarray(Image.open(tmp_path / f"{n}.png").convert("RGB")).astype(int) for n in range(2))
    assert first.shape == second.shape and not recwarn.list
    curves = [picture[:700] for picture in (first, second)]  # without the legend
    high = [np.nonzero(abs(picture - (209, 73, 91)).sum(2) < 9)[0].max() for picture in curves]
    assert high[0] < 150 < 450 < high[1], "the curve's lowest point is near the top, and at the bottom"
