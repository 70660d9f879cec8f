"""What a scenario starts: PostgreSQL servers and agents on ports of their own; and the text of what
they print without what differs from run to run."""
import pathlib
import re
import shutil
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))

from lab.case import program  # noqa: E402
from lab.ports import Ports  # noqa: E402
from lab.postgres import DATABASE, Postgres, Templates  # noqa: E402
from lab.process import Failed, Process, clean_up_at_exit, sanitizers_of  # noqa: E402,F401
from lab.wan import Wan  # noqa: E402

PLACEHOLDER = re.compile(r"<([a-z0-9-]+\.(?:port|link|api|wan))>")
FIGURE = r"\d+(?:\.\d+)?"
UNIT = r"(?:us|ms|s|m|h|d|B|KiB|MiB|GiB)(?:/s)?"
# What differs from run to run, in this order.
SCRUBBED = (
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z| UTC)?"), "<time>"),
    (re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"), "<uuid>"),
    (re.compile(r"farshore_[0-9a-f]{32}"), "<slot>"),
    (re.compile(r"farshore_[0-9a-f]{8}\b"), "<sender>"),
    (re.compile(r"(?<=net\.ipv4\.tcp_[rw]mem=')[\d ]+"), "#"),
    (re.compile(r"\b\d+(?= Mbit/s)"), "#"),
    (re.compile(r"\b[0-9A-F]+/[0-9A-F]{2,}\b"), "<lsn>"),
    (re.compile(r"\b1:\d+\b"), "<place>"),
    (re.compile(r"\bsequence \d+"), "sequence <n>"),
    (re.compile(r"\b(pid|transaction|user|127\.0\.0\.1:) ?\d+"), r"\1 <id>"),
    (re.compile(r"\b\d{1,3}(?:\.\d+)?[kM]?(?= (?:transactions|rows)/s)"), "#"),
    (re.compile(rf"[+±-]*\b(?:{FIGURE}{UNIT})+(?!\w)"), "#"),
    (re.compile(rf"(?<=  ){FIGURE}[kMG]?x?(?=  |$)"), "#"),
)


def scrubbed(text):
    for pattern, instead in SCRUBBED:
        text = pattern.sub(instead, text)
    return re.sub(r"(?<=\S)   +", "  ", text).rstrip()


def wrong_clock(binary, words):
    """`clock=-25`: what gives the program a wall clock that is 25 s behind."""
    library = program(
        "the library of wrong clocks",
        "FARSHORE_SKEWED_CLOCK",
        "tests/integration/libfarshore_skewed_clock.so",
    )
    preload = ":".join([*sanitizers_of(binary), str(library)])
    return {"LD_PRELOAD": preload, "FARSHORE_SKEW_SECONDS": words.removeprefix("clock=")}


class World:
    """The servers and agents of one scenario. `<us.port>`, `<eu-west-1.api>` and the like are free
    ports: the same name is the same port, in what is written and in what is printed."""

    def __init__(self, folder, binary):
        self.folder, self.binary = folder, binary
        self.names = {}
        self.agents, self.servers = {}, {}
        self.wan = self.ports = self.server_folder = self.templates = None

    # ------------------------------------------------------------------ names
    def port(self, name):
        if self.ports is None:
            self.ports = Ports()
        if name not in self.names:
            self.names[name] = str(self.ports.take())
        return self.names[name]

    def filled_in(self, text):
        return PLACEHOLDER.sub(lambda match: self.port(match[1]), text)

    def shown(self, text):
        """What was printed as the scenario writes it. Without servers and agents: all of it."""
        if not self.agents and not self.servers:
            return text
        for name, port in self.names.items():
            text = re.sub(rf"\b{port}\b", f"<{name}>", text)
        return scrubbed(text.replace(str(self.folder), "<folder>"))

    # ------------------------------------------------------------------ servers and agents
    def change(self, verb, what, name, *more):
        """`start postgres us wal_level=replica`, `reload agent eu-west-1`, ..."""
        action = getattr(self, f"{verb}_{what}", None)
        if action is None:
            raise Failed(f"'{verb} {what}' is not known")
        action(name, *more)

    def start_postgres(self, name, *settings):
        if name in self.servers:
            self.servers[name].start()
            return
        if self.templates is None:
            self.server_folder = pathlib.Path(tempfile.mkdtemp(prefix="fs-"))
            self.server_folder.chmod(0o755)
            self.templates = Templates(self.server_folder)
        self.servers[name] = Postgres(
            name,
            15,
            self.server_folder,
            int(self.port(f"{name}.port")),
            self.templates,
            dict(setting.split("=", 1) for setting in settings),
        ).create()

    def stop_postgres(self, name):
        self.servers[name].stop()

    def start_wan(self, rtt, *names):
        """Whoever calls `<NAME.wan>` reaches `<NAME.link>`, with such a round trip."""
        wan = program("the WAN proxy", "FARSHORE_WAN", "tools/wan/farshore_wan")
        pairs = [(self.port(f"{name}.wan"), self.port(f"{name}.link")) for name in names]
        control = self.port("wan.port")
        self.wan = Wan(wan, self.folder, control, pairs, rtt=rtt).start()

    def start_agent(self, name, *options):
        environment = {"ASAN_OPTIONS": "detect_leaks=0", "HOME": str(self.folder)}
        clocks = [option for option in options if option.startswith("clock=")]
        for clock in clocks:
            environment |= wrong_clock(self.binary, clock)
        words = [self.binary, "run", "--region", name, *(o for o in options if o not in clocks)]
        self.agents[name] = Process(
            words, self.folder / f"{name}.log", cwd=self.folder, environment=environment
        ).start()

    def stop_agent(self, name):
        status = self.agents[name].stop(30)
        if status != 0:
            raise Failed(f"agent {name} ended with {status}")

    def reload_agent(self, name):
        self.agents[name].send(1)  # SIGHUP

    def sql(self, text, name):
        """What the statements print, a row a line."""
        file = self.server_folder / "statements.sql"
        file.write_text(text)
        words = ["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", DATABASE, "-f", str(file)]
        return self.servers[name].program("psql", *words)

    # ------------------------------------------------------------------ the end
    def logs(self):
        """The agents' last words, for whoever looks at a failure."""
        lines = []
        for name, agent in self.agents.items():
            lines += [f"{name}: {line}" for line in agent.output().splitlines()[-15:]]
        return lines

    def end(self):
        others = [*self.servers.values(), *([self.wan] if self.wan else [])]
        for process in [*self.agents.values(), *(one.process for one in others)]:
            process.kill()
        if self.server_folder is not None:
            shutil.rmtree(self.server_folder, ignore_errors=True)
