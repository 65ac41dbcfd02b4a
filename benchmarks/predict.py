"""Images/s of `warmnet predict` on 10,000 files beside timm's inference script, alternately: python benchmarks/predict.py

Both predict the same JPEG files of 500x375, parts of the real photographs that scikit-learn and scikit-image bring, by the
same network and weights, lite0 and timm's tf_efficientnet_lite0, and write the five most probable classes of each into a
CSV. Both prepare images as timm does: the short side to 256, then the central 224x224. timm's does what its inference.py
does: create_dataset, create_loader with its workers, model, softmax, topk; with the memory format channels_last too, which
is faster on a CPU. Each measurement is a process of its own: its seconds are those of the whole command, from reading the
weights to the last row, without the imports; its memory is the peak of the process, and of the largest of its workers. A
round is one of each; a first round, of one batch, warms the files up. Medians and minima of seconds are written to
predict.json. It needs the peers in constraints.txt, see CONTRIBUTING.md, and beside them scikit-image and what
`warmnet[lite,train]` does.
"""

import argparse
import csv
import json
import os
import platform
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from datetime import date
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

BATCH, TOP = 64, 5
OURS, TIMMS = "lite0.safetensors", "lite0-for-timm.pth"
CONTENDERS = "warmnet", "timm", "timm, channels_last"


def write_photographs(folder, count):
    """`count` JPEG files of 500x375, each another part of a photograph, mirrored or not."""
    from PIL import Image
    from sklearn.datasets import load_sample_images

    photographs = [Image.fromarray(image) for image in load_sample_images().images]
    shipped = Path(find_spec("skimage").origin).parent / "data"
    photographs += [Image.open(shipped / name).convert("RGB") for name in ("astronaut.png", "chelsea.png", "coffee.png")]
    photographs = [image.resize((640, 480)) for image in photographs]
    rng = random.Random(0)
    folder.mkdir(parents=True, exist_ok=True)
    for n in range(count):
        path = folder / f"{n:05}.jpg"
        left, top, mirrored = rng.randrange(141), rng.randrange(106), rng.random() < 0.5
        if not path.exists():
            part = photographs[n % len(photographs)].crop((left, top, left + 500, top + 375))
            part = part.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if mirrored else part
            part.save(path, quality=90)


def import_timm():
    """timm; torchvision's Python half asks for operators that it does not have beside a CPU build of torch."""
    import torch

    operators = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        operators.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    import timm

    return timm, operators  # which live as long as this does


def predict_by_warmnet(folder, out, workers):
    """What the command does, itself."""
    from warmnet.cli.main import main

    words = "predict", Path(out).with_name(OURS), folder, f"--csv={out}", "--force", f"--top={TOP}", f"--batch-size={BATCH}"
    assert main([*words, f"--workers={workers}", "--device=cpu"]) == 0


def predict_by_timm(timm, folder, out, workers, channels_last=False):
    """timm's inference.py, less its options."""
    import torch
    from timm.data import create_dataset, create_loader, resolve_data_config

    model = timm.create_model("tf_efficientnet_lite0", checkpoint_path=str(Path(out).with_name(TIMMS))).eval()
    layout = {"memory_format": torch.channels_last} if channels_last else {}
    model = model.to(**layout)
    dataset = create_dataset(root=folder, name="", class_map="")
    config = resolve_data_config({}, model=model)
    loader = create_loader(dataset, batch_size=BATCH, use_prefetcher=False, num_workers=workers, device="cpu", **config)
    ranked, shares = [], []
    with torch.no_grad():
        for x, _ in loader:
            top = model(x.to(**layout)).softmax(-1).topk(TOP, dim=1)
            ranked += top.indices.tolist()
            shares += top.values.tolist()
    with open(out, "w", newline="") as file:
        for path, numbers, probabilities in zip(dataset.filenames(basename=False), ranked, shares):
            csv.writer(file).writerow([path, *numbers, *probabilities])


def write_weights(folder):
    """lite0 for each, with timm's preprocessing."""
    import warmnet

    model = warmnet.from_pretrained(warmnet.WarmEfficientNet, "lite0")
    model.preprocessing = replace(model.preprocessing, crop_mode="center")
    warmnet.save(model, folder / OURS)
    warmnet.convert(model, folder / TIMMS, to="timm")


