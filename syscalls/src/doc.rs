//! The page of the book that lists the system calls. It is written from the table, and a test fails when it is stale.

use crate::arg::Kind;
use crate::bpf::predicate::{Predicate, Test, Width};
use crate::names::{self, name_of};
use crate::{Disposition, Row, TABLE};
use std::fmt::Write;

const INTRODUCTION: &str = "\
# System calls

<!-- Written from the table in `syscalls/src/table.rs`. To write it again after a change of the table:
     CARRACK_WRITE_DOCS=1 cargo test -p carrack-syscalls --test docs -->

Every system call of x86-64 Linux 6.18, what happens to it in a container, and why.

| word | what happens |
| --- | --- |
| `Native` | the host kernel runs it; nobody else sees it |
| `NativeIf` | the host kernel runs it where the condition on its argument values holds; otherwise as `Emulated` |
| `Checked` | the supervisor is asked first and may refuse; then the host kernel runs it |
| `Emulated` | the supervisor computes the answer; the host kernel never sees it |
| `Absent` | `ENOSYS`, as from a kernel that was built without it |
| `Refused` | `EPERM`, as for a caller without the privilege |

Numbers that are not listed, x32 and 32-bit calls get `ENOSYS`.
";

/// The page, as Markdown.
pub fn markdown() -> String {
    let mut page = String::from(INTRODUCTION);
    // A `String` takes everything that is written to it.
    let _ = counts(&mut page).and_then(|()| calls(&mut page)).and_then(|()| conditions(&mut page));
    page
}

fn counts(page: &mut String) -> std::fmt::Result {
    page.push_str("\n## How many\n\n| word | calls |\n| --- | ---: |\n");
    for word in ["Native", "NativeIf", "Checked", "Emulated", "Absent", "Refused"] {
        let count = TABLE.iter().filter(|row| row.disposition.word() == word).count();
        writeln!(page, "| `{word}` | {count} |")?;
    }
    writeln!(page, "| all | {} |", TABLE.len())
}

fn calls(page: &mut String) -> std::fmt::Result {
    page.push_str(
        "\n## All of them\n\n| nr | call | since | what happens | why |\n| ---: | --- | --- | --- | --- |\n",
    );
    for row in TABLE {
        let args: Vec<&str> = row.args.iter().map(|arg| arg.name).collect();
        let (nr, name, args) = (row.nr, row.name, args.join(", "));
        writeln!(
            page,
            "| {nr} | `{name}({args})` | {} | `{}` | {} |",
            row.since,
            row.disposition.word(),
            row.why
        )?;
    }
    Ok(())
}

fn conditions(page: &mut String) -> std::fmt::Result {
    page.push_str("\n## The conditions\n\nA call of these runs natively where the line holds.\n\n");
    for row in TABLE {
        if let Disposition::NativeIf(predicate) = &row.disposition {
            writeln!(page, "- `{}`: {}", row.name, predicate_text(row, predicate))?;
        }
    }
    Ok(())
}

fn predicate_text(row: &Row, predicate: &Predicate) -> String {
    let alternatives: Vec<String> = predicate
        .any
        .iter()
        .map(|all| all.iter().map(|test| test_text(row, test)).collect::<Vec<_>>().join(" and "))
        .collect();
    alternatives.join(", or ")
}

fn test_text(row: &Row, test: &Test) -> String {
    let name = row.args.get(usize::from(test.arg)).map_or("?", |arg| arg.name);
    let names = row.args.get(usize::from(test.arg)).map_or(&[][..], |arg| names_of(arg.kind));
    let text = |value: u64| match name_of(value, names) {
        Some(name) => name.to_string(),
        None if value < 10 => value.to_string(),
        None => format!("{value:#x}"),
    };
    let every = if test.width == Width::Low32 { u64::from(u32::MAX) } else { u64::MAX };
    let subject = if test.mask == every { name.to_string() } else { format!("{name} & {}", text(test.mask)) };
    let values: Vec<String> = test.values.iter().map(|&value| text(value)).collect();
    match (values.as_slice(), test.member) {
        ([value], true) => format!("`{subject}` is `{value}`"),
        ([value], false) => format!("`{subject}` is not `{value}`"),
        (values, true) => format!("`{subject}` is one of `{}`", values.join(" ")),
        (values, false) => format!("`{subject}` is none of `{}`", values.join(" ")),
    }
}

/// The constants that an argument of this type is made of.
fn names_of(kind: Kind) -> &'static [(u64, &'static str)] {
    match kind {
        Kind::IoctlCmd => names::ioctl::NAMES,
        Kind::FcntlCmd => names::fcntl::NAMES,
        Kind::PrctlOp => names::prctl::NAMES,
        Kind::Domain => names::domain::NAMES,
        Kind::SockType => names::sock_type::NAMES,
        Kind::SockLevel => names::sock_level::NAMES,
        Kind::SockOpt => names::sock_opt::NAMES,
        Kind::MsgFlags => names::msg::NAMES,
        _ => &[],
    }
}
