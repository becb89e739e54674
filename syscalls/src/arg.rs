//! The types of system call arguments: a `Copy` newtype over what the kernel takes out of the 64-bit register.
//!
//! A type says the width the kernel looks at (an int parameter loses its upper half, as in the kernel's own entry
//! code) and, for the decoder, what the word means. No type validates: which values are legal, and which errno comes
//! first, is for the handler to say. The inner value is public, because handlers read it in their first lines.

use core::fmt;

/// An address in a guest's memory. Never dereferenced here; zero is the null pointer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct GuestAddr(pub u64);

impl GuestAddr {
    /// The null pointer.
    pub const NULL: Self = Self(0);

    /// Whether this is the null pointer.
    pub const fn is_null(self) -> bool {
        self.0 == 0
    }

    /// The address `bytes` further on, or nothing where that would wrap.
    pub const fn checked_add(self, bytes: u64) -> Option<Self> {
        match self.0.checked_add(bytes) {
            Some(addr) => Some(Self(addr)),
            None => None,
        }
    }
}

impl fmt::Debug for GuestAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_null() { f.write_str("NULL") } else { write!(f, "{:#x}", self.0) }
    }
}

/// How many bits of an argument register the kernel looks at.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Width {
    /// The low 32: the kernel's parameter is an int or an unsigned int.
    Low32,
    /// All 64: the kernel's parameter is a long, a size or a pointer.
    Full64,
}

/// Makes a typed argument of the word in the register.
pub trait FromRaw: Copy {
    /// What the decoder makes of it.
    const KIND: Kind;

    /// The argument as the kernel would take it: the upper half of an int is dropped.
    fn from_raw(raw: u64) -> Self;
}

