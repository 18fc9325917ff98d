// RocksDB by its C interface: puts as they come, nothing compacted until it is asked for.
#include "compact.h"

#include <rocksdb/c.h>

static rocksdb_t *db;
static rocksdb_writeoptions_t *write_options;

static void check(char *error) {
    if (error) die("rocksdb", error);
}

static void open_db(const char *folder) {
    char *error = NULL;
    rocksdb_options_t *options = rocksdb_options_create();
    rocksdb_options_set_create_if_missing(options, 1);
    rocksdb_options_set_disable_auto_compactions(options, 1);
    // Else it holds writes up until the first level is compacted, which nobody does.
    rocksdb_options_set_level0_slowdown_writes_trigger(options, 1 << 20);
    rocksdb_options_set_level0_stop_writes_trigger(options, 1 << 20);
    db = rocksdb_open(options, folder, &error);
    check(error);
    write_options = rocksdb_writeoptions_create();
}

static void append(long first, long end) {
    char *error = NULL;
    rocksdb_writebatch_t *batch = rocksdb_writebatch_create();
    for (long number = first; number < end; number++)
        rocksdb_writebatch_put(batch, key_of(number), KEY_BYTES, value_of(number), VALUE_BYTES);
    rocksdb_write(db, write_options, batch, &error);
    check(error);
    rocksdb_writebatch_destroy(batch);
}

static void compact(void) { rocksdb_compact_range(db, NULL, 0, NULL, 0); }

static void scan(void (*visit)(const void *, const void *, size_t)) {
    rocksdb_readoptions_t *options = rocksdb_readoptions_create();
    rocksdb_iterator_t *it = rocksdb_create_iterator(db, options);
    for (rocksdb_iter_seek_to_first(it); rocksdb_iter_valid(it); rocksdb_iter_next(it)) {
        size_t key_bytes, value_bytes;
        const char *key = rocksdb_iter_key(it, &key_bytes);
        const char *value = rocksdb_iter_value(it, &value_bytes);
        if (key_bytes != KEY_BYTES) die("rocksdb", "a key has another length");
        visit(key, value, value_bytes);
    }
    char *error = NULL;
    rocksdb_iter_get_error(it, &error);
    check(error);
    rocksdb_iter_destroy(it);
    rocksdb_readoptions_destroy(options);
}

static void close_db(void) {
    // What is still in memory is in the log, and a process that only compacts wants none of it.
    char *error = NULL;
    rocksdb_flushoptions_t *options = rocksdb_flushoptions_create();
    rocksdb_flush(db, options, &error);
    check(error);
    rocksdb_flushoptions_destroy(options);
    rocksdb_close(db);
}

const struct engine rocksdb_engine = {"rocksdb", open_db, append, compact, scan, close_db};
