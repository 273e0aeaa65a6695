//! Proofs and leaves for whoever asks, from tiles alone; and the convenience of a check by us.

use std::sync::Arc;

use api::{Code, Problem};
use axum::body::to_bytes;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Query, Request, State};
use axum::http::Uri;
use axum::response::Response;
use proof::{Hash, Leaf, Node, RECEIPT_BYTES_MAX, leaf_hash};
use schemars::JsonSchema;
use serde::{Serialize, Serializer};

use crate::ProofService;
use crate::check::{ChainFinding, Report, judge};
use crate::log::{FOR_EVER, misleading, public, published_head, read_proof, read_tiles};

/// What may be another answer in a second.
const FOR_NOW: &str = "public, max-age=1";
const TRUST: &str = "This is our own word: trusting it is trusting us. daftari verify, the page at /verify/ and the \
                     contract give the same verdict without us.";

/// A proof that a leaf is in the tree of a size. The size says which checkpoint's root it leads to: whoever checks it
/// takes that root from the checkpoint, not from here.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Inclusion {
    /// The log's name.
    origin: String,
    /// The leaf.
    leaf_index: u64,
    /// The tree's size.
    size: u64,
    /// The leaf's hash, in hexadecimal.
    #[schemars(with = "String")]
    leaf_hash: Hex,
    /// The root of that size, in hexadecimal.
    #[schemars(with = "String")]
    root: Hex,
    /// The hashes on the way, from the leaf up.
    #[schemars(with = "Vec<String>")]
    path: Vec<Hex>,
}

pub(crate) async fn inclusion(
    State(service): State<Arc<ProofService>>,
    uri: Uri,
) -> Result<Response, Problem> {
    let query = Numbers::read(&uri, ["index", "size"])?;
    let leaf_index = query.required(0)?;
    let head = published_head(&service, query.values[1]).await?;
    let size = query.within(1, head.size)?;
    if size <= leaf_index {
        let message = format!("a tree of {size} leaves has no leaf {leaf_index}");
        return Err(Problem::invalid_parameter("index", message));
    }
    // A smaller tree's nodes are nodes of the newest, whose tiles are there for certain.
    let over = [leaf_index, size - 1, head.size - 1];
    let (leaf_hash, path, root) = read_proof(&service.tiles, head.size, over, move |it| {
        let mut nodes = it.nodes(head.size);
        let root = head.root_of(size, &mut nodes)?;
        let path = proof::inclusion_proof(leaf_index, size, &mut nodes)?;
        let leaf_hash = nodes(Node { level: 0, index: leaf_index })?;
        match proof::verify_inclusion(leaf_index, size, &leaf_hash, &path, &root) {
            true => Ok((leaf_hash, path, root)),
            false => Err(misleading(leaf_index, size)),
        }
    })
    .await?;
    let (origin, leaf_hash) = (service.log.origin.clone(), Hex(leaf_hash));
    let (root, path) = (Hex(root), path.into_iter().map(Hex).collect());
    Ok(query.answer(1, Inclusion { origin, leaf_index, size, leaf_hash, root, path }))
}

/// A proof that the tree of one size extends that of another.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Consistency {
    /// The log's name.
    origin: String,
    /// The smaller size.
    from: u64,
    /// The greater size.
    to: u64,
    /// The root of the smaller size, in hexadecimal.
    #[schemars(with = "String")]
    from_root: Hex,
    /// The root of the greater size, in hexadecimal.
    #[schemars(with = "String")]
    to_root: Hex,
    /// The proof's hashes.
    #[schemars(with = "Vec<String>")]
    proof: Vec<Hex>,
}

pub(crate) async fn consistency(
    State(service): State<Arc<ProofService>>,
    uri: Uri,
) -> Result<Response, Problem> {
    let query = Numbers::read(&uri, ["from", "to"])?;
    let from = query.required(0)?;
    let head = published_head(&service, query.values[1]).await?;
    let to = query.within(1, head.size)?;
    if to < from {
        let message = format!("a tree of {to} leaves extends none of {from}");
        return Err(Problem::invalid_parameter("from", message));
    }
    let over = [from, to, head.size].map(|it| it.saturating_sub(1));
    let (proof, from_root, to_root) = read_proof(&service.tiles, head.size, over, move |it| {
        let mut nodes = it.nodes(head.size);
        let to_root = head.root_of(to, &mut nodes)?;
        let from_root = proof::subtree_root(0, from, &mut nodes)?;
        let proof = proof::consistency_proof(from, to, &mut nodes)?;
        match proof::verify_consistency(from, &from_root, to, &to_root, &proof) {
            true => Ok((proof, from_root, to_root)),
            false => Err(misleading(from, to)),
        }
    })
    .await?;
    let (from_root, to_root) = (Hex(from_root), Hex(to_root));
    let (origin, proof) = (service.log.origin.clone(), proof.into_iter().map(Hex).collect());
    Ok(query.answer(1, Consistency { origin, from, to, from_root, to_root, proof }))
}

