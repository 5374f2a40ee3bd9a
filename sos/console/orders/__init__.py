"""The orders that a desk gives over its socket: each one class, which says what is sent, who may, and what it does."""
