"""Every engine gives what the model gives; its file says all about it, and is refused when it is not whole."""

import json
import subprocess
import sys
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from small_networks import Small

import warmnet
from warmnet.deployment import DeployError, export, open_exported
from warmnet.deployment.engines import ENGINES
from warmnet.deployment.engines import openvino as openvino_engine
from warmnet.deployment.engines.openvino import openvino_core
from warmnet.deployment.exporting import exported_path
from warmnet.deployment.samples import synthetic_samples
from warmnet.deployment.verification import logits_of
from warmnet.errors import InputError, MissingExtra

FAST = "onnx", "openvino", "torch"  # to make
EVERY = [*FAST, pytest.param("aoti", marks=pytest.mark.slow)]  # a C++ compiler's work


@pytest.fixture(scope="module")
def files(model, tmp_path_factory):
    """A file of each engine, of one network, made when it is asked for."""
    folder = tmp_path_factory.mktemp("exported")

    class Files(dict):
        def __missing__(self, engine):
            export(model, folder / "network", engine)
            self[engine] = exported_path(folder / "network", engine)
            return self[engine]

    return Files()


def apart(predictor, model, inputs):
    ours, theirs = predictor.logits(inputs), logits_of(model, inputs, predictor.metadata)
    assert theirs.std() > 0.05
    return np.abs(ours - theirs).max() / np.abs(theirs).max()


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("engine", EVERY)
def test_it_is_the_model_for_every_batch(files, model, engine, threads):
    predictor = open_exported(files[engine], threads, trust=True)
    inputs = synthetic_samples(predictor.metadata, 101).inputs
    for batch in (1, 2, 7, 101):  # in one part, two, two that differ, four
        assert apart(predictor, model, inputs[:batch]) < 1e-5


@pytest.mark.parametrize("engine", EVERY)
def test_all_about_the_network_is_in_the_file(files, model, engine):
    predictor = open_exported(files[engine], trust=True)
    assert (predictor.classes, predictor.preprocessing) == (model.classes, model.preprocessing)
    assert (predictor.engine, predictor.precision) == (engine, "fp32")
    metadata = predictor.metadata
    assert metadata.size == (3, 64, 64) and metadata.weights == {"accuracy": 0.5} and "Variant" in metadata.network["variant"]
    assert metadata.machine["warmnet"] == warmnet.__version__ and metadata.verification["error"] < 1e-5


def test_images_of_every_kind_give_the_models_probabilities(files, model, tmp_path):
    array = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    image = Image.fromarray(array)
    image.save(tmp_path / "image.png")
    with torch.no_grad():
        (expected,) = model(model.preprocessing(image)[None]).softmax(1).numpy()
    predictor = open_exported(files["onnx"])
    for images in (image, array, tmp_path / "image.png", str(tmp_path / "image.png"), [image, array], array[None]):
        found = predictor(images)
        assert found.shape[1:] == (3,) and np.allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("engine", FAST)
