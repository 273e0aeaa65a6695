//! As much of PostgreSQL's protocol as tells which statement runs and which is done.

use std::collections::HashMap;
use std::io::{self, Read, Write};

const SSL_REQUEST: u32 = 80_877_103;
const GSS_REQUEST: u32 = 80_877_104;

/// Passes the client's first message on. Before it, clients ask for encryption, which a wire that is read has none of.
pub(super) fn greet(from: &mut impl Read, answer: &mut impl Write, to: &mut impl Write) -> io::Result<()> {
    loop {
        let mut length = [0; 4];
        from.read_exact(&mut length)?;
        let mut rest = vec![0; rest_of(u32::from_be_bytes(length))?];
        from.read_exact(&mut rest)?;
        match rest.first_chunk().copied().map(u32::from_be_bytes) {
            Some(SSL_REQUEST | GSS_REQUEST) => answer.write_all(b"N")?,
            _ => {
                to.write_all(&length)?;
                return to.write_all(&rest);
            }
        }
    }
}

/// Reads one message: its kind, its length and the rest.
pub(super) fn read_frame(from: &mut impl Read, frame: &mut Vec<u8>) -> io::Result<()> {
    frame.resize(5, 0);
    from.read_exact(frame)?;
    let length = u32::from_be_bytes([frame[1], frame[2], frame[3], frame[4]]);
    frame.resize(5 + rest_of(length)?, 0);
    from.read_exact(&mut frame[5..])
}

/// A message's length counts itself. PostgreSQL's own limit is 1 GiB.
fn rest_of(length: u32) -> io::Result<usize> {
    let rest = length.checked_sub(4).filter(|it| *it < 1 << 30);
    rest.map(|it| it as usize).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
}

/// Whether somebody may want to stop this message: it runs a statement, or says that one is done.
pub(super) fn is_watched(frame: &[u8]) -> bool {
    matches!(frame[0], b'Q' | b'B' | b'C')
}

/// The tag of a message that says that a statement is done.
pub(super) fn command_tag(frame: &[u8]) -> Option<String> {
    (frame[0] == b'C').then(|| text(&frame[5..]).0)
}

/// The statements that a client has prepared, by name.
#[derive(Default)]
pub(super) struct Statements(HashMap<String, String>);

impl Statements {
    /// The statement that this message of the client has run, if it has one run.
    pub(super) fn run_by(&mut self, frame: &[u8]) -> Option<String> {
        let (first, rest) = text(&frame[5..]);
        match frame[0] {
            // A simple query.
            b'Q' => Some(first),
            // Parse: a name, and the statement that goes by it.
            b'P' => {
                self.0.insert(first, text(rest).0);
                None
            }
            // Bind: a portal, and the name of its statement, which Execute then runs.
            b'B' => Some(self.0.get(&text(rest).0).cloned().unwrap_or_default()),
            _ => None,
        }
    }
}

/// A text up to the zero that ends it, and what follows.
fn text(bytes: &[u8]) -> (String, &[u8]) {
    let end = bytes.iter().position(|it| *it == 0).unwrap_or(bytes.len());
    (String::from_utf8_lossy(&bytes[..end]).into_owned(), bytes.get(end + 1..).unwrap_or_default())
}
