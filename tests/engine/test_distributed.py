"""Two processes on gloo: DistributedDataParallel, and FSDP2 by block, train as one process does."""

import torch
import torch.distributed as dist
from small_networks import Small, images
from torch import nn


def train(run, model, rank=None, steps=3):
    """Train on the whole batch, or on this rank's half of it; returns the model's full state."""
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    for step in range(steps):
        x, target = images(4, seed=step).double(), torch.tensor([1, 2, 3, 4])
        if rank is not None:
            x, target = x[2 * rank : 2 * rank + 2], target[2 * rank : 2 * rank + 2]
        optimizer.zero_grad()
        nn.functional.cross_entropy(run(x), target).backward()
        optimizer.step()
    return {name: p.full_tensor() if hasattr(p, "full_tensor") else p for name, p in model.named_parameters()}


def fresh():
    """In eval mode, since batch statistics are each process's own; the drops are off with it."""
    return Small(seed=0).double().eval()


def work(rank, port):
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard
    from torch.nn.parallel import DistributedDataParallel

    dist.init_process_group("gloo", f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    torch.set_num_threads(1)
    wanted = train(model := fresh(), model)
    start = dict(fresh().named_parameters())
    assert all(not torch.equal(p, start[name]) for name, p in wanted.items())

    ddp = DistributedDataParallel(fresh())
    check(wanted, {name.removeprefix("module."): p for name, p in train(ddp, ddp, rank).items()})

    mesh, sharded = init_device_mesh("cpu", (2,)), fresh()
    for block in (sharded.stem, sharded.residual_1, sharded.residual_2, sharded):
        fully_shard(block, mesh=mesh)
    assert sharded.residual_1.widen.conv.weight.to_local().numel() * 2 == wanted["residual_1.widen.conv.weight"].numel()
    check(wanted, train(sharded, sharded, rank))
    dist.barrier()  # without it a process was aborted once at its end
    dist.destroy_process_group()


def check(wanted, got):
    assert list(got) == list(wanted)
    for name, p in wanted.items():
        torch.testing.assert_close(got[name].detach(), p.detach(), rtol=1e-9, atol=1e-12, msg=name)


def test_two_processes_train_as_one(free_port):
    torch.multiprocessing.spawn(work, (free_port,), nprocs=2)
