import pytest
import torch
from torch.utils.data import DataLoader

from warmnet.data import Augmentation, Batches, Images, Preprocessing, digits
from warmnet.errors import InputError


def test_the_same_images_come_in_the_same_order_with_any_number_of_workers():
    data, augmentation = digits(), Augmentation(shift=1 / 16)

    def batches(workers, seed):
        images = Images(data.train[:64], Preprocessing(32), augmentation)
        order = Batches(64, 16, seed)
        loader = DataLoader(images, batch_sampler=order, num_workers=workers)
        found = []
        for order.step in 0, 4:  # 2 epochs
            found += [x for x, _ in loader]
        return torch.stack(found)

    assert torch.equal(batches(0, seed=3), batches(2, seed=3))
    assert not torch.equal(batches(0, seed=3), batches(0, seed=4))
    first, second = batches(0, seed=3).chunk(2)
    assert not torch.equal(first, second), "another epoch is another order"


@pytest.mark.parametrize("images, size, world, parts", [(1433, 64, 1, 1), (1433, 64, 2, 1), (100, 32, 2, 3), (50, 7, 3, 1)])
def test_every_image_comes_once_an_epoch_whatever_the_processes_and_parts(images, size, world, parts):
    for epoch in range(2):
        steps = []
        for rank in range(world):
            batches = Batches(images, size, 5, rank, world, parts)
            batches.step = epoch * batches.steps
            dealt = list(batches)
            assert len(dealt) == len(batches) == batches.steps * parts
            steps.append([sum(dealt[i : i + parts], []) for i in range(0, len(dealt), parts)])
        whole = [sorted(sum((process[i] for process in steps), [])) for i in range(batches.steps)]
        assert sorted(index for step in whole for index, _ in step) == list(range(images))
        alone = Batches(images, size, 5)
        alone.step = epoch * alone.steps
        assert [sorted(step) for step in alone] == whole, "the same images in the same steps as in one process"
        assert [len(step) for step in whole] == [alone.size(epoch * alone.steps + i) for i in range(alone.steps)]
        assert max(map(len, whole)) - min(map(len, whole)) <= 1


def test_an_epoch_goes_on_from_any_step():
    batches = Batches(100, 16, seed=3)
    whole = list(batches)
    for step in range(batches.steps):
        batches.step = step
        assert list(batches) == whole[batches.step :] and len(batches) == batches.steps - batches.step


def test_steps_that_are_too_small_to_share_are_refused():
    with pytest.raises(InputError, match="8 images in a step are too few for 4 processes with 2 parts"):
        Batches(64, 8, seed=0, world=4, parts=2)
