"""A run of benchmarks/gpu.sh loses nothing to a stage that fails, hangs or dies, nor to its own end. CI runs it all, small."""

import json
import os
import signal
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))
import gpu  # noqa: E402
import gpu_run  # noqa: E402
from gpu_run import Record, Settings, Stage  # noqa: E402


def works(settings, add, until):
    add({"batch": settings.batches[-1], "left": until - time.monotonic()})


def raises(settings, add, until):
    add({"number": 1})
    raise ValueError("of no\nuse")


def has_a_contender_that_fails(settings, add, until):
    add({"cells": {"warmnet": {"median": 1.0, "minimum": 0.5}, "timm": {"missing": "failed: it is not there"}}})


def lacks_a_gpu(settings, add, until):
    add({"cells": {"warmnet": {"missing": "not measured: needs --device cuda"}}})


def dies(settings, add, until):
    add({"number": 2})
    os.kill(os.getpid(), signal.SIGSEGV)


def hangs(settings, add, until):
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    add({"pids": [os.getpid(), child.pid]})
    child.wait()


def stages(*functions):
    """What hangs has little of the time, the others much."""
    return {each.__name__: Stage(__name__, each.__name__, 1 if each is hangs else 20) for each in functions}


@pytest.fixture
def record(tmp_path):
    return Record(tmp_path / "gpu.json", {"date": "today"})


def lives(pid):
    """Whether the process is there, and not only waits for somebody to ask what became of it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_stage_that_fails_hangs_or_dies_is_told_of_in_a_line_and_the_others_go_on(record, monkeypatch):
    monkeypatch.setattr(gpu_run, "GRACE", 4)
    there = stages(raises, dies, has_a_contender_that_fails, hangs, lacks_a_gpu, works)
    failed = gpu_run.run(there, Settings.dry("cpu"), record, time.monotonic() + 120)
    content = json.loads(record.path.read_text())
    found = content["stages"]
    assert {name: stage["status"] for name, stage in found.items()} == {
        "raises": "failed: ValueError: of no",
        "dies": "failed: its process ended before it did: exit code -11",
        "has_a_contender_that_fails": "failed: it is not there",
        "hangs": "out of time",
        "lacks_a_gpu": "done",
        "works": "done",
    }
    assert failed == ["raises", "dies", "has_a_contender_that_fails", "hangs"]
    assert found["raises"]["rows"] == [{"number": 1}] and found["dies"]["rows"] == [{"number": 2}]
    assert found["works"]["rows"][0]["batch"] == 2 and content["date"] == "today"
    assert not [pid for pid in found["hangs"]["rows"][0]["pids"] if lives(pid)]


def test_what_a_stage_leaves_of_its_time_the_next_ones_have(record):
    there = {name: Stage(__name__, "works", share) for name, share in {"a": 1, "b": 2, "c": 1}.items()}
    gpu_run.run(there, Settings(), record, time.monotonic() + 40)
    allowed = [stage["allowed"] for stage in record.content["stages"].values()]
    assert allowed[0] == pytest.approx(10, abs=0.5) and 20 < allowed[1] <= 27 and allowed[1] < allowed[2] <= 40
    for stage in record.content["stages"].values():
        assert 0 < stage["rows"][0]["left"] <= stage["allowed"] + 0.1


def test_a_run_that_is_killed_leaves_what_was_measured(tmp_path):
    code = f"""
import sys, time
from pathlib import Path
sys.path[:0] = {[str(ROOT / "benchmarks"), str(ROOT / "tests")]}
from gpu_run import Record, Settings, Stage, run
from peers import test_gpu_script as here
if __name__ == "__main__":
    record = Record(Path("gpu.json"), {{}})
    run(here.stages(here.works, here.hangs, here.raises), Settings(), record, time.monotonic() + 300)
"""
    (tmp_path / "code.py").write_text(code)
    with open(tmp_path / "log", "w") as log:
        process = subprocess.Popen([sys.executable, "code.py"], cwd=tmp_path, stdout=log, stderr=log)
    try:
        end = time.monotonic() + 100
        while not ((path := tmp_path / "gpu.json").exists() and "pids" in path.read_text()):
            assert process.poll() is None and time.monotonic() < end, (tmp_path / "log").read_text()
            time.sleep(0.05)
    finally:
        process.kill()
        process.wait()
    found = json.loads(path.read_text())["stages"]
    for pid in found["hangs"]["rows"][0]["pids"]:
        os.kill(pid, signal.SIGKILL)
    assert found["works"]["status"] == "done" and found["works"]["rows"][0]["batch"] == 256
    assert found["hangs"]["status"] == "failed: its process ended before it did"
    assert found["raises"] == {"status": "not reached", "rows": []}


def test_each_stage_is_a_function_that_is_there():
    assert [*gpu.STAGES] == ["machine", "parity", "tests", "forward", "training", "kernel", "compiled"]
    for stage in gpu.STAGES.values():
        assert callable(getattr(import_module(stage.module), stage.name))


def test_an_unknown_stage_is_refused_with_those_that_there_are(capsys):
    with pytest.raises(SystemExit):
        gpu.main(["--stages", "parity,speed"])
    assert "Unknown 'speed'. Choose among machine, parity, tests" in capsys.readouterr().err


def test_it_writes_where_a_lent_machine_brings_it_back_from(monkeypatch, tmp_path):
    assert gpu.parser().parse_args([]).out == ROOT / "benchmarks/gpu.json"
    monkeypatch.setenv("OUT", str(tmp_path))
    assert gpu.parser().parse_args([]).out == tmp_path / "gpu.json"
