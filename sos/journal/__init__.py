"""The one append-only log: event store, audit log and source of every reader."""
