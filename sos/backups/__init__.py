"""Copies of everything that is kept, apart from each other, and the way back from them."""
