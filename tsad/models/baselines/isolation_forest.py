"""Isolation forest (Liu et al. 2008): strange rows are set apart by few random cuts."""

from typing import TYPE_CHECKING, Literal

import torch
from pydantic import Field
from torch import Tensor

from tsad.models.contract import ClosedFormModel, Model, Prediction
from tsad.spec import Spec
from tsad.windows import Windows

if TYPE_CHECKING:
    from sklearn.tree._tree import Tree


class IsolationForestSpec(Spec):
    """scikit-learn's isolation forest of rows.

    Attributes:
        trees: Number of trees in the forest.
        rows: Largest number of training rows that a tree is grown on.
        seed: Seed of the rows and cuts that are drawn.
    """

    kind: Literal["isolation_forest"]
    trees: int = Field(100, ge=1)
    rows: int = Field(256, ge=2)
    seed: int = Field(0, ge=0, lt=2**32)

    def build(self, features: int, length: int) -> Model:
        """Returns the unfitted model."""
        return IsolationForest(self)


class IsolationForest(ClosedFormModel):
    """An isolation forest of rows, kept as tensors.

    The anomaly score is 2 ^ -(mean path length / expected path length), in (0, 1], the negative of scikit-learn's scores.

    Trees are fitted by scikit-learn and kept as arrays, one row a tree, padded to the most nodes that a tree can have: no
    fitted object is pickled, and the forest is evaluated in torch. A leaf is its own child.

    Attributes:
        branches: (2, trees, nodes) int64, left and right.
        feature: (trees, nodes) int64.
        cut: (trees, nodes) float64; a row goes left if its value is at most this.
        path: (trees, nodes) float64, the path length at a leaf: cuts above it, and those expected below it.
        expected: float64, the sum over trees of the expected path length of a training row.
    """

    branches: Tensor
    feature: Tensor
    cut: Tensor
    path: Tensor
    expected: Tensor

    def __init__(self, spec: IsolationForestSpec) -> None:
        super().__init__(steps=1)
        self.spec = spec
        shape = (spec.trees, 2 * spec.rows - 1)
        self.register_buffer("branches", torch.arange(shape[1]).expand(2, *shape).clone())
        self.register_buffer("feature", torch.zeros(shape, dtype=torch.int64))
        self.register_buffer("cut", torch.zeros(shape, dtype=torch.float64))
        self.register_buffer("path", torch.zeros(shape, dtype=torch.float64))
        self.register_buffer("expected", torch.ones((), dtype=torch.float64))

    def fit(self, windows: Windows) -> None:
        """Grows the trees on the windows' last rows."""
        from sklearn.ensemble import IsolationForest as SklearnForest  # takes half a second to import

        rows = windows.rows[windows.ends].cpu().numpy()
        sample = min(self.spec.rows, len(rows))
        forest = SklearnForest(n_estimators=self.spec.trees, max_samples=sample, random_state=self.spec.seed, n_jobs=1)
        for index, estimator in enumerate(forest.fit(rows).estimators_):
            self._store(index, estimator.tree_)
        self.expected.copy_(len(forest.estimators_) * _expected_path(torch.tensor(float(sample), dtype=torch.float64)))

    def _store(self, index: int, tree: "Tree") -> None:
        nodes = tree.node_count
        left, right = torch.from_numpy(tree.children_left), torch.from_numpy(tree.children_right)
        leaf = left < 0
        own = torch.arange(nodes)
        self.branches[0, index, :nodes] = torch.where(leaf, own, left)
        self.branches[1, index, :nodes] = torch.where(leaf, own, right)
        self.feature[index, :nodes] = torch.from_numpy(tree.feature).clamp(min=0)
        self.cut[index, :nodes] = torch.from_numpy(tree.threshold)
        depth = torch.zeros(nodes, dtype=torch.float64)
        for node in range(nodes):  # a parent comes before its children
            if not leaf[node]:
                depth[left[node]] = depth[right[node]] = depth[node] + 1
        self.path[index, :nodes] = depth + _expected_path(torch.from_numpy(tree.n_node_samples).double())

    def forward(self, windows: Tensor) -> Prediction:
        """Returns the last row as it is, and the (B, 1) anomaly score on it."""
        rows = windows[:, -1]
        trees = torch.arange(len(self.feature), device=rows.device)
        node = torch.zeros(len(rows), len(trees), dtype=torch.int64, device=rows.device)
        for _ in range(max(1, (self.spec.rows - 1).bit_length())):  # as deep as scikit-learn grows them
            value = rows.gather(1, self.feature[trees, node]).double()
            right = (value > self.cut[trees, node]).long()
            node = self.branches[right, trees, node]
        path = self.path[trees, node].sum(dim=1, keepdim=True)
        return Prediction(windows[:, -1:], anomaly_score=2.0 ** -(path / self.expected))


def _expected_path(rows: Tensor) -> Tensor:
    """Returns the mean path length of an unsuccessful search in a binary tree of that many rows (equation 1)."""
    harmonic = torch.log((rows - 1).clamp(min=1)) + 0.5772156649015329  # Euler's constant
    long = 2 * harmonic - 2 * (rows - 1) / rows
    return torch.where(rows > 2, long, (rows == 2).to(rows.dtype))
