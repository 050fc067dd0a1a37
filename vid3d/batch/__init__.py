"""Many videos: worker processes, and a manifest of what is done.

    inputs, globs -> sources -> plan (beside the manifest) -> pool of workers -> results, manifest

Workers write into folders of their own; only the parent, which holds the lock of the output folder,
moves whole results to where they belong and writes the manifest. So a run may end at any moment.
`lifting` says what is done with each video; nothing else here knows about lifting.
"""
