"""The commonest mistakes of somebody who edits a forward: each error names the line, what is wrong there, and the cure."""

import re
import tempfile
from pathlib import Path

import pytest
import torch
from torch import nn

import warmnet.functional as W
from warmnet import WarmEfficientNet, WarmModule, block, conv_bn_act, mb_block, up
from warmnet.authoring.model_files import write_model_file
from warmnet.authoring.user_networks import find_network

SAMPLE = [1, 3, 32, 32]
IMAGES = torch.rand(2, 3, 32, 32)
MARKED = re.compile(r"^  (called |begins )?at \S+\.py:\d+, .*# wrong$", re.MULTILINE)  # the line with that comment
MISTAKES = {}  # the name of a function that makes one: the function, and what its error says is wrong, and of the cure


def mistake(wrong, cure):
    """Note the function below as one whose error says these words."""

    def note(make):
        MISTAKES[make.__name__] = make, wrong, cure
        return make

    return note


class OneConv(WarmModule):
    def forward(self, x):
        return W.conv(x, 8, 3)  # wrong


def edited(edits):
    """The network of a model file of `warmnet new` in which these texts were replaced."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "mymodel.py")
        write_model_file(path)
        text = path.read_text()
        for before, after in edits.items():
            assert text.count(before) == 1
            text = text.replace(before, after)
        path.write_text(text)
        return find_network(str(path))("b0", device="meta")


# ------------------------------------------------------------------------------------------------ sizes in the forward


@mistake("dimension of length 24", "Make their channels equal")
def wrong_channels_in_an_add():
    edited({'y = x + W.drop_connect(y, drop, name="drop_connect")': "y = x[:, 1:] + W.drop_connect(y, drop)  # wrong"})


@mistake("tensor b (16)", "same strides")
def a_stride_in_one_of_two_branches():
    class Net(WarmModule):
        def forward(self, x):
            y = conv_bn_act(x, 3, 3, stride=2)
            return x + y  # wrong

    up(Net(), SAMPLE)


@mistake("Expected size 32 but got size 16", "same strides")
def maps_of_two_sizes_in_a_concatenation():
    class Net(WarmModule):
        def forward(self, x):
            y = W.conv(x, 8, 3, stride=2, padding="same")
            return torch.cat([x, y], 1)  # wrong

    up(Net(), SAMPLE)


@mistake("not maps (1, 1280, 1, 1)", "Pool them first, x.mean((2, 3))")
def a_forgotten_pool():
    edited({"x = W.global_average_pool(x).flatten(1)": "pass", 'name="classifier")': 'name="classifier")  # wrong'})


@mistake("built for 4096 input channels and is given (1, 9216)", "pool before it")
def a_flatten_that_holds_for_one_image_size():
    class Net(WarmModule):
        def forward(self, x):
            return W.linear(W.conv(x, 4, 1).flatten(1), 10)  # wrong

    up(Net(), SAMPLE)(torch.rand(1, 3, 48, 48))


@mistake("W.conv takes (B, C, *) with 1 to 3 dimensions in *, not shape (1, 3)", "W.linear(x, 8)")
def a_convolution_of_vectors():
    class Net(WarmModule):
        def forward(self, x):
            return W.conv(x.mean((2, 3)), 8, 1)  # wrong

    up(Net(), SAMPLE)


@mistake("size=1.5 must be a whole number, at least 1, and is a float", "Divide by //")
def a_size_that_is_a_float():
    class Net(WarmModule):
        def forward(self, x):
            return W.conv(x, x.shape[1] / 2, 3)  # wrong

    up(Net(), SAMPLE)


@mistake("size=tensor(", "plain number")
def a_size_that_is_a_tensor():
    class Net(WarmModule):
        def forward(self, x):
            return W.conv(x, x.abs().sum(), 3)  # wrong

    up(Net(), SAMPLE)


@mistake("groups (=4) must divide size (=6) and the input channels (=3)", "Choose a divisor of 3")
def groups_that_do_not_divide():
    class Net(WarmModule):
        def forward(self, x):
            return W.conv(x, 6, 3, groups=4)  # wrong

    up(Net(), SAMPLE)


# ------------------------------------------------------------------------------------------ names, keywords, settings


@mistake("'strides'", "Did you mean 'stride'?")
def a_misspelt_keyword_of_a_layer():
    class Net(WarmModule):
        def forward(self, x):
            return W.conv(x, 8, 3, strides=2)  # wrong

    up(Net(), SAMPLE)


@mistake("'kernal'", "Did you mean 'kernel'?")
def a_misspelt_keyword_of_a_block():
    class Net(WarmModule):
        def forward(self, x):
            return conv_bn_act(x, 8, kernal=3)  # wrong

    up(Net(), SAMPLE)


@mistake("'expnad'", "Did you mean 'expand'?")
def a_misspelt_keyword_that_a_block_passes_on():
    class Net(WarmModule):
        def forward(self, x):
            return mb_block(x, 8, expnad=6)  # wrong

    up(Net(), SAMPLE)


@mistake("'dropuot'", "Did you mean 'dropout'?")
def a_misspelt_option_of_the_network():
    WarmEfficientNet("b0", dropuot=0.1, device="meta")  # wrong


@mistake("missing 1 required positional argument: 'kernel'", "conv(x, size, kernel, ")
def a_forgotten_x():
    class Net(WarmModule):
        def forward(self, x):
            return W.conv(8, 3)  # wrong

    up(Net(), SAMPLE)


@mistake(
    "missing 1 required keyword-only argument: 'act'", "It is conv_bn_act(x, size, kernel, stride, groups, dilation, act, "
)
def a_forgotten_setting_of_a_block():
    edited({'x = conv_bn_act(x, round_filters(head, ends), act=act, name="head", **conv)': "x = conv_bn_act(x, 8)  # wrong"})


@mistake("2 is no function, name in torch.nn.init", "by its keyword, such as stride=2")
def a_stride_by_its_place():
    class Net(WarmModule):
        def forward(self, x):
            return W.conv(x, 8, 3, 2)  # wrong

    up(Net(), SAMPLE)


@mistake("'swish' is no function of torch.nn.functional", "Did you mean 'silu'?")
def an_activation_that_torch_calls_otherwise():
    class Net(WarmModule):
        def forward(self, x):
            return W.conv(x, 8, 3, activation="swish")  # wrong

    up(Net(), SAMPLE)


@mistake("activation=ReLU is a class", "or a module: ReLU()")
def an_activation_that_is_a_class():
    class Net(WarmModule):
        def forward(self, x):
            return W.conv(x, 8, 3, activation=nn.ReLU)  # wrong

    up(Net(), SAMPLE)


@mistake("'trunc_normal' is no function of torch.nn.init", "Did you mean 'trunc_normal_'?")
def a_misspelt_initialization():
    class Net(WarmModule):
        def forward(self, x):
            return W.linear(x.mean((2, 3)), 8, "trunc_normal")  # wrong

    up(Net(), SAMPLE)


@mistake("unexpected keyword argument 'drop'", "is called as `x = block(x, size, expand, kernel, stride, dilation, drop=drop,")
def a_block_of_ones_own_without_drop():
    @block
    def plain(x, size, expand, kernel, stride, dilation):  # wrong
        return conv_bn_act(x, size, kernel, stride)

    WarmEfficientNet("b0", block=plain, device="meta")


@mistake(
    "takes 5 positional arguments but 6 were given", "block(x, size, expand, kernel, stride, dilation, drop=drop, **options)"
)
def a_block_of_ones_own_without_dilation():
    def plain(x, size, expand, kernel, stride, **options):  # wrong
        return conv_bn_act(x, size, kernel, stride)

    WarmEfficientNet("b0", block=plain, device="meta")


@mistake("The name 'body' is used twice", "another name")
def two_blocks_of_one_name():
    class Net(WarmModule):
        def forward(self, x):
            x = conv_bn_act(x, 8, name="body")
            return conv_bn_act(x, 8, name="body")  # wrong

    up(Net(), SAMPLE)


# ------------------------------------------------------------------------------------------------------- what returns


@mistake("Net.forward returned None", "return")
def a_forward_without_return():
    class Net(WarmModule):
        def forward(self, x):  # wrong
            W.conv(x, 8, 3)

    up(Net(), SAMPLE)


@mistake("squeeze_excitation returned None", "return")
def a_block_without_return():
    definition = "def squeeze_excitation(x, size, act):"
    edited({"return x * gate": "x * gate", definition: f"{definition}  # wrong"})


@mistake("x of W.conv is None", "return")
def a_plain_function_without_return():
    def widen(x):
        W.conv(x, 8, 3)

    class Net(WarmModule):
        def forward(self, x):
            return W.conv(widen(x), 8, 3)  # wrong

    up(Net(), SAMPLE)


# -------------------------------------------------------------------------------------------- layers at another place


@mistake("'conv_1', conv(size=8, ", "must pass every branch")
def a_layer_in_a_branch_that_the_dry_run_does_not_take():
    class Net(WarmModule):
        def forward(self, x):
            if self.training:
                x = W.conv(x, 8, 3)  # wrong
            return x

    up(Net(), SAMPLE)(IMAGES)


@mistake("It has conv_1, conv_2", "as many times as in later calls")
def a_loop_of_another_length():
    class Net(WarmModule):
        depth = 2

        def forward(self, x):
            for _ in range(self.depth):
                x = W.conv(x, 8, 3)  # wrong
            return x

    model = up(Net(), SAMPLE)
    model.depth = 3
    model(IMAGES)


@mistake("conv(size=8, stride=1, …) and is now asked for as conv(size=16, stride=2, …)", "build the network again")
def a_setting_changed_after_the_build():
    class Net(WarmModule):
        size = 8

        def forward(self, x):
            return W.conv(x, self.size, 3, stride=self.size // 8)  # wrong

    model = up(Net(), SAMPLE)
    model.size = 16
    model(IMAGES)


@mistake("conv was called outside of a WarmModule's forward", "Call it in the forward")
def a_layer_in_init():
    class Net(WarmModule):
        def __init__(self):
            super().__init__()
            self.stem = W.conv(IMAGES, 8, 3)  # wrong

        def forward(self, x):
            return self.stem(x)

    Net()


@mistake("Net.layers is a list of 2 modules", "nn.ModuleList")
def layers_in_a_plain_list():
    class Net(WarmModule):
        def __init__(self):
            super().__init__()
            self.layers = [nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)]

        def forward(self, x):
            for layer in self.layers:
                x = layer(x)
            return x

    up(Net(), SAMPLE)  # wrong


@mistake("Net.__init__ does not call", "super().__init__()")
def no_super_init():
    class Net(WarmModule):
        def __init__(self):  # wrong
            self.size = 8

        def forward(self, x):
            return W.conv(x, self.size, 3)

    up(Net(), SAMPLE)


@mistake("'stage_1' is built, and its function calls mb_block_1", "Change the function")
def a_child_added_to_a_built_block():
    model = WarmEfficientNet("b0", device="meta")
    model.stage_1.more = nn.Conv2d(16, 16, 1)  # wrong


@mistake("outside of a WarmModule's forward", "model(x), not model.forward(x)")
def a_call_of_forward():
    up(OneConv(), SAMPLE).forward(IMAGES)


# ------------------------------------------------------------------------------------------------- warming up, calling


@mistake("OneConv has no layers yet", "warm.up(model, [")
def a_call_before_warm_up():
    OneConv()(IMAGES)  # wrong


@mistake("OneConv.forward(x) and was given 0", "warmnet.up(model, [1, 3, 32, 32])")
def no_sample():
    up(OneConv())  # wrong


@mistake("Net.forward(x, mask) and was given 1", "warmnet.up(model, [1, 3, 32, 32], [1, 3, 32, 32])")
def fewer_samples_than_inputs():
    class Net(WarmModule):
        def forward(self, x, mask):
            return W.conv(x * mask, 8, 3)

    up(Net(), SAMPLE)  # wrong


@mistake("missing 1 required positional argument: 'mask'", "It is forward(self, x, mask)")
def a_call_with_fewer_inputs_than_the_forward_takes():
    class Net(WarmModule):
        def forward(self, x, mask):  # wrong
            return W.conv(x * mask, 8, 3)

    up(Net(), SAMPLE, SAMPLE)(IMAGES)


@mistake("[] is no shape", "[1, 3, 32, 32]")
def an_empty_shape():
    up(OneConv(), [])  # wrong


@mistake("[1, 3, 32.0, 32.0]", "whole numbers")
def a_shape_of_floats():
    up(OneConv(), [1, 3, 64 / 2, 64 / 2])  # wrong


# -------------------------------------------------------------------------------------------------------------- images


@mistake("not (2, 32, 32, 3)", "x.movedim(-1, 1)")
def channels_last_images():
    WarmEfficientNet("b0", device="meta")(IMAGES.permute(0, 2, 3, 1))  # wrong


@mistake("built for 3 input channels and is given (2, 32, 32, 3)", "x.movedim(-1, 1)")
def channels_last_images_to_a_network_of_ones_own():
    up(OneConv(), SAMPLE)(IMAGES.permute(0, 2, 3, 1))


@mistake("is given torch.uint8", "x.float() / 255")
def whole_numbers_as_pixels():
    up(OneConv(), SAMPLE)((IMAGES * 255).to(torch.uint8))


@mistake("tensors of 4 dimensions, as the sample had them, and is given one of 3", "x[None]")
def an_image_without_the_batch_axis():
    up(OneConv(), SAMPLE)(IMAGES[0])


@mistake("x of W.conv is of type numpy.ndarray", "torch.from_numpy(")
def an_array_of_numpy():
    up(OneConv(), SAMPLE)(IMAGES.numpy())


@mistake("x of W.conv is of type list", "torch.stack(")
def a_list_of_images():
    up(OneConv(), SAMPLE)([*IMAGES])


@mistake("'linear_1' is on meta and is given a tensor on cpu", "build it with device='cpu'")
def a_network_on_another_device():
    class Net(WarmModule):
        def forward(self, x):
            return W.linear(x.mean((2, 3)), 8)  # wrong

    up(Net(), SAMPLE, device="meta")(IMAGES)


@mistake("'batch_norm_1', BatchNorm2d, given (1, 3, 1, 1)", "model.eval()")
def a_batch_of_one_in_training():
    class Net(WarmModule):
        def forward(self, x):
            x = W.global_average_pool(x)
            return W.batch_norm(x)  # wrong

    up(Net(), SAMPLE).train()(IMAGES[:1])


@pytest.mark.parametrize("name", MISTAKES)
def test_the_error_of_a_mistake_names_the_line_what_is_wrong_and_the_cure(name):
    make, wrong, cure = MISTAKES[name]
    with pytest.raises(Exception) as caught:
        make()
    message = str(caught.value)
    assert MARKED.search(message), message
    assert wrong in message
    assert cure in message


def test_there_are_thirty():
    assert len(MISTAKES) >= 30