def measure_here(contender, folder, out, workers):
    """A contender's seconds and megabytes, in this process, as a line of JSON."""
    import torch

    if contender == "warmnet":
        import warmnet.cli.main  # noqa: F401 # imports are not measured
    else:
        timm = import_timm()
    start = time.perf_counter()
    if contender == "warmnet":
        predict_by_warmnet(folder, out, workers)
    else:
        predict_by_timm(timm[0], folder, out, workers, channels_last="channels_last" in contender)
    seconds = time.perf_counter() - start
    memory = [resource.getrusage(who).ru_maxrss / 1e3 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    print(json.dumps({"seconds": seconds, "MB": memory, "threads": torch.get_num_threads()}))


def measure(contender, folder, out, workers):
    """The same in a process of its own."""
    words = [sys.executable, __file__, "--one", contender, str(folder), "--out", str(out), "--workers", str(workers)]
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def top_classes(out, contender):
    """The most probable class of each file, as its number."""
    from warmnet.data.imagenet import imagenet_classes

    with open(out, newline="") as file:
        if contender != "warmnet":
            return {Path(row[0]).name: int(row[1]) for row in csv.reader(file)}
        numbers = {name: number for number, name in enumerate(imagenet_classes())}
        return {Path(row["file"]).name: numbers[row["class 1"]] for row in csv.DictReader(file)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--one", metavar="CONTENDER", choices=CONTENDERS, help=argparse.SUPPRESS)
    parser.add_argument("folder", nargs="?", help=argparse.SUPPRESS)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--out", default=str(Path(__file__).with_suffix(".json")))
    arguments = parser.parse_args()
    if arguments.one:
        measure_here(arguments.one, arguments.folder, arguments.out, arguments.workers)
        return
    work = Path(tempfile.gettempdir()) / "warmnet-benchmark-predict"
    folder, few = work / f"photographs-{arguments.images}", work / "photographs-few"
    write_photographs(folder, arguments.images)
    write_weights(work)
    write_photographs(few, min(BATCH * 10, arguments.images))
    outs = {contender: work / f"{number}.csv" for number, contender in enumerate(CONTENDERS)}
    smaller = {contender: measure(contender, few, outs[contender], arguments.workers) for contender in CONTENDERS}
    rows = {contender: [] for contender in CONTENDERS}
    for number in range(arguments.rounds):
        for contender in CONTENDERS[number % 3 :] + CONTENDERS[: number % 3]:
            rows[contender].append(measure(contender, folder, outs[contender], arguments.workers))
            print(f"{contender:20} {arguments.images / rows[contender][-1]['seconds']:7.1f} images/s", flush=True)
    classes = {contender: top_classes(out, contender) for contender, out in outs.items()}
    same = sum(classes["timm"][name] == number for name, number in classes["warmnet"].items())
    write(arguments, rows, smaller, same, few)


def write(arguments, rows, smaller, same, few):
    """predict.json, and its figures on the terminal."""
    import PIL
    import torch

    import warmnet

    timm, _ = import_timm()
    found = {}
    for contender, measured in rows.items():
        seconds = [each["seconds"] for each in measured]
        rates = [arguments.images / statistics.median(seconds), arguments.images / min(seconds)]
        memory = {"all images": measured[-1]["MB"], "few images": smaller[contender]["MB"]}
        found[contender] = {"seconds": [statistics.median(seconds), min(seconds)], "images/s": rates, "MB": memory}
        print(f"{contender:20} {rates[0]:7.1f} images/s in the median, {rates[1]:7.1f} at best, {memory} MB")
    print(f"the same class in {same:,} of {arguments.images:,}")
    report = {
        "date": str(date.today()),
        "machine": f"{platform.machine()}, {rows['warmnet'][0]['threads']} threads, {torch.backends.cpu.get_cpu_capability()}",
        "versions": {each.__name__: each.__version__ for each in (torch, warmnet, timm, PIL)},
        "unit": "[median, best] of rounds; MB: [the process, the largest of its workers]",
        "images": arguments.images,
        "few images": len(list(few.iterdir())),
        "workers": arguments.workers,
        "rounds": arguments.rounds,
        "the same most probable class": same,
        "contenders": found,
    }
    Path(arguments.out).write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
