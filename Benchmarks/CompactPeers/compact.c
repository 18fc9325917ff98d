// compact ENGINE fill|compact|check FOLDER RECORDS KEYS: one step of a comparison.
//
// Each step is a process of its own, so that the memory of compacting is told from that of filling.
#include "compact.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t key_count;

void die(const char *what, const char *why) {
    fprintf(stderr, "compact: %s: %s\n", what, why);
    exit(1);
}

// The last steps of SplitMix64.
static uint64_t mixed(uint64_t word) {
    word += 0x9E3779B97F4A7C15ull;
    word = (word ^ word >> 30) * 0xBF58476D1CE4E5B9ull;
    word = (word ^ word >> 27) * 0x94D049BB133111EBull;
    return word ^ word >> 31;
}

const char *key_of(long number) {
    static char text[KEY_BYTES + 1];
    uint64_t key = mixed((uint64_t)number) % key_count;
    for (int index = KEY_BYTES - 1; index >= 0; index--, key >>= 4)
        text[index] = "0123456789abcdef"[key & 15];
    return text;
}

const char *value_of(long number) {
    static unsigned char bytes[VALUE_BYTES];
    for (int start = 0; start < VALUE_BYTES; start += 8) {
        uint64_t word = start ? mixed((uint64_t)number + (uint64_t)start) : (uint64_t)number;
        for (int index = start; index < start + 8 && index < VALUE_BYTES; index++, word >>= 8)
            bytes[index] = (unsigned char)word;
    }
    return (const char *)bytes;
}

static long kept;
static uint64_t digest;

static void visit(const void *key, const void *value, size_t value_bytes) {
    const unsigned char *bytes = value;
    uint64_t number = 0;
    for (int index = 7; index >= 0; index--) number = number << 8 | bytes[index];
    if (value_bytes != VALUE_BYTES || memcmp(value, value_of((long)number), VALUE_BYTES) ||
        memcmp(key, key_of((long)number), KEY_BYTES))
        die("check", "a record is not as it was put");
    kept++;
    digest += mixed(mixed(number) % key_count * 31 + number);
}

int main(int argc, char **argv) {
    if (argc != 6) die("usage", "compact ENGINE fill|compact|check FOLDER RECORDS KEYS");
    const struct engine *engine = !strcmp(argv[1], "rocksdb")  ? &rocksdb_engine
                                  : !strcmp(argv[1], "sqlite") ? &sqlite_engine
                                                               : NULL;
    if (!engine) die("unknown engine", argv[1]);
    long records = atol(argv[4]);
    key_count = (uint64_t)atol(argv[5]);
    if (records < 1 || key_count < 1) die("usage", "records and keys are numbers above zero");
    engine->open(argv[3]);
    if (!strcmp(argv[2], "fill")) {
        for (long first = 0; first < records; first += BATCH)
            engine->append(first, first + BATCH < records ? first + BATCH : records);
    } else if (!strcmp(argv[2], "compact")) {
        engine->compact();
    } else if (!strcmp(argv[2], "check")) {
        engine->scan(visit);
        printf("{\"kept\":%ld,\"digest\":\"%llx\"}\n", kept, (unsigned long long)digest);
    } else {
        die("unknown step", argv[2]);
    }
    engine->close();
    return 0;
}
