"""Search: from a template with hyperparameters to the best of many trials."""
