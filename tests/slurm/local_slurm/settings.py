"""What a cluster is: its folder, its options, its ports, and the slurm.conf that follows from them."""

from __future__ import annotations

import json
import os
import pwd
from dataclasses import asdict, astuple, dataclass, fields
from pathlib import Path

from .host import LOOPBACK, LocalSlurmError, free_ports, is_free

DATABASE_DAEMONS = ("mariadbd", "slurmdbd")
ALL_DAEMONS = ("munged", *DATABASE_DAEMONS, "slurmctld", "slurmd")
CHECK_PARTITION = "check"


class Layout:
    """The names of everything below a cluster's folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.etc = folder / "etc"
        self.run = folder / "run"
        self.logs = folder / "log"
        self.queue = folder / "queue"  # slurmctld's jobs
        self.spool = folder / "spool"  # slurmd's scripts; where slurmd, hence its step daemons, work
        self.database = folder / "database"
        self.conf = self.etc / "slurm.conf"
        self.settings = self.etc / "settings.json"
        self.munge_key = self.etc / "munge.key"
        self.munge_socket = self.run / "munge.socket"
        self.folders = (self.etc, self.run, self.logs, self.queue, self.spool, self.database)

    def record(self, daemon: str) -> Path:
        """The note of which process the daemon is."""
        return self.run / f"{daemon}.json"

    def log(self, daemon: str) -> Path:
        """The daemon's log file."""
        return self.logs / f"{daemon}.log"

    def longest_socket(self, host: str) -> Path:
        """The longest path of a Unix socket that slurmd makes: one per job step, named by two 32-bit numbers."""
        return self.spool / f"{host}_{2**32 - 1}.{2**32 - 1}"

    def create(self) -> None:
        """Make the folders, open to the owner alone; raises LocalSlurmError for a folder of another user."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        owner = self.folder.stat().st_uid
        if owner != os.geteuid():
            raise LocalSlurmError(f"{self.folder} belongs to uid {owner}; choose a --folder of your own")
        for path in self.folders:
            path.mkdir(mode=0o700, exist_ok=True)


@dataclass(frozen=True)
class Options:
    """The user's choices; ``accounting`` is "none" (sacct refuses) or "dbd" (a true sacct from a database)."""

    cpus: int = 4
    max_array_size: int = 1001  # SLURM's own default; the highest task index is one less
    accounting: str = "none"

    @property
    def daemons(self) -> tuple[str, ...]:
        """The daemons in the order in which they start."""
        return tuple(name for name in ALL_DAEMONS if self.accounting == "dbd" or name not in DATABASE_DAEMONS)


@dataclass(frozen=True)
class Ports:
    """Loopback TCP ports; those of the database stay unused without accounting."""

    slurmctld: int
    slurmd: int
    slurmdbd: int
    mariadbd: int

    @classmethod
    def choose(cls) -> Ports:
        """Ports that are free now."""
        return cls(*free_ports(len(fields(cls))))

    def all_free(self) -> bool:
        """Whether nobody listens on any of them."""
        return all(map(is_free, astuple(self)))


@dataclass(frozen=True)
class Settings:
    """What a folder's cluster was last started with."""

    options: Options
    ports: Ports

    def write(self, layout: Layout) -> None:
        """Keep the settings in the folder."""
        layout.settings.write_text(json.dumps(asdict(self)))

    @classmethod
    def read(cls, layout: Layout) -> Settings | None:
        """The settings of the folder, or None for a new folder or one whose first start was cut short."""
        try:
            saved = json.loads(layout.settings.read_text())
            return cls(Options(**saved["options"]), Ports(**saved["ports"]))
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None


def user_name() -> str:
    """The user who starts the cluster: all daemons and jobs run as this user."""
    return pwd.getpwuid(os.geteuid()).pw_name


def slurm_conf(settings: Settings, layout: Layout, host: str) -> str:
    """The text of slurm.conf: quick scheduling, finished jobs kept in squeue for a day, no memory limits enforced.

    The node has one CPU more than the jobs of the default partition may use: the readiness check needs it to run
    when all others are taken.
    """
    user, options = user_name(), settings.options
    megabytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") * 9 // 10 // 2**20
    node = f"NodeName={host} NodeAddr={LOOPBACK} Port={settings.ports.slurmd}"
    return f"""\
ClusterName=local
SlurmctldHost={host}({LOOPBACK})
SlurmctldPort={settings.ports.slurmctld}
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={layout.munge_socket},cred_expire=5
StateSaveLocation={layout.queue}
SlurmdSpoolDir={layout.spool}
SlurmctldPidFile={layout.run}/slurmctld.pid
SlurmdPidFile={layout.run}/slurmd.pid
SlurmctldLogFile={layout.log("slurmctld")}
SlurmdLogFile={layout.log("slurmd")}
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=2
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_min_interval=0,sched_interval=1,bf_interval=1
SlurmdParameters=config_overrides
ReturnToService=2
SlurmctldTimeout=10
SlurmdTimeout=10
MessageTimeout=5
KillWait=5
OverTimeLimit=0
EnforcePartLimits=ALL
JobRequeue=1
MinJobAge=86400
MaxArraySize={options.max_array_size}
MaxJobCount={10 * max(options.max_array_size, 10_000)}
JobCompType=jobcomp/filetxt
JobCompLoc={layout.log("jobcomp")}
{_accounting(settings, layout)}
{node} CPUs={options.cpus + 1} RealMemory={megabytes}
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE MaxCPUsPerNode={options.cpus}
PartitionName={CHECK_PARTITION} Nodes={host} Hidden=YES MaxTime=1 MaxCPUsPerNode=1
"""


def _accounting(settings: Settings, layout: Layout) -> str:
    if settings.options.accounting == "none":
        return "AccountingStorageType=accounting_storage/none"
    return f"""\
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost={LOOPBACK}
AccountingStoragePort={settings.ports.slurmdbd}
AccountingStoragePass={layout.munge_socket}"""
