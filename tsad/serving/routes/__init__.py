"""The HTTP routes of the service, by resource."""
