"""buslog: an event bus with a memory, and the control room over it."""
