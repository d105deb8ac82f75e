"""Workflows: what each command of the command line does. The only place where tracking, search and serving meet."""
