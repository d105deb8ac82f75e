"""One seed for all random draws of a training."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Generator


@contextmanager
def seeded(seed: int) -> Iterator[Generator]:
    """Makes all draws inside follow from `seed`, and puts torch's global state back afterwards.

    Yields:
        A CPU generator for shuffles and masks. Initial weights and dropout draw from torch's global generators, which
        are seeded too.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield Generator().manual_seed(seed)
