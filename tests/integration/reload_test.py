#!/usr/bin/python3
"""SIGHUP: a changed configuration takes effect; one that cannot start changes nothing."""

import preamble
from lab import workload
from lab.case import LabTest

SIGHUP = 1


class ReloadTest(LabTest):
    def start(self):
        source, target = self.postgres("source"), self.postgres("target")
        workload.make_tables(source)
        self.make_marks(source)
        return self.deploy(source, target)

    def events_named(self, agent, name):
        return [line for line in agent.process.output().splitlines() if f" {name} " in line]

    def reload(self, deployment, event, change=lambda text: text):
        """Writes the configuration with that change, for the near agent; its log lines since."""
        near = deployment.near
        path = deployment.config_path(deployment.regions[0])
        before = len(self.events_named(near, event))
        text = deployment.config_text(deployment.regions[0])
        self.assertTrue(change(text) != text or event != "config.refused", "nothing was changed")
        path.write_text(change(text))
        near.process.send(SIGHUP)
        self.wait(
            lambda: len(self.events_named(near, event)) > before,
            20,
            lambda: f"no {event}: {near.last_lines()}",
        )
        return self.events_named(near, event)[-1]

    def expect_refused(self, deployment, reason, change):
        """The file is refused for that reason, and the stream goes on."""
        line = self.reload(deployment, "config.refused", change)
        self.assertRegex(line, reason)
        self.assertIn("the configuration of before stays in force", line)
        self.wait_applied(deployment)

    def test_a_file_that_cannot_start_leaves_the_configuration_of_before_in_force(self):
        deployment = self.start()
        near = deployment.regions[0]
        writer = workload.MixedWriter(deployment.source).start()
        began = len(self.events_named(deployment.near, "agent.started"))

        def with_key(key, value):
            return lambda text: text.replace("data-r1 }", f"data-r1, {key}: {value} }}")

        def with_port(old, new):
            return lambda text: text.replace(f": 127.0.0.1:{old}", f": 127.0.0.1:{new}")

        self.expect_refused(deployment, r"nosuch/", with_key("tls", "nosuch"))
        taken = deployment.source.port
        self.expect_refused(deployment, f"127.0.0.1:{taken}", with_port(near.link_port, taken))
        self.expect_refused(deployment, f"127.0.0.1:{taken}", with_port(near.api_port, taken))
        # Nothing of that stopped the agent.
        self.assertEqual(len(self.events_named(deployment.near, "agent.started")), began)
        # What only starting shows: the agent of before starts again.
        self.expect_refused(
            deployment,
            "ca.crt",
            lambda text: text.replace("data-r1 }", "tls/ca.crt }"),
        )
        self.assertEqual(len(self.events_named(deployment.near, "agent.started")), began + 1)
        near.api_port = self.ports.take()

        def with_idle_site(text):
            site = 'idle: { region: r1, engine: postgres, dsn: "host=/nowhere dbname=app" }'
            return text.replace("streams:\n", f"  {site}\nstreams:\n")

        line = self.reload(deployment, "config.warning", with_idle_site)
        self.assertIn("sites.idle: no stream uses it", line)
        deployment.wait_for_capture("streaming", 20)
        self.assertGreater(writer.stop(), 10)
        self.wait_applied(deployment)
        self.expect_equal(deployment.source, deployment.target)
        self.expected_in_log += (r" config\.refused ", r" config\.warning ", r" link\.")
        self.expected_in_log += (r" stream\.retry ", r" heartbeat\.")


if __name__ == "__main__":
    preamble.main()
