#!/bin/sh
# Builds the two components into build/. It needs
#   rustup target add wasm32-wasip2
#   pip install componentize-py==0.25.1
set -eu
cd "$(dirname "$0")"
mkdir -p build

cargo build --release --locked --target wasm32-wasip2 --manifest-path rust/Cargo.toml --target-dir rust/target
cp rust/target/wasm32-wasip2/release/visits.wasm build/

# The description of WASI lies in the crate that the first is written with.
wit=$(cargo metadata --format-version 1 --locked --manifest-path rust/Cargo.toml | python3 -c '
import json, os, sys
print(next(os.path.dirname(p["manifest_path"]) for p in json.load(sys.stdin)["packages"] if p["name"] == "wasip2"))')/wit
componentize-py --wit-path "$wit" --world wasi:http/proxy@0.2.12 componentize --python-path python app --output build/shout.wasm
ls -l build
