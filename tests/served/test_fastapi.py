"""app.py of docs/serving.md, served by uvicorn."""

import socket
from concurrent.futures import ThreadPoolExecutor

import pytest

from .servers import ask, fastapi_server


@pytest.fixture(scope="module")
def port(folder):
    with fastapi_server(folder) as (_, port):
        yield port


def test_it_says_that_it_is_ready(port, predictor):
    assert ask(port, "GET", "/health") == (200, {"engine": "onnx", "precision": "fp32", "classes": 3})


def test_a_pictures_file_gives_what_the_predictor_gives(port, predictor, pictures):
    for file in pictures:
        status, answer = ask(port, "POST", "/predict", file)
        assert (status, [*answer]) == (200, [*predictor.predict(file)])
        assert answer == predictor.predict(file)


def test_what_is_no_picture_is_answered_with_what_is_wrong_and_the_server_goes_on(port, predictor, pictures, broken):
    for what, file in broken.items():
        status, answer = ask(port, "POST", "/predict", file)
        assert status == 422 and answer["detail"].startswith("the bytes: "), (what, answer)
    assert ask(port, "POST", "/predict", pictures[0]) == (200, predictor.predict(pictures[0]))


@pytest.mark.parametrize("size", [10_000_001, 200_000_000])
def test_a_file_that_is_too_large_is_refused_before_it_is_all_there(port, size):
    status, answer = ask(port, "POST", "/predict", bytes(size))
    assert status == 413 and "10,000,000 bytes" in answer["detail"]


def test_other_methods_and_paths_are_refused(port, pictures):
    assert ask(port, "GET", "/predict")[0] == 405
    assert ask(port, "POST", "/health", pictures[0])[0] == 405
    assert ask(port, "POST", "/elsewhere", pictures[0])[0] == 404


def test_a_client_that_goes_away_in_the_middle_of_its_picture_harms_nobody(port, predictor, pictures):
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n" + pictures[0][:100])
    assert ask(port, "POST", "/predict", pictures[0]) == (200, predictor.predict(pictures[0]))


def test_two_hundred_pictures_from_eight_threads_each_get_their_own_answer(port, predictor, pictures):
    expected = [predictor.predict(file) for file in pictures]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda n: ask(port, "POST", "/predict", pictures[n % 4]), range(200)))
    assert answers == [(200, expected[n % 4]) for n in range(200)]


def test_it_stops_when_it_is_asked_to_and_has_complained_of_nothing(folder):
    with fastapi_server(folder) as (process, port):
        pass
    assert process.returncode in (0, -15)  # uvicorn raises the signal again when it has cleaned up
    with pytest.raises(ConnectionRefusedError):
        ask(port, "GET", "/health")
    assert (folder / "server.log").read_text() == ""
