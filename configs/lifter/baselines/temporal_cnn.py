# Dilated convolutions over 81 moments at 25 Hz (VideoPose3D, Pavllo et al. 2019).
_base_ = "../base.py"
name = "temporal_cnn"
encoder = dict(_delete_=True, kind="temporal_cnn", width=256, blocks=3, refine=2, dropout=0.1)
diffusion = None
