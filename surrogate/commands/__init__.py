"""What `python -m surrogate` offers: one module per command, with `add(commands)` and `run`."""
