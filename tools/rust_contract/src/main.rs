//! Writes the Rust code of a google.protobuf.FileDescriptorSet: `rust_contract SET TARGET`.

use prost::Message;
use prost_types::FileDescriptorSet;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, set, target] = arguments.as_slice() else { return Err("expected SET TARGET".into()) };
    let set = FileDescriptorSet::decode(std::fs::read(set)?.as_slice())?;
    tonic_build::configure()
        .generate_default_stubs(true)
        .emit_rerun_if_changed(false)
        .out_dir(target)
        .include_file("packages.rs")
        .compile_fds(set)?;
    Ok(())
}
