"""Losses of one epoch of training."""

from dataclasses import dataclass


@dataclass(frozen=True)
class EpochLosses:
    """Mean losses of one epoch.

    Attributes:
        epoch: Number of the epoch, from 1 on.
        train: Weighted training loss by term, averaged over windows; the loss of an adversary stands under its name.
        validation: Weighted loss on the validation windows by term, without an update of any weight.
        comparable: Terms whose validation sum selects the best epoch; all terms if empty.
    """

    epoch: int
    train: dict[str, float]
    validation: dict[str, float]
    comparable: tuple[str, ...] = ()

    @property
    def loss(self) -> float:
        """Validation loss that selects the best epoch and stops training."""
        return self._sum(self.validation)

    def curves(self) -> dict[str, float]:
        """Returns all losses as `train/TERM` and `validation/TERM`, and the sums as `train/loss` and `validation/loss`."""
        named = {"train": self.train, "validation": self.validation}
        return {f"{side}/loss": self._sum(terms) for side, terms in named.items()} | {
            f"{side}/{term}": value for side, terms in named.items() for term, value in terms.items()
        }

    def _sum(self, terms: dict[str, float]) -> float:
        return sum(value for name, value in terms.items() if not self.comparable or name in self.comparable)
