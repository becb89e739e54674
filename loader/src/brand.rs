//! The brand as bytes, and the code of its sites. See `brand/main.rs` for what it does.

#[path = "../brand/abi.rs"]
mod abi;

pub use abi::*;

use iced_x86::{Decoder, DecoderOptions, Instruction};

/// The brand's code as it is mapped, [`BLOB_SIZE`] bytes at most.
pub static BRAND: &[u8] = include_bytes!(env!("CARRACK_BRAND"));

/// `mov eax, imm32`, of which a jump takes the place, and `syscall` after it.
pub const PATCHED: usize = 5;
const SYSCALL: [u8; 2] = [0x0f, 0x05];

/// Bytes before the place to which a call returns that [`is_patchable`] looks at.
pub const LOOKED_AT: usize = 64;

/// Whether a call of number `nr`, made by the last two bytes of `code`, can be turned into a jump.
///
/// Only the five bytes of `mov eax, NR` directly before `syscall` are replaced, and nothing but their beginning can be a
/// target of jumps, so what is around does not matter. But they could be the end of a longer instruction, or data: decoding
/// from different places before them has to arrive at their beginning (it falls into step within a few instructions).
pub fn is_patchable(code: &[u8; LOOKED_AT], nr: u32) -> bool {
    let at = LOOKED_AT - PATCHED - SYSCALL.len();
    if code[at] != 0xb8 || code[at + 1..at + PATCHED] != nr.to_le_bytes() || code[at + PATCHED..] != SYSCALL {
        return false;
    }
    const STARTS: usize = 24;
    let arrive = (0..STARTS).filter(|&start| arrives(&code[start..], at - start)).count();
    arrive * 4 >= STARTS * 3
}

/// Whether an instruction begins at `wanted` when decoding begins with the first byte.
fn arrives(code: &[u8], wanted: usize) -> bool {
    let mut decoder = Decoder::new(64, code, DecoderOptions::NONE);
    let mut instruction = Instruction::default();
    while decoder.position() < wanted && decoder.can_decode() {
        decoder.decode_out(&mut instruction);
    }
    decoder.position() == wanted
}

/// The jump that replaces `mov eax, NR` at `at`. `None`: the target is out of its reach.
pub fn jump(at: u64, target: u64) -> Option<[u8; PATCHED]> {
    let distance = i32::try_from((target as i64).checked_sub(at as i64)?.checked_sub(5)?).ok()?;
    let mut code = [0xe9, 0, 0, 0, 0];
    code[1..].copy_from_slice(&distance.to_le_bytes());
    Some(code)
}

