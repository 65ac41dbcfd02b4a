"""Why fewer operations are not less time: every layer's operations and bytes beside its time, in three ways of running it.

    .venv-peers/bin/python benchmarks/roofline.py          # about three minutes on an idle machine; writes roofline.json, .png

A layer can take no less time than its operations at the machine's peak of matrix products, nor than its bytes, those of its
inputs, weights and output, at the speed of a copy: both peaks are measured (bench_floors.py). *As written* is timm's network,
one call of torch for each layer; *folded* is warmnet's with the same weights, where inference computes normalization in the
convolution; *deployed* is that by ONNX Runtime. Times are by torch's and ONNX Runtime's profilers, the median of several calls
for each layer; what a whole call takes on top is Python and the system's memory. One image, fp32, channels_last.
"""

import json
import math
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parent))
import bench_deployed as deployed  # noqa: E402
import bench_floors  # noqa: E402
import onnxruntime  # noqa: E402
import roofline_picture  # noqa: E402
import torch  # noqa: E402
from bench_contenders import contender, pictures  # noqa: E402
from bench_turns import rest, seconds_of  # noqa: E402
from kept import keep, read  # noqa: E402
from torch.profiler import ProfilerActivity, profile  # noqa: E402

import warmnet  # noqa: E402

NETWORKS = "b0", "v2-s", "mobilenetv2-1.0", "resnet50"
WARM_UP, CALLS = 3, 15
OUT = Path(__file__).with_suffix(".json")
KINDS = {  # of torch's and of ONNX's operations that are not convolutions
    "normalization": ("aten::batch_norm", "BatchNormalization"),
    "activation": (
        "aten::silu", "aten::silu_", "aten::relu", "aten::relu_", "aten::hardtanh", "aten::hardtanh_", "aten::relu6_",
        "aten::relu6", "QuickGelu", "Sigmoid", "Relu", "Clip", "aten::sigmoid", "aten::sigmoid_",
    ),
}  # fmt: skip
OPERATIONS = {"normalization": 2, "activation": 4}  # for each number; of all else 1


class Layer(NamedTuple):
    """What a layer does and how long it takes."""

    kind: str
    operations: float
    bytes: float
    seconds: float


class Way(NamedTuple):
    """The layers of a network and the seconds of a whole call of it."""

    layers: list[Layer]
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """Seconds of a call and of each kind of layer; layers that do the same as one, with their number and median."""
        same: dict[tuple[str, float, float], list[float]] = {}
        for kind, operations, bytes, seconds in self.layers:
            same.setdefault((kind, operations, bytes), []).append(seconds)
        kinds = dict.fromkeys(layer.kind for layer in self.layers)
        return {
            "seconds": self.seconds,
            "by kind": {kind: sum(layer.seconds for layer in self.layers if layer.kind == kind) for kind in kinds},
            "layers": [[*what, len(each), median(each)] for what, each in same.items()],
        }


def main() -> None:
    warmnet.keep_memory()
    floors = keep(OUT, "floors", lambda: bench_floors.measured("cpu")._asdict())
    for variant in NETWORKS:
        keep(OUT, variant, lambda variant=variant: {way: found.to_json() for way, found in ways(variant).items()})
    found = read(OUT)
    about = json.loads(OUT.read_text())
    where = f"{about['machine']}; torch {about['versions']['torch']}; {about['date']}"
    roofline_picture.draw({variant: found[variant] for variant in NETWORKS}, floors, where, OUT.with_suffix(".png"))
    print(table(found))


def ways(variant: str) -> dict[str, Way]:
    """A network as it is written, folded, and deployed, whose calls take turns: this machine's speed drifts."""
    written = contender("timm tf", variant)
    x = pictures(1, written.size).to(memory_format=torch.channels_last)
    networks = {"as written": written.network, "folded": written.reference}
    calls: dict[str, Callable[[], Any]] = {}
    for way, network in networks.items():
        calls[way] = torch.no_grad()(partial(network.eval().to(memory_format=torch.channels_last), x))
    layers: dict[str, list[list[Any]]] = {way: [] for way in calls}
    seconds: dict[str, list[float]] = {way: [] for way in (*calls, "deployed")}
    with tempfile.TemporaryDirectory() as folder:
        session, profiled, calls["deployed"] = engine(written.reference, x, folder)
        for _ in range(WARM_UP + CALLS):
            for way, call in calls.items():
                rest()
                call()
                seconds[way].append(seconds_of(call, 1))
                if way in layers:
                    layers[way].append(operations(call))
            rest()
            profiled()
        nodes = nodes_of(session.end_profiling())
    found = {
        way: [
            of_torch(same[0], median(event.cpu_time_total for event in same[WARM_UP:]) / 1e6)
            for same in zip(*turns, strict=True)
        ]
        for way, turns in layers.items()
    }
    found["deployed"] = [of_onnx(same[-1], median(event["dur"] for event in same[WARM_UP:]) / 1e6) for same in nodes]
    return {way: Way(found[way], median(seconds[way][WARM_UP:])) for way in calls}


