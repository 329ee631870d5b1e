"""What `python -m experiments.benchmark` measures: an epoch, sweeps, and what comes of faults."""
