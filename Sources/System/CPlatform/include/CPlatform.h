// Linux calls that the Glibc module does not offer to Swift, or offers only through variadic functions.
//
// Every function that can fail returns zero or a positive result, or the negated errno. Nothing here allocates memory
// that a caller must free, and no descriptor that is made here survives an exec unless it says so.

#ifndef APUS_CPLATFORM_H
#define APUS_CPLATFORM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Readiness: epoll and eventfd

enum {
    apus_readable = 1,
    apus_writable = 2,
    apus_peer_closed = 4,
    apus_hangup = 8,
    apus_error = 16,
};

struct apus_readiness {
    uint64_t tag;
    uint32_t events;
};

int apus_epoll_create(void);
/// The read side's end is always reported, whatever `interest` says.
int apus_epoll_add(int epoll, int descriptor, uint32_t interest, uint64_t tag);
int apus_epoll_change(int epoll, int descriptor, uint32_t interest, uint64_t tag);
int apus_epoll_remove(int epoll, int descriptor);
/// Waits for at most `capacity` (256 or fewer) descriptors; a signal counts as "none ready".
int apus_epoll_wait(int epoll, struct apus_readiness *ready, int capacity, int timeout_milliseconds);

int apus_eventfd_create(void);
int apus_eventfd_signal(int descriptor);
void apus_eventfd_clear(int descriptor);

// Sockets: non-blocking and close-on-exec

int apus_listen_tcp(const char *host, uint16_t port, int backlog, uint16_t *bound_port);
int apus_listen_unix(const char *path, uint32_t mode, int backlog);
/// Gives a Unix socket to a group and lets its members connect; -ENOENT when there is no such group.
int apus_share_with_group(const char *path, const char *group);
/// A connection may still be in progress when this returns: it is writable when it is decided.
int apus_connect_tcp(const char *host, uint16_t port);
int apus_connect_unix(const char *path);
int apus_socket_error(int descriptor);
int apus_socket_pair(int descriptors[2]);
int apus_accept(int listener);
/// Makes a listening stream socket that this process was started with like one of its own: 1 for TCP, 0 for Unix,
/// -EINVAL for any other descriptor.
int apus_adopt_listener(int descriptor);
int64_t apus_read(int descriptor, void *bytes, size_t count);
int64_t apus_send(int descriptor, const void *bytes, size_t count);
int64_t apus_send_two(int descriptor, const void *first, size_t first_count, const void *second, size_t second_count);
int apus_shutdown_writing(int descriptor);
/// Writes the numeric address of the other end into `text` and whether it is a loopback address.
int apus_peer_address(int descriptor, char *text, size_t capacity, bool *is_loopback);
/// The same of this end, with its port; -EAFNOSUPPORT when it is no TCP socket.
int apus_own_address(int descriptor, char *text, size_t capacity, uint16_t *port, bool *is_loopback);

int apus_datagram_socket(void);
/// Sends one datagram to the Unix socket at `path`, where a leading '@' stands for an abstract name.
int apus_send_datagram(int descriptor, const char *path, const void *bytes, size_t count);

enum { apus_descriptors_per_message = 128 };

int64_t apus_send_descriptors(int descriptor, const void *bytes, size_t count, const int *sent, int sent_count);
/// -EMSGSIZE after closing what came when the sender's descriptors did not all fit `capacity`.
int64_t apus_receive_descriptors(
    int descriptor, void *bytes, size_t count, int *received, int capacity, int *received_count);
/// Who was at the other end of a Unix socket when it was connected; returns how many groups there are, its own first.
///
/// `capacity` is at least 1.
int apus_peer_credentials(int descriptor, int *process, uint32_t *user, uint32_t *groups, int capacity);
/// -ENOENT when there is no such group.
int apus_group_number(const char *name, uint32_t *number);

// Files and memory

/// Opens a regular file; -EISDIR for a directory, -EINVAL for a device, a pipe or a socket.
int apus_open_regular(const char *path);
int apus_open_readable(const char *path);
int apus_duplicate(int descriptor);
int apus_memory_file(const char *name, const void *bytes, size_t count, bool sealed);
/// The size of a regular or memory file; -EINVAL for anything else.
int64_t apus_file_size(int descriptor);
int64_t apus_map_private(int descriptor, size_t count, const void **bytes);
/// A memory file of zero bytes whose size nobody can change.
int apus_shared_memory_file(const char *name, size_t count);
int apus_map_shared(int descriptor, size_t count, bool writable, uint64_t **words);

enum {
    apus_seal_seals = 1,
    apus_seal_shrink = 2,
    apus_seal_grow = 4,
    apus_seal_write = 8,
    /// What is mapped for writing stays so; nobody gets a new way to write.
    apus_seal_future_write = 16,
};

/// A memory file of zero bytes that has no seal yet, and that nobody can execute where the kernel knows how.
int apus_sealable_file(const char *name, size_t count);
int apus_seal(int descriptor, int seals);
/// The seals of a memory file; -EINVAL for anything else.
int apus_seals(int descriptor);
int apus_random(void *bytes, size_t count);
int apus_close(int descriptor);

// Processes, signals and threads

