# Ours, but people are read where they are in the picture and as large as they are, as in the literature.
_base_ = "../base.py"
name = "uncentred"
lifting = dict(centred=False)
