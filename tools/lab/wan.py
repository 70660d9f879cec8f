"""The WAN between two regions of this machine: starts farshore_wan and tells it what to do."""

import json
import socket

from lab.process import Failed, Process, wait_until


class Wan:
    """`pairs`: (listen port, target port) of callers in the near region; `far_pairs`: far."""

    def __init__(self, program, folder, control_port, pairs, far_pairs=(), rtt="0", rate="off"):
        words = [program, "--control", f"127.0.0.1:{control_port}", "--rtt", rtt, "--rate", rate]
        for option, some in (("--pair", pairs), ("--far-pair", far_pairs)):
            for listen, target in some:
                words += [option, f"127.0.0.1:{listen}=127.0.0.1:{target}"]
        self.control_port = control_port
        self.process = Process(words, folder / "wan.log")

    def start(self):
        self.process.start()
        wait_until(self._answers, 10, lambda: f"the WAN does not start: {self.process.output()}")
        return self

    def _answers(self):
        if not self.process.running():
            raise Failed(f"the WAN ended: {self.process.output()}")
        try:
            return self.stats()
        except OSError:
            return None

    def tell(self, line):
        with socket.create_connection(("127.0.0.1", self.control_port), timeout=10) as control:
            control.sendall(line.encode() + b"\n")
            answer = control.makefile().readline().strip()
        if not answer.startswith("ok"):
            raise Failed(f"WAN: '{line}': {answer or 'no answer'}")
        return answer.removeprefix("ok").strip()

    def stats(self):
        return json.loads(self.tell("stats"))

    def cut(self):
        self.tell("cut")

    def drop(self):
        self.tell("drop")

    def heal(self):
        self.tell("heal")

    def stop(self):
        self.process.stop()