/// A leaf as everybody may see it: closed.
#[derive(Serialize, JsonSchema)]
pub(crate) struct ClosedLeaf {
    /// Its place.
    leaf_index: u64,
    /// Of what kind it is.
    kind: &'static str,
    /// The log's id, in hexadecimal.
    log_id: String,
    /// What it commits to, in hexadecimal.
    commitment: String,
    /// Its bytes, in hexadecimal.
    leaf: String,
    /// Its hash, in hexadecimal.
    leaf_hash: String,
}

pub(crate) async fn leaf(
    State(service): State<Arc<ProofService>>,
    index: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let index = index.map(|Path(it)| it).unwrap_or_default();
    let leaf_index =
        number(&index).ok_or_else(|| Problem::invalid_parameter("index", "it is not a number"))?;
    let size = published_head(&service, leaf_index.checked_add(1)).await?.size;
    if size <= leaf_index {
        return Err(Problem::new(Code::NotFound, format!("The log has {size} leaves so far.")));
    }
    let bytes = read_tiles(&service.tiles, move |it| it.leaf(leaf_index, size)).await?;
    let Leaf { kind, log_id, commitment, .. } = Leaf::decode(&bytes).map_err(Problem::internal)?;
    let closed = ClosedLeaf {
        leaf_index,
        kind: kind.name(),
        log_id: hex::encode(log_id),
        commitment: hex::encode(commitment),
        leaf: hex::encode(&bytes),
        leaf_hash: hex::encode(leaf_hash(&bytes)),
    };
    Ok(public("application/json", FOR_EVER, axum::Json(closed)))
}

/// Our verdict on a receipt.
#[derive(Serialize, JsonSchema)]
pub(crate) struct OwnWord {
    /// How much it is worth.
    trust: &'static str,
    #[serde(flatten)]
    report: Report,
}

pub(crate) async fn verify(
    State(service): State<Arc<ProofService>>,
    request: Request,
) -> Result<Response, Problem> {
    // One byte more than a receipt may have, so that a longer one gets its verdict.
    let receipt = to_bytes(request.into_body(), RECEIPT_BYTES_MAX + 1).await;
    let receipt = receipt.map_err(|_| {
        Problem::new(Code::PayloadTooLarge, format!("A receipt has at most {RECEIPT_BYTES_MAX} bytes."))
    })?;
    let policy = service.policy();
    // Signatures are many in a receipt of whoever wants us to be slow: no other request waits for them.
    let judged = tokio::task::spawn_blocking(move || judge(&receipt, &policy, &ChainFinding::NotAsked));
    let report = judged.await.map_err(Problem::internal)?;
    Ok(public("application/json", "no-store", axum::Json(OwnWord { trust: TRUST, report })))
}

/// A hash that is told in hexadecimal, without a string of its own.
struct Hex(Hash);

impl Serialize for Hex {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut digits = [0; 2 * size_of::<Hash>()];
        hex::encode_to_slice(self.0, &mut digits).expect("a byte has two digits");
        serializer.serialize_str(str::from_utf8(&digits).expect("digits are text"))
    }
}

/// A decimal without leading zeros or signs.
fn number(text: &str) -> Option<u64> {
    let is_plain = text.bytes().all(|it| it.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    is_plain.then(|| text.parse().ok()).flatten()
}

/// The two numbers of a query.
pub(crate) struct Numbers {
    names: [&'static str; 2],
    values: [Option<u64>; 2],
}

impl Numbers {
    pub(crate) fn read(uri: &Uri, names: [&'static str; 2]) -> Result<Self, Problem> {
        let query: Query<Vec<(String, String)>> =
            Query::try_from_uri(uri).map_err(|_| Problem::invalid_parameter("query", "it cannot be read"))?;
        let mut values = [None; 2];
        for (name, value) in &*query {
            let at = names.iter().position(|it| it == name);
            let at = at.ok_or_else(|| {
                Problem::invalid_parameter("query", format!("there are {} and {}", names[0], names[1]))
            })?;
            let value = number(value);
            let value = value.ok_or_else(|| Problem::invalid_parameter(names[at], "it is not a number"))?;
            if values[at].replace(value).is_some() {
                return Err(Problem::invalid_parameter(names[at], "it is given once"));
            }
        }
        Ok(Self { names, values })
    }

    pub(crate) fn values(&self) -> [Option<u64>; 2] {
        self.values
    }

    fn required(&self, at: usize) -> Result<u64, Problem> {
        self.values[at]
            .ok_or_else(|| Problem::invalid_parameter(self.names[at], "this parameter is required"))
    }

    /// A size that is published; the newest where none is given.
    fn within(&self, at: usize, newest: u64) -> Result<u64, Problem> {
        match self.values[at] {
            Some(size) if newest < size => {
                let message = format!("the published checkpoint has {newest} leaves");
                Err(Problem::invalid_parameter(self.names[at], message))
            }
            size => Ok(size.unwrap_or(newest)),
        }
    }

    /// Between two given sizes the answer is the same for ever; with the newest it is not.
    fn answer(&self, size: usize, body: impl Serialize) -> Response {
        let caching = if self.values[size].is_some() { FOR_EVER } else { FOR_NOW };
        public("application/json", caching, axum::Json(body))
    }
}
