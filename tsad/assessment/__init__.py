"""An assessment: a report, everything that says how far it can be trusted, and its files."""
