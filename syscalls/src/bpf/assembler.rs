//! An assembler for classic BPF that works from the end of the program to its start.
//!
//! BPF jumps only forward. Written backwards, the target of every jump has its place before the jump is written, so
//! there are no fix-ups; and whether a distance fits the eight bits of a conditional jump is known at once. Where it
//! does not, an unconditional jump, which has thirty-two, is put in between.

/// One instruction: the kernel's `struct sock_filter`.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SockFilter {
    /// Class, size and mode, or operation and source.
    pub code: u16,
    /// How many instructions to skip where a condition holds.
    pub jt: u8,
    /// How many instructions to skip where it does not.
    pub jf: u8,
    /// The operand.
    pub k: u32,
}

/// `BPF_LD | BPF_W | BPF_ABS`
pub(crate) const LD_W_ABS: u16 = 0x20;
/// `BPF_ALU | BPF_AND | BPF_K`
pub(crate) const ALU_AND_K: u16 = 0x54;
/// `BPF_JMP | BPF_JA`
pub(crate) const JMP_JA: u16 = 0x05;
/// `BPF_JMP | BPF_JEQ | BPF_K`
pub(crate) const JMP_JEQ_K: u16 = 0x15;
/// `BPF_JMP | BPF_JGE | BPF_K`
pub(crate) const JMP_JGE_K: u16 = 0x35;
/// `BPF_RET | BPF_K`
pub(crate) const RET_K: u16 = 0x06;

/// The longest way of a conditional jump.
const SHORT: usize = u8::MAX as usize;

/// A place in the program: how many instructions there are from it to the end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Label(usize);

/// What a conditional jump asks of the accumulator.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Condition {
    /// Is it this value?
    Equal(u32),
    /// Is it this value or more, unsigned?
    AtLeast(u32),
}

/// A program in the making, last instruction first.
#[derive(Debug, Default)]
pub struct Assembler {
    reversed: Vec<SockFilter>,
}

impl Assembler {
    /// An empty program.
    pub fn new() -> Self {
        Self::default()
    }

    fn put(&mut self, code: u16, jt: u8, jf: u8, k: u32) -> Label {
        self.reversed.push(SockFilter { code, jt, jf, k });
        Label(self.reversed.len())
    }

    /// How many instructions the next one to be put would have to skip.
    fn distance(&self, label: Label) -> usize {
        self.reversed.len() - label.0
    }

    /// Whether a conditional jump put next would reach, with room for the jumps of its neighbours.
    pub fn is_near(&self, label: Label) -> bool {
        self.distance(label) < SHORT / 2
    }

    /// Ends the program with this action.
    pub fn ret(&mut self, action: u32) -> Label {
        self.put(RET_K, 0, 0, action)
    }

    /// Loads the word at a byte offset of the seccomp data; the program goes on with what was put last.
    pub fn load(&mut self, offset: u32) -> Label {
        self.put(LD_W_ABS, 0, 0, offset)
    }

    /// Keeps these bits of the accumulator; the program goes on with what was put last.
    pub fn and(&mut self, mask: u32) -> Label {
        self.put(ALU_AND_K, 0, 0, mask)
    }

    /// Goes to `target`; nothing is put where that is what was put last.
    pub fn goto(&mut self, target: Label) -> Label {
        match self.distance(target) {
            0 => target,
            distance => self.put(JMP_JA, 0, 0, distance as u32),
        }
    }

    /// Goes to `then` where the condition holds, to `otherwise` where it does not.
    pub fn branch(&mut self, condition: Condition, then: Label, otherwise: Label) -> Label {
        if then == otherwise {
            return self.goto(then);
        }
        // The second hop moves everything one further away, hence the one less.
        let then = if self.distance(then) < SHORT { then } else { self.goto(then) };
        let otherwise = if self.distance(otherwise) <= SHORT { otherwise } else { self.goto(otherwise) };
        let (jt, jf) = (self.distance(then) as u8, self.distance(otherwise) as u8);
        match condition {
            Condition::Equal(value) => self.put(JMP_JEQ_K, jt, jf, value),
            Condition::AtLeast(value) => self.put(JMP_JGE_K, jt, jf, value),
        }
    }

    /// The program, which starts with what was put last.
    pub fn finish(self) -> Vec<SockFilter> {
        let mut program = self.reversed;
        program.reverse();
        program
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn far_targets_get_a_hop() {
        let mut asm = Assembler::new();
        let yes = asm.ret(1);
        let no = asm.ret(2);
        for _ in 0..600 {
            asm.load(0);
        }
        asm.branch(Condition::Equal(7), yes, no);
        asm.load(0);
        let program = asm.finish();
        assert_eq!(program[1], SockFilter { code: JMP_JEQ_K, jt: 1, jf: 0, k: 7 });
        assert_eq!(program[2], SockFilter { code: JMP_JA, jt: 0, jf: 0, k: 601 });
        assert_eq!(program[3], SockFilter { code: JMP_JA, jt: 0, jf: 0, k: 601 });
        assert_eq!(program[3 + 602], SockFilter { code: RET_K, jt: 0, jf: 0, k: 1 });
    }

    #[test]
    fn the_limit_of_a_short_jump_is_exact() {
        for filler in 250..260 {
            let mut asm = Assembler::new();
            let yes = asm.ret(1);
            let no = asm.ret(2);
            for _ in 0..filler {
                asm.load(0);
            }
            asm.branch(Condition::Equal(7), yes, no);
            asm.load(0);
            let program = asm.finish();
            for (nr, answer) in [(7, 1), (8, 2)] {
                let data = crate::bpf::SeccompData::new(nr, [0; 6]);
                assert_eq!(crate::bpf::interp::run(&program, &data), Ok(answer), "{filler}");
            }
        }
    }
}
