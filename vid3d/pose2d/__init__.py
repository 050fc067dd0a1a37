"""2D people on the frames that are looked at: detectors, pose networks and keypoint files."""
