// What the threads of a process were doing when it crashed, or when somebody asks.
//
// The handler uses its stack and what was prepared before, takes no lock, allocates nothing, and makes no system call but
// write, and tgkill to end the process: so it works in a confined process, inside malloc, and with a broken heap.

#include "CPlatform.h"

#include <errno.h>
#include <link.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

enum {
    modules_max = 64,
    frames_max = 64,
    /// Words of the stack that are looked through for the frame that called a library.
    searched_words = 512,
    /// One write of this length does not mix with those of other threads.
    record_bytes = 4096,
};

struct module {
    uintptr_t base, start, end;
    char name[48];
};

static struct {
    int descriptor;
    int dump_signal;
    int process;
    int module_count;
    /// The program itself comes first.
    struct module modules[modules_max];
} crash = {.descriptor = -1};

struct thread_place {
    int id;
    uintptr_t stack_low, stack_high;
    char name[16];
};

// In a program, this model needs no call to find the variable.
static _Thread_local struct thread_place here __attribute__((tls_model("initial-exec")));

// What is known about a thread before anything happens

static void use_alternate_stack(void *bytes) {
    stack_t stack = {.ss_sp = bytes, .ss_size = apus_alternate_stack_bytes};
    sigaltstack(&stack, NULL);
}

void apus_crash_thread_begin(const char *name, void *alternate) {
    here.id = (int)syscall(SYS_gettid);
    strncpy(here.name, name, sizeof here.name - 1);
    pthread_attr_t attributes;
    void *low;
    size_t bytes;
    // Without its bounds nothing of the stack is read.
    if (pthread_getattr_np(pthread_self(), &attributes) == 0) {
        if (pthread_attr_getstack(&attributes, &low, &bytes) == 0) {
            here.stack_low = (uintptr_t)low;
            here.stack_high = (uintptr_t)low + bytes;
        }
        pthread_attr_destroy(&attributes);
    }
    use_alternate_stack(alternate);
}

void apus_crash_thread_end(void) {
    stack_t none = {.ss_flags = SS_DISABLE};
    sigaltstack(&none, NULL);
}

static int note_module(struct dl_phdr_info *information, size_t size, void *context) {
    (void)size;
    const char *path = information->dlpi_name;
    // The program has no name here.
    if (!path || !*path) path = context;
    const char *slash = strrchr(path, '/');
    for (int i = 0; i < information->dlpi_phnum && crash.module_count < modules_max; i++) {
        const ElfW(Phdr) *part = &information->dlpi_phdr[i];
        if (part->p_type != PT_LOAD || !(part->p_flags & PF_X)) continue;
        struct module *module = &crash.modules[crash.module_count++];
        module->base = information->dlpi_addr;
        module->start = information->dlpi_addr + part->p_vaddr;
        module->end = module->start + part->p_memsz;
        strncpy(module->name, slash ? slash + 1 : path, sizeof module->name - 1);
    }
    return 0;
}

// Finding frames

static const struct module *module_of(uintptr_t address) {
    for (int i = 0; i < crash.module_count; i++)
        if (address >= crash.modules[i].start && address < crash.modules[i].end) return &crash.modules[i];
    return NULL;
}

/// Whether a call may have put this address on the stack: it lies in code, behind a call instruction.
static bool is_return_address(uintptr_t address) {
    const struct module *module = module_of(address);
    if (!module || address - module->start < 8) return false;
    const unsigned char *code = (const unsigned char *)address;
#if defined(__x86_64__)
    if (code[-5] == 0xE8) return true;
    // call through a register or through memory: FF /2, with 0 to 5 bytes of addressing
    for (int length = 2; length <= 7; length++)
        if (code[-length] == 0xFF && (code[-length + 1] & 0x38) == 0x10) return true;
    return false;
#elif defined(__aarch64__)
    if (address % 4) return false;
    uint32_t instruction;
    memcpy(&instruction, code - 4, sizeof instruction);
    return instruction >> 26 == 0x25 || (instruction & 0xFFFFFC1F) == 0xD63F0000;
#else
    return true;
#endif
}

static bool is_on_stack(uintptr_t address, size_t bytes) {
    return address % sizeof(uintptr_t) == 0 && address >= here.stack_low && address < here.stack_high
        && here.stack_high - address >= bytes;
}

static uintptr_t word_at(uintptr_t address) { return *(const uintptr_t *)address; }

/// A frame: the address of the caller's frame, and above it the return address.
static bool is_frame(uintptr_t frame) {
    return is_on_stack(frame, 2 * sizeof(uintptr_t)) && is_return_address(word_at(frame + sizeof(uintptr_t)));
}

struct registers {
    uintptr_t instruction, stack, frame;
};

