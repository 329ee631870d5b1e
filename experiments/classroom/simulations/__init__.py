"""What the worker runs for a view, one a file: classes as `worker.Simulation` describes them."""
