//! What must hold of every plan, whatever the files say. Used by the property tests and by the fuzz target.

use carrack_loader::stub::{OP_ZERO, Op, RESERVED_END, RESIDENT, SYS_CLOSE, SYS_MMAP};
use carrack_loader::{ElfImage, LoadInput, LoadPlan, Loadable, PAGE_SIZE, TASK_SIZE};

const MAP_FIXED: u64 = 0x10;
const PROGRAM_FD: u64 = 5;
const INTERPRETER_FD: u64 = 6;

/// Lays out the files and looks at what comes out.
pub fn check_layout(program: &ElfImage, interpreter: Option<&ElfImage>, mmap_top: u64, random: [u64; 2]) {
    for no_randomize in [false, true] {
        let input = LoadInput {
            program: Loadable { image: program, fd: PROGRAM_FD as i32 },
            interpreter: interpreter.map(|image| Loadable { image, fd: INTERPRETER_FD as i32 }),
            mmap_top,
            random,
            no_randomize,
        };
        if let Ok(plan) = LoadPlan::new(&input) {
            check_plan(&plan);
        }
    }
}

fn check_plan(plan: &LoadPlan) {
    // What is mapped, by the file that it belongs to: files are mapped one after the other.
    let mut mapped: Vec<(u64, u64, usize)> = Vec::new();
    let mut file = 0;
    for op in &plan.ops {
        let Op { nr, args, expect } = *op;
        match nr {
            SYS_MMAP => {
                let [start, length, prot, flags, fd, offset] = args;
                assert_eq!(expect, start);
                assert!(
                    length > 0
                        && start % PAGE_SIZE == 0
                        && length % PAGE_SIZE == 0
                        && offset % PAGE_SIZE == 0
                );
                let end = start.checked_add(length).expect("no mapping wraps");
                assert!(end <= TASK_SIZE, "outside: {op:x?}");
                assert!(end <= RESIDENT || start >= RESERVED_END, "touches the resident page: {op:x?}");
                assert!(start >= RESIDENT && prot <= 7);
                assert!(fd == u64::MAX || fd == [PROGRAM_FD, INTERPRETER_FD][file]);
                let overlapped = mapped.iter().filter(|(from, to, _)| start < *to && *from < end);
                if flags & MAP_FIXED != 0 {
                    assert!(
                        overlapped.clone().any(|(.., other)| *other == file),
                        "replaces nothing: {op:x?}"
                    );
                } else {
                    assert!(overlapped.clone().all(|(.., other)| *other != file), "cannot succeed: {op:x?}");
                }
                mapped.push((start, end, file));
            }
            OP_ZERO => {
                let (start, end) = (args[0], args[0] + args[1]);
                assert!(args[1] < PAGE_SIZE && end % PAGE_SIZE == 0);
                assert!(
                    mapped.iter().any(|(from, to, other)| *from <= start && end <= *to && *other == file)
                );
            }
            SYS_CLOSE => {
                assert_eq!(args[0], [PROGRAM_FD, INTERPRETER_FD][file]);
                file += 1;
            }
            other => panic!("an operation that nobody asked for: {other}"),
        }
    }
    assert!(plan.entry < TASK_SIZE && plan.at_entry < TASK_SIZE && plan.start_brk < TASK_SIZE);
    assert!(plan.start_code < plan.end_code && plan.start_data <= plan.end_data);
}
