"""Studies: What the lecture says and its log shows."""
