//! From rows to a program: the architecture, a binary search by number, argument tests in the leaves.

use super::assembler::{Assembler, Condition, Label, SockFilter};
use super::predicate::{Predicate, Test, Width};
use super::{AUDIT_ARCH_X86_64, RET_ALLOW, RET_ERRNO, RET_USER_NOTIF, X32_SYSCALL_BIT};
use crate::{Disposition, PRIVATE_NR, Row, TABLE, nr};

const EPERM: u32 = 1;
const ENOSYS: u32 = 38;

/// Offsets into `struct seccomp_data`.
const NR: u32 = 0;
const ARCH: u32 = 4;
const ARGS: u32 = 16;

/// What a container asks of its filter.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct FilterOptions {
    /// Major and minor number of the kernel the container is told it runs on; calls that came later get ENOSYS.
    /// `execveat` is notified all the same, because exec itself needs it: the supervisor must refuse it to others.
    pub kernel_version: Option<(u16, u16)>,
}

/// What the filter does with one number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rule {
    /// The same whatever the arguments are.
    Always(u32),
    /// ALLOW where the predicate holds, otherwise a notification.
    AllowIf(Predicate),
}

impl Rule {
    /// What the filter answers to these argument words.
    pub fn action(&self, args: &[u64; 6]) -> u32 {
        match self {
            Self::Always(action) => *action,
            Self::AllowIf(predicate) if predicate.holds(args) => RET_ALLOW,
            Self::AllowIf(_) => RET_USER_NOTIF,
        }
    }
}

const UNKNOWN: Rule = Rule::Always(RET_ERRNO | ENOSYS);

/// What the filter does with the call of a row.
pub fn rule(row: &Row, opts: &FilterOptions) -> Rule {
    if row.nr != nr::execveat && opts.kernel_version.is_some_and(|version| row.since_version() > version) {
        return UNKNOWN;
    }
    match row.disposition {
        Disposition::Native => Rule::Always(RET_ALLOW),
        Disposition::NativeIf(predicate) => Rule::AllowIf(predicate),
        Disposition::Checked | Disposition::Emulated => Rule::Always(RET_USER_NOTIF),
        Disposition::Absent => UNKNOWN,
        Disposition::Refused => Rule::Always(RET_ERRNO | EPERM),
    }
}

/// Compiles the table to a filter program for seccomp(2).
pub fn compile(opts: &FilterOptions) -> Vec<SockFilter> {
    compile_rules(TABLE.iter().map(|row| (row.nr, rule(row, opts))))
}

/// Compiles rules, sorted by number, together with the rule for our private number.
pub(crate) fn compile_rules(rules: impl Iterator<Item = (u32, Rule)>) -> Vec<SockFilter> {
    let mut out = Emitter { asm: Assembler::new(), returns: Vec::new() };
    let foreign = out.answer(RET_ERRNO | ENOSYS);
    let spans = spans(rules.chain([(PRIVATE_NR, Rule::Always(RET_USER_NOTIF))]));
    let search = out.search(&spans);
    out.asm.branch(Condition::AtLeast(X32_SYSCALL_BIT), foreign, search);
    let number = out.asm.load(NR);
    out.asm.branch(Condition::Equal(AUDIT_ARCH_X86_64), number, foreign);
    out.asm.load(ARCH);
    out.asm.finish()
}

/// Numbers from `first` on, up to the next span, have this rule.
#[derive(Clone, Copy, Debug)]
struct Span {
    first: u32,
    rule: Rule,
}

/// Fills the gaps between the rules and joins neighbours that are treated alike.
fn spans(rules: impl Iterator<Item = (u32, Rule)>) -> Vec<Span> {
    let mut spans = vec![];
    let mut push = |first, rule| match spans.last() {
        Some(Span { rule: last, .. }) if *last == rule => {}
        _ => spans.push(Span { first, rule }),
    };
    let mut next = 0;
    for (nr, rule) in rules {
        if next < nr {
            push(next, UNKNOWN);
        }
        push(nr, rule);
        next = nr + 1;
    }
    push(next, UNKNOWN);
    spans
}

