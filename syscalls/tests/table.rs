//! The table as a whole, held against what others say about Linux.

use carrack_syscalls::arg::Kind;
use carrack_syscalls::{Disposition, PRIVATE_NR, TABLE, by_name, row};
use std::collections::BTreeSet;

/// Where the kernel's list ends that this table is written after.
const KERNEL: (u16, u16) = (6, 18);

#[test]
fn sorted_by_number_and_found_by_name() {
    assert!(TABLE.is_sorted_by(|a, b| a.nr < b.nr));
    let names: BTreeSet<_> = TABLE.iter().map(|row| row.name).collect();
    assert_eq!(names.len(), TABLE.len());
    for expected in TABLE {
        assert_eq!(row(expected.nr), Some(expected));
        assert_eq!(by_name(expected.name), Some(expected));
    }
    assert_eq!(row(400), None);
    assert_eq!(row(PRIVATE_NR), None);
    assert_eq!(by_name("socketcall"), None);
}

#[test]
fn numbers_and_names_are_the_kernels() {
    let kernel: Vec<_> = kernel_abi_tools::syscalls()
        .into_iter()
        .filter(|call| (call.first.major as u16, call.first.minor as u16) <= KERNEL)
        .map(|call| (call.nr, call.name))
        .collect();
    let ours: Vec<_> = TABLE.iter().map(|row| (row.nr, row.name)).collect();
    assert_eq!(ours, kernel);
}

#[test]
fn releases_are_the_kernels() {
    let floor = kernel_abi_tools::table_floor();
    for call in kernel_abi_tools::syscalls() {
        let Some(row) = row(call.nr) else { continue };
        let first = (call.first.major as u16, call.first.minor as u16);
        if call.first == floor {
            assert!(row.since_version() <= first, "{} is said to be of {}", row.name, row.since);
        } else {
            assert_eq!(row.since_version(), first, "{}", row.name);
        }
    }
}

#[test]
fn every_row_gives_its_reason() {
    for row in TABLE {
        assert!(row.why.len() > 8, "{}", row.name);
        assert!(!row.why.ends_with('.') && row.why.is_ascii(), "{}: {}", row.name, row.why);
    }
}

#[test]
fn tests_are_as_wide_as_the_kernels_parameters() {
    for row in TABLE {
        assert!(row.args.len() <= 6);
        let Disposition::NativeIf(predicate) = row.disposition else { continue };
        for test in predicate.any.iter().flat_map(|all| all.iter()) {
            let arg = &row.args[usize::from(test.arg)];
            assert_eq!(arg.kind.width(), test.width, "{}: {}", row.name, arg.name);
        }
    }
}

#[test]
fn what_names_a_path_never_runs_natively() {
    for row in TABLE {
        let named = row.args.iter().any(|arg| matches!(arg.kind, Kind::PathPtr | Kind::ArgvPtr));
        assert!(!(named && row.disposition == Disposition::Native), "{}", row.name);
        let judged = matches!(row.disposition, Disposition::NativeIf(_) | Disposition::Checked);
        assert!(!(named && judged), "{}: a path cannot be judged by its address", row.name);
    }
}

#[test]
fn what_names_a_process_runs_natively_only_for_oneself() {
    // Children are the caller's own; everything else with a pid is looked at.
    let waits = ["wait4", "waitid"];
    for row in TABLE.iter().filter(|row| row.disposition == Disposition::Native && !waits.contains(&row.name))
    {
        let named = row.args.iter().any(|arg| matches!(arg.kind, Kind::Pid | Kind::Tid));
        assert!(!named, "{}", row.name);
    }
}
