"""What the machine must offer before a cluster can start; each message names the remedy."""

import itertools
import os
import random
import re
import shutil
import socket
from pathlib import Path

LOOPBACK = "127.0.0.1"
LONGEST_SOCKET_PATH = 107  # Linux: 108 bytes with the end mark
# below the range from which Linux takes the local ports of outgoing connections
_PORTS = range(20000, 32000)
_SLURM = ("slurmctld", "slurmd", "srun", "sbatch", "squeue", "scancel", "scontrol")
_PACKAGES = {"setpriv": "util-linux", "munged": "munge", **dict.fromkeys(_SLURM, "slurm-wlm")}
_DATABASE = {"slurmdbd": "slurmdbd", "mariadbd": "mariadb-server", "mariadb-install-db": "mariadb-server"}


class LocalSlurmError(Exception):
    """The cluster cannot be started as asked, or one of its daemons ended."""


class UnavailableError(LocalSlurmError):
    """This machine lacks something that its administrator can add."""


def search_path() -> str:
    """PATH with the folders of the daemons, which an ordinary user's PATH lacks on Debian."""
    return os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])


def check_programs(accounting: bool) -> None:
    """Raise UnavailableError naming every missing program and the Debian packages that hold them."""
    needed = _PACKAGES | (_DATABASE if accounting else {})
    missing = [name for name in needed if shutil.which(name, path=search_path()) is None]
    if missing:
        packages = " ".join(sorted({needed[name] for name in missing}))
        raise UnavailableError(f"missing: {', '.join(missing)}; install with: apt-get install {packages}")


def host_name() -> str:
    """The machine's short name; raises UnavailableError unless it resolves to 127.0.0.1 first.

    Daemons that are told to leave the outer interfaces alone bind to the address of the machine's own name. With
    Debian's usual 127.0.1.1 they start, but job steps time out.
    """
    name = socket.gethostname().partition(".")[0]
    try:
        found = str(socket.getaddrinfo(name, None, socket.AF_INET, socket.SOCK_STREAM)[0][4][0])
    except socket.gaierror:
        found = "nothing"
    if found != LOOPBACK:
        raise UnavailableError(
            f"the host name {name} resolves to {found}, not to {LOOPBACK}; "
            f"put the line '{LOOPBACK} {name}' first into /etc/hosts"
        )
    return name


def prepare_folder(folder: Path, sockets: Path) -> None:
    """Make the folder, open to its owner alone; raises LocalSlurmError for one that a cluster cannot use.

    ``sockets`` is how the paths of slurmd's Unix sockets begin: one per job step, named by two 32-bit numbers.
    """
    if not re.fullmatch(r"[\w./+-]+", str(folder), re.ASCII):
        raise LocalSlurmError(f"the folder's path may hold letters, digits and ._+-/ only, not {str(folder)!r}")
    longest = f"{sockets}_{2**32 - 1}.{2**32 - 1}"
    excess = len(longest) - LONGEST_SOCKET_PATH
    if excess > 0:
        raise LocalSlurmError(f"{folder} is {excess} characters too long for the sockets in it, as {longest}")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise LocalSlurmError(f"{folder} is not empty; choose an empty or a new folder")


def is_taken(port: int) -> bool:
    """Whether a program listens on this loopback port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return True
    return False


def free_port() -> int:
    """A loopback port that is free now, chosen at random so that two clusters seldom meet."""
    return next(itertools.filterfalse(is_taken, random.sample(_PORTS, len(_PORTS))))
