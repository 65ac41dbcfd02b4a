"""runtime.py of docs/serving.md, served by MLServer: the V2 inference protocol."""

import base64
import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from .servers import ask, mlserver_server

INFER = "/v2/models/network/infer"


@pytest.fixture(scope="module")
def port(folder):
    with mlserver_server(folder) as (_, port):
        yield port


def request(files, **changes):
    """The body of a request: files in base64, but for what changes."""
    data = [base64.b64encode(file).decode() for file in files]
    return json.dumps({"inputs": [{"name": "images", "datatype": "BYTES", "shape": [len(files)], "data": data, **changes}]})


def infer(port, files):
    """(status, class -> probability of each file), as the predictor gives it."""
    classes = ask(port, "GET", "/v2/models/network")[1]["outputs"][0]["parameters"]["classes"]
    status, answer = ask(port, "POST", INFER, request(files))
    [output] = answer["outputs"]
    assert (output["name"], output["datatype"], output["shape"]) == ("probabilities", "FP32", [len(files), len(classes)])
    rows = [output["data"][n : n + len(classes)] for n in range(0, len(output["data"]), len(classes))]
    return status, [dict(zip(classes, row)) for row in rows]


def test_it_says_what_it_is(port):
    assert ask(port, "GET", "/v2/models/network/ready")[0] == 200
    _, answer = ask(port, "GET", "/v2/models/network")
    assert [(tensor["name"], tensor["datatype"], tensor["shape"]) for tensor in answer["inputs"] + answer["outputs"]] == [
        ("images", "BYTES", [-1]),
        ("probabilities", "FP32", [-1, 3]),
    ]


def test_pictures_files_give_what_the_predictor_gives(port, predictor, pictures):
    assert infer(port, pictures) == (200, predictor.predict(pictures))
    assert infer(port, pictures[:1]) == (200, [predictor.predict(pictures[0])])


def test_what_is_no_picture_is_answered_with_what_is_wrong_and_the_server_goes_on(port, predictor, pictures, broken):
    for what, file in broken.items():
        status, answer = ask(port, "POST", INFER, request([pictures[0], file]))
        assert status == 400 and answer["error"].startswith("the bytes: "), (what, answer)
    assert infer(port, pictures) == (200, predictor.predict(pictures))


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "image"},
        {"datatype": "FP32"},
        {"datatype": "UINT8", "shape": [1, 2, 2, 3], "data": [0] * 12},
        {"shape": [2]},
        {"shape": []},
        {"shape": [1, 1, 1]},
        {"shape": [0], "data": []},
        {"data": [1, 2]},
        {"data": [["aGFsbG8="]]},
        {"data": ["ä"]},
        {"data": {"b64": "aGFsbG8="}},
        {"data": None},
    ],
    ids=str,
)
def test_another_input_is_answered_with_what_is_right(port, pictures, changes):
    status, answer = ask(port, "POST", INFER, request(pictures[:1], **changes))
    assert (status, "'images'" in answer["error"]) == (400, True)


def test_two_inputs_or_none_are_refused(port, pictures):
    [one] = json.loads(request(pictures[:1]))["inputs"]
    for inputs in [one, one], []:
        assert ask(port, "POST", INFER, json.dumps({"inputs": inputs}))[0] == 400


def test_other_bodies_methods_and_models_are_refused(port, pictures):
    assert ask(port, "POST", INFER, "no JSON")[0] == 422
    assert ask(port, "POST", INFER, json.dumps({"inputs": [{"name": "images", "datatype": "TEXT"}]}))[0] == 422
    assert ask(port, "GET", INFER)[0] == 405
    assert ask(port, "POST", "/v2/models/other/infer", request(pictures[:1]))[0] == 404


def test_two_hundred_requests_from_eight_threads_each_get_their_own_answer(port, predictor, pictures):
    expected = [predictor.predict(file) for file in pictures]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda n: infer(port, [pictures[n % 4]]), range(200)))
    assert answers == [(200, [expected[n % 4]]) for n in range(200)]


def test_it_stops_when_it_is_asked_to(folder):
    with mlserver_server(folder) as (process, port):
        pass
    assert process.returncode == 0
    with pytest.raises(ConnectionRefusedError):
        ask(port, "GET", "/v2/health/live")
