// epoll and eventfd.

#include "CPlatform.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

int apus_epoll_create(void) {
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    return epoll < 0 ? -errno : epoll;
}

static int control(int epoll, int operation, int descriptor, uint32_t interest, uint64_t tag) {
    struct epoll_event event = {.events = EPOLLRDHUP, .data = {.u64 = tag}};
    if (interest & apus_readable) event.events |= EPOLLIN;
    if (interest & apus_writable) event.events |= EPOLLOUT;
    return epoll_ctl(epoll, operation, descriptor, &event) < 0 ? -errno : 0;
}

int apus_epoll_add(int epoll, int descriptor, uint32_t interest, uint64_t tag) {
    return control(epoll, EPOLL_CTL_ADD, descriptor, interest, tag);
}

int apus_epoll_change(int epoll, int descriptor, uint32_t interest, uint64_t tag) {
    return control(epoll, EPOLL_CTL_MOD, descriptor, interest, tag);
}

int apus_epoll_remove(int epoll, int descriptor) { return control(epoll, EPOLL_CTL_DEL, descriptor, 0, 0); }

int apus_epoll_wait(int epoll, struct apus_readiness *ready, int capacity, int timeout_milliseconds) {
    struct epoll_event events[256];
    if (capacity > 256) capacity = 256;
    int count = epoll_wait(epoll, events, capacity, timeout_milliseconds);
    if (count < 0) return errno == EINTR ? 0 : -errno;
    for (int i = 0; i < count; i++) {
        uint32_t from = events[i].events, to = 0;
        if (from & EPOLLIN) to |= apus_readable;
        if (from & EPOLLOUT) to |= apus_writable;
        if (from & EPOLLRDHUP) to |= apus_peer_closed;
        if (from & EPOLLHUP) to |= apus_hangup;
        if (from & EPOLLERR) to |= apus_error;
        ready[i] = (struct apus_readiness){.tag = events[i].data.u64, .events = to};
    }
    return count;
}

int apus_eventfd_create(void) {
    int descriptor = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    return descriptor < 0 ? -errno : descriptor;
}

int apus_eventfd_signal(int descriptor) {
    uint64_t one = 1;
    // A full counter means that the wake-up is already there.
    return write(descriptor, &one, sizeof one) < 0 && errno != EAGAIN ? -errno : 0;
}

void apus_eventfd_clear(int descriptor) {
    uint64_t count;
    while (read(descriptor, &count, sizeof count) < 0 && errno == EINTR) {}
}
