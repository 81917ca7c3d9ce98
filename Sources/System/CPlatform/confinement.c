// What a process takes away from itself for good, and how it finds out what it still may do.

#include "CPlatform.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

int apus_drop_privileges(void) {
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) return -errno;
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {};
    return syscall(SYS_capset, &header, none) < 0 ? -errno : 0;
}

int apus_limit(enum apus_resource resource, uint64_t most) {
    static const int numbers[] = {RLIMIT_CORE, RLIMIT_NOFILE, RLIMIT_DATA};
    struct rlimit limit;
    if (getrlimit(numbers[resource], &limit) < 0) return -errno;
    // Only a privileged process may raise the hard limit, and this is about lowering it.
    if (most < limit.rlim_max) limit.rlim_max = most;
    if (most < limit.rlim_cur) limit.rlim_cur = most;
    return setrlimit(numbers[resource], &limit) < 0 ? -errno : 0;
}

int apus_offer_to_memory_killer(int points) {
    int descriptor = open("/proc/self/oom_score_adj", O_RDWR | O_CLOEXEC);
    if (descriptor < 0) return -errno;
    char text[16] = {};
    int own = 0, code = read(descriptor, text, sizeof text - 1) < 0 ? errno : 0;
    if (!code && sscanf(text, "%d", &own) == 1) {
        int wanted = own + points > 1000 ? 1000 : own + points;
        int count = snprintf(text, sizeof text, "%d", wanted);
        if (pwrite(descriptor, text, (size_t)count, 0) < 0) code = errno;
    }
    close(descriptor);
    return -code;
}

// Landlock. The numbers are the kernel's; its header may be older than the kernel that runs.

struct landlock_ruleset {
    uint64_t files, network, scoped;
};

struct landlock_path {
    uint64_t allowed;
    int32_t folder;
} __attribute__((packed));

enum {
    landlock_create_ruleset = 444,
    landlock_add_rule = 445,
    landlock_restrict_self = 446,
    landlock_tell_version = 1,
    landlock_rule_path = 1,
};

/// Rights to files.
enum { may_write = 1 << 1, may_read = 1 << 2, may_list = 1 << 3, may_control_devices = 1 << 15 };

int apus_landlock_version(void) {
    long version = syscall(landlock_create_ruleset, NULL, 0, landlock_tell_version);
    return version < 0 ? -errno : (int)version;
}

/// How many access rights to files each version knows; the rights are the lowest bits.
static int file_rights(int version) {
    static const int counts[] = {0, 13, 14, 15, 15, 16};
    return counts[version < 5 ? version : 5];
}

static int allow_below(const char *path, uint64_t rights, int ruleset) {
    int folder = open(path, O_PATH | O_CLOEXEC);
    if (folder < 0) return errno;
    struct landlock_path rule = {rights, folder};
    int code = syscall(landlock_add_rule, ruleset, landlock_rule_path, &rule, 0) < 0 ? errno : 0;
    close(folder);
    return code;
}

int apus_landlock_refuse(bool all_files) {
    int version = apus_landlock_version();
    if (version <= 0) return version < 0 ? version : -ENOSYS;
    // What a rule set handles is refused where no rule allows it.
    struct landlock_ruleset handled = {
        .files = (1ull << file_rights(version)) - 1,
        .network = 3,  // binding and connecting of TCP sockets
        .scoped = 3,   // abstract Unix sockets and signals to processes outside
    };
    size_t size = version < 4 ? 8 : version < 6 ? 16 : 24;
    long ruleset = syscall(landlock_create_ruleset, &handled, size, 0);
    if (ruleset < 0) return -errno;
    int code = 0;
    if (!all_files) {
        uint64_t devices = may_read | may_list | may_write | may_control_devices;
        code = allow_below("/", may_read | may_list, (int)ruleset);
        if (!code) code = allow_below("/dev", devices & handled.files, (int)ruleset);
    }
    if (!code) code = syscall(landlock_restrict_self, (int)ruleset, 0) < 0 ? errno : 0;
    close((int)ruleset);
    return code ? -code : version;
}

