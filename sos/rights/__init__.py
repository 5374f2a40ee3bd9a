"""Rights desk: what a person may ask about their own data, how everything about them is found, and what they get."""
