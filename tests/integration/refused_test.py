#!/usr/bin/python3
"""What an agent refuses is shown until its cause is gone, and is taken only once an operator has
said so."""

import pathlib
import time

import preamble
from lab.case import LabTest


class RefusedTest(LabTest):
    expected_in_log = (r" stream\.state .* failed", r" stream\.retry ")

    def start(self, **options):
        source, target = self.postgres("source"), self.postgres("target")
        source.sql("CREATE TABLE public.orders (id bigint PRIMARY KEY, body text)")
        source.sql("INSERT INTO public.orders VALUES (1, 'first')")
        self.make_marks(source)
        return self.deploy(source, target, **options)

    def promote(self, server):
        """The same data on a new timeline, as after a failover."""
        server.stop()
        (pathlib.Path(server.data) / "standby.signal").touch()
        server.start()
        server.sql("SELECT pg_promote()")

    def test_an_earlier_resume_accepts_no_other_source(self):
        deployment = self.start()
        source, target = deployment.source, deployment.target
        self.wait_applied(deployment)
        deployment.farshore("stream", "resume", "app", "--to", "app-r2")
        deployment.farshore("stream", "resume", "app")
        self.promote(source)
        capture = deployment.wait_for_capture("failed", 60, "not the one that was captured before")
        self.assertIn("accept it with `farshore stream resume app", capture["remedy"])
        source.sql("INSERT INTO public.orders VALUES (2, 'second')")
        self.assertEqual(target.value("SELECT count(*) FROM public.orders"), 1)
        deployment.farshore("stream", "resume", "app")
        deployment.wait_for_capture("streaming", 30)
        self.wait_applied(deployment)
        self.expect_equal(source, target)
        self.expected_in_log += (r" heartbeat\.",)

    def test_nothing_is_made_at_another_server_under_the_sources_address(self):
        deployment = self.start()
        source, target = deployment.source, deployment.target
        self.wait_applied(deployment)
        other = self.postgres("other", 15 if source.version == 18 else 18)
        other.sql("CREATE TABLE public.orders (id bigint PRIMARY KEY, body text)")
        source.stop()
        other.stop()
        with open(other.data / "postgresql.conf", "a") as conf:
            conf.write(f"port = {source.port}\n")
        other.port = source.port
        other.start()
        deployment.wait_for_capture("failed", 60, "not the one that was captured before")
        self.assertEqual(other.value("SELECT count(*) FROM pg_publication"), 0)
        self.assertEqual(other.value("SELECT count(*) FROM pg_replication_slots"), 0)
        other.stop()
        source.start()
        source.sql("INSERT INTO public.orders VALUES (2, 'second')")
        deployment.farshore("stream", "resume", "app")
        deployment.wait_for_capture("streaming", 30)
        self.wait_applied(deployment)
        self.expect_equal(source, target)
        self.expected_in_log += (r" heartbeat\.", r" source\.upkeep_failed ")

    def test_a_copy_that_is_denied_is_a_failed_leg_until_it_is_granted(self):
        source, target = self.postgres("source"), self.postgres("target")
        source.sql(
            "CREATE ROLE capture LOGIN REPLICATION; GRANT CREATE ON DATABASE app TO capture;"
            "GRANT ALL ON SCHEMA public TO capture"
        )
        for table in ("open", "closed"):
            source.sql(
                f"CREATE TABLE public.{table} (id bigint PRIMARY KEY);"
                f"INSERT INTO public.{table} VALUES (1);"
                f"ALTER TABLE public.{table} OWNER TO capture"
            )
        source.sql("REVOKE SELECT ON public.closed FROM capture")
        target.sql("CREATE ROLE capture LOGIN SUPERUSER")
        self.make_marks(source)
        source.sql("ALTER TABLE public.lab_marks OWNER TO capture")
        deployment = self.deploy(source, target, user="capture", wait=False)

        def failed():
            view = deployment.try_source_view()
            leg = view and view["targets"][0]
            return leg and leg["state"] == "failed" and leg

        self.wait(failed, 60, "the leg does not fail")
        time.sleep(2)  # the first look at the source's tables asks for the copy once more
        self.wait(failed, 10, "the leg does not fail again")
        for _ in range(20):  # what the target says meanwhile does not hide it
            leg = failed()
            self.assertTrue(leg, deployment.source_view()["targets"])
            self.assertIn("closed", leg["reason"])
            self.assertIn("stream resume", leg["remedy"])
        source.sql("GRANT SELECT ON public.closed TO capture")
        deployment.farshore("stream", "resume", "app")
        deployment.wait_for_state("streaming", 60)
        self.wait_applied(deployment)
        self.expect_equal(source, target)


if __name__ == "__main__":
    preamble.main()
