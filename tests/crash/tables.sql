-- Twenty tables of all shapes, a ledger, and crash_step(), which is one application transaction chosen by a number.
CREATE TYPE mood AS ENUM ('calm', 'busy', 'größer');
CREATE DOMAIN positive AS integer CHECK (VALUE > 0);
CREATE TYPE dimensions AS (width double precision, height double precision, label text);

CREATE TABLE ledger (id bigint PRIMARY KEY, writer integer NOT NULL);

DO $make$
DECLARE n integer;
BEGIN
  FOR n IN 1..12 LOOP   -- t01..t12: a key and all types
    EXECUTE format($sql$
      CREATE TABLE %I (
        id bigint PRIMARY KEY, whole integer, exact numeric, real8 double precision, yes boolean, words text,
        code varchar(40), fixed char(8), raw bytea, day date, moment timestamptz, span interval, doc jsonb, note json,
        tag uuid, list integer[], names text[], state mood, size positive, box dimensions, window_of tstzrange,
        address inet, bits bit varying(16), large text, doubled bigint GENERATED ALWAYS AS (id * 2) STORED)$sql$,
      format('t%s', lpad(n::text, 2, '0')));
  END LOOP;
END $make$;
CREATE TABLE t13 (a integer, b text, body text, PRIMARY KEY (a, b));
CREATE TABLE t14 (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, body text);
CREATE TABLE t15 (id bigint, part integer, body text, PRIMARY KEY (id, part)) PARTITION BY HASH (part);
CREATE TABLE t15_0 PARTITION OF t15 FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE t15_1 PARTITION OF t15 FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE TABLE t16 (a integer, b text);              -- no key, duplicates
ALTER TABLE t16 REPLICA IDENTITY FULL;
CREATE TABLE t17 (id bigint PRIMARY KEY, other bigint UNIQUE, body text);
CREATE TABLE "T 18 größer" ("Id" bigint PRIMARY KEY, "weird ""name""" text);
CREATE TABLE t19 (id bigint PRIMARY KEY, body text);   -- truncated together with t20
CREATE TABLE t20 (id bigint PRIMARY KEY, body text);

CREATE FUNCTION insert_row(t text, k bigint, r double precision) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format($sql$
    INSERT INTO %I (id, whole, exact, real8, yes, words, code, fixed, raw, day, moment, span, doc, note, tag, list,
                    names, state, size, box, window_of, address, bits, large)
    VALUES ($1, ($2 * 1000)::int, (ARRAY['NaN','Infinity','-Infinity','0','12345678901234567890.123456789'])
              [1 + ($2 * 4.99)::int %% 5]::numeric,
            (ARRAY['NaN','Infinity','-0','0.1','5e-324'])[1 + ($2 * 7)::int %% 5]::float8, $2 > 0.5,
            repeat(E'tab\t\\ü☃', ($2 * 20)::int), 'c-' || $1, 'ab  ', decode(md5($1::text), 'hex'),
            (ARRAY['infinity','-infinity','2024-02-29','0044-03-15 BC'])[1 + ($2 * 9)::int %% 4]::date,
            (ARRAY['infinity','-infinity','2024-02-29 23:59:59.999999+00'])[1 + ($2 * 9)::int %% 3]::timestamptz,
            '1 year 2 mons 04:05:06.7', '{"a": [1, null, "ü"]}', '{"z":1,  "z":3}', md5($1::text)::uuid,
            ARRAY[1, NULL, ($2 * 100)::int], ARRAY['a,b', '"q"', NULL],
            (ARRAY['calm','busy','größer'])[1 + ($2 * 9)::int %% 3]::mood, 1 + ($2 * 8)::int,
            ROW(1.5, -2, 'w, "h"')::dimensions, '[2024-01-01,2024-02-01)', 'fe80::1/64', B'10110',
            CASE WHEN $2 < 0.2 THEN repeat(md5($1::text), 300) END)$sql$, t) USING k, r;
END $$;

