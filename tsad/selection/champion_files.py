"""Files of the champion of a search: one layout for whoever writes and whoever reads them."""

from dataclasses import dataclass
from pathlib import Path

from tsad.assessment.file_names import DETECTOR, SCHEDULE


@dataclass(frozen=True)
class ChampionFiles:
    """Files of the champion in the folder of a search.

    Attributes:
        search: Folder of the search, which holds `champion/` and `champion.yaml`.
    """

    search: Path

    @property
    def folder(self) -> Path:
        """Folder that holds the champion's detector, metrics, report and plots."""
        return self.search / "champion"

    @property
    def detector(self) -> Path:
        """Folder that `Detector.save` wrote."""
        return self.folder / DETECTOR

    @property
    def config(self) -> Path:
        """YAML file of the champion's experiment, or of the members of its ensemble."""
        return self.search / "champion.yaml"

    @property
    def schedule(self) -> Path:
        """JSON file of the training schedule; exists only if the champion was trained in a population."""
        return self.folder / SCHEDULE

    @property
    def experiment(self) -> Path:
        """YAML file of the champion's experiment beside its detector; absent for an ensemble."""
        return self.folder / "experiment.yaml"
