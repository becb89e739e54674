//! The layout of a program in memory, and the plan by which the stub brings it about.
//!
//! Nothing that a file says makes an operation touch `RESIDENT..RESERVED_END`, leave the address space or wrap. What two
//! segments of one file do to each other is the file's own affair, as on Linux: the later one wins.

use crate::elf::{ElfImage, ElfKind, Segment, page_up};
use crate::stub::{
    Op, PLAN_DATA, Plan, RESERVED_END, RESIDENT, SYS_CLOSE, SYS_MMAP, SYS_MPROTECT, SYS_PRCTL,
};
use crate::{Auxv, LoadError, PAGE_SIZE, StackImage, TASK_SIZE, auxv};

/// Where Linux puts position-independent programs that have an interpreter: two thirds of the address space.
const PIE_BASE: u64 = 0x5555_5555_4000;
/// Pages over which it spreads them (vm.mmap_rnd_bits = 28).
const PIE_SPREAD: u64 = 1 << 28;
/// Pages over which it spreads the start of the heap: 32 MiB.
const BRK_SPREAD: u64 = 1 << 13;

const PROT_READ: u64 = 1;
const PROT_WRITE: u64 = 2;
const PROT_EXEC: u64 = 4;
const PROT_GROWSDOWN: u64 = 0x0100_0000;
const MAP_PRIVATE: u64 = 0x02;
const MAP_FIXED: u64 = 0x10;
const MAP_ANONYMOUS: u64 = 0x20;
const MAP_FIXED_NOREPLACE: u64 = 0x10_0000;
const PR_SET_NAME: u64 = 15;
const PR_SET_MM: u64 = 35;
const PR_SET_MM_MAP: u64 = 14;
const MM_MAP_SIZE: u64 = 104;
const PHDR_SIZE: u64 = 56;

/// A parsed file and the number of its descriptor in the guest; the plan closes it.
#[derive(Clone, Copy, Debug)]
pub struct Loadable<'a> {
    pub image: &'a ElfImage,
    pub fd: i32,
}

/// What a layout depends on.
#[derive(Clone, Copy, Debug)]
pub struct LoadInput<'a> {
    pub program: Loadable<'a>,
    /// Must be there if and only if the program names one.
    pub interpreter: Option<Loadable<'a>>,
    /// The stub's fifth argument of REQUEST_PLAN: mappings go below.
    pub mmap_top: u64,
    /// A random number each for the program's base and for the start of the heap; ignored with `no_randomize`.
    pub random: [u64; 2],
    /// personality(2)'s ADDR_NO_RANDOMIZE.
    pub no_randomize: bool,
}

/// The layout of a program. Addresses are final.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadPlan {
    /// Operations for the segments of program and interpreter, and their descriptors. More may be added
    /// before [`LoadPlan::finish`].
    pub ops: Vec<Op>,
    /// What is added to the addresses in the program's file.
    pub bias: u64,
    /// Where execution starts: in the interpreter, if there is one.
    pub entry: u64,
    pub at_phdr: u64,
    pub at_phnum: u64,
    /// The interpreter's bias, or 0.
    pub at_base: u64,
    /// The program's own entry.
    pub at_entry: u64,
    pub start_code: u64,
    pub end_code: u64,
    pub start_data: u64,
    pub end_data: u64,
    pub start_brk: u64,
    /// Whether the program wants its stack executable.
    pub exec_stack: bool,
}

