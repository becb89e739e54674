//! Files that are not as they should be: the answer is Linux's error number, never a panic, and no plan ever does harm.

#![allow(clippy::unwrap_used, clippy::panic)]

#[allow(unreachable_pub)]
#[path = "common/check.rs"]
mod check;

use carrack_loader::stub::STUB;
use carrack_loader::{
    ElfImage, ElfKind, KernelStack, LoadError, TASK_SIZE, parse_elf, parse_elf_with, parse_interpreter,
    parse_script,
};
use check::check_layout;
use proptest::prelude::*;

const ENOEXEC: i32 = 8;
const EIO: i32 = 5;
const EINVAL: i32 = 22;
const ELIBBAD: i32 = 80;

const LOAD: u32 = 1;
const INTERP: u32 = 3;
const GNU_STACK: u32 = 0x6474_e551;

/// A program header: type, flags, offset, vaddr, filesz, memsz, align.
#[derive(Clone, Copy, Debug)]
struct Ph(u32, u32, u64, u64, u64, u64, u64);

/// An ELF file with these program headers after the header, 4096 bytes long.
fn elf(kind: u16, headers: &[Ph]) -> Vec<u8> {
    let mut file = vec![0; 64];
    file[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
    let mut put = |at: usize, bytes: &[u8]| file[at..at + bytes.len()].copy_from_slice(bytes);
    put(16, &kind.to_le_bytes());
    put(18, &62u16.to_le_bytes());
    put(24, &0x40_0000u64.to_le_bytes());
    put(32, &64u64.to_le_bytes());
    put(54, &56u16.to_le_bytes());
    put(56, &(headers.len() as u16).to_le_bytes());
    for Ph(kind, flags, offset, vaddr, filesz, memsz, align) in headers {
        file.extend(kind.to_le_bytes());
        file.extend(flags.to_le_bytes());
        for word in [offset, vaddr, vaddr, filesz, memsz, align] {
            file.extend(word.to_le_bytes());
        }
    }
    if file.len() < 4096 {
        file.resize(4096, 0);
    }
    file
}

const TEXT: Ph = Ph(LOAD, 5, 0, 0x40_0000, 0x1000, 0x1000, 0x1000);

fn parse(file: &[u8]) -> Result<ElfImage, LoadError> {
    parse_elf(file, file.len() as u64)
}

#[track_caller]
fn refused(file: &[u8], errno: i32) -> LoadError {
    let error = parse(file).unwrap_err();
    assert_eq!(error.errno(), errno, "{error}");
    error
}

fn with(at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut file = elf(2, &[TEXT]);
    file[at..at + bytes.len()].copy_from_slice(bytes);
    file
}

#[test]
fn a_good_file() {
    let image = parse(&elf(2, &[TEXT, Ph(GNU_STACK, 7, 0, 0, 0, 0, 16)])).unwrap();
    assert_eq!((image.kind, image.phdr_vaddr, image.phnum), (ElfKind::Fixed, Some(0x40_0040), 2));
    assert_eq!((image.exec_stack, image.max_align, image.interp), (Some(true), 4096, None));
    // Linux looks neither at e_version nor at the class or byte order, as long as the machine is right.
    assert!(parse(&with(4, &[77, 77, 77])).is_ok());
}

#[test]
fn headers_that_linux_refuses() {
    refused(b"", ENOEXEC);
    refused(b"\x7fELF", ENOEXEC);
    refused(&with(0, b"\x7fELG"), ENOEXEC);
    refused(&with(16, &[1, 0]), ENOEXEC); // ET_REL
    refused(&with(16, &[4, 0]), ENOEXEC); // ET_CORE
    assert_eq!(refused(&with(18, &[183, 0]), ENOEXEC), LoadError::OtherMachine(183)); // arm64
    refused(&with(54, &[32, 0]), ENOEXEC);
    refused(&with(56, &[0, 0]), ENOEXEC);
    refused(&with(56, &2000u16.to_le_bytes()), ENOEXEC);
    refused(&with(32, &u64::MAX.to_le_bytes()), ENOEXEC);
    refused(&with(32, &4090u64.to_le_bytes()), ENOEXEC);
}

#[test]
fn a_32_bit_program_is_told_so() {
    let error = refused(&with(18, &[3, 0]), ENOEXEC);
    assert!(error.to_string().contains("32-bit"));
}

#[test]
fn segments_that_linux_kills_for() {
    for segment in [
        Ph(LOAD, 5, 0, 0x40_0000, 0x2000, 0x1000, 0x1000),
        Ph(LOAD, 5, 0, TASK_SIZE, 0x1000, 0x1000, 0x1000),
        Ph(LOAD, 5, 0, 0x40_0000, 0, TASK_SIZE, 0x1000),
        Ph(LOAD, 5, 0, 0x40_0000, 0, u64::MAX, 0x1000),
        Ph(LOAD, 5, 0, u64::MAX - 0xfff, 0x1000, 0x1000, 0x1000),
        Ph(LOAD, 5, 8, 0x40_0000, 0x1000, 0x1000, 0x1000),
        Ph(LOAD, 5, u64::MAX - 0xfff, 0x40_0000, 0x1000, 0x1000, 0x1000),
        Ph(LOAD, 5, 0, 0x40_0000, 0, 0, 0x1000),
        Ph(GNU_STACK, 6, 0, 0, 0, 0, 16),
    ] {
        let error = refused(&elf(2, &[segment]), EINVAL);
        assert!(error.is_fatal_on_linux());
    }
    refused(&with(24, &TASK_SIZE.to_le_bytes()), EINVAL);
}

#[test]
fn interpreters_paths() {
    let path = |offset, length| Ph(INTERP, 4, offset, 0, length, length, 1);
    let file = |path| {
        let mut file = elf(3, &[path, TEXT]);
        file[1024..1033].copy_from_slice(b"/lib/ld\0x");
        file
    };
    assert_eq!(parse(&file(path(1024, 8))).unwrap().interp.as_deref(), Some(b"/lib/ld".as_slice()));
    refused(&file(path(1024, 7)), ENOEXEC);
    refused(&file(path(1024, 1)), ENOEXEC);
    refused(&file(path(1024, 4097)), ENOEXEC);
    refused(&file(path(4090, 8)), EIO);
    refused(&file(path(u64::MAX, 8)), EIO);
}

/// patchelf puts program headers and the interpreter's path at the end of a file.
#[test]
fn headers_may_lie_beyond_the_head() {
    let mut file = elf(3, &[Ph(INTERP, 4, 100_008, 0, 5, 5, 1), TEXT]);
    let table = file[64..64 + 112].to_vec();
    file.resize(100_000, 0);
    file[32..40].copy_from_slice(&99_000u64.to_le_bytes());
    file[99_000..99_112].copy_from_slice(&table);
    file.extend(b"garbage\0/ld\0\0");
    let more =
        |offset: u64, length: usize| file.get(offset as usize..offset as usize + length).map(<[u8]>::to_vec);
    let image = parse_elf_with(&file[..65536], file.len() as u64, more).unwrap();
    assert_eq!(image.interp.as_deref(), Some(b"/ld".as_slice()));
    assert_eq!(parse_elf(&file[..65536], file.len() as u64).unwrap_err().errno(), ENOEXEC);
}

#[test]
fn bad_interpreters() {
    let parse =
        |file: &[u8]| parse_interpreter(file, file.len() as u64, |_, _| None).map_err(LoadError::errno);
    assert_eq!(parse(b"#!/bin/sh\n"), Err(EIO));
    assert_eq!(parse(&[b'x'; 4096]), Err(ELIBBAD));
    assert_eq!(parse(&with(18, &[3, 0])), Err(ELIBBAD));
    assert_eq!(parse(&with(56, &[0, 0])), Err(ELIBBAD));
    assert_eq!(parse(&elf(3, &[Ph(GNU_STACK, 6, 0, 0, 0, 0, 16)])), Err(EINVAL));
    assert_eq!(parse(&elf(3, &[TEXT])).unwrap().interp, None);
}

fn segment() -> impl Strategy<Value = Ph> {
    let address = prop_oneof![
        0u64..0x10_0000,
        (0u64..0x100).prop_map(|page| page * 0x1000),
        Just(0x1_0000),
        TASK_SIZE - 0x10_0000..TASK_SIZE + 0x10_0000,
        any::<u64>(),
    ];
    let size = prop_oneof![0u64..0x3000, 0u64..0x20_0000, any::<u64>()];
    let align =
        prop_oneof![Just(0x1000u64), Just(0x20_0000), (0u32..64).prop_map(|bit| 1 << bit), any::<u64>()];
    (0u32..8, address, size.clone(), size, align, any::<u64>(), any::<bool>()).prop_map(
        |(flags, vaddr, filesz, more, align, offset, tame)| {
            let offset = if tame { vaddr % 0x1000 } else { offset };
            Ph(LOAD, flags, offset, vaddr, filesz, filesz.wrapping_add(more), align)
        },
    )
}

proptest! {
    #[test]
    fn any_bytes_are_judged(bytes in prop::collection::vec(any::<u8>(), 0..600), size: u64, sp: u64) {
        let _ = parse_elf(&bytes, size);
        let _ = parse_script(&bytes);
        let _ = KernelStack::parse(&bytes, sp);
        let mut script = b"#!".to_vec();
        script.extend(&bytes);
        if let Ok(Some(script)) = parse_script(&script) {
            prop_assert!(script.interp.len() < 256 && !script.interp.contains(&0));
        }
    }

    #[test]
    fn mutated_programs_are_judged(
        changes in prop::collection::vec((0usize..0x140, any::<u8>()), 1..8),
        top: u64,
        random: [u64; 2],
    ) {
        let mut file = STUB.to_vec();
        for (at, byte) in changes {
            file[at] = byte;
        }
        if let Ok(image) = parse(&file) {
            check_layout(&image, None, top, random);
        }
    }

    #[test]
    fn plans_never_touch_what_is_not_theirs(
        program in prop::collection::vec(segment(), 1..6),
        interpreter in prop::collection::vec(segment(), 1..4),
        kinds in prop::array::uniform2(2u16..4),
        top in prop_oneof![Just(0x7fff_f7ff_f000u64), any::<u64>()],
        random: [u64; 2],
    ) {
        let program = parse(&elf(kinds[0], &program));
        let file = elf(kinds[1], &interpreter);
        let interpreter = parse_interpreter(&file, 4096, |_, _| None).ok();
        if let Ok(program) = program {
            check_layout(&program, None, top, random);
            check_layout(&program, interpreter.as_ref(), top, random);
        }
    }
}
