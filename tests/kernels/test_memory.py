"""Memory that is kept is not asked for again: the system clears no page of it a second time."""

import subprocess
import sys

import pytest

FAULTS = """
import resource, torch
def faults():
    began = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(5):
        torch.empty(20_000_000).fill_(1)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - began
print(faults() > 50_000)  # five times 80 MB, in pages of 4 kB
{what}
faults()
print(faults() < 500)
"""

EVALUATED = """
import warmnet
from warmnet import training
from warmnet.data.preprocessing import Preprocessing
model = warmnet.WarmEfficientNet(warmnet.Variant(0.2, 0.2, 32, 0.2), num_classes=10, seed=0)
model.preprocessing = Preprocessing(32)
training.evaluate(model, training.digits().held_out[:2], device='cpu')
"""

TRAINED = """
import tempfile, warmnet
from dataclasses import replace
from warmnet import training
data = training.digits()
data = replace(data, train=data.train[:4], held_out=data.held_out[:2])
recipe, execution = replace(training.DIGITS, epochs=1, batch_size=4), training.Execution('cpu')
small = warmnet.Variant(0.2, 0.2, 32, 0.2)
training.fit(data, recipe, tempfile.mkdtemp() + '/run', variant=small, execution=execution)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="of glibc")
@pytest.mark.parametrize(
    "what", ["import warmnet; assert warmnet.keep_memory()", EVALUATED, TRAINED], ids=["asked", "evaluate", "fit"]
)
def test_freed_memory_is_used_again(what):
    done = subprocess.run([sys.executable, "-c", FAULTS.format(what=what)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    said = done.stdout.split()
    assert (said[0], said[-1]) == ("True", "True")
