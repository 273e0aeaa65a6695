//! `docs/requirements.md` is true: every row is there once, and whatever is said to show it exists.

use std::collections::BTreeSet;
use std::path::Path;

use crate::{expect_none, files_under, read, root};

/// How many rows each group has: `M-1.1` to `M-1.15`, then `M-2.1` and so on.
const GROUPS: &[(&str, u32)] = &[
    ("M-1.", 15),
    ("M-2.", 10),
    ("M-3.", 11),
    ("M-4.", 7),
    ("M-5.", 6),
    ("M-6.", 10),
    ("M-7.", 13),
    ("M-8.", 7),
    ("M-9.", 8),
    ("M-10.", 13),
    ("M-11.", 12),
    ("M-12.", 12),
    ("M-13.", 6),
    ("M-14.", 21),
    ("M-15.", 7),
    ("D-", 60),
    ("S-", 35),
    ("A-", 22),
    ("L-", 32),
];

const NOT_YET: &str = "not yet";

#[derive(Debug, PartialEq)]
struct Row<'a> {
    id: &'a str,
    shown_by: &'a str,
}

#[test]
fn every_requirement_names_what_exists() {
    let document = read(&root().join("docs/requirements.md"));
    let rows = rows_in(&document);
    let mut broken = lost_and_found(&rows);
    let shown = Shown::in_the_tree();
    let decisions: Vec<Row> = document.lines().filter_map(decision).collect();
    for row in rows.iter().chain(&decisions) {
        broken.extend(broken_claims(row, &shown));
    }
    expect_none(&broken);
}

/// The lines of all tables whose first cell is a row's id: a letter of a document, a dash, a number.
fn rows_in(document: &str) -> Vec<Row<'_>> {
    let mut rows = Vec::new();
    for line in document.lines() {
        let Some(inner) = line.strip_prefix('|').and_then(|it| it.trim_end().strip_suffix('|')) else {
            continue;
        };
        let cells: Vec<&str> = inner.split('|').map(str::trim).collect();
        let is_row = matches!(cells[0].as_bytes(), [b'M' | b'D' | b'S' | b'A' | b'L', b'-', b'0'..=b'9', ..]);
        if is_row {
            assert_eq!(cells.len(), 3, "docs/requirements.md: a row has three cells: {line}");
            rows.push(Row { id: cells[0], shown_by: cells[2] });
        }
    }
    rows
}

/// A decision between two documents, where it names what shows it.
fn decision(line: &str) -> Option<Row<'_>> {
    let (id, shown_by) = line.strip_prefix("| ")?.split_once(" | ")?;
    (id.starts_with('K') && shown_by.contains('`')).then_some(Row { id, shown_by })
}

fn lost_and_found(rows: &[Row]) -> Vec<String> {
    let expected: BTreeSet<String> = GROUPS
        .iter()
        .flat_map(|(group, count)| (1..=*count).map(move |number| format!("{group}{number}")))
        .collect();
    assert_eq!(expected.len(), 307, "the source documents state 307 things");
    let mut missing = expected.clone();
    let mut broken = Vec::new();
    for row in rows {
        if !expected.contains(row.id) {
            broken.push(format!("{}: no such row; take it out of docs/requirements.md", row.id));
        } else if !missing.remove(row.id) {
            broken.push(format!("{}: it stands twice in docs/requirements.md; keep one line", row.id));
        }
    }
    broken.extend(
        missing.iter().map(|id| format!("{id}: its line is lost; bring it back, as `{NOT_YET}` at worst")),
    );
    broken
}

fn broken_claims(row: &Row, shown: &Shown) -> Vec<String> {
    if row.shown_by == NOT_YET {
        return Vec::new();
    }
    let names = in_backticks(row.shown_by);
    if names.is_empty() {
        return vec![format!("{}: say `{NOT_YET}`, or name a test or a figure in backticks", row.id)];
    }
    names
        .into_iter()
        .filter(|name| !shown.holds(name))
        .map(|name| {
            format!(
                "{}: no test or figure is called `{name}`; name what shows the row, or say {NOT_YET}",
                row.id
            )
        })
        .collect()
}

