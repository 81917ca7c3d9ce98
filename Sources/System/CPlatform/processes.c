// Programs, signals, threads, and what the machine grants.

#include "CPlatform.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { descriptors_max = 64 };

static bool contains(const int *numbers, int count, int number) {
    for (int i = 0; i < count; i++)
        if (numbers[i] == number) return true;
    return false;
}

/// Lists what happens to the descriptors: `sources` lie above every child number, so no step overwrites a later source.
static int describe_descriptors(
    posix_spawn_file_actions_t *actions, const int *sources, const int *children, int count, int highest) {
    int code = 0;
    for (int i = 0; i < count && !code; i++) code = posix_spawn_file_actions_adddup2(actions, sources[i], children[i]);
    for (int number = 0; number <= highest && !code; number++) {
        if (contains(children, count, number)) continue;
        if (number <= 2) {
            int mode = number == 0 ? O_RDONLY : O_WRONLY;
            code = posix_spawn_file_actions_addopen(actions, number, "/dev/null", mode, 0);
        } else {
            code = posix_spawn_file_actions_addclose(actions, number);
        }
    }
    return code ? code : posix_spawn_file_actions_addclosefrom_np(actions, highest + 1);
}

static int describe_signals(posix_spawnattr_t *attributes, bool own_group) {
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    short flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | (own_group ? POSIX_SPAWN_SETPGROUP : 0);
    int code = posix_spawnattr_setflags(attributes, flags);
    if (!code) code = posix_spawnattr_setsigmask(attributes, &none);
    if (!code) code = posix_spawnattr_setsigdefault(attributes, &all);
    if (!code) code = posix_spawnattr_setpgroup(attributes, 0);
    return code;
}

static int spawn_with(
    const char *executable, char *const *arguments, char *const *environment, const int *sources, const int *children,
    int count, int highest, bool own_group) {
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int code = posix_spawn_file_actions_init(&actions);
    if (code) return -code;
    pid_t process = 0;
    code = posix_spawnattr_init(&attributes);
    if (!code) {
        code = describe_descriptors(&actions, sources, children, count, highest);
        if (!code) code = describe_signals(&attributes, own_group);
        if (!code) code = posix_spawn(&process, executable, &actions, &attributes, arguments, environment);
        posix_spawnattr_destroy(&attributes);
    }
    posix_spawn_file_actions_destroy(&actions);
    return code ? -code : process;
}

int apus_spawn(
    const char *executable, char *const *arguments, char *const *environment, const int *parents, const int *children,
    int count, bool own_group) {
    if (count < 0 || count > descriptors_max) return -EINVAL;
    int highest = 2;
    for (int i = 0; i < count; i++) {
        if (children[i] < 0 || children[i] > 255 || contains(children, i, children[i])) return -EINVAL;
        if (children[i] > highest) highest = children[i];
    }
    int sources[descriptors_max];
    int copied = 0, result = 0;
    while (copied < count && result >= 0) {
        int copy = fcntl(parents[copied], F_DUPFD_CLOEXEC, highest + 1);
        if (copy < 0) result = -errno;
        else sources[copied++] = copy;
    }
    if (result >= 0)
        result = spawn_with(executable, arguments, environment, sources, children, count, highest, own_group);
    for (int i = 0; i < copied; i++) close(sources[i]);
    return result;
}

int apus_pid_open(int process) {
    long descriptor = syscall(SYS_pidfd_open, process, 0);
    return descriptor < 0 ? -errno : (int)descriptor;
}

int apus_wait(int process, bool blocks, int *code) {
    int status;
    pid_t result;
    do result = waitpid(process, &status, blocks ? 0 : WNOHANG);
    while (result < 0 && errno == EINTR);
    if (result < 0) return -errno;
    if (result == 0) return 0;
    *code = WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status);
    return WIFEXITED(status) ? 1 : 2;
}

int64_t apus_raise_descriptor_limit(uint64_t wanted) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0) return -errno;
    if (limit.rlim_cur >= wanted) return (int64_t)limit.rlim_cur;
    limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0) return -errno;
    return (int64_t)limit.rlim_cur;
}

int apus_kill_self_with_parent(void) { return prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0 ? -errno : 0; }

static void fill_set(sigset_t *set, const int *numbers, int count) {
    sigemptyset(set);
    for (int i = 0; i < count; i++) sigaddset(set, numbers[i]);
}

