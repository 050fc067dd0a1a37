"""Inference config of vid3d-pose, for MMPose or MMDet."""

# fmt: off
codec = dict(
    blur_kernel_size=3,
    heatmap_size=(
        24,
        32,
    ),
    input_size=(
        192,
        256,
    ),
    sigma=1.0,
    type='MSRAHeatmap',
    unbiased=True)
default_scope = 'mmpose'
model = dict(
    backbone=dict(
        act_cfg=dict(type='SiLU'),
        arch='P5',
        channel_attention=True,
        deepen_factor=0.167,
        expand_ratio=0.5,
        norm_cfg=dict(type='BN'),
        out_indices=(
            2,
            3,
            4,
        ),
        type='CSPNeXt',
        widen_factor=0.375),
    data_preprocessor=dict(
        bgr_to_rgb=True,
        mean=[
            123.675,
            116.28,
            103.53,
        ],
        std=[
            58.395,
            57.12,
            57.375,
        ],
        type='PoseDataPreprocessor'),
    head=dict(
        conv_kernel_sizes=(
            1,
            3,
        ),
        conv_out_channels=(
            64,
            64,
        ),
        decoder=dict(
            blur_kernel_size=3,
            heatmap_size=(
                24,
                32,
            ),
            input_size=(
                192,
                256,
            ),
            sigma=1.0,
            type='MSRAHeatmap',
            unbiased=True),
        deconv_out_channels=None,
        in_channels=672,
        loss=dict(type='KeypointMSELoss', use_target_weight=True),
        out_channels=17,
        type='HeatmapHead'),
    neck=dict(
        concat=True, select_index=(
            0,
            1,
            2,
        ), type='FeatureMapProcessor'),
    test_cfg=dict(flip_test=False),
    type='TopdownPoseEstimator')
test_dataloader = dict(
    dataset=dict(
        pipeline=[
            dict(type='LoadImage'),
            dict(type='GetBBoxCenterScale'),
            dict(input_size=(
                192,
                256,
            ), type='TopdownAffine'),
            dict(type='PackPoseInputs'),
        ],
        type='CocoDataset'))
test_pipeline = [
    dict(type='LoadImage'),
    dict(type='GetBBoxCenterScale'),
    dict(input_size=(
        192,
        256,
    ), type='TopdownAffine'),
    dict(type='PackPoseInputs'),
]
