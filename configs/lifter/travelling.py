# After seen.py: cameras that people carry about, in three of ten windows.
_base_ = "seen.py"
batches = dict(travelling=0.3)
