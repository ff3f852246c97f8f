"""MariaDB and slurmdbd, for a cluster whose sacct answers."""

from __future__ import annotations

import secrets
import subprocess
from pathlib import Path

from .host import LOOPBACK, LocalSlurmError, search_path
from .settings import Layout, Settings, user_name


def socket_path(layout: Layout) -> Path:
    """MariaDB's Unix socket, over which the owner of the folder is its administrator."""
    return layout.run / "mariadb.socket"


def install(layout: Layout) -> None:
    """Make MariaDB's own tables; an installation that was cut short is made anew."""
    data, done = layout.database / "data", layout.database / "installed"
    if done.exists():
        return
    with layout.log("mariadb-install-db").open("ab") as output:
        result = subprocess.run(
            [
                "mariadb-install-db",
                "--no-defaults",
                f"--user={user_name()}",
                f"--datadir={data}",
                "--auth-root-authentication-method=socket",
                f"--auth-root-socket-user={user_name()}",
                "--skip-test-db",
            ],
            stdout=output,
            stderr=output,
            env={"PATH": search_path()},
            check=False,
        )
    if result.returncode:
        raise LocalSlurmError(f"mariadb-install-db failed; see {layout.log('mariadb-install-db')}")
    done.touch()


def mariadbd_command(settings: Settings, layout: Layout) -> list[str]:
    """The database server: small, on loopback, and in no hurry to reach the disk."""
    return [
        "mariadbd",
        "--no-defaults",
        f"--user={user_name()}",
        f"--datadir={layout.database / 'data'}",
        f"--socket={socket_path(layout)}",
        f"--pid-file={layout.run}/mariadbd.pid",
        f"--bind-address={LOOPBACK}",
        f"--port={settings.ports.mariadbd}",
        "--skip-name-resolve",
        "--innodb-buffer-pool-size=64M",
        "--innodb-log-file-size=16M",
        "--innodb-lock-wait-timeout=900",
        "--innodb-flush-log-at-trx-commit=0",
        "--performance-schema=OFF",
        "--skip-log-bin",
    ]


def run_sql(layout: Layout, statements: str) -> bool:
    """Whether the server took these statements as its administrator."""
    result = subprocess.run(
        ["mariadb", "--no-defaults", f"--socket={socket_path(layout)}"],
        input=statements,
        text=True,
        capture_output=True,
        env={"PATH": search_path()},
        check=False,
    )
    return result.returncode == 0


def prepare_slurmdbd(settings: Settings, layout: Layout, host: str) -> None:
    """Make slurmdbd's database with a fresh password, and write slurmdbd.conf, which must not be readable by others."""
    password = secrets.token_hex(16)
    user = f"slurm@'{LOOPBACK}'"
    statements = f"""
        create database if not exists slurm_acct_db;
        create or replace user {user} identified by '{password}';
        grant all on slurm_acct_db.* to {user};
    """
    if not run_sql(layout, statements):
        raise LocalSlurmError(f"MariaDB refused to make the database of slurmdbd; see {layout.log('mariadbd')}")
    conf = layout.etc / "slurmdbd.conf"
    conf.touch(mode=0o600)
    conf.write_text(f"""\
AuthType=auth/munge
AuthInfo=socket={layout.munge_socket}
DbdHost={host}
DbdAddr={LOOPBACK}
DbdPort={settings.ports.slurmdbd}
CommunicationParameters=NoInAddrAny
SlurmUser={user_name()}
PidFile={layout.run}/slurmdbd.pid
LogFile={layout.log("slurmdbd")}
StorageType=accounting_storage/mysql
StorageHost={LOOPBACK}
StoragePort={settings.ports.mariadbd}
StorageUser=slurm
StoragePass={password}
StorageLoc=slurm_acct_db
""")
