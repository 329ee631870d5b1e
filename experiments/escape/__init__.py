"""Studies: Poor minima, and when descent leaves them."""
