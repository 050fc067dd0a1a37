# Joint tokens at every moment, spatial and temporal attention in turn (MixSTE, Zhang et al. 2022).
_base_ = "../base.py"
name = "mixste"
encoder = dict(_delete_=True, kind="mixste", width=64, blocks=4, heads=4, ratio=2)
diffusion = None
