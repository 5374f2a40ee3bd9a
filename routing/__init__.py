"""Where an incident must go, and by what right: a library that knows neither the service nor the recorder.

Its surface is what stands in ``__all__``: the wings, each with what its own ``__init__`` exports and the modules that
it names there, and on the ground below them what all stand on.
"""

__all__ = [
    "boundaries",
    "brief",
    "cards",
    "categories",
    "container",
    "directory",
    "errors",
    "kinds",
    "law",
    "location",
    "lost",
    "plan",
    "position",
    "services",
    "severity",
    "text",
    "xml",
]
