// SQLite: WAL; synchronous=NORMAL, or FULL where every record must be durable.
#include "peers.h"

#include <sqlite3.h>
#include <stdio.h>

static sqlite3 *db;
static sqlite3_stmt *insert;

static void run(const char *sql) {
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK) die("sqlite", sqlite3_errmsg(db));
}

static void open_db(const struct workload *work, int reading) {
    char path[4096];
    snprintf(path, sizeof path, "%s/peer.sqlite", work->folder);
    if (sqlite3_open(path, &db) != SQLITE_OK) die("sqlite open", sqlite3_errmsg(db));
    run("PRAGMA journal_mode=WAL");
    run(work->durable ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL");
    if (reading) return;
    run("CREATE TABLE IF NOT EXISTS log (id INTEGER PRIMARY KEY, value BLOB)");
    if (sqlite3_prepare_v2(db, "INSERT INTO log VALUES (?, ?)", -1, &insert, NULL) != SQLITE_OK)
        die("sqlite prepare", sqlite3_errmsg(db));
}

static void append(long first, long count) {
    run("BEGIN");
    for (long i = first; i < first + count; i++) {
        sqlite3_bind_int64(insert, 1, i);
        sqlite3_bind_blob(insert, 2, value_of(i), (int)value_bytes(), SQLITE_STATIC);
        if (sqlite3_step(insert) != SQLITE_DONE) die("sqlite insert", sqlite3_errmsg(db));
        sqlite3_reset(insert);
    }
    run("COMMIT");
}

static void scan(void (*visit)(uint64_t, const void *, size_t)) {
    sqlite3_stmt *select;
    sqlite3_prepare_v2(db, "SELECT id, value FROM log ORDER BY id", -1, &select, NULL);
    while (sqlite3_step(select) == SQLITE_ROW)
        visit((uint64_t)sqlite3_column_int64(select, 0), sqlite3_column_blob(select, 1),
              (size_t)sqlite3_column_bytes(select, 1));
    sqlite3_finalize(select);
}

static void close_db(void) {
    sqlite3_finalize(insert);
    sqlite3_close(db);
}

const struct engine sqlite_engine = {"sqlite", open_db, append, scan, close_db};
