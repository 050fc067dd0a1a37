# DiffHPE-Wrapper (Rommel et al. 2023): the same on the features of a frozen lifter. Train
# diffhpe_backbone first, then this one with --init-from and its model.
_base_ = "diffhpe_2d.py"
name = "diffhpe-wrapper"
encoder = dict(_delete_=True, kind="mixste", width=64, blocks=8, heads=8, ratio=2)
frozen = True
diffusion = dict(dropout=0.27, standardised=True)
stage = dict(lr=2.7e-4)
