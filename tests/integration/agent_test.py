#!/usr/bin/python3
"""The agent as a process: one a region, clean stop, restarts, exit codes."""

import json
import os
import pathlib
import signal
import socket
import ssl
import time

import preamble
from lab import workload
from lab.case import LabTest


class AgentTest(LabTest):
    def start(self):
        source, target = self.postgres("source"), self.postgres("target")
        workload.make_tables(source)
        self.make_marks(source)
        return self.deploy(source, target)

    def test_a_second_agent_of_the_region_refuses_and_names_the_holder(self):
        deployment = self.start()
        for region in deployment.regions:
            done = deployment.run_farshore("run", region=region)
            self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
            self.assertIn(f"pid {deployment.agents[region.name].process.pid}", done.stderr)
        self.wait_applied(deployment)

    def test_agents_stop_cleanly_and_go_on_where_they_were(self):
        deployment = self.start()
        writer = workload.MixedWriter(deployment.source).start()
        for _ in range(2):
            time.sleep(1)
            deployment.far.stop()
            deployment.near.stop()
            time.sleep(0.5)
            deployment.near.start()
            deployment.far.start()
        time.sleep(1)
        self.assertGreater(writer.stop(), 10)
        self.wait_applied(deployment)
        self.expect_equal(deployment.source, deployment.target)
        self.expected_in_log += (r" link\.", r" stream\.retry ")

    def test_a_database_that_is_down_at_the_start_is_waited_for(self):
        source, target = self.postgres("source"), self.postgres("target")
        workload.make_tables(source)
        self.make_marks(source)
        source.stop()
        target.stop()
        deployment = self.deploy(source, target, wait=False)
        time.sleep(2)
        source.start()
        target.start()
        deployment.wait_for_state("streaming", 60)
        self.wait_applied(deployment)
        self.expected_in_log += (r" stream\.retry ", r" heartbeat\.", r" link\.")

    def test_agents_stop_soon_although_their_databases_do_not_answer(self):
        source, target = self.postgres("source"), self.postgres("target")
        self.make_marks(source)
        pids = [
            int((server.data / "postmaster.pid").read_text().split()[0])
            for server in (source, target)
        ]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            deployment = self.deploy(source, target, wait=False)
            time.sleep(2)
            began = time.monotonic()
            deployment.near.stop()
            deployment.far.stop()
            self.assertLess(time.monotonic() - began, 2.5)
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)
        deployment.near.start()
        deployment.far.start()
        deployment.wait_for_state("streaming", 60)
        self.expected_in_log += (r" stream\.retry ", r" heartbeat\.", r" link\.")

    def test_pausing_holds_back_applying_and_not_the_far_journal(self):
        deployment = self.start()
        far = deployment.regions[1]
        deployment.farshore("stream", "pause", "app", region=far)
        deployment.wait_for_state("paused", 20)
        source, target = deployment.source, deployment.target
        source.sql("INSERT INTO public.mixed_small VALUES (1, 'later')")
        time.sleep(2)
        self.assertIsNone(target.value("SELECT 1 FROM public.mixed_small WHERE id = 1"))
        self.assertLess(deployment.leg()["lag"]["durability"]["age_seconds"], 5)
        deployment.far.restart_after_kill()
        deployment.wait_for_state("paused", 30)
        deployment.farshore("stream", "resume", "app", region=far)
        deployment.wait_for_state("streaming", 20)
        self.wait_applied(deployment)
        self.expect_equal(source, target)
        self.expected_in_log += (r" link\.", r" stream\.retry ")

    def certificate_in_use(self, deployment, region):
        """The certificate that the agent of a region shows to the other one, as PEM."""
        near, far = deployment.regions
        tls = pathlib.Path(deployment.folder) / "tls"
        context = ssl.create_default_context(cafile=tls / "ca.crt")
        context.check_hostname = False
        context.load_cert_chain(tls / f"{near.name}.crt", tls / f"{near.name}.key")
        with socket.create_connection(("127.0.0.1", region.link_port), 5) as plain:
            with context.wrap_socket(plain) as secured:
                return ssl.DER_cert_to_PEM_cert(secured.getpeercert(binary_form=True))

    def test_a_renewed_certificate_is_shown_on_each_new_connection(self):
        deployment = self.start()
        far = deployment.regions[1]
        file = pathlib.Path(deployment.folder) / "tls" / f"{far.name}.crt"
        old = file.read_text()
        self.assertEqual(self.certificate_in_use(deployment, far), old)
        writer = workload.MixedWriter(deployment.source).start()
        deployment.farshore("cert", "renew", region=far)
        self.assertNotEqual(file.read_text(), old)
        self.assertEqual(self.certificate_in_use(deployment, far), file.read_text())
        deployment.wan.cut()
        time.sleep(1)
        deployment.wan.heal()
        self.assertGreater(writer.stop(), 0)
        self.wait_applied(deployment)
        self.expect_equal(deployment.source, deployment.target)
        self.expected_in_log += (r" link\.", r" stream\.retry ")

    def test_each_line_of_a_log_in_json_is_an_object(self):
        source, target = self.postgres("source"), self.postgres("target")
        self.make_marks(source)
        deployment = self.deploy(source, target, run_words=("--log-format", "json"))
        deployment.wan.cut()  # something that is worth a warning
        time.sleep(1)
        deployment.wan.heal()
        self.wait_applied(deployment)
        deployment.near.restart_after_kill()
        deployment.wait_for_capture("streaming", 30)
        deployment.near.stop()
        deployment.far.stop()
        for agent in deployment.agents.values():
            lines = [json.loads(line) for line in agent.process.output().splitlines()]
            self.assertGreater(len(lines), 5)
            for line in lines:
                self.assertLessEqual({"at", "level", "event", "message"}, set(line))
                self.assertRegex(line["at"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
                self.assertIn(line["level"], ("INFO", "WARN", "ERROR"))
            names = {line["event"] for line in lines}
            self.assertLessEqual({"agent.started", "agent.stopped", "stream.state"}, names)
            self.assertIn("app", {line.get("stream") for line in lines})
        self.expected_in_log += (r'"event":"(link|stream\.retry|heartbeat|journal\.tail_cut)',)

    def test_exit_codes_tell_what_went_wrong(self):
        self.expected_in_log += (r" link\.disconnected ",)  # the peer that is stopped
        deployment = self.start()
        self.assertEqual(deployment.run_farshore("status").returncode, 0)
        self.assertEqual(deployment.run_farshore("status", "nothing").returncode, 1)
        self.assertEqual(deployment.run_farshore("stream", "paws", "app").returncode, 2)
        deployment.near.stop()
        done = deployment.run_farshore("status")
        self.assertEqual(done.returncode, 3, done.stderr)
        self.assertIn(str(deployment.regions[0].api_port), done.stderr)
        broken = self.folder / "broken.yaml"
        broken.write_text("nmae: shop\n")
        done = deployment.run_farshore("run", "--config", broken, "--region", "r1", config=False)
        self.assertEqual(done.returncode, 2)
        self.assertIn("broken.yaml:1:1", done.stderr)
        (pathlib.Path(deployment.folder) / "tls" / f"{deployment.regions[0].name}.key").unlink()
        done = deployment.run_farshore("run", "--region", deployment.regions[0].name)
        self.assertEqual(done.returncode, 2, done.stdout + done.stderr)


if __name__ == "__main__":
    preamble.main()
