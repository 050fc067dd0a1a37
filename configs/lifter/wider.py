# After base.py: all of it, and wider still. Poses bent beyond
# what was recorded, long lenses from afar, wide ones from near, cameras on the ground.
_base_ = "base.py"
batches = dict(
    bend=dict(share=0.12),
    camera=dict(fov=(35.0, 105.0), height=(-0.1, 4.5), distance=(1.3, 14.0), zoomed=0.15),
)
stage = dict(lr=1.5e-3, warm_up=0.01, decay=0.7)
