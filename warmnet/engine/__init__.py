"""Forward functions become modules. What runs when a built model is called, from file to file:

module.py (the call is put on calls.py's stack) -> the network's forward -> block.py (each block, a call of its own) ->
functional/ (`W.conv` and the like) -> layers.py (the built layer of that name) -> kernels/ where stand_ins.py allows one, or
else the layer's own call. An error on the way gets its place in location.py and its cure in explanation.py.
"""
