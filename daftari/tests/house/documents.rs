//! Documents keep their shape and lead to what exists.

use std::path::{Path, PathBuf};

use crate::{expect_none, files_under, from_root, read, root};

const ADR_HEADINGS: [&str; 4] = ["## Status", "## Context", "## Decision", "## Consequences"];

#[test]
fn every_adr_has_its_headings() {
    let files = files_under(&root().join("docs/adr"));
    assert!(!files.is_empty(), "docs/adr is empty; the decisions taken belong there");
    let mut broken = Vec::new();
    let mut numbers = std::collections::BTreeSet::new();
    for file in &files {
        let name = from_root(file);
        // A hole is a decision that is still being written elsewhere; two of one number are a mistake.
        let number =
            name.strip_prefix("docs/adr/").and_then(|it| it.split_once('-')).map(|it| it.0.to_owned());
        let number = number.filter(|it| it.len() == 4 && it.bytes().all(|it| it.is_ascii_digit()));
        if !name.ends_with(".md") || !number.is_some_and(|it| numbers.insert(it)) {
            broken.push(format!("{name}: a record is named NNNN-….md, with a number of its own"));
        }
        broken.extend(
            missing_headings(&read(file)).iter().map(|it| format!("{name}: it has no `{it}`; write it")),
        );
    }
    expect_none(&broken);
}

/// Headings that are not there, or have nothing under them.
fn missing_headings(text: &str) -> Vec<&'static str> {
    let is_written = |heading: &&str| {
        let after = text.lines().skip_while(|line| line.trim_end() != *heading).skip(1);
        after.take_while(|line| !line.starts_with("## ")).any(|line| !line.trim().is_empty())
    };
    ADR_HEADINGS.into_iter().filter(|it| !is_written(it)).collect()
}

#[test]
fn documents_name_files_that_exist() {
    let mut broken = Vec::new();
    for document in documents() {
        let name = from_root(&document);
        if !document.is_file() {
            broken.push(format!("{name}: the document itself is missing"));
            continue;
        }
        let folder = document.parent().expect("a file has a folder");
        for target in links_in(&read(&document)) {
            if !folder.join(&target).exists() {
                broken.push(format!("{name}: it links to {target}, which is not there; mend the link"));
            }
        }
    }
    expect_none(&broken);
}

#[test]
fn the_runbook_knows_every_alarm_and_no_figure_that_is_not_shown() {
    let runbook = read(&root().join("docs/runbook.md"));
    let journeys = sources_under("tests/journeys/anchors") + &read(&root().join("tests/journeys/anchors.rs"));
    let mut broken = Vec::new();
    for alarm in anchor_worker::Alarm::ALL.map(anchor_worker::Alarm::name) {
        if !runbook.contains(&format!("\n| `{alarm}` | ")) {
            broken.push(format!("docs/runbook.md: no row says what to do about {alarm}; write it"));
        }
        if !journeys.contains(&format!("\"{alarm}\"")) {
            broken.push(format!("tests/journeys/anchors: nobody provokes {alarm} on the built product"));
        }
    }
    let code = ["anchor-worker", "api", "daftari/src", "ingest", "notices", "store", "tiles", "verifier"];
    let code: String = code.iter().map(|it| sources_under(it)).collect();
    for figure in figures_in(&runbook).into_iter().filter(|it| !code.contains(&format!("\"{it}\""))) {
        broken.push(format!("docs/runbook.md: nothing shows {figure}"));
    }
    expect_none(&broken);
}

/// All Rust under a folder, in one piece.
fn sources_under(folder: &str) -> String {
    let files = files_under(&root().join(folder));
    files.iter().filter(|it| it.extension() == Some("rs".as_ref())).map(|it| read(it)).collect()
}

/// The names of figures in a text.
fn figures_in(text: &str) -> std::collections::BTreeSet<&str> {
    let words = text.split(|it: char| !it.is_ascii_alphanumeric() && it != '_');
    words.filter(|it| it.starts_with("daftari_")).collect()
}

/// The documents a newcomer is sent to, whether they exist or not, and all of `docs/`.
fn documents() -> Vec<PathBuf> {
    let root = root();
    let at_the_root = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"]
        .map(|it| root.join(it));
    let is_markdown = |it: &PathBuf| it.extension() == Some("md".as_ref());
    at_the_root.into_iter().chain(files_under(&root.join("docs")).into_iter().filter(is_markdown)).collect()
}

/// Targets of relative links, without their fragment. What stands in code is not a link.
fn links_in(text: &str) -> Vec<String> {
    let mut links = Vec::new();
    let mut is_code = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            is_code = !is_code;
        } else if !is_code {
            let prose: String = line.split('`').step_by(2).collect();
            let ends = prose.split("](").skip(1).filter_map(|it| it.split_once(')'));
            links.extend(ends.filter_map(|(target, _)| relative(target)));
        }
    }
    links
}

fn relative(target: &str) -> Option<String> {
    let target = target.split([' ', '#']).next().unwrap_or_default();
    let leads_elsewhere = target.contains("://") || target.starts_with("mailto:");
    (!target.is_empty() && !leads_elsewhere && !Path::new(target).is_absolute()).then(|| target.to_owned())
}

#[test]
fn links_are_read_as_they_are_meant() {
    let text = "See [a](docs/a.md#part) and [`b`](../b \"title\").\n```\n[c](c)\n```\n`[d](d)`, [e](https://e), [f](#f)";
    assert_eq!(links_in(text), ["docs/a.md", "../b"]);
    assert_eq!(
        missing_headings("## Status\n\nTaken.\n\n## Context\n\n## Decision\nWe do.\n"),
        ["## Context", "## Consequences"]
    );
}
