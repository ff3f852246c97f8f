"""What contending processes do; it imports little, as each of them imports it anew."""

import sys
from multiprocessing.synchronize import Barrier
from pathlib import Path

from fvc_exp.sweeps.claims import try_claim
from fvc_exp.sweeps.folder import MemberFolder


def contend(path: Path, everybody: Barrier) -> None:
    """Exit with 1 if this process gets the claim."""
    everybody.wait(60)
    won = try_claim(MemberFolder(path), "1") is not None
    everybody.wait(60)  # stay alive until everybody has tried
    sys.exit(won)
