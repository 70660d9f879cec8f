#!/usr/bin/python3
"""The target's agent has a wrong clock: lags and `apply_delay` go by the source's all the same."""

import time

import preamble
from lab import case
from lab.process import sanitizers_of

DELAY_SECONDS = 8
MUCH_SECONDS = 25  # by which that clock is wrong


class ClockTest(case.LabTest):
    expected_in_log = (r" link\.", r" stream\.retry ")

    def start(self, skew_seconds, **stream):
        """Both agents run, the target's with such a clock."""
        source, target = self.postgres("source"), self.postgres("target")
        source.sql("CREATE TABLE public.orders (id integer PRIMARY KEY)")
        self.make_marks(source)
        deployment = self.deploy(source, target, stream=stream)
        deployment.far.stop()
        library = case.program(
            "the library of wrong clocks",
            "FARSHORE_SKEWED_CLOCK",
            "tests/integration/libfarshore_skewed_clock.so",
        )
        deployment.far.process.environment.update(
            LD_PRELOAD=":".join([*sanitizers_of(deployment.program), str(library)]),
            FARSHORE_SKEW_SECONDS=str(skew_seconds),
        )
        deployment.far.start()
        deployment.wait_for_state("streaming", 30)
        return deployment

    def expect_true_lags(self, deployment, kinds):
        """Both regions show them, once they are known; heartbeats come each second."""
        names = ("age_seconds", "transit_seconds")

        def lags(region):
            lag = deployment.leg(region=region)["lag"]
            return all(lag[kind][name] is not None for kind in kinds for name in names) and lag

        for region in deployment.regions:
            lag = self.wait(lambda region=region: lags(region), 10, f"unknown in {region.name}")
            for kind in kinds:
                for name in names:
                    shown = lag[kind][name]
                    self.assertGreaterEqual(shown, 0)
                    self.assertLess(shown, MUCH_SECONDS / 2, f"{kind} {name} in {region.name}")

    def test_behind_it_shows_the_true_lags_and_check_names_the_clock(self):
        deployment = self.start(-MUCH_SECONDS)
        self.wait_applied(deployment)
        self.expect_true_lags(deployment, ("durability", "apply"))
        lags = deployment.far.metric("farshore_lag_seconds")
        durability = [value for name, value in lags.items() if 'kind="durability"' in name]
        self.assertEqual(len(durability), 1)
        self.assertTrue(0 <= durability[0] < MUCH_SECONDS / 2, lags)
        for region, sign in zip(deployment.regions, "-+"):
            found = deployment.run_farshore("check", region=region).stdout
            self.assertIn("region_clock_offset", found)
            self.assertIn(f"its clock is {sign}{MUCH_SECONDS}.0 s off", " ".join(found.split()))

    def test_ahead_it_applies_nothing_before_the_delay_is_over(self):
        deployment = self.start(MUCH_SECONDS, apply_delay=f"{DELAY_SECONDS}s")
        began = time.monotonic()
        deployment.source.sql("INSERT INTO public.orders VALUES (1)")

        def there():
            return deployment.target.value("SELECT 1 FROM public.orders")

        while time.monotonic() - began < DELAY_SECONDS - 2:
            self.assertIsNone(there())
            time.sleep(0.5)
        self.expect_true_lags(deployment, ("durability",))
        self.wait(there, 10, "the row never arrives")
        self.assertGreaterEqual(time.monotonic() - began, DELAY_SECONDS - 0.1)


if __name__ == "__main__":
    preamble.main()
