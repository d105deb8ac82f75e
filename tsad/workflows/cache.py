"""The cache of loaded data."""

from tsad.data.cache import Cache
from tsad.workflows.context import open_context


def open_cache() -> Cache:
    """Returns the cache that workflows load data from; its size and folder are settings."""
    return open_context().cache
