//! Damage of every kind is planted, each in a copy of books in which everything has happened, and the check must name it.

use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, PgConnection};

use super::fixture::{Fixture, keyring};
use super::world::World;
use crate::*;

/// For the statements below: an account by its member's name, the n-th leaf of a kind of posting, one of the member's.
const NAMES: &str = "
set session_replication_role = replica;
create function pg_temp.member(name text) returns bigint language sql as $$
    select account_id from account join member using (program_id, member_id) where external_id = name and unit = 1
$$;
create function pg_temp.house(wanted integer) returns bigint language sql as $$
    select account_id from account where kind = wanted and unit = 1
$$;
create function pg_temp.leaf(wanted integer, nth integer) returns bigint language sql as $$
    select leaf_index from posting where kind = wanted order by leaf_index offset nth - 1 limit 1
$$;
create function pg_temp.theirs(wanted integer, nth integer, name text) returns bigint language sql as $$
    select leaf_index from posting join entry using (leaf_index)
    where kind = wanted and account_id = pg_temp.member(name)
    order by leaf_index offset nth - 1 limit 1
$$;
create function pg_temp.swap(one text, other text) returns integer language sql as $$
    update member set external_id = other || '?' where external_id = one;
    update member set external_id = one where external_id = other;
    update member set external_id = other where external_id = other || '?' returning 1
$$;
create function pg_temp.id(leaf bigint) returns uuid language sql as $$
    select posting_id from posting where leaf_index = leaf
$$;
";

