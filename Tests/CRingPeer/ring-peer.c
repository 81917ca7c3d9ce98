#include "ring_peer.h"

#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static uint64_t allocations;

uint64_t ring_peer_allocations(void) { return __atomic_load_n(&allocations, __ATOMIC_RELAXED); }

int ring_peer_refuse_system_calls(void) { return prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT); }

void ring_peer_exit(int status) { syscall(SYS_exit, status); }

#if !defined(__SANITIZE_ADDRESS__) && !__has_feature(address_sanitizer) && !__has_feature(thread_sanitizer)

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);

static void count(void) { __atomic_fetch_add(&allocations, 1, __ATOMIC_RELAXED); }

void *malloc(size_t size) {
    count();
    return __libc_malloc(size);
}

void *calloc(size_t number, size_t size) {
    count();
    return __libc_calloc(number, size);
}

void *realloc(void *old, size_t size) {
    count();
    return __libc_realloc(old, size);
}

#endif
