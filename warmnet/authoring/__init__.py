"""For networks of your own: the largest within a budget, a model file to edit, the notebooks."""
