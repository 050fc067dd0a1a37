"""The four published systems that vid3d unites, as parts behind the lifter's interfaces.

Uplift and Upsample is an encoder; D3DP, FinePOSE and DiffHPE are diffusion heads, on looks alone or
on a pre-trained encoder. docs/published.md says which recipe makes which system, and what differs
from the papers and from their released code.
"""
