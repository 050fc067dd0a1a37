"""Readers of published data sets and motion-capture formats: one module each.

    path -> reader -> clips (`MotionClip`) or sequences of 2D and 3D (`PairSequence`) -> one file

`building` knows all of them.
"""
