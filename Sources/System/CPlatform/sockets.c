// Stream sockets: TCP, Unix, pairs, and descriptors that travel over them.

#include "CPlatform.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static int fail_closing(int descriptor) {
    int code = errno;
    close(descriptor);
    return -code;
}

static int resolve(const char *host, uint16_t port, int flags, struct addrinfo **found) {
    char service[8];
    snprintf(service, sizeof service, "%u", (unsigned)port);
    struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = flags | AI_NUMERICSERV};
    switch (getaddrinfo(host, service, &hints, found)) {
    case 0: return 0;
    case EAI_SYSTEM: return -errno;
    case EAI_MEMORY: return -ENOMEM;
    case EAI_AGAIN: return -EAGAIN;
    default: return -EADDRNOTAVAIL;
    }
}

/// Accepted connections inherit all of this.
static void set_connection_options(int listener) {
    int on = 1, idle_seconds = 60, interval_seconds = 15, probes = 4;
    setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    // A peer whose machine has gone says nothing: without probes, a request that waits would wait for ever.
    setsockopt(listener, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    setsockopt(listener, IPPROTO_TCP, TCP_KEEPIDLE, &idle_seconds, sizeof idle_seconds);
    setsockopt(listener, IPPROTO_TCP, TCP_KEEPINTVL, &interval_seconds, sizeof interval_seconds);
    setsockopt(listener, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
}

static int listen_at(const struct addrinfo *address, int backlog) {
    int type = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC;
    int listener = socket(address->ai_family, type, address->ai_protocol);
    if (listener < 0) return -errno;
    int on = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    set_connection_options(listener);
    if (bind(listener, address->ai_addr, address->ai_addrlen) < 0) return fail_closing(listener);
    if (listen(listener, backlog) < 0) return fail_closing(listener);
    return listener;
}

static uint16_t port_of(int listener) {
    struct sockaddr_storage bound = {0};
    socklen_t size = sizeof bound;
    if (getsockname(listener, (struct sockaddr *)&bound, &size) < 0) return 0;
    if (bound.ss_family == AF_INET) return ntohs(((struct sockaddr_in *)&bound)->sin_port);
    return ntohs(((struct sockaddr_in6 *)&bound)->sin6_port);
}

int apus_adopt_listener(int descriptor) {
    struct sockaddr_storage bound = {0};
    socklen_t size = sizeof bound;
    int type = 0, listens = 0;
    socklen_t option = sizeof type;
    if (getsockname(descriptor, (struct sockaddr *)&bound, &size) < 0) return -errno;
    if (getsockopt(descriptor, SOL_SOCKET, SO_TYPE, &type, &option) < 0) return -errno;
    if (getsockopt(descriptor, SOL_SOCKET, SO_ACCEPTCONN, &listens, &option) < 0) return -errno;
    bool is_tcp = bound.ss_family == AF_INET || bound.ss_family == AF_INET6;
    if (type != SOCK_STREAM || !listens || !(is_tcp || bound.ss_family == AF_UNIX)) return -EINVAL;
    int flags = fcntl(descriptor, F_GETFL);
    if (flags < 0 || fcntl(descriptor, F_SETFL, flags | O_NONBLOCK) < 0) return -errno;
    if (fcntl(descriptor, F_SETFD, FD_CLOEXEC) < 0) return -errno;
    if (is_tcp) set_connection_options(descriptor);
    return is_tcp;
}

int apus_listen_tcp(const char *host, uint16_t port, int backlog, uint16_t *bound_port) {
    struct addrinfo *found = NULL;
    int result = resolve(host, port, AI_PASSIVE, &found);
    if (result < 0) return result;
    result = -EADDRNOTAVAIL;
    for (struct addrinfo *address = found; address && result < 0; address = address->ai_next)
        result = listen_at(address, backlog);
    freeaddrinfo(found);
    if (result >= 0) *bound_port = port_of(result);
    return result;
}

static int unix_address(const char *path, struct sockaddr_un *address) {
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    size_t length = strlen(path);
    if (length == 0) return -EINVAL;
    if (length >= sizeof address->sun_path) return -ENAMETOOLONG;
    memcpy(address->sun_path, path, length);
    return 0;
}

static int unix_socket(void) {
    int descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    return descriptor < 0 ? -errno : descriptor;
}

int apus_listen_unix(const char *path, uint32_t mode, int backlog) {
    struct sockaddr_un address;
    int result = unix_address(path, &address);
    if (result < 0) return result;
    int listener = unix_socket();
    if (listener < 0) return listener;
    // The mode is set on the inode before it is visible under its name: nobody connects in between.
    if (fchmod(listener, mode) < 0) return fail_closing(listener);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0) return fail_closing(listener);
    if (chmod(path, mode) < 0 || listen(listener, backlog) < 0) {
        int code = errno;
        unlink(path);
        close(listener);
        return -code;
    }
    return listener;
}

int apus_group_number(const char *name, uint32_t *number) {
    char names[16 << 10];
    struct group entry, *found = NULL;
    int code = getgrnam_r(name, &entry, names, sizeof names, &found);
    if (code != 0) return -code;
    if (!found) return -ENOENT;
    *number = entry.gr_gid;
    return 0;
}

int apus_share_with_group(const char *path, const char *group) {
    gid_t number;
    int result = apus_group_number(group, &number);
    if (result < 0) return result;
    // The group comes before its permission.
    return lchown(path, (uid_t)-1, number) < 0 || chmod(path, 0660) < 0 ? -errno : 0;
}

int apus_connect_tcp(const char *host, uint16_t port) {
    struct addrinfo *found = NULL;
    int result = resolve(host, port, 0, &found);
    if (result < 0) return result;
    result = -EADDRNOTAVAIL;
    for (struct addrinfo *address = found; address && result < 0; address = address->ai_next) {
        int descriptor = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (descriptor < 0) {
            result = -errno;
            continue;
        }
        int on = 1;
        setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        bool connects = connect(descriptor, address->ai_addr, address->ai_addrlen) == 0 || errno == EINPROGRESS;
        result = connects ? descriptor : fail_closing(descriptor);
    }
    freeaddrinfo(found);
    return result;
}

int apus_connect_unix(const char *path) {
    struct sockaddr_un address;
    int result = unix_address(path, &address);
    if (result < 0) return result;
    int descriptor = unix_socket();
    if (descriptor < 0) return descriptor;
    if (connect(descriptor, (struct sockaddr *)&address, sizeof address) < 0) return fail_closing(descriptor);
    return descriptor;
}

int apus_datagram_socket(void) {
    int descriptor = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    return descriptor < 0 ? -errno : descriptor;
}

int apus_send_datagram(int descriptor, const char *path, const void *bytes, size_t count) {
    struct sockaddr_un address;
    int result = unix_address(path, &address);
    if (result < 0) return result;
    socklen_t size = sizeof address;
    if (path[0] == '@') {
        // An abstract name begins with a zero byte and ends where its length says.
        address.sun_path[0] = 0;
        size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
    }
    for (;;) {
        ssize_t sent = sendto(descriptor, bytes, count, MSG_NOSIGNAL, (struct sockaddr *)&address, size);
        if (sent >= 0) return 0;
        if (errno != EINTR) return -errno;
    }
}

int apus_socket_error(int descriptor) {
    int code = 0;
    socklen_t size = sizeof code;
    return getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &code, &size) < 0 ? -errno : -code;
}

