"""Reads a history file."""

import sqlite3


def rows(file, sql):
    """Returns the rows of a query."""
    database = sqlite3.connect(file)
    try:
        return database.execute(sql).fetchall()
    finally:
        database.close()
