// LMDB: keys are big-endian offsets, appended in order; not synced, or synced at every commit.
#include "peers.h"

#include <endian.h>
#include <lmdb.h>
#include <stdio.h>

static MDB_env *env;
static MDB_dbi table;

static void check(int code, const char *what) {
    if (code) die(what, mdb_strerror(code));
}

static void open_env(const struct workload *work, int reading) {
    check(mdb_env_create(&env), "lmdb");
    check(mdb_env_set_mapsize(env, (size_t)64 << 30), "lmdb map");
    unsigned flags = reading ? MDB_RDONLY : work->durable ? 0 : MDB_NOSYNC;
    check(mdb_env_open(env, work->folder, flags, 0600), "lmdb open");
    MDB_txn *txn;
    check(mdb_txn_begin(env, NULL, reading ? MDB_RDONLY : 0, &txn), "lmdb begin");
    check(mdb_dbi_open(txn, NULL, 0, &table), "lmdb table");
    check(mdb_txn_commit(txn), "lmdb commit");
}

static void append(long first, long count) {
    MDB_txn *txn;
    check(mdb_txn_begin(env, NULL, 0, &txn), "lmdb begin");
    for (long i = first; i < first + count; i++) {
        uint64_t key = htobe64((uint64_t)i);
        MDB_val k = {sizeof key, &key}, v = {value_bytes(), (void *)value_of(i)};
        check(mdb_put(txn, table, &k, &v, MDB_APPEND), "lmdb put");
    }
    check(mdb_txn_commit(txn), "lmdb commit");
}

static void scan(void (*visit)(uint64_t, const void *, size_t)) {
    MDB_txn *txn;
    MDB_cursor *cursor;
    MDB_val k, v;
    check(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn), "lmdb begin");
    check(mdb_cursor_open(txn, table, &cursor), "lmdb cursor");
    while (mdb_cursor_get(cursor, &k, &v, MDB_NEXT) == 0)
        visit(be64toh(*(const uint64_t *)k.mv_data), v.mv_data, v.mv_size);
    mdb_cursor_close(cursor);
    mdb_txn_abort(txn);
}

static void close_env(void) { mdb_env_close(env); }

const struct engine lmdb_engine = {"lmdb", open_env, append, scan, close_env};
