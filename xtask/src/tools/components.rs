//! The WebAssembly components of the tests and of `examples/wasm`, built from their sources.
//!
//! Rust's own target is used where rustup has it. Where only package registries can be reached it cannot be had ready-made, but
//! its standard library can be built: Debian's second Rust (`rustc-web`, for its browsers) comes with the library's sources. What that
//! makes is a core module for `wasm32-unknown-unknown`, which becomes a component by `wit-component`, as inside rustup's linker.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use wit_component::ComponentEncoder;

use super::apt::{Apt, library_folders};
use super::{Python, fill, key, script};
use crate::paths;
use crate::process::{cargo, output, say};

/// Guests in Rust: the crate's folder and its name.
const RUST: [(&str, &str); 2] = [("examples/wasm/rust", "visits"), ("tests/component", "component")];
/// The guest in Python, its folder and its name.
const PYTHON: (&str, &str) = ("examples/wasm/python", "shout");
/// The world that guests are of; its version is that of the crate `wasip2`, which brings its description.
const WORLD: &str = "wasi:http/proxy@0.2.12";
/// rustup's target.
const TARGET: &str = "wasm32-wasip2";
/// What stands in for it.
const BARE: &str = "wasm32-unknown-unknown";
const PACKAGES: &[&str] = &["rustc-web", "cargo-web", "rust-web-src", "lld-19"];
/// Changes with the way in which they are built.
const FORM: &str = "1";

/// The folder with the components, each `NAME.wasm`.
pub(crate) struct Components {
    pub(crate) folder: PathBuf,
    /// A folder with the `cargo` that builds them, unless it is the machine's own.
    pub(crate) rust: Option<PathBuf>,
}

impl Components {
    /// Builds those that were not built of these sources yet.
    pub(crate) fn fetch(folder: &Path, python: &Python) -> Result<Self> {
        let mut pins = vec![FORM.to_owned(), WORLD.to_owned()];
        for (place, _) in RUST.iter().chain([&PYTHON]) {
            for file in ["Cargo.toml", "Cargo.lock", "src/lib.rs", "app.py"] {
                let file = paths::root().join(place).join(file);
                pins.push(std::fs::read_to_string(file).unwrap_or_default());
            }
        }
        let pins: Vec<&str> = pins.iter().map(String::as_str).collect();
        let compiler = Compiler::find(folder)?;
        let components = Self {
            rust: match &compiler {
                Compiler::Rustup => None,
                Compiler::Debian(place) => Some(place.clone()),
            },
            folder: folder.join(format!("components-{}", key(&pins))),
        };
        if !components.folder.is_dir() {
            fill(&components.folder, |draft| {
                for (place, name) in RUST {
                    say(&format!("building the component {name} with {}", compiler.name()));
                    compiler.build(place, name, &draft.join(format!("{name}.wasm")))?;
                }
                shout(python, draft)
            })?;
        }
        Ok(components)
    }
}

/// Makes the component in Python.
fn shout(python: &Python, draft: &Path) -> Result<()> {
    let (place, name) = PYTHON;
    say(&format!("building the component {name} with componentize-py"));
    let mut command = Command::new(&python.interpreter);
    command
        .env("PYTHONPATH", &python.site)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .arg(python.site.join("bin/componentize-py"))
        .arg("--wit-path")
        .arg(world()?)
        .args(["--world", WORLD, "componentize", "--python-path"])
        .arg(paths::root().join(place))
        .args(["app", "--output"])
        .arg(draft.join(format!("{name}.wasm")));
    output(&mut command).map(drop)
}

/// The description of WASI, which lies in the crate that guests in Rust are written with.
fn world() -> Result<PathBuf> {
    let (place, _) = RUST.first().context("a guest in Rust")?;
    let told = output(
        cargo()
            .args(["metadata", "--format-version", "1", "--locked", "--manifest-path"])
            .arg(paths::root().join(place).join("Cargo.toml")),
    )?;
    let told: Value = serde_json::from_str(&told).context("cargo metadata wrote no JSON")?;
    let packages = told.get("packages").and_then(Value::as_array);
    let manifest = packages
        .into_iter()
        .flatten()
        .filter(|package| package.get("name").is_some_and(|name| name == "wasip2"))
        .find_map(|package| package.get("manifest_path")?.as_str());
    let Some(manifest) = manifest else {
        bail!("{place} does not depend on wasip2");
    };
    Ok(Path::new(manifest).with_file_name("wit"))
}