/// The code of site number `index` of the region at `region`, for the `syscall` instruction at `syscall` and call `nr`.
pub fn site(region: u64, index: u64, syscall: u64, nr: u32) -> Option<(u64, [u8; SITE_SIZE as usize])> {
    if index >= MAX_SITES {
        return None;
    }
    let at = region + SITES + index * SITE_SIZE;
    let mut code = Vec::with_capacity(SITE_SIZE as usize);
    let relative = |from: usize, to: u64| i32::try_from(to as i64 - (at as i64 + from as i64)).ok();
    // lea rsp, [rsp - 128]: the red zone stays as it is.
    code.extend([0x48, 0x8d, 0x64, 0x24, 0x80]);
    code.push(0xb8);
    code.extend(nr.to_le_bytes());
    code.push(0xe8);
    code.extend(relative(code.len() + 4, region + ENTRY)?.to_le_bytes());
    // lea rsp, [rsp + 128]: leaves the carry flag.
    code.extend([0x48, 0x8d, 0xa4, 0x24, 0x80, 0, 0, 0]);
    // jc over the next jump.
    code.extend([0x72, 5]);
    code.push(0xe9);
    code.extend(relative(code.len() + 4, syscall + 2)?.to_le_bytes());
    code.push(0xe9);
    code.extend(relative(code.len() + 4, syscall)?.to_le_bytes());
    code.resize(SITE_SIZE as usize, 0xcc);
    Some((at, code.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use iced_x86::{Mnemonic, OpKind, Register};

    fn instructions(code: &[u8], at: u64) -> Vec<Instruction> {
        Decoder::with_ip(64, code, at, DecoderOptions::NONE).into_iter().collect()
    }

    #[test]
    fn the_blob_fits_and_uses_no_vector_registers_but_those_it_saves() {
        assert!(BRAND.len() as u64 <= BLOB_SIZE && BRAND.len() as u64 > ENTRY);
        for i in instructions(&BRAND[ENTRY as usize..], ENTRY) {
            for n in 0..i.op_count() {
                let register = i.op_register(n);
                let is_vector = i.op_kind(n) == OpKind::Register && register.is_vector_register();
                let is_saved = [Register::XMM0, Register::XMM1].contains(&register);
                assert!(!is_vector || is_saved, "{:x}: {i:?}", i.ip());
            }
        }
    }

    #[test]
    fn a_site_jumps_back_to_the_instruction_or_past_it() {
        let (region, syscall) = (0x7f00_0000_0000, 0x7f00_1234_5678);
        let (at, code) = site(region, 3, syscall, 262).unwrap();
        assert_eq!(at, region + SITES + 3 * SITE_SIZE);
        let all = instructions(&code, at);
        assert_eq!(all[1].op0_register(), Register::EAX);
        assert_eq!(all[1].immediate(1), 262);
        assert_eq!((all[2].mnemonic(), all[2].near_branch_target()), (Mnemonic::Call, region + ENTRY));
        assert_eq!((all[4].mnemonic(), all[4].near_branch_target()), (Mnemonic::Jb, all[6].ip()));
        assert_eq!(all[5].near_branch_target(), syscall + 2);
        assert_eq!(all[6].near_branch_target(), syscall);
        assert!(site(region, MAX_SITES, syscall, 262).is_none());
        assert!(site(region, 0, region + (1 << 32), 262).is_none());
        assert_eq!(instructions(&jump(syscall, at).unwrap(), syscall)[0].near_branch_target(), at);
        assert!(jump(0x1000, region).is_none());
    }

    fn code_before(tail: &[u8]) -> [u8; LOOKED_AT] {
        // A function as compilers make it: endbr64, push rbx, sub rsp 0x20, mov rbx rsp, xor edx edx …
        let body = [0xf3, 0x0f, 0x1e, 0xfa, 0x53, 0x48, 0x83, 0xec, 0x20, 0x48, 0x89, 0xe3, 0x31, 0xd2];
        let mut code: Vec<u8> = body.repeat(3);
        code.resize(LOOKED_AT, 0x90);
        code[LOOKED_AT - tail.len()..].copy_from_slice(tail);
        code.try_into().unwrap()
    }

    #[test]
    fn only_a_mov_to_eax_directly_before_is_patchable() {
        assert!(is_patchable(&code_before(&[0x90, 0xb8, 89, 0, 0, 0, 0x0f, 0x05]), 89));
        assert!(is_patchable(&code_before(&[0x31, 0xd2, 0xb8, 89, 0, 0, 0, 0x0f, 0x05]), 89));
        // Another number; mov r8d; mov edi, [rax + 4]; lea edi, [rax + 4]; something between.
        assert!(!is_patchable(&code_before(&[0x90, 0xb8, 88, 0, 0, 0, 0x0f, 0x05]), 89));
        for before in [0x41, 0x8b, 0x8d] {
            let tail = [0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, before, 0xb8, 4, 0, 0, 0, 0x0f, 0x05];
            assert!(!is_patchable(&code_before(&tail), 4), "{before:x}");
        }
        assert!(!is_patchable(&code_before(&[0xb8, 4, 0, 0, 0, 0x90, 0x0f, 0x05]), 4));
    }
}
