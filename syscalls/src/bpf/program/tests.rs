use super::super::interp;
use super::super::{RET_ALLOW, SeccompData};
use super::*;
use crate::row;
use proptest::prelude::*;

/// Words at which a comparison could go wrong.
fn edges(row: &Row) -> Vec<u64> {
    let mut words = vec![0, 1, u64::MAX, 1 << 31, u64::from(u32::MAX), 1 << 32, 1 << 63];
    if let Disposition::NativeIf(predicate) = row.disposition {
        for test in predicate.any.iter().flat_map(|all| all.iter()) {
            for &value in test.values.iter().chain([&test.mask]) {
                for word in [value, value.wrapping_add(1), value.wrapping_sub(1), !value, value << 32] {
                    words.extend([
                        word,
                        word | 1 << 32,
                        word | 1 << 63,
                        word | 0x10,
                        word & u64::from(u32::MAX),
                    ]);
                }
            }
        }
    }
    words.sort_unstable();
    words.dedup();
    words
}

#[test]
fn the_kernel_would_take_it() {
    let program = compile(&FilterOptions::default());
    assert_eq!(interp::check(&program), Ok(()));
    assert!(program.len() < 1000, "{} instructions", program.len());
}

#[test]
fn every_number_has_the_action_of_its_row() {
    let opts = FilterOptions::default();
    let program = compile(&opts);
    for nr in 0..8192 {
        let expected = match row(nr) {
            Some(row) => rule(row, &opts),
            None if nr == PRIVATE_NR => Rule::Always(RET_USER_NOTIF),
            None => UNKNOWN,
        };
        for args in [[0; 6], [u64::MAX; 6]] {
            let answer = interp::run(&program, &SeccompData::new(nr, args));
            assert_eq!(answer, Ok(expected.action(&args)), "number {nr}");
        }
    }
}

#[test]
fn predicates_hold_at_their_edges() {
    let opts = FilterOptions::default();
    let program = compile(&opts);
    for row in TABLE {
        let Disposition::NativeIf(predicate) = row.disposition else { continue };
        let edges = edges(row);
        let mut used: Vec<u8> =
            predicate.any.iter().flat_map(|all| all.iter().map(|test| test.arg)).collect();
        used.sort_unstable();
        used.dedup();
        // All pairs of edges in the arguments that are looked at; no predicate looks at more than three.
        for &first in &edges {
            for &second in &edges {
                let mut args = [0x5555_5555_5555_5555; 6];
                for (turn, &arg) in used.iter().enumerate() {
                    args[usize::from(arg)] = if turn == 0 { first } else { second };
                }
                let answer = interp::run(&program, &SeccompData::new(row.nr, args));
                assert_eq!(answer, Ok(rule(row, &opts).action(&args)), "{} {args:x?}", row.name);
            }
        }
    }
}

#[test]
fn foreign_architectures_get_enosys() {
    let program = compile(&FilterOptions::default());
    for arch in [0x4000_0003, 0x4000_003e, 0x8000_003e, 0, u32::MAX] {
        let data = SeccompData { arch, ..SeccompData::new(0, [0; 6]) };
        assert_eq!(interp::run(&program, &data), Ok(RET_ERRNO | ENOSYS));
    }
    for nr in
        [X32_SYSCALL_BIT, X32_SYSCALL_BIT | 1, X32_SYSCALL_BIT | 520, 1 << 31, u32::MAX, X32_SYSCALL_BIT - 1]
    {
        assert_eq!(interp::run(&program, &SeccompData::new(nr, [0; 6])), Ok(RET_ERRNO | ENOSYS));
    }
}

#[test]
fn native_rows_never_load_an_argument() {
    // Only then does the kernel remember that the answer is always ALLOW.
    let program = compile(&FilterOptions::default());
    for row in TABLE.iter().filter(|row| row.disposition == Disposition::Native) {
        let (mut pc, mut acc) = (0, 0);
        loop {
            let insn = program[pc];
            pc += 1;
            match insn.code {
                0x20 => {
                    assert!(insn.k < 8, "{} loads offset {}", row.name, insn.k);
                    acc = if insn.k == 0 { row.nr } else { AUDIT_ARCH_X86_64 };
                }
                0x05 => pc += insn.k as usize,
                0x15 => pc += usize::from(if acc == insn.k { insn.jt } else { insn.jf }),
                0x35 => pc += usize::from(if acc >= insn.k { insn.jt } else { insn.jf }),
                0x06 => {
                    assert_eq!(insn.k, RET_ALLOW, "{}", row.name);
                    break;
                }
                code => panic!("instruction {code:#x} on the way to {}", row.name),
            }
        }
    }
}

