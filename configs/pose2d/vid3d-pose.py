"""vid3d-pose: CSPNeXt-tiny with stride-8 heat maps, COCO-17, 256x192, distilled on a CPU.

A recipe for one CPU core and ten hours: small crops first, which show several times as
many people a minute, then finer ones. Heat maps that read three strides learn sooner than a SimCC
head (see weights/vid3d-pose/README.md). With a GPU: rtmpose-t.py.
"""

name = "vid3d-pose"
task = "pose2d"
licence = (
    "weights Apache-2.0 as far as they are ours; "
    "trained on photographs without a clear licence, see README.md"
)
default_scope = "mmpose"

codec = dict(
    type="MSRAHeatmap",
    input_size=(192, 256),
    heatmap_size=(24, 32),
    sigma=1.0,
    unbiased=True,
    blur_kernel_size=3,
)

model = dict(
    type="TopdownPoseEstimator",
    data_preprocessor=dict(
        type="PoseDataPreprocessor",
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
    ),
    backbone=dict(
        type="CSPNeXt",
        arch="P5",
        expand_ratio=0.5,
        deepen_factor=0.167,
        widen_factor=0.375,
        out_indices=(2, 3, 4),
        channel_attention=True,
        norm_cfg=dict(type="BN"),
        act_cfg=dict(type="SiLU"),
    ),
    neck=dict(type="FeatureMapProcessor", select_index=(0, 1, 2), concat=True),
    head=dict(
        type="HeatmapHead",
        in_channels=672,
        out_channels=17,
        deconv_out_channels=None,
        conv_out_channels=(64, 64),
        conv_kernel_sizes=(1, 3),
        loss=dict(type="KeypointMSELoss", use_target_weight=True),
        decoder=codec,
    ),
    test_cfg=dict(flip_test=False),
)

test_pipeline = [
    dict(type="LoadImage"),
    dict(type="GetBBoxCenterScale"),
    dict(type="TopdownAffine", input_size=(192, 256)),
    dict(type="PackPoseInputs"),
]
test_dataloader = dict(dataset=dict(type="CocoDataset", pipeline=test_pipeline))

training = dict(
    seed=0,
    workers=0,
    nobody=0.15,
    augmentation=dict(
        scale=(0.8, 1.25),
        shift=0.05,
        rotation=35.0,
        rotate=0.45,
        turned=0.08,
        half_body=0.15,
        cutout=0.25,
        blur=0.2,
        noise=0.15,
    ),
    stages=[
        dict(name="small", size=(96, 128), samples=700_000, batch=64, lr=1.5e-3),
        dict(name="full", size=(128, 192), samples=320_000, batch=64, lr=1.2e-3, frozen=1),
        dict(name="fine", size=(192, 256), samples=220_000, batch=32, lr=8.0e-4, frozen=1),
    ],
)
