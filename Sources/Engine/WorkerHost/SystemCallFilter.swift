import CSeccomp
import Glibc
import Platform

/// The system calls of a confined worker.
///
/// They are those that the native engine makes, or, where a vendor's library runs, all but those that no engine needs.
/// Others fail with `EPERM` instead of ending the process. The C library asks for a call now and then and manages without
/// it, and with another release it asks for others: a list that kills would turn an update of the system into a server
/// that does not start.
enum SystemCallFilter {
    /// Calls that are harmless whatever their arguments are.
    ///
    /// None of them takes a path, makes a socket or names another process.
    private static let calls = [
        // the link, the log, model files
        "read", "readv", "pread64", "write", "writev", "recvmsg", "recvfrom", "sendmsg", "sendto", "close", "fstat",
        "memfd_create", "ftruncate", "lseek",
        // waiting
        "epoll_create1", "epoll_ctl", "epoll_wait", "epoll_pwait", "epoll_pwait2", "eventfd2", "poll", "ppoll",
        "futex", "futex_wait", "futex_wake", "nanosleep", "clock_nanosleep", "restart_syscall", "sched_yield",
        // memory
        "brk", "munmap", "mremap", "madvise", "mincore", "membarrier",
        // time, randomness, what the machine is
        "clock_gettime", "clock_getres", "gettimeofday", "time", "getrandom", "sysinfo", "uname", "sched_getaffinity",
        "getcpu",
        // threads and signals of this process
        "getpid", "getppid", "gettid", "set_robust_list", "rseq", "sigaltstack", "rt_sigaction", "rt_sigprocmask",
        "rt_sigreturn", "exit", "exit_group",
    ]

    /// A call that is allowed if all conditions hold for its arguments.
    private struct Rule {
        let call: String
        let conditions: [scmp_arg_cmp]

        init(_ call: String, _ conditions: scmp_arg_cmp...) {
            self.call = call
            self.conditions = conditions
        }
    }

    private static var rules: [Rule] {
        let own = UInt64(getpid())
        let executable = UInt64(PROT_EXEC), anonymous = UInt64(MAP_ANONYMOUS)
        let commands = [F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_DUPFD_CLOEXEC, apus_add_seals, apus_get_seals]
        let names = [apus_set_thread_name, apus_get_thread_name, apus_set_vma]
        return [
            // A thread, never a process, and never a namespace.
            Rule("clone", bits(0, of: apus_clone_thread | apus_new_namespaces, are: apus_clone_thread)),
            // Machine code is made by the regular expressions' compiler, in memory; none comes from a file.
            Rule("mmap", bits(2, of: executable, are: 0)),
            Rule("mmap", bits(2, of: executable, are: executable), bits(3, of: anonymous, are: anonymous)),
            Rule("mprotect", bits(2, of: executable, are: 0)),
            // Niceness of the calling thread.
            Rule("setpriority", equal(0, apus_priority_process), equal(1, 0)),
            // Reading a limit, not setting one.
            Rule("prlimit64", equal(0, 0), equal(2, 0)), Rule("getrlimit"),
            // A crash ends this process with its signal.
            Rule("tgkill", equal(0, own)),
        ] + commands.map { Rule("fcntl", equal(1, UInt64($0))) } + names.map { Rule("prctl", equal(0, $0)) }
    }

    /// Calls that a vendor's library may not make: what it calls besides is unknown.
    ///
    /// They start programs, make sockets, touch other processes, or change the machine. Files are Landlock's part.
    private static let refusedCalls = [
        "execve", "execveat", "fork", "vfork", "socket", "connect", "bind", "listen", "accept", "accept4",
        "ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "pidfd_open", "pidfd_getfd",
        "pidfd_send_signal", "tkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "setns", "unshare", "mount", "umount2",
        "pivot_root", "chroot", "open_tree", "move_mount", "fsopen", "fsmount", "fspick", "mount_setattr",
        "open_by_handle_at", "io_uring_setup", "bpf", "perf_event_open", "userfaultfd", "keyctl", "add_key",
        "request_key", "init_module", "finit_module", "delete_module", "kexec_load", "kexec_file_load", "reboot",
        "swapon", "swapoff", "sethostname", "setdomainname", "settimeofday", "clock_settime", "adjtimex",
        "clock_adjtime", "acct", "quotactl", "ioperm", "iopl",
    ]

    private static var refusedRules: [Rule] {
        let own = UInt64(getpid())
        return [
            Rule("clone", bits(0, of: apus_clone_thread, are: 0)), Rule("kill", other(0, than: own)),
            Rule("tgkill", other(0, than: own)),
        ]
    }

    /// Puts the filter into force for all threads, for good.
    static func install(for code: Confinement.Code) throws(SystemError) {
        guard let filter = seccomp_init(code == .own ? apus_seccomp_refuse : apus_seccomp_allow) else {
            throw SystemError(operation: "make a system-call filter", code: ENOMEM)
        }
        defer { seccomp_release(filter) }
        try check(seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1), "cover all threads")
        try check(seccomp_attr_set(filter, SCMP_FLTATR_API_SYSRAWRC, 1), "tell the system's errors")
        // A search tree: the filter runs at every call.
        try check(seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2), "sort")
        // Older kernels would also slow all code down, against a process that reads its own memory by speculation. Nothing
        // in here is kept from anything else in here. Kernels without that choice refuse it.
        _ = seccomp_attr_set(filter, SCMP_FLTATR_CTL_SSB, 1)
        let (listed, action) =
            code == .own
            ? (calls.map { Rule($0) } + rules, apus_seccomp_allow)
            : (refusedCalls.map { Rule($0) } + refusedRules, apus_seccomp_refuse)
        for rule in listed { try add(rule.call, rule.conditions, action, to: filter) }
        // Its flags are in memory, where a filter cannot look. The C library then starts threads with `clone`.
        try add("clone3", [], apus_seccomp_unknown, to: filter)
        try check(seccomp_load(filter), "put into force")
    }

    private static func add(
        _ call: String, _ conditions: [scmp_arg_cmp], _ action: UInt32, to filter: scmp_filter_ctx
    ) throws(SystemError) {
        let number = seccomp_syscall_resolve_name(call)
        // Unknown to this release of the library: nobody here makes it.
        guard number != -1 else { return }
        let result = seccomp_rule_add_array(filter, action, number, UInt32(conditions.count), conditions)
        // Some calls exist on some processors only.
        if result != -EDOM { try check(result, "rule for \(call)") }
    }

    private static func check(_ result: Int32, _ step: String) throws(SystemError) {
        guard result >= 0 else { throw SystemError(operation: "system-call filter: \(step)", code: -result) }
    }

    private static func equal(_ argument: UInt32, _ value: UInt64) -> scmp_arg_cmp {
        scmp_arg_cmp(arg: argument, op: SCMP_CMP_EQ, datum_a: value, datum_b: 0)
    }

    private static func other(_ argument: UInt32, than value: UInt64) -> scmp_arg_cmp {
        scmp_arg_cmp(arg: argument, op: SCMP_CMP_NE, datum_a: value, datum_b: 0)
    }

    private static func bits(_ argument: UInt32, of mask: UInt64, are value: UInt64) -> scmp_arg_cmp {
        scmp_arg_cmp(arg: argument, op: SCMP_CMP_MASKED_EQ, datum_a: mask, datum_b: value)
    }
}
