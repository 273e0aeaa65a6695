//! The monitor: it follows a log, remembers the last checkpoint, and keeps the two that prove a fork.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use chain::{Chain, ChainError};
use proof::{Checkpoint, Hash, Policy, VerifiedCheckpoint, verify_checkpoint, verify_consistency};
use serde::{Deserialize, Serialize};

use crate::anchors::Anchored;
use crate::audit::write_whole;
use crate::finding::Finding;
use crate::proofs::{Extension, extension};
use crate::source::{Source, SourceError};

/// A monitor of one log.
pub struct Monitor {
    /// The log.
    pub source: Source,
    /// Whose key it must have signed with, and where it is anchored: the policy's first log is the one.
    pub policy: Policy,
    /// The chain to ask as well.
    pub chain: Option<Chain>,
    /// What it remembers, and what it keeps of a fork.
    pub folder: PathBuf,
    /// After how many seconds without anything fresh the checkpoint is stale.
    pub stale_after_s: Option<u64>,
}

/// What one look came to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Observation {
    /// The size that the log shows.
    pub size: u64,
    /// The witnesses that cosigned it.
    pub witnesses: Vec<String>,
    /// How many contracts were asked.
    pub contracts: u64,
    /// Why no contract was asked that should have been: the chain does not answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unanswered: Option<String>,
    /// What is wrong.
    pub findings: Vec<Finding>,
    /// The folder with the proof of a fork, or with two signed checkpoints of which the tiles prove nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence: Option<PathBuf>,
}

/// Why a look showed nothing.
#[derive(Debug, thiserror::Error)]
pub enum MonitorError {
    /// The log does not answer.
    #[error(transparent)]
    Source(#[from] SourceError),
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Seen {
    note: String,
    /// When this very text was first seen, in Unix seconds.
    since_s: u64,
}

/// What proves, beside two signed checkpoints, that they are a fork.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForkProof {
    /// The root that the newer checkpoint has at the older one's size, hexadecimal.
    pub root: String,
    /// The consistency proof from that root to the newer checkpoint, hexadecimal.
    pub proof: Vec<String>,
}

impl Monitor {
    /// Looks once, at this time in Unix seconds.
    pub async fn look(&self, now_s: u64) -> Result<Observation, MonitorError> {
        let mut observed = Observation::default();
        // The chain first: what is anchored was published before.
        let heads = match self.heads().await {
            Ok(heads) => heads,
            // The log is looked at all the same: its forks need no chain to be seen.
            Err(error) => {
                observed.unanswered = Some(error.to_string());
                Vec::new()
            }
        };
        observed.contracts = heads.len() as u64;
        let seen = self.seen()?;
        let note = match self.source.checkpoint().await {
            // Whoever takes the log down keeps everybody from seeing it as well as whoever lets it stand still.
            Err(error @ SourceError::Unreachable(_)) => {
                let finding = seen.and_then(|it| self.stale(self.cosigned_at(&it.note), it.since_s, now_s));
                observed.findings.push(finding.ok_or(error)?);
                return Ok(observed);
            }
            note => note?,
        };
        let Some(note) = note else {
            let before = seen.map(|it| self.read(&it.note)).transpose()?;
            let went_back = before.map(|it| Finding::WentBack { shown: 0, seen: it.size });
            observed.findings.extend(went_back);
            return Ok(observed);
        };
        let VerifiedCheckpoint { checkpoint, witnesses, cosigned_at } =
            match verify_checkpoint(&note, &self.policy) {
                Ok(verified) => verified,
                Err(refusal) => {
                    let (code, problem) = (refusal.code(), refusal.to_string());
                    observed.findings.push(Finding::CheckpointRefused { code, problem });
                    return Ok(observed);
                }
            };
        (observed.size, observed.witnesses) = (checkpoint.size, witnesses);
        let since_s = seen.as_ref().filter(|it| it.note == note).map_or(now_s, |it| it.since_s);
        observed.findings.extend(self.stale(cosigned_at, since_s, now_s));
        let is_newest = match &seen {
            Some(seen) => self.compare(&seen.note, &note, &checkpoint, &mut observed).await?,
            None => true,
        };
        if is_newest && seen.is_some() {
            self.settle(&note, &checkpoint, &mut observed).await?;
        }
        for head in heads {
            match head.compare(&self.source, &checkpoint).await {
                Ok(finding) => observed.findings.extend(finding),
                Err(error) => observed.findings.push(found(error)?),
            }
        }
        if is_newest {
            let text = serde_json::to_string(&Seen { note, since_s }).expect("a memory is plain data");
            write_whole(&self.folder.join(SEEN), &text)?;
        }
        Ok(observed)
    }

    fn stale(&self, cosigned_at: Option<u64>, since_s: u64, now_s: u64) -> Option<Finding> {
        let fresh_at = cosigned_at.filter(|_| !self.policy.witnesses.is_empty()).unwrap_or(since_s);
        let age_s = now_s.saturating_sub(fresh_at);
        self.stale_after_s.is_some_and(|it| it < age_s).then_some(Finding::Stale { age_s })
    }

