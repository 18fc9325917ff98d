// What Swift cannot call by itself: openat2, futexes across processes, and a SIGBUS guard.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

// Opens beneath `directory` without following symbolic links. Returns a descriptor, or -1 with
// errno; ENOSYS where the kernel has no openat2.
int weir_openat2_beneath(int directory, const char *path, int flags, mode_t mode);

// Waits while `*word == value`, at most `milliseconds`; works across processes and on maps that
// may only be read. Returns at once where there are no futexes, after sleeping the time.
void weir_futex_wait(const uint32_t *word, uint32_t value, long milliseconds);
// Adds one to `*word` and wakes everybody who waits on it.
void weir_futex_bump(uint32_t *word);

// Allocates blocks and leaves the file's size. Returns 0, or -1 where it cannot.
int weir_reserve(int descriptor, off_t start, off_t byte_count);

// Open-file-description locks. Both return 0 for yes, 1 for "somebody else holds it", or -1 with
// errno. The query takes nothing.
int weir_lock_take(int descriptor);
int weir_lock_query(int descriptor);

// Brings mapped pages into memory; returns 0, or an errno. EFAULT: the file behind is gone.
int weir_populate(const void *start, size_t byte_count);

// Registers a map with the SIGBUS guard. A touch of a page that the file no longer has then finds
// zeros, and the map is marked. Returns a slot, or -1 if there are too many maps.
int weir_guard_add(const void *start, size_t byte_count);
void weir_guard_remove(int slot);
// How many pages of the map were lost since it was registered.
uint64_t weir_guard_lost(int slot);
