//! The freestanding stub: the program that the host kernel really executes when a guest calls execve.
//!
//! It asks the supervisor for a plan, runs the system calls in it, unmaps its own writable pages and jumps to the
//! program. What stays is the resident page: the signal restorer and the park trampoline. Nothing here is trusted by the
//! supervisor; it runs with the guest's authority. No thread-local storage, no vector registers, no relocations.

#![no_std]
#![no_main]

#[allow(dead_code, unreachable_pub)]
mod abi;

use abi::*;
use core::arch::{asm, global_asm, naked_asm};
use core::mem::offset_of;
use core::ptr::{read_volatile, write_volatile};

const SYS_MMAP: u64 = 9;
const SYS_MUNMAP: u64 = 11;
const SYS_EXIT_GROUP: u64 = 231;
const MAP_PRIVATE_ANONYMOUS: u64 = 0x22;
const PAGE: u64 = 4096;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    give_up()
}

fn syscall(nr: u64, args: [u64; 6]) -> u64 {
    let result;
    // SAFETY: the kernel changes no register but rax, rcx and r11; which memory it changes is the plan's affair, and the
    // compiler is told that it may be any.
    unsafe {
        asm!("syscall", inlateout("rax") nr => result, in("rdi") args[0], in("rsi") args[1], in("rdx") args[2],
            in("r10") args[3], in("r8") args[4], in("r9") args[5], lateout("rcx") _, lateout("r11") _);
    }
    result
}

fn is_error(result: u64) -> bool {
    result > u64::MAX - 4096
}

fn give_up() -> ! {
    loop {
        syscall(SYS_EXIT_GROUP, [127, 0, 0, 0, 0, 0]);
    }
}

/// Reads the word at `address` of the plan.
fn word(address: u64) -> u64 {
    // SAFETY: callers stay within the plan buffer, which is a part of the stub's bss.
    unsafe { read_volatile(address as *const u64) }
}

fn zero(address: u64, length: u64) {
    let mut at = address;
    while at < address.wrapping_add(length) {
        // SAFETY: the plan names memory that it has mapped just before.
        unsafe { write_volatile(at as *mut u8, 0) };
        at += 1;
    }
}

/// Runs with the stub's own stack; `sp` is the stack pointer that the kernel gave.
extern "C" fn stub_main(sp: u64) -> ! {
    let probe = syscall(SYS_MMAP, [0, PAGE, 0, MAP_PRIVATE_ANONYMOUS, u64::MAX, 0]);
    syscall(SYS_MUNMAP, [probe, PAGE, 0, 0, 0, 0]);
    let ask = [REQUEST_PLAN, PLAN_BUFFER, PLAN_SIZE, sp, probe.wrapping_add(PAGE), 0];
    if is_error(probe) || syscall(PRIVATE_SYSCALL, ask) != 0 {
        give_up();
    }
    let ops = word(PLAN_BUFFER + offset_of!(PlanHeader, ops) as u64);
    if ops > MAX_OPS {
        give_up();
    }
    let mut index = 0;
    while index < ops {
        let op = PLAN_BUFFER + OPS_OFFSET + index * size_of::<Op>() as u64;
        let nr = word(op);
        let arg = |n: u64| word(op + offset_of!(Op, args) as u64 + n * 8);
        let result = if nr == OP_ZERO {
            zero(arg(0), arg(1));
            0
        } else {
            syscall(nr, [arg(0), arg(1), arg(2), arg(3), arg(4), arg(5)])
        };
        let good = match word(op + offset_of!(Op, expect) as u64) {
            EXPECT_ANYTHING => true,
            EXPECT_SUCCESS => !is_error(result),
            exactly => result == exactly,
        };
        if !good {
            syscall(PRIVATE_SYSCALL, [PLAN_FAILED, index, result, 0, 0, 0]);
            give_up();
        }
        index += 1;
    }
    let entry = word(PLAN_BUFFER + offset_of!(PlanHeader, entry) as u64);
    let sp = word(PLAN_BUFFER + offset_of!(PlanHeader, sp) as u64);
    // SAFETY: never returns; from here on only registers and the program's stack are used. The entry waits below the
    // program's stack pointer, where a `ret` finds it after all registers are clear.
    unsafe {
        asm!(
            "mov rsp, {sp}", "push {entry}", "syscall",
            "xor eax, eax", "xor ebx, ebx", "xor ecx, ecx", "xor edx, edx", "xor esi, esi", "xor edi, edi",
            "xor ebp, ebp", "xor r8d, r8d", "xor r9d, r9d", "xor r10d, r10d", "xor r11d, r11d", "xor r12d, r12d",
            "xor r13d, r13d", "xor r14d, r14d", "xor r15d, r15d", "ret",
            sp = in(reg) sp, entry = in(reg) entry,
            in("rax") SYS_MUNMAP, in("rdi") PLAN_BUFFER, in("rsi") STUB_END - PLAN_BUFFER,
            options(noreturn)
        )
    }
}

/// Where the kernel starts the stub.
#[unsafe(no_mangle)]
#[unsafe(naked)]
unsafe extern "C" fn _start() -> ! {
    naked_asm!("mov rdi, rsp", "mov esp, {stack}", "call {main}", "ud2",
        stack = const STUB_END as u32, main = sym stub_main)
}

#[used]
#[unsafe(link_section = ".interruptible")]
static INTERRUPTIBLE_BITS: [u64; 8] = interruptible_set();

