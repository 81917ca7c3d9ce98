// libseccomp names its actions and the kernel's flags with macros that Swift does not see.
#pragma once
#include <errno.h>
#include <linux/sched.h>
#include <seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>

/// The call fails: it is not allowed.
static const uint32_t apus_seccomp_refuse = SCMP_ACT_ERRNO(EPERM);
/// The call fails as if the kernel did not have it.
static const uint32_t apus_seccomp_unknown = SCMP_ACT_ERRNO(ENOSYS);
static const uint32_t apus_seccomp_allow = SCMP_ACT_ALLOW;

static const uint64_t apus_new_namespaces = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER |
                                            CLONE_NEWPID | CLONE_NEWNET;
static const uint64_t apus_clone_thread = CLONE_THREAD;
/// Names of threads, and of pieces of memory, which newer C libraries give.
static const uint64_t apus_set_thread_name = PR_SET_NAME, apus_get_thread_name = PR_GET_NAME;
static const uint64_t apus_set_vma = 0x53564d41;
static const uint64_t apus_priority_process = PRIO_PROCESS;
/// Commands of fcntl that seal a memory file, and tell its seals.
static const int32_t apus_add_seals = 1033, apus_get_seals = 1034;
