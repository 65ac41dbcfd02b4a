import importlib
import inspect
import os
import subprocess
import sys
import sysconfig
import traceback

import pytest
import torch

import warmnet
import warmnet.functional as W
from warmnet import WarmModule, block, conv_bn_act
from warmnet.engine.frames import is_users


@block
def widened(x, size):
    y = conv_bn_act(x, size, name="wide")
    return x + y


class Wrong(WarmModule):
    """Its second block adds 16 to 24 channels."""

    def forward(self, x):
        x = conv_bn_act(x, 16, 3, stride=2, name="stem")
        x = widened(x, 16)
        return widened(x, 24)


class Flat(WarmModule):
    """(B, 3, 8, 8) -> (B, 2), and no other size."""

    def forward(self, x):
        x = conv_bn_act(x, 4)
        return W.linear(x.flatten(1), 2)


class Listed(WarmModule):
    """Its maps are of different heights."""

    def forward(self, x):
        maps = [x, conv_bn_act(x, 8, stride=2)]
        return torch.cat(maps, 1)


class Mine(Exception):
    """A user's own."""


class MyValueError(ValueError):
    """A user's own, of a kind that a wrong shape may be met with."""


def raised(call):
    with pytest.raises(Exception) as caught:
        call()
    return caught.value


def line_of(function, text):
    lines, first = inspect.getsourcelines(getattr(function, "__wrapped__", function))
    return first + next(i for i, line in enumerate(lines) if text in line)


def test_a_mistake_in_the_dry_run_says_the_line_the_blocks_and_the_shapes_so_far():
    error = raised(lambda: warmnet.up(Wrong(), [1, 3, 32, 32]))
    what, line, shapes, *blocks, after = str(error).splitlines()
    assert type(error) is RuntimeError and "16" in what and "24" in what
    assert line == f"  at {__file__}:{line_of(widened, 'x + y')}, in widened: return x + y"
    assert shapes == "  where x (1, 16, 16, 16), y (1, 24, 16, 16)"
    assert blocks == ["  in 'widened_2', widened, given (1, 16, 16, 16)", "  in Wrong, given (1, 3, 32, 32)"]
    outputs = {"stem": 16, "widened_1.wide": 16, "widened_1": 16, "widened_2.wide": 24}
    assert after == "  in the dry run, after " + ", ".join(f"{path} (1, {size}, 16, 16)" for path, size in outputs.items())


def test_a_mistake_in_a_users_block_of_an_efficientnet_says_the_stage():
    def bad(x, size, *settings, **options):
        return widened(x, size)

    message = str(raised(lambda: warmnet.WarmEfficientNet("b0", device="meta", block=bad)))
    assert "\n  in 'stage_1.widened_1', widened, given (1, 32, 16, 16)\n  in 'stage_1', stage, given" in message


def test_a_mistake_later_on_says_so_too_and_keeps_its_kind():
    model = warmnet.up(Flat(), [1, 3, 8, 8])
    error = raised(lambda: model(torch.ones(1, 3, 9, 9)))
    assert type(error) is warmnet.MismatchError
    line = line_of(Flat.forward, "W.linear")
    assert str(error) == (
        "'linear_1' was built for 256 input channels and is given (1, 324). Build the network again with an input of this "
        "size, or pool before it, such as by x.mean((2, 3)).\n"
        f"  at {__file__}:{line}, in forward: return W.linear(x.flatten(1), 2)\n"
        "  where x (1, 4, 9, 9)\n  in Flat, given (1, 3, 9, 9)"
    )


@pytest.mark.parametrize("fail", [Mine("mine"), Mine(1, 2), MyValueError("mine"), KeyError("key"), StopIteration()], ids=repr)
def test_a_users_own_exception_is_raised_as_it_is(fail):
    class Own(WarmModule):
        def forward(self, x):
            raise fail

    args = fail.args
    assert raised(lambda: warmnet.up(Own(), [1])) is fail
    assert fail.args == args


@pytest.mark.parametrize("kind", ["WeightsError", "PatternError"])
def test_an_error_of_warmnets_or_of_a_package_says_its_place(kind, installed):
    class Own(WarmModule):
        def forward(self, x):
            raise getattr(warmnet if hasattr(warmnet, kind) else installed, kind)("no")

    assert "\n  at " in str(raised(lambda: warmnet.up(Own(), [1])))


