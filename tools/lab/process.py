"""Child processes that tests start, kill and pause; whatever is left is killed when Python ends."""

import atexit
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

_started = []


class Failed(Exception):
    """Something that a test or the quickstart relies on did not happen."""


def as_user(user):
    """The words that start a command as `user`, keeping its pid; none when we are that user."""
    if user is None or os.geteuid() != 0:
        return []
    return ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups"]


def sanitizers_of(program):
    """The libraries of a sanitizer that the program is linked with: a preload names them first."""
    shown = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    return re.findall(r"=> (\S+/lib[at]san\.so\S*)", shown)


def wait_until(condition, seconds, what, every=0.1):
    """Waits for a true answer and returns it. `what` completes: 'after 10 s: … '."""
    ends = time.monotonic() + seconds
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() >= ends:
            raise Failed(f"after {seconds:g} s: {what() if callable(what) else what}")
        time.sleep(every)


class Process:
    """One program. Its output is appended to `log`, so that restarts keep what was said before."""

    def __init__(self, arguments, log, user=None, cwd=None, environment=None, after_kill=None):
        self.arguments = as_user(user) + [str(word) for word in arguments]
        self.log = pathlib.Path(log)
        self.cwd = cwd
        self.environment = environment
        self.after_kill = after_kill
        self.child = None

    def start(self):
        assert not self.running(), f"{self.arguments} runs already"
        with open(self.log, "ab") as log:
            self.child = subprocess.Popen(
                self.arguments,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.cwd,
                env={**os.environ, **(self.environment or {})},
                start_new_session=True,
            )
        _started.append(self)
        return self

    @property
    def pid(self):
        return self.child.pid

    def running(self):
        return self.child is not None and self.child.poll() is None

    def send(self, number):
        if self.running():
            self.child.send_signal(number)

    def pause(self):
        self.send(signal.SIGSTOP)

    def resume(self):
        self.send(signal.SIGCONT)

    def kill(self):
        """kill -9: nothing is flushed, nobody is told."""
        self.send(signal.SIGKILL)
        if self.child is not None:
            self.child.wait()
            if self.after_kill:
                self.after_kill()

    def stop(self, seconds=20, number=signal.SIGTERM):
        """Asks it to end and returns its exit status; kills it when it does not."""
        if self.child is None:
            return None
        self.send(number)
        self.resume()
        try:
            return self.child.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise Failed(f"{self.arguments} did not end within {seconds} s of signal {number}")

    def output(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""


def kill_all():
    for process in reversed(_started):
        if process.running():
            process.resume()
            process.kill()
    _started.clear()


def forget_all():
    """What was started keeps running when Python ends."""
    _started.clear()


def _end_on_signal(number, frame):
    sys.exit(128 + number)


def clean_up_at_exit():
    """kill_all() also when we are asked to end."""
    atexit.register(kill_all)
    signal.signal(signal.SIGTERM, _end_on_signal)