/// Writes the program, from its end to its start.
struct Emitter {
    asm: Assembler,
    /// The last `ret` of each action, to be shared by those who stand near enough.
    returns: Vec<(u32, Label)>,
}

impl Emitter {
    /// A place that returns this action, near enough for any conditional jump.
    fn answer(&mut self, action: u32) -> Label {
        let known = self.returns.iter().rev().find(|(known, _)| *known == action).map(|(_, label)| *label);
        match known {
            Some(label) if self.asm.is_near(label) => label,
            _ => {
                let label = self.asm.ret(action);
                self.returns.push((action, label));
                label
            }
        }
    }

    /// Expects the number in the accumulator and finds its span.
    fn search(&mut self, spans: &[Span]) -> Label {
        match spans {
            [] => self.answer(RET_ERRNO | ENOSYS),
            [span] => self.leaf(span.rule),
            _ => {
                let (low, high) = spans.split_at(spans.len() / 2);
                let then = self.search(high);
                let otherwise = self.search(low);
                self.asm.branch(Condition::AtLeast(high[0].first), then, otherwise)
            }
        }
    }

    fn leaf(&mut self, rule: Rule) -> Label {
        match rule {
            Rule::Always(action) => self.answer(action),
            Rule::AllowIf(predicate) => {
                let holds = self.answer(RET_ALLOW);
                let fails = self.answer(RET_USER_NOTIF);
                self.any(&predicate, holds, fails)
            }
        }
    }

    fn any(&mut self, predicate: &Predicate, holds: Label, fails: Label) -> Label {
        predicate.any.iter().rev().fold(fails, |fails, all| self.all(all, holds, fails))
    }

    fn all(&mut self, tests: &[Test], holds: Label, fails: Label) -> Label {
        tests.iter().rev().fold(holds, |holds, test| self.test(test, holds, fails))
    }

    fn test(&mut self, test: &Test, holds: Label, fails: Label) -> Label {
        let (found, missed) = if test.member { (holds, fails) } else { (fails, holds) };
        let low = ARGS + 8 * u32::from(test.arg);
        match test.width {
            Width::Low32 => {
                let mut values: Vec<u32> = test.values.iter().map(|&value| value as u32).collect();
                values.sort_unstable();
                values.dedup();
                let search = self.one_of(&values, found, missed);
                self.load_masked(low, test.mask as u32, search)
            }
            Width::Full64 => test.values.iter().rev().fold(missed, |missed, &value| {
                let lower = self.half(low, test.mask as u32, value as u32, found, missed);
                self.half(low + 4, (test.mask >> 32) as u32, (value >> 32) as u32, lower, missed)
            }),
        }
    }

    /// Compares one half of an argument with one half of a value.
    fn half(&mut self, offset: u32, mask: u32, value: u32, found: Label, missed: Label) -> Label {
        match (mask, value) {
            (0, 0) => found,
            (0, _) => missed,
            _ => {
                let compare = self.asm.branch(Condition::Equal(value), found, missed);
                self.load_masked(offset, mask, compare)
            }
        }
    }

    /// Expects a word in the accumulator and looks for it among sorted values.
    fn one_of(&mut self, values: &[u32], found: Label, missed: Label) -> Label {
        match values {
            [] => missed,
            [value] => self.asm.branch(Condition::Equal(*value), found, missed),
            _ => {
                let (low, high) = values.split_at(values.len() / 2);
                let then = self.one_of(high, found, missed);
                let otherwise = self.one_of(low, found, missed);
                self.asm.branch(Condition::AtLeast(high[0]), then, otherwise)
            }
        }
    }

    /// Loads a word, keeps the bits of the mask, and goes on at `next`.
    fn load_masked(&mut self, offset: u32, mask: u32, next: Label) -> Label {
        self.asm.goto(next);
        if mask != u32::MAX {
            self.asm.and(mask);
        }
        self.asm.load(offset)
    }
}

#[cfg(test)]
mod tests;
