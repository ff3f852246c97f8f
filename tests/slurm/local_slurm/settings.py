"""What a cluster is: its folder, options and ports, and the configuration files that follow from them."""

import os
import pwd
import secrets
from dataclasses import dataclass
from pathlib import Path

from .host import LOOPBACK

CHECK_PARTITION = "check"


@dataclass(frozen=True)
class Settings:
    """One cluster; ``max_array_size`` is the highest task index + 1, and slurmdbd has a port if there is accounting."""

    folder: Path
    host: str
    ports: dict[str, int]
    cpus: int
    max_array_size: int

    @property
    def user(self) -> str:
        """The user who starts the cluster: all daemons and jobs run as this user."""
        return pwd.getpwuid(os.geteuid()).pw_name

    @property
    def spool(self) -> Path:
        """Where slurmd keeps the jobs' scripts, and where it and its step daemons work."""
        return self.folder / "spool"

    def write_files(self) -> None:
        """Make the folders, the configuration files and munge's key; only their owner may read them."""
        for name in ("logs", "queue", "spool"):
            (self.folder / name).mkdir()
        files = {"slurm.conf": slurm_conf(self).encode(), "munge.key": secrets.token_bytes(128)}
        if "slurmdbd" in self.ports:
            files["slurmdbd.conf"] = slurmdbd_conf(self).encode()
        for name, content in files.items():
            (self.folder / name).touch(mode=0o600)
            (self.folder / name).write_bytes(content)


def slurm_conf(settings: Settings) -> str:
    """The text of slurm.conf: quick scheduling, finished jobs kept in squeue for a day.

    Memory is limited where a job asks for an amount.

    The node has one CPU more than the jobs of the default partition may use: the readiness check needs it to run
    when all others are taken.
    """
    folder, host = settings.folder, settings.host
    megabytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") * 9 // 10 // 2**20
    memory = megabytes * (settings.cpus + 1)  # so that jobs without a limit do not wait for each other's
    accounting = "AccountingStorageType=accounting_storage/none"
    if "slurmdbd" in settings.ports:
        accounting = f"""\
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost={LOOPBACK}
AccountingStoragePort={settings.ports["slurmdbd"]}
AccountingStoragePass={folder}/munge.socket"""
    return f"""\
ClusterName=local
SlurmctldHost={host}({LOOPBACK})
SlurmctldPort={settings.ports["slurmctld"]}
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
SlurmUser={settings.user}
SlurmdUser={settings.user}
AuthInfo=socket={folder}/munge.socket,cred_expire=5
StateSaveLocation={folder}/queue
SlurmdSpoolDir={settings.spool}
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/logs/slurmctld.log
SlurmdLogFile={folder}/logs/slurmd.log
ProctrackType=proctrack/linuxproc
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=2
JobAcctGatherParams=OverMemoryKill
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
DefMemPerCPU={megabytes}
SchedulerParameters=batch_sched_delay=0,sched_min_interval=0,sched_interval=1,bf_interval=1
SlurmdParameters=config_overrides
ReturnToService=2
SlurmdTimeout=10
MessageTimeout=5
KillWait=5
EnforcePartLimits=ALL
MinJobAge=86400
MaxArraySize={settings.max_array_size}
MaxJobCount={10 * max(settings.max_array_size, 10_000)}
{accounting}
NodeName={host} NodeAddr={LOOPBACK} Port={settings.ports["slurmd"]} CPUs={settings.cpus + 1} RealMemory={memory}
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE MaxCPUsPerNode={settings.cpus}
PartitionName={CHECK_PARTITION} Nodes={host} Hidden=YES MaxTime=1 MaxCPUsPerNode=1
"""


def slurmdbd_conf(settings: Settings) -> str:
    """The text of slurmdbd.conf: MariaDB knows the user by its Unix socket, so there is no password."""
    return f"""\
AuthType=auth/munge
AuthInfo=socket={settings.folder}/munge.socket
DbdHost={settings.host}
DbdAddr={LOOPBACK}
DbdPort={settings.ports["slurmdbd"]}
CommunicationParameters=NoInAddrAny
SlurmUser={settings.user}
PidFile={settings.folder}/slurmdbd.pid
LogFile={settings.folder}/logs/slurmdbd.log
StorageType=accounting_storage/mysql
StorageHost=localhost
StorageUser={settings.user}
"""