/// Found from the rows alone.
const ROWS: &[(&str, &str, &str)] = &[
    // Leaves and what they commit to.
    ("a leaf is gone", "delete from leaf where leaf_index = 2", "leaf 2 is missing"),
    ("a posting is gone", "delete from posting where leaf_index = 2", "it has no posting"),
    (
        "a leaf's commitment is another",
        "update leaf set commitment = sha256('x') where leaf_index = 1",
        "not that of its parts",
    ),
    (
        "a header is another",
        "update posting set header_commitment = sha256('x') where leaf_index = 0",
        "not that of its parts",
    ),
    (
        "the details are others",
        "update posting set details_commitment = sha256('x') where leaf_index = 0",
        "not that of its parts",
    ),
    (
        "a body is another",
        "update posting set body_commitment = sha256('x') where body is not null",
        "not that of its parts",
    ),
    (
        "an entry is another",
        "update entry set commitment = sha256('x') where leaf_index = 5 and ordinal = 0",
        "not that of its parts",
    ),
    ("entries are gone", "delete from entry where leaf_index = 3", "not that of its parts"),
    (
        "a leaf is of another kind",
        "update leaf set kind = 2 where leaf_index = 0",
        "a withdrawal and its leaf",
    ),
    (
        "a checkpoint is of another history",
        "insert into checkpoint (size, previous_size, root, note) values (3, 0, sha256('x'), 'n')",
        "signed over another history",
    ),
    (
        "a checkpoint is of a longer log",
        "insert into checkpoint (size, previous_size, root, note) values (9999, 0, sha256('x'), 'n')",
        "beyond the log's size",
    ),
    ("the head is behind", "update log_head set size = 5", "beyond the log's size"),
    ("the head is ahead", "update log_head set size = size + 1", "is missing"),
    (
        "an event belongs to nothing",
        "insert into event (leaf_index, payload) values (5000, 'x')",
        "beyond the log's size",
    ),
    // Postings.
    (
        "points come from nowhere",
        "update entry set available_change = available_change + 1 where leaf_index = 5 and ordinal = 0",
        "do not sum to zero",
    ),
    (
        "an entry has another place",
        "update entry set ordinal = ordinal + 7 where leaf_index = 5 and ordinal = 1",
        "an entry is missing",
    ),
    (
        "an entry is of no account",
        "update entry set account_id = 99999 where leaf_index = 5 and ordinal = 0",
        "an entry is of no account",
    ),
    (
        "an account is of another unit",
        "update account set unit = 3 where account_id = pg_temp.member('amina')",
        "of several units",
    ),
    (
        "a posting is of another program",
        "update posting set program_id = 9 where leaf_index = 4",
        "another program's account",
    ),
    (
        "a redemption is called an expiry",
        "update posting set kind = 4 where leaf_index = pg_temp.leaf(2, 1)",
        "not those of its kind",
    ),
    (
        "a redemption is called a capture",
        "update posting set kind = 8 where leaf_index = pg_temp.theirs(2, 1, 'dalila')",
        "used of its limits",
    ),
    (
        "two postings have one id",
        "update posting set posting_id = pg_temp.id(3) where leaf_index = 7",
        "has its id",
    ),
    (
        "a posting takes effect in a closed period",
        "update posting set effective_at = 0 where leaf_index = 3",
        "a period that was closed",
    ),
    (
        "time goes back",
        "update posting set recorded_at = recorded_at - 3600000000, effective_at = effective_at - 3600000000 where leaf_index = pg_temp.leaf(3, 1)",
        "recorded before the leaf before",
    ),
    ("an earning has no event", "delete from event where leaf_index = 0", "an earning has an event"),
    (
        "a redemption has an event",
        "insert into event (leaf_index, payload) values (pg_temp.leaf(2, 1), '{}')",
        "an earning has an event",
    ),
    (
        "an earning names no event",
        "update posting set event_hash = null where leaf_index = 0",
        "names its event and its rules",
    ),
    (
        "a redemption names rules",
        "update posting set rule_set_hash = sha256('x') where leaf_index = pg_temp.leaf(2, 1)",
        "names its event and its rules",
    ),
    (
        "a withdrawal pays out more",
        "update posting set body = set_byte(body, length(body) - 1, 99) where body is not null",
        "does not pay out",
    ),
    (
        "a withdrawal has no body",
        "update posting set body = null where body is not null",
        "only a withdrawal has a body",
    ),
    (
        "an earning is of another fund",
        "update entry set lots = set_byte(lots, 11, 1) where leaf_index = pg_temp.leaf(1, 3) and lots is not null",
        "it gives points of another fund",
    ),
    (
        "points end later with whom they were given to",
        "update entry
         set lots = overlay(overlay(lots placing '\\x7fffffff'::bytea from 1) placing '\\x7fffffff'::bytea from 41)
         where leaf_index = pg_temp.leaf(3, 1) and account_id = pg_temp.member('baraka')",
        "one gains other lots than the other gives",
    ),
    (
        "points for one merchant are spent with none",
        "update entry set lots = set_byte(lots, 11, 1) where leaf_index = pg_temp.leaf(2, 2) and lots is not null",
        "meant for another merchant",
    ),
    (
        "a merchant captures points for another",
        "with meant as (update fund set merchant = 'another' where merchant is not null)
         update entry set lots = set_byte(lots, 11, 1) where leaf_index = pg_temp.leaf(8, 1) and lots is not null",
        "meant for another merchant",
    ),
    // Reversals.
    (
        "a reversal names nothing",
        "update posting set reverses = null where leaf_index = pg_temp.leaf(6, 1)",
        "undoes nothing",
    ),
    (
        "a reversal names what is not there",
        "update posting set reverses = gen_random_uuid() where leaf_index = pg_temp.leaf(6, 1)",
        "not there",
    ),
    (
        "a reversal is of another's posting",
        "update posting set reverses = pg_temp.id(pg_temp.theirs(2, 1, 'baraka')) where leaf_index = pg_temp.leaf(6, 1)",
        "of another member",
    ),
    (
        "a reversal doubles",
        "update posting set reverses = pg_temp.id(0) where leaf_index = pg_temp.leaf(6, 1)",
        "does the same again",
    ),
    (
        "more is given back than was spent",
        "update posting set reverses = pg_temp.id(pg_temp.theirs(2, 1, 'amina')) where leaf_index in (pg_temp.leaf(6, 1), pg_temp.leaf(6, 2))",
        "more is undone than there was",
    ),
    (
        "what was claimed on a chain is taken back",
        "insert into gateway_claim values (31337, decode(repeat('01', 20), 'hex'), decode(repeat('05', 32), 'hex'),
            decode(repeat('02', 20), 'hex'), decode(repeat('00', 15) || '01', 'hex'), 0, 1, decode(repeat('00', 32), 'hex'))",
        "it takes back a withdrawal that was claimed on its chain",
    ),
    // Accounts' trails.
    (
        "an amount moves on both sides",
        "update entry set available_change = available_change + case ordinal when 0 then 1 else -1 end where leaf_index = pg_temp.leaf(10, 1)",
        "what was answered",
    ),
    (
        "a transfer moves on both sides",
        "update entry set available_change = available_change + case ordinal when 0 then 1 else -1 end where leaf_index = pg_temp.leaf(4, 1)",
        "do not follow",
    ),
    (
        "a balance after is another",
        "update entry set pending_after = pending_after + 1 where leaf_index = 5 and ordinal = 1",
        "do not follow",
    ),
    (
        "a sequence has a hole",
        "update entry set sequence = sequence + 100 where leaf_index = pg_temp.leaf(3, 1)",
        "leaves a hole",
    ),
    (
        "an entry names another before it",
        "update entry set previous_leaf_index = 0 where leaf_index = pg_temp.leaf(12, 1)",
        "does not name the entry before",
    ),
    (
        "an entry names another commitment before it",
        "update entry set previous_commitment = sha256('x') where leaf_index = pg_temp.leaf(12, 1)",
        "does not name the entry before",
    ),
    (
        "an account has no balance",
        "delete from balance where account_id = pg_temp.member('imani')",
        "the account has no balance",
    ),
    (
        "a balance is another",
        "update balance set available = available + 1 where account_id = pg_temp.member('imani')",
        "not what its entries come to",
    ),
    (
        "a house's balance is another",
        "update balance set available = available + 1 where account_id = 1",
        "not what its entries come to",
    ),
    (
        "a version is another",
        "update balance set sequence = sequence + 1 where account_id = pg_temp.member('imani')",
        "not what its entries come to",
    ),
    (
        "what is held is another",
        "update balance set held = held + 1 where account_id = pg_temp.member('amina')",
        "not what its entries come to",
    ),
    (
        "the last entry is another",
        "update balance set last_commitment = sha256('x') where account_id = pg_temp.member('amina')",
        "not what its entries come to",
    ),
    // Lots in entries.
    (
        "a movement is of another amount",
        "update entry set lots = set_byte(lots, 23, get_byte(lots, 23) - 1) where leaf_index = 0 and lots is not null",
        "do not change by as much",
    ),
    (
        "lots are cut",
        "update entry set lots = substr(lots, 1, 47) where leaf_index = 0 and lots is not null",
        "cannot be read",
    ),
    (
        "points are in no lot",
        "update entry set lots = null where leaf_index = 0 and lots is not null",
        "in no lot",
    ),
    (
        "a house has lots",
        "update entry set lots = (select lots from entry where leaf_index = 0 and lots is not null) where leaf_index = 0 and lots is null",
        "a house account has lots",
    ),
    (
        "a lot's day is not its id's",
        "update entry set lots = set_byte(lots, 43, get_byte(lots, 43) # 1) where leaf_index = 0 and lots is not null",
        "not those of its id",
    ),
    (
        "a lot's id is none",
        "update entry set lots = set_byte(lots, 15, 1) where leaf_index = 0 and lots is not null",
        "none of ours",
    ),
    (
        "a lot does not move",
        "update entry set lots = lots || '\\x7fffffff00000001000000ff00000000'::bytea || decode(repeat('00', 24), 'hex') || '\\x7fffffff00000001'::bytea where leaf_index = 0 and lots is not null",
        "does not move",
    ),
    (
        "an earning ends on another day",
        "update entry set lots = overlay(overlay(lots placing '\\x7fffffff'::bytea from 1) placing '\\x7fffffff'::bytea from 41) where leaf_index = 0 and lots is not null",
        "another day or end",
    ),
    (
        "a later lot is spent first",
        "update entry set lots = overlay(overlay(lots placing '\\x7fffffff'::bytea from 1) placing '\\x7fffffff'::bytea from 41) where leaf_index = pg_temp.theirs(3, 2, 'amina')",
        "while an earlier one is left",
    ),
    ("the terms of a time are gone", "delete from policy where version = 2", "another day or end"),
    // What a member may do, and when.
    (
        "a reversal into debt is called a correction",
        "update posting set kind = 5, reverses = null where leaf_index = pg_temp.theirs(6, 1, 'dalila')",
        "it takes more than there is",
    ),
    (
        "a member owes more than the policy lets them",
        "update policy set document = convert_to(replace(convert_from(document, 'UTF8'), '1000}', '79}'), 'UTF8')",
        "more than the member may owe",
    ),
    (
        "a fund gives what it never had",
        "update fund set budgeted = true where name = 'gift'",
        "more than was put into the fund",
    ),
    (
        "what has ended is spent",
        "with earlier as (
             update entry
             set lots = overlay(overlay(lots placing int4send(10957) from 1) placing int4send(10957) from 41)
             where leaf_index = pg_temp.leaf(11, 1) and lots is not null
         )
         update entry
         set lots = overlay(overlay(lots placing int4send(10957) from 1) placing int4send(10957) from 41)
         where leaf_index = pg_temp.theirs(3, 2, 'amina')",
        "it spends what has ended",
    ),
    (
        // Of two lots that were imported, the one that had ended stays in place of the other.
        "what can be spent expires",
        "with later as (
             select int4send(last_day) || int4send(earned_day) as days
             from lot
             where account_id = pg_temp.member('hamisi')
         ), less as (
             update lot set available = 11 where account_id = pg_temp.member('hamisi')
         ), kept as (
             insert into lot values (pg_temp.member('hamisi'), 18443, 18077, 0, 11, 0, 0)
         )
         update entry
         set lots = overlay(overlay(lots placing days from 1) placing days from 41)
         from later
         where leaf_index = pg_temp.theirs(4, 1, 'hamisi') and account_id = pg_temp.member('hamisi')",
        "points expired that could still be spent",
    ),
    // Lots in their table.
    (
        "a lot has more",
        "update lot set available = available + 1 where account_id = pg_temp.member('amina') and fund_id = 0",
        "its lots are not",
    ),
    ("a lot is gone", "delete from lot where account_id = pg_temp.member('dalila')", "its lots are not"),
    (
        "a lot is invented",
        "insert into lot values (pg_temp.member('dalila'), 30000, 20000, 0, 5, 0, 0)",
        "its lots are not",
    ),
    (
        "a lot ends later",
        "update lot set last_day = last_day + 1 where account_id = pg_temp.member('imani')",
        "its lots are not",
    ),
    (
        "a lot has another fund",
        "update lot set fund_id = 3 where account_id = pg_temp.member('amina') and fund_id = 1",
        "its lots are not",
    ),
    // Reservations.
    (
        "a hold is gone",
        "delete from reservation where account_id = pg_temp.member('amina')",
        "its reservations are not",
    ),
    (
        "a hold is of less",
        "update reservation set parts = set_byte(parts, 23, 1) where account_id = pg_temp.member('baraka')",
        "its reservations are not",
    ),
    (
        "a hold is called pending",
        "update reservation set kind = 2 where account_id = pg_temp.member('baraka')",
        "its reservations are not",
    ),
    (
        "a pending earning is from another house",
        "update reservation set house_id = 2 where account_id = pg_temp.member('chema')",
        "its reservations are not",
    ),
    (
        // As if it had been asked for without a partner.
        "a captured hold is for another house",
        "with asked as (
             update outcome
             set fingerprint = overlay(fingerprint placing substr(sha256(int8send(0)), 1, 3) from 27)
             where leaf_index = pg_temp.theirs(7, 1, 'amina')
         )
         update reservation
         set house_id = pg_temp.house(3)
         where account_id = pg_temp.member('amina')",
        "its reservations are not",
    ),
    (
        // As if it had been asked for so long: 4 points, for a second more than a hold may last.
        "a hold lasts too long",
        "with asked as (
             update outcome
             set fingerprint = overlay(
                 fingerprint placing substr(sha256(int8send(12) || int8send(4) || int4send(30 * 86400 + 1)), 1, 3) from 24
             )
             where leaf_index = pg_temp.theirs(7, 2, 'baraka')
         )
         update reservation
         set due_at = due_at_max + 1000000
         where account_id = pg_temp.member('baraka')",
        "its reservations are not",
    ),
    (
        "a hold is for no partner",
        "update reservation set house_id = pg_temp.house(3) where account_id = pg_temp.member('baraka')",
        "for another house than was asked for",
    ),
    (
        "a hold is for what expires",
        "update reservation set house_id = pg_temp.house(4) where account_id = pg_temp.member('baraka')",
        "for another house than was asked for",
    ),
    (
        "a hold is for another partner",
        "with other as (
             insert into account (id, program_id, kind, partner_id, unit, secret)
             select gen_random_uuid(), program_id, kind, 'other', unit, secret
             from account
             where account_id = pg_temp.house(5)
             returning account_id
         )
         update reservation
         set house_id = (select account_id from other)
         where account_id = pg_temp.member('baraka')",
        "for another house than was asked for",
    ),
    (
        "a hold is for the partner's account of another unit",
        "update reservation
         set house_id = (select account_id from account where kind = 5 and unit = 2)
         where account_id = pg_temp.member('baraka')",
        "for another house than was asked for",
    ),
    (
        "a hold ends later",
        "update reservation set due_at = due_at + 1000000 where account_id = pg_temp.member('baraka')",
        "ends at another time than was asked for",
    ),
    (
        "a hold ends a moment earlier",
        "update reservation set due_at = due_at - 1 where account_id = pg_temp.member('baraka')",
        "ends at another time than was asked for",
    ),
    (
        "a hold that was prolonged ends earlier",
        "update reservation set due_at = due_at - 1000000 where account_id = pg_temp.member('amina')",
        "ends at another time than was asked for",
    ),
    (
        "a hold may last longer",
        "update reservation set due_at_max = due_at_max + 1000000 where account_id = pg_temp.member('amina')",
        "may last to another time than the policy lets it",
    ),
    (
        "what waits to be confirmed matures by itself",
        "update reservation set due_at = due_at_max where account_id = pg_temp.member('chema')",
        "the fingerprint of another event",
    ),
    (
        "a pending earning has a longest time",
        "update reservation set due_at_max = due_at_max - 1 where account_id = pg_temp.member('chema')",
        "its reservations are not",
    ),
    (
        "a hold is invented",
        "insert into reservation select gen_random_uuid(), pg_temp.member('imani'), 1, house_id, due_at, due_at_max, parts from reservation limit 1",
        "its reservations are not",
    ),
    // Of accounts that are no member's.
    (
        "a house has a lot",
        "insert into lot values (1, 30000, 20000, 0, 5, 0, 0)",
        "account 1: it has a lot and is no member's",
    ),
    (
        "nobody has a lot",
        "insert into lot values (99999, 30000, 20000, 0, 5, 0, 0)",
        "account 99999: it has a lot and is no member's",
    ),
    (
        "a house has a hold",
        "insert into reservation select gen_random_uuid(), 1, 1, house_id, due_at, due_at_max, parts from reservation limit 1",
        "account 1: it has a reservation and is no member's",
    ),
    (
        "nobody has a hold",
        "insert into reservation select gen_random_uuid(), 99999, 1, house_id, due_at, due_at_max, parts from reservation limit 1",
        "account 99999: it has a reservation and is no member's",
    ),
    (
        "a capture is of no hold",
        "update posting set follows = null where leaf_index = pg_temp.leaf(8, 1)",
        "set aside for nothing",
    ),
    (
        "a capture is of another hold",
        "update posting set follows = pg_temp.id(pg_temp.leaf(7, 2)) where leaf_index = pg_temp.leaf(8, 1)",
        "not open",
    ),
    // What limits go by, and what members are.
    (
        "a day's redemptions are fewer",
        "update balance set redeemed_day = redeemed_day - 1 where account_id = pg_temp.member('amina')",
        "used of its limits",
    ),
    (
        "a month's earnings are fewer",
        "update balance set earned_month = earned_month - 1 where account_id = pg_temp.member('amina')",
        "used of its limits",
    ),
    (
        "a day's transfers are more",
        "update balance set transferred_day = transferred_day + 1 where account_id = pg_temp.member('baraka')",
        "used of its limits",
    ),
    (
        "the tallies are of another day",
        "update balance set used_day = used_day - 1 where account_id = pg_temp.member('baraka')",
        "used of its limits",
    ),
    (
        "what a member used who joined another is forgotten",
        "update balance set earned_day = earned_day - 33, earned_month = earned_month - 33 where account_id = pg_temp.member('dalila')",
        "used of its limits",
    ),
    (
        "a merchant's redemptions are fewer",
        "update balance set redeemed_day = 1 where account_id = (select account_id from account where kind = 5 and unit = 1)",
        "less than its entries",
    ),
    (
        // All that no posting tells of: a hold that was voided, one that lapsed and one that is open.
        "a merchant's captured holds are fewer",
        "update balance set redeemed_day = redeemed_day - (6 + 10 + 4) - 1 where account_id = (select account_id from account where kind = 5 and unit = 1)",
        "less than its entries",
    ),
    (
        "a merchant's day begins anew",
        "update balance set used_day = used_day + 1, redeemed_day = 0, redeemed_month = 0 where account_id = (select account_id from account where kind = 5 and unit = 1)",
        "a day that has not come",
    ),
    (
        "a member was active on another day",
        "update balance set active_day = active_day + 1 where account_id = pg_temp.member('amina')",
        "last active",
    ),
    (
        "a member is suspended by nobody",
        "update balance set status = 2 where account_id = pg_temp.member('amina')",
        "not the one that was last asked for",
    ),
    (
        "a suspended member is active",
        "update balance set status = 1 where account_id = pg_temp.member('goma')",
        "not the one that was last asked for",
    ),
    (
        "a closed member is active",
        "update balance set status = 1 where account_id = pg_temp.member('fatuma')",
        "not the one that was last asked for",
    ),
    (
        "a merged member is active",
        "update balance set status = 1 where account_id = pg_temp.member('esi')",
        "not the one that was last asked for",
    ),
    (
        "a house is closed",
        "update balance set status = 3 where account_id = 1",
        "a house account is suspended",
    ),
    // Outcomes.
    (
        "an outcome is gone",
        "delete from outcome where leaf_index = 3",
        "leaf 3 and its outcome do not name each other",
    ),
    (
        "an outcome names another posting",
        "update outcome set posting_id = gen_random_uuid() where leaf_index = 3",
        "do not name each other",
    ),
    (
        "an outcome names no leaf there is",
        "update outcome set leaf_index = 5000 where leaf_index = 3",
        "do not name each other",
    ),
    (
        "an outcome tells of another amount",
        "update outcome set points = points + 1 where leaf_index = 3",
        "what was answered for leaf 3",
    ),
    (
        "an outcome tells of another balance",
        "update outcome set available = available + 1 where leaf_index = 3",
        "what was answered for leaf 3",
    ),
    (
        "an outcome tells of another account",
        "update outcome set account_id = pg_temp.member('esi') where leaf_index = 3",
        "what was answered for leaf 3",
    ),
    (
        "an outcome is of another time",
        "update outcome set recorded_at = recorded_at - 1 where leaf_index = 3",
        "not recorded at one time",
    ),
    (
        "a posting is told of twice",
        "insert into outcome select program_id, source, 'again', fingerprint, posting_id, leaf_index, refusal, points, available, recorded_at, account_id, rest, item from outcome where leaf_index = 3",
        "told of twice",
    ),
    (
        "what fell due was asked for by somebody",
        "insert into outcome select program_id, source, 'due', fingerprint, pg_temp.id(pg_temp.leaf(12, 1)), pg_temp.leaf(12, 1), refusal, points, available, recorded_at, pg_temp.member('imani'), rest, item from outcome where leaf_index = 3",
        "nobody asked for it",
    ),
    (
        "an item of several is of another amount",
        "update outcome set rest = set_byte(rest, 23, 9) where rest is not null",
        "what was answered",
    ),
    (
        "an item of several is gone",
        "update outcome set rest = null where rest is not null",
        "do not name each other",
    ),
    (
        "the items are cut",
        "update outcome set rest = substr(rest, 1, 23) where rest is not null",
        "items cannot be read",
    ),
    (
        "a refusal is none",
        "update outcome set refusal = 99 where refusal is not null",
        "neither accepted nor refused",
    ),
    (
        "a refusal is of tomorrow",
        "update outcome set recorded_at = recorded_at + 86400000000 where refusal is not null",
        "after the last time that the log knows",
    ),
    (
        "a fingerprint is cut",
        "update outcome set fingerprint = substr(fingerprint, 1, 31) where leaf_index = 3",
        "its fingerprint is none",
    ),
    (
        "an event's id is another",
        "update outcome set key = key || 'x' where leaf_index = 0",
        "stands under another key than its event's",
    ),
    (
        "an event's source is another",
        "update outcome set source = source || 'x' where leaf_index = 0",
        "stands under another key than its event's",
    ),
    (
        "an event was asked for by nobody",
        "update outcome set source = 'x' where leaf_index = 0",
        "stands under another key than its event's",
    ),
    (
        "an event was asked for by an operator",
        "update outcome set source = 'operator' where leaf_index = 0",
        "stands under another key than its event's",
    ),
    (
        "an operator's event has another key",
        "update outcome set key = key || 'x' where leaf_index = 3",
        "stands under another key than its event's",
    ),
    (
        "an event was asked for otherwise",
        "update outcome set fingerprint = set_byte(fingerprint, 1, get_byte(fingerprint, 1) # 1) where leaf_index = 0",
        "the fingerprint of another event",
    ),
    (
        "an operator's event was asked for otherwise",
        "update outcome set fingerprint = sha256('x') where leaf_index = 3",
        "the fingerprint of another event",
    ),
    ("two members have each other's names", "select pg_temp.swap('chema', 'imani')", "names another member"),
    (
        "an act was asked for otherwise",
        "update outcome set fingerprint = sha256('x') where leaf_index = pg_temp.leaf(19, 1)",
        "the fingerprint of no such act",
    ),
];