def test_a_network_without_preprocessing_takes_floats(network, tmp_path, engine):
    model = network(pixels=False, in_channels=2)
    export(model, tmp_path / "n", engine)
    predictor = open_exported(exported_path(tmp_path / "n", engine))
    x = torch.randn(3, 2, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert np.allclose(predictor(x), model(x).softmax(1), atol=1e-6)


@pytest.mark.parametrize("engine", FAST)
def test_edited_networks_are_deployed_too(network, tmp_path, engine):
    model = network(75, act=F.gelu, se_ratio=0, output_stride=2)
    assert export(model, tmp_path / "n", engine).error < 1e-5


def test_any_warm_module_is_deployed_if_its_size_is_told(tmp_path):
    model = Small(seed=0).eval()
    with pytest.raises(DeployError, match="Pass size="):
        export(model, tmp_path / "n")
    assert export(model, tmp_path / "n", size=(3, 40, 33)).error < 1e-5


@pytest.mark.parametrize("engine", FAST)
def test_one_of_a_dynamic_size_serves_every_size(network, tmp_path, engine):
    model = network(16, stem_stride=1)
    assert export(model, tmp_path / "n", engine, dynamic_size=True).error < 1e-5
    predictor = open_exported(exported_path(tmp_path / "n", engine), 2)
    inputs = synthetic_samples(predictor.metadata, 4).inputs
    for height, width in (16, 16), (9, 14), (13, 16):
        assert apart(predictor, model, inputs[:, :height, :width]) < 1e-5


def test_other_inputs_than_the_networks_are_refused(files):
    predictor = open_exported(files["onnx"])
    for inputs in np.zeros((1, 65, 64, 3), np.uint8), np.zeros((1, 64, 64, 3), np.float32), np.zeros((0, 64, 64, 3), np.uint8):
        with pytest.raises(InputError, match=r"\(N, 64, 64, 3\) of uint8"):
            predictor.logits(inputs)
    with pytest.raises(InputError, match="no images"):
        predictor([])


@pytest.mark.parametrize("engine", EVERY)
@pytest.mark.parametrize("part", [0.05, 0.5, 0.9])
def test_a_changed_or_cut_file_is_refused(files, tmp_path, engine, part):
    kinds = [".xml", ".bin"] if engine == "openvino" else [ENGINES[engine].suffix]
    whole = {kind: files[engine].with_name("network" + kind).read_bytes() for kind in kinds}
    for damaged in kinds:
        content = bytearray(whole[damaged])
        place = int(len(content) * part)
        content[place] ^= 0x55
        for kind in kinds:
            (tmp_path / f"network{kind}").write_bytes(content if kind == damaged else whole[kind])
        with pytest.raises(DeployError, match=r"damaged|not written by|cut off"):
            open_exported(tmp_path / f"network{kinds[0]}", trust=True)
        (tmp_path / f"network{damaged}").write_bytes(whole[damaged][:place])
        with pytest.raises(DeployError, match=r"damaged|not written by|cut off"):
            open_exported(tmp_path / f"network{kinds[0]}", trust=True)


@pytest.mark.parametrize("name", ["a.onnx", "a.xml", "a.pt2", "a.aoti.pt2", "a.bin", "missing.onnx", "alone.xml"])
def test_a_foreign_file_is_refused(files, tmp_path, name):
    if "missing" not in name:
        (tmp_path / name).write_bytes(b"something else")
    if name == "a.xml":
        (tmp_path / "a.bin").write_bytes(b"something else")
    if name == "a.pt2":
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.writestr("a/version", "1")
    with pytest.raises(DeployError, match=r"warmnet export|damaged|ending|does not exist|missing"):
        open_exported(tmp_path / name, trust=True)


@pytest.mark.slow
def test_machine_code_of_another_machine_is_refused(files, tmp_path):
    path = tmp_path / "other.aoti.pt2"
    with zipfile.ZipFile(files["aoti"]) as read, zipfile.ZipFile(path, "w") as written:
        for name in read.namelist():
            content = read.read(name)
            if name.endswith("warmnet.json"):
                about = json.loads(content)
                about["machine"]["processor"] = "another"
                content = json.dumps(about).encode()
            written.writestr(name, content)
    with pytest.raises(DeployError, match="machine code for another"):
        open_exported(path, trust=True)


@pytest.mark.parametrize("engine, package", [("onnx", "onnxruntime"), ("openvino", "openvino")])
def test_an_engine_that_is_not_installed_is_named_with_its_extra(files, model, tmp_path, monkeypatch, engine, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtra, match=rf"{package}.*warmnet\[deploy\]"):
        open_exported(files[engine])
    with pytest.raises(MissingExtra, match=rf"{package}.*warmnet\[deploy\]"):
        export(model, tmp_path / "n", engine)
    assert not [*tmp_path.iterdir()]


def test_a_process_has_one_openvino_core(files):
    """With several, 2026.4.1 crashed in most processes that started DataLoader workers afterwards."""
    import openvino

    made, real = [], openvino.Core
    before = openvino_core()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(openvino, "Core", lambda: made.append(1) or real())
        open_exported(files["openvino"], 2), open_exported(files["openvino"], 1)
    assert made == [] and openvino_core() is before


TRAINED_AFTERWARDS = """
import sys, warmnet
from dataclasses import replace
from warmnet import training
small, data = warmnet.Variant(0.2, 0.2, 32, 0.2), training.digits()
for seed in range(2):
    model = warmnet.WarmEfficientNet(small, num_classes=10, seed=seed, stages=warmnet.STAGES[:1])
    warmnet.export(model, f"{sys.argv[1]}/{seed}", "openvino")
data = replace(data, train=data.train[:64], held_out=data.held_out[:32])
training.fit(
    data, replace(training.DIGITS, epochs=1), f"{sys.argv[1]}/run", variant=small,
    execution=training.Execution("cpu", workers=2),
)
"""


def test_a_process_that_used_openvino_can_start_workers(tmp_path):
    done = subprocess.run([sys.executable, "-c", TRAINED_AFTERWARDS, tmp_path], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_openvino_is_made_ready_for_a_few_shapes_and_once_for_any_other(files, model, monkeypatch):
    shapes, core = [], openvino_core()

    class Core:
        @staticmethod
        def compile_model(network, *args):
            shapes.append(str(network.inputs[0].partial_shape))
            return core.compile_model(network, *args)

    predictor = open_exported(files["openvino"], 1)
    inputs = synthetic_samples(predictor.metadata, 9).inputs
    monkeypatch.setattr(openvino_engine, "openvino_core", lambda: Core)
    for batch in [3, 1, 2, 4, 5, 6, 3, 5, 7, 1]:
        assert apart(predictor, model, inputs[:batch]) < 1e-5
    assert shapes == [f"[{batch},64,64,3]" for batch in "31"] + ["[?,64,64,3]"]


@pytest.mark.parametrize("engine", FAST)
def test_one_predictor_serves_many_threads(files, model, engine):
    predictor = open_exported(files[engine], 2)
    inputs = synthetic_samples(predictor.metadata, 8).inputs
    expected = predictor.logits(inputs)
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(predictor.logits, [inputs] * 12):
            assert np.array_equal(found, expected)


@pytest.mark.parametrize("engine", FAST)
def test_threads_that_call_it_at_once_for_the_first_time_set_it_up_once(files, engine, monkeypatch):
    predictor, runners = open_exported(files[engine], 1), []
    inputs = synthetic_samples(predictor.metadata, 1).inputs
    runner = predictor._network.runner
    monkeypatch.setattr(predictor._network, "runner", lambda *settings: runners.append(runner(*settings)) or runners[-1])
    at_once(8, lambda: predictor.logits(inputs))
    assert len(runners) == 1


def at_once(count, call):
    """Call it in `count` threads that begin together."""
    barrier = threading.Barrier(count)
    with ThreadPoolExecutor(count) as pool:
        for future in [pool.submit(lambda: (barrier.wait(), call())) for _ in range(count)]:
            future.result()


def test_torchs_number_of_threads_is_what_it_was_after_calls_from_many_threads(files):
    predictor, before = open_exported(files["torch"], 1), torch.get_num_threads()
    inputs = synthetic_samples(predictor.metadata, 1).inputs
    torch.set_num_threads(3)
    try:
        at_once(8, lambda: [predictor.logits(inputs) for _ in range(5)])
        with ThreadPoolExecutor(1) as pool:
            assert [torch.get_num_threads(), pool.submit(torch.get_num_threads).result()] == [3, 3]
    finally:
        torch.set_num_threads(before)
