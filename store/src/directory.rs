//! Who is who, kept in memory: rows that never change, so that a batch asks the database only for what does.
//!
//! What an operator can change (terms, funds, partners) is guarded by the epoch in the log's head, which a batch reads
//! under its lock: under another epoch than the one that was read here, the batch is begun again.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, RwLock};

use ledger::{AccountKind, Fund, House, MemberRef, Strangers, Terms};
use sqlx::{FromRow, PgConnection};
use uuid::Uuid;

use crate::error::StoreError;
use crate::keyring::{Keyring, Secret};
use crate::log_head;
use crate::programs::{self, Program};

/// The house's accounts, of all programs.
pub(crate) const HOUSES: &str = "select account.*, fund.name as fund, fund.budgeted
     from account
     left join fund using (program_id, fund_id)
     where account.kind <> 1";

/// How many members' accounts are kept: about 300 bytes each.
const MEMBERS_MAX: usize = 250_000;

/// Whoever holds one of the locks below only looks up or inserts.
const UNBROKEN: &str = "nobody panics with the directory's lock";

/// Which account it is: what never changes of it.
#[derive(Clone)]
pub(crate) struct Identity {
    pub(crate) account_id: i64,
    pub(crate) id: Uuid,
    pub(crate) kind: AccountKind,
    pub(crate) unit: u16,
    pub(crate) partner: Option<String>,
    pub(crate) fund: Option<Fund>,
    pub(crate) secret: Secret,
}

/// A member's account, as requests name it.
pub(crate) type MemberKey = (i16, u16, MemberRef);

/// A program with what was settled for it.
pub(crate) struct Settled {
    pub(crate) program: Program,
    pub(crate) terms: Terms,
    houses: HashMap<(u16, House), Arc<Identity>>,
}

/// What is known of programs and their house accounts.
#[derive(Default)]
pub(crate) struct Programs {
    /// Under which epoch they were read.
    pub(crate) epoch: i64,
    programs: HashMap<i16, Settled>,
    houses: HashMap<Uuid, Arc<Identity>>,
    houses_by_number: HashMap<i64, Uuid>,
    /// Those of which somebody was erased.
    erased: HashSet<i16>,
}

/// What is known of programs and members. Several batches in the making share it.
pub(crate) struct Directory {
    programs: RwLock<Arc<Programs>>,
    members: Mutex<HashMap<MemberKey, Arc<Identity>>>,
}

#[derive(FromRow)]
pub(crate) struct IdentityRow {
    account_id: i64,
    id: Uuid,
    kind: i16,
    unit: i16,
    secret: Vec<u8>,
}

impl IdentityRow {
    pub(crate) fn open(self, keyring: &Keyring) -> Result<Identity, StoreError> {
        let kind = AccountKind::from_i16(self.kind)
            .ok_or_else(|| StoreError::Damaged(format!("an account of unknown kind {}", self.kind)))?;
        let secret = keyring.open(self.id, &self.secret)?;
        let Self { account_id, id, unit, .. } = self;
        Ok(Identity { account_id, id, kind, unit: unit as u16, partner: None, fund: None, secret })
    }
}

#[derive(FromRow)]
struct HouseRow {
    program_id: i16,
    partner_id: Option<String>,
    fund_id: Option<i32>,
    fund: Option<String>,
    budgeted: Option<bool>,
    #[sqlx(flatten)]
    identity: IdentityRow,
}

impl Directory {
    /// Reads the programs. Members are found as they are asked for.
    pub(crate) async fn read(conn: &mut PgConnection, keyring: &Keyring) -> Result<Self, StoreError> {
        let programs = RwLock::new(Arc::new(Programs::read(conn, keyring).await?));
        Ok(Self { programs, members: Mutex::default() })
    }

    /// Reads the programs again, and forgets the members: one may have been erased.
    pub(crate) async fn read_again(
        &self,
        conn: &mut PgConnection,
        keyring: &Keyring,
    ) -> Result<(), StoreError> {
        let programs = Arc::new(Programs::read(conn, keyring).await?);
        self.members.lock().expect(UNBROKEN).clear();
        *self.programs.write().expect(UNBROKEN) = programs;
        Ok(())
    }

    /// The programs as they were read last.
    pub(crate) fn programs(&self) -> Arc<Programs> {
        self.programs.read().expect(UNBROKEN).clone()
    }

