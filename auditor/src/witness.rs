//! A C2SP witness: it cosigns the checkpoints of the logs that it follows, each only if it extends the last one.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::to_bytes;
use axum::extract::{Path, Request, State};
use axum::http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use proof::{
    ADD_CHECKPOINT_BYTES_MAX, AddCheckpoint, Checkpoint, Cosigner, Policy, SignedNote, WitnessRefusal,
    verify_checkpoint,
};

use crate::audit::write_whole;
use crate::source::SourceError;

const TEXT: &str = "text/plain; charset=utf-8";

/// The time in Unix seconds.
pub type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// A witness of the logs of its policy.
pub struct Witness {
    cosigner: Cosigner,
    logs: Policy,
    folder: PathBuf,
    clock: Clock,
    /// The last checkpoint of each origin, cosigned. Deciding and writing down happen under the lock: of two requests at
    /// once, the second is held against the first.
    pub(crate) seen: Mutex<BTreeMap<String, String>>,
    _alone: File,
}

impl Witness {
    /// Opens a witness with this folder of its own: what it has seen is read, and another process is kept out.
    pub fn open(
        cosigner: Cosigner,
        policy: &Policy,
        folder: PathBuf,
        clock: Clock,
    ) -> Result<Self, SourceError> {
        let at = |error: std::io::Error| SourceError::Unreachable(format!("{}: {error}", folder.display()));
        std::fs::create_dir_all(&folder).map_err(at)?;
        let alone = File::create(folder.join(".lock")).map_err(at)?;
        alone.try_lock().map_err(|_| {
            SourceError::Unreachable(format!(
                "another witness runs in {}: each has its own",
                folder.display()
            ))
        })?;
        let logs = policy.of_logs();
        let mut seen = BTreeMap::new();
        for key in &logs.log_keys {
            let path = folder.join(name_of(key.name()));
            match std::fs::read_to_string(&path) {
                Ok(note) => {
                    read(&note, &logs)?;
                    seen.insert(key.name().to_owned(), note);
                }
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(at(error)),
            }
        }
        Ok(Self { cosigner, logs, folder, clock, seen: Mutex::new(seen), _alone: alone })
    }

    /// Cosigns, or says why not. When it returns a signature, the checkpoint is written down durably.
    fn add(&self, body: &[u8]) -> Result<String, Failure> {
        let request = AddCheckpoint::parse(body)?;
        // What the log has not signed is refused before anybody waits for it.
        let mut locked = None;
        let last = |origin: &str| {
            let seen = locked.insert(self.seen.lock().unwrap_or_else(PoisonError::into_inner));
            read(seen.get(origin)?, &self.logs).ok()
        };
        let (note, checkpoint) = request.decide(&self.logs, last)?;
        let mut seen = locked.expect("what cosigns has asked what was seen");
        let line = self.cosigner.cosign(&note.text, (self.clock)());
        let encoded = line.encode();
        // The log's own signatures, and ours: others' are for whoever made them to answer for.
        let own =
            note.signatures.into_iter().filter(|it| self.logs.log_keys.iter().any(|key| key.is_named_by(it)));
        let note = SignedNote { signatures: own.chain([line]).collect(), text: note.text }.encode();
        // Before the signature leaves: whatever happens next, no other history of this log is ever cosigned.
        write_whole(&self.folder.join(name_of(&checkpoint.origin)), &note)?;
        seen.insert(checkpoint.origin, note);
        Ok(encoded)
    }

    /// The witness's routes: `add-checkpoint`, and for monitors the last checkpoint of each log.
    pub fn router(self: Arc<Self>) -> Router {
        Router::new()
            .route("/add-checkpoint", post(add_checkpoint))
            .route("/{origin_hash}/checkpoint", get(last_checkpoint))
            .with_state(self)
    }
}

enum Failure {
    Refused(WitnessRefusal),
    Broken(SourceError),
}

impl From<WitnessRefusal> for Failure {
    fn from(refusal: WitnessRefusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<SourceError> for Failure {
    fn from(error: SourceError) -> Self {
        Self::Broken(error)
    }
}

async fn add_checkpoint(State(witness): State<Arc<Witness>>, request: Request) -> Response {
    let Ok(body) = to_bytes(request.into_body(), ADD_CHECKPOINT_BYTES_MAX).await else {
        return (StatusCode::PAYLOAD_TOO_LARGE, "the request is longer than 64 KiB\n").into_response();
    };
    let added = tokio::task::spawn_blocking(move || witness.add(&body)).await;
    match added.expect("a witness does not panic") {
        Ok(line) => ([(CONTENT_TYPE, TEXT)], line).into_response(),
        Err(Failure::Refused(WitnessRefusal::OtherSize { seen })) => {
            (StatusCode::CONFLICT, [(CONTENT_TYPE, "text/x.tlog.size")], format!("{seen}\n")).into_response()
        }
        Err(Failure::Refused(refusal)) => (status_of(refusal), format!("{refusal}\n")).into_response(),
        Err(Failure::Broken(error)) => {
            tracing::error!(%error, "cannot write down what was seen: nothing is cosigned");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

fn status_of(refusal: WitnessRefusal) -> StatusCode {
    match refusal {
        WitnessRefusal::Malformed(_) => StatusCode::BAD_REQUEST,
        WitnessRefusal::UnknownLog => StatusCode::NOT_FOUND,
        WitnessRefusal::Unsigned => StatusCode::FORBIDDEN,
        WitnessRefusal::OtherSize { .. } => StatusCode::CONFLICT,
        WitnessRefusal::NotConsistent => StatusCode::UNPROCESSABLE_ENTITY,
    }
}

async fn last_checkpoint(State(witness): State<Arc<Witness>>, Path(origin_hash): Path<String>) -> Response {
    let seen = witness.seen.lock().unwrap_or_else(PoisonError::into_inner);
    let note = seen.iter().find(|(origin, _)| name_of(origin) == origin_hash).map(|(_, note)| note.clone());
    const OPEN: [(HeaderName, &str); 3] =
        [(CONTENT_TYPE, TEXT), (CACHE_CONTROL, "public, max-age=1"), (ACCESS_CONTROL_ALLOW_ORIGIN, "*")];
    match note {
        Some(note) => (OPEN, note).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

fn read(note: &str, logs: &Policy) -> Result<Checkpoint, SourceError> {
    let verified = verify_checkpoint(note, &logs.vouched()).map_err(|refusal| SourceError::Damaged {
        path: "the last checkpoint seen".to_owned(),
        problem: format!("{refusal}: was a key taken out of the policy?"),
    });
    Ok(verified?.checkpoint)
}

/// SHA-256 of the origin, hexadecimal, as monitors ask for it.
fn name_of(origin: &str) -> String {
    hex::encode(proof::origin_hash(origin))
}