int apus_socket_pair(int descriptors[2]) {
    return socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, descriptors) < 0 ? -errno : 0;
}

int apus_accept(int listener) {
    for (;;) {
        int descriptor = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (descriptor >= 0) return descriptor;
        // A connection that died in the queue, or an interruption, says nothing about the next one.
        if (errno != EINTR && errno != ECONNABORTED && errno != EPROTO) return -errno;
    }
}

int64_t apus_read(int descriptor, void *bytes, size_t count) {
    for (;;) {
        ssize_t result = read(descriptor, bytes, count);
        if (result >= 0) return result;
        if (errno != EINTR) return -errno;
    }
}

int64_t apus_send(int descriptor, const void *bytes, size_t count) {
    for (;;) {
        ssize_t result = send(descriptor, bytes, count, MSG_NOSIGNAL);
        if (result >= 0) return result;
        if (errno != EINTR) return -errno;
    }
}

static int64_t send_message(int descriptor, const struct msghdr *message) {
    for (;;) {
        ssize_t result = sendmsg(descriptor, message, MSG_NOSIGNAL);
        if (result >= 0) return result;
        if (errno != EINTR) return -errno;
    }
}

int64_t apus_send_two(int descriptor, const void *first, size_t first_count, const void *second, size_t second_count) {
    struct iovec parts[2] = {{(void *)first, first_count}, {(void *)second, second_count}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    return send_message(descriptor, &message);
}

int apus_shutdown_writing(int descriptor) { return shutdown(descriptor, SHUT_WR) < 0 ? -errno : 0; }

/// Writes the address as text; a socket of another family has none.
static int describe(const struct sockaddr_storage *from, char *text, size_t capacity, uint16_t *port, bool *loopback) {
    *loopback = false;
    if (from->ss_family == AF_INET) {
        const struct sockaddr_in *address = (const struct sockaddr_in *)from;
        *loopback = (ntohl(address->sin_addr.s_addr) >> 24) == 127;
        *port = ntohs(address->sin_port);
        return inet_ntop(AF_INET, &address->sin_addr, text, capacity) ? 0 : -errno;
    }
    if (from->ss_family == AF_INET6) {
        const struct sockaddr_in6 *address = (const struct sockaddr_in6 *)from;
        bool mapped = IN6_IS_ADDR_V4MAPPED(&address->sin6_addr);
        *loopback = mapped ? address->sin6_addr.s6_addr[12] == 127 : IN6_IS_ADDR_LOOPBACK(&address->sin6_addr);
        *port = ntohs(address->sin6_port);
        return inet_ntop(AF_INET6, &address->sin6_addr, text, capacity) ? 0 : -errno;
    }
    return -EAFNOSUPPORT;
}

int apus_peer_address(int descriptor, char *text, size_t capacity, bool *is_loopback) {
    struct sockaddr_storage peer = {0};
    socklen_t size = sizeof peer;
    uint16_t port;
    if (getpeername(descriptor, (struct sockaddr *)&peer, &size) < 0) return -errno;
    return describe(&peer, text, capacity, &port, is_loopback);
}

int apus_own_address(int descriptor, char *text, size_t capacity, uint16_t *port, bool *is_loopback) {
    struct sockaddr_storage own = {0};
    socklen_t size = sizeof own;
    if (getsockname(descriptor, (struct sockaddr *)&own, &size) < 0) return -errno;
    return describe(&own, text, capacity, port, is_loopback);
}

union control_buffer {
    struct cmsghdr alignment;
    char bytes[CMSG_SPACE(apus_descriptors_per_message * sizeof(int))];
};

int64_t apus_send_descriptors(int descriptor, const void *bytes, size_t count, const int *sent, int sent_count) {
    if (sent_count < 0 || sent_count > apus_descriptors_per_message) return -EINVAL;
    if (sent_count == 0) return apus_send(descriptor, bytes, count);
    union control_buffer control = {0};
    struct iovec part = {(void *)bytes, count};
    size_t size = (size_t)sent_count * sizeof(int);
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = CMSG_SPACE(size)};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(size);
    memcpy(CMSG_DATA(header), sent, size);
    return send_message(descriptor, &message);
}

