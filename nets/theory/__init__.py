"""Nets whose exit times, deaths, minima or costs are known exactly: the oracles that measurements are held against."""

from nets.theory import (
    born_dead,
    exit_time,
    relu_cells,
    residual_passage,
    slope_bounds,
    step_chain,
    student_teacher,
    wells,
)

__all__ = [
    "born_dead",
    "exit_time",
    "relu_cells",
    "residual_passage",
    "slope_bounds",
    "step_chain",
    "student_teacher",
    "wells",
]