int apus_signals_block(const int *numbers, int count) {
    sigset_t set;
    fill_set(&set, numbers, count);
    return -pthread_sigmask(SIG_BLOCK, &set, NULL);
}

int apus_signals_unblock(const int *numbers, int count) {
    sigset_t set;
    fill_set(&set, numbers, count);
    return -pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

int apus_signals_descriptor(const int *numbers, int count) {
    sigset_t set;
    fill_set(&set, numbers, count);
    int descriptor = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    return descriptor < 0 ? -errno : descriptor;
}

int apus_signals_next(int descriptor) {
    struct signalfd_siginfo information;
    ssize_t count = apus_read(descriptor, &information, sizeof information);
    return count == sizeof information ? (int)information.ssi_signo : 0;
}

int apus_signal_threads(int process, int number) {
    char path[32];
    snprintf(path, sizeof path, "/proc/%d/task", process);
    DIR *folder = opendir(path);
    if (!folder) return -errno;
    int count = 0;
    for (struct dirent *entry; (entry = readdir(folder));) {
        int thread = atoi(entry->d_name);
        // A thread may end between the two.
        if (thread > 0 && syscall(SYS_tgkill, process, thread, number) == 0) count++;
    }
    closedir(folder);
    return count;
}

int apus_signal_ignore(int number) { return signal(number, SIG_IGN) == SIG_ERR ? -errno : 0; }

struct thread_start {
    char name[16];
    int niceness;
    void (*body)(void *);
    void *context;
};

static void *run_thread(void *pointer) {
    struct thread_start start = *(struct thread_start *)pointer;
    free(pointer);
    // At the far end of the thread's own stack, so that a crash handler can run when the rest is used up.
    char alternate[apus_alternate_stack_bytes] __attribute__((aligned(64)));
    apus_crash_thread_begin(start.name, alternate);
    pthread_setname_np(pthread_self(), start.name);
    // On Linux the niceness belongs to the thread, not to the process; 0 is the calling one. A refusal is harmless.
    if (start.niceness != 0) setpriority(PRIO_PROCESS, 0, start.niceness);
    start.body(start.context);
    apus_crash_thread_end();
    return NULL;
}

int apus_thread_start(
    const char *name, int niceness, size_t stack_bytes, void (*body)(void *), void *context, uint64_t *thread) {
    struct thread_start *start = calloc(1, sizeof *start);
    if (!start) return -ENOMEM;
    strncpy(start->name, name, sizeof start->name - 1);
    start->niceness = niceness;
    start->body = body;
    start->context = context;
    pthread_attr_t attributes;
    pthread_t made = 0;
    int code = pthread_attr_init(&attributes);
    if (!code) {
        size_t least = (size_t)sysconf(_SC_THREAD_STACK_MIN);
        size_t bytes = (stack_bytes < least ? least : stack_bytes) + apus_alternate_stack_bytes;
        code = pthread_attr_setstacksize(&attributes, bytes);
        if (!code) code = pthread_create(&made, &attributes, run_thread, start);
        pthread_attr_destroy(&attributes);
    }
    if (code) free(start);
    else *thread = (uint64_t)made;
    return -code;
}

int apus_thread_join(uint64_t thread) { return -pthread_join((pthread_t)thread, NULL); }

uint64_t apus_thread_self(void) { return (uint64_t)pthread_self(); }

int apus_affinity_count(void) {
    // The kernel refuses a mask smaller than its own: grow until it fits.
    for (int processors = 1024; processors <= 1 << 20; processors *= 2) {
        cpu_set_t *set = CPU_ALLOC(processors);
        if (!set) return -ENOMEM;
        size_t size = CPU_ALLOC_SIZE(processors);
        CPU_ZERO_S(size, set);
        int code = sched_getaffinity(0, size, set) < 0 ? errno : 0;
        int count = CPU_COUNT_S(size, set);
        CPU_FREE(set);
        if (!code) return count;
        if (code != EINVAL) return -code;
    }
    return -EINVAL;
}

char *const *apus_environment(void) { return environ; }

const char *apus_code_path(const void *code) {
    Dl_info place;
    return dladdr(code, &place) ? place.dli_fname : NULL;
}

const char *apus_error_text(int code, char *buffer, size_t capacity) { return strerror_r(code, buffer, capacity); }
