//! The system calls a container may make: moby's default policy, as a table of our own.
//!
//! Everything not named is answered with EPERM, and `clone3` with ENOSYS so that libraries fall back to `clone`,
//! whose flags a filter can see. Groups are added with the capability that makes them harmless to allow.

use std::collections::BTreeSet;

use oci_spec::runtime::{
    Arch, LinuxSeccomp, LinuxSeccompAction, LinuxSeccompArg, LinuxSeccompArgBuilder, LinuxSeccompBuilder,
    LinuxSeccompOperator, LinuxSyscall, LinuxSyscallBuilder,
};

const ALWAYS: &str = "accept accept4 access adjtimex alarm bind brk cachestat capget capset chdir chmod chown chown32 \
 clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime clock_gettime64 clock_nanosleep \
 clock_nanosleep_time64 close close_range connect copy_file_range creat dup dup2 dup3 epoll_create epoll_create1 \
 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd eventfd2 execve execveat exit \
 exit_group faccessat faccessat2 fadvise64 fadvise64_64 fallocate fanotify_mark fchdir fchmod fchmodat fchmodat2 fchown \
 fchown32 fchownat fcntl fcntl64 fdatasync fgetxattr flistxattr flock fork fremovexattr fsetxattr fstat fstat64 \
 fstatat64 fstatfs fstatfs64 fsync ftruncate ftruncate64 futex futex_requeue futex_time64 futex_wait futex_waitv \
 futex_wake futimesat getcpu getcwd getdents getdents64 getegid getegid32 geteuid geteuid32 getgid getgid32 getgroups \
 getgroups32 getitimer getpeername getpgid getpgrp getpid getppid getpriority getrandom getresgid getresgid32 \
 getresuid getresuid32 getrlimit get_robust_list getrusage getsid getsockname getsockopt get_thread_area gettid \
 gettimeofday getuid getuid32 getxattr getxattrat inotify_add_watch inotify_init inotify_init1 inotify_rm_watch \
 io_cancel ioctl io_destroy io_getevents io_pgetevents io_pgetevents_time64 ioprio_get ioprio_set io_setup io_submit \
 ipc kill landlock_add_rule landlock_create_ruleset landlock_restrict_self lchown lchown32 lgetxattr link linkat \
 listen listmount listxattr listxattrat llistxattr _llseek lremovexattr lseek lsetxattr lstat lstat64 madvise \
 map_shadow_stack membarrier memfd_create memfd_secret mincore mkdir mkdirat mknod mknodat mlock mlock2 mlockall mmap \
 mmap2 mprotect mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedreceive_time64 mq_timedsend \
 mq_timedsend_time64 mq_unlink mremap mseal msgctl msgget msgrcv msgsnd msync munlock munlockall munmap name_to_handle_at \
 nanosleep newfstatat _newselect open openat openat2 pause pidfd_open pidfd_send_signal pipe pipe2 pkey_alloc \
 pkey_free pkey_mprotect poll ppoll ppoll_time64 prctl pread64 preadv preadv2 prlimit64 process_mrelease pselect6 \
 pselect6_time64 pwrite64 pwritev pwritev2 read readahead readlink readlinkat readv recv recvfrom recvmmsg \
 recvmmsg_time64 recvmsg remap_file_pages removexattr removexattrat rename renameat renameat2 restart_syscall rmdir rseq \
 rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait \
 rt_sigtimedwait_time64 rt_tgsigqueueinfo sched_getaffinity sched_getattr sched_getparam sched_get_priority_max \
 sched_get_priority_min sched_getscheduler sched_rr_get_interval sched_rr_get_interval_time64 sched_setaffinity \
 sched_setattr sched_setparam sched_setscheduler sched_yield seccomp select semctl semget semop semtimedop \
 semtimedop_time64 send sendfile sendfile64 sendmmsg sendmsg sendto setfsgid setfsgid32 setfsuid setfsuid32 setgid \
 setgid32 setgroups setgroups32 setitimer setpgid setpriority setregid setregid32 setresgid setresgid32 setresuid \
 setresuid32 setreuid setreuid32 setrlimit set_robust_list setsid setsockopt set_thread_area set_tid_address setuid \
 setuid32 setxattr setxattrat shmat shmctl shmdt shmget shutdown sigaltstack signalfd signalfd4 sigprocmask sigreturn \
 socketcall socketpair splice stat stat64 statfs statfs64 statmount statx symlink symlinkat sync sync_file_range syncfs \
 sysinfo tee tgkill time timer_create timer_delete timer_getoverrun timer_gettime timer_gettime64 timer_settime \
 timer_settime64 timerfd_create timerfd_gettime timerfd_gettime64 timerfd_settime timerfd_settime64 times tkill \
 truncate truncate64 ugetrlimit umask uname unlink unlinkat uretprobe utime utimensat utimensat_time64 utimes vfork \
 vmsplice wait4 waitid waitpid write writev process_vm_readv process_vm_writev ptrace \
 arch_prctl modify_ldt";

