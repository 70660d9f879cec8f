#!/usr/bin/python3
"""farshore_wan from outside: delay, rate, bounded memory, and each way of failing."""

import os
import pathlib
import re
import socket
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from lab import junit  # noqa: E402
from lab.ports import Ports  # noqa: E402
from lab.process import Failed, clean_up_at_exit  # noqa: E402
from lab.wan import Wan  # noqa: E402

PROGRAM = os.environ.get("FARSHORE_WAN", "build/debug/tools/wan/farshore_wan")
BLOCK = bytes(range(256)) * 4096  # 1 MiB


class Target:
    """Accepts connections; `echo` sends back what comes, else it is read only when asked."""

    def __init__(self, port, echo=True):
        self.listener = socket.create_server(("127.0.0.1", port))
        self.echo = echo
        self.accepted = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.accepted.append(connection)
            if self.echo:
                threading.Thread(target=self._echo, args=(connection,), daemon=True).start()

    def close(self):
        try:
            self.listener.shutdown(socket.SHUT_RDWR)  # also ends the accept() that waits
        except OSError:
            pass  # the test did
        self.listener.close()

    @staticmethod
    def _echo(connection):
        try:
            while data := connection.recv(1 << 20):
                connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def newest(self, count=1):
        """The newest connection, once there have been so many."""
        ends = time.monotonic() + 5
        while len(self.accepted) < count and time.monotonic() < ends:
            time.sleep(0.01)
        return self.accepted[-1]


def receive(connection, count):
    data = b""
    while len(data) < count:
        more = connection.recv(min(1 << 20, count - len(data)))
        if not more:
            break
        data += more
    return data


