"""What a sweep and the studies leave to look at: pictures and pages."""