static struct registers registers_of(const ucontext_t *context) {
#if defined(__x86_64__)
    const greg_t *all = context->uc_mcontext.gregs;
    return (struct registers){(uintptr_t)all[REG_RIP], (uintptr_t)all[REG_RSP], (uintptr_t)all[REG_RBP]};
#elif defined(__aarch64__)
    const mcontext_t *all = &context->uc_mcontext;
    return (struct registers){all->pc, all->sp, all->regs[29]};
#else
    (void)context;
    return (struct registers){0, 0, 0};
#endif
}

/// Looks above the stack pointer for the place in the program from which a library without frames was called.
///
/// Returns that return address, or 0, and sets `*frame` to the frame of the function that it is in.
static uintptr_t find_caller(uintptr_t stack, uintptr_t *frame) {
    uintptr_t saved = 0;
    for (int i = 0; i < searched_words; i++, stack += sizeof(uintptr_t)) {
        if (!is_on_stack(stack, sizeof(uintptr_t))) return 0;
        uintptr_t word = word_at(stack);
        if (module_of(word) == &crash.modules[0] && is_return_address(word)) {
            if (*frame <= stack || !is_frame(*frame)) *frame = saved;
            return word;
        }
        // The library may have saved the frame on its own part of the stack, below the return address.
        if (word > stack && is_frame(word)) saved = word;
    }
    return 0;
}

// Writing them down

struct text {
    size_t count;
    char bytes[record_bytes];
};

static void put(struct text *text, const char *string) {
    while (*string && text->count < sizeof text->bytes) text->bytes[text->count++] = *string++;
}

static void put_number(struct text *text, uint64_t number, unsigned base) {
    char digits[24] = {0};
    int first = sizeof digits - 1;
    do digits[--first] = "0123456789abcdef"[number % base];
    while ((number /= base) && first > 0);
    put(text, &digits[first]);
}

static void put_frame(struct text *text, const char *mark, uintptr_t address) {
    const struct module *module = module_of(address);
    put(text, mark);
    put(text, module ? module->name : "?");
    put(text, "+0x");
    put_number(text, module ? address - module->base : address, 16);
    put(text, "\n");
}

/// A return address less one is inside the call.
static void put_stack(struct text *text, const ucontext_t *context) {
    struct registers at = registers_of(context);
    put_frame(text, "", at.instruction);
    if (module_of(at.instruction) != &crash.modules[0] || !is_frame(at.frame)) {
        uintptr_t caller = find_caller(at.stack, &at.frame);
        if (caller) put_frame(text, "~", caller - 1);
    }
    for (int i = 0; i < frames_max && is_frame(at.frame); i++) {
        put_frame(text, "", word_at(at.frame + sizeof(uintptr_t)) - 1);
        uintptr_t next = word_at(at.frame);
        // Callers are further up, so this ends.
        if (next <= at.frame) break;
        at.frame = next;
    }
}

static void write_all(const char *bytes, size_t count) {
    while (count > 0) {
        ssize_t written = write(crash.descriptor, bytes, count);
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) return;
        bytes += written;
        count -= (size_t)written;
    }
}

static void handle(int number, siginfo_t *information, void *context) {
    int saved = errno;
    struct text text = {.count = 0};
    put(&text, "thread ");
    put_number(&text, (uint64_t)here.id, 10);
    put(&text, " ");
    put_number(&text, (uint64_t)number, 10);
    put(&text, " ");
    // Only a fault has an address; a signal that somebody sent has a sender in the same place.
    put_number(&text, information->si_code > 0 ? (uintptr_t)information->si_addr : 0, 16);
    put(&text, " ");
    put(&text, here.name);
    put(&text, "\n");
    put_stack(&text, context);
    // A record that did not fit still ends its last line.
    text.bytes[text.count - 1] = '\n';
    write_all(text.bytes, text.count);
    // A signal that was sent would not come again by itself. It waits until the handler has returned.
    if (number != crash.dump_signal)
        syscall(SYS_tgkill, crash.process, here.id ? here.id : (int)syscall(SYS_gettid), number);
    errno = saved;
}

int apus_crash_install(int descriptor, int dump_signal) {
    crash.descriptor = descriptor;
    crash.dump_signal = dump_signal;
    crash.process = getpid();
    char path[256] = "";
    if (readlink("/proc/self/exe", path, sizeof path - 1) < 0) strcpy(path, "program");
    crash.module_count = 0;
    dl_iterate_phdr(note_module, path);
    static char alternate[apus_alternate_stack_bytes] __attribute__((aligned(64)));
    apus_crash_thread_begin("main", alternate);
    const int fatal[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP, SIGSYS};
    // The second time the signal has its default action, which ends the process with it.
    struct sigaction action = {.sa_sigaction = handle, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESETHAND};
    // A fault inside the handler ends the process too: the kernel does not wait with what is blocked then.
    sigfillset(&action.sa_mask);
    for (size_t i = 0; i < sizeof fatal / sizeof *fatal; i++)
        if (sigaction(fatal[i], &action, NULL) < 0) return -errno;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
    return sigaction(dump_signal, &action, NULL) < 0 ? -errno : 0;
}