// A handler returns to here, in place of libc's own restorer: rsp points to the ucontext. Every register is free, because
// rt_sigreturn restores them all. Offsets in the ucontext: rsi 112, rax 144, rcx 152, rip 168.
global_asm!(
    ".pushsection .restorer, \"ax\", @progbits",
    "mov rdx, rsp",
    "jmp 2f",
    ".balign 16, 0xcc",
    "mov rdx, rsp",
    // Did `syscall` put its return address into rcx? Then this is a call that the kernel set up to be restarted.
    "mov rax, [rdx + 168]",
    "add rax, 2",
    "cmp rax, [rdx + 152]",
    "jne 9f",
    "2: mov rax, [rdx + 144]",
    "cmp rax, 512",
    "jae 9f",
    "bt qword ptr [{set}], rax",
    "jnc 9f",
    // Of futex only WAIT (0), WAIT_BITSET (9) and WAIT_REQUEUE_PI (11) give EINTR; LOCK_PI is always restarted.
    "cmp eax, 202",
    "jne 4f",
    "mov r10, [rdx + 112]",
    "and r10d, 0x7f",
    "mov ecx, 0xa01",
    "cmp r10d, 31",
    "ja 9f",
    "bt ecx, r10d",
    "jnc 9f",
    "jmp 5f",
    // Of fcntl only F_SETLKW (7) and F_OFD_SETLKW (38).
    "4: mov r10d, [rdx + 112]",
    "cmp eax, 72",
    "jne 4f",
    "cmp r10d, 7",
    "je 5f",
    "cmp r10d, 38",
    "jne 9f",
    "jmp 5f",
    // Of ioctl only what waits for a terminal: 0x5402 to 0x540b, 0x5425, 0x542b to 0x542d.
    "4: cmp eax, 16",
    "jne 4f",
    "movzx ecx, r10w",
    "sub ecx, 0x5402",
    "cmp ecx, 9",
    "jbe 5f",
    "sub ecx, 0x23",
    "jz 5f",
    "sub ecx, 6",
    "cmp ecx, 2",
    "ja 9f",
    "jmp 5f",
    // sendto with an address is the supervisor's.
    "4: cmp eax, 44",
    "jne 4f",
    "cmp qword ptr [rdx + 40], 0",
    "jne 9f",
    "jmp 5f",
    // What goes on natively after a notification (accept 43 and 288, recvfrom 45, recvmsg 47, recvmmsg 299) may have been
    // interrupted in the notification: only where it may block at all has it a reason to be.
    "4: mov r10d, [rdx + 56]",
    "cmp eax, 45",
    "je 6f",
    "cmp eax, 299",
    "je 6f",
    "mov r10d, [rdx + 136]",
    "cmp eax, 47",
    "je 6f",
    "cmp eax, 43",
    "je 7f",
    "cmp eax, 288",
    "jne 5f",
    "jmp 7f",
    // MSG_DONTWAIT
    "6: test r10b, 0x40",
    "jnz 9f",
    // fcntl(fd, F_GETFL) & O_NONBLOCK
    "7: mov rdi, [rdx + 104]",
    "mov esi, 3",
    "mov eax, 72",
    "syscall",
    "bt eax, 31",
    "jc 9f",
    "bt eax, 11",
    "jc 9f",
    // poll({fd, POLLIN | POLLPRI | POLLRDHUP}, 1, 0): what is there would have been given at once.
    "mov eax, [rdx + 104]",
    "mov rcx, {readable}",
    "or rax, rcx",
    "push rax",
    "mov rdi, rsp",
    "mov esi, 1",
    "xor edx, edx",
    "mov eax, 7",
    "syscall",
    "pop rcx",
    "mov rdx, rsp",
    "test eax, eax",
    "jg 9f",
    "5: mov r10, [rdx + 168]",
    "cmp word ptr [r10], 0x050f",
    "jne 9f",
    "mov qword ptr [rdx + 144], -4",
    "add r10, 2",
    "mov [rdx + 168], r10",
    "9: mov eax, 15",
    "syscall",
    "ud2",
    ".popsection",
    set = const INTERRUPTIBLE_SET,
    readable = const 0x2003_u64 << 32,
);

// The supervisor has set the registers for a native call, and rsp to a RawParkFrame below the red zone.
global_asm!(
    ".pushsection .park, \"ax\", @progbits",
    "syscall",
    "cmp dword ptr [rsp + {after}], {after_return}",
    "je 3f",
    "ja 2f",
    "cmp rax, -4",
    "je 3f",
    "mov rax, [rsp + {nr}]",
    "mov rcx, [rsp + {rip}]",
    "jmp 4f",
    "2: test rax, rax",
    "js 3f",
    "mov rsi, rax",
    "mov edi, {parked}",
    "mov rdx, rsp",
    "mov r10, [rsp + {cookie}]",
    "mov eax, {private}",
    "syscall",
    // The return address goes to rcx, where `syscall` itself would have left it; the flags are as they were.
    "3: mov rcx, [rsp + {rip}]",
    "add rcx, 2",
    "4: mov rdi, [rsp + {args}]",
    "mov rsi, [rsp + {args} + 8]",
    "mov rdx, [rsp + {args} + 16]",
    "mov r10, [rsp + {args} + 24]",
    "mov r8, [rsp + {args} + 32]",
    "mov r9, [rsp + {args} + 40]",
    "mov r11, [rsp + {eflags}]",
    "push r11",
    "popfq",
    "mov rsp, [rsp + {rsp}]",
    "jmp rcx",
    ".popsection",
    nr = const offset_of!(RawParkFrame, nr),
    args = const offset_of!(RawParkFrame, args),
    rip = const offset_of!(RawParkFrame, rip),
    rsp = const offset_of!(RawParkFrame, rsp),
    eflags = const offset_of!(RawParkFrame, eflags),
    after = const offset_of!(RawParkFrame, after),
    cookie = const offset_of!(RawParkFrame, cookie),
    after_return = const AFTER_RETURN,
    parked = const PARKED,
    private = const PRIVATE_SYSCALL,
);
