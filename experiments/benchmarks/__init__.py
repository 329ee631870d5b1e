<<<<<<< HEAD
"""What `experiments.benchmark` measures: an epoch, sweeps, and what comes of faults."""
=======
"""What `python -m experiments.benchmark` measures."""
>>>>>>> 9eaa4969a2685a02b9c7896dad9887ebef90df63
