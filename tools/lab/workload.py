"""Writers: a table of all column types whose rows are inserted, changed, re-keyed and deleted."""

import random
import threading

import psycopg2

TYPES = """
CREATE TYPE mood AS ENUM ('calm', 'busy', 'größer');
CREATE DOMAIN positive AS integer CHECK (VALUE > 0);
CREATE TYPE dimensions AS (width double precision, height double precision, label text);
"""

MIXED = """
CREATE TABLE public.mixed (
  id bigint PRIMARY KEY,
  small smallint, whole integer, exact numeric, real4 real, real8 double precision,
  yes boolean, words text, code varchar(40), fixed char(8), raw bytea,
  day date, moment timestamptz, clock time, span interval,
  doc jsonb, note json, tag uuid, address inet, bits bit varying(16),
  list integer[], names text[], state mood, size positive, box dimensions, window_of tstzrange,
  place point, doubled bigint GENERATED ALWAYS AS (id * 2) STORED,
  "Überschrift mit Leerzeichen" text,
  large text
);
CREATE TABLE public.mixed_parts (id bigint, part integer, body text, PRIMARY KEY (id, part))
  PARTITION BY HASH (part);
CREATE TABLE public.mixed_parts_0 PARTITION OF public.mixed_parts
  FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE public.mixed_parts_1 PARTITION OF public.mixed_parts
  FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE TABLE public.mixed_small (id integer PRIMARY KEY, body text);
CREATE SCHEMA "Lager Nord";
CREATE TABLE "Lager Nord"."Teile" (id bigint PRIMARY KEY, body text);
"""

NUMBERS = ("NaN", "Infinity", "-Infinity", "0", "-0.5", "12345678901234567890.123456789", "1e-30")
MOMENTS = ("infinity", "-infinity", "2024-02-29 23:59:59.999999+00", "0044-03-15 12:00:00+00 BC")
DAYS = ("infinity", "-infinity", "2024-02-29", "0044-03-15 BC")
REALS = ("NaN", "Infinity", "-Infinity", "0", "-0", "1.7976931348623157e308", "5e-324", "0.1")
WORDS = ("", "plain", "tab\tline\nbackslash\\quote'\"", "größer ☃ 𝄞", "\\N", "\\.", "x" * 3000)


def make_tables(server):
    server.sql(TYPES)
    server.sql(MIXED)


def _maybe(chance, value, random_):
    return None if random_.random() < chance else value


def row_of(random_):
    """Values for every column of public.mixed but the key and the generated one."""
    r = random_
    return {
        "small": _maybe(0.1, r.randint(-32768, 32767), r),
        "whole": _maybe(0.1, r.randint(-(2**31), 2**31 - 1), r),
        "exact": r.choice(NUMBERS),
        "real4": r.choice(REALS[:5]),
        "real8": r.choice(REALS),
        "yes": _maybe(0.3, r.random() < 0.5, r),
        "words": r.choice(WORDS),
        "code": f"canary-{r.randint(0, 10**9)}",
        "fixed": r.choice(("a", "ab  ", None)),
        "raw": psycopg2.Binary(r.randbytes(r.choice((0, 1, 200)))),
        "day": r.choice(DAYS),
        "moment": r.choice(MOMENTS),
        "clock": "23:59:59.5",
        "span": r.choice(("1 year 2 mons 3 days 04:05:06.7", "-1 days", "0")),
        "doc": r.choice(('{"a": [1, null, "ü"]}', "[]", "null", None)),
        "note": '{"z":1,  "a":2, "z":3}',
        "tag": f"{r.getrandbits(128):032x}",
        "address": r.choice(("10.0.0.1", "fe80::1/64", None)),
        "bits": r.choice(("", "10110")),
        "list": r.choice(([], [1, None, -3], None)),
        "names": r.choice((["a,b", '"q"', None], [])),
        "state": r.choice(("calm", "busy", "größer", None)),
        "size": r.randint(1, 9),
        "box": r.choice(('(1.5,-2,"w, \\"h\\"")', "(,,)", None)),
        "window_of": r.choice(("empty", "[2024-01-01,2024-02-01)", "(,)", None)),
        "place": "(1.25,-3)",
        '"Überschrift mit Leerzeichen"': r.choice(WORDS[:4]),
        "large": _maybe(0.5, "".join(r.choices("abcdefghij", k=9000)), r),
    }


