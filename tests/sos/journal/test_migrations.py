from sqlalchemy import inspect
from sqlalchemy.ext.asyncio import create_async_engine

from sos.journal.migrate import upgrade
from sos.journal.schema import metadata
from sos.journal.store import Store
from sos.registry import schema as registry_schema

assert registry_schema.metadata is metadata  # its tables are migrated by the same scripts


def _shape(connection) -> dict:
    seen = inspect(connection)
    return {
        table: (
            sorted((c["name"], str(c["type"]), c["nullable"]) for c in seen.get_columns(table)),
            sorted(seen.get_pk_constraint(table)["constrained_columns"]),
            sorted((i["name"], tuple(i["column_names"])) for i in seen.get_indexes(table)),
            sorted(tuple(u["column_names"]) for u in seen.get_unique_constraints(table)),
        )
        for table in seen.get_table_names()
        if table != "alembic_version"
    }


async def test_a_migrated_database_equals_a_fresh_one(store: Store, tmp_path, request):
    if store.name == "sqlite":
        fresh = create_async_engine(f"sqlite+aiosqlite:///{tmp_path / 'fresh.db'}")
    else:
        fresh = create_async_engine(store.engine.url, execution_options={"schema_translate_map": {None: "fresh"}})
    async with store.engine.connect() as connection:
        migrated = await connection.run_sync(_shape)

    if store.name == "sqlite":
        async with fresh.begin() as connection:
            await connection.run_sync(metadata.create_all)
            made = await connection.run_sync(_shape)
    else:
        await fresh.dispose()
        async with store.engine.begin() as connection:
            await connection.exec_driver_sql("CREATE SCHEMA fresh")
            await connection.exec_driver_sql("SET LOCAL search_path TO fresh")
            await connection.run_sync(metadata.create_all)
            made = await connection.run_sync(_shape)
    await fresh.dispose()

    assert migrated == made
    assert set(made) == set(metadata.tables)


async def test_migrating_twice_changes_nothing(store: Store):
    await upgrade(store.engine)
    async with store.engine.connect() as connection:
        assert set(await connection.run_sync(_shape)) == set(metadata.tables)
