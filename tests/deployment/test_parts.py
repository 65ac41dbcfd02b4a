"""Batches in parts: how large they are, and that memory does not grow with the number of images."""

import subprocess
import sys

import numpy as np
import pytest

from warmnet.deployment.parts import in_parts


@pytest.mark.parametrize(
    ("shape", "streams", "lengths"),
    [
        ((16, 3, 224, 224), 1, [4] * 4),
        ((16, 224, 224, 3), 2, [4] * 4),
        ((5, 224, 224, 3), 2, [3, 2]),
        ((3, 600, 600, 3), 1, [1] * 3),
        ((1, 600, 600, 3), 2, [1]),
        ((64, 32, 32, 3), 1, [64]),
        ((1, 4), 8, [1]),
    ],
)
def test_parts_hold_about_four_images_of_224_pixels_and_no_image_is_lost(shape, streams, lengths):
    inputs = np.arange(np.prod(shape)).reshape(shape)
    parts = in_parts(inputs, streams)
    assert [len(part) for part in parts] == lengths and (np.concatenate(parts) == inputs).all()


MEMORY = """
import re, numpy as np, warmnet
from warmnet.data import Preprocessing
from warmnet.deployment.int8 import quantize
from warmnet.deployment.metadata import describe
from warmnet.deployment.onnx_graph import to_onnx
from warmnet.deployment.verification import logits_of

memory = lambda what: int(re.search(what + r":\\s+(\\d+)", open("/proc/self/status").read())[1]) / 1024
model = warmnet.WarmEfficientNet(warmnet.Variant(0.2, 0.2, 512, 0.2), num_classes=2, seed=0)
model.classes, model.preprocessing = ("cat", "dog"), Preprocessing(512)
images = np.random.default_rng(0).integers(0, 256, (40, 512, 512, 3), np.uint8)
job = JOB
job(images[:2])
for part in images[:2], images:
    open("/proc/self/clear_refs", "w").write("5")  # the peak is now
    before = memory("VmRSS")
    job(part)
    print(memory("VmHWM") - before)
"""
JOBS = {
    "calibrate": "(lambda proto: lambda x: quantize(proto, x))(to_onnx(model, describe(model, 'onnx', 'int8')))",
    "verify": "lambda x: logits_of(model.eval(), x, describe(model, 'onnx', 'fp32'))",
}


@pytest.mark.skipif(sys.platform != "linux", reason="it reads /proc")
@pytest.mark.parametrize("job", JOBS.values(), ids=JOBS)
def test_twenty_times_as_many_images_take_little_more_memory(job):
    run = [sys.executable, "-c", MEMORY.replace("JOB", job)]
    few, many = map(float, subprocess.run(run, check=True, capture_output=True, text=True).stdout.split())
    assert many < 2 * few + 64  # MB; 40 images are 31 MB of pixels
