//! What is done to code ahead of its first run, which depends on what runs it.

use std::path::Path;

use aloft_function::Program;

use crate::python;

/// What code is prepared for: the interpreter's version, or what stands in for one.
pub(crate) fn language(program: &Program) -> &str {
    let interpreter = program.interpreter();
    interpreter.map_or(program.runtime(), |interpreter| &interpreter.runtime)
}

/// What a folder is compiled for: compiled code depends on the interpreter.
pub(crate) fn compiled_for(program: &Program) -> &[u8] {
    program
        .python()
        .map_or(&[], |interpreter| interpreter.runtime.as_bytes())
}

/// Compiles what can be compiled ahead. A file that does not compile is the function's own matter: its error is told when the code is
/// loaded.
pub(crate) async fn compile(program: &Program, folder: &Path) {
    if let Some(interpreter) = program.python() {
        python::compile(interpreter, folder).await;
    }
}
