//! What the pure crates must not say in their sources: a manifest cannot forbid the standard library.

use std::path::Path;

use crate::{expect_none, files_under, from_root, read, root};

/// What must not be written, and what to do instead.
const FORBIDDEN: &[(&str, &str)] = &[
    ("std::fs", "the shell reads and writes files; take the bytes"),
    ("std::net", "the shell speaks to the network; take what it heard"),
    ("std::env", "the executable's configuration reads the environment; take the value"),
    ("std::process", "the shell starts and ends processes; return a verdict"),
    ("std::io", "the shell reads and writes; take the bytes, return the bytes"),
    ("SystemTime", "time is passed in"),
    ("Instant", "time is passed in"),
    ("now_utc", "time is passed in"),
    ("now_v7", "ids are passed in, they hold the time"),
    ("new_v4", "ids are passed in, they are random"),
    ("getrandom", "randomness is passed in"),
    ("tokio", "a decision does not wait"),
    ("println!", "the shell prints; return what is worth saying"),
    ("eprintln!", "the shell prints; return what is worth saying"),
    ("dbg!", "it is a left-over"),
];

#[test]
fn the_pure_crates_have_no_clock_and_no_io() {
    let mut broken = Vec::new();
    for folder in ["proof/src", "ledger/src", "model/src"] {
        let files = files_under(&root().join(folder));
        assert!(!files.is_empty(), "{folder} is gone; tell this test where the pure crate lives now");
        for file in files.iter().filter(|it| !is_test(it)) {
            for (line, words, instead) in forbidden_in(&read(file)) {
                broken.push(format!("{}:{line}: `{words}` in a pure crate; {instead}", from_root(file)));
            }
        }
    }
    expect_none(&broken);
}

/// Tests read vectors and start clocks as they like; `tests.rs` and `tests/` hold all of them.
fn is_test(file: &Path) -> bool {
    file.ends_with("tests.rs") || file.components().any(|it| it.as_os_str() == "tests")
}

/// Line number, words and advice for each forbidden thing; comments may speak of what the code may not do.
fn forbidden_in(source: &str) -> Vec<(usize, &'static str, &'static str)> {
    let mut found = Vec::new();
    for (index, line) in source.lines().enumerate() {
        let code = line.split("//").next().unwrap_or_default();
        for (words, instead) in FORBIDDEN {
            if names(code, words) {
                found.push((index + 1, *words, *instead));
            }
        }
    }
    found
}

/// Whether the words stand there as words, not as a part of a longer one. `use std::{fs, …}` counts as `std::fs`.
fn names(code: &str, words: &str) -> bool {
    let is_word = |it: char| it.is_alphanumeric() || it == '_';
    let stands = code
        .match_indices(words)
        .any(|(at, _)| !code[..at].ends_with(is_word) && !code[at + words.len()..].starts_with(is_word));
    stands
        || words
            .strip_prefix("std::")
            .is_some_and(|module| code.split_once("std::{").is_some_and(|(_, list)| names(list, module)))
}

#[test]
fn the_forbidden_is_found() {
    let lines = |source: &str| forbidden_in(source).into_iter().map(|it| (it.0, it.1)).collect::<Vec<_>>();
    assert_eq!(lines("fn f() {\n    let now = std::time::Instant::now();\n}"), [(2, "Instant")]);
    assert_eq!(lines("use std::{collections::HashMap, fs};"), [(1, "std::fs")]);
    assert_eq!(lines("// An Instant would be a clock.\nlet instantly = InstantaneousRate;"), []);
}
