//! The parser of ELF executables and interpreters, as strict and as lax as fs/binfmt_elf.c.
//!
//! Headers that Linux ignores (e_version, EI_DATA, section headers …) are ignored here: some programs have other things there.

use crate::error::{InterpreterFault, LoadError};
use crate::{PAGE_SIZE, TASK_SIZE};

/// How much of a file's head [`parse_elf`] wants, if the file has as much.
pub const HEAD_SIZE: usize = 64 * 1024;

const EHDR_SIZE: usize = 64;
const PHDR_SIZE: usize = 56;
const ET_EXEC: u16 = 2;
const ET_DYN: u16 = 3;
const EM_386: u16 = 3;
const EM_486: u16 = 6;
const EM_X86_64: u16 = 62;
const PT_LOAD: u32 = 1;
const PT_INTERP: u32 = 3;
const PT_GNU_STACK: u32 = 0x6474_e551;
const PATH_MAX: u64 = 4096;

/// Whether the addresses in a file are final.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ElfKind {
    /// ET_EXEC: segments go where they say.
    Fixed,
    /// ET_DYN: segments go anywhere, at fixed distances.
    Relocatable,
}

/// A PT_LOAD header. Its range lies in the address space and does not wrap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    pub vaddr: u64,
    pub offset: u64,
    pub filesz: u64,
    pub memsz: u64,
    /// PROT_READ 1, PROT_WRITE 2, PROT_EXEC 4.
    pub prot: u64,
    pub align: u64,
}

impl Segment {
    /// The page that the segment starts in.
    pub const fn page(&self) -> u64 {
        self.vaddr & !(PAGE_SIZE - 1)
    }

    /// End of its last page.
    pub const fn page_end(&self) -> u64 {
        page_up(self.vaddr + self.memsz)
    }
}

/// What matters of an ELF file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ElfImage {
    pub kind: ElfKind,
    pub entry: u64,
    /// At least one, in the file's order.
    pub segments: Vec<Segment>,
    /// The path in PT_INTERP, without NUL.
    pub interp: Option<Vec<u8>>,
    /// Where the program headers come to lie, if a segment contains them.
    pub phdr_vaddr: Option<u64>,
    pub phnum: u16,
    /// The executable flag of PT_GNU_STACK, if there is one. Without, the stack is not executable.
    pub exec_stack: Option<bool>,
    /// The largest power of two among the alignments of segments, at least a page.
    pub max_align: u64,
}

impl ElfImage {
    /// The lowest page of all segments.
    pub fn low(&self) -> u64 {
        self.segments.iter().map(Segment::page).min().unwrap_or(0)
    }

    /// End of the highest page of all segments.
    pub fn high(&self) -> u64 {
        self.segments.iter().map(Segment::page_end).max().unwrap_or(0)
    }

    /// Bytes of address space from [`ElfImage::low`] to [`ElfImage::high`].
    pub fn span(&self) -> u64 {
        self.high() - self.low()
    }
}

pub(crate) const fn page_up(address: u64) -> u64 {
    address.saturating_add(PAGE_SIZE - 1) & !(PAGE_SIZE - 1)
}

/// Parses a program. `head` is the beginning of the file, [`HEAD_SIZE`] bytes of it if there are as many. Where the
/// program headers or the interpreter's path may lie further on, use [`parse_elf_with`].
///
/// # Errors
/// As execve(2); see [`LoadError`].
pub fn parse_elf(head: &[u8], file_size: u64) -> Result<ElfImage, LoadError> {
    parse_elf_with(head, file_size, |_, _| None)
}

/// As [`parse_elf`]; `more(offset, length)` reads exactly `length` bytes (at most 64 KiB) of the file beyond `head`.
///
/// # Errors
/// As execve(2); EIO if `more` is needed and gives nothing.
pub fn parse_elf_with<F>(head: &[u8], file_size: u64, more: F) -> Result<ElfImage, LoadError>
where
    F: FnMut(u64, usize) -> Option<Vec<u8>>,
{
    parse(head, file_size, more)
}

/// Parses the file that a program names in PT_INTERP. Its own PT_INTERP means nothing.
///
/// # Errors
/// ELIBBAD if it is no ELF file for this machine, EIO if it is too short, EINVAL if its segments are malformed.
pub fn parse_interpreter<F>(head: &[u8], file_size: u64, more: F) -> Result<ElfImage, LoadError>
where
    F: FnMut(u64, usize) -> Option<Vec<u8>>,
{
    if head.len() < EHDR_SIZE {
        return Err(LoadError::BadInterpreter(InterpreterFault::Short));
    }
    let mut image = parse(head, file_size, more).map_err(|error| {
        LoadError::BadInterpreter(match error {
            LoadError::NotExecutable(_)
            | LoadError::NothingToLoad
            | LoadError::BadSegment
            | LoadError::MisalignedSegment
            | LoadError::BadEntry => InterpreterFault::Segments,
            _ => InterpreterFault::Format,
        })
    })?;
    image.interp = None;
    Ok(image)
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..at + 2).and_then(|b| b.try_into().ok()).map_or(0, u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).map_or(0, u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..at + 8).and_then(|b| b.try_into().ok()).map_or(0, u64::from_le_bytes)
}

