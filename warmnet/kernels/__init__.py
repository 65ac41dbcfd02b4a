"""Stand-ins for torch's own functions, of tensors alone: they know no module, no network and no state.

Each computes what torch's functions compute: bit for bit, or no farther from float64 than twice torch's own rounding.
`rules` says which one runs.
"""
