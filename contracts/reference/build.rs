//! Generates the standard Protobuf types from the published `.proto` files.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=../proto");
    let files =
        ["../proto/holdfast/inventory/v1/commands.proto", "../proto/holdfast/inventory/v1/decisions.proto"];
    prost_build::Config::new().compile_fds(protox::compile(files, ["../proto"])?)?;
    Ok(())
}
