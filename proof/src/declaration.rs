//! Leaves that are no postings: what the log says of itself. Everybody may read all of it.

use crate::body::Body;
use crate::details::Details;
use crate::hash::{Hash, Id};
use crate::header::{Header, PostingKind};
use crate::receipt::{OpenedLeaf, Part};

/// The leaf of a body that concerns the whole log, with every part opened. No program has a part in it: its salts are zeros.
///
/// # Panics
/// If the body is a withdrawal's, which is a posting.
pub fn declaration(log_id: Hash, id: Id, recorded_at_us: i64, body: Body) -> OpenedLeaf {
    assert!(Body::is_public(body.kind()), "a withdrawal is a posting");
    let header = Header {
        posting_id: id,
        posting_kind: PostingKind::NONE,
        program: Id::default(),
        recorded_at_us,
        effective_at_us: recorded_at_us,
        rule_set_hash: Hash::default(),
        event_hash: Hash::default(),
        reverses: Id::default(),
    };
    let salt = Hash::default();
    OpenedLeaf {
        kind: body.kind(),
        log_id,
        header: Part::Opened { salt, value: header },
        details: Part::Opened { salt, value: Details::default() },
        body: Some(Part::Opened { salt, value: body }),
        entries: Vec::new(),
        hints: Vec::new(),
    }
}