/// Found by whoever has the secrets.
const WORDS: &[(&str, &str, &str)] = &[
    (
        "a reference is another",
        "update posting set merchant_reference = 'another' where leaf_index = 2",
        "its details",
    ),
    (
        "an actor is another",
        "update posting set actor = 'nobody' where leaf_index = pg_temp.leaf(5, 1)",
        "its details",
    ),
    (
        "a time of effect is another",
        "update posting set effective_at = effective_at - 1 where leaf_index = pg_temp.leaf(2, 1)",
        "its header",
    ),
    (
        "a rule set is another",
        "update posting set rule_set_hash = sha256('x') where leaf_index = 0",
        "its header",
    ),
    ("an event's bytes are others", "update event set payload = '{}' where leaf_index = 0", "its event"),
    (
        "an event's remainder is another",
        "update event set remainder = '0.5' where leaf_index = 0",
        "its earning",
    ),
    (
        "the rules are others",
        "update rule_set set document = '{\"rates\":{\"purchase\":\"2\"}}', hash = sha256('{\"rates\":{\"purchase\":\"2\"}}')",
        "its earning",
    ),
    (
        "a withdrawal pays another holder",
        "update posting set body = set_byte(body, 30, 7) where body is not null",
        "its body",
    ),
    (
        "a lot is another",
        "update entry set lots = set_byte(lots, 7, get_byte(lots, 7) # 1) where leaf_index = 0 and lots is not null",
        "its entries",
    ),
    (
        "an account has another name",
        // To the other side of whoever stands beside it in its first entry.
        "with beside as (
             select other.account_id
             from entry as other
             where other.leaf_index = (select min(leaf_index) from entry where account_id = 1)
                 and other.account_id <> 1
             limit 1
         )
         update account
         set id = case
             when id > (select account.id from account join beside using (account_id))
             then '00000000-0000-0000-0000-000000000001'::uuid
             else 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid
         end
         where account_id = 1",
        "in their order",
    ),
    (
        "an account's secret is another's",
        "update account set secret = (select secret from account where account_id = 2) where account_id = 1",
        "wrapping key",
    ),
];

