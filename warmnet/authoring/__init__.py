"""For networks of your own: one within a budget, a file to edit, the notebooks."""