CASTS = {"names": "::text[]", "list": "::integer[]"}


class MixedWriter:
    """Writes in a thread of its own until stopped. Ids are `first`, `first` + `step`, …"""

    def __init__(self, server, seed=1, first=1, step=1, pause=0.0):
        self.server, self.random, self.pause = server, random.Random(seed), pause
        self.next_id, self.step = first, step
        self.ids = []
        self.committed = 0
        self.failure = None
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def start(self):
        self.thread.start()
        return self

    def stop(self, expect_errors=False):
        self.stopping.set()
        self.thread.join(60)
        if self.failure and not expect_errors:
            raise AssertionError(f"the application's own statement failed: {self.failure}")
        return self.committed

    def _run(self):
        try:
            connection = self.server.connect()
            connection.autocommit = False
            with connection.cursor() as cursor:
                while not self.stopping.wait(self.pause):
                    self._transaction(cursor)
                    if self.random.random() < 0.05:
                        connection.rollback()
                        self.ids = [row for row in self._all_ids(cursor)]
                    else:
                        connection.commit()
                        self.committed += 1
            connection.close()
        except psycopg2.Error as error:
            self.failure = str(error).strip()

    def _all_ids(self, cursor):
        cursor.execute(
            "SELECT id FROM public.mixed WHERE id %% %s = %s", (self.step, self.next_id % self.step)
        )
        return [row[0] for row in cursor.fetchall()]

    def _transaction(self, cursor):
        for _ in range(self.random.choice((1, 1, 1, 5, 40))):
            kind = self.random.random()
            if kind < 0.5 or len(self.ids) < 5:
                self._insert(cursor)
            elif kind < 0.8:
                self._update(cursor)
            elif kind < 0.9:
                self._change_key(cursor)
            else:
                self._delete(cursor)
        if self.random.random() < 0.02:
            cursor.execute("TRUNCATE public.mixed_small")
        cursor.execute(
            "INSERT INTO public.mixed_small VALUES (%s, %s) "
            "ON CONFLICT (id) DO UPDATE SET body = EXCLUDED.body",
            (
                self.random.randint(0, 50) * self.step + self.next_id % self.step,
                str(self.random.random()),
            ),
        )

    def _take_id(self):
        self.next_id += self.step
        return self.next_id

    def _insert(self, cursor):
        row, number = row_of(self.random), self._take_id()
        marks = ", ".join(f"%s{CASTS.get(name, '')}" for name in row)
        cursor.execute(
            f"INSERT INTO public.mixed (id, {', '.join(row)}) VALUES (%s, {marks})",
            (number, *row.values()),
        )
        cursor.execute(
            "INSERT INTO public.mixed_parts VALUES (%s, %s, %s)",
            (number, self.random.randint(0, 9), "part"),
        )
        cursor.execute('INSERT INTO "Lager Nord"."Teile" VALUES (%s, %s)', (number, "whole"))
        self.ids.append(number)

    def _update(self, cursor):
        row = row_of(self.random)
        name = self.random.choice(list(row))
        cursor.execute(
            f"UPDATE public.mixed SET {name} = %s{CASTS.get(name, '')} WHERE id = %s",
            (row[name], self.random.choice(self.ids)),
        )

    def _change_key(self, cursor):
        at, number = self.random.randrange(len(self.ids)), self._take_id()
        cursor.execute("UPDATE public.mixed SET id = %s WHERE id = %s", (number, self.ids[at]))
        cursor.execute(
            "UPDATE public.mixed_parts SET part = part + 1 WHERE id = %s", (self.ids[at],)
        )
        self.ids[at] = number

    def _delete(self, cursor):
        number = self.ids.pop(self.random.randrange(len(self.ids)))
        cursor.execute("DELETE FROM public.mixed WHERE id = %s", (number,))