def test_an_interrupted_dry_run_leaves_the_model_without_layers():
    class Interrupted(WarmModule):
        def forward(self, x):
            W.linear(x, 2)
            raise KeyboardInterrupt

    model = Interrupted()
    with pytest.raises(KeyboardInterrupt):
        warmnet.up(model, [1, 3])
    assert [*model.children()] == []


def test_shapes_in_a_list_are_said():
    error = raised(lambda: warmnet.up(Listed(), [1, 3, 8, 8]))
    assert "\n  where x (1, 3, 8, 8), maps [(1, 3, 8, 8), (1, 8, 4, 4)]\n" in str(error)


def test_an_error_that_is_raised_again_says_its_place_once():
    class Again(WarmModule):
        def forward(self, x):
            raise error

    error = raised(lambda: warmnet.up(Wrong(), [1, 3, 32, 32]))
    message = str(error)
    assert raised(lambda: warmnet.up(Again(), [1])) is error
    assert str(error) == message


def test_a_call_of_super_is_said_once():
    class Parent(WarmModule):
        def forward(self, x):
            return widened(x, 8)

    class Child(Parent):
        def forward(self, x):
            return super().forward(x)

    assert str(raised(lambda: warmnet.up(Child(), [1, 3, 8, 8]))).count("in Child, given") == 1


def test_the_cause_that_a_user_gives_keeps_its_traceback():
    class Own(WarmModule):
        def forward(self, x):
            try:
                return {}["scale"]
            except KeyError as error:
                raise Mine("no scale") from error

    cause = raised(lambda: warmnet.up(Own(), [1])).__cause__
    assert [frame.name for frame in traceback.extract_tb(cause.__traceback__)] == ["forward"]


def test_a_misspelled_name_is_left_to_python_which_knows_what_was_meant():
    class Misspelled(WarmModule):
        def forward(self, x):
            size = 8
            return conv_bn_act(x, size) + sizes  # noqa: F821

    error = raised(lambda: warmnet.up(Misspelled(), [1, 3, 8, 8]))
    assert str(error) == "name 'sizes' is not defined"
    last = error.__traceback__
    while last.tb_next:
        last = last.tb_next
    assert "size" in last.tb_frame.f_locals, "where Python looks for what was meant"


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A library in a folder of installed ones, whose function and whose network fail."""
    folder = tmp_path / "site-packages"
    folder.mkdir()
    (folder / "someones.py").write_text(SOMEONES)
    monkeypatch.syspath_prepend(folder)
    yield importlib.import_module("someones")
    del sys.modules["someones"]


SOMEONES = """
import warmnet


class PatternError(RuntimeError):
    pass


def added(x, y):
    return x + y


class Net(warmnet.WarmModule):
    def forward(self, x):
        return added(x, x[:, :2])
