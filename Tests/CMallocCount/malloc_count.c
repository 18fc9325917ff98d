// Counts every request for memory by standing in front of the C library's own functions: what the
// test executable defines wins over what its libraries bring, for all of them.
#include "malloc_count.h"

#include <stddef.h>

static __thread uint64_t count;

uint64_t malloc_count(void) { return count; }

// Sanitizers stand there themselves, and ask for memory before they have begun.
#if defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
#define MALLOC_IS_TAKEN 1
#endif
#endif

#if defined(__linux__) && defined(__GLIBC__) && !defined(MALLOC_IS_TAKEN)
extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);

void *malloc(size_t size) {
    count++;
    return __libc_malloc(size);
}
void *calloc(size_t number, size_t size) {
    count++;
    return __libc_calloc(number, size);
}
void *realloc(void *memory, size_t size) {
    count++;
    return __libc_realloc(memory, size);
}
void *memalign(size_t alignment, size_t size) {
    count++;
    return __libc_memalign(alignment, size);
}
void *aligned_alloc(size_t alignment, size_t size) {
    count++;
    return __libc_memalign(alignment, size);
}
int posix_memalign(void **memory, size_t alignment, size_t size) {
    count++;
    *memory = __libc_memalign(alignment, size);
    return *memory ? 0 : 12;
}
#endif
