"""Choosing among trained candidates: what the search and the promotion gate share."""
