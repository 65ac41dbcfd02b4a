collect_ignore_glob = ["*.py"]  # scripts: tests/test_edits.py runs them
