//! A policy in a file, which may be replaced while the process runs.

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use anyhow::{Context, ensure};
use proof::Policy;

/// The policy in this file, as it is written and what that means.
pub(crate) fn read(path: &Path) -> anyhow::Result<(String, Policy)> {
    let at = || format!("the policy {} cannot be read", path.display());
    let text = std::fs::read_to_string(path).with_context(at)?;
    // A file that is written in place is empty for a moment: without witnesses nothing would have to be witnessed.
    ensure!(!text.trim().is_empty(), "the policy {} is empty", path.display());
    let policy = Policy::parse(&text).with_context(at)?;
    Ok((text, policy))
}

/// A policy's file, read anew at each look: keys and witnesses change while a process runs.
///
/// It is for whoever can go on with what it said last. Whoever cannot calls [`read`] and stops.
pub(crate) struct PolicyFile {
    path: PathBuf,
    last: Mutex<Last>,
}

struct Last {
    text: String,
    policy: Policy,
    /// Why the last look found no policy.
    problem: Option<String>,
}

impl PolicyFile {
    /// The file at this path, in which there is a policy now.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        let (text, policy) = read(path)?;
        Ok(Self { path: path.to_owned(), last: Mutex::new(Last { text, policy, problem: None }) })
    }

    /// What it says now; while there is no policy in it, what it said last, and that is told once.
    pub(crate) fn now(&self) -> (String, Policy) {
        let mut last = self.last.lock().expect("nobody panics with it");
        match read(&self.path) {
            Ok((text, policy)) => {
                if text != last.text {
                    tracing::info!(file = %self.path.display(), "the policy is another now");
                }
                *last = Last { text, policy, problem: None };
            }
            Err(error) => {
                let problem = crate::told(&error);
                if last.problem.as_ref() != Some(&problem) {
                    tracing::error!(problem, "the policy of before holds on");
                }
                last.problem = Some(problem);
            }
        }
        (last.text.clone(), last.policy.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_that_is_replaced_is_read_and_a_spoilt_one_is_not() {
        let home = tempfile::TempDir::new().unwrap();
        let path = home.path().join("policy.txt");
        let keys = [1, 2].map(|it| proof::Signer::new("log.example", &[it; 32]).unwrap().verifier_key());
        let [first, second] = keys.each_ref().map(|it| format!("log {}\n", it.encode()));
        assert!(PolicyFile::open(&path).is_err(), "at the start there has to be one");
        std::fs::write(&path, "nonsense\n").unwrap();
        assert!(PolicyFile::open(&path).is_err());

        std::fs::write(&path, &first).unwrap();
        let file = PolicyFile::open(&path).unwrap();
        let says = |text: &str| assert_eq!(file.now(), (text.to_owned(), Policy::parse(text).unwrap()));
        says(&first);
        // As long as it was, and in its place.
        std::fs::write(&path, &second).unwrap();
        says(&second);
        for written_in_part in ["", "log half of a li"] {
            std::fs::write(&path, written_in_part).unwrap();
            says(&second);
        }
        std::fs::remove_file(&path).unwrap();
        says(&second);
        std::fs::write(&path, &first).unwrap();
        says(&first);
    }
}
