//! The platform with its allocations counted: the same program as `aloft`, with an allocator that counts in front of the system's.
//!
//! Who connects to the socket that `ALOFT_COUNTED` names is told how many allocations there were so far, a reallocation counting as one.
//! The spawner and the compiler, which are this program too, count for nobody.
#![allow(clippy::disallowed_methods, reason = "this is no part of the platform")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::Write as _;
use std::os::unix::net::UnixListener;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

#[allow(unsafe_code, reason = "an allocator is unsafe by its trait")]
// SAFETY: every method hands its arguments to the system's allocator as they are, and returns what that returns.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as the caller's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: as the caller's.
        unsafe { System.dealloc(place, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as the caller's.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as the caller's.
        unsafe { System.realloc(place, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn main() -> ExitCode {
    aloft_sandbox::spawner_if_asked();
    aloft_instance::wasm::compiler_if_asked();
    if let Some(place) = std::env::var_os("ALOFT_COUNTED") {
        match UnixListener::bind(&place) {
            Ok(listener) => drop(std::thread::spawn(move || tell(&listener))),
            Err(error) => {
                eprintln!("cannot listen on {}: {error}", place.display());
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::from(aloft_cli::run().number())
}

fn tell(listener: &UnixListener) {
    for asked in listener.incoming() {
        let count = ALLOCATIONS.load(Ordering::Relaxed);
        if let Err(error) = asked.and_then(|mut asked| writeln!(asked, "{count}")) {
            eprintln!("somebody was not told the count: {error}");
        }
    }
}
