//! Classic BPF as seccomp(2) takes it: what the kernel accepts as a filter, and what a filter answers.
//!
//! Written after the kernel's rules and not after our compiler, so that it can judge the compiler's programs, and the
//! filters that guests install for themselves.

use super::SeccompData;
use super::assembler::{JMP_JA, LD_W_ABS, SockFilter};

/// The most instructions a program may have (`BPF_MAXINSNS`).
pub const MAX_LEN: usize = 4096;

/// Words of scratch memory (`BPF_MEMWORDS`).
const MEMORY: usize = 16;

/// Why a program is none. seccomp(2) answers EINVAL to each.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BadProgram {
    /// It has no instruction, or more than [`MAX_LEN`].
    Length,
    /// An instruction that seccomp does not have.
    Instruction,
    /// A load from outside of the data, or an unaligned one.
    Load,
    /// A jump past the end.
    Jump,
    /// A division by the constant zero, or a shift by 32 bits or more.
    Operand,
    /// Scratch memory that there is not, or that was not written on every way there.
    Memory,
    /// The last instruction is no `ret`.
    NoReturn,
}

impl std::fmt::Display for BadProgram {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Length => "a filter has between 1 and 4096 instructions",
            Self::Instruction => "an instruction that seccomp does not have",
            Self::Load => "a load from outside of the call's data",
            Self::Jump => "a jump past the end",
            Self::Operand => "a division by zero or a shift by too many bits",
            Self::Memory => "scratch memory that was never written",
            Self::NoReturn => "the last instruction is no return",
        })
    }
}

impl std::error::Error for BadProgram {}

// Classes (the low three bits of a code), and what is above them.
const LD: u16 = 0;
const LDX: u16 = 1;
const ST: u16 = 2;
const STX: u16 = 3;
const ALU: u16 = 4;
const JMP: u16 = 5;
const RET: u16 = 6;
const MISC: u16 = 7;
const X: u16 = 0x08;
const IMM: u16 = 0x00;
const MEM: u16 = 0x60;
const LEN: u16 = 0x80;
const RET_A: u16 = 0x16;
const TAX: u16 = 0x07;
const TXA: u16 = 0x87;
const DIV: u16 = 0x30;
const LSH: u16 = 0x60;
const RSH: u16 = 0x70;
const NEG: u16 = 0x80;

/// Judges a program as seccomp(2) does before it takes it.
pub fn check(program: &[SockFilter]) -> Result<(), BadProgram> {
    if program.is_empty() || program.len() > MAX_LEN {
        return Err(BadProgram::Length);
    }
    for (pc, insn) in program.iter().enumerate() {
        check_instruction(insn, program.len() - pc - 1)?;
    }
    if program.last().is_none_or(|insn| insn.code & 7 != RET) {
        return Err(BadProgram::NoReturn);
    }
    check_memory(program)
}

fn check_instruction(insn: &SockFilter, remaining: usize) -> Result<(), BadProgram> {
    let k = insn.k;
    let reaches = |distance: u32| (distance as usize) < remaining;
    match (insn.code & 7, insn.code & !7) {
        _ if insn.code == LD_W_ABS => match k.is_multiple_of(4) && k < SeccompData::LEN {
            true => Ok(()),
            false => Err(BadProgram::Load),
        },
        (LD | LDX, IMM | LEN) => Ok(()),
        (LD | LDX, MEM) | (ST | STX, 0) => match (k as usize) < MEMORY {
            true => Ok(()),
            false => Err(BadProgram::Memory),
        },
        (ALU, op) => match op & !X {
            DIV if op & X == 0 && k == 0 => Err(BadProgram::Operand),
            LSH | RSH if op & X == 0 && k >= 32 => Err(BadProgram::Operand),
            NEG if op & X != 0 => Err(BadProgram::Instruction),
            0x00 | 0x10 | 0x20 | DIV | 0x40 | 0x50 | LSH | RSH | NEG | 0xa0 => Ok(()),
            _ => Err(BadProgram::Instruction),
        },
        _ if insn.code == JMP_JA => {
            if reaches(k) {
                Ok(())
            } else {
                Err(BadProgram::Jump)
            }
        }
        (JMP, op) if matches!(op & !X, 0x10 | 0x20 | 0x30 | 0x40) => {
            match reaches(insn.jt.into()) && reaches(insn.jf.into()) {
                true => Ok(()),
                false => Err(BadProgram::Jump),
            }
        }
        (RET, 0x00 | 0x10) => Ok(()),
        _ if insn.code == TAX || insn.code == TXA => Ok(()),
        _ => Err(BadProgram::Instruction),
    }
}

/// Scratch memory must be written before it is read, on every way.
fn check_memory(program: &[SockFilter]) -> Result<(), BadProgram> {
    // For each instruction, the words known to be written on all ways seen so far; jumps only go forward.
    let mut known = vec![u16::MAX; program.len()];
    let mut valid = 0_u16;
    for (pc, insn) in program.iter().enumerate() {
        valid &= known[pc];
        let mut meet = |distance: u32| {
            if let Some(target) = known.get_mut(pc + 1 + distance as usize) {
                *target &= valid;
            }
        };
        match (insn.code & 7, insn.code & !7) {
            (LD | LDX, MEM) if valid & (1 << insn.k) == 0 => return Err(BadProgram::Memory),
            (ST | STX, _) => valid |= 1 << insn.k,
            (JMP, _) => {
                if insn.code == JMP_JA {
                    meet(insn.k);
                } else {
                    meet(insn.jt.into());
                    meet(insn.jf.into());
                }
                valid = u16::MAX;
            }
            _ => {}
        }
    }
    Ok(())
}

