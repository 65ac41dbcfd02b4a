import inspect
import traceback

import pytest
import torch

import warmnet
import warmnet.functional as W
from warmnet import WarmModule, block, conv_bn_act


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


class Mine(Exception):
    """A user's own."""


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
    assert after == "  after " + ", ".join(f"{path} (1, {size}, 16, 16)" for path, size in outputs.items())


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
        "'linear_1' was built for 256 input channels and is given (1, 324).\n"
        f"  at {__file__}:{line}, in forward: return W.linear(x.flatten(1), 2)\n"
        "  where x (1, 4, 9, 9)\n  in Flat, given (1, 3, 9, 9)"
    )


@pytest.mark.parametrize("fail", [Mine("mine"), Mine(1, 2), KeyError("key"), StopIteration()], ids=repr)
def test_a_users_own_exception_is_raised_as_it_is(fail):
    class Own(WarmModule):
        def forward(self, x):
            raise fail

    args = fail.args
    assert raised(lambda: warmnet.up(Own(), [1])) is fail
    assert str(fail).startswith("mine\n  at ") if args == ("mine",) else fail.args == args


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


def test_an_error_with_no_line_of_the_users_is_left_as_it_is():
    model = warmnet.WarmEfficientNet("b0", device="meta")
    assert str(raised(lambda: model(torch.ones(1, 4, 64, 64)))).count("\n") == 0


def test_a_model_that_failed_can_be_called_again():
    model = warmnet.up(Flat(), [1, 3, 8, 8]).eval()
    y = model(torch.ones(1, 3, 8, 8))
    raised(lambda: model(torch.ones(1, 3, 9, 9)))
    assert torch.equal(model(torch.ones(1, 3, 8, 8)), y)
