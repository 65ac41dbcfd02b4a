collect_ignore_glob = ["*.py"]  # scripts: tests/networks/test_edits.py runs them
