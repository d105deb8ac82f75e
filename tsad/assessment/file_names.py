"""Names of files of a run that other packages read; whoever needs a name loads no plots."""

DETECTOR = "detector"
"""Name of the folder of the detector."""
HISTORY = "history.json"
"""Name of the file of the losses per epoch."""
SCHEDULE = "schedule.json"
"""Among a trial's files if it trained in a population: what was done to its weights, and by whom."""