macro_rules! argument_types {
    (
        $( int $int:ident($repr:ty) $width:ident $int_doc:literal; )*
        --
        $( pointer $ptr:ident $ptr_doc:literal; )*
    ) => {
        /// The type of an argument as a value: one variant for each type of this module, of the same name.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        #[non_exhaustive]
        pub enum Kind {
            $( #[doc = $int_doc] $int, )*
            $( #[doc = $ptr_doc] $ptr, )*
        }

        impl Kind {
            /// How much of the register the kernel looks at.
            pub const fn width(self) -> Width {
                match self {
                    $( Self::$int => Width::$width, )*
                    $( Self::$ptr => Width::Full64, )*
                }
            }

            /// The name of the type.
            pub const fn name(self) -> &'static str {
                match self {
                    $( Self::$int => stringify!($int), )*
                    $( Self::$ptr => stringify!($ptr), )*
                }
            }

            /// Whether the argument is an address in the guest's memory.
            pub const fn is_pointer(self) -> bool {
                match self {
                    $( Self::$int => false, )*
                    $( Self::$ptr => true, )*
                }
            }
        }

        $(
            #[doc = $int_doc]
            #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
            pub struct $int(pub $repr);

            impl $int {
                /// The value.
                pub const fn get(self) -> $repr {
                    self.0
                }
            }

            impl FromRaw for $int {
                const KIND: Kind = Kind::$int;

                fn from_raw(raw: u64) -> Self {
                    Self(raw as $repr)
                }
            }
        )*

        $(
            #[doc = $ptr_doc]
            #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
            pub struct $ptr(pub GuestAddr);

            impl $ptr {
                /// The address.
                pub const fn addr(self) -> GuestAddr {
                    self.0
                }

                /// Whether it is the null pointer.
                pub const fn is_null(self) -> bool {
                    self.0.is_null()
                }
            }

            impl FromRaw for $ptr {
                const KIND: Kind = Kind::$ptr;

                fn from_raw(raw: u64) -> Self {
                    Self(GuestAddr(raw))
                }
            }

            impl From<$ptr> for GuestAddr {
                fn from(pointer: $ptr) -> Self {
                    pointer.0
                }
            }
        )*
    };
}

argument_types! {
    int Fd(i32) Low32 "A descriptor of the caller.";
    int DirFd(i32) Low32 "A directory of the caller's to start from, or [`DirFd::CWD`].";
    int Int(i32) Low32 "An int without a type of its own.";
    int Uint(u32) Low32 "An unsigned int without a type of its own.";
    int Long(i64) Full64 "A long without a type of its own.";
    int Ulong(u64) Full64 "An unsigned long without a type of its own.";
    int Size(u64) Full64 "A `size_t`, in bytes.";
    int Off(i64) Full64 "A file offset, in bytes.";
    int Mode(u32) Low32 "The mode of a file, with or without its type (inode(7)).";
    int Uid(u32) Low32 "A user id as the guest knows it; all ones mean \"leave it\".";
    int Gid(u32) Low32 "A group id as the guest knows it; all ones mean \"leave it\".";
    int Pid(i32) Low32 "A process, process group or 0 as the guest knows it.";
    int Tid(i32) Low32 "A thread as the guest knows it.";
    int Dev(u32) Low32 "A device number in the encoding of mknod(2).";
    int Signal(i32) Low32 "The number of a signal (signal(7)).";
    int OpenFlags(u32) Low32 "`O_*` of open(2).";
    int FdFlags(u32) Low32 "`O_CLOEXEC`, `O_NONBLOCK` and what else a call that makes descriptors takes.";
    int AtFlags(u32) Low32 "`AT_*` of the calls whose names end in \"at\".";
    int AccessMode(i32) Low32 "`R_OK`, `W_OK`, `X_OK` of access(2).";
    int Whence(u32) Low32 "`SEEK_*` of lseek(2).";
    int FcntlCmd(u32) Low32 "`F_*` of fcntl(2).";
    int IoctlCmd(u32) Low32 "A command of ioctl(2).";
    int FlockOp(u32) Low32 "`LOCK_*` of flock(2).";
    int RenameFlags(u32) Low32 "`RENAME_*` of renameat2(2).";
    int XattrFlags(i32) Low32 "`XATTR_*` of setxattr(2).";
    int StatxMask(u32) Low32 "`STATX_*` of statx(2).";
    int MountFlags(u64) Full64 "`MS_*` of mount(2).";
    int UmountFlags(i32) Low32 "`MNT_*` of umount2(2).";
    int MemfdFlags(u32) Low32 "`MFD_*` of memfd_create(2).";
    int RandomFlags(u32) Low32 "`GRND_*` of getrandom(2).";
    int MmapProt(u64) Full64 "`PROT_*` of mmap(2).";
    int MmapFlags(u64) Full64 "`MAP_*` of mmap(2).";
    int MremapFlags(u64) Full64 "`MREMAP_*` of mremap(2).";
    int MsyncFlags(i32) Low32 "`MS_*` of msync(2).";
    int Advice(i32) Low32 "`MADV_*` of madvise(2).";
    int CloneFlags(u64) Full64 "`CLONE_*` of clone(2), with the exit signal in the low byte.";
    int WaitFlags(i32) Low32 "`W*` of wait4(2) and waitid(2).";
    int FutexOp(i32) Low32 "`FUTEX_*` of futex(2).";
    int PrctlOp(i32) Low32 "`PR_*` of prctl(2).";
    int PtraceOp(i64) Full64 "`PTRACE_*` of ptrace(2).";
    int ClockId(i32) Low32 "`CLOCK_*` of clock_gettime(2).";
    int Resource(u32) Low32 "`RLIMIT_*` of getrlimit(2).";
    int SigHow(i32) Low32 "`SIG_BLOCK`, `SIG_UNBLOCK`, `SIG_SETMASK`.";
    int EpollOp(i32) Low32 "`EPOLL_CTL_*` of epoll_ctl(2).";
    int Domain(i32) Low32 "`AF_*` of socket(2).";
    int SockType(i32) Low32 "`SOCK_*` of socket(2), with its flags.";
    int MsgFlags(u32) Low32 "`MSG_*` of send(2) and recv(2).";
    int SockLevel(i32) Low32 "`SOL_*` and `IPPROTO_*` of setsockopt(2).";
    int SockOpt(i32) Low32 "An option of setsockopt(2); which one depends on the level.";
    int ShutHow(i32) Low32 "`SHUT_*` of shutdown(2).";
    --
    pointer Ptr "An address that the decoder does not look behind.";
    pointer PathPtr "A path: bytes up to a NUL, at most `PATH_MAX` with it.";
    pointer StrPtr "A string that is no path: bytes up to a NUL.";
    pointer In "Bytes that the call reads; the length is the next argument where that is a size.";
    pointer Out "Bytes that the call writes; the length is the next argument where that is a size.";
    pointer InOut "Bytes that the call reads and writes.";
    pointer ArgvPtr "A vector of strings, ended by a null pointer.";
    pointer IntPtr "One int, usually written.";
    pointer FdPairPtr "Two ints, written by pipe(2) and socketpair(2).";
    pointer OffPtr "A file offset, read and written.";
    pointer TimespecPtr "A `struct timespec`.";
    pointer TimespecPairPtr "Two `struct timespec`, access and modification time.";
    pointer TimevalPtr "A `struct timeval`, or two.";
    pointer ItimerspecPtr "A `struct itimerspec`.";
    pointer StatPtr "A `struct stat`, written.";
    pointer StatxPtr "A `struct statx`, written.";
    pointer StatfsPtr "A `struct statfs`, written.";
    pointer RlimitPtr "A `struct rlimit` of two 64-bit words.";
    pointer RusagePtr "A `struct rusage`, written.";
    pointer SockaddrPtr "A `struct sockaddr`; its length, or where that is, is the next argument.";
    pointer SocklenPtr "A `socklen_t`, read and written.";
    pointer IovPtr "A vector of `struct iovec`; its length is the next argument.";
    pointer MsghdrPtr "A `struct msghdr`.";
    pointer PollfdPtr "A vector of `struct pollfd`; its length is the next argument.";
    pointer EpollEventPtr "A `struct epoll_event`, or a vector of them.";
    pointer SigsetPtr "A signal set of 64 bits.";
    pointer SigactionPtr "The kernel's `struct sigaction`.";
    pointer SiginfoPtr "A `siginfo_t`.";
}

impl DirFd {
    /// `AT_FDCWD`: the working directory.
    pub const CWD: Self = Self(-100);

    /// Whether this is the working directory.
    pub const fn is_cwd(self) -> bool {
        self.0 == Self::CWD.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ints_lose_their_upper_half() {
        assert_eq!(Fd::from_raw(0xdead_beef_ffff_ffff), Fd(-1));
        assert_eq!(DirFd::from_raw(0xffff_ff9c), DirFd::CWD);
        assert_eq!(Size::from_raw(u64::MAX), Size(u64::MAX));
        assert_eq!(Off::from_raw(u64::MAX), Off(-1));
    }

    #[test]
    fn addresses_do_not_wrap() {
        assert_eq!(GuestAddr(u64::MAX).checked_add(1), None);
        assert_eq!(GuestAddr(4096).checked_add(8), Some(GuestAddr(4104)));
    }
}
