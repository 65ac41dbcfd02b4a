"""The benchmark measures every cell that it is asked for, once, and nobody who computes something else."""

import functools
import json
import os
import sys
import time
from itertools import repeat
from pathlib import Path

import pytest
import torch

from warmnet.errors import InputError

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import bench  # noqa: E402
import bench_measured  # noqa: E402
import bench_rows  # noqa: E402
from bench_contenders import Contender, contender  # noqa: E402
from bench_floors import Floors, Work  # noqa: E402
from bench_goals import verdict  # noqa: E402
from bench_measured import as_rows, measure, ratio  # noqa: E402
from bench_process import alone  # noqa: E402

CONTENDERS = "warmnet", "timm tf", "torchvision"
FLOORS = Floors({"fp32": 1.0}, 1.0)


@pytest.fixture(scope="module", autouse=True)
def _floors_are_measured_once():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bench.bench_floors, "measured", functools.cache(bench.bench_floors.measured))
        yield


@pytest.fixture
def run(tmp_path):
    """A function that runs the benchmark on B0 with one image: its exit code and what it wrote."""

    def run(rows, **more):
        out = tmp_path / "bench.json"
        asked = {"rows": ",".join(rows), "contenders": ",".join(CONTENDERS), "seconds": 0.1, "out": out}
        smallest = {"variants": "b0", "batches": 1, "threads": 1}
        code = bench.main([f"--{key}={value}" for key, value in (asked | smallest | more).items()])
        return code, json.loads(out.read_text())

    return run


def contest(entries, **more):
    return bench_rows.Contest("eager", "b0", 1, "late", entries, 1, Work(1, 1, 1, 1), **more)


def test_every_cell_that_is_asked_for_is_in_the_json_the_page_and_the_picture(run, tmp_path, capsys):
    groups = {"build": 1, "eager": 2, "training fp32": 1, "training bf16": 1, "memory": 2}
    code, found = run(["build", "eager", "training", "memory"])
    assert code == 0
    rows = [row for contest in found["contests"].values() for row in contest["rows"]]
    assert {group: sum(row["group"] == group for row in rows) for group in groups} == groups
    for row in rows:
        assert tuple(row["cells"]) == CONTENDERS
        for cell in row["cells"].values():
            assert 0 < cell["minimum"] <= cell["median"]
            assert cell["turns"] == 1 if row["group"] == "memory" else cell["turns"] >= 7
            assert row["floor"] is None or cell["error"] < (0.1 if "bf16" in row["group"] else 1e-4)
            assert cell.get("to floor") == (pytest.approx(cell["median"] / row["floor"]) if row["floor"] else None)
        assert bool(row["floor"]) == (row["group"] in ("eager", "training fp32", "training bf16"))
        assert row["ratio"]["fastest"] in CONTENDERS[1:] and row["ratio"]["minimum"] <= row["ratio"]["median"]
        low, high = row["ratio"].get("quartiles", [row["ratio"]["median"]] * 2)
        assert low <= row["ratio"]["median"] <= high
    assert {"machine", "threads", "versions", "floors"} <= found["runs"][0].keys()
    assert (tmp_path / "bench.png").read_bytes().startswith(b"\x89PNG")
    page = (tmp_path / "bench.md").read_text()
    assert capsys.readouterr().out == page + "\n"
    assert "| b0, 1x224², channels_last |" in page and "Goals met: " in page


def test_what_was_measured_is_not_measured_again_and_what_time_left_out_is(run, capsys):
    _, first = run(["build"])
    _, second = run(["build", "overhead"], minutes=0)
    assert second == first and [*first["contests"]] == ["build: b0"]
    assert "Left for the next time: 2 contests. The same command goes on with them." in capsys.readouterr().err
    _, third = run(["build", "overhead"])
    assert len(third["contests"]) == 3 and third["contests"]["build: b0"] == first["contests"]["build: b0"]
    assert third["runs"] == first["runs"] and len(first["runs"]) == 1


