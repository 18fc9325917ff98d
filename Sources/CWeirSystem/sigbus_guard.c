// The SIGBUS guard: a mapped file that is cut, or whose medium fails, must not end the process.
//
//     touch of a lost page ─▶ SIGBUS ─▶ is it in a registered map?
//                                        yes: lay a page of zeros over it, count it, go on
//                                        no:  the handler that was there before
//
// The handler may only use what is safe in a signal: atomics and mmap. Maps are registered in a
// fixed table; a slot is published by storing its length last and withdrawn by clearing it first.
#define _GNU_SOURCE
#include "weir_system.h"

#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

// Twice `Limits.mapsMax`, so that maps on their way out do not refuse new ones.
enum { SLOT_COUNT = 8192 };

static struct {
    uintptr_t start;
    size_t byte_count; // 0: free
    uint64_t lost;
} slots[SLOT_COUNT];
static pthread_mutex_t table_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t installed = PTHREAD_ONCE_INIT;
static struct sigaction previous;
static int slots_used; // slots at and above were never used
static size_t page_size;

static int replace_page(uintptr_t address) {
    int used = __atomic_load_n(&slots_used, __ATOMIC_ACQUIRE);
    for (int i = 0; i < used; i++) {
        size_t count = __atomic_load_n(&slots[i].byte_count, __ATOMIC_ACQUIRE);
        uintptr_t start = __atomic_load_n(&slots[i].start, __ATOMIC_RELAXED);
        if (count == 0 || address < start || address - start >= count) continue;
        void *page = (void *)(address & ~(uintptr_t)(page_size - 1));
        // Counted before the page is there: whoever reads zeros can know it.
        __atomic_fetch_add(&slots[i].lost, 1, __ATOMIC_SEQ_CST);
        return mmap(page, page_size, PROT_READ, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) !=
               MAP_FAILED;
    }
    return 0;
}

static void on_bus_error(int signal, siginfo_t *info, void *context) {
    if (replace_page((uintptr_t)info->si_addr)) return;
    if (previous.sa_flags & SA_SIGINFO) {
        if (previous.sa_sigaction) previous.sa_sigaction(signal, info, context);
        return;
    }
    if (previous.sa_handler == SIG_IGN) return;
    if (previous.sa_handler != SIG_DFL) {
        previous.sa_handler(signal);
        return;
    }
    // The default: returning with it installed repeats the fault, and the process ends.
    struct sigaction fallback = {.sa_handler = SIG_DFL};
    sigaction(SIGBUS, &fallback, NULL);
}

static void install(void) {
    page_size = (size_t)sysconf(_SC_PAGESIZE);
    struct sigaction action = {0};
    action.sa_sigaction = on_bus_error;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigemptyset(&action.sa_mask);
    sigaction(SIGBUS, &action, &previous);
}

int weir_guard_add(const void *start, size_t byte_count) {
    pthread_once(&installed, install);
    pthread_mutex_lock(&table_lock);
    int found = -1;
    for (int i = 0; i < SLOT_COUNT && found < 0; i++) {
        if (slots[i].byte_count == 0) found = i;
    }
    if (found >= 0) {
        __atomic_store_n(&slots[found].start, (uintptr_t)start, __ATOMIC_RELAXED);
        __atomic_store_n(&slots[found].lost, 0, __ATOMIC_RELAXED);
        __atomic_store_n(&slots[found].byte_count, byte_count, __ATOMIC_RELEASE);
        if (found >= slots_used) __atomic_store_n(&slots_used, found + 1, __ATOMIC_RELEASE);
    }
    pthread_mutex_unlock(&table_lock);
    return found;
}

void weir_guard_remove(int slot) {
    if (slot < 0 || slot >= SLOT_COUNT) return;
    pthread_mutex_lock(&table_lock);
    __atomic_store_n(&slots[slot].byte_count, 0, __ATOMIC_RELEASE);
    pthread_mutex_unlock(&table_lock);
}

uint64_t weir_guard_lost(int slot) {
    if (slot < 0 || slot >= SLOT_COUNT) return 0;
    return __atomic_load_n(&slots[slot].lost, __ATOMIC_SEQ_CST);
}
