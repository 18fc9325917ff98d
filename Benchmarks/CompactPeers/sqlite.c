// SQLite: a log as a table; superseded rows are deleted, and VACUUM gives their room back.
//
// Without an index by key, whose upkeep would slow the fill and the delete down.
#include "compact.h"

#include <sqlite3.h>
#include <stdio.h>

static sqlite3 *db;
static sqlite3_stmt *insert;

static void run(const char *sql) {
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK) die("sqlite", sqlite3_errmsg(db));
}

static void prepare(const char *sql, sqlite3_stmt **statement) {
    if (sqlite3_prepare_v2(db, sql, -1, statement, NULL) != SQLITE_OK)
        die("sqlite prepare", sqlite3_errmsg(db));
}

static void open_db(const char *folder) {
    char path[4096];
    snprintf(path, sizeof path, "%s/peer.sqlite", folder);
    if (sqlite3_open(path, &db) != SQLITE_OK) die("sqlite open", sqlite3_errmsg(db));
    run("PRAGMA journal_mode=WAL");
    run("PRAGMA synchronous=NORMAL");
    run("CREATE TABLE IF NOT EXISTS log (id INTEGER PRIMARY KEY, key BLOB, value BLOB)");
    prepare("INSERT INTO log VALUES (?, ?, ?)", &insert);
}

static void append(long first, long end) {
    run("BEGIN");
    for (long number = first; number < end; number++) {
        sqlite3_bind_int64(insert, 1, number);
        sqlite3_bind_blob(insert, 2, key_of(number), KEY_BYTES, SQLITE_STATIC);
        sqlite3_bind_blob(insert, 3, value_of(number), VALUE_BYTES, SQLITE_STATIC);
        if (sqlite3_step(insert) != SQLITE_DONE) die("sqlite insert", sqlite3_errmsg(db));
        sqlite3_reset(insert);
    }
    run("COMMIT");
}

static void compact(void) {
    run("DELETE FROM log WHERE id NOT IN (SELECT max(id) FROM log GROUP BY key)");
    run("VACUUM");
    run("PRAGMA wal_checkpoint(TRUNCATE)");
}

static void scan(void (*visit)(const void *, const void *, size_t)) {
    sqlite3_stmt *select;
    prepare("SELECT key, value FROM log ORDER BY id", &select);
    int code;
    while ((code = sqlite3_step(select)) == SQLITE_ROW) {
        if (sqlite3_column_bytes(select, 0) != KEY_BYTES) die("sqlite", "a key's length changed");
        visit(sqlite3_column_blob(select, 0), sqlite3_column_blob(select, 1),
              (size_t)sqlite3_column_bytes(select, 1));
    }
    if (code != SQLITE_DONE) die("sqlite select", sqlite3_errmsg(db));
    sqlite3_finalize(select);
}

static void close_db(void) {
    sqlite3_finalize(insert);
    sqlite3_close(db);
}

const struct engine sqlite_engine = {"sqlite", open_db, append, compact, scan, close_db};
