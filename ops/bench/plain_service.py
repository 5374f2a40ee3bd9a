"""The peer of ``accept.py``: a crash intake as one would write it first, FastAPI + pydantic + SQLAlchemy ORM + asyncpg.

It validates the same body, removes duplicates by the same key, stores one row and commits once per request.
"""

from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from fastapi import FastAPI, Request, Response
from pydantic import BaseModel
from sqlalchemy import JSON, DateTime, String, UniqueConstraint
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    pass


class Incident(Base):
    __tablename__ = "incident"
    __table_args__ = (UniqueConstraint("source", "event_id"),)

    id: Mapped[str] = mapped_column(String, primary_key=True)
    source: Mapped[str] = mapped_column(String)
    event_id: Mapped[str] = mapped_column(String)
    received_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    body: Mapped[dict[str, Any]] = mapped_column(JSON)


class Position(BaseModel):
    latitude: float | None = None
    longitude: float | None = None
    heading: float | None = None
    horizontalAccuracy: float | None = None
    trusted: bool | None = None


class Data(BaseModel):
    model_config = {"extra": "allow"}
    trigger: str
    test: bool = False
    location: Position | None = None
    vehicle: dict[str, Any] | None = None
    crash: dict[str, Any] | None = None
    occupants: dict[str, Any] | None = None


class Event(BaseModel):
    model_config = {"extra": "allow"}
    specversion: str
    id: str
    source: str
    type: str
    time: datetime
    data: Data


def build(database: str) -> FastAPI:
    engine = create_async_engine(database.replace("postgresql://", "postgresql+asyncpg://", 1), pool_size=10)
    sessions = async_sessionmaker(engine, expire_on_commit=False)

    @asynccontextmanager
    async def lifespan(_: FastAPI):
        async with engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        yield
        await engine.dispose()

    app = FastAPI(lifespan=lifespan)

    @app.post("/v1/events", status_code=202)
    async def take(request: Request, response: Response) -> dict[str, str]:
        event = Event.model_validate_json(await request.body())
        incident = Incident(
            id=str(uuid4()),
            source=event.source,
            event_id=event.id,
            received_at=datetime.now(UTC),
            body=event.model_dump(mode="json"),
        )
        async with sessions() as session:
            session.add(incident)
            try:
                await session.commit()
            except IntegrityError:
                response.status_code = 200
        return {"incident": incident.id}

    return app
