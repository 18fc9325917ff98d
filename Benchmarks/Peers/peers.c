// peers ENGINE WORKLOAD FOLDER RECORDS: runs one workload and prints one JSON line.
#include "peers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static unsigned char *values;
static size_t bytes_each;

// xorshift64*, eight bytes at a time, little-endian; value v is seeded with v + 1.
static void make_values(size_t bytes) {
    bytes_each = bytes;
    values = malloc(bytes * VALUES);
    for (long v = 0; v < VALUES; v++) {
        uint64_t state = (uint64_t)v + 1;
        for (size_t filled = 0; filled < bytes;) {
            state ^= state >> 12, state ^= state << 25, state ^= state >> 27;
            uint64_t word = state * 0x2545F4914F6CDD1Dull;
            for (int i = 0; i < 8 && filled < bytes; i++, word >>= 8)
                values[v * bytes + filled++] = (unsigned char)word;
        }
    }
}

const void *value_of(long index) { return values + (index & (VALUES - 1)) * bytes_each; }
size_t value_bytes(void) { return bytes_each; }

void die(const char *what, const char *why) {
    fprintf(stderr, "peers: %s: %s\n", what, why);
    exit(1);
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static long seen;
static uint64_t sum, digest = 0xCBF29CE484222325ull;

// What a replay does with a record: its length and its first byte.
static void touch(uint64_t offset, const void *value, size_t bytes) {
    (void)offset;
    sum += bytes + *(const unsigned char *)value;
    seen++;
}

static void add_byte(unsigned char byte) { digest = (digest ^ byte) * 0x100000001B3ull; }

static void add_record(uint64_t offset, const void *value, size_t bytes) {
    for (int shift = 0; shift < 64; shift += 8) add_byte((unsigned char)(offset >> shift));
    for (size_t i = 0; i < bytes; i++) add_byte(((const unsigned char *)value)[i]);
    seen++;
}

static void append_all(const struct engine *engine, long first, long count, long each) {
    for (long at = first; at < first + count; at += each) engine->append(at, each);
}

int main(int argc, char **argv) {
    if (argc != 5) die("usage", "peers ENGINE WORKLOAD FOLDER RECORDS");
    const struct engine *engines[] = {&lmdb_engine, &sqlite_engine, &rocksdb_engine};
    const struct engine *engine = NULL;
    for (int i = 0; i < 3; i++)
        if (!strcmp(engines[i]->name, argv[1])) engine = engines[i];
    if (!engine) die("unknown engine", argv[1]);
    const char *name = argv[2];
    struct workload work = {argv[3], 100, atol(argv[4]), 0};
    int is_replay = !strcmp(name, "replay100"), is_verify = !strcmp(name, "verify");
    if (!strcmp(name, "append1k")) work.value_bytes = 1024;
    else if (!strcmp(name, "appendKeyed")) work.value_bytes = 100 + 16 + 24;
    else if (!strcmp(name, "durable1")) work.durable = 1;
    else if (strcmp(name, "append100") && !is_replay && !is_verify) die("unknown workload", name);
    make_values(work.value_bytes);
    engine->open(&work, is_replay || is_verify);
    double start, seconds;
    long count = work.records;
    if (is_verify) {
        engine->scan(add_record);
        printf("{\"engine\":\"%s\",\"workload\":\"verify\",\"records\":%ld,\"digest\":\"%llx\"}\n",
               engine->name, seen, (unsigned long long)digest);
        engine->close();
        return 0;
    }
    if (is_replay) {
        engine->scan(touch); // warms the page cache and this process's pages
        seen = 0;
        start = now();
        engine->scan(touch);
        seconds = now() - start;
        count = seen;
    } else {
        // A tenth first, which is not counted: the first touch of memory is slow.
        long each = work.durable ? 1 : BATCH, warm = work.durable ? 200 : count / 10;
        append_all(engine, 0, warm, each);
        start = now();
        append_all(engine, warm, count, each);
        seconds = now() - start;
    }
    printf("{\"engine\":\"%s\",\"workload\":\"%s\",\"records\":%ld,\"bytes\":%ld,"
           "\"seconds\":%.6f,\"recordsPerSecond\":%ld}\n",
           engine->name, name, count, count * (long)work.value_bytes, seconds,
           (long)((double)count / seconds));
    engine->close();
    return sum == 1; // so that no reading is optimised away
}
