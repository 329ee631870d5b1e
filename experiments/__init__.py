"""One file per question; each runs as `python -m experiments.WING.NAME`."""

from training import starting as starting