fn in_backticks(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// What can show a row: the names of all tests, and the figures of the benchmarks.
struct Shown(BTreeSet<String>);

impl Shown {
    fn in_the_tree() -> Self {
        let mut names = BTreeSet::new();
        for file in files_under(&root()) {
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            if name.ends_with(".rs") {
                names.extend(rust_tests(&read(&file)));
            } else if name.ends_with(".t.sol") {
                names.extend(solidity_tests(&read(&file)));
            } else if name.ends_with(".test.ts") {
                names.extend(typescript_tests(&read(&file)));
            } else if file.ends_with("docs/benchmarks.md") {
                names.extend(figures(&file));
            }
        }
        Self(names)
    }

    fn holds(&self, name: &str) -> bool {
        self.0.contains(name)
    }
}

/// Functions directly under a test attribute: a helper of the same kind of name shows nothing.
fn rust_tests(source: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut is_test = false;
    for line in source.lines().map(str::trim) {
        if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
            is_test = true;
        } else if !line.starts_with("#[") && !line.starts_with("//") {
            if is_test {
                names.extend(name_after(line, "fn "));
            }
            is_test = false;
        }
    }
    names
}

/// Tests, invariants, and what Halmos proves.
fn solidity_tests(source: &str) -> Vec<String> {
    let is_test = |name: &String| ["test", "invariant", "check_"].iter().any(|it| name.starts_with(it));
    source.lines().filter_map(|line| name_after(line, "function ")).filter(is_test).collect()
}

/// The identifier between the keyword and its opening parenthesis.
fn name_after(line: &str, keyword: &str) -> Option<String> {
    let (_, rest) = line.split_once(keyword)?;
    let (name, _) = rest.split_once(['(', '<'])?;
    let is_name = !name.is_empty() && name.chars().all(|it| it.is_alphanumeric() || it == '_');
    is_name.then(|| name.to_owned())
}

/// The titles of `test("…", …)` and `it("…", …)`; a title put together at run time has no name to give.
fn typescript_tests(source: &str) -> Vec<String> {
    let mut titles = Vec::new();
    for line in source.lines().map(str::trim_start) {
        let Some(rest) = line.strip_prefix("test(").or_else(|| line.strip_prefix("it(")) else { continue };
        let Some(quote) = rest.chars().next().filter(|it| matches!(it, '"' | '\'' | '`')) else { continue };
        if let Some((title, _)) = rest[1..].split_once(quote)
            && !title.contains("${")
        {
            titles.push(title.to_owned());
        }
    }
    titles
}

/// Whatever `docs/benchmarks.md` names in backticks. There may be no figures yet.
fn figures(file: &Path) -> Vec<String> {
    read(file).lines().flat_map(in_backticks).map(str::to_owned).collect()
}

#[test]
fn a_false_claim_is_found() {
    let shown = Shown(BTreeSet::from(["a_test".to_owned()]));
    let check = |shown_by, expected: usize| {
        let row = Row { id: "M-1.1", shown_by };
        assert_eq!(broken_claims(&row, &shown).len(), expected, "{shown_by}");
    };
    check(NOT_YET, 0);
    check("partly: `a_test` (the first half)", 0);
    check("`a_test`, `another`", 1);
    check("soon", 1);
    check("", 1);
    let rows = rows_in("| row | what |\n| --- | --- |\n| M-1.1 | x | not yet |\n| K1 | y |\nM-1.2");
    assert_eq!(rows, [Row { id: "M-1.1", shown_by: NOT_YET }]);
    assert_eq!(lost_and_found(&rows).len(), 306);
    assert_eq!(decision("| K1 | said |"), None);
    let named = decision("| K2 | said (`a_test`, `another`) |").expect("it names what shows it");
    assert_eq!(broken_claims(&named, &shown).len(), 1);
    assert_eq!(lost_and_found(&[Row { id: "D-61", shown_by: NOT_YET }]).len(), 308);
}

#[test]
fn only_tests_are_names() {
    // Put together here, so that these lines are not found as tests of this very file.
    let marked = ["#[te", "st]\n/// It holds.\n#[should_panic]\nfn one() {}\nfn helper() {}"].concat();
    assert_eq!(rust_tests(&marked), ["one"]);
    let waiting = ["    #[tokio::te", "st(flavor = \"multi_thread\")]\n    async fn two() {}"].concat();
    assert_eq!(rust_tests(&waiting), ["two"]);
    assert_eq!(solidity_tests("function test_a() public {}\nfunction helper(uint256 x) {}"), ["test_a"]);
    assert_eq!(
        typescript_tests("test(\"a page, and more\", () => {\ntest(`v ${x}`, f)\ntested(\"b\")"),
        ["a page, and more"]
    );
}
