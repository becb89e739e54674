//! The initial stack of a program, laid out as Linux does, and the limits on its strings.
//!
//! From the top: eight zero bytes, the string of AT_EXECFN, the environment, the arguments (each lowest first); then, after
//! a gap, the platform's name and the random bytes; then the auxiliary vector, envp, argv and argc, to which sp points.

use crate::LoadError;
use crate::auxv::{AT_EXECFN, AT_PLATFORM, AT_RANDOM, Auxv};

/// MAX_ARG_STRLEN: the longest string, its NUL included.
const MAX_STRING: usize = 131_072;
/// ARG_MAX: what there is room for however low the limit of the stack.
const ARG_MAX: u64 = 131_072;
/// Three quarters of the default limit of the stack.
const MAX_TOTAL: u64 = 6 << 20;
const PLATFORM: &[u8] = b"x86_64\0";

/// What a stack is made of.
#[derive(Clone, Copy, Debug)]
pub struct StackInput<'a> {
    /// Without NULs. If empty, an empty string takes the place of argv\[0\], as since Linux 5.18.
    pub argv: &'a [Vec<u8>],
    pub envp: &'a [Vec<u8>],
    /// The path that was executed, for AT_EXECFN.
    pub execfn: &'a [u8],
    /// AT_EXECFN, AT_PLATFORM and AT_RANDOM are set here, the rest by the caller.
    pub auxv: &'a Auxv,
    /// For AT_RANDOM.
    pub random: [u8; 16],
    /// End of the stack, a multiple of 16: [`KernelStack::top`].
    pub top: u64,
    /// Bytes (below 8192) of the gap below the strings; random, or 0 without address space randomisation.
    pub gap: u64,
}

/// Bytes for the memory from `sp` to the top, and what the kernel must be told of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StackImage {
    pub bytes: Vec<u8>,
    pub sp: u64,
    pub arg_start: u64,
    pub arg_end: u64,
    pub env_start: u64,
    pub env_end: u64,
    pub auxv_addr: u64,
    pub auxv_len: u64,
    /// End of the stack.
    pub top: u64,
}

impl StackImage {
    /// Lays out a stack.
    ///
    /// # Errors
    /// E2BIG if it does not fit below `top`; ENOMEM if `top` is not aligned. Limits are [`check_arg_limits`]'s affair.
    pub fn build(input: &StackInput<'_>) -> Result<StackImage, LoadError> {
        let empty = [Vec::new()];
        let argv = if input.argv.is_empty() { &empty } else { input.argv };
        let length = |strings: &[Vec<u8>]| strings.iter().map(|string| string.len() as u64 + 1).sum::<u64>();
        if !input.top.is_multiple_of(16) {
            return Err(LoadError::BadKernelStack);
        }
        let mut address = Down(input.top);
        address.take(8)?;
        let execfn = address.take(input.execfn.len() as u64 + 1)?;
        let env_start = address.take(length(input.envp))?;
        let arg_start = address.take(length(argv))?;
        address.take(input.gap % 8192)?;
        address.0 &= !15;
        let platform = address.take(PLATFORM.len() as u64)?;
        let random = address.take(16)?;
        let mut auxv = input.auxv.clone();
        auxv.set(AT_RANDOM, random);
        auxv.set(AT_EXECFN, execfn);
        auxv.set(AT_PLATFORM, platform);
        let pointers = 8 * (argv.len() as u64 + input.envp.len() as u64 + 3);
        let sp = address.take(pointers + auxv.encoded_len() as u64)? & !15;
        let size = usize::try_from(input.top - sp).map_err(|_| LoadError::TooLong)?;

        let mut bytes = vec![0; size];
        let mut put = |at: u64, what: &[u8]| {
            let from = (at - sp) as usize;
            if let Some(place) = bytes.get_mut(from..from + what.len()) {
                place.copy_from_slice(what);
            }
        };
        put(sp, &(argv.len() as u64).to_le_bytes());
        let mut pointer = sp + 8;
        for (strings, start) in [(argv, arg_start), (input.envp, env_start)] {
            let mut at = start;
            for string in strings {
                put(pointer, &at.to_le_bytes());
                put(at, string);
                pointer += 8;
                at += string.len() as u64 + 1;
            }
            pointer += 8;
        }
        put(pointer, &auxv.encode());
        put(random, &input.random);
        put(platform, PLATFORM);
        put(execfn, input.execfn);
        Ok(StackImage {
            bytes,
            sp,
            arg_start,
            arg_end: arg_start + length(argv),
            env_start,
            env_end: env_start + length(input.envp),
            auxv_addr: pointer,
            auxv_len: auxv.encoded_len() as u64,
            top: input.top,
        })
    }
}

/// An address that goes down.
struct Down(u64);

impl Down {
    fn take(&mut self, bytes: u64) -> Result<u64, LoadError> {
        self.0 = self.0.checked_sub(bytes).ok_or(LoadError::TooLong)?;
        Ok(self.0)
    }
}

/// Whether Linux would take so much: a string of at most 128 KiB; strings and pointers in a quarter of the stack's limit
/// (`RLIMIT_STACK`, bytes), but at most 6 MiB and at least 128 KiB. `execfn` counts too.
///
/// # Errors
/// E2BIG.
pub fn check_arg_limits(
    argv: &[Vec<u8>],
    envp: &[Vec<u8>],
    execfn: &[u8],
    stack_rlimit: u64,
) -> Result<(), LoadError> {
    let limit = (stack_rlimit / 4).clamp(ARG_MAX, MAX_TOTAL);
    let pointers = 8 * (argv.len().max(1) as u64 + envp.len() as u64);
    let mut total = pointers + execfn.len() as u64 + 1;
    if pointers >= limit {
        return Err(LoadError::TooLong);
    }
    for string in argv.iter().chain(envp) {
        if string.len() >= MAX_STRING {
            return Err(LoadError::TooLong);
        }
        total += string.len() as u64 + 1;
    }
    if total > limit { Err(LoadError::TooLong) } else { Ok(()) }
}

