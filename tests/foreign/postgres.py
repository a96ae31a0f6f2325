"""A PostgreSQL server of one's own, from Debian's package, on a free loopback port; ended by its pid."""
import glob
import os
import pwd
import shutil
import signal
import subprocess


import levada

BIN = (sorted(glob.glob("/usr/lib/postgresql/*/bin"), key=lambda path: int(path.split("/")[-2])) or ["/usr/bin"])[-1]


def _as_postgres():
    """The server refuses to run as root."""
    if os.geteuid() != 0:
        return {}
    user = pwd.getpwnam("postgres")
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


class Server:
    """`home` must be empty; every directory above it must be open to the user postgres when this runs as root."""

    def __init__(self, home, **settings):
        self.port, self.home = levada.free_port(), str(home)
        os.makedirs(self.home, exist_ok=True)
        if os.geteuid() == 0:
            shutil.chown(self.home, "postgres")
        self.data = os.path.join(self.home, "data")
        init = [f"{BIN}/initdb", "-D", self.data, "-U", "postgres", "--no-sync", "-E", "UTF8", "--locale=C.UTF-8", "-A", "trust"]
        subprocess.run(init, check=True, stdout=subprocess.DEVNULL, cwd="/", **_as_postgres())
        self.settings = {"listen_addresses": "127.0.0.1", "unix_socket_directories": "", "wal_level": "logical", **settings}
        self.start()

    def start(self):
        command = [f"{BIN}/postgres", "-D", self.data, "-p", str(self.port)]
        for key, value in self.settings.items():
            command += ["-c", f"{key}={value}"]
        with open(os.path.join(self.home, "log"), "ab") as log:
            self.process = subprocess.Popen(command, cwd="/", stderr=log, stdin=subprocess.DEVNULL,
                                            preexec_fn=levada.die_with_parent, **_as_postgres())
        levada.wait_for(lambda: self.sql("SELECT 1", check=False) == "1", 60, lambda: f"PostgreSQL answers; {self.home}/log")

    def sql(self, text, database="postgres", check=True):
        """What psql prints for `text`, unaligned; statements that can't run in a transaction go alone."""
        psql = [f"{BIN}/psql", "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres", "-d", database, "-qAtX",
                "-v", "ON_ERROR_STOP=1", "-c", text]
        done = subprocess.run(psql, capture_output=True, text=True, check=False)
        if check and done.returncode != 0:
            raise AssertionError(f"{text}: {done.stderr}")
        return done.stdout.strip()

    def kill9(self):
        """The postmaster goes at once, its children when they notice, which is waited for; `start` recovers."""
        pid = self.process.pid
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
            children = file.read().split()
        self.process.kill()
        self.process.wait()
        levada.wait_for(lambda: not any(os.path.exists(f"/proc/{child}") for child in children), 60, "its children are gone")

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.kill9()


__all__ = ["BIN", "Server"]
