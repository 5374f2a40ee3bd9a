"""The pure core: what an incident is, what may follow what, and how it is written down."""
