"""Claims broken on purpose: what a test says must turn it red."""
