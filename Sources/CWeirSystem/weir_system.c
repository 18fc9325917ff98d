#define _GNU_SOURCE
#include "weir_system.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#ifdef __linux__
#include <linux/fs.h>
#include <linux/futex.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

// Of Linux 5.14; older C libraries have no name for it.
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif

// The kernel's `struct open_how`, whose header not every distribution ships.
struct weir_open_how {
    uint64_t flags, mode, resolve;
};
enum { RESOLVE_NO_MAGICLINKS_BIT = 2, RESOLVE_NO_SYMLINKS_BIT = 4, RESOLVE_BENEATH_BIT = 8 };

int weir_openat2_beneath(int directory, const char *path, int flags, mode_t mode) {
#ifdef SYS_openat2
    struct weir_open_how how = {
        .flags = (uint64_t)flags,
        .mode = (flags & O_CREAT) ? mode : 0,
        .resolve = RESOLVE_NO_MAGICLINKS_BIT | RESOLVE_NO_SYMLINKS_BIT | RESOLVE_BENEATH_BIT,
    };
    return (int)syscall(SYS_openat2, directory, path, &how, sizeof how);
#else
    errno = ENOSYS;
    return -1;
#endif
}

void weir_futex_wait(const uint32_t *word, uint32_t value, long milliseconds) {
    struct timespec timeout = {milliseconds / 1000, (milliseconds % 1000) * 1000000};
    syscall(SYS_futex, word, FUTEX_WAIT, value, &timeout, NULL, 0);
}

void weir_futex_bump(uint32_t *word) {
    __atomic_fetch_add(word, 1, __ATOMIC_RELEASE);
    syscall(SYS_futex, word, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
}
#else
int weir_openat2_beneath(int directory, const char *path, int flags, mode_t mode) {
    errno = ENOSYS;
    return -1;
}

void weir_futex_wait(const uint32_t *word, uint32_t value, long milliseconds) {
    // No futex that works between processes: look again every millisecond.
    for (long i = 0; i < milliseconds; i++) {
        if (__atomic_load_n(word, __ATOMIC_ACQUIRE) != value) return;
        struct timespec pause = {0, 1000000};
        nanosleep(&pause, NULL);
    }
}

void weir_futex_bump(uint32_t *word) { __atomic_fetch_add(word, 1, __ATOMIC_RELEASE); }
#endif

int weir_reserve(int descriptor, off_t start, off_t byte_count) {
#ifdef __linux__
    return fallocate(descriptor, FALLOC_FL_KEEP_SIZE, start, byte_count);
#else
    return -1;
#endif
}

int weir_clone(int source, int target) {
#ifdef FICLONE
    return ioctl(target, FICLONE, source);
#else
    return -1;
#endif
}

void weir_start_writing(int descriptor, off_t start, off_t byte_count) {
#ifdef __linux__
    sync_file_range(descriptor, start, byte_count, SYNC_FILE_RANGE_WRITE);
#endif
}

#ifdef F_OFD_SETLK
int weir_lock_take(int descriptor) {
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (fcntl(descriptor, F_OFD_SETLK, &lock) == 0) return 0;
    return errno == EAGAIN || errno == EACCES ? 1 : -1;
}

int weir_lock_query(int descriptor) {
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (fcntl(descriptor, F_OFD_GETLK, &lock) != 0) return -1;
    return lock.l_type == F_UNLCK ? 0 : 1;
}
#else
int weir_lock_take(int descriptor) {
    if (flock(descriptor, LOCK_EX | LOCK_NB) == 0) return 0;
    return errno == EWOULDBLOCK ? 1 : -1;
}

int weir_lock_query(int descriptor) {
    // A shared lock, taken and dropped at once, tells the same.
    if (flock(descriptor, LOCK_SH | LOCK_NB) == 0) return flock(descriptor, LOCK_UN);
    return errno == EWOULDBLOCK ? 1 : -1;
}
#endif

#ifdef MADV_POPULATE_READ
// How many bytes from an address on are in memory, if a few are asked for: cheaper to know than to
// bring in again, as a replay would that goes from batch to batch.
static size_t bytes_in_memory(const void *start, size_t byte_count, size_t seen) {
    unsigned char pages[64];
    size_t page_size = (size_t)sysconf(_SC_PAGESIZE), index = 0;
    size_t all = sizeof pages * page_size, wanted = seen > byte_count ? seen : byte_count;
    if (byte_count > all) return 0;
    if (wanted > all) wanted = all;
    if (mincore((void *)start, wanted, pages) != 0) return 0;
    size_t count = (wanted + page_size - 1) / page_size;
    while (index < count && (pages[index] & 1)) index++;
    return index * page_size;
}
#endif

int weir_is_in_memory(const void *start, size_t byte_count) {
#ifdef MADV_POPULATE_READ
    return bytes_in_memory(start, byte_count, 0) >= byte_count;
#else
    (void)start, (void)byte_count;
    return 0;
#endif
}

int weir_populate(const void *start, size_t byte_count, int is_owner, size_t *seen) {
#ifdef MADV_POPULATE_READ
    // Who neither owns nor may write the file is told that all of it is in memory.
    size_t there = is_owner ? bytes_in_memory(start, byte_count, *seen) : 0;
    *seen = there > byte_count ? there : byte_count;
    if (there >= byte_count) return 0;
    madvise((void *)start, byte_count, MADV_WILLNEED);
    while (madvise((void *)start, byte_count, MADV_POPULATE_READ) != 0) {
        // EINVAL: a kernel before 5.14. More than was there already is not known to be there now.
        if (errno == EINVAL) {
            *seen = there;
            return 0;
        }
        if (errno != EINTR && errno != EAGAIN) return errno;
    }
    return 0;
#else
    (void)is_owner;
    *seen = byte_count;
    return madvise((void *)start, byte_count, MADV_WILLNEED) == 0 ? 0 : errno;
#endif
}

void weir_yield_to_others(int niceness) {
#ifdef __linux__
    // The kernel's `struct sched_attr` as far as it is asked for here. Since Linux 6.12 the run
    // time of a common thread is the length of its turns: a thread that wakes with a shorter one
    // (of 0.7 to 3 ms unless somebody set it) interrupts this one, and does not wait for the next
    // tick of a clock that may count 4 ms. Its share of the processor stays. Older kernels take
    // the niceness alone. Of the calling thread only, as Linux has it. Refused: then it is a
    // thread like others.
    int nice_now = getpriority(PRIO_PROCESS, 0);
    struct {
        uint32_t size, policy;
        uint64_t flags;
        int32_t nice;
        uint32_t priority;
        uint64_t runtime, deadline, period;
    } attributes = {
        .size = sizeof attributes,
        .nice = nice_now > niceness ? nice_now : niceness,
        .runtime = 100000000,
    };
    (void)syscall(SYS_sched_setattr, 0, &attributes, 0);
#else
    (void)niceness;
#endif
}
