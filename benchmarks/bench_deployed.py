"""Each network as a file for ONNX Runtime and for OpenVINO, made the way its users make it, and a call that runs it.

warmnet's come from `warmnet.deployment`. A peer's ONNX file comes from `torch.onnx.export` with its default options and a free
batch; OpenVINO takes that file or what `openvino.convert_model` makes of the torch module, whichever runs faster. A peer's int8
is ONNX Runtime's `quantize_static` with its default options, on the pictures that warmnet is calibrated on.
"""

import functools
import os
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnxruntime
import openvino
import torch
from bench_contenders import MINE, TOLERANCE, contender, expected, pictures
from bench_turns import Entry
from onnxruntime import quantization
from PIL import Image
from torch import Tensor, nn

from warmnet.data import Sample
from warmnet.data.preprocessing import Preprocessing
from warmnet.deployment import export, open_exported
from warmnet.deployment.engines.openvino import openvino_core
from warmnet.deployment.logs import quiet
from warmnet.training import Data

ENGINES = {"ONNX Runtime": "onnx", "OpenVINO": "openvino"}
OFFERED = {"fp32": [*ENGINES], "bf16": ["OpenVINO"], "int8": [*ENGINES]}
CALIBRATED = 16
Run = Callable[[np.ndarray], np.ndarray]


os.environ["CI"] = "true"  # else OpenVINO reports each conversion to its makers, by a process that computes beside others


class Exports(NamedTuple):
    """The files of one run of the benchmark, each made when it is first asked for."""

    folder: Path

    def path(self, column: str, variant: str, engine: str, precision: str = "fp32", again: bool = False) -> Path:
        """The file of a network for an engine. OpenVINO takes a peer's in fp32 for bf16 too, and the ONNX one in int8."""
        if column != MINE:
            precision = "int8" if precision == "int8" else "fp32"
            engine = "ONNX Runtime" if precision == "int8" else engine
        suffix = {"ONNX Runtime": ".onnx", "OpenVINO": ".xml"}[engine]
        path = self.folder / f"{column} {variant} {precision}{suffix}"
        failed = path.with_name(f"{path.name}.failed")
        if failed.exists():
            raise RuntimeError(failed.read_text())
        try:
            if again or not path.exists():
                self.make(path, column, variant, engine, precision)
        except Exception as error:  # of a library: anything
            failed.write_text(f"{type(error).__name__}: {error}")
            raise
        return path

    def make(self, path: Path, column: str, variant: str, engine: str, precision: str) -> None:
        if column != MINE and precision == "int8":
            return quantize(self.path(column, variant, "ONNX Runtime"), path, contender(column, variant).size)
        network, _, size = contender(column, variant)
        if column == MINE:
            return export_mine(network, path, ENGINES[engine], precision, size)
        x = pictures(2, size)
        to_onnx(exportable(network), x, path) if engine == "ONNX Runtime" else to_openvino(exportable(network), x, path)


@functools.cache
def warm_up() -> None:
    """Have whatever the first export imports be there."""
    with tempfile.TemporaryDirectory() as folder:
        to_onnx(nn.Flatten(), torch.zeros(2, 3, 4, 4), Path(folder, "a.onnx"))
        to_openvino(nn.Flatten(), torch.zeros(2, 3, 4, 4), Path(folder, "a.xml"))


def exportable(network: Any) -> nn.Module:
    """Ready to be exported; lukemelas' SiLU is, after the call that its README names."""
    if hasattr(network, "set_swish"):
        network.set_swish(memory_efficient=False)
    return network.eval()


def to_onnx(network: nn.Module, x: Tensor, path: Path) -> None:
    with quiet():
        program = torch.onnx.export(network, (x,), dynamo=True, verbose=False, dynamic_shapes=({0: torch.export.Dim("batch")},))
        assert program is not None
        program.save(path)


def to_openvino(network: nn.Module, x: Tensor, path: Path) -> None:
    with quiet(), torch.no_grad():
        model = openvino.convert_model(network, example_input=x, input=[(-1, *x.shape[1:])])
        openvino.save_model(model, path, compress_to_fp16=False)


