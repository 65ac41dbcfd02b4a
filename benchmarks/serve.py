"""The servers of docs/serving.md on 127.0.0.1: python benchmarks/serve.py

Of each server and engine: requests a second and their latency, from one client and from eight, and the server's memory before
the first request, after a tenth of them from one client, after a tenth from eight, and after all. Each request sends the same
photograph, 640x427, a JPEG file of 196 kB, to lite0 at 224x224 with 1000 classes. Clients and server share the machine; a
client sends its next request when it has its answer. Beside them, what decoding, preprocessing and the network take in one
process, without a server.

It writes serve.json beside itself; with --requests 30, a dry run, nothing. MLServer is measured where it is installed: .ci/run
installs all that this takes.
"""

import argparse
import base64
import io
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from http.client import HTTPConnection
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

HERE = Path(__file__)
sys.path[:0] = [str(HERE.parents[1] / "tests"), str(HERE.parents[1])]
import sklearn  # noqa: E402
import torch  # noqa: E402
from served.servers import fastapi_server, mlserver_server, write_files  # noqa: E402

import warmnet  # noqa: E402
from warmnet.data import Preprocessing, read_image  # noqa: E402
from warmnet.deployment import export, open_exported  # noqa: E402

PHOTOGRAPH = (Path(sklearn.__file__).parent / "datasets" / "images" / "china.jpg").read_bytes()
NETWORKS = {"onnx": "network.onnx", "torch": "network.pt2"}
REQUESTS, CLIENTS = 10_000, 8
LIMIT = 300  # seconds for each of these; then it goes on with the next
PACKAGES = "warmnet", "torch", "onnxruntime", "Pillow", "fastapi", "starlette", "uvicorn", "mlserver"


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--requests", type=int, default=REQUESTS, help=f"to each server; default {REQUESTS}")
    requests = arguments.parse_args().requests
    rows = {}
    with tempfile.TemporaryDirectory() as folder:
        for engine, name in NETWORKS.items():
            path = write_network(Path(folder), engine, name)
            rows[f"one process, {engine}"] = without_server(path, requests // 10)
            for server in servers():
                rows[f"{server}, {engine}"] = serve(server, path, requests)
    about = {
        "date": str(date.today()),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {torch.backends.cpu.get_cpu_capability()}",
        "python": platform.python_version(),
        "versions": versions(),
        "unit": "seconds; requests and images a second; bytes of resident memory",
    }
    if requests >= REQUESTS:
        HERE.with_suffix(".json").write_text(json.dumps({**about, "rows": rows}, indent=1) + "\n")


def servers():
    """Those that are installed here, by name."""
    found = {"FastAPI": fastapi_server, "MLServer": mlserver_server}
    return {name: server for name, server in found.items() if name.lower() in versions()}


def versions():
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            pass
    return found


def write_network(folder, engine, name):
    """The path of lite0 for an engine, in a folder of its own with the files of the page."""
    folder = folder / engine
    folder.mkdir()
    model = warmnet.WarmEfficientNet("lite0", 1000, seed=0)
    model.preprocessing = Preprocessing(224)
    export(model, folder / name, engine)
    write_files(folder)
    for file in "app.py", "model-settings.json":
        (folder / file).write_text((folder / file).read_text().replace(NETWORKS["onnx"], name))
    return folder / name


def without_server(path, images):
    """What a photograph takes in this process: in one thread, part by part; and all of it on all cores."""
    predictor = open_exported(path, threads=1)
    steps = {
        "decode": lambda: read_image(io.BytesIO(PHOTOGRAPH)),
        "decode and preprocess": lambda: predictor.preprocessing.pixels(read_image(io.BytesIO(PHOTOGRAPH))),
        "all": lambda: predictor.predict(PHOTOGRAPH),
    }
    row = {}
    for name, step in steps.items():
        step()
        row[f"{name}, median"] = statistics.median(seconds(step) for _ in range(images))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        taken = seconds(lambda: list(pool.map(predictor.predict, [PHOTOGRAPH] * images)))
    return shown(f"one process, {path.name}", {**row, "images a second, all cores": images / taken})


def seconds(call):
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def serve(server, path, requests):
    """Requests a second, latency and memory of one server."""
    expected = open_exported(path, threads=1)(PHOTOGRAPH)[0].tolist()
    with servers()[server](path.parent) as (process, port):
        client = Client(server, port, len(expected))
        assert max(abs(a - b) for a, b in zip(client.probabilities(), sorted(expected, reverse=True))) < 1e-6
        row, sent = {}, 0
        memory = {sent: resident(process.pid)}
        for clients, share in (1, 10), (CLIENTS, 10), (CLIENTS, 80):  # percent; the last of a number of clients counts
            row[f"clients: {clients}"] = load(client, clients, requests * share // 100)
            sent += row[f"clients: {clients}"]["requests"]
            memory[sent] = resident(process.pid)
    return shown(f"{server}, {path.name}", {**row, "memory after requests": memory})


class Client:
    """Sends the photograph to a server and has its answer."""

    def __init__(self, server, port, classes):
        self.port, self.classes = port, classes
        if server == "FastAPI":
            self.path, self.kind, self.body = "/predict", "image/jpeg", PHOTOGRAPH
        else:
            tensor = {"name": "images", "datatype": "BYTES", "shape": [1], "data": [base64.b64encode(PHOTOGRAPH).decode()]}
            self.path, self.kind = "/v2/models/network/infer", "application/json"
            self.body = json.dumps({"inputs": [tensor]}).encode()

    def probabilities(self):
        """Those in an answer, the largest first."""
        answer = json.loads(self.ask(HTTPConnection("127.0.0.1", self.port, timeout=60)))
        found = answer["outputs"][0]["data"] if "outputs" in answer else answer.values()
        return sorted(found, reverse=True)

    def ask(self, connection):
        connection.request("POST", self.path, self.body, {"Content-Type": self.kind})
        answer = connection.getresponse()
        content = answer.read()
        assert answer.status == 200, content
        return content

    def latencies(self, requests, end):
        """Seconds of each of so many requests over one connection; fewer at `end`."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        found = []
        while len(found) < requests and time.monotonic() < end:
            found.append(seconds(lambda: self.ask(connection)))
        connection.close()
        return found


def load(client, clients, requests):
    """Requests a second and latency, of so many clients at once."""
    end = time.monotonic() + LIMIT
    began = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        each = max(1, requests // clients)
        lists = list(pool.map(lambda _: client.latencies(each, end), range(clients)))
    taken = time.perf_counter() - began
    found = sorted(latency for latencies in lists for latency in latencies)
    p50, p99 = (found[int(share * (len(found) - 1))] for share in (0.5, 0.99))
    return {"requests": len(found), "requests a second": len(found) / taken, "p50": p50, "p99": p99}


def resident(pid):
    """Bytes of memory that a process holds."""
    [line] = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS")]
    return int(line.split()[1]) * 1024


def shown(name, row):
    print(f"{name}: {json.dumps(row)}", flush=True)
    return row


if __name__ == "__main__":
    main()
