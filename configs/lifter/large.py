# vid3d-base wider and deeper, for one GPU.
_base_ = "wider.py"
name = "vid3d-large"
batches = dict(travelling=0.3, noise=dict(learned=0.5))  # as lifter/travelling
encoder = dict(joint_width=64, spatial_blocks=3, width=384, blocks=6, heads=8, ratio=4)
diffusion = dict(width=128, blocks=3, heads=4, ratio=2)
stage = dict(samples=10_240_000, batch=256, ema=0.9995, dev_every=256_000)