impl LoadPlan {
    /// Lays out a program and its interpreter.
    ///
    /// # Errors
    /// EPERM for segments below the lowest address, ENOMEM for segments in the reserved range, for too many of them, or for
    /// more than there is room for.
    pub fn new(input: &LoadInput<'_>) -> Result<LoadPlan, LoadError> {
        let random =
            |number: u64, spread: u64| if input.no_randomize { 0 } else { number % spread * PAGE_SIZE };
        let Loadable { image, fd } = input.program;
        let mmap_top = input.mmap_top.min(TASK_SIZE) & !(PAGE_SIZE - 1);
        let mut top = mmap_top;
        let mut ops = Vec::new();

        // A relocatable file without an interpreter is most often one itself (ld.so run by hand): Linux keeps it away from
        // where programs go.
        let self_contained = image.kind == ElfKind::Relocatable && input.interpreter.is_none();
        let bias = match image.kind {
            ElfKind::Fixed => 0,
            ElfKind::Relocatable if self_contained => {
                let bias = below(top, image)?;
                top = bias.wrapping_add(image.low());
                bias
            }
            ElfKind::Relocatable => {
                let base = (PIE_BASE + random(input.random[0], PIE_SPREAD)) & !(image.max_align - 1);
                base.wrapping_sub(image.low())
            }
        };
        map(image, bias, fd, &mut ops)?;
        ops.push(Op::may(SYS_CLOSE, [fd as u64, 0, 0, 0, 0, 0]));

        let at_entry = bias.wrapping_add(image.entry);
        let (mut entry, mut at_base) = (at_entry, 0);
        if let Some(Loadable { image, fd }) = input.interpreter {
            at_base = match image.kind {
                ElfKind::Fixed => 0,
                ElfKind::Relocatable => below(top, image)?,
            };
            map(image, at_base, fd, &mut ops)?;
            ops.push(Op::may(SYS_CLOSE, [fd as u64, 0, 0, 0, 0, 0]));
            entry = at_base.wrapping_add(image.entry);
        }
        if at_entry >= TASK_SIZE || entry >= TASK_SIZE {
            return Err(LoadError::BadEntry);
        }

        let extent = Extent::of(image);
        let heap = if self_contained { PIE_BASE } else { page_up(bias.wrapping_add(extent.end)) };
        let start_brk = (heap + random(input.random[1], BRK_SPREAD)).min(TASK_SIZE - PAGE_SIZE);
        Ok(LoadPlan {
            ops,
            bias,
            entry,
            at_phdr: image.phdr_vaddr.map_or(0, |vaddr| bias.wrapping_add(vaddr)),
            at_phnum: u64::from(image.phnum),
            at_base,
            at_entry,
            start_code: bias.wrapping_add(extent.start_code),
            end_code: bias.wrapping_add(extent.end_code),
            start_data: bias.wrapping_add(extent.start_data),
            end_data: bias.wrapping_add(extent.end_data),
            start_brk,
            exec_stack: image.exec_stack == Some(true),
        })
    }

    /// Sets AT_PHDR, AT_PHENT, AT_PHNUM, AT_BASE and AT_ENTRY. The ids, AT_SECURE and the strings are the caller's and
    /// [`StackImage::build`]'s.
    pub fn fill_auxv(&self, vector: &mut Auxv) {
        vector.set(auxv::AT_PHDR, self.at_phdr);
        vector.set(auxv::AT_PHENT, PHDR_SIZE);
        vector.set(auxv::AT_PHNUM, self.at_phnum);
        vector.set(auxv::AT_BASE, self.at_base);
        vector.set(auxv::AT_ENTRY, self.at_entry);
    }

    /// The whole plan for [`Plan::encode`]: adds what tells the kernel of the layout (/proc/PID/{cmdline,environ,auxv,stat}, brk)
    /// and the name of the task, of which 15 bytes count. Both may fail (a kernel without CONFIG_CHECKPOINT_RESTORE): then ps
    /// on the host shows less, and the heap starts elsewhere.
    pub fn finish(mut self, stack: &StackImage, comm: &[u8]) -> Plan {
        if self.exec_stack {
            let page = (stack.top - 1) & !(PAGE_SIZE - 1);
            let prot = PROT_READ | PROT_WRITE | PROT_EXEC | PROT_GROWSDOWN;
            self.ops.push(Op::must(SYS_MPROTECT, [page, PAGE_SIZE, prot, 0, 0, 0]));
        }
        let mut data = Vec::with_capacity(MM_MAP_SIZE as usize + 16);
        let (start_brk, brk) = (self.start_brk, self.start_brk);
        let code = [self.start_code, self.end_code, self.start_data, self.end_data, start_brk, brk];
        let stack_words =
            [stack.sp, stack.arg_start, stack.arg_end, stack.env_start, stack.env_end, stack.auxv_addr];
        for word in code.into_iter().chain(stack_words) {
            data.extend_from_slice(&word.to_le_bytes());
        }
        data.extend_from_slice(&(stack.auxv_len as u32).to_le_bytes());
        data.extend_from_slice(&u32::MAX.to_le_bytes()); // exe_fd: unchanged
        data.extend_from_slice(comm.get(..15).unwrap_or(comm));
        data.resize(MM_MAP_SIZE as usize + 16, 0);
        self.ops.push(Op::may(SYS_PRCTL, [PR_SET_MM, PR_SET_MM_MAP, PLAN_DATA, MM_MAP_SIZE, 0, 0]));
        self.ops.push(Op::may(SYS_PRCTL, [PR_SET_NAME, PLAN_DATA + MM_MAP_SIZE, 0, 0, 0, 0]));
        Plan { ops: self.ops, entry: self.entry, sp: stack.sp, data }
    }
}

