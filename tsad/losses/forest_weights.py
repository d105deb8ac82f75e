"""Features weighted by what a random forest finds useful for telling anomalous rows from normal ones."""

from typing import Literal

import torch
from pydantic import Field
from torch import Generator, Tensor

from tsad.losses.contract import TrainingContext
from tsad.losses.feature_weights import FeatureWeights, FixedWeights
from tsad.spec import Spec


class ForestWeighting(Spec):
    """Weights from the impurity importances of a random forest (Breiman 2001), fitted once before training.

    Attributes:
        against: What real rows are told from: `permuted`, rows whose columns were shuffled one by one, so that only
            their dependence is gone (Shi and Horvath 2006, Addcl1); `injected`, rows in which a quarter of the features
            was moved by 3 deviations; `labels`, the anomalous rows of the part set apart for choosing, which makes the
            run supervised and needs `split.selection`.
        share: Share of the weight that the importances decide; the rest is spread evenly over all features.
        trees: Number of trees in the forest.
        depth: Largest depth of a tree.
        rows: Largest number of real rows that the forest is fitted on, evenly spread in time.
    """

    kind: Literal["forest"]
    against: Literal["permuted", "injected", "labels"] = "permuted"
    share: float = Field(0.8, ge=0, lt=1)
    trees: int = Field(100, ge=1)
    depth: int = Field(8, ge=1)
    rows: int = Field(4000, ge=2)

    @property
    def reads_labels(self) -> bool:
        """Whether labels of the selection part decide the weights."""
        return self.against == "labels"

    def build(self, context: TrainingContext) -> FeatureWeights:
        """Returns the fitted weights, mean 1.

        Raises:
            ValueError: if labels are to be read and there are none of both kinds.
        """
        from sklearn.ensemble import RandomForestClassifier  # takes half a second to import

        rows, strange = self._examples(context)
        state = int(torch.randint(2**31 - 1, (), generator=context.generator))
        forest = RandomForestClassifier(
            self.trees, max_depth=self.depth, class_weight="balanced", random_state=state, n_jobs=1
        )
        forest.fit(rows.cpu().numpy(), strange.cpu().numpy())
        importance = torch.from_numpy(forest.feature_importances_).float()  # sums to 1, or to 0 if nothing was split
        even = 1.0 - self.share if importance.sum() > 0 else 1.0
        return FixedWeights((even + self.share * importance * len(importance)).to(context.rows.device))

    def _examples(self, context: TrainingContext) -> tuple[Tensor, Tensor]:
        """Returns (N, F) rows and (N,) bool, True where a row stands for an anomaly."""
        if self.against == "labels":
            return _labeled(context)
        step = max(1, -(-len(context.rows) // self.rows))
        real = context.rows[::step].cpu()
        change = _permuted if self.against == "permuted" else _injected
        changed = change(real, context.generator)
        return torch.cat([real, changed]), torch.arange(2 * len(real)) >= len(real)


def _labeled(context: TrainingContext) -> tuple[Tensor, Tensor]:
    if context.labeled is None:
        raise ValueError(
            "forest weights against labels need labeled rows that are never reported, but none were set apart; set "
            "split.selection, or take against: permuted"
        )
    rows, labels = context.labeled
    if labels.all() or not labels.any():
        raise ValueError(
            f"forest weights against labels need normal and anomalous rows, but all {len(labels)} rows set apart are "
            f"{'anomalous' if labels.any() else 'normal'}; enlarge split.selection, or take against: permuted"
        )
    return rows, labels


def _permuted(real: Tensor, generator: Generator) -> Tensor:
    order = torch.rand(real.shape, generator=generator).argsort(dim=0)
    return real.gather(0, order)


def _injected(real: Tensor, generator: Generator) -> Tensor:
    features = real.shape[1]
    moved = torch.rand(real.shape, generator=generator).argsort(dim=1) < max(1, features // 4)
    sign = 1.0 - 2.0 * torch.randint(2, real.shape, generator=generator)
    return real + moved * sign * 3.0 * real.std(dim=0)