-- One transaction: `id` is the ledger's, ids of one writer differ from those of all others.
CREATE FUNCTION crash_step(id bigint, writer integer, writers integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  r double precision := random();
  t text := 't' || lpad((1 + (random() * 11.99)::int % 12)::text, 2, '0');
  k bigint;
BEGIN
  INSERT INTO ledger VALUES (id, writer);
  IF r < 0.40 THEN
    PERFORM insert_row(t, id, random());
  ELSIF r < 0.60 THEN
    EXECUTE format('UPDATE %I SET whole = whole + 1, words = $1 WHERE id = (SELECT id FROM %I WHERE id %% $2 = $3
                    AND id >= $4 ORDER BY id LIMIT 1)', t, t)
      USING md5(r::text), writers, id % writers, (random() * id)::bigint;
  ELSIF r < 0.65 THEN     -- a key that changes
    EXECUTE format('UPDATE %I SET id = $1 WHERE id = (SELECT id FROM %I WHERE id %% $2 = $3 AND id >= $4
                    ORDER BY id LIMIT 1)', t, t) USING id, writers, id % writers, (random() * id)::bigint;
  ELSIF r < 0.72 THEN
    EXECUTE format('DELETE FROM %I WHERE id = (SELECT id FROM %I WHERE id %% $1 = $2 AND id >= $3
                    ORDER BY id LIMIT 1)', t, t) USING writers, id % writers, (random() * id)::bigint;
  ELSIF r < 0.77 THEN
    INSERT INTO t13 VALUES (writer, id::text, 'x') ; UPDATE t13 SET b = b || '+' WHERE a = writer AND b = id::text;
  ELSIF r < 0.82 THEN
    INSERT INTO t14 (body) VALUES (id::text);
  ELSIF r < 0.86 THEN
    INSERT INTO t15 VALUES (id, (random() * 9)::int, 'p');
    UPDATE t15 SET part = part + 1 WHERE t15.id = crash_step.id;
  ELSIF r < 0.90 THEN     -- duplicates of a table without a key: one of them is touched
    INSERT INTO t16 VALUES (writer, 'same'), (writer, 'same');
    DELETE FROM t16 WHERE ctid = (SELECT ctid FROM t16 WHERE a = writer LIMIT 1);
    UPDATE t16 SET b = 'other' WHERE ctid = (SELECT ctid FROM t16 WHERE a = writer LIMIT 1);
  ELSIF r < 0.94 THEN     -- unique values that swap within a transaction
    INSERT INTO t17 VALUES (id, id, 'u');
    SELECT min(t17.id) INTO k FROM t17 WHERE t17.id % writers = crash_step.id % writers AND t17.id < crash_step.id;
    IF k IS NOT NULL THEN
      UPDATE t17 SET other = -1 - writer WHERE t17.id = crash_step.id;
      UPDATE t17 SET other = crash_step.id + 1000000000 WHERE t17.id = k;
      UPDATE t17 SET other = crash_step.id WHERE t17.id = crash_step.id;
    END IF;
  ELSE
    INSERT INTO "T 18 größer" VALUES (id, 'ä "quoted" ' || id);
    INSERT INTO t19 VALUES (id, 'x');
    INSERT INTO t20 VALUES (id, 'y');
  END IF;
END $$;

-- A large transaction, streamed while it runs; one of its subtransactions is undone.
CREATE FUNCTION crash_large(id bigint, writer integer, size integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO ledger VALUES (id, writer);
  INSERT INTO t19 SELECT id * 100000 + g, repeat('l', 200) FROM generate_series(1, size) g;
  BEGIN
    INSERT INTO t20 SELECT id * 100000 + g, repeat('gone', 50) FROM generate_series(1, size / 2) g;
    RAISE EXCEPTION 'undo';
  EXCEPTION WHEN raise_exception THEN NULL;
  END;
  UPDATE t19 SET body = 'm' WHERE t19.id BETWEEN crash_large.id * 100000 + 1 AND crash_large.id * 100000 + 10;
  DELETE FROM t19 WHERE t19.id > crash_large.id * 100000 + 10 AND t19.id <= crash_large.id * 100000 + size;
END $$;

-- What a retention job does: all that is older than `oldest` goes in one transaction.
CREATE FUNCTION crash_retain(id bigint, writer integer, writers integer, oldest bigint) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE n integer;
BEGIN
  DELETE FROM ledger l WHERE l.id < oldest AND l.writer = crash_retain.writer;
  INSERT INTO ledger VALUES (id, writer);
  FOR n IN 1..12 LOOP
    EXECUTE format('DELETE FROM %I WHERE id < $1 AND id %% $2 = $3', 't' || lpad(n::text, 2, '0'))
      USING oldest, writers, id % writers;
  END LOOP;
  DELETE FROM t13 WHERE a = writer AND rtrim(b, '+')::bigint < oldest;
  DELETE FROM t14 WHERE body::bigint < oldest AND body::bigint % writers = crash_retain.id % writers;
  DELETE FROM t15 WHERE t15.id < oldest AND t15.id % writers = crash_retain.id % writers;
  DELETE FROM t16 WHERE a = writer AND (SELECT count(*) FROM t16) > 1000;
  DELETE FROM t17 WHERE t17.id < oldest AND t17.id % writers = crash_retain.id % writers;
  DELETE FROM "T 18 größer" WHERE "Id" < oldest AND "Id" % writers = crash_retain.id % writers;
END $$;

-- Some in a schema of another name.
CREATE SCHEMA "lager.nord";
ALTER TABLE t13 SET SCHEMA "lager.nord";
ALTER TABLE t19 SET SCHEMA "lager.nord";
DO $path$ BEGIN
  EXECUTE format('ALTER DATABASE %I SET search_path = public, "lager.nord"', current_database());
END $path$;
