"""The fault corpus: every case of bad or unusual input, made when it is asked for.

`CASES` are inputs (`case.Case`) and `SITUATIONS` are surroundings (`case.Situation`). Fast tests
read the inputs with library functions; the slow test and `benchmarks/robustness/run.py` run the
command line on them.
"""

from faults.cameras import CAMERAS
from faults.case import Case, Situation
from faults.keypoints import KEYPOINTS
from faults.motions import MOTIONS
from faults.networks import NETWORKS
from faults.pairs import PAIRS
from faults.surroundings import SURROUNDINGS
from faults.videos import VIDEOS

CASES: list[Case] = [*VIDEOS, *KEYPOINTS, *PAIRS, *MOTIONS, *CAMERAS, *NETWORKS]
SITUATIONS: list[Situation] = list(SURROUNDINGS)
