# Ours, but people are read where they are in the picture, as the literature does.
_base_ = "base.py"
name = "uncentred"
lifting = dict(centred=False)