/// Plants one damage in a copy of the books, with the triggers out of the way, and answers what the check names.
async fn plant(
    server: &PgConnectOptions,
    template: &str,
    statement: &str,
    keyring: Option<&Keyring>,
) -> String {
    let mut admin = server.connect().await.unwrap();
    let run = async |admin: &mut PgConnection, statement: String| {
        sqlx::query(AssertSqlSafe(statement)).execute(admin).await.unwrap();
    };
    run(&mut admin, format!("create database {template}_copy template {template} strategy file_copy")).await;
    let mut conn = server.clone().database(&format!("{template}_copy")).connect().await.unwrap();
    sqlx::raw_sql(NAMES).execute(&mut conn).await.unwrap();
    let planted = sqlx::query(AssertSqlSafe(statement)).execute(&mut conn).await.expect(statement);
    assert_ne!(planted.rows_affected(), 0, "nothing was planted: {statement}");
    let found = check_books_watched(&mut conn, keyring, &mut |_| {}).await;
    drop(conn);
    run(&mut admin, format!("drop database {template}_copy with (force)")).await;
    found.expect_err(statement).to_string()
}

#[tokio::test]
async fn the_check_finds_what_was_planted() {
    let World { books, .. } = World::new().await;
    books.check_books().await;
    let server: PgConnectOptions = devstack::test_postgres_url().unwrap().parse().unwrap();
    let template = books.url.rsplit('/').next().unwrap().split('?').next().unwrap().to_owned();
    // A database that somebody is connected to cannot be copied.
    books.pool.close().await;
    let mut missed = Vec::new();
    let secrets = keyring();
    for (cases, keyring) in [(ROWS, None), (WORDS, Some(&secrets))] {
        for (what, statement, expected) in cases {
            let named = plant(&server, &template, statement, keyring).await;
            if !named.contains(expected) {
                missed.push(format!("{what}: expected {expected:?}, but it named: {named}"));
            }
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

#[tokio::test]
async fn history_refuses_to_change() {
    let books = Fixture::new().await;
    books.member_with("m", 100).await;
    books.committer.submit(books.redeem("k", books.balance("m").await.unwrap().member_id, 1)).await.unwrap();
    for table in ["leaf", "posting", "entry", "leaf_0", "posting_0", "entry_0"] {
        for statement in [
            format!("update {table} set leaf_index = leaf_index"),
            format!("delete from {table}"),
            format!("truncate {table}"),
        ] {
            check_refused(&books, statement).await;
        }
    }
    check_refused(&books, "update outcome set points = points + 1".to_owned()).await;
    check_refused(&books, "delete from outcome".to_owned()).await;
    check_refused(&books, "update event set payload = 'x'".to_owned()).await;
}

async fn check_refused(books: &Fixture, statement: String) {
    let outcome = sqlx::query(AssertSqlSafe(statement.clone())).execute(&books.pool).await;
    let error = outcome.expect_err(&statement).to_string();
    assert!(error.contains("is append-only"), "{statement}: {error}");
}
