//! Builds the freestanding stub and brand, for the one architecture that there is, and hands their paths to the crate.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, exit};

#[allow(dead_code, unreachable_pub)]
#[path = "stub/abi.rs"]
mod abi;

#[allow(dead_code, unreachable_pub)]
#[path = "brand/abi.rs"]
mod brand;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    for name in ["stub", "brand"] {
        println!("cargo:rerun-if-changed={name}/abi.rs");
        println!("cargo:rerun-if-changed={name}/main.rs");
    }
    build("stub", &stub_script(), &["-Crelocation-model=static"], &[]);
    // A flat image that runs at any page.
    build("brand", &brand_script(), &["-Crelocation-model=pic", "-Cjump-tables=no"], &["--oformat=binary"]);
}

/// Compiles `NAME/main.rs` and tells the crate where it is, in `CARRACK_NAME`.
fn build(name: &str, linker_script: &str, flags: &[&str], linker_flags: &[&str]) {
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    let script = out.join(format!("{name}.ld"));
    let blob = out.join(name);
    if let Err(error) = fs::write(&script, linker_script) {
        fail(&format!("cannot write {}: {error}", script.display()));
    }
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let mut command = Command::new(rustc);
    // The flags of the workspace are for programs with a C library; the stub has none.
    command.env_remove("CARGO_ENCODED_RUSTFLAGS").env_remove("RUSTFLAGS");
    command.args(["--edition=2024", "--crate-type=bin"]);
    command.arg(format!("--crate-name=carrack_{name}")).args(flags);
    command.args(["--target=x86_64-unknown-linux-gnu", "-Cpanic=abort"]);
    command.args(["-Copt-level=s", "-Ccodegen-units=1", "-Cdebuginfo=0", "-Cstrip=symbols"]);
    command.args(["-Cdebug-assertions=off", "-Coverflow-checks=off", "-Cforce-unwind-tables=no"]);
    command.args(["-Clinker-features=-lld", "-Ctarget-feature=-crt-static"]);
    command.args(["-nostdlib", "-nostartfiles", "-static", "-no-pie"].map(|arg| format!("-Clink-arg={arg}")));
    command.args(
        [
            "-z,max-page-size=4096",
            "-z,noseparate-code",
            "--build-id=none",
            "--no-dynamic-linker",
            "-z,norelro",
        ]
        .map(|arg| format!("-Clink-arg=-Wl,{arg}")),
    );
    command.arg(format!("-Clink-arg=-Wl,-T,{}", script.display()));
    command.args(linker_flags.iter().map(|flag| format!("-Clink-arg=-Wl,{flag}")));
    command.arg("-o").arg(&blob).arg(format!("{name}/main.rs"));
    match command.status() {
        Ok(status) if status.success() => {}
        Ok(status) => fail(&format!("the {name} was not built: {status}")),
        Err(error) => fail(&format!("cannot run rustc: {error}")),
    }
    println!("cargo:rustc-env=CARRACK_{}={}", name.to_uppercase(), blob.display());
}

/// Context and sites, which the supervisor fills in, then code.
fn brand_script() -> String {
    format!(
        "SECTIONS {{
  . = 0;
  brand_context = .;
  .head : {{ BYTE(0); . = {entry:#x}; }}
  .entry {entry:#x} : {{ KEEP(*(.entry)) }}
  .text : {{ *(.text .text.*) *(.rodata .rodata.*) }}
  .fill : {{ BYTE(0); . = ALIGN(4096); }}
  ASSERT(. <= {size:#x}, \"the brand is too long\")
  .refused : {{ *(.data .data.* .bss .bss.* COMMON .got .got.* .got.plt .tdata .tbss) }}
  ASSERT(SIZEOF(.refused) == 0, \"the brand must have no variables\")
  /DISCARD/ : {{ *(.eh_frame .eh_frame.* .eh_frame_hdr .comment .note .note.* .gcc_except_table* .rela* .dyn*) }}
}}
",
        entry = brand::ENTRY,
        size = brand::BLOB_SIZE,
    )
}

/// One page of headers and code, and writable pages that take no room in the file.
fn stub_script() -> String {
    format!(
        "ENTRY(_start)
PHDRS {{ text PT_LOAD FILEHDR PHDRS FLAGS(5); rw PT_LOAD FLAGS(6); stack PT_GNU_STACK FLAGS(6); }}
SECTIONS {{
  . = {resident:#x} + SIZEOF_HEADERS;
  .text : {{ *(.text .text.*) *(.rodata .rodata.*) }} :text
  ASSERT(. <= {restorer:#x}, \"the stub's code is too long\")
  .restorer {restorer:#x} : {{ KEEP(*(.restorer)) }} :text
  ASSERT(. <= {park:#x}, \"the signal restorer is too long\")
  .park {park:#x} : {{ KEEP(*(.park)) }} :text
  ASSERT(. <= {set:#x}, \"the park trampoline is too long\")
  .interruptible {set:#x} : {{ KEEP(*(.interruptible)) }} :text
  .rw {plan:#x} (NOLOAD) : {{ . = . + {rw:#x}; }} :rw
  .refused : {{ *(.data .data.* .bss .bss.* COMMON .got .got.* .tdata .tbss) }} :rw
  ASSERT(SIZEOF(.refused) == 0, \"the stub must have no variables\")
  /DISCARD/ : {{ *(.eh_frame .eh_frame.* .eh_frame_hdr .comment .note .note.* .gcc_except_table*) }}
}}
",
        resident = abi::RESIDENT,
        restorer = abi::SIGNAL_RESTORER_LOOSE,
        park = abi::PARK,
        set = abi::INTERRUPTIBLE_SET,
        plan = abi::PLAN_BUFFER,
        rw = abi::STUB_END - abi::PLAN_BUFFER,
    )
}

fn fail(why: &str) -> ! {
    eprintln!("{why}");
    exit(1)
}
