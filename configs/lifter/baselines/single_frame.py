# An MLP that sees one look at a time (Martinez et al. 2017), on what lifter/base is trained on.
_base_ = "../base.py"
name = "single_frame"
encoder = dict(_delete_=True, kind="single_frame", width=1024, blocks=2, dropout=0.1)
diffusion = None
batches = dict(strides=(5,))  # every output moment at most 0.05 s from a look: it learns poses only
stage = dict(optimizer="adamw", lr=1e-3)  # Muon's steps cost more than these wide layers' own
