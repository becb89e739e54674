//! The table of system calls as a header, so that a guest program can walk through all rows and fails to compile when it
//! says nothing about one.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use carrack_syscalls::{TABLE, arg::Kind};

/// Writes `table.h` into a directory, and leaves it alone where it says the same already: programs are compiled again when
/// it changes.
pub(crate) fn write(directory: &Path) -> Result<()> {
    let path = directory.join("table.h");
    let text = header();
    if fs::read_to_string(&path).is_ok_and(|old| old == text) {
        return Ok(());
    }
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// The header: an enumeration of the kinds of arguments, `ROWS(X)` with every row, `NOTIFIED(X)` with those that the
/// supervisor may be asked about.
fn header() -> String {
    let kinds = |pointers: bool| -> BTreeSet<&str> {
        let all = TABLE.iter().flat_map(|row| row.args);
        all.filter(|a| a.kind.is_pointer() == pointers).map(|a| a.kind.name()).collect()
    };
    let mut text = String::from("// Made from the table of system calls.\nenum kind {\n    K_None,\n");
    for kind in kinds(false) {
        let _ = writeln!(text, "    K_{kind},");
    }
    text.push_str("    K_first_pointer,\n");
    for kind in kinds(true) {
        let _ = writeln!(text, "    K_{kind},");
    }
    text.push_str("};\n// number, name, disposition, number of arguments, their kinds, their names\n#define ROWS(X) \\\n");
    for row in TABLE {
        let kind = |i: usize| row.args.get(i).map_or("None", |a: &carrack_syscalls::Arg| Kind::name(a.kind));
        let name = |i: usize| row.args.get(i).map_or("", |a| a.name);
        let _ = write!(text, "X({}, {}, {}, {}", row.nr, row.name, row.disposition.word(), row.args.len());
        for i in 0..6 {
            let _ = write!(text, ", K_{}", kind(i));
        }
        for i in 0..6 {
            let _ = write!(text, ", \"{}\"", name(i));
        }
        text.push_str(") \\\n");
    }
    // The C library may be older than a call.
    text.push('\n');
    for row in TABLE {
        let _ = writeln!(text, "#ifndef SYS_{0}\n#define SYS_{0} {1}\n#endif", row.name, row.nr);
    }
    text.push_str("#define NOTIFIED(X) \\\n");
    for row in TABLE.iter().filter(|row| row.disposition.is_notified()) {
        let _ = writeln!(text, "X({}, {}) \\", row.nr, row.name);
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_in_the_header_and_every_notified_one_twice() {
        let text = header();
        assert_eq!(text.matches("\nX(").count(), {
            TABLE.len() + TABLE.iter().filter(|r| r.disposition.is_notified()).count()
        });
        assert!(text.contains(
            "X(0, read, Native, 3, K_Fd, K_Out, K_Size, K_None, K_None, K_None, \"fd\", \"buf\", \"count\", \"\", \"\", \"\") \\\n"
        ));
        assert!(text.contains("X(2, open) \\\n"));
    }
}