/// What the host kernel left on the stub's stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelStack {
    pub auxv: Auxv,
    /// The kernel's bytes for AT_RANDOM.
    pub random: [u8; 16],
    /// End of the stack.
    pub top: u64,
}

impl KernelStack {
    /// Parses the memory from `sp` to the end of the stack's mapping. As the stub is executed without arguments, 16 KiB read at
    /// `sp` always suffice, randomisation included; the read ends earlier where the mapping does.
    ///
    /// # Errors
    /// ENOMEM if the guest has changed it beyond recognition.
    pub fn parse(bytes: &[u8], sp: u64) -> Result<KernelStack, LoadError> {
        let bad = LoadError::BadKernelStack;
        let word = |index: usize| {
            let from = index.checked_mul(8)?;
            let bytes = bytes.get(from..from.checked_add(8)?)?;
            Some(u64::from_le_bytes(bytes.try_into().ok()?))
        };
        let mut index = 0;
        for _ in 0..2 {
            // argc and argv, then envp: each ends with a zero. argc is skipped as it may be zero itself.
            index += usize::from(index == 0);
            while word(index).ok_or(bad)? != 0 {
                index += 1;
            }
            index += 1;
        }
        let auxv = Auxv::parse(bytes.get(index * 8..).ok_or(bad)?).ok_or(bad)?;
        let at = |kind| {
            let address = auxv.get(kind)?.checked_sub(sp)?;
            bytes.get(usize::try_from(address).ok()?..)
        };
        let random = at(AT_RANDOM).and_then(|bytes| bytes.first_chunk::<16>()).ok_or(bad)?;
        let execfn = at(AT_EXECFN).ok_or(bad)?;
        let end = execfn.iter().position(|byte| *byte == 0).ok_or(bad)?;
        let top = auxv.get(AT_EXECFN).unwrap_or(0) + end as u64 + 1 + 8;
        if !top.is_multiple_of(16) || top > crate::TASK_SIZE {
            return Err(bad);
        }
        Ok(KernelStack { random: *random, top, auxv })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auxv::AT_PAGESZ;

    fn strings(of: &[&str]) -> Vec<Vec<u8>> {
        of.iter().map(|string| string.as_bytes().to_vec()).collect()
    }

    #[test]
    fn a_built_stack_reads_like_the_kernels() {
        let (argv, envp) = (strings(&["echo", "", "a b"]), strings(&["A=1", "B="]));
        let mut auxv = Auxv::default();
        auxv.set(AT_PAGESZ, 4096);
        for gap in [0, 1, 4095, 8191] {
            let top = 0x7fff_0000_0000;
            let input = StackInput {
                argv: &argv,
                envp: &envp,
                execfn: b"/bin/echo",
                auxv: &auxv,
                random: [7; 16],
                top,
                gap,
            };
            let stack = StackImage::build(&input).unwrap();
            assert_eq!(stack.sp % 16, 0);
            assert_eq!(stack.sp + stack.bytes.len() as u64, top);
            let text =
                |from: u64, to: u64| &stack.bytes[(from - stack.sp) as usize..(to - stack.sp) as usize];
            assert_eq!(text(stack.arg_start, stack.arg_end), b"echo\0\0a b\0");
            assert_eq!(text(stack.env_start, stack.env_end), b"A=1\0B=\0");
            assert_eq!(stack.arg_end, stack.env_start);
            assert_eq!(text(stack.env_end, top), b"/bin/echo\0\0\0\0\0\0\0\0\0");
            let again = KernelStack::parse(&stack.bytes, stack.sp).unwrap();
            assert_eq!((again.top, again.random), (top, [7; 16]));
            assert_eq!(again.auxv.get(AT_PAGESZ), Some(4096));
            assert_eq!(text(stack.auxv_addr, stack.auxv_addr + stack.auxv_len), again.auxv.encode());
        }
    }

    #[test]
    fn without_arguments_there_is_an_empty_one() {
        let auxv = Auxv::default();
        let input = StackInput {
            argv: &[],
            envp: &[],
            execfn: b"",
            auxv: &auxv,
            random: [0; 16],
            top: 0x10_0000,
            gap: 0,
        };
        let stack = StackImage::build(&input).unwrap();
        assert_eq!(stack.bytes[0], 1);
        assert_eq!(stack.arg_end - stack.arg_start, 1);
        assert_eq!(StackImage::build(&StackInput { top: 64, ..input }), Err(LoadError::TooLong));
    }

    #[test]
    fn limits() {
        let string = |length: usize| vec![vec![b'x'; length]];
        let eight_mib = 8 << 20;
        assert_eq!(check_arg_limits(&string(MAX_STRING - 1), &[], b"", eight_mib), Ok(()));
        assert_eq!(check_arg_limits(&string(MAX_STRING), &[], b"", eight_mib), Err(LoadError::TooLong));
        let many = vec![vec![b'x'; 1023]; 2000];
        assert_eq!(check_arg_limits(&many, &[], b"", eight_mib), Ok(()));
        assert_eq!(check_arg_limits(&many, &many, b"", eight_mib), Err(LoadError::TooLong));
        assert_eq!(check_arg_limits(&many, &many, b"", u64::MAX), Ok(()));
        assert_eq!(check_arg_limits(&[], &string(100_000), b"", 65536), Ok(()));
        assert_eq!(check_arg_limits(&[], &string(131_000), &[0; 100], 65536), Err(LoadError::TooLong));
    }
}
