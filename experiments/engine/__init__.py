"""The engine of sweeps: trials, packs of lanes, who runs them, the folder that they fill."""
