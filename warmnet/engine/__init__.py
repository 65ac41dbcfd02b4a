"""Plain forward functions become ordinary PyTorch modules."""
