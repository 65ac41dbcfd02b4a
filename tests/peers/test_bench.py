"""The benchmark measures every cell that it is asked for, and nobody who computes something else."""

import json
import sys
import time
from itertools import repeat
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import bench  # noqa: E402
import bench_rows  # noqa: E402
from bench_contenders import Contender, contender  # noqa: E402
from bench_floors import Floors  # noqa: E402
from bench_measured import measure, measured, ratio  # noqa: E402

CONTENDERS = "warmnet", "timm tf", "torchvision"


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A function that runs the benchmark on B0 with one image: its exit code and what it wrote."""

    monkeypatch.setattr(bench.warmnet, "keep_memory", lambda: True)  # which is for good, and for all tests that follow

    def run(rows, minutes):
        out = tmp_path / "bench.json"
        asked = {"rows": ",".join(rows), "contenders": ",".join(CONTENDERS), "minutes": minutes, "out": out}
        smallest = {"variants": "b0", "batches": 1, "threads": 1}
        code = bench.main([f"--{key}={value}" for key, value in (asked | smallest).items()])
        return code, json.loads(out.read_text())

    return run


def test_every_cell_that_is_asked_for_is_in_the_json_and_in_the_picture(run, tmp_path, capsys):
    groups = {"build": 1, "overhead": 2, "eager": 2, "training": 3}
    code, found = run(groups, minutes=1)
    assert code == 0
    assert {group: sum(row["group"] == group for row in found["rows"]) for group in groups} == groups
    for row in found["rows"]:
        assert tuple(row["cells"]) == CONTENDERS
        for cell in row["cells"].values():
            assert 0 < cell["minimum"] <= cell["median"]
            assert row["group"] == "build" or cell["error"] < (0.1 if "bf16" in row["row"] else 1e-4)
            assert cell.get("to floor") == (pytest.approx(cell["median"] / row["floor"]) if row["floor"] else None)
        assert bool(row["floor"]) == (row["group"] in ("eager", "training"))
        assert row["ratio"]["fastest"] in CONTENDERS[1:] and row["ratio"]["minimum"] <= row["ratio"]["median"]
    assert {"date", "machine", "threads", "load", "versions", "floors"} <= found.keys()
    assert found["freed memory"] == "kept, but for the peaks"
    assert (tmp_path / "bench.png").read_bytes().startswith(b"\x89PNG")
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 120


def test_a_contender_that_computes_something_else_is_refused(run, monkeypatch, capsys):
    def other(column, *arguments):
        network, reference, size = contender(column, *arguments)
        if column == "timm tf":
            with torch.no_grad():
                network.classifier.bias[0] += 1
        return Contender(network, reference, size)

    monkeypatch.setattr(bench_rows, "contender", other)
    code, found = run(["overhead"], minutes=0.1)
    assert code == 1
    for row in found["rows"]:
        assert row["cells"]["timm tf"].keys() == {"missing"}
        assert row["cells"]["timm tf"]["missing"].startswith("refused: its logits differ by")
        assert row["ratio"]["fastest"] == "torchvision" and row["cells"]["torchvision"]["median"] > 0
    assert "refused: its logits differ by" in capsys.readouterr().out


def test_the_ratio_is_to_the_library_that_is_the_fastest_turn_by_turn():
    """And not to whichever was in each turn, which noise makes the faster the more of them there are."""
    peers = {("ONNX Runtime", "timm"): [4.0, 2.0, 9.0], ("OpenVINO", "torchvision"): [3.5, 3.5, 3.0]}
    assert ratio([2.0, 2.0, 6.0], peers) == {"median": 2 / 3, "minimum": 0.5, "fastest": "timm", "on": "ONNX Runtime"}


def test_a_contender_that_fails_after_its_first_call_is_missing_alone():
    def entry(calls):
        return bench_rows.Entry(lambda: next(calls, 0) or 1 / 0)

    entries = {("", "warmnet"): lambda: entry(repeat(1)), ("", "timm"): lambda: entry(iter([1]))}
    (row,) = measure(bench_rows.Contest("eager", "late", entries, 1), Floors({"fp32": 1.0}, 1.0), 0, time.perf_counter() + 9)
    assert row["cells"]["timm"]["missing"] == "failed: ZeroDivisionError: division by zero"
    assert row["cells"]["warmnet"]["turns"] == 5 and row["ratio"] is None


def test_what_is_kept_tells_of_the_contests_that_a_run_did_not_reach():
    asked, kept = bench.Asked(["b0"], [1], ["warmnet"], 1, "cpu", bench.Exports()), []
    measured(["overhead"], asked, Floors({"fp32": 1.0}, 1.0), 0, kept.append)
    why = [[row["cells"]["warmnet"]["missing"] for row in rows] for rows in kept]
    late, unreached = "not measured: no minutes were left", "not measured: the run ended before it"
    assert why == [[late, unreached], [late, late]]


def test_a_row_that_needs_a_gpu_is_marked_as_not_measured():
    asked = bench.Asked(["b0"], [1], ["warmnet"], 1, "cpu", bench.Exports())
    graphs = next(contest for contest in bench_rows.compileds(asked) if "CUDA" in contest.row)
    (row,) = measure(graphs, Floors({"fp32": 1.0}, 1.0), 0, 0)
    assert row["cells"] == {"warmnet": {"missing": "not measured: needs --device cuda"}} and row["ratio"] is None


def test_a_study_among_contests_is_refused(capsys):
    with pytest.raises(SystemExit):
        bench.main(["--rows", "eager,scale"])
    assert "Ask for it alone." in capsys.readouterr().err


def test_an_unknown_row_is_refused_with_those_that_there_are(capsys):
    with pytest.raises(SystemExit):
        bench.main(["--rows", "eager,speed"])
    assert "Unknown 'speed'. Choose among build, overhead, eager" in capsys.readouterr().err
