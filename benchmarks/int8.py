"""What int8 and bf16 cost on real pictures, engine by engine: python benchmarks/int8.py --part NAME

lite0 is fine-tuned on 5,000 pictures of Fashion-MNIST at 64 pixels and on half of tuxpaint's stamps at 128 (`--part train`,
a quarter of an hour of a core). b0, ResNet-18 and MobileNetV2 are those that scale.py trained on Fashion-MNIST, where they are
there. And networks with ImageNet's weights are asked what foolbox's 20 photographs show, calibrated on parts of scikit-image's
and scikit-learn's. Every loss is paired: how many pictures became right and how many wrong; beside it stands the divergence of
the probabilities from the model's (Kullback and Leibler, in thousandths of a nat), which takes fewer pictures to tell.

`engines` exports each network with all engines and precisions, `layers` puts kinds of layers into int8 or back into float, and
`calibration` takes more or fewer images. `--time` measures the exported files, which take turns, on an idle
machine. Results go to int8.json, and what is there is not made again. Without an option the tables of it are printed.

It needs `warmnet[deploy,train,lite]`, scikit-learn, scikit-image, the packages named in real_pictures.py, for lite2 and
MobileNetV2 the pip packages that `warmnet pretrained` names, and for aoti a C++ compiler.
"""

from __future__ import annotations

import argparse
import random
import shutil
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1]))
import kept  # noqa: E402
from real_pictures import fashion, photographs, stamps  # noqa: E402

import warmnet  # noqa: E402
from warmnet import training  # noqa: E402
from warmnet.data import Data, Sample  # noqa: E402
from warmnet.data.imagenet import imagenet_classes  # noqa: E402
from warmnet.deployment import ENGINES, Predictor, export, exported_files, exported_path, open_exported  # noqa: E402
from warmnet.deployment.int8 import RELU, layers_by_kind, names_in_int8, quantize  # noqa: E402
from warmnet.deployment.metadata import describe  # noqa: E402
from warmnet.deployment.onnx_graph import to_onnx  # noqa: E402
from warmnet.deployment.probabilities import softmax  # noqa: E402
from warmnet.deployment.samples import CALIBRATED, Samples, choose_samples  # noqa: E402
from warmnet.deployment.verification import logits_of  # noqa: E402
from warmnet.networks.classifier import Classifier  # noqa: E402

FOUND = Path(__file__).with_suffix(".json")
FOLDER = Path("runs/int8")
FINETUNE = replace(training.RECIPES["finetune"], patience=None)
RECIPES = {
    "lite0, fashion-mnist": replace(FINETUNE, epochs=5, resolution=64),
    "lite0, stamps": replace(FINETUNE, epochs=15, resolution=128),
}
NETWORKS = {  # the weights of each
    "lite0, fashion-mnist": FOLDER / "fashion-mnist/weights.safetensors",
    "lite0, stamps": FOLDER / "stamps/weights.safetensors",
    "b0, fashion-mnist": Path("runs/scale/b0/weights.safetensors"),
    "resnet18, fashion-mnist": Path("runs/scale/resnet18/weights.safetensors"),
    "mobilenetv2, fashion-mnist": Path("runs/scale/mobilenetv2/weights.safetensors"),
    "lite0, photographs": "lite0",
    "lite2, photographs": "lite2",
    "mobilenetv2, photographs": "mobilenetv2-1.0",
}
STUDIED = "lite0, fashion-mnist", "b0, fashion-mnist", "lite0, photographs"  # layer by layer
KINDS = {"first": "the first", "depthwise": "the depthwise", "gates": "the gates", "classifier": "the classifier"}
CALIBRATIONS = 8, 32, 128, 512  # images
BATCH = 32
ALLOWED = 0.01  # the default of max_top1_drop
COUNTS = 20, 50, 100, 200, 500, 1000  # images that the gate may see


@cache
def images_of(name: str) -> Data:
    """Those that a network was trained on, or others to calibrate it on, and those that it is measured on."""
    if name.endswith("photographs"):
        return Data("photographs", tuple(imagenet_classes()), other_photographs(512), photographs())
    if name.endswith("stamps"):
        return stamps(seed=0)
    data = fashion()
    return replace(data, train=data.train[::12]) if name.startswith("lite0") else data


