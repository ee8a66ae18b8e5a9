"""Self-tests on the user's own device: every engine against exact laws, known answers, and itself.

`verify()` runs them and returns a Report; `gpu-thermo verify` prints it. Targets are chosen so that the answer is known
exactly at any stepsize: nothing is compared with a stored run or with a tolerance somebody liked.
"""

from .report import LIMIT, Check, Report
from .suite import available_engines, verify

__all__ = ["LIMIT", "Check", "Report", "available_engines", "verify"]
