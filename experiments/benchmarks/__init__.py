"""What `python -m experiments.benchmark` measures: an epoch, sweeps, how they scale, and what comes of faults."""
