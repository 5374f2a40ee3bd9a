"""Turns dealt out anew among those inside a mass event, in SQL; everybody else's stay where they were.

A row inside keeps no turn of its own: the turns that rows inside have by tenant are given to them in the order of
their places.  So whoever is outside stands where it stood without the mass event, whatever happens inside.
``turns.Turns`` does the same in memory.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, Subquery, and_, case, func, select


def dealt_out(
    ranked: Subquery,
    wanted: Sequence[ColumnElement[Any]],
    *,
    turns: Sequence[ColumnElement[Any]],
    there: Sequence[ColumnElement[Any]],
) -> Select[Any]:
    """``wanted`` of each row and its turn ``turn_of``, in that order.

    ``ranked`` has a column ``place``, NULL outside; ``turns`` orders all rows by tenant, and ``there`` those inside by
    place; both leave no two rows equal.
    """
    inside = case((ranked.c.place.is_not(None), 1), else_=0)
    numbered = select(
        *wanted,
        inside.label("inside"),
        func.row_number().over(order_by=tuple(turns)).label("turn"),
        func.row_number().over(partition_by=inside, order_by=tuple(turns)).label("nth_turn"),
        func.row_number().over(partition_by=inside, order_by=tuple(there)).label("nth_there"),
    ).cte("numbered")
    who, turn = numbered.alias("who"), numbered.alias("turn")
    nth = case((who.c.inside == 1, who.c.nth_there), else_=who.c.nth_turn)
    query = select(*(who.c[each.name] for each in wanted), turn.c.turn.label("turn_of"))
    query = query.join(turn, and_(turn.c.inside == who.c.inside, turn.c.nth_turn == nth))
    return query.order_by(turn.c.turn)
