"""A decided brief on a journal of each database, as the dispatch tests have it."""

from tests.sos.dispatch.conftest import arrive, directory, disclosures, layer

__all__ = ["arrive", "directory", "disclosures", "layer"]
