# After travelling.py: windows twice as long, half as many a batch.
_base_ = "travelling.py"
batches = dict(seconds=5.12)
stage = dict(batch=32)