class WanProxyTest(unittest.TestCase):
    def setUp(self):
        self.ports = Ports()
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def wan(self, echo=True, **options):
        self.port, target_port = self.ports.take(), self.ports.take()
        self.target = Target(target_port, echo)
        self.addCleanup(self.target.close)
        folder = pathlib.Path(self.folder.name)
        pairs = [(self.port, target_port)]
        wan = Wan(PROGRAM, folder, self.ports.take(), pairs, **options).start()
        self.addCleanup(wan.stop)
        return wan

    def connect(self, timeout=5):
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=timeout)
        self.addCleanup(connection.close)
        return connection

    def ping(self, connection):
        began = time.monotonic()
        connection.sendall(b"ping")
        self.assertEqual(receive(connection, 4), b"ping")
        return time.monotonic() - began

    def seconds_to_send(self, megabytes):
        """From here to the target, until the last byte was read there."""
        connection = self.connect()
        far = self.target.newest()
        count, buffer = 0, bytearray(1 << 20)
        sender = threading.Thread(
            target=lambda: [connection.sendall(BLOCK) for _ in range(megabytes)]
        )
        began = time.monotonic()
        sender.start()
        while count < megabytes << 20:
            count += far.recv_into(buffer)
        sender.join()
        return time.monotonic() - began

    def resident_bytes(self, wan):
        text = pathlib.Path(f"/proc/{wan.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", text)[1]) * 1024

    def test_carries_bytes_both_ways_and_the_end(self):
        self.wan()
        connection = self.connect()
        sender = threading.Thread(
            target=lambda: (connection.sendall(BLOCK * 8), connection.shutdown(socket.SHUT_WR))
        )
        sender.start()
        self.assertEqual(receive(connection, 9 << 20), BLOCK * 8)
        sender.join()

    def test_a_round_trip_takes_the_rtt(self):
        self.wan(rtt="80ms")
        connection = self.connect()
        first = self.ping(connection)
        self.assertGreater(first, 0.155)  # the handshake's round trip, and its own
        times = [self.ping(connection) for _ in range(5)]
        self.assertGreater(min(times), 0.079)
        self.assertLess(min(times), 0.110)

    def test_rtt_and_rate_change_while_it_runs(self):
        wan = self.wan(rtt="200ms")
        connection = self.connect()
        self.ping(connection)
        wan.tell("rtt 0")
        time.sleep(0.2)
        self.assertLess(self.ping(connection), 0.05)
        wan.tell("rate 64kbit")
        self.assertEqual(wan.stats()["rate_bits"], 64000)

    def test_the_rate_is_kept(self):
        self.wan(echo=False, rate="80Mbit", rtt="20ms")
        took = self.seconds_to_send(10)  # 10 MiB at 10 MB/s
        self.assertGreater(took, 0.95)
        self.assertLess(took, 3)

    def test_connections_share_the_rate(self):
        self.wan(echo=False, rate="16Mbit", rtt="20ms")
        counts = [0] * 4
        ends = time.monotonic() + 3

        def drain(index, connection):
            while time.monotonic() < ends:
                counts[index] += len(connection.recv(1 << 16))

        def fill(connection):
            try:
                while time.monotonic() < ends:
                    connection.send(BLOCK)
            except OSError:
                pass  # it is full

        threads = []
        for index in range(len(counts)):
            caller = self.connect(timeout=1)
            threads.append(threading.Thread(target=fill, args=(caller,)))
            threads.append(threading.Thread(target=drain, args=(index, self.target.newest())))
            self.target.accepted.clear()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertGreater(min(counts), sum(counts) / len(counts) / 2, counts)

    def test_carries_two_gigabits_without_delay(self):
        self.wan(echo=False)
        rates = []
        for _ in range(5):
            self.target.accepted.clear()
            rates.append(256 * 8.388608e-3 / self.seconds_to_send(256))
            if rates[-1] >= 2:
                return
        self.fail(f"Gbit/s: {rates}")

    def test_memory_is_bounded_when_the_receiver_does_not_read(self):
        wan = self.wan(echo=False, rtt="80ms", rate="1Gbit")
        before = self.resident_bytes(wan)
        connection = self.connect(timeout=1)
        sent = 0
        with self.assertRaises(OSError):
            while sent < 1 << 30:
                sent += connection.send(BLOCK)
        self.assertLess(sent, 64 << 20)
        self.assertLess(self.resident_bytes(wan) - before, 64 << 20)
        self.assertLess(wan.stats()["held_bytes"], 20 << 20)

    def test_cut_closes_and_refuses_until_it_is_healed(self):
        wan = self.wan()
        connection = self.connect()
        self.ping(connection)
        wan.cut()
        with self.assertRaises(ConnectionResetError):
            connection.recv(1)
        with self.assertRaises(ConnectionRefusedError):
            self.connect()
        wan.heal()
        self.ping(self.connect())

    def test_drop_hangs_and_goes_on_after_it_is_healed(self):
        wan = self.wan()
        connection = self.connect(timeout=0.5)
        self.ping(connection)
        wan.drop()
        connection.sendall(b"lost?")
        with self.assertRaises(TimeoutError):
            connection.recv(1)
        late = self.connect(timeout=0.5)
        late.sendall(b"late")
        with self.assertRaises(TimeoutError):
            late.recv(1)
        wan.heal()
        self.assertEqual(receive(connection, 5), b"lost?")
        self.assertEqual(receive(late, 4), b"late")

    def test_swallow_keeps_connections_open_for_ever_and_lets_new_ones_through(self):
        wan = self.wan()
        connection = self.connect(timeout=0.5)
        self.ping(connection)
        wan.tell("swallow")
        connection.sendall(BLOCK * 32)  # accepted, never delivered
        with self.assertRaises(TimeoutError):
            connection.recv(1)
        self.ping(self.connect())

    def test_half_open_resets_the_caller_and_tells_the_target_nothing(self):
        wan = self.wan(echo=False)
        connection = self.connect()
        far = self.target.newest()
        connection.sendall(b"x")
        self.assertEqual(far.recv(1), b"x")
        wan.tell("half-open")
        with self.assertRaises(ConnectionResetError):
            connection.recv(1)
        far.settimeout(0.5)
        with self.assertRaises(TimeoutError):
            far.recv(1)
        far.sendall(b"is anybody there")
        self.assertEqual(wan.stats()["connections"], 1)
        self.connect().sendall(b"y")
        later = self.target.newest(2)
        self.assertEqual(later.recv(1), b"y")

    def test_a_reset_reaches_the_other_side(self):
        self.wan(echo=False)
        connection = self.connect()
        far = self.target.newest()
        far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        far.close()
        with self.assertRaises(ConnectionResetError):
            connection.recv(1)

    def test_a_target_that_does_not_listen_resets_the_caller(self):
        self.wan()
        self.target.listener.shutdown(socket.SHUT_RDWR)
        with self.assertRaises(ConnectionResetError):
            self.connect().recv(1)

    def test_an_idle_proxy_uses_no_cpu(self):
        wan = self.wan(rtt="80ms")
        connection = self.connect()
        self.ping(connection)
        wan.drop()
        connection.sendall(BLOCK)
        stat = pathlib.Path(f"/proc/{wan.process.pid}/stat")
        ticks = lambda: sum(int(word) for word in stat.read_text().split()[13:15])  # noqa: E731
        before = ticks()
        time.sleep(1)
        self.assertLess(ticks() - before, 10)
        wan.heal()
        receive(connection, len(BLOCK))
        before = ticks()
        time.sleep(1)
        self.assertLess(ticks() - before, 10)

    def test_a_wrong_command_is_answered_with_what_can_be_written(self):
        wan = self.wan()
        for line in ("cat", "rate fast", "rtt -1ms", "rtt 1h", "cut now"):
            with self.assertRaisesRegex(Failed, "error: "):
                wan.tell(line)


if __name__ == "__main__":
    clean_up_at_exit()
    junit.main()