def other_photographs(count: int) -> list[Sample]:
    """Square parts of photographs that other packages bring; their labels mean nothing."""
    from sklearn.datasets import load_sample_images

    shipped = find_spec("skimage")
    if not shipped or not shipped.origin:
        raise SystemExit("scikit-image's photographs are not there: pip install scikit-image.")
    files = [Path(shipped.origin).parent / "data" / name for name in ("astronaut.png", "chelsea.png", "coffee.png")]
    whole = [Image.open(file).convert("RGB") for file in files]
    whole += [Image.fromarray(image) for image in load_sample_images().images]
    rng, samples = random.Random(0), []
    for n in range(count):
        image = whole[n % len(whole)]
        side = int(min(image.size) * rng.uniform(0.5, 1))
        left, top = rng.randrange(image.width - side + 1), rng.randrange(image.height - side + 1)
        samples.append(Sample(image.crop((left, top, left + side, top + side)), 0))
    return samples


def train(name: str) -> list[dict[str, Any]]:
    """The epochs of fine-tuning. They evaluate an image a class, to save time."""
    data, folder = images_of(name), NETWORKS[name].parent
    watched = list({sample.label: sample for sample in data.held_out}.values())
    resume = (folder / "checkpoint.pt").exists()
    found = training.fit(replace(data, held_out=watched), RECIPES[name], folder, seed=0, source="lite0", resume=resume)
    return [epoch._asdict() for epoch in found.history]


@cache
def model_of(name: str) -> Classifier:
    return warmnet.from_pretrained(Classifier, NETWORKS[name])


@cache
def held_out(name: str) -> Samples:
    """All held-out images as a network's inputs."""
    data, metadata = images_of(name), describe(model_of(name), "onnx", "fp32")
    return choose_samples(data, data.held_out, len(data.held_out), metadata, "held-out images")


