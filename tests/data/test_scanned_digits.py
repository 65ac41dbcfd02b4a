import numpy as np
from sklearn.datasets import load_digits

from warmnet.data import digits


def test_digits_are_all_there_and_a_fifth_of_each_class_is_held_out():
    data = digits()
    assert data.classes == tuple("0123456789")
    assert len(data.train) + len(data.held_out) == 1797
    for label in range(10):
        held_out, train = (sum(sample.label == label for sample in part) for part in (data.held_out, data.train))
        assert 0 <= held_out - (held_out + train) / 5 < 1
    scans = [16 - np.asarray(sample.image) / (255 / 16) for sample in data.train + data.held_out]
    given = load_digits().images  # every scan is in one of the two parts, and nothing else is
    assert sorted(scan.round().tolist() for scan in scans) == sorted(given.tolist())
