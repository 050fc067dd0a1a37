"""Made-up people, motions and videos for tests."""

import numpy as np

from vid3d.camera import Camera
from vid3d.motion import Motion
from vid3d.skeleton import H36M17
from vid3d.video import VideoWriter
from vid3d.video.planes import WEIGHTS

SIZE = (640, 480)
FPS = 25

# A person facing the camera with the arms held out; x to the person's left, which is the picture's
# right, y down from the pelvis, metres.
STANDING = {
    "pelvis": (0, 0), "right_hip": (-0.13, 0), "right_knee": (-0.13, 0.45),
    "right_ankle": (-0.13, 0.9), "left_hip": (0.13, 0), "left_knee": (0.13, 0.45),
    "left_ankle": (0.13, 0.9), "spine": (0, -0.25), "thorax": (0, -0.5), "nose": (0, -0.6),
    "head": (0, -0.7), "left_shoulder": (0.17, -0.48), "left_elbow": (0.45, -0.48),
    "left_wrist": (0.7, -0.48), "right_shoulder": (-0.17, -0.48), "right_elbow": (-0.45, -0.48),
    "right_wrist": (-0.7, -0.48),
}  # fmt: skip
BODY = np.array([[*STANDING[name], 0.0] for name in H36M17.joints])


def standing(places, tilt=0.0):
    """Joints (P, F, 17, 3) of people standing at (P, F, 2) places right of and before the camera.

    The camera is 1.5 m above the floor and looks down by `tilt` degrees.
    """
    places = np.asarray(places, float)
    pelvis = np.stack([places[..., 0], np.full(places.shape[:-1], 0.52), places[..., 1]], -1)
    c, s = np.cos(np.radians(tilt)), np.sin(np.radians(tilt))
    rotation = np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
    return (BODY + pelvis[..., None, :]) @ rotation.T


def make_motion(joints, size=SIZE, **changes):
    joints = np.asarray(joints)
    people, frames = joints.shape[:2]
    camera = Camera.from_fov(55, size)
    keyframes = np.unique([*range(0, frames, 5), frames - 1])
    keypoints = np.full((people, len(keyframes), 17, 3), 0.9)
    keypoints[..., :2] = camera.project(joints[:, keyframes])
    keypoints[np.isnan(keypoints).any(-1)] = np.nan
    fields = {
        "joints3d": joints,
        "present": np.isfinite(joints[:, :, 0, 0]),
        "spread": np.full((people, frames, 17), 0.02),
        "root_spread": np.full((people, frames), 0.05),
        "contacts": np.ones((people, frames, 2)),
        "keyframes": keyframes,
        "keypoints2d": keypoints,
        "track_ids": np.arange(1, people + 1),
        "timestamps": np.arange(frames) / FPS,
        "intrinsics": camera.intrinsics,
        "frame_size": np.array(size),
        "keypoint_set": "h36m17",
        "meta": {"fps": FPS},
    }
    return Motion(**{**fields, **changes})


def walk(frames=12, size=SIZE, people=2):
    """One person walks to the right in front of others that stand farther away."""
    places = np.zeros((people, frames, 2))
    places[0, :, 0] = np.linspace(-1, 1, frames)
    for person in range(people):
        places[person, :, 1] = 3.5 + person
    return make_motion(standing(places), size)


def make_video(path, motion, shade=(200, 120, 40)):
    width, height = motion.frame_size.tolist()
    image = np.full((height, width, 3), shade, np.uint8)
    with VideoWriter(path, FPS, (width, height)) as writer:
        for time in motion.timestamps:
            writer.write(image, time)
    return path


def bgr_of(picture):
    """A picture in planes as BGR (H, W, 3), by the inverse of what `Coding.ink` documents."""
    u, v = (plane.repeat(2, 0).repeat(2, 1).astype(float) - 128 for plane in picture.chroma)
    of_red, of_blue = WEIGHTS[picture.coding.matrix]
    full = picture.coding.full
    luma = picture.luma.astype(float) if full else (picture.luma.astype(float) - 16) * 255 / 219
    u, v = (chroma if full else chroma * 255 / 224 for chroma in (u, v))
    blue, red = luma + u * (2 - 2 * of_blue), luma + v * (2 - 2 * of_red)
    green = (luma - of_red * red - of_blue * blue) / (1 - of_red - of_blue)
    return np.stack([blue, green, red], -1).round().clip(0, 255).astype(np.uint8)


def glimpses():
    """Three people of whom each is in sight for 5 of 40 frames, at times of their own."""
    joints = standing(np.tile([0.0, 4.0], (3, 40, 1)))
    for person in range(3):
        joints[person, : 12 * person] = joints[person, 12 * person + 5 :] = np.nan
    return make_motion(joints)