/// Runs a program on one call and gives the action word that it returns.
///
/// A program that [`check`] accepts always returns one; others may give an error here, and never run for ever.
pub fn run(program: &[SockFilter], data: &SeccompData) -> Result<u32, BadProgram> {
    let (mut a, mut x) = (0_u32, 0_u32);
    let mut memory = [0_u32; MEMORY];
    let mut pc = 0_usize;
    while let Some(insn) = program.get(pc) {
        let k = insn.k;
        pc += 1;
        match (insn.code & 7, insn.code & !7) {
            _ if insn.code == LD_W_ABS => a = data.word(k).ok_or(BadProgram::Load)?,
            (LD, IMM) => a = k,
            (LD, LEN) => a = SeccompData::LEN,
            (LD, MEM) => a = *memory.get(k as usize).ok_or(BadProgram::Memory)?,
            (LDX, IMM) => x = k,
            (LDX, LEN) => x = SeccompData::LEN,
            (LDX, MEM) => x = *memory.get(k as usize).ok_or(BadProgram::Memory)?,
            (ST, 0) => *memory.get_mut(k as usize).ok_or(BadProgram::Memory)? = a,
            (STX, 0) => *memory.get_mut(k as usize).ok_or(BadProgram::Memory)? = x,
            (ALU, op) => {
                let operand = if op & X == 0 { k } else { x };
                a = match op & !X {
                    0x00 => a.wrapping_add(operand),
                    0x10 => a.wrapping_sub(operand),
                    0x20 => a.wrapping_mul(operand),
                    // The kernel ends a program that divides by zero, with zero.
                    DIV => match a.checked_div(operand) {
                        Some(quotient) => quotient,
                        None => return Ok(0),
                    },
                    0x40 => a | operand,
                    0x50 => a & operand,
                    LSH => a.wrapping_shl(operand),
                    RSH => a.wrapping_shr(operand),
                    NEG => a.wrapping_neg(),
                    0xa0 => a ^ operand,
                    _ => return Err(BadProgram::Instruction),
                };
            }
            _ if insn.code == JMP_JA => pc = pc.checked_add(k as usize).ok_or(BadProgram::Jump)?,
            (JMP, op) => {
                let operand = if op & X == 0 { k } else { x };
                let holds = match op & !X {
                    0x10 => a == operand,
                    0x20 => a > operand,
                    0x30 => a >= operand,
                    0x40 => a & operand != 0,
                    _ => return Err(BadProgram::Instruction),
                };
                pc += usize::from(if holds { insn.jt } else { insn.jf });
            }
            (RET, 0x00) => return Ok(k),
            _ if insn.code == RET_A => return Ok(a),
            _ if insn.code == TAX => x = a,
            _ if insn.code == TXA => a = x,
            (MISC, _) | (_, _) => return Err(BadProgram::Instruction),
        }
    }
    Err(BadProgram::NoReturn)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn insn(code: u16, jt: u8, jf: u8, k: u32) -> SockFilter {
        SockFilter { code, jt, jf, k }
    }

    #[test]
    fn what_the_kernel_refuses() {
        let ret = insn(0x06, 0, 0, 0);
        let table: &[(&[SockFilter], BadProgram)] = &[
            (&[], BadProgram::Length),
            (&[insn(0x20, 0, 0, 64), ret], BadProgram::Load),
            (&[insn(0x20, 0, 0, 2), ret], BadProgram::Load),
            (&[insn(0x30, 0, 0, 0), ret], BadProgram::Instruction), // a byte load
            (&[insn(0x94, 0, 0, 3), ret], BadProgram::Instruction), // a modulo
            (&[insn(0x05, 0, 0, 1), ret], BadProgram::Jump),
            (&[insn(0x05, 0, 0, u32::MAX), ret], BadProgram::Jump),
            (&[insn(0x15, 0, 1, 0), ret], BadProgram::Jump),
            (&[insn(0x34, 0, 0, 0), ret], BadProgram::Operand),
            (&[insn(0x64, 0, 0, 32), ret], BadProgram::Operand),
            (&[insn(0x60, 0, 0, 0), ret], BadProgram::Memory), // read, never written
            (&[insn(0x02, 0, 0, 16), ret], BadProgram::Memory),
            (&[insn(0x15, 0, 1, 0), insn(0x02, 0, 0, 3), insn(0x60, 0, 0, 3), ret], BadProgram::Memory),
            (&[ret, insn(0x20, 0, 0, 0)], BadProgram::NoReturn),
        ];
        for (program, why) in table {
            assert_eq!(check(program), Err(*why), "{program:?}");
        }
        let fine = [insn(0x02, 0, 0, 3), insn(0x15, 0, 1, 0), insn(0x02, 0, 0, 3), insn(0x60, 0, 0, 3), ret];
        assert_eq!(check(&fine), Ok(()));
    }

    #[test]
    fn arithmetic() {
        let data = SeccompData::new(0, [0; 6]);
        let run = |code, k| {
            let program = [insn(0x00, 0, 0, 12), insn(code, 0, 0, k), insn(0x16, 0, 0, 0)];
            assert_eq!(check(&program), Ok(()));
            run(&program, &data).unwrap()
        };
        assert_eq!(run(0x04, u32::MAX), 11);
        assert_eq!(run(0x14, 13), u32::MAX);
        assert_eq!(run(0x34, 5), 2);
        assert_eq!(run(0x64, 31), 0);
        assert_eq!(run(0x74, 2), 3);
        assert_eq!(run(0x84, 0), 12_u32.wrapping_neg());
        assert_eq!(run(0xa4, 0xf), 3);
    }
}