/// What compiles Rust to WebAssembly.
enum Compiler {
    /// rustup's.
    Rustup,
    /// Debian's, in this folder.
    Debian(PathBuf),
}

impl Compiler {
    fn find(folder: &Path) -> Result<Self> {
        let installed = Command::new("rustup")
            .args(["target", "list", "--installed"])
            .output();
        let has_target = installed.is_ok_and(|told| {
            String::from_utf8_lossy(&told.stdout)
                .lines()
                .any(|line| line == TARGET)
        });
        if has_target {
            return Ok(Self::Rustup);
        }
        let release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
        let place = folder.join(format!(
            "rust-{}",
            key(&[FORM, std::env::consts::ARCH, &release, &PACKAGES.join(" ")])
        ));
        if !place.is_dir() {
            fill(&place, unpack).with_context(|| {
                format!("no Rust for WebAssembly; with rustup it is `rustup target add {TARGET}`")
            })?;
        }
        Ok(Self::Debian(place))
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Rustup => "rustup's target",
            Self::Debian(_) => "Debian's Rust, and its standard library before it",
        }
    }

    /// Builds a guest in Rust.
    fn build(&self, place: &str, name: &str, component: &Path) -> Result<()> {
        let target = paths::target().join("components");
        let mut command = match self {
            Self::Rustup => cargo(),
            Self::Debian(place) => Command::new(place.join("cargo")),
        };
        // Nothing of what cargo sets for us is for them, and where the machine's Rust is not either.
        for (variable, _) in std::env::vars_os() {
            let name = variable.to_string_lossy();
            if name.starts_with("RUSTC") || name.starts_with("RUSTUP_TOOLCHAIN") {
                command.env_remove(&variable);
            }
        }
        command
            .current_dir(paths::root().join(place))
            .env("CARGO_TARGET_DIR", &target)
            .args(["build", "--release", "--locked", "--target"]);
        match self {
            Self::Rustup => {
                output(command.arg(TARGET))?;
                let made = target.join(TARGET).join("release").join(format!("{name}.wasm"));
                std::fs::copy(&made, component).with_context(|| format!("cannot copy {}", made.display()))?;
            }
            Self::Debian(folder) => {
                command
                    .arg(BARE)
                    .arg("-Zbuild-std=std,panic_abort")
                    .env("RUSTC_BOOTSTRAP", "1")
                    .env("RUSTC", folder.join("rustc"))
                    .env(
                        "CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER",
                        folder.join("wasm-ld"),
                    );
                output(&mut command)?;
                let made = target.join(BARE).join("release").join(format!("{name}.wasm"));
                let module =
                    std::fs::read(&made).with_context(|| format!("cannot read {}", made.display()))?;
                let encoded = ComponentEncoder::default()
                    .module(&module)
                    .and_then(|encoder| encoder.validate(true).encode())
                    .map_err(|error| anyhow::anyhow!("{name} is no component: {error:#}"))?;
                std::fs::write(component, encoded)
                    .with_context(|| format!("cannot write {}", component.display()))?;
            }
        }
        Ok(())
    }
}

/// Debian's Rust in `draft/root`, and wrappers that find its libraries.
fn unpack(draft: &Path) -> Result<()> {
    let root = draft.join("root");
    Apt::new(&draft.join("apt"), PACKAGES)?.unpack(PACKAGES, &root)?;
    let mut folders = Vec::new();
    library_folders(&root.join("usr/lib"), &mut folders)?;
    let libraries: Vec<String> = folders
        .iter()
        .filter_map(|folder| folder.strip_prefix(&root).ok())
        .map(|folder| format!("$root/{}", folder.display()))
        .collect();
    let libraries = libraries.join(":");
    for (name, program) in [("rustc", "rustc"), ("cargo", "cargo"), ("wasm-ld", "wasm-ld-19")] {
        script(
            &draft.join(name),
            &format!(
                "root=\"$(dirname \"$(readlink -f \"$0\")\")/root\"\n\
                 export LD_LIBRARY_PATH=\"{libraries}${{LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}}\"\n\
                 exec \"$root/usr/bin/{program}\" \"$@\"\n"
            ),
        )?;
    }
    Ok(())
}
