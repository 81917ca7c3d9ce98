// Regular files, memory files, mappings, random bytes.

#include "CPlatform.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int fail_closing(int descriptor, int code) {
    close(descriptor);
    return -code;
}

int apus_open_readable(const char *path) {
    // Without O_NONBLOCK, opening a FIFO waits for a writer.
    int descriptor;
    do descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    while (descriptor < 0 && errno == EINTR);
    return descriptor < 0 ? -errno : descriptor;
}

int apus_open_regular(const char *path) {
    int descriptor = apus_open_readable(path);
    if (descriptor < 0) return descriptor;
    struct stat status;
    if (fstat(descriptor, &status) < 0) return fail_closing(descriptor, errno);
    if (S_ISDIR(status.st_mode)) return fail_closing(descriptor, EISDIR);
    if (!S_ISREG(status.st_mode)) return fail_closing(descriptor, EINVAL);
    return descriptor;
}

int apus_duplicate(int descriptor) {
    int copy = fcntl(descriptor, F_DUPFD_CLOEXEC, 3);
    return copy < 0 ? -errno : copy;
}

int apus_memory_file(const char *name, const void *bytes, size_t count, bool sealed) {
    int descriptor = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (descriptor < 0) return -errno;
    const char *rest = bytes;
    while (count > 0) {
        ssize_t written = write(descriptor, rest, count);
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) return fail_closing(descriptor, errno);
        if (written == 0) return fail_closing(descriptor, ENOSPC);
        rest += written;
        count -= (size_t)written;
    }
    int seals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
    if (sealed && fcntl(descriptor, F_ADD_SEALS, seals) < 0) return fail_closing(descriptor, errno);
    return descriptor;
}

int64_t apus_file_size(int descriptor) {
    struct stat status;
    // The C library may ask with a call that takes paths too, which a confined process may not make.
    if (syscall(SYS_fstat, descriptor, &status) < 0) return -errno;
    return S_ISREG(status.st_mode) ? (int64_t)status.st_size : -EINVAL;
}

int64_t apus_map_private(int descriptor, size_t count, const void **bytes) {
    void *mapped = mmap(NULL, count, PROT_READ, MAP_PRIVATE, descriptor, 0);
    if (mapped == MAP_FAILED) return -errno;
    *bytes = mapped;
    return 0;
}

int apus_shared_memory_file(const char *name, size_t count) {
    int descriptor = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (descriptor < 0) return -errno;
    if (ftruncate(descriptor, (off_t)count) < 0) return fail_closing(descriptor, errno);
    int seals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW;
    return fcntl(descriptor, F_ADD_SEALS, seals) < 0 ? fail_closing(descriptor, errno) : descriptor;
}

int apus_map_shared(int descriptor, size_t count, bool writable, uint64_t **words) {
    int64_t size = apus_file_size(descriptor);
    if (size < 0) return (int)size;
    if ((uint64_t)size < count) return -EINVAL;
    void *mapped = mmap(NULL, count, writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, descriptor, 0);
    if (mapped == MAP_FAILED) return -errno;
    *words = mapped;
    return 0;
}

// Older headers lack these: Linux 5.1 and 6.3.
#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

int apus_sealable_file(const char *name, size_t count) {
    int descriptor = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);
    if (descriptor < 0 && errno == EINVAL) descriptor = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (descriptor < 0) return -errno;
    if (ftruncate(descriptor, (off_t)count) < 0) return fail_closing(descriptor, errno);
    return descriptor;
}

static const struct {
    int ours, kernels;
} seal_bits[] = {
    {apus_seal_seals, F_SEAL_SEAL}, {apus_seal_shrink, F_SEAL_SHRINK}, {apus_seal_grow, F_SEAL_GROW},
    {apus_seal_write, F_SEAL_WRITE}, {apus_seal_future_write, F_SEAL_FUTURE_WRITE},
};

int apus_seal(int descriptor, int seals) {
    int bits = 0;
    for (size_t i = 0; i < sizeof seal_bits / sizeof *seal_bits; i++)
        if (seals & seal_bits[i].ours) bits |= seal_bits[i].kernels;
    return fcntl(descriptor, F_ADD_SEALS, bits) < 0 ? -errno : 0;
}

int apus_seals(int descriptor) {
    int bits = fcntl(descriptor, F_GET_SEALS), seals = 0;
    if (bits < 0) return -errno;
    for (size_t i = 0; i < sizeof seal_bits / sizeof *seal_bits; i++)
        if (bits & seal_bits[i].kernels) seals |= seal_bits[i].ours;
    return seals;
}

int apus_random(void *bytes, size_t count) {
    char *rest = bytes;
    while (count > 0) {
        ssize_t made = getrandom(rest, count, 0);
        if (made < 0 && errno == EINTR) continue;
        if (made < 0) return -errno;
        rest += made;
        count -= (size_t)made;
    }
    return 0;
}

// Linux closes the descriptor even when close is interrupted.
int apus_close(int descriptor) { return close(descriptor) < 0 ? -errno : 0; }

int apus_terminal_columns(int descriptor) {
    struct winsize size;
    if (ioctl(descriptor, TIOCGWINSZ, &size) < 0) return -errno;
    return size.ws_col;
}

int apus_wait_ready(int descriptor, bool writing) {
    struct pollfd wait = {.fd = descriptor, .events = writing ? POLLOUT : POLLIN};
    int result;
    do result = poll(&wait, 1, -1);
    while (result < 0 && errno == EINTR);
    return result < 0 ? -errno : 0;
}

static int wait_for(int descriptor, short events, int milliseconds) {
    struct pollfd wait = {.fd = descriptor, .events = events};
    int result = poll(&wait, 1, milliseconds);
    if (result < 0) return errno == EINTR ? 0 : -errno;
    return result;
}

int apus_wait_writable(int descriptor, int milliseconds) { return wait_for(descriptor, POLLOUT, milliseconds); }
int apus_wait_readable(int descriptor, int milliseconds) { return wait_for(descriptor, POLLIN, milliseconds); }

int64_t apus_write(int descriptor, const void *bytes, size_t count) {
    for (;;) {
        ssize_t result = write(descriptor, bytes, count);
        if (result >= 0) return result;
        if (errno != EINTR) return -errno;
    }
}