/// The bias that puts `image` right below `top`.
fn below(top: u64, image: &ElfImage) -> Result<u64, LoadError> {
    let base = top.checked_sub(image.span()).ok_or(LoadError::NoRoom)? & !(image.max_align - 1);
    if base < RESERVED_END {
        return Err(LoadError::NoRoom);
    }
    Ok(base.wrapping_sub(image.low()))
}

/// The operations that map the segments of one file.
fn map(image: &ElfImage, bias: u64, fd: i32, ops: &mut Vec<Op>) -> Result<(), LoadError> {
    let mut mapped: Vec<(u64, u64)> = Vec::new();
    let mut op = |start: u64, end: u64, prot: u64, file: Option<u64>| {
        // Within one file later segments replace earlier ones; nothing else may be there.
        let again = mapped.iter().any(|(from, to)| start < *to && *from < end);
        mapped.push((start, end));
        let place = if again { MAP_FIXED } else { MAP_FIXED_NOREPLACE };
        let (kind, fd, offset) = match file {
            Some(offset) => (0, fd as u64, offset),
            None => (MAP_ANONYMOUS, u64::MAX, 0),
        };
        Op::exact(SYS_MMAP, [start, end - start, prot, MAP_PRIVATE | place | kind, fd, offset], start)
    };
    for segment in image.segments.iter().filter(|segment| segment.memsz > 0) {
        let Segment { offset, filesz, memsz, prot, .. } = *segment;
        let vaddr = bias.wrapping_add(segment.vaddr);
        check_range(vaddr, memsz)?;
        let page = vaddr & !(PAGE_SIZE - 1);
        let (file_end, end) = (vaddr + filesz, page_up(vaddr + memsz));
        let mut anonymous = page;
        if filesz > 0 {
            anonymous = page_up(file_end);
            ops.push(op(page, anonymous, prot, Some(offset - vaddr % PAGE_SIZE)));
            // The rest of the last page, if the program may write it; Linux leaves it alone otherwise.
            if memsz > filesz && file_end < anonymous && prot & PROT_WRITE != 0 {
                ops.push(Op::zero(file_end, anonymous - file_end));
            }
        }
        if end > anonymous {
            ops.push(op(anonymous, end, prot & PROT_EXEC | PROT_READ | PROT_WRITE, None));
        }
    }
    Ok(())
}

/// Whether a segment may lie at `vaddr`.
fn check_range(vaddr: u64, memsz: u64) -> Result<(), LoadError> {
    let page = vaddr & !(PAGE_SIZE - 1);
    let end = match vaddr.checked_add(memsz) {
        Some(end) if end <= TASK_SIZE => page_up(end),
        _ => return Err(LoadError::NoRoom),
    };
    if page < RESIDENT {
        Err(LoadError::TooLow)
    } else if page < RESERVED_END && end > RESIDENT {
        Err(LoadError::TakesReserved)
    } else {
        Ok(())
    }
}

/// The places that mm_struct remembers, before the bias.
struct Extent {
    start_code: u64,
    end_code: u64,
    start_data: u64,
    end_data: u64,
    end: u64,
}

impl Extent {
    fn of(image: &ElfImage) -> Extent {
        let all = || image.segments.iter();
        let code = || all().filter(|segment| segment.prot & PROT_EXEC != 0);
        let file_end = |segment: &Segment| segment.vaddr + segment.filesz;
        let highest = all().map(file_end).max().unwrap_or(0);
        let start_data = all().map(|segment| segment.vaddr).max().unwrap_or(0);
        // The kernel wants start_code < end_code of us, though its own loader gives nonsense for files without code.
        let start_code = code().map(|segment| segment.vaddr).min().unwrap_or_else(|| image.low());
        Extent {
            start_code,
            end_code: code().map(file_end).max().unwrap_or(highest).max(start_code + 1),
            start_data,
            end_data: highest.max(start_data),
            end: all().map(|segment| segment.vaddr + segment.memsz).max().unwrap_or(0),
        }
    }
}
