"""What a user writes, which mypy --strict has to accept; .ci/run asks it."""

import torch
import torch.nn.functional as F
from torch import Tensor

import warmnet
import warmnet.functional as W


class Net(warmnet.WarmModule):
    def forward(self, x: Tensor) -> Tensor:
        x = warmnet.conv_bn_act(x, 16, kernel=3, stride=2, act=F.relu)
        return W.linear(W.global_average_pool(x).flatten(1), 10, name="out")


def main() -> None:
    net = warmnet.up(Net(), [1, 3, 32, 32])
    model = warmnet.WarmEfficientNet("b0", num_classes=10, se_ratio=0, seed=0)
    features = warmnet.Endpoints(model, ["stage_2", "head"])
    shapes: dict[str, torch.Size] = {name: y.shape for name, y in features(torch.rand(1, 3, 64, 64)).items()}
    print(net(torch.rand(2, 3, 32, 32)).shape, shapes, warmnet.tabulate(model).parameters)


if __name__ == "__main__":
    main()
