//! `levada`, the command.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    levada_env::memory::set_give_back(|| {
        // SAFETY: it takes no pointers; the allocator above is the one it speaks of.
        unsafe { libmimalloc_sys::mi_collect(true) }
    });
    levada_daemon::cli::main(std::env::args_os())
}
