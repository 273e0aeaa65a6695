//! The only SQL. One file per noun; a function per question, taking `&mut PgConnection` so that the caller owns the
//! transaction. PostgreSQL is tested against as it is: there is no second implementation and no trait for one, but for the order
//! in which the committer takes its steps (`stages.rs`).

mod accounts;
mod acts;
mod adopted;
mod allowed;
mod amounts;
mod anchor_orders;
mod anchor_stories;
mod anchors;
mod api_key;
mod archived;
mod archives;
mod balances;
mod batch;
mod bridge_books;
mod ceiling;
mod check;
mod checkpoints;
mod committer;
mod credentials;
mod declarations;
mod deliveries;
mod directory;
mod erasure;
mod error;
mod feed;
mod fold;
mod funds;
mod gateways;
mod guard;
mod held;
mod history;
mod hurry;
mod imports;
mod keyring;
mod keys;
mod leaves;
mod liability;
mod log_head;
mod lots;
mod mapped;
mod members;
mod originals;
mod outcomes;
mod parked;
mod partners;
mod pins;
mod pool;
mod postings;
mod prices;
mod programs;
mod pulse;
mod quotas;
mod rates;
mod readers;
mod references;
mod rejects;
mod remembered;
mod replay;
mod roles;
mod rows;
mod stages;
mod statements;
mod story;
mod strange;
mod sweep;
mod tamper;
mod tip;
mod tokens;
mod told;
mod trail;
mod waiting;
mod walk;
mod warnings;
mod webhooks;
mod window;
mod withdrawals;

#[cfg(test)]
mod tests;