// Attempts: each is harmless if it succeeds, and its result is the system's answer to the one thing that it tries.

static int answer(long result) { return result < 0 ? -errno : 0; }

static int answer_closing(int descriptor) {
    if (descriptor < 0) return -errno;
    close(descriptor);
    return 0;
}

static int open_a_file(int parent) {
    (void)parent;
    return answer_closing(open("/proc/self/status", O_RDONLY | O_CLOEXEC));
}

static int make_a_file(int parent) {
    (void)parent;
    return answer_closing(open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
}

static int list_a_folder(int parent) {
    (void)parent;
    return answer_closing(open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

static int look_at_a_path(int parent) {
    (void)parent;
    struct stat status;
    return answer(stat("/", &status));
}

static int connect_over_tcp(int parent) {
    (void)parent;
    int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (descriptor < 0) return -errno;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(9)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int code = answer(connect(descriptor, (struct sockaddr *)&address, sizeof address));
    close(descriptor);
    return code;
}

static int make_a_udp_socket(int parent) {
    (void)parent;
    return answer_closing(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
}

static int make_a_unix_socket(int parent) {
    (void)parent;
    return answer_closing(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
}

/// No such program exists: whoever may not start one is not even told that.
static int start_a_program(int parent) {
    (void)parent;
    char *arguments[] = {"none", NULL};
    return answer(execve("/apus-confinement-check/none", arguments, arguments + 1));
}

static int fork_a_process(int parent) {
    (void)parent;
    // Not fork(): the C library would run its handlers in the child.
    long child = syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
    if (child == 0) _exit(0);
    if (child > 0) waitpid((pid_t)child, NULL, 0);
    return answer(child);
}

static int trace_the_parent(int parent) { return answer(ptrace(PTRACE_PEEKUSER, parent, NULL, NULL)); }

static int read_the_parents_memory(int parent) {
    char byte;
    struct iovec here = {.iov_base = &byte, .iov_len = 1}, there = {.iov_base = NULL, .iov_len = 1};
    return answer(process_vm_readv(parent, &here, 1, &there, 1, 0));
}

static int signal_the_parent(int parent) { return answer(kill(parent, 0)); }

static int take_new_namespaces(int parent) {
    (void)parent;
    return answer(unshare(CLONE_FS | CLONE_SYSVSEM));
}

static int use_io_uring(int parent) {
    (void)parent;
    enum { io_uring_setup = 425 };
    return answer(syscall(io_uring_setup, 0, NULL));
}

static int raise_a_limit(int parent) {
    (void)parent;
    struct rlimit limit = {.rlim_cur = 0, .rlim_max = 0};
    return answer(setrlimit(RLIMIT_CORE, &limit));
}

static const struct {
    const char *name;
    int (*run)(int parent);
} attempts[] = {
    {"open a file", open_a_file},
    {"make a file", make_a_file},
    {"list a folder", list_a_folder},
    {"look at a path", look_at_a_path},
    {"connect over TCP", connect_over_tcp},
    {"make a UDP socket", make_a_udp_socket},
    {"make a Unix socket", make_a_unix_socket},
    {"start a program", start_a_program},
    {"fork a process", fork_a_process},
    {"trace the parent", trace_the_parent},
    {"read the parent's memory", read_the_parents_memory},
    {"signal the parent", signal_the_parent},
    {"take new namespaces", take_new_namespaces},
    {"use io_uring", use_io_uring},
    {"change a limit", raise_a_limit},
};

const char *apus_attempt_name(int number) {
    int count = sizeof attempts / sizeof attempts[0];
    return number >= 0 && number < count ? attempts[number].name : NULL;
}

int apus_attempt(int number, int parent) { return attempts[number].run(parent); }
