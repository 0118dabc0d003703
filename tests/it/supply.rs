//! One kind of cryptography (ring), no C build systems, nothing with an open advisory: what the build may not contain.

use std::process::Command;

use serde_json::{Value, json};

/// Banned crates, with the reason.
const BANNED: [(&str, &str); 7] = [
    ("aws-lc-rs", "a second cryptography, and it needs cmake"),
    ("aws-lc-sys", "a second cryptography, and it needs cmake"),
    ("native-tls", "TLS is rustls with ring, the same on every machine"),
    ("openssl", "TLS is rustls with ring, the same on every machine"),
    ("openssl-sys", "TLS is rustls with ring, the same on every machine"),
    ("rsa", "RUSTSEC-2023-0071, without a fix"),
    ("cmake", "a newcomer has a C compiler, not cmake"),
];

/// Lines about banned crates in what is really built (`resolve.nodes`), from `cargo metadata`'s JSON.
fn banned(metadata: &Value) -> Vec<String> {
    let nodes = metadata["resolve"]["nodes"].as_array().expect("resolve.nodes");
    let built: Vec<&Value> = nodes.iter().map(|node| &node["id"]).collect();
    let packages = metadata["packages"].as_array().expect("packages").iter();
    packages
        .filter(|package| built.contains(&&package["id"]))
        .filter_map(|package| {
            let name = package["name"].as_str()?;
            let (_, why) = BANNED.iter().find(|(banned, _)| *banned == name)?;
            Some(format!("{name} {}: {why}; see `cargo tree -i {name}`", package["version"].as_str()?))
        })
        .collect()
}

#[test]
fn nothing_banned_is_built() {
    let host = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--offline", "--locked", "--filter-platform", &host])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(
        metadata["resolve"]["nodes"].as_array().is_some_and(|nodes| nodes.len() > 100),
        "an empty list proves nothing"
    );
    assert_eq!(banned(&metadata), Vec::<String>::new());
}

#[test]
fn a_banned_crate_is_found_only_where_it_is_built() {
    let package = |name: &str| json!({"id": format!("{name} 1"), "name": name, "version": "1.0.0"});
    let planted = json!({
        "packages": [package("ring"), package("openssl-sys"), package("rsa")],
        "resolve": {"nodes": [{"id": "ring 1"}, {"id": "openssl-sys 1"}]},
    });
    let found = banned(&planted);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("openssl-sys 1.0.0"), "{found:?}");
}
