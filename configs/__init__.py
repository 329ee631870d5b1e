"""One file per run or sweep; each has `get_config()`, and its docstring states its question and its measured answer."""