def test_contests_of_another_machine_are_kept_and_the_page_says_which_they_are(run, monkeypatch, tmp_path):
    run(["build"])
    monkeypatch.setattr(bench, "processor", lambda: "Another")
    _, found = run(["build", "overhead"], contenders="warmnet,timm tf")
    assert [contest["run"] for contest in found["contests"].values()] == [0, 1, 1]
    page = (tmp_path / "bench.md").read_text()
    assert "\nB: Another, " in page and " | A |\n" in page and " | B |\n" in page


def test_more_contenders_than_were_there_are_a_new_contest(run):
    _, first = run(["build"], contenders="warmnet,timm tf")
    _, second = run(["build"])
    assert tuple(second["contests"]["build: b0"]["rows"][0]["cells"]) == CONTENDERS


def test_a_json_of_something_else_is_refused_and_stays(tmp_path):
    (tmp_path / "other.json").write_text('{"rows": []}')
    with pytest.raises(InputError, match="is not of this benchmark: it has no contests. Delete it, or give another --out."):
        bench.main(["--rows=build", f"--out={tmp_path / 'other.json'}"])
    assert (tmp_path / "other.json").read_text() == '{"rows": []}'
    (tmp_path / "torn.json").write_text('{"contests": ')
    with pytest.raises(InputError, match="torn.json is no JSON"):
        bench.main(["--rows=build", f"--out={tmp_path / 'torn.json'}"])


def test_a_contender_that_computes_something_else_is_refused(monkeypatch):
    def other(column, *arguments):
        network, reference, size = contender(column, *arguments)
        if column == "timm tf":
            with torch.no_grad():
                network.classifier.bias[0] += 1
        return Contender(network, reference, size)

    monkeypatch.setattr(bench_rows, "contender", other)
    asked = bench_rows.Asked(["b0"], [1], [*CONTENDERS], 1, "cpu", bench.Exports(Path()))
    for each in bench_rows.overheads(asked):
        (row,) = measure(each, FLOORS, 0.1)
        assert row["cells"]["timm tf"].keys() == {"missing"}
        assert row["cells"]["timm tf"]["missing"].startswith("refused: its logits differ by")
        assert row["ratio"]["fastest"] == "torchvision" and row["cells"]["torchvision"]["median"] > 0


def test_the_ratio_is_to_the_library_that_is_the_fastest_turn_by_turn():
    """And not to whichever was in each turn, which noise makes the faster the more of them there are."""
    peers = {("ONNX Runtime", "timm"): [4.0, 2.0, 9.0], ("OpenVINO", "torchvision"): [3.5, 3.5, 3.0]}
    found = {
        "median": 2 / 3,
        "minimum": 0.5,
        "quartiles": pytest.approx([7 / 12, 5 / 6]),
        "fastest": "timm",
        "on": "ONNX Runtime",
    }
    assert ratio([2.0, 2.0, 6.0], peers) == found


def test_a_contender_that_fails_after_its_first_call_is_missing_alone():
    def entry(calls):
        return bench_rows.Entry(lambda: next(calls, 0) or 1 / 0)

    entries = {("", "warmnet"): lambda: entry(repeat(1)), ("", "timm"): lambda: entry(iter([1]))}
    (row,) = measure(contest(entries), FLOORS, 0)
    assert row["cells"]["timm"]["missing"] == "failed: ZeroDivisionError: division by zero"
    assert row["cells"]["warmnet"]["turns"] == 7 and row["ratio"] is None


def test_a_contender_whose_call_takes_too_long_is_left_out(monkeypatch):
    monkeypatch.setattr(bench_measured, "LONGEST", 0.01)
    entries = {
        ("", "warmnet"): lambda: bench_rows.Entry(lambda: 1),
        ("", "timm"): lambda: bench_rows.Entry(lambda: time.sleep(0.02)),
    }
    (row,) = measure(contest(entries), FLOORS, 0)
    assert row["cells"]["timm"]["missing"] == "not measured: a call takes 0 s, and 0 are allowed"
    assert row["cells"]["warmnet"]["turns"] == 7


