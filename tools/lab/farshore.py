"""Farshore itself as tests see it: agents as processes, the command line, farshore.yaml."""

import json
import os
import pathlib
import re
import subprocess
import urllib.error
import urllib.request

from lab.process import Failed, Process, wait_until
from lab.wan import Wan

LOUD = re.compile(r'\s(?:WARN|ERROR)\s|"level":"(?:WARN|ERROR)"')
# The last: a value of a row of lab.workload.
ALWAYS_LOUD = re.compile(
    r"AddressSanitizer|LeakSanitizer|runtime error:|ThreadSanitizer|canary-\d"
)


class Region:
    """A region of a deployment: where its agent listens, and its database."""

    def __init__(self, name, postgres, ports):
        self.name, self.postgres = name, postgres
        self.site = f"app-{name}"
        self.link_port, self.api_port = ports.take(), ports.take()


class Agent:
    """`farshore run` for one region. Its log is kept over restarts."""

    def __init__(self, program, region, config, folder, environment=None, before=(), words=()):
        self.region, self.config = region, config
        self.program = program
        self.data = folder / f"data-{region.name}"
        words = [*before, program, "run", "--region", region.name, "--config", config, *words]
        # kill -9 and stop in mid-work are normal
        environment = {"ASAN_OPTIONS": "detect_leaks=0", **(environment or {})}
        self.process = Process(
            words, folder / f"agent-{region.name}.log", cwd=folder, environment=environment
        )

    def start(self):
        self.process.start()
        return self

    def kill(self):
        self.process.kill()

    def stop(self):
        status = self.process.stop(60)
        if status != 0:
            raise Failed(f"agent {self.region.name} ended with {status}: {self.last_lines()}")

    def restart_after_kill(self):
        self.kill()
        self.start()

    def metric(self, name):
        """The samples of /metrics whose name begins so, by their text before the value."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.region.api_port}/metrics") as answer:
            lines = answer.read().decode().splitlines()
        pairs = [line.rsplit(" ", 1) for line in lines if line.startswith(name)]
        return {sample: float(value) for sample, value in pairs}

    def ready(self):
        """Status and text of /readyz."""
        url = f"http://127.0.0.1:{self.region.api_port}/readyz"
        try:
            with urllib.request.urlopen(url) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as refused:
            return refused.code, refused.read().decode()

    def last_lines(self, count=20):
        return "\n".join(self.process.output().splitlines()[-count:])

    def loud_lines(self, expected=()):
        """Lines of level WARN or ERROR that no `expected` pattern matches; those of a sanitizer, or
        with a value of a row, whatever is expected."""
        allowed = [re.compile(pattern) for pattern in expected]
        return [
            line
            for line in self.process.output().splitlines()
            if ALWAYS_LOUD.search(line)
            or (LOUD.search(line) and not any(pattern.search(line) for pattern in allowed))
        ]


class Deployment:
    """Two or more regions, a WAN between each two, an agent in each, one set of streams.

    The first region holds the source. `stream` may hold any key of a stream of farshore.yaml;
    `stream_in` those that one region has in its own file, by its name.
    """

    def __init__(
        self,
        program,
        wan_program,
        folder,
        ports,
        regions,
        rtt="0",
        rate="off",
        stream=None,
        streams=None,
        user="postgres",
        environment=None,
        stream_in=None,
        run_words=(),
    ):
        self.program = pathlib.Path(program).resolve()
        self.folder = pathlib.Path(folder)
        self.user = user
        self.environment = environment  # of the agents
        self.run_words = run_words  # more of theirs, after `farshore run`
        self.regions = [Region(name, postgres, ports) for name, postgres in regions]
        self.wans = {}
        self.dial_port = {}  # (from, to) -> the WAN's port
        self._make_wans(wan_program, ports, rtt, rate)
        to = [region.site for region in self.regions[1:]]
        plain = {"from": self.regions[0].site, "to": to, "tables": [{"match": "*.*"}]}
        self.streams = streams or {"app": {**plain, **(stream or {})}}
        self.stream_in = stream_in or {}
        self.agents = {}
        self.small_disks = {}  # region -> bytes of the file system that holds its data folder
        self.prepared = False

    def _make_wans(self, wan_program, ports, rtt, rate):
        for i, near in enumerate(self.regions):
            for far in self.regions[i + 1 :]:
                there, back = ports.take(), ports.take()
                self.dial_port[near.name, far.name] = there
                self.dial_port[far.name, near.name] = back
                folder = self.folder / f"wan-{near.name}-{far.name}"
                folder.mkdir(exist_ok=True)
                self.wans[near.name, far.name] = Wan(
                    wan_program,
                    folder,
                    ports.take(),
                    [(there, far.link_port)],
                    [(back, near.link_port)],
                    rtt,
                    rate,
                )

    # ------------------------------------------------------------------ configuration
    def config_text(self, of):
        """farshore.yaml as region `of` has it. With two regions it is the same text for both."""
        lines = ["name: shop", "regions:"]
        for region in self.regions:
            other = next(r for r in self.regions if r is not region)
            dialer = other if region is of else of
            port = self.dial_port[dialer.name, region.name]
            lines.append(
                f"  {region.name}: {{ link: 127.0.0.1:{port}, "
                f"listen: 127.0.0.1:{region.link_port}, api: 127.0.0.1:{region.api_port}, "
                f"data: {self.folder}/data-{region.name} }}"
            )
        lines.append("sites:")
        for region in self.regions:
            dsn = region.postgres.dsn(user=self.user)
            lines.append(
                f'  {region.site}: {{ region: {region.name}, engine: postgres, dsn: "{dsn}" }}'
            )
        lines.append("streams:")
        for name, keys in self.streams.items():
            lines.append(f"  {name}:")
            own = {**keys, **self.stream_in.get(of.name, {})}
            for key, value in own.items():
                lines.append(f"    {key}: {json.dumps(value, ensure_ascii=False)}")
        return "\n".join(lines) + "\n"

    def config_path(self, region):
        same = len(self.regions) == 2 and not self.stream_in
        return self.folder / ("farshore.yaml" if same else f"farshore-{region.name}.yaml")

    def write_config(self):
        for region in self.regions:
            self.config_path(region).write_text(self.config_text(region))

    def prepare(self):
        """Keys, certificates and configuration."""
        if self.prepared:
            return
        self.prepared = True
        names = [word for region in self.regions for word in ("--regions", region.name)]
        self.farshore("init", self.folder, "--name", "shop", *names, config=False)
        (self.folder / "farshore.yaml").unlink(missing_ok=True)
        self.write_config()

    # ------------------------------------------------------------------ processes
    def start(self, wait=True):
        self.prepare()
        for wan in self.wans.values():
            wan.start()
        for region in self.regions:
            self.agents[region.name] = Agent(
                self.program,
                region,
                self.config_path(region),
                self.folder,
                self.environment,
                self._on_small_disk(region),
                self.run_words,
            ).start()
        if wait:
            self.wait_for_state("streaming", 60)
        return self

    def _on_small_disk(self, region):
        """The words that give an agent a memory file system of its own as data folder, gone with
        the agent. Only root may give it by other means than a user namespace."""
        size = self.small_disks.get(region.name)
        if size is None:
            return []
        data = self.folder / f"data-{region.name}"
        data.mkdir(exist_ok=True)
        spaces = ["--mount"] if os.geteuid() == 0 else ["--mount", "--user", "--map-root-user"]
        mount = f"mount -t tmpfs -o size={size} farshore-lab {data}"
        return ["unshare", *spaces, "sh", "-c", f'{mount} && exec "$@"', "sh"]

    def grow_disk(self, region, size):
        pid = self.agents[region.name].process.pid
        data = self.folder / f"data-{region.name}"
        spaces = ["--mount"] if os.geteuid() == 0 else ["--user", "--mount"]
        words = ["nsenter", f"--target={pid}", *spaces, "--preserve-credentials"]
        words += ["mount", "-o", f"remount,size={size}", data]
        subprocess.run(words, check=True)

    def stop(self):
        for agent in self.agents.values():
            if agent.process.running():
                agent.stop()
        for wan in self.wans.values():
            wan.stop()

    @property
    def source(self):
        return self.regions[0].postgres

    @property
    def target(self):
        return self.regions[1].postgres

    @property
    def near(self):
        return self.agents[self.regions[0].name]

    @property
    def far(self):
        return self.agents[self.regions[1].name]

    @property
    def wan(self):
        return next(iter(self.wans.values()))

    # ------------------------------------------------------------------ the command line
    def run_farshore(self, *words, region=None, config=True):
        """The finished `farshore WORDS…`; the agent asked is the first region's, or `region`'s."""
        command = [str(self.program), *[str(word) for word in words]]
        chosen = region or self.regions[0]
        if config:
            command += ["--config", str(self.config_path(chosen)), "--region", chosen.name]
        environment = dict(os.environ, NO_COLOR="1", ASAN_OPTIONS="detect_leaks=0")
        return subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)

    def farshore(self, *words, region=None, config=True):
        done = self.run_farshore(*words, region=region, config=config)
        if done.returncode:
            raise Failed(
                f"farshore {' '.join(map(str, words))} ended with {done.returncode}: "
                f"{done.stdout}{done.stderr}"
            )
        return done.stdout

    def status(self, region=None):
        return json.loads(self.farshore("status", "--json", region=region))

    def leg(self, target_index=1, stream="app", region=None):
        """What the agent of `region` (the target's own, when not given) says about one target."""
        target = self.regions[target_index]
        for entry in self.status(region or target)["streams"]:
            for leg in entry["targets"]:
                if entry["name"] == stream and leg["site"] == target.site:
                    return leg
        return None

    def try_leg(self, target_index=1, stream="app"):
        try:
            return self.leg(target_index, stream)
        except Failed:
            return None  # the agent is not up yet

    def wait_for_state(self, state, seconds, target_index=None, stream="app"):
        """Until a target's leg (all targets', when none is named) is in that state."""
        indexes = [target_index] if target_index else range(1, len(self.regions))
        leg = None
        for index in indexes:

            def there(index=index):
                nonlocal leg
                self.expect_agents_running()
                leg = self.try_leg(index, stream)
                return leg is not None and leg["state"] == state

            wait_until(there, seconds, lambda: f"no state '{state}': {leg}", every=0.2)
        return leg

    def source_view(self, stream="app"):
        """What the source's agent says of the stream."""
        region = self.regions[0]
        return next(s for s in self.status(region)["streams"] if s["name"] == stream)

    def try_source_view(self, stream="app"):
        try:
            return self.source_view(stream)
        except Failed:
            return None  # the agent is not up yet

    def wait_for_capture(self, state, seconds, reason="", stream="app"):
        """Until the capture leg is in that state, for a reason that matches."""
        capture = None

        def there():
            nonlocal capture
            self.expect_agents_running()
            view = self.try_source_view(stream)
            capture = view and view["capture"]
            return (
                capture is not None
                and capture["state"] == state
                and re.search(reason, capture["reason"] or "")
            )

        wait_until(there, seconds, lambda: f"capture not '{state}' ({reason}): {capture}", 0.2)
        return capture

    def journal_files(self, region, to=None):
        """Segment files of the stream's journal in that region, oldest first."""
        end = f"to-{to}" if to else "source"
        folder = self.folder / f"data-{region.name}" / "streams" / "app" / end / "journal"
        return sorted(folder.glob("*.segment"))

    def expect_agents_running(self):
        for agent in self.agents.values():
            child = agent.process.child
            if child is not None and child.returncode is None and child.poll() is not None:
                raise Failed(
                    f"agent {agent.region.name} ended with {child.returncode}: "
                    f"{agent.last_lines()}"
                )

    def expect_quiet_logs(self, *expected):
        loud = []
        for name, agent in self.agents.items():
            loud += [f"{name}: {line}" for line in agent.loud_lines(expected)]
        if loud:
            raise Failed("unexpected lines in the logs:\n" + "\n".join(loud[:20]))
