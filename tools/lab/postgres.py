"""PostgreSQL servers of any version for tests and the quickstart: start, stop, kill -9, SQL."""

import os
import pathlib
import shutil
import subprocess
import threading

import psycopg2

from lab.process import Failed, Process, as_user, wait_until

ROOT = pathlib.Path(__file__).resolve().parents[2]
DATABASE = "app"
SUPERUSER = "postgres"

SETTINGS = """
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
wal_level = logical
max_wal_senders = 20
max_replication_slots = 20
max_connections = 100
shared_buffers = 64MB
max_wal_size = 2GB
log_line_prefix = '%m [%p] %a '
"""


def server_user():
    """Root may not run PostgreSQL: then its servers run as the user that the package made."""
    return "postgres" if os.geteuid() == 0 else None


def programs(version):
    """The folder of initdb, postgres and friends."""
    done = subprocess.run([ROOT / "tools/servers", f"pg{version}"], capture_output=True, text=True)
    if done.returncode:
        raise Failed(f"PostgreSQL {version}: {done.stderr.strip()}")
    return pathlib.Path(done.stdout.strip())


class Templates:
    """A data folder with the database `app` (and none `postgres`) for each version, copied for
    each server: 0.1 s against 0.6 s."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.lock = threading.Lock()

    def copy(self, version, to):
        template = self.folder / f"template-{version}"
        with self.lock:
            if not template.exists():
                self._make(version, template)
        shutil.rmtree(to, ignore_errors=True)
        subprocess.run(["cp", "-a", template, to], check=True)

    def _make(self, version, template):
        template.mkdir(parents=True, mode=0o700)
        user = server_user()
        if user:
            shutil.chown(template, user, user)
        words = ["-D", template, "-U", SUPERUSER, "--auth=trust", "-E", "UTF8", "--locale=C.UTF-8"]
        self._run(version, ["initdb", *words, "--no-sync"])
        # Not one more: of what a server costs most is the copying of its databases.
        single = ["postgres", "--single", "-F", "-D", template, "template1"]
        self._run(version, single, input=f"ALTER DATABASE postgres RENAME TO {DATABASE}\n")

    def _run(self, version, words, **options):
        command = as_user(server_user()) + [str(programs(version) / words[0])]
        command += [str(word) for word in words[1:]]
        done = subprocess.run(command, capture_output=True, text=True, cwd="/", **options)
        if done.returncode:
            raise Failed(f"{words[0]} of PostgreSQL {version}: {done.stderr.strip()}")


class Postgres:
    """One server with the database `app`. Everybody on 127.0.0.1 is trusted."""

    def __init__(self, name, version, folder, port, templates, settings=None):
        self.name, self.version, self.port = name, version, port
        self.data = pathlib.Path(folder) / f"pg-{name}"
        self.log = pathlib.Path(folder) / f"pg-{name}.log"
        self.bin = programs(version)
        self.templates = templates
        self.settings = {"fsync": "off", **(settings or {})}
        words = [self.bin / "postgres", "-D", self.data]
        self.process = Process(
            words, self.log, user=server_user(), cwd="/", after_kill=self._remove_shared_memory
        )

    def create(self):
        self.templates.copy(self.version, self.data)
        with open(self.data / "postgresql.conf", "a") as conf:
            conf.write(SETTINGS + f"port = {self.port}\n")
            for name, value in self.settings.items():
                conf.write(f"{name} = '{value}'\n")
        return self.start()

    def start(self):
        """Also after kill(): waits until the children of the dead server are gone."""
        wait_until(lambda: not self._left_behind(), 20, f"{self.name}: old processes do not end")
        self.process.start()
        wait_until(self._ready, 60, lambda: f"{self.name} does not start: {self._last_lines()}")
        return self

    def _ready(self):
        if not self.process.running():
            raise Failed(f"{self.name} ended: {self._last_lines()}")
        try:
            self.connect().close()
            return True
        except psycopg2.OperationalError:
            return False

    def _left_behind(self):
        """Processes whose folder is our data folder: every process of a server is there."""
        found = []
        for entry in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                if os.readlink(entry / "cwd") == str(self.data):
                    found.append(int(entry.name))
            except OSError:
                continue
        return found

    def _last_lines(self):
        return "\n".join(self.process.output().splitlines()[-10:])

    def stop(self):
        self.process.stop(number=2)  # SIGINT: fast shutdown

    def kill(self):
        """kill -9 of the server and, at once, of all its children."""
        self.process.kill()
        for pid in self._left_behind():
            try:
                os.kill(pid, 9)
            except ProcessLookupError:
                continue

    def _remove_shared_memory(self):
        """What a killed server leaves in the kernel, which holds 4,096 of them; it goes once the
        server's children are gone. postmaster.pid names it in its seventh line: key and id."""
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
        except OSError:
            return
        if len(lines) > 6:
            identity = lines[6].split()[-1]
            subprocess.run(["ipcrm", "-m", identity], stderr=subprocess.DEVNULL, check=False)

    def dsn(self, user=SUPERUSER, database=DATABASE):
        return f"host=127.0.0.1 port={self.port} dbname={database} user={user}"

    def connect(self, database=DATABASE, user=SUPERUSER, **options):
        connection = psycopg2.connect(
            self.dsn(user, database), connect_timeout=10, application_name="lab", **options
        )
        connection.autocommit = True
        return connection

    def sql(self, text, parameters=None, database=DATABASE):
        """All rows, or [] of a statement that gives none."""
        connection = self.connect(database)
        try:
            with connection.cursor() as cursor:
                cursor.execute(text, parameters)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    def value(self, text, parameters=None):
        rows = self.sql(text, parameters)
        return rows[0][0] if rows else None

    def program(self, name, *words):
        """Runs psql, pgbench and such from the distribution's client; the output, or Failed."""
        where = ["-h", "127.0.0.1", "-p", str(self.port), "-U", SUPERUSER]
        command = [str(programs(15) / name), *where, *[str(word) for word in words]]
        done = subprocess.run(command, capture_output=True, text=True, cwd="/")
        if done.returncode:
            raise Failed(f"{name} on {self.name}: {done.stderr.strip()[-2000:]}")
        return done.stdout
