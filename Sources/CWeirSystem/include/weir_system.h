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

// Lets `target` share all blocks of `source`. Returns 0, or -1 where it cannot.
int weir_clone(int source, int target);

// Has a range's dirty pages be written, and does not wait for them.
void weir_start_writing(int descriptor, off_t start, off_t byte_count);

// Lets threads that wake have the processor at once, for as long as this one lives; with a niceness
// above 0, its share becomes smaller, too.
void weir_yield_to_others(int niceness);

// Open-file-description locks. Both return 0 for yes, 1 for "somebody else holds it", or -1 with
// errno. The query takes nothing.
int weir_lock_take(int descriptor);
int weir_lock_query(int descriptor);

// Brings mapped pages into memory; returns 0, or an errno. EFAULT: the file behind is gone.
// `is_owner`: the file is this user's, so that the kernel tells truly which pages are there.
// `seen` says how many bytes the caller would like to know about, and then how many are there:
// fewer than were asked for where the kernel cannot bring pages in. A touch under the guard can.
int weir_populate(const void *start, size_t byte_count, int is_owner, size_t *seen);

// Whether all of a few mapped pages are in memory, so that a touch waits for no disk. The file must
// be this user's; 0 where the system does not tell, and for more than 64 pages.
int weir_is_in_memory(const void *start, size_t byte_count);

// Registers a map with the SIGBUS guard. A touch of a page that the file no longer has then finds
// zeros, and the map is marked. Returns a slot, or -1 if there are too many maps.
int weir_guard_add(const void *start, size_t byte_count);
void weir_guard_remove(int slot);
// How many pages of the map were lost since it was registered.
uint64_t weir_guard_lost(int slot);

// Local stream sockets; what is made neither blocks nor reaches a child that is executed. Each
// returns -1 with errno; ENAMETOOLONG for a path that no address holds.
int weir_socket_make(void);
int weir_socket_accept(int descriptor);
int weir_socket_bind(int descriptor, const char *path);
int weir_socket_connect(int descriptor, const char *path);
// No signal comes where the other side is gone: EPIPE is all.
ssize_t weir_socket_send(int descriptor, const void *bytes, size_t byte_count);
// The user on the other side, as the kernel noted it when the two met.
int weir_socket_peer(int descriptor, uid_t *user);
int weir_pipe(int ends[2]);
int weir_socket_listen(int descriptor);