/// `length` bytes at `offset`, from the head or from `more`.
fn read<F>(head: &[u8], file_size: u64, more: &mut F, offset: u64, length: usize) -> Option<Vec<u8>>
where
    F: FnMut(u64, usize) -> Option<Vec<u8>>,
{
    let end = offset.checked_add(length as u64)?;
    if let (Ok(from), Ok(to)) = (usize::try_from(offset), usize::try_from(end))
        && let Some(bytes) = head.get(from..to)
    {
        return Some(bytes.to_vec());
    }
    if end > file_size {
        return None;
    }
    more(offset, length).filter(|bytes| bytes.len() == length)
}

fn parse<F>(head: &[u8], file_size: u64, mut more: F) -> Result<ElfImage, LoadError>
where
    F: FnMut(u64, usize) -> Option<Vec<u8>>,
{
    if !head.starts_with(b"\x7fELF") {
        return Err(LoadError::NotElf);
    }
    // Linux takes what is missing of the header for zeros.
    let mut header = [0; EHDR_SIZE];
    for (to, from) in header.iter_mut().zip(head) {
        *to = *from;
    }
    let (e_type, e_machine) = (u16_at(&header, 16), u16_at(&header, 18));
    // As Linux, the class byte is not looked at: a file of the other class does not survive the checks below.
    if matches!(e_machine, EM_386 | EM_486) {
        return Err(LoadError::ThirtyTwoBit);
    }
    let kind = match e_type {
        ET_EXEC => ElfKind::Fixed,
        ET_DYN => ElfKind::Relocatable,
        other => return Err(LoadError::NotExecutable(other)),
    };
    if e_machine != EM_X86_64 {
        return Err(LoadError::OtherMachine(e_machine));
    }
    let (entry, phoff) = (u64_at(&header, 24), u64_at(&header, 32));
    let (phentsize, phnum) = (u16_at(&header, 54), u16_at(&header, 56));
    let table_size = usize::from(phnum) * PHDR_SIZE;
    if usize::from(phentsize) != PHDR_SIZE || table_size == 0 || table_size > 65536 {
        return Err(LoadError::BadProgramHeaders);
    }
    let table = read(head, file_size, &mut more, phoff, table_size).ok_or(LoadError::BadProgramHeaders)?;

    let mut image = ElfImage {
        kind,
        entry,
        segments: Vec::new(),
        interp: None,
        phdr_vaddr: None,
        phnum,
        exec_stack: None,
        max_align: PAGE_SIZE,
    };
    // Everything that Linux checks while the old program is still there comes first.
    for header in table.chunks_exact(PHDR_SIZE) {
        match u32_at(header, 0) {
            PT_INTERP if image.interp.is_none() => {
                image.interp = Some(interpreter_path(header, head, file_size, &mut more)?);
            }
            PT_GNU_STACK => image.exec_stack = Some(u32_at(header, 4) & 1 != 0),
            _ => {}
        }
    }
    for header in table.chunks_exact(PHDR_SIZE).filter(|header| u32_at(header, 0) == PT_LOAD) {
        let segment = segment(header)?;
        if segment.offset <= phoff && phoff - segment.offset < segment.filesz && image.phdr_vaddr.is_none() {
            image.phdr_vaddr = segment.vaddr.checked_add(phoff - segment.offset);
        }
        if segment.align.is_power_of_two() {
            image.max_align = image.max_align.max(segment.align);
        }
        image.segments.push(segment);
    }
    if image.segments.iter().all(|segment| segment.memsz == 0) {
        return Err(LoadError::NothingToLoad);
    }
    if image.entry >= TASK_SIZE {
        return Err(LoadError::BadEntry);
    }
    Ok(image)
}

fn interpreter_path<F>(header: &[u8], head: &[u8], file_size: u64, more: &mut F) -> Result<Vec<u8>, LoadError>
where
    F: FnMut(u64, usize) -> Option<Vec<u8>>,
{
    let (offset, length) = (u64_at(header, 8), u64_at(header, 32));
    if !(2..=PATH_MAX).contains(&length) {
        return Err(LoadError::BadInterpreterPath);
    }
    let length = usize::try_from(length).map_err(|_| LoadError::BadInterpreterPath)?;
    let mut path = read(head, file_size, more, offset, length).ok_or(LoadError::Truncated)?;
    if path.last() != Some(&0) {
        return Err(LoadError::BadInterpreterPath);
    }
    let end = path.iter().position(|byte| *byte == 0).unwrap_or(0);
    path.truncate(end);
    Ok(path)
}

fn segment(header: &[u8]) -> Result<Segment, LoadError> {
    let flags = u64::from(u32_at(header, 4));
    let segment = Segment {
        offset: u64_at(header, 8),
        vaddr: u64_at(header, 16),
        filesz: u64_at(header, 32),
        memsz: u64_at(header, 40),
        align: u64_at(header, 48),
        // PF_R 4, PF_W 2, PF_X 1.
        prot: (flags >> 2) & 1 | flags & 2 | (flags & 1) << 2,
    };
    let Segment { offset, vaddr, filesz, memsz, .. } = segment;
    if vaddr >= TASK_SIZE || filesz > memsz || memsz > TASK_SIZE || TASK_SIZE - memsz < vaddr {
        return Err(LoadError::BadSegment);
    }
    if filesz > 0 {
        if offset % PAGE_SIZE != vaddr % PAGE_SIZE {
            return Err(LoadError::MisalignedSegment);
        }
        if offset.checked_add(filesz).is_none_or(|end| end > i64::MAX as u64) {
            return Err(LoadError::BadSegment);
        }
    }
    Ok(segment)
}