/// Starts a program with exactly the given descriptors: `parents[i]` becomes `children[i]`, 0 to 2 are /dev/null unless
/// they are given, all others are closed. No signal is blocked or ignored there.
int apus_spawn(
    const char *executable, char *const *arguments, char *const *environment, const int *parents, const int *children,
    int count, bool own_group);
int apus_pid_open(int process);
/// 0: still runs. 1: `*code` is its status. 2: `*code` is the signal that ended it.
int apus_wait(int process, bool blocks, int *code);
int apus_kill_self_with_parent(void);
/// Raises the soft limit of descriptors to what is wanted, or as far as the hard limit allows; the limit then.
int64_t apus_raise_descriptor_limit(uint64_t wanted);

int apus_signals_block(const int *numbers, int count);
int apus_signals_unblock(const int *numbers, int count);
int apus_signals_descriptor(const int *numbers, int count);
/// Sends a signal to each thread of a process; how many there were.
int apus_signal_threads(int process, int number);
/// The next signal's number; 0 when none is waiting.
int apus_signals_next(int descriptor);
int apus_signal_ignore(int number);

int apus_thread_start(
    const char *name, int niceness, size_t stack_bytes, void (*body)(void *), void *context, uint64_t *thread);
int apus_thread_join(uint64_t thread);
uint64_t apus_thread_self(void);

// Words that two processes share: each is read and written as a whole, in no order with others unless it is said

static inline uint64_t apus_word_load(const uint64_t *word) { return __atomic_load_n(word, __ATOMIC_RELAXED); }
static inline void apus_word_store(uint64_t *word, uint64_t value) { __atomic_store_n(word, value, __ATOMIC_RELAXED); }
static inline uint32_t apus_half_load(const uint32_t *word) { return __atomic_load_n(word, __ATOMIC_RELAXED); }
static inline void apus_half_store(uint32_t *word, uint32_t value) { __atomic_store_n(word, value, __ATOMIC_RELAXED); }
/// What the writer of the value had written before it is seen after this.
static inline uint64_t apus_word_acquire(const uint64_t *word) { return __atomic_load_n(word, __ATOMIC_ACQUIRE); }
/// All that was read and written before is done when somebody acquires the value.
static inline void apus_word_release(uint64_t *word, uint64_t value) { __atomic_store_n(word, value, __ATOMIC_RELEASE); }
/// All stores before this are seen by others before any load after it is done.
static inline void apus_fence(void) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
/// Tells the processor that this is a loop that waits.
static inline void apus_pause(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb");
#endif
}

// Crashes

enum { apus_alternate_stack_bytes = 32 << 10 };

/// From now on a thread that crashes, or gets `dump_signal`, writes its stack as text to the descriptor:
///
///     thread NUMBER SIGNAL ADDRESS NAME      the address of a fault in hexadecimal, else 0
///     MODULE+0xOFFSET                        where it was, then the call in each caller
///     ~MODULE+0xOFFSET                       a caller that was found by looking through the stack
///
/// After a crash the process ends with the signal. Call it on the main thread, before others are started.
int apus_crash_install(int descriptor, int dump_signal);
/// Makes the calling thread known to the handler, with memory of `apus_alternate_stack_bytes` for it to run on.
void apus_crash_thread_begin(const char *name, void *alternate);
void apus_crash_thread_end(void);

// Confinement: what a process takes away from itself for good

/// No program that is started gains rights any more, and all capabilities are gone.
int apus_drop_privileges(void);

enum apus_resource { apus_core_bytes = 0, apus_descriptors = 1, apus_data_bytes = 2 };

/// Lowers the soft and the hard limit of a resource, if they are higher.
int apus_limit(enum apus_resource resource, uint64_t most);
/// Makes this process a likelier victim when memory runs out, by so many of the kernel's points.
int apus_offer_to_memory_killer(int points);
/// The version of Landlock that the kernel has.
int apus_landlock_version(void);
/// Refuses the calling thread, and those that it starts, all that the kernel's Landlock knows; its version. Without
/// `all_files`, files can still be read, and devices below /dev be written to and controlled.
int apus_landlock_refuse(bool all_files);

/// Things that a confined process may not do, by number from 0; NULL after the last.
const char *apus_attempt_name(int number);
/// Tries one of them: 0 if it was done, else why not. `parent` is a process that is not this one.
int apus_attempt(int number, int parent);

// The machine

/// Whether the processor has an instruction for CRC-32C that `apus_crc32c` can use.
bool apus_has_crc32c(void);
/// Advances the state of a checksum, which is its complement, over some bytes.
uint32_t apus_crc32c(uint32_t state, const void *bytes, size_t count);
int apus_affinity_count(void);
char *const *apus_environment(void);
/// The path of the program or library that some code was loaded from; NULL if the loader does not know.
const char *apus_code_path(const void *code);
int apus_terminal_columns(int descriptor);
/// Waits until the descriptor can be read or written.
int apus_wait_ready(int descriptor, bool writing);
/// 1 when something can be written, 0 when nothing could for so long.
int apus_wait_writable(int descriptor, int milliseconds);
/// 1 when something can be read, or the other end is gone; 0 when nothing could for so long.
int apus_wait_readable(int descriptor, int milliseconds);
int64_t apus_write(int descriptor, const void *bytes, size_t count);
const char *apus_error_text(int code, char *buffer, size_t capacity);

#endif
