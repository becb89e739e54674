//! Bytes as a program, as its interpreter, as a script and as the kernel's stack.

#![no_main]

use carrack_loader::{KernelStack, parse_elf, parse_elf_with, parse_interpreter, parse_script};
use libfuzzer_sys::fuzz_target;

#[path = "../../tests/common/check.rs"]
mod check;

fuzz_target!(|bytes: &[u8]| {
    let Some((seed, bytes)) = bytes.split_first_chunk::<24>() else { return };
    let word = |at: usize| seed[at..at + 8].try_into().map_or(0, u64::from_le_bytes);
    let _ = parse_script(bytes);
    let _ = KernelStack::parse(bytes, word(0));
    let more = |offset: u64, length: usize| {
        let from = usize::try_from(offset).ok()?;
        bytes.get(from..from.checked_add(length)?).map(<[u8]>::to_vec)
    };
    let head = &bytes[..bytes.len().min(4096)];
    let Ok(program) = parse_elf_with(head, bytes.len() as u64, more) else { return };
    let _ = parse_elf(head, word(8));
    let interpreter = parse_interpreter(head, bytes.len() as u64, more).ok();
    check::check_layout(&program, None, word(0), [word(8), word(16)]);
    check::check_layout(&program, interpreter.as_ref(), 0x7fff_f7ff_f000, [word(8), word(16)]);
});
