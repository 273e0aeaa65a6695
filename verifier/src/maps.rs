//! Map proofs: what the newest account map says of the account of a receipt.

use std::sync::Arc;

use api::{Asked, Code, Problem};
use axum::response::Response;
use proof::{
    Body, Entry, Hash, LeafKind, MapAccount, MapIndex, MapProof, MapRow, MapTree, OpenedLeaf, Part, Policy,
};
use store::{Keyring, LogIdentity, PgConnection, StoreError};
use tiles::{Beside, TileStore};
use uuid::Uuid;

use crate::ProofService;
use crate::log::read;
use crate::receipts::{assemble, attached, covering, viewed};

/// The place in the newest sealed map of the account whose entry the caller may see, where that map describes the
/// transaction.
pub(crate) async fn map_proof(service: Arc<ProofService>, asked: Asked) -> Result<Response, Problem> {
    let (caller, headers) = (&asked.caller, asked.headers());
    let (id, leaf_index, leaf) = viewed(&service, caller, headers, asked.path("transaction_id")).await?;
    let entry = leaf.entries.iter().find_map(Part::opened);
    let entry = entry.ok_or_else(|| Problem::internal("a viewed posting has no opened entry"))?;

    let mut conn = service.pool.acquire().await.map_err(StoreError::from)?;
    let policy = &service.policy();
    let place = MapPlace { tiles: &service.tiles, policy, keyring: &service.keyring, log: &service.log };
    match place.proof(&mut conn, entry, leaf_index).await? {
        Some(proof) => Ok(attached(&format!("{}.map-proof", id.hyphenated()), proof.encode())),
        None => {
            let detail = "No account map describes this transaction yet: the next one will.";
            Err(Problem::new(Code::NotFound, detail))
        }
    }
}

/// Where maps are, and what opens them.
pub(crate) struct MapPlace<'a> {
    pub(crate) tiles: &'a Arc<TileStore>,
    pub(crate) policy: &'a Policy,
    pub(crate) keyring: &'a Keyring,
    pub(crate) log: &'a LogIdentity,
}

impl MapPlace<'_> {
    /// The place of the entry's account in the newest sealed map, if that describes this leaf.
    pub(crate) async fn proof(
        &self,
        conn: &mut PgConnection,
        entry: &Entry,
        leaf_index: u64,
    ) -> Result<Option<MapProof>, Problem> {
        let maps = store::declarations_of(conn, self.log, LeafKind::Map).await?;
        let mut sealed = None;
        for (map_index, map) in maps.into_iter().rev() {
            if let Some(covering) = covering(self.tiles, self.policy, conn, map_index).await? {
                sealed = Some((map_index, map, covering));
                break;
            }
        }
        let sealed =
            sealed.and_then(|(at, map, covering)| Some((at, described(&map, leaf_index)?, map, covering)));
        let Some((map_index, (log_size, root), map, covering)) = sealed else { return Ok(None) };
        let account = MapAccount { account: entry.account, unit: entry.unit, log_size };
        let id = Uuid::from_bytes(entry.account);
        let mapped = store::mapped_account(conn, self.keyring, log_size, id).await?;
        let mapped = mapped.and_then(|it| Some((it.value, it.secret?)));
        let (value, secret) = mapped.ok_or_else(|| missing(entry, log_size))?;
        let salt = account.salt(&secret);
        let row = account.row(&salt, &value);
        let found = read(self.tiles, move |it| Ok(find(it, root, &account, row)));
        let (index, path) =
            found.await?.map_err(Problem::internal)?.ok_or_else(|| missing(entry, log_size))?;

        let receipt = assemble(self.tiles, map, map_index, covering).await?;
        let proof = MapProof { account, salt, value, index, path, receipt };
        // A proof that would be refused is ours to find, not its holder's.
        proof.verify(self.policy).map_err(Problem::internal)?;
        Ok(Some(proof))
    }
}

/// Size and root of a map that describes this leaf.
fn described(map: &OpenedLeaf, leaf_index: u64) -> Option<(u64, Hash)> {
    match map.body.as_ref()?.opened()? {
        Body::Map { log_size, root, .. } if leaf_index < *log_size => Some((*log_size, *root)),
        _ => None,
    }
}

fn missing(entry: &Entry, log_size: u64) -> Problem {
    let account = Uuid::from_bytes(entry.account);
    Problem::internal(format!("account {account} does not stand in the map of {log_size} leaves"))
}

/// A place in the map, and the path from there to its root.
type Found = Option<(u64, Vec<Hash>)>;

/// Where this row stands in the map: one part of it is read.
fn find(tiles: &TileStore, root: Hash, account: &MapAccount, row: MapRow) -> Result<Found, String> {
    let get = |beside: Beside| {
        let bytes = tiles.read_beside(beside).map_err(|error| error.to_string())?;
        bytes.ok_or_else(|| format!("{} is missing", beside.path()))
    };
    let index = MapIndex::decode(&get(Beside::MapIndex(root))?).map_err(|error| error.to_string())?;
    let Some(part) = index.part_of(account) else { return Ok(None) };
    let rows = MapRow::decode_all(&get(Beside::MapPart(root, part as u32))?).map_err(|it| it.to_string())?;
    if !rows.contains(&row) {
        return Ok(None);
    }
    Ok(MapTree::new(rows).and_then(|tree| index.proof(account, part, &tree)))
}
