"""How badly somebody may be hurt: an aid to who is answered first, never a gate.

``models`` holds the published models and the rules that need none, ``check`` tries them on measured crashes.
"""

from routing.severity.models import (
    DEFAULT,
    KMH_PER_MPH,
    MODELS,
    Casualty,
    Cuts,
    Facts,
    Impact,
    Input,
    Judgement,
    Level,
    Model,
    judge,
    model,
    score,
)

__all__ = [
    "DEFAULT",
    "KMH_PER_MPH",
    "MODELS",
    "Casualty",
    "Cuts",
    "Facts",
    "Impact",
    "Input",
    "Judgement",
    "Level",
    "Model",
    "judge",
    "model",
    "score",
]