def test_a_contest_that_would_take_more_memory_than_is_allowed_is_left_out_and_named():
    (row,) = measure(contest({("", "warmnet"): lambda: 1 / 0}, needs=17e9), FLOORS, 0)
    assert row["cells"] == {"warmnet": {"missing": "not measured: takes 17 GB, and 16 are allowed"}}


def test_a_process_gives_what_its_function_returns_or_its_error_and_says_that_it_died():
    assert alone(60, divmod, 7, 2) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        alone(60, divmod, 7, 0)
    with pytest.raises(ChildProcessError, match="exit code 9"):
        alone(60, os._exit, 9)
    with pytest.raises(TimeoutError, match="took more than 0 minutes"):
        alone(0.2, time.sleep, 30)


@pytest.mark.parametrize(
    "group, variant, batch, median, said",
    [
        ("eager", "b0", 1, 0.95, "met"),
        ("eager", "b0", 16, 0.95, "MISSED"),
        ("eager", "b0", 16, 0.854, "met"),
        ("eager", "lite0", 16, 1.02, "met"),
        ("memory", "resnet50", 1, 1.03, "MISSED"),
        ("export", "b0", 1, 9.0, ""),
    ],
)
def test_a_goal_is_met_or_missed(group, variant, batch, median, said):
    row = {"group": group, "variant": variant, "batch": batch, "ratio": {"median": median}, "is best": True}
    assert verdict(row) == said and verdict(row | {"is best": False}) == ""


def test_a_row_that_needs_a_gpu_is_marked_as_not_measured():
    asked = bench_rows.Asked(["b0"], [1], ["warmnet"], 1, "cpu", bench.Exports(Path()))
    graphs = next(contest for contest in bench_rows.compileds(asked) if "CUDA" in contest.what)
    (row,) = measure(graphs, FLOORS, 0)
    assert row["cells"] == {"warmnet": {"missing": "not measured: needs --device cuda"}} and row["ratio"] is None


def test_a_contest_whose_process_dies_has_a_reason_in_each_cell():
    (row,) = as_rows(contest({("", "warmnet"): lambda: None}), {}, {("", "warmnet"): "failed: exit code 9"}, FLOORS)
    assert row["cells"] == {"warmnet": {"missing": "failed: exit code 9"}}


def test_a_study_goes_on_with_its_own_machine_alone(tmp_path, monkeypatch):
    """All of it is there: the picture is drawn anew, and nothing is measured."""
    content = json.loads(Path(bench.__file__).with_name("bench_scale.json").read_text())
    (tmp_path / "bench_scale.json").write_text(json.dumps(content))
    run = content["results"]["run"]
    monkeypatch.setattr(bench, "about", lambda options: {key: run[key] for key in ("machine", "device", "threads", "versions")})
    assert bench.main(["--rows=scale", f"--out={tmp_path / 'bench.json'}"]) == 0
    assert (tmp_path / "bench_scale.png").read_bytes().startswith(b"\x89PNG")
    monkeypatch.undo()
    with pytest.raises(InputError, match="is of another machine or other versions: .*Give another --out"):
        bench.main(["--rows=scale", f"--out={tmp_path / 'bench.json'}", "--threads=1"])


def test_a_study_among_contests_is_refused(capsys):
    with pytest.raises(SystemExit):
        bench.main(["--rows", "eager,scale"])
    assert "Ask for it alone." in capsys.readouterr().err


def test_an_unknown_row_is_refused_with_those_that_there_are(capsys):
    with pytest.raises(SystemExit):
        bench.main(["--rows", "eager,speed"])
    assert "Unknown 'speed'. Choose among build, overhead, eager" in capsys.readouterr().err
