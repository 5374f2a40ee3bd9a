"""Plan and hand-off: the right agency, told by the right, until a human there has taken over."""
