// The records of `Tests/IndexBench/CompactRecords.swift`, and what each engine does with them.
#pragma once
#include <stddef.h>
#include <stdint.h>

enum { BATCH = 1000, KEY_BYTES = 16, VALUE_BYTES = 100 };

struct engine {
    const char *name;
    // Opens for appending and compacting; ends the process with a sentence if it cannot.
    void (*open)(const char *folder);
    // Appends the records from `first` to before `end` in one transaction.
    void (*append)(long first, long end);
    // Leaves of each key the latest record, and gives the room of the others back.
    void (*compact)(void);
    // Calls `visit` with each record that is left.
    void (*scan)(void (*visit)(const void *key, const void *value, size_t value_bytes));
    void (*close)(void);
};

extern const struct engine sqlite_engine, rocksdb_engine;

// Key and value of a record; both are overwritten by the next call.
const char *key_of(long number);
const char *value_of(long number);
void die(const char *what, const char *why);
