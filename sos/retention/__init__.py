"""Retention: what is due, who agreed, and its end, with a certificate; ``executor`` does it and ``clerk`` counts."""
