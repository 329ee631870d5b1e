"""Nets whose exit times, deaths, minima or costs are known exactly: the oracles that measurements are held against."""

from nets.theory import born_dead, exit_time, relu_cells, residual_passage, slope_bounds, student_teacher

__all__ = ["born_dead", "exit_time", "relu_cells", "residual_passage", "slope_bounds", "student_teacher"]
