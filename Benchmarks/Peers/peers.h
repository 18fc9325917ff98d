// What every engine of the comparison does: append in transactions, scan, verify.
#pragma once
#include <stddef.h>
#include <stdint.h>

enum { BATCH = 1000, VALUES = 4096 };

struct workload {
    const char *folder;
    size_t value_bytes;
    long records;
    int durable; // one synced record a transaction
};

// Opens for appending; ends the process with a sentence if it cannot.
struct engine {
    const char *name;
    void (*open)(const struct workload *work, int reading);
    // Appends `count` records beginning at `first` in one transaction.
    void (*append)(long first, long count);
    // Calls `visit` with every record in order.
    void (*scan)(void (*visit)(uint64_t offset, const void *value, size_t bytes));
    void (*close)(void);
};

extern const struct engine lmdb_engine, sqlite_engine, rocksdb_engine;

// The value of record `index`; see `Values.swift` for how it is made.
const void *value_of(long index);
size_t value_bytes(void);
void die(const char *what, const char *why);