"""


def test_the_line_is_the_users_where_a_library_fails_that_is_called_there(installed):
    class Own(WarmModule):
        def forward(self, x):
            return installed.added(x, x[:, :2])

    error = raised(lambda: warmnet.up(Own(), [1, 3, 8, 8]))
    place = f"{__file__}:{line_of(Own.forward, 'return')}"
    assert str(error).splitlines()[1] == f"  at {place}, in forward: return installed.added(x, x[:, :2])"
    assert traceback.extract_tb(error.__traceback__)[-1].filename == installed.__file__


def test_a_librarys_line_is_said_where_there_is_no_other(installed):
    error = raised(lambda: warmnet.up(installed.Net(), [1, 3, 8, 8]))
    assert f"\n  at {installed.__file__}:10, in added: return x + y\n" in str(error)


NOTEBOOK = """
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
shell.run_cell("import warmnet", store_history=True)
run = shell.run_cell('''class Own(warmnet.WarmModule):
    def forward(self, x):
        return x + x[:, :2]
warmnet.up(Own(), [1, 3, 8, 8])
''', store_history=True)
print("said:", run.error_in_exec)
"""


def test_a_line_of_a_notebook_is_named_by_its_cell(tmp_path):
    environment = {**os.environ, "IPYTHONDIR": str(tmp_path)}
    run = subprocess.run([sys.executable, "-c", NOTEBOOK], capture_output=True, text=True, env=environment)
    said = run.stdout.partition("\nsaid: ")[2].splitlines()
    assert said[1:3] == ["  at Cell In[2], line 3, in forward: return x + x[:, :2]", "  where x (1, 3, 8, 8)"], run.stderr


@pytest.mark.parametrize("model, size", [(Wrong, 32), (Flat, 9)], ids=["dry run", "later"])
def test_the_traceback_is_of_the_users_frames_with_few_of_the_library(model, size):
    built = warmnet.up(Flat(), [1, 3, 8, 8])
    run = built if model is Flat else lambda x: warmnet.up(Wrong(), x)
    error = raised(lambda: run(torch.ones(1, 3, size, size)))
    files = [frame.filename for frame in traceback.extract_tb(error.__traceback__)]
    assert files[-1] == __file__, "the last is the line that is wrong"
    inner = files[max(i for i, file in enumerate(files) if file != __file__) + 1 :]
    assert len(inner) == (2 if model is Wrong else 1), "from the user's forward on there is nothing but the user's code"
    assert sum(file != __file__ and "pytest" not in file for file in files) <= 5
    assert error.__cause__ is None or error.__cause__.__traceback__ is None


def test_an_error_with_no_line_of_the_users_says_the_one_that_called():
    model = warmnet.WarmEfficientNet("b0", device="meta")
    _, network, caller = str(raised(lambda: model(torch.ones(1, 4, 64, 64)))).splitlines()
    assert network == "  in WarmEfficientNet, given (1, 4, 64, 64)"
    assert caller.startswith(f"  called at {__file__}:") and "model(torch.ones(1, 4, 64, 64))" in caller


def test_an_error_in_a_command_has_no_line_of_the_users():
    """An installed command's file is no user's, though it lies outside of the packages."""
    assert not is_users(os.path.join(sysconfig.get_path("scripts"), "warmnet"))
    assert is_users(__file__)


def test_other_settings_are_said_alone_and_what_to_do():
    class Own(WarmModule):
        size = 8

        def forward(self, x):
            return W.conv(x, self.size, 3, stride=self.size // 8, padding=1)

    model = warmnet.up(Own(), [1, 3, 8, 8])
    model.size = 16
    said = str(raised(lambda: model(torch.ones(1, 3, 8, 8)))).splitlines()[0]
    assert said == (
        "'conv_1' was built as conv(size=8, stride=1, …) and is now asked for as conv(size=16, stride=2, …). A layer keeps the "
        "settings of the dry run: build the network again, or give one of the two calls another name=."
    )


@pytest.mark.parametrize(
    "before, after, said",
    [
        (
            lambda x: W.linear(x, 8, name="a"),
            lambda x: W.dropout(x, 0.5, name="a"),
            "linear(size=8, bias=True) and is now asked for as dropout(rate=0.5, by_channel=False, inplace=False)",
        ),
        (
            lambda x: W.embedding(x * 0, 4, 10, padding_idx=0, name="a"),
            lambda x: W.embedding(x * 0, 4, 10, padding_idx=1, name="a"),
            "embedding(10, 4, ('padding_idx', 0)) and is now asked for as embedding(10, 4, ('padding_idx', 1))",
        ),
    ],
    ids=["another kind", "settings that have no label"],
)
def test_settings_are_said_in_full_where_they_cannot_be_compared(before, after, said):
    class Own(WarmModule):
        layer = staticmethod(before)

        def forward(self, x):
            return self.layer(x)

    model = warmnet.up(Own(), [1, 4])
    model.layer = after
    assert f"'a' was built as {said}. " in str(raised(lambda: model(torch.ones(1, 4))))


def test_a_model_that_failed_can_be_called_again():
    model = warmnet.up(Flat(), [1, 3, 8, 8]).eval()
    y = model(torch.ones(1, 3, 8, 8))
    raised(lambda: model(torch.ones(1, 3, 9, 9)))
    assert torch.equal(model(torch.ones(1, 3, 8, 8)), y)
