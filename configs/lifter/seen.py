# After wider.py: 2D as pose networks see people (vid3d/data/detector.py).
_base_ = "wider.py"
batches = dict(noise=dict(learned=0.7))
stage = dict(lr=1e-3, warm_up=0.03, decay=0.95)
