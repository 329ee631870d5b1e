"""What advise measures of a net, what it makes of that, and the lanes that test it."""