    fn cosigned_at(&self, note: &str) -> Option<u64> {
        verify_checkpoint(note, &self.policy.vouched()).ok()?.cosigned_at
    }

    async fn heads(&self) -> Result<Vec<Anchored>, ChainError> {
        let Some(chain) = &self.chain else { return Ok(Vec::new()) };
        let Some(log_id) = self.policy.log_keys.first().and_then(|it| self.policy.log_id(it.name())) else {
            return Ok(Vec::new());
        };
        Anchored::heads(chain, &self.policy, &log_id).await
    }

    /// Holds the checkpoint against the last one; gives whether it takes its place.
    async fn compare(
        &self,
        before: &str,
        note: &str,
        checkpoint: &Checkpoint,
        observed: &mut Observation,
    ) -> Result<bool, MonitorError> {
        let seen = self.read(before)?;
        let grew = seen.size <= checkpoint.size;
        let (older, newer) = if grew { (&seen, checkpoint) } else { (checkpoint, &seen) };
        let sizes = (older.size, newer.size);
        let notes = if grew { (before, note) } else { (note, before) };
        let extension = extension(&self.source, older, newer).await;
        // What was signed and shown is kept, whatever becomes of the tiles: withheld today, they may prove a fork tomorrow.
        if !matches!(extension, Ok(Extension::Extends | Extension::Forks { .. })) {
            let shown = hex::encode(checkpoint.root);
            let name = format!("{UNPROVEN}{}-{}-{}", sizes.0, sizes.1, &shown[..16]);
            if self.folder.join(&name).is_dir() || self.has_room()? {
                observed.evidence = Some(self.keep(&name, notes, None)?);
            }
        }
        match extension {
            Ok(Extension::Extends) if grew => return Ok(true),
            Ok(Extension::Forks { root, proof }) => {
                // However far another history grows, it has this root there; one that is shorter is named once, whatever it shows.
                let name = match grew {
                    true => format!("fork-{}-{}", seen.size, &hex::encode(root)[..16]),
                    false => format!("fork-before-{}", seen.size),
                };
                self.forked(&name, notes, sizes, &root, &proof, observed)?;
            }
            Ok(Extension::Extends) | Err(SourceError::Missing(_)) if !grew => {
                observed.findings.push(Finding::WentBack { shown: sizes.0, seen: sizes.1 });
            }
            Ok(_) => observed.findings.push(Finding::Unproven { older: sizes.0, newer: sizes.1 }),
            Err(error) => observed.findings.push(found(error)?),
        }
        Ok(false)
    }

    /// Tells of a fork, and keeps what proves it under this name, unless one is proven there already: while it lasts, each look
    /// sees it with another checkpoint.
    fn forked(
        &self,
        name: &str,
        notes: (&str, &str),
        (older, newer): (u64, u64),
        root: &Hash,
        path: &[Hash],
        observed: &mut Observation,
    ) -> Result<(), SourceError> {
        observed.findings.push(Finding::Forked { older, newer });
        if read_fork(&self.folder.join(name), &self.policy).is_some() {
            observed.evidence = Some(self.folder.join(name));
            return Ok(());
        }
        let path = path.iter().map(hex::encode).collect();
        let proof = ForkProof { root: hex::encode(root), proof: path };
        observed.evidence = Some(self.keep(name, notes, Some(&proof))?);
        Ok(())
    }

    /// Holds what was kept without tiles against the newest checkpoint, now that they answer: what the log has grown from is
    /// evidence of nothing and goes; what it has not stays, with the proof of that, and is the same fork each time.
    async fn settle(
        &self,
        note: &str,
        newest: &Checkpoint,
        observed: &mut Observation,
    ) -> Result<(), SourceError> {
        for folder in self.unproven()? {
            let mut is_settled = true;
            for name in [OLDER, NEWER] {
                let proof = format!("{name}.fork");
                if let Some((older, newer)) = read_fork(&folder.join(&proof), &self.policy) {
                    observed.findings.push(Finding::Forked { older, newer });
                    observed.evidence = Some(folder.join(&proof));
                    is_settled = false;
                    continue;
                }
                let kept = match std::fs::read_to_string(folder.join(name)) {
                    // Keeping the two, or removing them, was cut off.
                    Err(error) if error.kind() == ErrorKind::NotFound => continue,
                    kept => kept.unwrap_or_default(),
                };
                let extension = match self.read(&kept) {
                    Ok(before) if before.size <= newest.size => {
                        let sizes = (before.size, newest.size);
                        let extension = extension(&self.source, &before, newest).await;
                        if let Ok(Extension::Forks { root, proof: path }) = &extension {
                            let own = folder.file_name().unwrap_or_default().to_string_lossy();
                            let (name, notes) = (format!("{own}/{proof}"), (kept.as_str(), note));
                            self.forked(&name, notes, sizes, root, path, observed)?;
                        }
                        extension.ok()
                    }
                    // A later one's turn comes; what this policy does not know, its reader judges.
                    _ => None,
                };
                is_settled &= matches!(extension, Some(Extension::Extends));
            }
            if is_settled {
                remove(&folder)?;
            }
        }
        Ok(())
    }

