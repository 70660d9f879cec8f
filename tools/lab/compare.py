"""Compares tables of two servers row by row: both are read in key order, in text form."""

import dataclasses
import hashlib
import tempfile

DIFFERENCES_SHOWN = 5


@dataclasses.dataclass
class TableComparison:
    table: str
    rows: int
    digest: str
    differences: int
    shown: list

    def equal(self):
        return self.differences == 0


def tables(server):
    """Quoted names of all ordinary and partitioned tables of users; partitions come with their
    root."""
    rows = server.sql(
        """SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c
           JOIN pg_namespace n ON n.oid = c.relnamespace
           WHERE n.nspname NOT IN ('pg_catalog', 'information_schema', 'farshore')
             AND c.relkind IN ('r', 'p') AND NOT c.relispartition
             AND c.relpersistence = 'p' ORDER BY 1"""
    )
    return [row[0] for row in rows]


def columns(server, table):
    rows = server.sql(
        """SELECT quote_ident(attname) FROM pg_attribute WHERE attrelid = %s::regclass
           AND attnum > 0 AND NOT attisdropped ORDER BY attnum""",
        (table,),
    )
    return [row[0] for row in rows]


def key_columns(server, table):
    """Of the primary key; all columns when there is none."""
    rows = server.sql(
        """SELECT quote_ident(a.attname) FROM pg_index i
           JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY(i.indkey)
           WHERE i.indrelid = %s::regclass AND i.indisprimary ORDER BY a.attnum""",
        (table,),
    )
    return [row[0] for row in rows] or columns(server, table)


class _Digesting:
    """A file that also counts and digests what is written."""

    def __init__(self):
        self.file = tempfile.TemporaryFile()
        self.sha = hashlib.sha256()
        self.rows = 0

    def write(self, data):
        self.file.write(data)
        self.sha.update(data)
        self.rows += data.count(b"\n")

    def lines(self):
        self.file.seek(0)
        return self.file


def _read(server, table, names, keys):
    out = _Digesting()
    order = ", ".join(f'({key})::text COLLATE "C"' for key in keys)
    connection = server.connect()
    try:
        with connection.cursor() as cursor:
            cursor.execute("SET timezone = 'UTC'; SET extra_float_digits = 3; SET datestyle = ISO")
            cursor.copy_expert(
                f"COPY (SELECT {', '.join(names)} FROM {table} ORDER BY {order}) TO STDOUT", out
            )
    finally:
        connection.close()
    return out


def _difference(source, target):
    """How many rows are on one side only, and the first few, each marked with its side."""
    only = {}
    for sign, side in ((1, source), (-1, target)):
        for line in side.lines():
            only[line] = only.get(line, 0) + sign
            if only[line] == 0:
                del only[line]
    shown = [
        ("only source: " if count > 0 else "only target: ") + line.decode(errors="replace").strip()
        for line, count in list(only.items())[:DIFFERENCES_SHOWN]
    ]
    return sum(abs(count) for count in only.values()), shown


def compare_table(source, target, table):
    names, keys = columns(source, table), key_columns(source, table)
    missing = sorted(set(names) - set(columns(target, table)))
    if missing:
        text = f"the target has no column {', '.join(missing)}"
        return TableComparison(table, 0, "", 1, [text])
    ours, theirs = _read(source, table, names, keys), _read(target, table, names, keys)
    if ours.sha.digest() == theirs.sha.digest():
        count, shown = 0, []
    else:
        count, shown = _difference(ours, theirs)
        if count == 0:
            count, shown = 1, ["the same rows in another order"]
    return TableComparison(table, ours.rows, ours.sha.hexdigest(), count, shown)


def compare(source, target, only=None):
    """A TableComparison for each table of the source, or of those named."""
    names = only if only is not None else tables(source)
    there = set(tables(target)) if only is None else set(names)
    found = []
    for name in names:
        if name in there:
            found.append(compare_table(source, target, name))
        else:
            found.append(TableComparison(name, 0, "", 1, ["the target has no such table"]))
    return found
