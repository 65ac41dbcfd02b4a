"""Loading a safetensors file beside timm, time and peak memory: python benchmarks/load.py

Every load is a process of its own, contenders taking turns. Both load the same file, laid out as timm's, from the page cache;
warmnet its own file, too, whose checksum it verifies. Time and memory count from after the imports and the build of one b0.
It writes load.json beside itself and needs the peers in constraints.txt; see CONTRIBUTING.md.
"""

import gc
import json
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

HERE = Path(__file__)
sys.path[:0] = [str(HERE.parents[1] / "tests"), str(HERE.parents[1])]
ROUNDS = 9


def memory(what):
    return int(re.search(rf"{what}:\s+(\d+)", Path("/proc/self/status").read_text())[1]) * 1024


def load(contender, variant, path):
    """[seconds, bytes of peak memory] of one load, and a weight, so that nobody only pretends."""
    if contender == "timm":
        from peers.libraries import timm

        def call(v=variant, path=path):
            return timm.create_model(f"tf_efficientnet_{v}", checkpoint_path=path).conv_stem.weight

        timm.create_model("tf_efficientnet_b0")
    else:
        import warmnet

        def call(path=path):
            return warmnet.WarmEfficientNet.from_pretrained(path).stem.conv.weight

        warmnet.WarmEfficientNet("b0")
    gc.collect()  # what the imports left would be collected in one of the two, at random
    Path("/proc/self/clear_refs").write_text("5")  # the peak is what is held now
    before, began = memory("VmRSS"), time.perf_counter()
    weight = call()
    seconds = time.perf_counter() - began
    return [seconds, memory("VmHWM") - before, float(weight.double().sum())]


def main():
    import torch
    from peers.libraries import timm

    import warmnet

    rows = {}
    with tempfile.TemporaryDirectory() as folder:
        for variant in "b0", "b7":
            model = warmnet.WarmEfficientNet(variant, seed=0)
            size = sum(tensor.nbytes for tensor in model.state_dict().values())
            path, own = f"{folder}/tf_efficientnet_{variant}.safetensors", f"{folder}/{variant}.safetensors"
            warmnet.convert(model, path, to="timm")
            warmnet.save(model, own)
            files = {"warmnet": path, "warmnet, its own file": own, "timm": path}
            found = {name: [] for name in files}
            for i in range(ROUNDS):
                for name in [*files][i % 3 :] + [*files][: i % 3]:
                    command = [sys.executable, HERE, name, variant, files[name]]
                    line = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1]
                    found[name].append(json.loads(line))
            assert len({weight for all in found.values() for _, _, weight in all}) == 1, "they loaded the same"
            row = rows[f"load {variant}, {size / 1e6:.0f} MB"] = {}
            for name, all in found.items():
                seconds, peaks, _ = zip(*all)
                ratios = [a / b for a, (b, _, _) in zip(seconds, found["timm"])]
                row[name] = {
                    "seconds": [statistics.median(seconds), min(seconds)],
                    "peak bytes": statistics.median(peaks),
                    "time / timm": [statistics.median(ratios), min(seconds) / min(s for s, _, _ in found["timm"])],
                    "peak / tensors": statistics.median(peaks) / size,
                }
                print(variant, name, json.dumps(row[name]))
    about = {
        "date": str(date.today()),
        "machine": f"{platform.machine()}, {torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()}",
        "versions": {m.__name__: m.__version__ for m in (torch, warmnet, timm)},
        "unit": "seconds and ratios: [median, minimum]; peak memory beyond what was held before",
    }
    HERE.with_suffix(".json").write_text(json.dumps({**about, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    print(json.dumps(load(*sys.argv[1:]))) if len(sys.argv) > 1 else main()
