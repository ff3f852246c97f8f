"""What the machine must offer before a cluster can start, each with its remedy in one line."""

from __future__ import annotations

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
_PACKAGES = {
    "munged": "munge",
    "slurmctld": "slurm-wlm",
    "slurmd": "slurm-wlm",
    "srun": "slurm-wlm",
    "squeue": "slurm-wlm",
    "scancel": "slurm-wlm",
    "scontrol": "slurm-wlm",
    "sinfo": "slurm-wlm",
    "slurmdbd": "slurmdbd",
    "mariadbd": "mariadb-server",
    "mariadb-install-db": "mariadb-server",
    "mariadb": "mariadb-client",
}
_DATABASE_PROGRAMS = {"slurmdbd", "mariadbd", "mariadb-install-db", "mariadb"}


class LocalSlurmError(Exception):
    """The cluster cannot be started or stopped as asked."""


class UnavailableError(LocalSlurmError):
    """This machine lacks something that its administrator can mend."""


def search_path() -> str:
    """PATH with the folders of the daemons, which an ordinary user's PATH lacks on Debian."""
    return os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])


def check_programs(database: bool) -> None:
    """Raise UnavailableError naming every missing program and the Debian packages that hold them."""
    needed = [name for name in _PACKAGES if database or name not in _DATABASE_PROGRAMS]
    missing = [name for name in needed if shutil.which(name, path=search_path()) is None]
    if missing:
        packages = " ".join(sorted({_PACKAGES[name] for name in missing}))
        raise UnavailableError(f"missing: {', '.join(missing)}; install with: apt-get install {packages}")


def host_name() -> str:
    """The machine's short name; raises UnavailableError unless it resolves to 127.0.0.1 first.

    Daemons that are told to leave the outer interfaces alone bind to the address of the machine's own name, and
    with Debian's usual 127.0.1.1 they come up but job steps time out.
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


def check_folder(folder: Path, longest_socket: Path) -> None:
    """Raise LocalSlurmError for a path that slurm.conf cannot hold or that is too long for the Unix sockets in it."""
    if not re.fullmatch(r"[\w./+-]+", str(folder), re.ASCII):
        raise LocalSlurmError(f"--folder may hold letters, digits and ._+-/ only, not {str(folder)!r}")
    excess = len(str(longest_socket)) - LONGEST_SOCKET_PATH
    if excess > 0:
        raise LocalSlurmError(
            f"--folder {folder} is {excess} characters too long for the sockets in it, as {longest_socket}"
        )


def is_free(port: int) -> bool:
    """Whether a daemon could listen on this loopback port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def free_ports(count: int) -> list[int]:
    """``count`` different loopback ports that are free now, chosen at random so that neighbours seldom meet."""
    free = filter(is_free, random.sample(_PORTS, len(_PORTS)))
    chosen = list(itertools.islice(free, count))
    if len(chosen) < count:
        raise LocalSlurmError(f"fewer than {count} free ports between {_PORTS.start} and {_PORTS.stop - 1}")
    return chosen
