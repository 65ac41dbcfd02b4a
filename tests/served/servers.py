"""The servers of docs/serving.md as processes, and a client that asks them."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

from waiting import until

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```\w+ title=(\S+)\n(.*?)^```", re.DOTALL | re.MULTILINE)
CONTENT = {bytes: "application/octet-stream", str: "application/json", type(None): ""}
STOPPED = 60  # seconds in which a server that was asked to stop does


def write_files(folder):
    """Write the files that docs/serving.md shows into a folder."""
    for name, content in BLOCK.findall((ROOT / "docs" / "serving.md").read_text()):
        (folder / name).write_text(content)


def free_ports(count):
    """Ports of 127.0.0.1 that nobody listens on."""
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


@contextmanager
def fastapi_server(folder):
    """(process, port) of app.py in a folder."""
    [port] = free_ports(1)
    words = ["uvicorn", "app:app", f"--port={port}", "--log-level=warning"]
    with _server(words, folder, port, "/health") as process:
        yield process, port


@contextmanager
def mlserver_server(folder):
    """(process, port) of runtime.py in a folder."""
    ports = free_ports(3)
    variables = dict(zip(["MLSERVER_HTTP_PORT", "MLSERVER_GRPC_PORT", "MLSERVER_METRICS_PORT"], map(str, ports)))
    with _server(["mlserver", "start", "."], folder, ports[0], "/v2/health/ready", **variables) as process:
        yield process, ports[0]


@contextmanager
def _server(words, folder, port, health, **variables):
    """The process of a program beside this Python that answers `health` with 200, stopped with SIGTERM at the end.

    It writes into server.log; an AssertionError with that if it ends by itself.
    """
    program, *arguments = words
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])  # warmnet, wherever the folder is
    log = folder / "server.log"
    with open(log, "w") as file:
        process = subprocess.Popen(
            [Path(sys.executable).parent / program, *arguments],
            cwd=folder, env={**os.environ, "PYTHONPATH": path, **variables}, stdout=file, stderr=file,
        )  # fmt: skip
    try:
        until(lambda: _is_up(port, health) or process.poll() is not None)
        assert process.poll() is None, log.read_text()
        yield process
        process.send_signal(signal.SIGTERM)
        process.wait(STOPPED)
    finally:
        process.kill()
        process.wait()


def _is_up(port, health):
    try:
        return ask(port, "GET", health)[0] == 200
    except OSError:
        return False


def ask(port, method, path, body=None):
    """(status, the JSON of the answer or its text) of a request."""
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        try:
            connection.request(method, path, body, {"Content-Type": CONTENT[type(body)]})
        except (BrokenPipeError, ConnectionResetError):
            pass  # it has answered before it had read all
        answer = connection.getresponse()
        text = answer.read().decode()
    finally:
        connection.close()
    try:
        return answer.status, json.loads(text)
    except json.JSONDecodeError:
        return answer.status, text