/// Takes every descriptor out of a message; those that do not fit are closed. Returns whether all fitted.
static bool take_descriptors(struct msghdr *message, int *received, int capacity, int *received_count) {
    bool fits = true;
    for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header; header = CMSG_NXTHDR(message, header)) {
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
        size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int one;
            memcpy(&one, CMSG_DATA(header) + i * sizeof(int), sizeof(int));
            if (*received_count < capacity) {
                received[(*received_count)++] = one;
            } else {
                close(one);
                fits = false;
            }
        }
    }
    return fits;
}

int64_t apus_receive_descriptors(
    int descriptor, void *bytes, size_t count, int *received, int capacity, int *received_count) {
    union control_buffer control = {0};
    struct iovec part = {bytes, count};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
    ssize_t result;
    do result = recvmsg(descriptor, &message, MSG_CMSG_CLOEXEC);
    while (result < 0 && errno == EINTR);
    *received_count = 0;
    if (result < 0) return -errno;
    bool fits = take_descriptors(&message, received, capacity, received_count);
    if (fits && !(message.msg_flags & MSG_CTRUNC)) return result;
    for (int i = 0; i < *received_count; i++) close(received[i]);
    *received_count = 0;
    return -EMSGSIZE;
}

int apus_peer_credentials(int descriptor, int *process, uint32_t *user, uint32_t *groups, int capacity) {
    struct ucred peer = {0};
    socklen_t size = sizeof peer;
    if (getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0) return -errno;
    *process = peer.pid;
    *user = peer.uid;
    groups[0] = peer.gid;
    size = (socklen_t)(capacity - 1) * sizeof groups[0];
    // More than there is room for are none: nobody is let in because of a part of them.
    if (getsockopt(descriptor, SOL_SOCKET, SO_PEERGROUPS, groups + 1, &size) < 0) return 1;
    return 1 + (int)(size / sizeof groups[0]);
}
