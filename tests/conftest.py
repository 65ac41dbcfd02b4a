import os
import socket

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch: in small tensors threads only wait for each other
os.environ.pop("COLUMNS", None)  # pytest-xdist's: tables are as they are in a pipe

import pytest  # noqa: E402


def pytest_runtest_setup(item):
    if item.get_closest_marker("gpu"):
        import torch

        if not torch.cuda.is_available():
            pytest.skip("needs a CUDA device")


@pytest.fixture
def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]