def probabilities(name: str, logits: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """(N, classes), of the held-out images."""
    inputs = held_out(name).inputs
    return np.concatenate([softmax(logits(inputs[i : i + BATCH])) for i in range(0, len(inputs), BATCH)])


@cache
def models_probabilities(name: str) -> np.ndarray:
    metadata = describe(model_of(name), "onnx", "fp32")
    return probabilities(name, lambda inputs: logits_of(model_of(name), inputs, metadata))


def beside_the_model(name: str, network: Predictor) -> dict[str, float]:
    """A network's top-1, the images that became right and wrong, those of another class, and how far probabilities are off."""
    p, q, labels = models_probabilities(name), probabilities(name, network.logits), held_out(name).labels
    was_right, is_right = p.argmax(1) == labels, q.argmax(1) == labels
    tiny = np.finfo(np.float32).tiny
    divergence = (p * np.log((p + tiny) / (q + tiny))).sum(1).mean()
    return {
        "images": len(labels),
        "top-1": float(is_right.mean()),
        "became right": int((is_right & ~was_right).sum()),
        "became wrong": int((~is_right & was_right).sum()),
        "another class": int((p.argmax(1) != q.argmax(1)).sum()),
        "largest difference of a probability": float(np.abs(p - q).max()),
        "divergence": max(float(divergence), 0.0),  # below it is rounding
    }


def engines_and_precisions() -> Iterator[tuple[str, str]]:
    for engine in ENGINES:
        if engine != "aoti" or shutil.which("g++"):
            yield from ((engine, precision) for precision in ENGINES[engine].precisions)


def exported(name: str, engine: str, precision: str) -> Path:
    """The path of an exported network, which is exported if it is not there; no loss is too large."""
    path = exported_path(FOLDER / "exported" / f"{name}-{precision}".replace(", ", "-"), engine)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        export(model_of(name), path, engine, precision=precision, data=images_of(name), max_top1_drop=1.0)
    return path


def on_engine(name: str, engine: str, precision: str) -> dict[str, float]:
    path = exported(name, engine, precision)
    size = sum(file.stat().st_size for file in exported_files(path, engine))
    return {"MB": size / 1e6, **beside_the_model(name, open_exported(path, threads=1, trust=True))}


@cache
def proto_of(name: str) -> Any:
    return to_onnx(model_of(name), describe(model_of(name), "onnx", "int8"))


def quantized(name: str, engine: str, names: list[str] | None = None, count: int = CALIBRATED) -> dict[str, float]:
    """Beside its model a network of which the nodes of these names are in int8, calibrated on so many images."""
    model, data = model_of(name), images_of(name)
    metadata = describe(model, engine, "int8")
    inputs = choose_samples(data, data.train, count, metadata, "images").inputs
    network = ENGINES[engine].build(model, metadata, partial(quantize, proto_of(name), inputs, names))
    return beside_the_model(name, Predictor(network, metadata, threads=1))


def choices_of_layers(name: str, engine: str) -> dict[str, list[str]]:
    """Names of nodes in int8, by what is chosen."""
    kinds = {kind: [node.name for node in nodes] for kind, nodes in layers_by_kind(proto_of(name)).items()}
    relus = [node.name for node in proto_of(name).graph.node if node.op_type in RELU]
    every = [*sum(kinds.values(), []), *relus]
    choices = {"everything": every}
    for kind, words in KINDS.items():
        if kinds[kind]:
            choices[f"everything but {words}"] = [node for node in every if node not in kinds[kind]]
    choices["what is exported"] = names_in_int8(proto_of(name), results_in_int8=engine == "onnx")
    if relus and engine == "onnx":
        choices["without depthwise ones and ReLUs"] = kinds["others"]
    elif relus:
        choices["with depthwise ones"] = [*kinds["others"], *kinds["depthwise"]]
    return choices


def parts(part: str) -> Iterator[tuple[str, Any]]:
    """The names of a part's results, and what makes each."""
    at_hand = [name for name, file in NETWORKS.items() if isinstance(file, str) or file.exists()]
    studied = [name for name in STUDIED if name in at_hand]
    if part == "train":
        for name in RECIPES:
            yield f"train | {name}", partial(train, name)
    if part == "engines":
        for engine, precision in engines_and_precisions():
            for name in at_hand:
                yield f"engines | {name} | {engine} {precision}", partial(on_engine, name, engine, precision)
    if part == "layers":
        for name in studied:
            for engine in ("onnx", "openvino"):
                for choice, names in choices_of_layers(name, engine).items():
                    yield f"layers | {name} | {engine} | {choice}", partial(quantized, name, engine, names)
    if part == "calibration":
        for name in studied:
            for count in CALIBRATIONS:
                yield f"calibration | {name} | {count:3} images", partial(quantized, name, "openvino", count=count)


def time_exported(name: str, threads: int, turns: int = 20) -> dict[str, dict[str, float]]:
    """Milliseconds of each exported file for 1 image and for 16: median and minimum of the turns."""
    calls = {}
    for engine, precision in engines_and_precisions():
        predictor = open_exported(exported(name, engine, precision), threads, trust=True)
        for batch in (1, 16):
            calls[f"{engine} {precision}, {batch}"] = partial(predictor.logits, held_out(name).inputs[:batch])
    seconds: dict[str, list[float]] = {call: [] for call in calls}
    for _ in range(turns + 1):
        for each, call in calls.items():
            call()
            began = time.perf_counter()
            call()
            seconds[each].append(time.perf_counter() - began)
            time.sleep(0.04)  # engines' threads spin after a call
    return {
        each: {"median": 1e3 * statistics.median(times[1:]), "minimum": 1e3 * min(times[1:])} for each, times in seconds.items()
    }


def loss_table(results: dict[str, Any]) -> str:
    """Each network's top-1 by engine and precision, those in fp32 in one column."""
    found = rows_of(results, "engines | ")
    cells = {}
    for key, row in sorted(found, key=lambda item: "fp32" not in item[0]):
        network, _, column = key.partition(" | ")
        if "fp32" not in column:
            cells[network, column] = f"{100 * row['top-1']:.2f} {changes(row)}"
        elif (network, "fp32") not in cells:
            same = [each for other, each in found if other.startswith(f"{network} | ") and "fp32" in other]
            changed = max(each["another class"] for each in same)
            top1 = row["top-1"] + (row["became wrong"] - row["became right"]) / row["images"]
            cells[network, "fp32"] = f"{100 * top1:.2f}, {changed} of {row['images']:,} of another class"
    return grid("top-1 in %", cells)


def size_table(results: dict[str, Any]) -> str:
    """The files' megabytes, and milliseconds of 1 image and of 16."""
    cells = {}
    for key, row in rows_of(results, "engines | "):
        network, _, file = key.partition(" | ")
        times = results.get(f"time | {network}", {})
        calls = [times[call] for call in (f"{file}, 1", f"{file}, 16") if call in times]
        cells[file, network] = ", ".join([f"{row['MB']:.1f}", *(f"{call['median']:.1f}" for call in calls)])
    return grid("MB, ms of 1 image, of 16", cells)


def study_table(results: dict[str, Any], part: str) -> str:
    """What was chosen, by network."""
    cells = {}
    for key, row in rows_of(results, f"{part} | "):
        *network, choice = key.split(" | ")
        cells[choice, ", ".join(network)] = changes(row)
    return grid(part, cells)


def changes(row: dict[str, float]) -> str:
    """The images that became right and wrong, and the divergence in thousandths."""
    return f"(+{row['became right']} −{row['became wrong']}), {1000 * row['divergence']:.1f}"


def grid(corner: str, cells: dict[tuple[str, str], str]) -> str:
    """Cells by row and column, in Markdown."""
    rows, columns = (list(dict.fromkeys(key[axis] for key in cells)) for axis in (0, 1))
    lines = [f"| {corner} | {' | '.join(columns)} |", f"|---|{'---|' * len(columns)}"]
    lines += [f"| {row} | {' | '.join(cells.get((row, column), '') for column in columns)} |" for row in rows]
    return "\n".join(lines)


def rows_of(results: dict[str, Any], prefix: str) -> list[tuple[str, Any]]:
    return [(key.removeprefix(prefix), row) for key, row in results.items() if key.startswith(prefix)]


def gate_table(results: dict[str, Any], draws: int = 100_000) -> str:
    """How often the gate refuses a file in int8 that was measured, of so many images drawn from it, in %."""
    rng, cells = np.random.default_rng(0), {}
    for key, row in rows_of(results, "engines | "):
        wrong, right = row["became wrong"] / row["images"], row["became right"] / row["images"]
        if row["images"] < max(COUNTS) or "int8" not in key:
            continue
        name = f"{key.replace(' | ', ', ')}: {100 * (wrong - right):.2f} ± {100 * ((wrong + right) / row['images']) ** 0.5:.2f}"
        for count in COUNTS:
            drawn = rng.multinomial(count, [wrong, right, 1 - wrong - right], draws)
            drop = (drawn[:, 0] - drawn[:, 1]) / count
            cells[name, f"{count:,} images"] = f"{100 * (drop > ALLOWED).mean():.1f}"
    return grid("loss in %", cells)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--part",
        choices=("train", "engines", "layers", "calibration"),
        action="append",
        help="what to do; several may be given",
    )
    parser.add_argument(
        "--network", choices=NETWORKS, action="append", metavar="NAME", help=f"only these: {'; '.join(NETWORKS)}"
    )
    parser.add_argument("--time", action="store_true", help="measure the exported files")
    parser.add_argument("--threads", type=int, default=1, help="default: 1")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    for part in options.part or ():
        for name, make in parts(part):
            if not options.network or name.split(" | ")[1] in options.network:
                kept.keep(FOUND, name, make)
    if options.time:
        names = [name for name in NETWORKS if rows_of(kept.read(FOUND), f"engines | {name} | ")]
        for name in names:
            kept.keep(FOUND, f"time | {name}", partial(time_exported, name, options.threads))
    results = kept.read(FOUND)
    if not rows_of(results, "engines | "):
        raise SystemExit("There is nothing to print yet: --part train, then --part engines.")
    tables = [loss_table(results), size_table(results), study_table(results, "layers"), study_table(results, "calibration")]
    print("\n\n".join(table for table in [*tables, gate_table(results)] if "\n| " in table))


if __name__ == "__main__":
    main()
