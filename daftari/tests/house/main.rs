//! The house's own rules, checked over its sources: who may depend on whom, what the pure crates must not know, and
//! documents that name only what exists. Each failure says which rule broke, why it is there and what to do.

mod configuration;
mod documents;
mod doors;
mod purity;
mod requirements;

use std::path::{Path, PathBuf};

/// The repository's root.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("daftari stands in the workspace").to_path_buf()
}

/// All files under a folder, in order, except what was built or fetched.
fn files_under(folder: &Path) -> Vec<PathBuf> {
    const BUILT_OR_FETCHED: [&str; 5] = ["target", "node_modules", "out", "cache", "dist"];
    let mut files = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        // Another test may be taking its own folder away while this one walks.
        let Ok(listing) = folder.read_dir() else { continue };
        for item in listing.flatten() {
            let name = item.file_name().to_string_lossy().into_owned();
            match item.file_type() {
                Ok(kind) if kind.is_file() => files.push(item.path()),
                Ok(kind)
                    if kind.is_dir()
                        && !name.starts_with('.')
                        && !BUILT_OR_FETCHED.contains(&name.as_str()) =>
                {
                    folders.push(item.path());
                }
                _ => {}
            }
        }
    }
    files.sort();
    files
}

/// The file's text; the failure names the file.
#[track_caller]
fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The path as a reader of the repository would write it.
fn from_root(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

/// Fails with all that was found, not only the first of it.
#[track_caller]
fn expect_none(broken: &[String]) {
    assert!(broken.is_empty(), "\n{}\n", broken.join("\n"));
}
