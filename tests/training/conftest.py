import pytest

from warmnet.training.run_folder import RunFolder


@pytest.fixture(scope="module")
def undrawn():
    """No run draws its pictures, which take as long as ten steps of a tiny network. test_fit.py has runs that do."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RunFolder, "draw", lambda *_: None)
        yield