#[test]
fn an_older_kernel_lacks_what_came_later() {
    let program = compile(&FilterOptions { kernel_version: Some((3, 10)) });
    let ask = |nr| interp::run(&program, &SeccompData::new(nr, [0; 6]));
    assert_eq!(ask(nr::getrandom), Ok(RET_ERRNO | ENOSYS));
    assert_eq!(ask(nr::rseq), Ok(RET_ERRNO | ENOSYS));
    assert_eq!(ask(nr::statx), Ok(RET_ERRNO | ENOSYS));
    assert_eq!(ask(nr::execveat), Ok(RET_USER_NOTIF));
    assert_eq!(ask(nr::sendmmsg), Ok(RET_USER_NOTIF));
    assert_eq!(ask(nr::read), Ok(RET_ALLOW));
    assert_eq!(ask(PRIVATE_NR), Ok(RET_USER_NOTIF));
}

/// Words that are small, huge, or of few bits, so that tests hold often enough to be worth something.
fn word() -> impl Strategy<Value = u64> {
    prop_oneof![
        0_u64..4,
        any::<u64>(),
        any::<u32>().prop_map(u64::from),
        (0_u64..4).prop_map(|word| word << 32),
        (0_u32..64).prop_map(|bit| 1 << bit),
        Just(u64::MAX),
    ]
}

fn one_test() -> impl Strategy<Value = Test> {
    let mask = prop_oneof![2 => Just(u64::MAX), 1 => word()];
    (0_u8..6, any::<bool>(), mask, any::<bool>(), prop::collection::vec(word(), 0..12)).prop_map(
        |(arg, low, mask, member, values)| {
            let keep = if low { u64::from(u32::MAX) } else { u64::MAX };
            let values: Vec<u64> = values.into_iter().map(|value| value & keep).collect();
            let width = if low { Width::Low32 } else { Width::Full64 };
            Test { arg, width, mask: mask & keep, member, values: Box::leak(values.into_boxed_slice()) }
        },
    )
}

fn predicate() -> impl Strategy<Value = Predicate> {
    prop::collection::vec(prop::collection::vec(one_test(), 0..4), 0..4).prop_map(|any| {
        let any: Vec<&'static [Test]> =
            any.into_iter().map(|all| &*Box::leak(all.into_boxed_slice())).collect();
        Predicate { any: Box::leak(any.into_boxed_slice()) }
    })
}

proptest! {
    #[test]
    fn programs_and_predicates_agree(
        rules in prop::collection::btree_map(0_u32..64, predicate(), 1..12),
        args in prop::array::uniform6(word()),
    ) {
        let rules: Vec<_> = rules.into_iter().map(|(nr, predicate)| (nr, Rule::AllowIf(predicate))).collect();
        let program = compile_rules(rules.iter().copied());
        prop_assert_eq!(interp::check(&program), Ok(()));
        for (nr, rule) in &rules {
            // The words that came, and words that some test of this rule knows.
            let mut tries = vec![args];
            if let Rule::AllowIf(predicate) = rule {
                for test in predicate.any.iter().flat_map(|all| all.iter()) {
                    for &value in test.values {
                        let mut known = args;
                        known[usize::from(test.arg)] = value;
                        tries.push(known);
                    }
                }
            }
            for args in tries {
                let answer = interp::run(&program, &SeccompData::new(*nr, args));
                prop_assert_eq!(answer, Ok(rule.action(&args)));
            }
        }
    }

    #[test]
    fn the_interpreter_survives_any_program(
        words in prop::collection::vec((any::<u16>(), any::<u8>(), any::<u8>(), any::<u32>()), 0..40),
        args in prop::array::uniform6(any::<u64>()),
    ) {
        let mut program: Vec<SockFilter> = words
            .into_iter()
            .map(|(code, jt, jf, k)| SockFilter { code: code & 0xff, jt: jt % 8, jf: jf % 8, k: k % 70 })
            .collect();
        program.push(SockFilter { code: 0x06, jt: 0, jf: 0, k: 0 });
        let outcome = interp::run(&program, &SeccompData::new(0, args));
        if interp::check(&program).is_ok() {
            prop_assert!(outcome.is_ok());
        }
    }
}
