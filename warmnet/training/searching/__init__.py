"""The search for augmentations. It needs `warmnet[search]`."""
