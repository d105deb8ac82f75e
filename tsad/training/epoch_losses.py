"""What an epoch of training came to."""

from dataclasses import dataclass


@dataclass(frozen=True)
class EpochLosses:
    """Mean losses of one epoch.

    Attributes:
        epoch: From 1 on.
        train: Weighted loss by term, mean over the windows it was taken on; an adversary's own loss under its name.
        validation: The same on the validation windows, nothing updated.
        comparable: Terms whose sum on validation windows says which epoch is best; all of them if empty.
    """

    epoch: int
    train: dict[str, float]
    validation: dict[str, float]
    comparable: tuple[str, ...] = ()

    @property
    def loss(self) -> float:
        """The validation loss that training goes by."""
        return self._sum(self.validation)

    def curves(self) -> dict[str, float]:
        """Returns all losses as `train/TERM` and `validation/TERM`, and the sums as `train/loss` and `validation/loss`."""
        named = {"train": self.train, "validation": self.validation}
        return {f"{side}/loss": self._sum(terms) for side, terms in named.items()} | {
            f"{side}/{term}": value for side, terms in named.items() for term, value in terms.items()
        }

    def _sum(self, terms: dict[str, float]) -> float:
        return sum(value for name, value in terms.items() if not self.comparable or name in self.comparable)
