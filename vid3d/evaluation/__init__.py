"""Metrics and protocols: a lifter on pair files, a result against truth, identities."""
