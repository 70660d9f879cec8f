#!/usr/bin/python3
"""Tables whose definitions together are longer than one message of the link: 5 MiB here."""

import preamble
from lab.case import LabTest

TABLES, COLUMNS, DEFAULT_BYTES = 18, 300, 900


class DefinitionsTest(LabTest):
    def test_definitions_longer_than_a_message_travel_and_are_compared(self):
        source, target = self.postgres("source"), self.postgres("target")
        columns = ", ".join(f"c{i} text DEFAULT '{'x' * DEFAULT_BYTES}'" for i in range(COLUMNS))
        for i in range(TABLES):
            source.sql(f"CREATE TABLE public.wide_{i} (id integer PRIMARY KEY, {columns})")
            source.sql(f"INSERT INTO public.wide_{i} (id) VALUES (1)")
        self.make_marks(source)
        deployment = self.deploy(source, target, rtt="5ms")
        self.wait_applied(deployment)
        self.expect_equal(source, target)
        self.assertNotIn("not_compared", deployment.run_farshore("check").stdout)


if __name__ == "__main__":
    preamble.main()
