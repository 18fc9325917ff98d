// RocksDB by its C interface: write-ahead log on, synced or not; checksums verified when reading.
#include "peers.h"

#include <endian.h>
#include <rocksdb/c.h>

static rocksdb_t *db;
static rocksdb_writeoptions_t *write_options;

static void check(char *error) {
    if (error) die("rocksdb", error);
}

static void open_db(const struct workload *work, int reading) {
    char *error = NULL;
    (void)reading;
    rocksdb_options_t *options = rocksdb_options_create();
    rocksdb_options_set_create_if_missing(options, 1);
    db = rocksdb_open(options, work->folder, &error);
    check(error);
    write_options = rocksdb_writeoptions_create();
    rocksdb_writeoptions_set_sync(write_options, (unsigned char)work->durable);
}

static void append(long first, long count) {
    char *error = NULL;
    rocksdb_writebatch_t *batch = rocksdb_writebatch_create();
    for (long i = first; i < first + count; i++) {
        uint64_t key = htobe64((uint64_t)i);
        rocksdb_writebatch_put(batch, (const char *)&key, sizeof key, value_of(i), value_bytes());
    }
    rocksdb_write(db, write_options, batch, &error);
    check(error);
    rocksdb_writebatch_destroy(batch);
}

static void scan(void (*visit)(uint64_t, const void *, size_t)) {
    rocksdb_readoptions_t *options = rocksdb_readoptions_create();
    rocksdb_readoptions_set_verify_checksums(options, 1);
    rocksdb_iterator_t *it = rocksdb_create_iterator(db, options);
    for (rocksdb_iter_seek_to_first(it); rocksdb_iter_valid(it); rocksdb_iter_next(it)) {
        size_t key_bytes, bytes;
        const char *key = rocksdb_iter_key(it, &key_bytes);
        const char *value = rocksdb_iter_value(it, &bytes);
        visit(be64toh(*(const uint64_t *)key), value, bytes);
    }
    rocksdb_iter_destroy(it);
    rocksdb_readoptions_destroy(options);
}

static void close_db(void) { rocksdb_close(db); }

const struct engine rocksdb_engine = {"rocksdb", open_db, append, scan, close_db};
