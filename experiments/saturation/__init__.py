"""Studies: Neurons that sit where their slope is gone, and layers that learn slowly."""