pub use acts::{Act, Acting, By, Deed, acts};
pub use adopted::{Lost, adopt_lost};
pub use anchor_orders::{
    AnchorOrder, AnchorWord, PlaceFacts, anchor_order, anchor_words, force_anchor, halt_anchoring,
    hold_lease, leaf_time_ms, pause_anchoring, place_facts, release_lease, resume_anchoring,
};
pub use anchor_stories::{AttemptStory, StoryStep, attempt_stories};
pub use anchors::{
    Anchor, AnchorAttempt, AttemptNote, AttemptState, NewAttempt, anchored_before, anchors_at,
    anchors_covering, anchors_to_settle, forget_anchor, forget_place, is_announced, latest_anchor,
    latest_anchor_age_ms, open_attempts, record_anchor, record_refusal, record_round, record_sending,
    store_attempt,
};
pub use api_key::Environment;
pub use archives::{
    Archive, ArchiveLine, ArchiveStage, NewArchive, archivable, archive_files, archive_lines, archives,
    begin_archive, begin_moving, begin_reading, begin_return, demand_settled, end_archive, end_moving,
    end_reading, end_return, give_back, read_lines, take_away, vacuum_archived,
};
pub use balances::{MemberBalance, MemberStanding, Reader, member_id};
pub use batch::Answer;
pub use bridge_books::{BridgeBooks, bridge_books};
#[doc(hidden)]
pub use ceiling::{account_numbers, write_bare_rows};
pub use check::erasures::{ACCOUNT as ERASED_ACCOUNT, REASON as ERASURE_REASON};
pub use check::{BooksReport, Progress, Watch, check_books, check_books_opened, check_books_watched};
pub use checkpoints::{
    RecordedCheckpoint, Recording, checkpoint_at, checkpoint_covering, confirm, cosigned_note,
    latest_checkpoint, record_checkpoint, record_cosignatures, still_ms, timeline,
};
pub use committer::{Committer, SubmitError};
pub use credentials::{
    AuthMode, Credential, CredentialKind, KnownCredential, Role, credential_of, ensure_credential, note_use,
};
pub use declarations::{
    append_declarations, begin_log, declaration_at, declarations_between, declarations_of, key_history,
    read_keys,
};
pub use deliveries::{
    Attempt, Delivery, Lease, Message, Then, deliveries, forget_messages, lease_endpoint, next_message,
    queue_messages, queue_test, record_attempt, release_endpoint, replay_messages,
};
pub use erasure::{
    AccountToErase, Erased, MemberToErase, demand_unarchived, demand_undoubted, erase_member,
    member_to_erase, readmit_members, sealed_of, vacuum_erased,
};
pub use error::StoreError;
pub use feed::{Fed, FedEntry, FeedPage, feed, feed_of};
pub use funds::fund_named;
pub use gateways::{
    BRIDGE_SOURCE, Burn, BurnStory, BurnedEpoch, ExpiredOnChain, GatewayAt, GatewayEvents, GatewayFacts,
    GatewayState, PaidClaim, assign_burn, burn_key, burns, ensure_gateway, expired_key, expired_on_chain,
    gateway_state, give_reference, note_burn, note_expired, note_paid, record_gateway_events,
    record_missed_claims, settled_heads, withdrawal_key,
};
pub use guard::{Ask, Guard, Outside, Seen};
pub use held::{HeldError, everything_held};
pub use hurry::{Hurried, hurried_by_mark, hurried_by_rule, hurry_posting, is_hurried, set_hurry_rule};
pub use imports::{begin_import, end_import};
pub use keyring::{Keyring, Pepper, Secret};
pub use keys::{KeyFacts, KeyRefusal, NewKey, issue_key, key_facts, keys, revoke_key};
pub use leaves::{StoredLeaf, leaves};
pub use liability::{Liability, Outstanding, liability};
pub use log_head::{LogIdentity, bytes_on_disk, clock_us, ensure_log, log_identity, log_size};
pub use mapped::{MappedAccount, mapped_account, mapped_accounts};
pub use members::{
    Enrolment, NameTaken, New, Tier, Tiered, enrol_member, enrol_members, external_id, lock_tier, set_tier,
    unknown_members,
};
pub use outcomes::{Accepted, EVENT_SOURCE, OPERATOR_SOURCE};
pub use parked::{
    ParkedEvent, ToPark, events_parked_for, hold_parked, park, parked_event, parked_event_beyond,
    parked_events, releasable_events, unpark,
};
pub use partners::{PartnerFacts, PartnerStage, Readiness, partner, partners, readiness, set_partner};
pub use pins::{Pinned, pinned, pins_covering, record_pin};
pub use pool::{connect, ensure_partitions, migrate, test_database};
pub use postings::{Viewer, opened_posting};
pub use prices::{PaidAnchor, SeenHeader, first_stored_since, headers_between, paid_anchors, record_header};
pub use programs::{
    FundSpec, Program, ProgramSpec, add_policy, add_rule_set, close_period, ensure_fund, ensure_partner,
    ensure_program, ensure_sandbox, ensure_unit, lock_program, move_clock, name_sandbox, program_named,
    program_number, rule_documents, rule_sets, sandbox_of, terms,
};
pub use pulse::Commits;
pub use quotas::{Booking, QuotaSubject, Round, book_quotas, forget_quotas, member_hourly};
pub use rates::{add_rate, rates};
pub use references::{ReferenceUse, Taken, claim_references};
pub use rejects::{RejectedEvent, keep_rejected, rejected_events, rejected_page};
pub use replay::{Replayed, replay};
pub use roles::{APP_ROLE, READER_ROLE};
/// Connections, as callers hold them; nobody else names the driver.
pub use sqlx::{PgConnection, PgPool};
/// A connection of a pool.
pub type Pooled = sqlx::pool::PoolConnection<sqlx::Postgres>;
pub use statements::{Statement, statement};
pub use story::{Story, due_at, holds_for_review, story};
pub use strange::{claim_problem, open_withdrawals_of, strange_settlements};
pub use sweep::{IdleLoss, Pace, Sweep, SweepError, Swept, idle_loss};
#[doc(hidden)]
pub use tamper::tamper;
pub use tokens::{
    MemberSession, TokenKey, begin_session, credential_of_token, end_session, refresh_proof, revoke_token,
    rotate_token_key, token_keys, turn_session,
};
pub use trail::{
    AsOf, Order, Standing, TrailEntry, account_number, balance_as_of, balance_when_recorded, history, size_at,
};
pub use warnings::Warnings;
pub use webhooks::{
    Endpoint, EndpointChange, EndpointStatus, NewEndpoint, activate_endpoint, change_endpoint,
    create_endpoint, delete_endpoint, endpoint, endpoints, rotate_secret,
};
pub use window::{Booked, SLICE_S, SLICES, Window};
pub use withdrawals::{OpenWithdrawal, note_open_from, open_withdrawals};
