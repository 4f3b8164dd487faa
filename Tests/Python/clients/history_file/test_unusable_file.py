"""Files that are not a history file."""

import sqlite3

from support.confab_process import confab, run


def test_unusable_file_is_an_error(tmp_path, file):
    text = tmp_path / "text"
    text.write_text("this is no database" * 100)
    for name, reason in (
        (tmp_path / "missing" / "chat.db", "No such file or directory"), (text, "not a database"),
        (tmp_path, "Is a directory"),
    ):
        result = run("serve", "--port", 0, "--history", name)
        assert result.returncode == 1 and str(name) in result.stderr and reason in result.stderr, result.stderr
    with confab("--history", file):
        result = run("serve", "--port", 0, "--history", file)
        assert result.returncode == 1 and "another process" in result.stderr, result.stderr
    database = sqlite3.connect(file)
    database.execute("PRAGMA user_version = 99")
    database.close()
    result = run("serve", "--port", 0, "--history", file)
    assert result.returncode == 1 and "newer version" in result.stderr, result.stderr
    assert text.read_text().startswith("this is no database")
    # Another program's database with the same table names.
    other = tmp_path / "other.db"
    database = sqlite3.connect(other)
    database.execute("CREATE TABLE rooms (number)")
    database.close()
    before = other.read_bytes()
    result = run("serve", "--port", 0, "--history", other)
    assert result.returncode == 1 and "but not of Confab" in result.stderr, result.stderr
    assert other.read_bytes() == before
    for option in (("--durability", "full"), ("--max-history-file-size", "1MiB")):
        result = run("serve", "--port", 0, *option)
        assert result.returncode == 1 and f"{option[0]} needs --history" in result.stderr, result.stderr
