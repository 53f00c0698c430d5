//! From a core module to a component, in a child: what rustc makes for `wasm32-unknown-unknown` has the world that it is of written into it,
//! and `wit-component` makes of both what the linker of `wasm32-wasip2` would have made. It reads a stranger's module, so it runs where the
//! build runs.

use std::io::{Read as _, Write as _};

use wit_component::ComponentEncoder;

use crate::artifact::BYTES;

/// What tells the child what it is.
pub(crate) const WORD: &str = "encode-component";

/// Must be called early in `main`: returns unless this process was started to make a component of a module, and else ends it.
pub fn encoder_if_asked() {
    if std::env::args_os().nth(1).as_deref() != Some(WORD.as_ref()) {
        return;
    }
    let status = match encode() {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("error: the module is no component: {error}");
            1
        }
    };
    std::process::exit(status)
}

fn encode() -> Result<(), String> {
    let mut module = Vec::new();
    let mut input = std::io::stdin().lock().take(BYTES);
    input
        .read_to_end(&mut module)
        .map_err(|error| error.to_string())?;
    let component = ComponentEncoder::default()
        .module(&module)
        .and_then(|encoder| encoder.validate(true).encode())
        .map_err(|error| format!("{error:#}"))?;
    let mut output = std::io::stdout().lock();
    let written = output.write_all(&component).and_then(|()| output.flush());
    written.map_err(|error| error.to_string())
}