/// Needs the capability beside it; without it the kernel refuses anyway, or the call is too broad.
const WITH_CAPABILITY: &[(&str, &str)] = &[
    ("DAC_READ_SEARCH", "open_by_handle_at"),
    (
        "SYS_ADMIN",
        "bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie lsm_get_self_attr \
         lsm_list_modules lsm_set_self_attr mount mount_setattr move_mount open_tree perf_event_open quotactl quotactl_fd \
         setdomainname sethostname setns syslog umount umount2 unshare",
    ),
    ("SYS_BOOT", "reboot"),
    ("SYS_CHROOT", "chroot"),
    ("SYS_MODULE", "delete_module init_module finit_module"),
    ("SYS_PACCT", "acct"),
    ("SYS_PTRACE", "kcmp pidfd_getfd process_madvise"),
    ("SYS_RAWIO", "iopl ioperm"),
    ("SYS_TIME", "settimeofday stime clock_settime clock_settime64"),
    ("SYS_TTY_CONFIG", "vhangup"),
    ("SYS_NICE", "get_mempolicy mbind set_mempolicy set_mempolicy_home_node"),
    ("SYSLOG", "syslog"),
    ("BPF", "bpf"),
    ("PERFMON", "perf_event_open"),
];

/// Every `CLONE_NEW…` flag: a container without `SYS_ADMIN` makes no namespaces.
const NEW_NAMESPACES: u64 = 0x7e02_0000;
const AF_VSOCK: u64 = 40;
const ENOSYS: u32 = 38;
const EPERM: u32 = 1;

/// The default policy for a container with these capabilities.
pub fn default_profile(capabilities: &BTreeSet<&str>) -> LinuxSeccomp {
    let mut syscalls = vec![allow(words(ALWAYS))];
    syscalls.extend(personalities());
    // Sockets of every family but vsock, which would reach past the network namespace.
    syscalls.push(allow_if(&["socket"], argument(0, AF_VSOCK, None, LinuxSeccompOperator::ScmpCmpNe)));
    let mut granted = Vec::new();
    for (capability, names) in WITH_CAPABILITY {
        if capabilities.contains(capability) {
            granted.extend(words(names));
        }
    }
    granted.sort();
    granted.dedup();
    if !granted.is_empty() {
        syscalls.push(allow(granted));
    }
    if !capabilities.contains("SYS_ADMIN") {
        let no_new = argument(0, NEW_NAMESPACES, Some(0), LinuxSeccompOperator::ScmpCmpMaskedEq);
        syscalls.push(allow_if(&["clone"], no_new));
        syscalls.push(refuse(&["clone3"], ENOSYS));
    }
    build(
        LinuxSeccompBuilder::default()
            .default_action(LinuxSeccompAction::ScmpActErrno)
            .default_errno_ret(EPERM)
            .architectures([Arch::ScmpArchX86_64, Arch::ScmpArchX86, Arch::ScmpArchX32])
            .syscalls(syscalls)
            .build(),
    )
}

/// `personality` only to the values programs ask for: Linux, Linux32, with UNAME26, and "what is it".
fn personalities() -> impl Iterator<Item = LinuxSyscall> {
    [0x0, 0x8, 0x2_0000, 0x2_0008, 0xffff_ffff]
        .into_iter()
        .map(|value| allow_if(&["personality"], argument(0, value, None, LinuxSeccompOperator::ScmpCmpEq)))
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

fn allow(names: Vec<String>) -> LinuxSyscall {
    build(LinuxSyscallBuilder::default().names(names).action(LinuxSeccompAction::ScmpActAllow).build())
}

fn allow_if(names: &[&str], argument: LinuxSeccompArg) -> LinuxSyscall {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    build(
        LinuxSyscallBuilder::default()
            .names(names)
            .action(LinuxSeccompAction::ScmpActAllow)
            .args([argument])
            .build(),
    )
}

fn refuse(names: &[&str], errno: u32) -> LinuxSyscall {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    build(
        LinuxSyscallBuilder::default()
            .names(names)
            .action(LinuxSeccompAction::ScmpActErrno)
            .errno_ret(errno)
            .build(),
    )
}

fn argument(index: usize, value: u64, two: Option<u64>, op: LinuxSeccompOperator) -> LinuxSeccompArg {
    let builder = LinuxSeccompArgBuilder::default().index(index).value(value).op(op);
    build(match two {
        Some(two) => builder.value_two(two).build(),
        None => builder.build(),
    })
}

/// Builders fail only when a required field is missing, which the calls above never leave out.
fn build<T>(built: Result<T, oci_spec::OciSpecError>) -> T {
    built.expect("every required field is given")
}