def export_mine(model: Any, path: Path, engine: str, precision: str, size: int) -> None:
    """A file that takes floats, as the peers' do; int8, which is calibrated on images, takes their pixels."""
    if precision == "int8":
        model.preprocessing = Preprocessing(size)
    export(model, path, engine, precision=precision, data=data(size) if precision == "int8" else None, max_top1_drop=1.0)


def quantize(fp32: Path, path: Path, size: int) -> None:
    class Batches(quantization.CalibrationDataReader):
        def __init__(self) -> None:
            name = onnxruntime.InferenceSession(fp32).get_inputs()[0].name
            self.batches = iter([{name: x} for x in normalized(pixels(CALIBRATED, size))[:, None]])

        def get_next(self) -> Any:
            return next(self.batches, None)

    with tempfile.TemporaryDirectory() as folder, quiet():
        inferred = f"{folder}/inferred.onnx"
        quantization.quant_pre_process(fp32, inferred)
        quantization.quantize_static(inferred, path, Batches())


@functools.cache
def pixels(batch: int, size: int) -> np.ndarray:
    """(batch, size, size, 3) uint8: the pictures, in a range that pixels have."""
    x = pictures(batch, size).permute(0, 2, 3, 1)
    return (128 + 60 * x).clamp(0, 255).byte().numpy()


def normalized(pixels: np.ndarray) -> np.ndarray:
    """(B, H, W, 3) uint8 -> (B, 3, H, W)."""
    each = [Preprocessing(pixels.shape[1]).normalized(image) for image in pixels]
    return torch.stack(each).contiguous().numpy()


def data(size: int) -> Data:
    """The pictures as a data set of ImageNet's classes, with labels that mean nothing: nothing is trained on them."""
    samples = [Sample(Image.fromarray(image), i) for i, image in enumerate(pixels(CALIBRATED, size))]
    return Data("pictures", tuple(map(str, range(1000))), samples, samples[:2])


def entry(exports: Exports, column: str, variant: str, engine: str, precision: str, batch: int, threads: int) -> Entry:
    """The call of a deployed network, compared with warmnet's in fp32."""
    size, wanted = known(column, variant)
    images = pixels(batch, size)
    x = normalized(images)
    tolerance = TOLERANCE if precision == "fp32" else float("inf")
    if column == MINE:
        predictor = open_exported(exports.path(column, variant, engine, precision), threads)
        taken = images if precision == "int8" else x
        return Entry(lambda: predictor.logits(taken), wanted[:batch], tolerance)
    file = exports.path(column, variant, "ONNX Runtime", precision)
    if engine == "ONNX Runtime":
        run = onnx_runtime(file, threads)
    else:
        files = {file}
        with suppress(Exception):  # it cannot convert each of them
            files.add(exports.path(column, variant, engine, precision))
        run = fastest([open_vino(file, precision, threads) for file in files], x)
    return Entry(lambda: run(x), wanted[:batch], tolerance)


def loading(column: str, exports: Exports, variant: str, engine: str, threads: int) -> Entry:
    """Opening a file in fp32 for its engine."""
    path = exports.path(column, variant, engine)
    if column == MINE:
        return Entry(partial(open_exported, path, threads))
    return Entry(
        partial(onnx_runtime, path, threads) if engine == "ONNX Runtime" else partial(open_vino, path, "fp32", threads)
    )


@functools.cache
def known(column: str, variant: str) -> tuple[int, Tensor]:
    """The size of a network's images, and what it must make of two."""
    _, reference, size = contender(column, variant)
    return size, expected(reference, torch.from_numpy(normalized(pixels(2, size))))


def onnx_runtime(path: Path, threads: int) -> Run:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads, 3
    session = onnxruntime.InferenceSession(path, options, ["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda x: session.run(None, {name: x})[0]


def open_vino(path: Path, precision: str, threads: int) -> Run:
    settings = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32"}
    compiled = openvino_core().compile_model(openvino.convert_model(path) if path.suffix == ".onnx" else path, "CPU", settings)
    return lambda x: compiled(x)[0]


def fastest(runs: list[Run], x: np.ndarray) -> Run:
    """The one that takes the least time, of three calls each after a first."""

    def least(run: Run) -> float:
        seconds = []
        for _ in range(4 if len(runs) > 1 else 0):
            began = time.perf_counter()
            run(x)
            seconds.append(time.perf_counter() - began)
        return min(seconds[1:], default=0.0)

    return min(runs, key=least)
