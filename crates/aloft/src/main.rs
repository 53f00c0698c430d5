//! The binary: what must be done before anything else, then the command.

fn main() -> std::process::ExitCode {
    // The spawner of sandboxes is this same program, run again: it must be single-threaded.
    aloft_sandbox::spawner_if_asked();
    // So is the compiler of WebAssembly components.
    aloft_instance::wasm::compiler_if_asked();
    // And what makes a component of a module that a build made.
    aloft_build::encoder_if_asked();
    std::process::ExitCode::from(aloft_cli::run().number())
}