    /// These members' accounts, so far as they are known here.
    pub(crate) fn members(&self, keys: HashSet<MemberKey>) -> Members {
        let members = self.members.lock().expect(UNBROKEN);
        let mut found = Members::default();
        for key in keys {
            match members.get(&key).cloned() {
                Some(identity) => drop(found.known.insert(key, identity)),
                None => found.strangers.push(key),
            }
        }
        found
    }

    /// Keeps members' accounts for the next batches.
    pub(crate) fn keep(&self, found: &HashMap<MemberKey, Arc<Identity>>) {
        let mut members = self.members.lock().expect(UNBROKEN);
        if MEMBERS_MAX < members.len() + found.len() {
            // Beginning anew costs one look-up each, for those who are still about.
            members.clear();
        }
        members.extend(found.iter().map(|(key, identity)| (key.clone(), identity.clone())));
    }
}

/// The members whom a batch is about.
#[derive(Default)]
pub(crate) struct Members {
    /// With their accounts.
    pub(crate) known: HashMap<MemberKey, Arc<Identity>>,
    /// Those who have none, as far as is known.
    pub(crate) strangers: Vec<MemberKey>,
}

impl Programs {
    async fn read(conn: &mut PgConnection, keyring: &Keyring) -> Result<Self, StoreError> {
        // The epoch first: what is settled in between is then read again.
        let epoch = log_head::epoch(conn).await?;
        let mut read = Self { epoch, ..Self::default() };
        for program in programs::programs(conn, keyring).await? {
            let terms = programs::terms(conn, program.program_id).await?;
            let program_id = program.program_id;
            read.programs.insert(program_id, Settled { program, terms, houses: HashMap::new() });
        }
        let erased: Vec<i16> = sqlx::query_scalar(
            "select program_id
             from program
             where exists (select from tombstone where tombstone.program_id = program.program_id)",
        )
        .fetch_all(&mut *conn)
        .await?;
        read.erased = erased.into_iter().collect();
        let rows: Vec<HouseRow> = sqlx::query_as(HOUSES).fetch_all(conn).await?;
        for row in rows {
            read.take_house(row, keyring)?;
        }
        Ok(read)
    }

    fn take_house(&mut self, row: HouseRow, keyring: &Keyring) -> Result<(), StoreError> {
        let mut identity = row.identity.open(keyring)?;
        identity.partner = row.partner_id;
        identity.fund = row
            .fund_id
            .map(|number| Fund { number: number as u32, budgeted: row.budgeted.unwrap_or_default() });
        let damaged = || StoreError::Damaged(format!("account {} lacks its owner", identity.account_id));
        let house = match identity.kind {
            AccountKind::Issuance => House::Issuance,
            AccountKind::Redemption => House::Redemption,
            AccountKind::Breakage => House::Breakage,
            AccountKind::Bridge => House::Bridge,
            AccountKind::Settlement => House::Settlement(identity.partner.clone().ok_or_else(damaged)?),
            AccountKind::Fund => House::Fund(row.fund.ok_or_else(damaged)?),
            AccountKind::Member => return Err(damaged()),
        };
        // A program that began since the programs were read has another epoch: it is read in time.
        let Some(settled) = self.programs.get_mut(&row.program_id) else { return Ok(()) };
        let identity = Arc::new(identity);
        settled.houses.insert((identity.unit, house), identity.clone());
        self.houses_by_number.insert(identity.account_id, identity.id);
        self.houses.insert(identity.id, identity);
        Ok(())
    }

    /// The program of this number.
    pub(crate) fn program(&self, program_id: i16) -> Option<&Settled> {
        self.programs.get(&program_id)
    }

    /// Whether somebody was erased of this program.
    pub(crate) fn has_erased(&self, program_id: i16) -> bool {
        self.erased.contains(&program_id)
    }

    /// The house account of this id.
    pub(crate) fn house(&self, id: Uuid) -> Option<&Arc<Identity>> {
        self.houses.get(&id)
    }

    /// The house account of this number.
    pub(crate) fn house_numbered(&self, account_id: i64) -> Option<&Arc<Identity>> {
        self.house(*self.houses_by_number.get(&account_id)?)
    }
}

impl Settled {
    /// What becomes of strangers' events.
    pub(crate) fn strangers(&self) -> Strangers {
        self.terms.policy.strangers(self.program.enrols)
    }

    pub(crate) fn house(&self, unit: u16, house: &House) -> Option<&Arc<Identity>> {
        self.houses.get(&(unit, house.clone()))
    }
}
