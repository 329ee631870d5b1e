"""Nets whose exit times, deaths, minima or costs are known exactly: the oracles that measurements are held against."""

from nets.theory import (
    absorbed_relu,
    born_dead,
    exit_time,
    relu_cells,
    residual_passage,
    saddle,
    slope_bounds,
    step_chain,
    student_teacher,
    wells,
)

__all__ = [
    "absorbed_relu",
    "born_dead",
    "exit_time",
    "relu_cells",
    "residual_passage",
    "saddle",
    "slope_bounds",
    "step_chain",
    "student_teacher",
    "wells",
]
