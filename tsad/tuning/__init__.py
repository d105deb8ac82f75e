"""Search: from a template with genes to the best of many trials."""