    /// Whether another pair may be kept. One of the middle makes room: neither what was shown first nor what was shown last goes,
    /// however long the tiles are withheld. What proves a fork already stays.
    fn has_room(&self) -> Result<bool, SourceError> {
        let mut kept = self.unproven()?;
        if kept.len() < UNPROVEN_MAX {
            return Ok(true);
        }
        kept.retain(|it| ![OLDER, NEWER].iter().any(|name| it.join(format!("{name}.fork")).exists()));
        kept.sort_by_cached_key(|it| std::fs::metadata(it).and_then(|it| it.modified()).ok());
        let Some(gone) = kept.get(kept.len() / 2) else { return Ok(false) };
        remove(gone)?;
        Ok(true)
    }

    /// The folders of checkpoints of which the tiles proved nothing.
    fn unproven(&self) -> Result<Vec<PathBuf>, SourceError> {
        let at =
            |error: std::io::Error| SourceError::Unreachable(format!("{}: {error}", self.folder.display()));
        let mut folders = Vec::new();
        for entry in std::fs::read_dir(&self.folder).map_err(at)? {
            let entry = entry.map_err(at)?;
            if entry.file_name().to_string_lossy().starts_with(UNPROVEN) {
                folders.push(entry.path());
            }
        }
        Ok(folders)
    }

    fn keep(
        &self,
        name: &str,
        (older, newer): (&str, &str),
        proof: Option<&ForkProof>,
    ) -> Result<PathBuf, SourceError> {
        let folder = self.folder.join(name);
        let at = |error: std::io::Error| SourceError::Unreachable(format!("{}: {error}", folder.display()));
        std::fs::create_dir_all(&folder).map_err(at)?;
        write_whole(&folder.join(OLDER), older)?;
        write_whole(&folder.join(NEWER), newer)?;
        if let Some(proof) = proof {
            let text = serde_json::to_string_pretty(proof).expect("a proof is plain data");
            write_whole(&folder.join("proof.json"), &text)?;
        }
        Ok(folder)
    }

    fn seen(&self) -> Result<Option<Seen>, SourceError> {
        let path = self.folder.join(SEEN);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(SourceError::Unreachable(format!("{}: {error}", path.display()))),
        };
        let seen = serde_json::from_str(&text);
        seen.map(Some).map_err(|error| SourceError::Damaged {
            path: path.display().to_string(),
            problem: error.to_string(),
        })
    }

    fn read(&self, note: &str) -> Result<Checkpoint, SourceError> {
        let verified =
            verify_checkpoint(note, &self.policy.vouched()).map_err(|refusal| SourceError::Damaged {
                path: self.folder.join(SEEN).display().to_string(),
                problem: format!("the checkpoint seen last does not stand under this policy: {refusal}"),
            });
        Ok(verified?.checkpoint)
    }
}

const SEEN: &str = "seen.json";
const UNPROVEN: &str = "unproven-";
/// So many pairs are kept at most of which the tiles prove nothing: the log may grow at every look while it lasts.
const UNPROVEN_MAX: usize = 1024;
const OLDER: &str = "older.checkpoint";
const NEWER: &str = "newer.checkpoint";

fn remove(folder: &Path) -> Result<(), SourceError> {
    let gone = std::fs::remove_dir_all(folder);
    gone.map_err(|error| SourceError::Unreachable(format!("{}: {error}", folder.display())))
}

// That the log does not answer is no finding; that it answers with something else is.
fn found(error: SourceError) -> Result<Finding, SourceError> {
    match error {
        SourceError::Unreachable(_) => Err(error),
        error => Ok(Finding::TileUnreadable { problem: error.to_string() }),
    }
}

/// Whether these two checkpoints, both signed by a log of the policy, prove that it signed two histories.
pub fn is_fork(older: &str, newer: &str, proof: &ForkProof, policy: &Policy) -> bool {
    let (Ok(older), Ok(newer)) = (verify_checkpoint(older, policy), verify_checkpoint(newer, policy)) else {
        return false;
    };
    let (older, newer) = (older.checkpoint, newer.checkpoint);
    let hash = |text: &String| hex::decode(text).ok()?.try_into().ok();
    let (Some(root), Some(path)) =
        (hash(&proof.root), proof.proof.iter().map(hash).collect::<Option<Vec<Hash>>>())
    else {
        return false;
    };
    older.origin == newer.origin
        && older.root != root
        && verify_consistency(older.size, &root, newer.size, &newer.root, &path)
}

/// The proof of a fork that a monitor has kept in this folder, where it is one.
pub fn read_fork(folder: &Path, policy: &Policy) -> Option<(u64, u64)> {
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).ok();
    let (policy, older, newer) = (&policy.vouched(), read(OLDER)?, read(NEWER)?);
    let proof = serde_json::from_str(&read("proof.json")?).ok()?;
    let size = |note: &str| Some(verify_checkpoint(note, policy).ok()?.checkpoint.size);
    is_fork(&older, &newer, &proof, policy).then_some((size(&older)?, size(&newer)?))
}
