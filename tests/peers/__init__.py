"""warmnet beside the libraries that have EfficientNet too. It needs them installed; see `networks.py`."""
