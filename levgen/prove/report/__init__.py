"""The report: all of a run as one page that needs no network."""