def operations(call: Callable[[], Any]) -> list[Any]:
    """The calls of torch that the call makes, in their order."""
    with profile(activities=[ProfilerActivity.CPU], record_shapes=True, with_flops=True) as profiled:
        call()
    events = [event for event in profiled.events() if event.cpu_parent is None and event.name.startswith("aten::")]
    return sorted(events, key=lambda event: event.time_range.start)


def engine(network: Any, x: torch.Tensor, folder: str) -> tuple[Any, Callable[[], Any], Callable[[], Any]]:
    """ONNX Runtime, whose nodes are layers with their activation: a session that profiles, a call of it, and one without."""
    path = Path(folder, "network.onnx")
    deployed.export_mine(network, path, "onnx", "fp32", x.shape[-1])
    options = onnxruntime.SessionOptions()
    options.enable_profiling, options.profile_file_prefix = True, f"{folder}/profile"
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(path, options, ["CPUExecutionProvider"])
    numbers = x.contiguous().numpy()
    inputs = {session.get_inputs()[0].name: numbers}
    run = deployed.onnx_runtime(path, torch.get_num_threads())
    return session, lambda: session.run(None, inputs), lambda: run(numbers)


def nodes_of(profile: str) -> list[list[Any]]:
    """For each node its events, one of each call."""
    found: dict[str, list[Any]] = {}
    for event in json.loads(Path(profile).read_text()):
        if event["cat"] == "Node" and event["name"].endswith("kernel_time"):
            found.setdefault(event["name"], []).append(event)
    return [*found.values()]


def of_torch(event: Any, seconds: float) -> Layer:
    shapes = [shape for shape in event.input_shapes if shape and all(isinstance(side, int) for side in shape)]
    if event.name == "aten::conv2d":
        x, weight = shapes[:2]
        outputs = event.flops / (2 * math.prod(weight[1:]))
        return convolution(x, weight, outputs, seconds)
    if event.name == "aten::linear":
        return Layer("linear", 2 * math.prod(shapes[1]) * shapes[0][0], 4 * sum(map(math.prod, shapes)), seconds)
    return elementwise(event.name, shapes, seconds)


def convolution(x: list[int], weight: list[int], outputs: float, seconds: float) -> Layer:
    kind = "depthwise" if weight[1] == 1 and x[1] > 1 else "1x1 convolution" if weight[2:] == [1, 1] else "other convolution"
    return Layer(kind, 2 * outputs * math.prod(weight[1:]), 4 * (math.prod(x) + math.prod(weight) + outputs), seconds)


def elementwise(name: str, shapes: list[list[int]], seconds: float) -> Layer:
    """What reads numbers and writes as many as the largest of its inputs has; of weights alone, it is folding."""
    sizes = [math.prod(shape) for shape in shapes] or [0]
    kind = next((kind for kind, names in KINDS.items() if name in names), "gate, sum, pooling")
    if not any(len(shape) in (2, 4) and shape[0] == 1 for shape in shapes):
        kind = "folding"
    return Layer(kind, OPERATIONS.get(kind, 1) * max(sizes), 4 * (sum(sizes) + max(sizes)), seconds)


def of_onnx(event: Any, seconds: float) -> Layer:
    """ONNX Runtime's convolutions may have their channels in blocks: then the sides of the weights tell no more than usual."""
    inputs = [shape for each in event["args"]["input_type_shape"] for shape in each.values()]
    outputs = [shape for each in event["args"]["output_type_shape"] for shape in each.values()]
    if "Conv" in event["args"]["op_name"]:
        return convolution(inputs[0], inputs[1], math.prod(outputs[0]), seconds)
    if event["args"]["op_name"] in ("Gemm", "FusedGemm", "MatMul"):
        return Layer("linear", 2 * math.prod(inputs[1]), 4 * sum(map(math.prod, inputs)), seconds)
    return elementwise(event["args"]["op_name"], inputs, seconds)


def table(found: dict[str, Any]) -> str:
    """For each network and way the milliseconds by kind of layer."""
    kinds = [*roofline_picture.COLORS]
    lines = [f"| | {' | '.join(kinds)} | whole |", "|---" * (len(kinds) + 2) + "|"]
    for variant in NETWORKS:
        for way, each in found[variant].items():
            sums = roofline_picture.by_kind(each)
            cells = [f"{1000 * sums[kind]:.1f}" if kind in sums else "" for kind in kinds]
            lines.append(f"| {variant}, {way} | {' | '.join(cells)} | {1000 * each['seconds']:.1f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
