"""A file and a cell of IPython that are edited while networks live."""

import os
import subprocess
import sys

import pytest

SESSION = """
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()

def cell(source):
    result = shell.run_cell(source, store_history=True)
    result.raise_error()

def save(source):
    cell("import os, time")
    open("mine.py", "w").write(source)
    save.time += 10
    os.utime("mine.py", (save.time, save.time))
import os, time
save.time = time.time()
"""
MINE = """
import warmnet, warmnet.functional as W
from warmnet import WarmModule, block, conv_bn_act

@block
def body(x, size):
    return conv_bn_act(x, size, name="one")

class Net(WarmModule):
    def forward(self, x):
        return W.linear(body(x, 8, name="body").mean((2, 3)), 5, name="out")
"""
AUTORELOAD = f"""
MINE = {MINE!r}
save(MINE)
cell("%load_ext autoreload")
cell("%autoreload 2")
cell("import sys; sys.path.insert(0, '.'); import mine, pickle, torch, warmnet; from mine import Net")
cell("x = torch.ones(1, 3, 8, 8); new = lambda: warmnet.up(Net(), [1, 3, 8, 8], seed=0).eval(); old = new(); y = old(x)")
save(MINE.replace('name="one")', 'name="one") * 2'))
cell("z = new()(x); assert not torch.equal(z, y) and torch.equal(old(x), z)")
save(MINE.replace("5, name", "7, name"))
cell("assert new()(x).shape == (1, 7)")
cell("assert pickle.loads(pickle.dumps(new()))(x).shape == (1, 7)")
print("said:", shell.run_cell("old(x)").error_in_exec)
print("done")
"""
REDEFINED = f"""
cell({MINE!r})
cell("import torch; x = torch.ones(1, 3, 8, 8); old = warmnet.up(Net(), [1, 3, 8, 8], seed=0).eval(); y = old(x)")
cell({MINE.replace('name="one")', 'name="one") * 2')!r})
cell("new = warmnet.up(Net(), [1, 3, 8, 8], seed=0).eval()")
cell("assert not torch.equal(new(x), y) and torch.equal(old(x), new(x))")  # its forward calls what is called `body` now
print("done")
"""
# The first network is in the garbage of what torch imports for it.
RERUN = """
cell("import gc, weakref, warmnet; small = warmnet.Variant(0.1, 0.1, 32, 0.2)")
cell("warmnet.WarmEfficientNet(small, device='meta'); gc.collect(); gc.disable()")
for last, alive in [("None", 1), ("warmnet.tabulate(model)", 1), ("model", 5)]:
    cell("made = weakref.WeakSet(); model = None")
    for _ in range(5):
        cell(f"model = warmnet.WarmEfficientNet(small, device='meta'); made.add(model); {last}")
    cell(f"assert len(made) == {alive}, len(made)")
print("done")
"""


def test_a_cell_that_is_run_again_leaves_one_network_unless_it_ends_in_it(tmp_path):
    done(SESSION + RERUN, tmp_path)


@pytest.mark.parametrize("edits", [AUTORELOAD, REDEFINED], ids=["autoreload of a file", "a cell run again"])
def test_networks_live_on_when_their_code_is_edited(edits, tmp_path):
    said = done(SESSION + edits, tmp_path)
    if edits is AUTORELOAD:
        assert "said: 'out' was built as linear(size=5" in said, "which fits no more"


def done(code, folder):
    """What a process prints that runs it to its end."""
    environment = {**os.environ, "IPYTHONDIR": str(folder)}
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, cwd=folder)
    assert run.stdout.endswith("done\n"), run.stdout[-2000:] + run.stderr
    return run.stdout
