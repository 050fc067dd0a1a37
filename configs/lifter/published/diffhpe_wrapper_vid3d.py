# DiffHPE-Wrapper on our encoder: --init-from vid3d-base.
_base_ = "diffhpe_wrapper.py"
name = "diffhpe-wrapper-vid3d"
encoder = dict(_delete_=True, joint_width=40, spatial_blocks=2, width=192, blocks=5, heads=6,
               ratio=2)  # fmt: skip
diffusion = dict(frames=33)
batches = dict(seconds=2.56, grid=0.08)  # as vid3d-base
