// Written by `npm run generate -w sdk` from docs/openapi.json.

/** A page of acts, the newest first. */
export type ActPage = {
  /** The acts. */
  data: Array<ActTold>;
  /** Whether there are more. */
  has_more: boolean;
  /** The `starting_after` of the next page. */
  next_cursor?: string | null;
  /** `list`. */
  object: string;
  /** The path of the list. */
  url: string;
};

/** An act of an operator. */
export type ActTold = {
  /** The act: the posting by which the log says it. */
  act_id: string;
  /** Of which kind it is, as in `partner.created`. */
  action: string;
  /** Who did it. */
  actor?: string | null;
  /** What it is after; absent where it is gone. */
  after?: unknown;
  /** What it was before; absent where it was made. */
  before?: unknown;
  /** Its place in the log. */
  leaf_index: number;
  /** Why. */
  reason?: string | null;
  /** When. */
  recorded_at: string;
  /** To what it was done. */
  subject: string;
};

export type Amount = number;

/** The three balances of an account. */
export type Amounts = {
  /** What can be spent; below zero, what is owed. */
  available: number;
  /** What is set aside. */
  held: number;
  /** What cannot be spent yet. */
  pending: number;
};

/** An anchor. */
export type Anchor = {
  /** For how many milliseconds it has stood. */
  age_ms: number | null;
  /** The block. */
  block: number;
  /** Whether the chain has promised to keep it. */
  is_final: boolean;
  /** The size of the checkpoint. */
  size: number;
  /** The transaction's hash. */
  transaction: string;
};

/** A place where the log is anchored. */
export type AnchorPlace = {
  /** The chain. */
  chain_id: number;
  /** The contract's address. */
  contract: string;
  /** The last anchor. */
  latest: Anchor | null;
  /** Who registered the log there. */
  registrant: string;
  /** The last transactions, or those that carry the size that was asked for, oldest first. */
  transactions: Array<AnchorTransaction>;
};

/** How pressing the anchor is of what is posted. */
export type AnchorPriority = "soon";

/** A step of a story. */
export type AnchorStep = {
  /** When. */
  at: string;
  /** The block that held it then. */
  block: number | null;
  /** What it became. */
  state: string;
  /** Why. */
  why: string;
};

/** A transaction that was signed to anchor a checkpoint, and all that became of it. */
export type AnchorTransaction = {
  /** The block that holds it. */
  block: number | null;
  /** The size of the head that it extends; the same as `size` where it pins the head. */
  extends: number;
  /** What it offers for a unit of gas in all, in wei. */
  fee_wei_max: string;
  /** Its nonce: of those that share one, one takes effect. */
  nonce: number;
  /** What it cost, in wei. */
  paid_wei: string | null;
  /** The size of the checkpoint that it carries. */
  size: number;
  /** How far it has come: `armed`, `broadcast`, `included`, `final` or `archived`; or `replaced`, `dropped`, `orphaned`, `reverted`, `spent` or `abandoned`. */
  state: string;
  /** What happened, in order. */
  steps: Array<AnchorStep>;
  /** What it offers to the producer, in wei. */
  tip_wei_max: string;
  /** Its hash. */
  transaction: string;
};

/** Where the log is anchored, as far as our rows know: the contract's state is the truth. */
export type Anchors = {
  /** The places. */
  anchors: Array<AnchorPlace>;
  /** Whether our rows were asked just now; else this is what they said the last time. */
  is_current: boolean;
};

/** What a member has. */
export type AppBalance = {
  /** As of when this is, where another time than now was asked for. */
  as_of?: string | null;
  /** What can be spent; below zero, what is owed. */
  current_balance: number;
  /** What is owed, where it is something. */
  debt_points?: number | null;
  /** The last second of the points that end first; absent where none end. */
  expires_on?: string | null;
  /** What is set aside. */
  held_points: number;
  /** When it last changed. */
  last_updated: string;
  /** When it changes by itself, if nothing is done before; absent where it does not. */
  next_change_at?: string | null;
  /** What was earned and cannot be spent yet. */
  pending_points: number;
  /** `active`; `suspended`, who earns and spends nothing; `closed`. */
  status: "active" | "suspended" | "closed";
  /** The member's tier, where they have one. */
  tier?: Tier | null;
  /** The member. */
  user_id: string;
  /** The account's version: it grows by one with each change. */
  version: number;
};

/** What a member has, as the M-PESA contract says it. */
export type BalanceResponse = {
  /** What can be spent. */
  balance: number;
  /** What is owed, where it is something. */
  debt_points?: number | null;
  /** The last second of the points that end first; absent where none end. */
  expires_on?: string | null;
  /** When it last changed. */
  last_updated: string;
  /** What was earned and cannot be spent yet, where it was asked for. */
  pending_points?: number | null;
  /** The member's tier, where they have one. */
  tier?: Tier | null;
  /** The member. */
  user_id: string;
};

/** One item of a batch. */
export type BatchItem = {
  redemption: NewRedemption;
} | {
  transfer: NewTransfer;
};

/** What came of a batch, item by item. */
export type BatchTold = {
  /** What came of each item, in their order. */
  results: Array<ItemTold>;
};

/** What became of a request. */
export type Became = {
  /** The key. */
  idempotency_key: string;
  /** Why it was refused. */
  refusal?: Reason | null;
  /** `SUCCESS`, `REFUSED`, or `IN_PROGRESS` while it is being worked on here. */
  status: string;
  /** What was posted, item by item. */
  transactions: Array<Transaction>;
};

/** Why something is done. */
export type Because = {
  /** Why. */
  reason: string;
};

/** How much of each balance a transaction changed. */
export type Change = {
  /** Of what can be spent. */
  available: number;
  /** Of what is set aside. */
  held: number;
  /** Of what was earned and cannot be spent yet. */
  pending: number;
};

/** What went on from a transaction, or undid it. */
export type Chapter = {
  /** What it is. */
  kind: string;
  /** Its place in the log. */
  leaf_index: number;
  /** How many points it moved. */
  points: number;
  /** When it was recorded. */
  recorded_at: string;
  /** The posting. */
  transaction_id: string;
};

/** A sandbox's clock. */
export type ClockTold = {
  /** How far it is ahead of the log's clock. */
  ahead_seconds: number;
  /** What it shows. */
  now: string;
};

/** A leaf as everybody may see it: closed. */
export type ClosedLeaf = {
  /** What it commits to, in hexadecimal. */
  commitment: string;
  /** Of what kind it is. */
  kind: string;
  /** Its bytes, in hexadecimal. */
  leaf: string;
  /** Its hash, in hexadecimal. */
  leaf_hash: string;
  /** Its place. */
  leaf_index: number;
  /** The log's id, in hexadecimal. */
  log_id: string;
};

/** A proof that the tree of one size extends that of another. */
export type Consistency = {
  /** The smaller size. */
  from: number;
  /** The root of the smaller size, in hexadecimal. */
  from_root: string;
  /** The log's name. */
  origin: string;
  /** The proof's hashes. */
  proof: Array<string>;
  /** The greater size. */
  to: number;
  /** The root of the greater size, in hexadecimal. */
  to_root: string;
};

/** Whether a redemption would be allowed now. */
export type Eligibility = {
  /** What could be spent afterwards, or what can be now where it would not be allowed. */
  available?: number | null;
  /** Whether it would be. */
  eligible: boolean;
  /** How many points would be spent. */
  points: number;
  /** Why it would not be; of one that would wait as `PENDING`, `FRAUD_REVIEW`. */
  reasons: Array<Reason>;
};

/** What an endpoint says again to show that it wants to be told. */
export type EndpointChallenge = {
  /** The challenge. */
  challenge: string;
};

/** What a message says that tells of nothing. */
export type EndpointTest = {
  /** The endpoint that it was sent to. */
  endpoint_id: string;
};

/** A member who is enrolled. */
export type EnrolledTold = {
  /** How many events that had waited for them were released now. Where there are more, they follow within seconds. */
  events_released: number;
  /** What other systems call them. A partner is told only what they named. */
  external_id?: string | null;
  /** The member. A partner is not told the id of one who took part before, unless they named it. */
  user_id?: string | null;
};

/** What happened: four fields suffice, and others are kept with it. */
export type Event = {
  /** How much, in money. */
  amount: number;
  /** Its name: the same of the same source is posted once, for ever. */
  event_id?: string | null;
  /** Who tells of it. */
  source?: string | null;
  /** When it happened. */
  timestamp: string;
  /** What kind of event it is: the rules have a rate for each. */
  type: string;
  /** The member, by UUID or by what the operator's other systems call them. */
  user_id: string;
};

/** An event, an array of up to 1,000, or an object with that array. */
export type EventsBody = Event | Array<Event> | {
  events: Array<Event>;
};

/** A verdict, or one for each in their order. */
export type EventsTold = Told | Results;

/** When points expire. */
export type Expiry = "never" | {
  after: {
    /** So many days. */
    days?: number;
    /** On to the end of this. */
    end_of?: Stretch | null;
    /** And so many months. */
    months?: number;
  };
} | {
  inactivity: {
    /** So many days. */
    days?: number;
    /** And so many months. */
    months?: number;
  };
};

/** A page of the feed. */
export type FeedPage = {
  /** The notices, oldest first. A page may be empty although there is more. */
  data: Array<Notice>;
  /** Whether there is more now. */
  has_more: boolean;
  /** The `cursor` of the next page: also where there is nothing more yet. */
  next_cursor: string;
  /** `list`. */
  object: string;
  /** This list. */
  url: string;
};

/** What limits one way that points flow. What is left out is not limited. */
export type FlowLimits = {
  /** A member's local day. */
  per_day?: number | null;
  /** A merchant's day, over all members. Only redeeming has a merchant; elsewhere it limits nothing. */
  per_merchant_day?: number | null;
  /** A member's month. */
  per_month?: number | null;
  /** One posting. */
  per_posting?: number | null;
};

/** A token, as RFC 6749, 5.1 has it. */
export type Granted = {
  /** The access token, for `Authorization: Bearer`. */
  access_token: string;
  /** After how many seconds it ends. */
  expires_in: number;
  /** What the access token is, where it was exchanged for something else. */
  issued_token_type?: string | null;
  /** By which the member's app gets the next one, once. */
  refresh_token?: string | null;
  /** What it may do, with spaces between. */
  scope: string;
  /** `Bearer`. */
  token_type: string;
};

/** How long holds last. */
export type HoldPolicy = {
  /** One that names no time, in seconds. 15 minutes. */
  seconds?: number;
  /** The longest, extensions included, from when it was placed. 30 days. */
  seconds_max?: number;
};

/** Whom a key is for. */
export type Holder = "partner" | "app" | "auditor";

/** What an account holds. */
export type Holdings = {
  /** What can be spent; below zero, what is owed. */
  available: number;
  /** What is set aside. */
  held: number;
  /** What was earned and cannot be spent yet. */
  pending: number;
  /** The account's version: it grows by one with each change. */
  version: number;
};

/** A proof that a leaf is in the tree of a size. The size says which checkpoint's root it leads to: whoever checks it takes that root from the checkpoint, not from here. */
export type Inclusion = {
  /** The leaf's hash, in hexadecimal. */
  leaf_hash: string;
  /** The leaf. */
  leaf_index: number;
  /** The log's name. */
  origin: string;
  /** The hashes on the way, from the leaf up. */
  path: Array<string>;
  /** The root of that size, in hexadecimal. */
  root: string;
  /** The tree's size. */
  size: number;
};

/** What a token says, as RFC 7662 has it. */
export type Introspected = {
  /** Whether it is good now. */
  active: boolean;
  /** To whom it is shown. */
  aud?: string | null;
  /** The client for which it was issued. */
  client_id?: string | null;
  /** When it ends, in seconds since 1970. */
  exp?: number | null;
  /** When it was issued. */
  iat?: number | null;
  /** Who issued it. */
  iss?: string | null;
  /** Its name. */
  jti?: string | null;
  /** What it may do. */
  scope?: string | null;
  /** For whom it speaks. */
  sub?: string | null;
  /** `Bearer`. */
  token_type?: string | null;
};

/** One field that is not as it should be. */
export type Invalid = {
  /** What is wrong with it, stable. */
  code: string;
  /** The field, header, or parameter. */
  field: string;
  /** What is wrong with it. */
  message: string;
  /** Where in the body, as a JSON pointer; absent for what is not in the body. */
  pointer?: string | null;
};

/** What came of an item. */
export type ItemTold = {
  /** Why it was refused. */
  refusal?: Reason | null;
  /** `SUCCESS`, `PENDING` while it is looked at, or `REFUSED`; `UNKNOWN` where asking again with the same key tells. */
  status: string;
  /** What was posted. */
  transaction?: Transaction | null;
};

/** A key, the one time that it is shown. */
export type KeyMade = {
  /** The key. Keep it: it is not to be had again. */
  key: string;
  /** What it is called. */
  key_id: string;
};

/** A key as operators see it. */
export type KeyShown = {
  /** Whether it is good now. */
  active: boolean;
  /** From where it is taken; from anywhere if there is none. */
  addresses: Array<string>;
  /** When it was made. */
  created_at: string;
  /** When it ends. */
  expires_at?: string | null;
  /** What it is called: its first sixteen letters. */
  key_id: string;
  /** When it was last used, to the minute. */
  last_used_at?: string | null;
  /** Whose it is. */
  owner: string;
  /** The partner that it speaks for. */
  partner_id?: string | null;
  /** When it was withdrawn. */
  revoked_at?: string | null;
  /** In which role its owner asks. */
  role: string;
  /** What it may do. */
  scopes: Array<string>;
};

/** A key, and from where to where in the log it signs. */
export type KeyTold = {
  /** The leaf that introduces it; absent for the first key. */
  introduced_in_leaf?: number | null;
  /** When that was, in Unix seconds. */
  retired_at?: number | null;
  /** The leaf that retires it. What it signed counts only where it was witnessed before, or is anchored. */
  retired_in_leaf?: number | null;
  /** The key. */
  vkey: string;
};

/** A key that is to be made. */
export type KeyWish = {
  /** The networks from which it is taken, as in 192.0.2.0/24; from anywhere if there is none. */
  addresses?: Array<string>;
  /** After how many seconds it ends; never if it is left out. */
  expires_in?: number | null;
  /** Whose it is: the client's id at the token endpoint. */
  owner: string;
  /** The partner that it speaks for; its owner if it is left out. */
  partner_id?: string | null;
  /** Whom it is for. */
  role: Holder;
  /** What it may do. */
  scopes: Array<string>;
};

/** Who signs the log. */
export type Keys = {
  /** All keys that ever did, the log's first one first. */
  history: Array<KeyTold>;
  /** Whether the log was asked just now; else it is what the service was configured with. */
  is_current: boolean;
  /** The keys that sign it now, as C2SP writes verifier keys. */
  keys: Array<string>;
  /** Its id, in hexadecimal. */
  log_id: string;
  /** The log's name. */
  origin: string;
  /** Lines for a verifier's policy. Who takes them from here trusts us once more than needed: compare them with the `key` leaves that the log holds. */
  policy: string;
};

/** A page of the program's keys. */
export type KeysShown = {
  /** The keys, the newest first. */
  data: Array<KeyShown>;
  /** Whether there are more. */
  has_more: boolean;
  /** The `starting_after` of the next page. */
  next_cursor?: string | null;
  /** `list` */
  object: string;
  /** The path of the list. */
  url: string;
};

/** A transaction, as one account sees it. */
export type ListedTransaction = {
  /** What that came to. */
  balance: Holdings;
  /** What it changed. */
  change: Change;
  /** What it is about. */
  description?: string | null;
  /** From when it counts. */
  effective_at: string;
  /** The hold or the pending earning that it goes on from. */
  follows?: string | null;
  /** What it is. */
  kind: string;
  /** Its place in the log. */
  leaf_index: number;
  /** Which of its points moved. */
  lots: Array<LotMoved>;
  /** What the merchant calls it. */
  merchant_reference?: string | null;
  /** Why it was done. */
  reason?: string | null;
  /** Where its receipt is. */
  receipt_url: string;
  /** When it was recorded. */
  recorded_at: string;
  /** The transaction that it undoes. */
  reverses?: string | null;
  /** The posting. */
  transaction_id: string;
};

/** Points that were earned on one day and end on one day. */
export type LotMoved = {
  /** How many were added to what can be spent, or below zero taken. */
  available: number;
  /** The day on which they were earned. */
  earned_on: string;
  /** How many were set aside, or below zero released. */
  held: number;
  /** The last day on which they can be spent; absent where they never end. */
  last_day?: string | null;
  /** How many began to wait, or below zero ended it. */
  pending: number;
};

/** A page of points by when they end, what ends first standing first. */
export type LotPage = {
  /** The points. */
  data: Array<OpenLot>;
  /** Whether there are more. */
  has_more: boolean;
  /** The `starting_after` of the next page. */
  next_cursor?: string | null;
  /** `list`. */
  object: string;
  /** The path of the list. */
  url: string;
  /** The account's version: pages of one version fit each other. */
  version: number;
};

/** Whether a member takes part. */
export type MemberStatus = "active" | "suspended" | "closed";

/** A member, as an operator sees them. */
export type MemberTold = {
  /** What they have. */
  balance: Holdings;
  /** What other systems call them. */
  external_id?: string | null;
  /** When that last changed. */
  last_updated: string;
  /** `active`; `suspended`, who spends nothing; `closed`. */
  status: "active" | "suspended" | "closed";
  /** The member's tier, where they have one. */
  tier?: Tier | null;
  /** The member. */
  user_id: string;
};

/** How the items of a batch belong together. */
export type Mode = "independent" | "all_or_none";

/** An amount of money, as a text with every digit. */
export type Money = {
  /** How much. */
  amount: string;
  /** In which currency. */
  currency: string;
};

/** A correction. */
export type NewAdjustment = {
  /** How many points are added, or below zero taken. */
  change: number;
  /** From when it counts; from now where it is left out. */
  effective_at?: string | null;
  /** The version that the account must have. */
  expected_version?: number | null;
  /** Why. */
  reason: string;
  /** The member, by UUID or external id. */
  user_id: string;
};

/** Many things in one request. */
export type NewBatch = {
  /** The items. Where all are posted or none, only the first may have an `expected_version`. */
  items: Array<BatchItem>;
  /** Whether each item stands for itself, or all are posted or none: of those at most 100. */
  mode: Mode;
};

/** What is taken of a hold. */
export type NewCapture = {
  /** What it is about. */
  description?: string | null;
  /** Whether the rest stays set aside rather than being released. */
  keep_rest?: boolean;
  /** What the merchant calls it. */
  merchant_reference?: string | null;
  /** How many points; what is left of it where it is left out. */
  points?: number | null;
};

/** Where a sandbox's clock is to be. */
export type NewClock = {
  /** The instant that it is to show. It goes on from there, and never back. */
  now: string;
};

/** How long a hold is to stand. */
export type NewEnd = {
  /** For how many seconds from now. */
  seconds: number;
};

/** What is to be set aside. */
export type NewHold = {
  /** What it is about. */
  description?: string | null;
  /** What the merchant calls it. */
  merchant_reference?: string | null;
  /** The partner for whom. A partner's own may be left out. */
  partner_id?: string | null;
  /** How many points. */
  points: number;
  /** For how many seconds; for as long as the program says where it is left out. */
  seconds?: number | null;
  /** The member, by UUID or external id. A partner names them; who speaks for a member may leave it out. */
  user_id?: string | null;
};

/** What is added to a hold. */
export type NewIncrease = {
  /** How many more points. */
  points: number;
};

/** A member who is to be enrolled, under an id, an external id, or both. */
export type NewMember = {
  /** What other systems call them: any string that is no UUID. It means this member from now on, and no other. */
  external_id?: string | null;
  /** The member's UUID; a new one where only an external id is given. */
  user_id?: string | null;
};

/** Into whom a member is merged. */
export type NewMerge = {
  /** Who goes on, by UUID or external id. */
  into: string;
  /** Why. */
  reason: string;
};

/** A partner that is to be made. */
export type NewPartner = {
  /** How it shows who it is; by a token or a key where it is left out. */
  auth_mode?: Showing | null;
  /** Its name, for ever. */
  partner_id: string;
  /** Why. */
  reason: string;
  /** Whether each of its references names one redemption, one hold, one capture and one reversal at most; not where it is left out. */
  references_once?: boolean | null;
  /** How many requests it has an hour. */
  requests_per_hour?: number | null;
};

/** A program's policy as it is to be. */
export type NewPolicy = {
  /** The policy. What it leaves out has the value that its description says. */
  policy: Policy;
  /** Why. */
  reason: string;
};

/** What a point is to be worth. */
export type NewRate = {
  /** In which currency, by three capital letters. */
  currency: string;
  /** From when on: an instant that has not passed. From now on, where it is left out. */
  from?: string | null;
  /** A decimal, with up to 12 digits before the point and 8 after. */
  point_value: string;
  /** Why. */
  reason: string;
};

/** What is to be spent. */
export type NewRedemption = {
  /** What it is about. */
  description?: string | null;
  /** The version that the account must have. In a batch of all or none only its first item may say it. */
  expected_version?: number | null;
  /** What the merchant calls it. */
  merchant_reference?: string | null;
  /** The partner with whom they are spent. A partner's own may be left out. */
  partner_id?: string | null;
  /** How many points. */
  points: number;
  /** Whether less is taken where there is less, as long as it is something. */
  up_to?: boolean;
  /** The member, by UUID or external id. A partner names them; who speaks for a member may leave it out. */
  user_id?: string | null;
};

/** What of a transaction is to be undone. */
export type NewReversal = {
  /** What the merchant calls it. */
  merchant_reference?: string | null;
  /** How many points; what is left of it where it is left out. */
  points?: number | null;
  /** Why. */
  reason: string;
};

/** What a member is to be. */
export type NewStatus = {
  /** Why. */
  reason: string;
  /** What they are to be. Of a closed member all points expire. */
  status: MemberStatus;
};

/** What a member has come to. */
export type NewTier = {
  /** Why. */
  reason: string;
  /** The tier that they are to have; none where it is left out. */
  tier?: Tier | null;
};

/** What one member gives another. */
export type NewTransfer = {
  /** What it is about. */
  description?: string | null;
  /** How many points. They keep the day on which they end. */
  points: number;
  /** Who receives, by UUID or external id. */
  to_user_id: string;
  /** Who gives; who speaks for a member may leave it out. */
  user_id?: string | null;
};

/** Why a hold is given up. */
export type NewVoid = {
  /** What it is about. */
  description?: string | null;
};

/** A posting that is not sealed yet. */
export type NotSealed = {
  /** Its place in the log. */
  leaf_index: number;
  /** What to do. */
  message: string;
  /** Within how many milliseconds it is sealed; where sealing stands still, as long again as it has. */
  sealed_within_ms: number;
  /** `POSTED`. */
  status: string;
  /** The posting. */
  transaction_id: string;
};

/** What a reader is told of one posting. */
export type Notice = {
  /** What it says. */
  data: NoticeData;
  /** The reader's place: a member's account version, which has no gaps; else the log's size with this posting. */
  seq: number;
  /** When it was recorded. */
  timestamp: string;
  /** What happened, as in `points.redeemed`. */
  type: string;
};

/** What a notice says. */
export type NoticeData = {
  /** What that came to. */
  balance?: Amounts | null;
  /** What it did to the reader's own account. */
  change?: Amounts | null;
  /** What it is about. */
  description?: string | null;
  /** From when it counts. */
  effective_at: string;
  /** Every account's side, for operators. */
  entries?: Array<Side>;
  /** The transaction that it goes on from: of a capture, the hold. */
  follows?: string | null;
  /** What it does, as in `redeem`. */
  kind: string;
  /** Its place in the log. */
  leaf_index: number;
  /** What the merchant calls it. */
  merchant_reference?: string | null;
  /** The partner whom it concerns. */
  partner_id?: string | null;
  /** How much it moved. */
  points: number;
  /** Why it was done. */
  reason?: string | null;
  /** The transaction that it undoes. */
  reverses?: string | null;
  /** The member's account version: notices that come in another order are put right by it. */
  sequence?: number | null;
  /** Whether texts or entries were left out, because the notice would have been too long. */
  shortened?: boolean;
  /** The posting. */
  transaction_id: string;
  /** The unit; 1 is the program's points. */
  unit: number;
  /** The member whom it concerns. */
  user_id?: string | null;
  /** What the points that were spent were worth. */
  value?: NoticeMoney | null;
};

/** An amount of money. */
export type NoticeMoney = {
  /** A decimal. */
  amount: string;
  /** Its currency, by ISO 4217. */
  currency: string;
};

/** What is said when something about a token is refused. */
export type OauthError = {
  /** The stable code of RFC 6749. */
  error: string;
  /** What went wrong. */
  error_description: string;
};

/** Points of a member that were earned on one day and end on one day. */
export type OpenLot = {
  /** How many can be spent. */
  available: number;
  /** The day on which they were earned. */
  earned_on: string;
  /** The last second on which they can be spent. */
  expires_on?: string | null;
  /** How many are set aside. */
  held: number;
  /** The last day on which they can be spent, in the program's zone; absent where they never end. */
  last_day?: string | null;
  /** Its name. */
  lot_id: string;
  /** How many cannot be spent yet. */
  pending: number;
};

/** Our verdict on a receipt. */
export type OwnWord = {
  /** The refusal's code of `docs/formats.md`. */
  code?: string | null;
  /** 0 valid, 1 refused, 2 could not check. */
  exit_status: number;
  /** What the receipt proves, where the log's half of the check was passed. */
  proves?: Proves | null;
  /** The verdict in one sentence. */
  sentence: string;
  /** How much it is worth. */
  trust: string;
  /** `valid`, `refused`, `not_anchored` or `could_not_check`. */
  verdict: string;
};

/** A page of events that wait. */
export type ParkedPage = {
  /** The events. */
  data: Array<ParkedTold>;
  /** Whether there are more. */
  has_more: boolean;
  /** The `starting_after` of the next page. */
  next_cursor?: string | null;
  /** `list`. */
  object: string;
  /** The path of the list. */
  url: string;
};

/** An event that waits until whom it names is a member. */
export type ParkedTold = {
  /** Its number. */
  id: number;
  /** Where it came from: `http`, or the Kafka topic, partition and offset. */
  origin: string;
  /** Since when it waits. */
  parked_at: string;
  /** Its bytes. */
  payload_base64: string;
  /** Whom it names, by UUID or external id. */
  user_id: string;
};

/** What is to be another for a partner. What is left out stays. */
export type PartnerChange = {
  /** How it shows who it is. */
  auth_mode?: Showing | null;
  /** Why. */
  reason: string;
  /** Whether each of its references names one redemption, one hold, one capture and one reversal at most, from now on. */
  references_once?: boolean | null;
  /** How many requests it has an hour. */
  requests_per_hour?: number | null;
};

/** A page of partners, by name. */
export type PartnerPage = {
  /** The partners. */
  data: Array<PartnerTold>;
  /** Whether there are more. */
  has_more: boolean;
  /** The `starting_after` of the next page. */
  next_cursor?: string | null;
  /** `list`. */
  object: string;
  /** The path of the list. */
  url: string;
};

/** A partner. */
export type PartnerTold = {
  /** How it shows who it is. */
  auth_mode: Showing;
  /** When it was made. */
  created_at: string;
  /** Its name, which `X-Partner-ID` says. */
  partner_id: string;
  /** Whether each of its references names one redemption, one hold, one capture and one reversal at most. */
  references_once: boolean;
  /** How many requests it has an hour; the program's usual number where it is absent. */
  requests_per_hour?: number | null;
  /** `onboarding`, while a live program gives it no keys; `live`. */
  stage: "onboarding" | "live";
};

/** What an operator has settled for a program. Amounts are in the smallest unit: with a scale of 2, 1000 is ten points. */
export type Policy = {
  /** An adjustment above this, each item by itself, needs a second person's approval. None does. */
  approval_above?: number | null;
  /** How far a reversal may bring a member below zero. 0: not at all. A merge may go beyond it. */
  debt_max?: number;
  /** What limits earning. Imports, adjustments and deposits are not counted. */
  earn?: FlowLimits;
  /** When points expire. Never. */
  expiry?: Expiry;
  /** What a member must keep: what is asked for may not bring them below it. 0. */
  floor?: number;
  /** For how many days points that a reversal gives back can be spent, where their own time is over. 30. */
  grace_days?: number;
  /** How long holds last. */
  holds?: HoldPolicy;
  /** What limits redeeming, holds and withdrawals included. */
  redeem?: FlowLimits;
  /** What becomes of an event of somebody who is not a member. What was said when the program was made: `enrol` with `--enrols`, else `refuse`. */
  strangers?: Strangers | null;
  /** The zone whose dates count, by its IANA name. UTC. */
  time_zone?: string;
  /** What limits transfers, by the member who gives. */
  transfer?: FlowLimits;
};

/** A program's policy. */
export type PolicyTold = {
  /** Expiry, limits, holds, debt: every field of what can be settled, with the value that counts. */
  policy: Record<string, unknown>;
};

/** What went wrong: RFC 9457, with the members of the M-PESA contract. */
export type Problem = {
  /** What is available, where that is too little. */
  current_balance?: number | null;
  /** What went wrong this time, and what can be done. */
  detail: string;
  /** The stable code. */
  error: string;
  /** `urn:request:` and the request's id. */
  instance: string;
  /** The same as `detail`. */
  message: string;
  /** The request's id, which the log has too. */
  request_id: string;
  /** What was asked, where that is too much. */
  required_points?: number | null;
  /** After how many seconds to ask again. */
  retry_after?: number | null;
  /** The status of the answer. */
  status: number;
  /** What went wrong, in a few words; the same for each code. */
  title: string;
  /** An address that explains it. */
  type: string;
  /** The fields that are not as they should be. */
  validation_errors?: Array<Invalid>;
};

/** The programs that a caller may see: its own. */
export type ProgramList = {
  /** The program. */
  data: Array<ProgramTold>;
  /** Whether there are more: there are not. */
  has_more: boolean;
  /** `list`. */
  object: string;
};

/** A program, as its operators see it. */
export type ProgramTold = {
  /** In which currency. */
  currency: string;
  /** Whether an unknown member is enrolled by their first event. */
  enrols: boolean;
  /** Its name. */
  name: string;
  /** What a point is worth now: a decimal. */
  point_value: string;
  /** Expiry, limits, holds, debt, as in `/api/v1/limits`. */
  policy: Record<string, unknown>;
  /** The id under which leaves name it. */
  program_id: string;
  /** What it was worth, is worth and will be worth, in the order in which that was settled: of what counts from the same instant, the last. */
  rates: Array<RateTold>;
  /** The hash of the rules by which what happens now earns. */
  rule_set: string;
  /** Whether its points are worth nothing. */
  sandbox: boolean;
};

/** What a receipt proves. */
export type Proves = {
  /** The chain and contract that hold the checkpoint, where they were asked. */
  anchored?: ProvesAnchor | null;
  /** The holder's own side. */
  entries: Array<ProvesEntry>;
  /** The place in it. */
  leaf_index: number;
  /** What the leaf records. */
  leaf_kind: string;
  /** The signed size. */
  log_size: number;
  /** The merchant's name for the order. */
  merchant_reference?: string | null;
  /** The log. */
  origin: string;
  /** What it did. */
  posting_kind?: string | null;
  /** When it was recorded. */
  recorded_at?: string | null;
  /** The signed root, hexadecimal. */
  root: string;
  /** The posting, where the header is opened. */
  transaction_id?: string | null;
  /** The witnesses of the policy that cosigned. */
  witnesses: Array<string>;
};

/** Where the checkpoint stands. */
export type ProvesAnchor = {
  /** In which block, where the node shows it. */
  block?: number | null;
  /** The chain. */
  chain_id: number;
  /** The contract, hexadecimal. */
  contract: string;
  /** Whether the chain has promised to keep it. */
  is_final: boolean;
};

/** One opened entry. */
export type ProvesEntry = {
  /** The account's random name. */
  account: string;
  /** The available points after it. */
  available: number;
  /** The change of available points. */
  change: number;
  /** The entry's number in it. */
  sequence: number;
};

/** How many messages wait to go out. */
export type Queued = {
  /** The `webhook-id`, where it is one. */
  id?: string | null;
  /** How many. */
  queued: number;
};

/** What a point is worth from an instant on. */
export type RateTold = {
  /** In which currency. */
  currency: string;
  /** From when on; what is spent then is worth so much. */
  from: string;
  /** A decimal. */
  point_value: string;
};

/** Whether a partner is ready to go live. */
export type ReadinessTold = {
  /** Whether nothing is missing. */
  ready: boolean;
  /** What there is to be done, and what of it is. */
  steps: Array<Step>;
};

/** Why something is refused. */
export type Reason = {
  /** The stable code. */
  error: string;
  /** What is wrong, and what can be done. */
  message: string;
};

/** What is to be spent. */
export type RedemptionRequest = {
  /** What it is about. */
  description?: string | null;
  /** What the merchant calls it. */
  merchant_reference: string;
  /** How many points. */
  points: number;
};

/** What was spent. */
export type RedemptionResponse = {
  /** Its place in the log. */
  leaf_index: number;
  /** What can be spent now. */
  new_balance: number;
  /** How many points. */
  points_redeemed: number;
  /** Where its receipt is. */
  receipt_url: string;
  /** `SUCCESS`, or `PENDING` while it is looked at. */
  status: "SUCCESS" | "FAILED" | "PENDING";
  /** The posting. */
  transaction_id: string;
  /** What the points were worth. */
  value: Value;
};

/** An event that was not posted. */
export type RejectedEventListed = {
  /** Why it was not posted: a stable code. */
  error: string;
  /** When it came first. */
  first_seen_at: string;
  /** Its number. */
  id: number;
  /** What was wrong with it. */
  message: string;
  /** Where it came from: `http`, or the Kafka topic, partition and offset. */
  origin: string;
  /** Its bytes. */
  payload_base64: string;
  /** Its text, where it is a short one. */
  payload_text?: string | null;
};

/** A page of events that were not posted. */
export type RejectedPage = {
  /** The events. */
  data: Array<RejectedEventListed>;
  /** Whether there are more. */
  has_more: boolean;
  /** The `starting_after` of the next page. */
  next_cursor?: string | null;
  /** `list`. */
  object: string;
  /** The path of the list. */
  url: string;
};

/** Which messages go out once more. */
export type ReplayRequest = {
  /** Those made at this instant or after it. */
  since: string;
  /** Those made before this instant; until now where it is not said. */
  until?: string | null;
};

/** A verdict for each event, in their order. */
export type Results = {
  /** The verdicts. */
  results: Array<Told>;
};

/** A redemption that waits. */
export type Review = {
  /** What it is about. */
  description?: string | null;
  /** When its points come back by themselves. */
  expires_at: string;
  /** Its place in the log. */
  leaf_index: number;
  /** What the merchant calls it. */
  merchant_reference?: string | null;
  /** Who asked for it. */
  partner_id?: string | null;
  /** How many points. */
  points: number;
  /** When it was asked for. */
  recorded_at: string;
  /** The redemption. */
  transaction_id: string;
  /** Whose points they are. */
  user_id?: string | null;
};

/** A page of redemptions that wait, the oldest first. */
export type ReviewPage = {
  /** The redemptions. */
  data: Array<Review>;
  /** Whether there are more. */
  has_more: boolean;
  /** The `starting_after` of the next page. */
  next_cursor?: string | null;
  /** `list`. */
  object: string;
  /** The path of the list. */
  url: string;
};

/** How a secret is changed. */
export type SecretChange = {
  /** For how many seconds the one before signs too; a day where it is not said. */
  overlap_seconds?: number | null;
};

/** How a partner shows who it is. */
export type Showing = "either" | "token" | "key" | "both";

/** One account's side, as operators see it. */
export type Side = {
  /** The account's name in leaves. */
  account: string;
  /** What that came to. */
  balance: Amounts;
  /** What was done to it. */
  change: Amounts;
  /** What it is for. */
  of: string;
  /** Whose it is, of a partner. */
  partner_id?: string | null;
  /** The account's version after it. */
  sequence: number;
  /** The unit. */
  unit: number;
  /** Whose it is, of a member. */
  user_id?: string | null;
};

/** How messages are signed. */
export type Signature = "v1" | "v1a";

/** One step towards going live. */
export type Step = {
  /** Whether it is done. */
  done: boolean;
  /** Which: `key`, `webhook`, `redemption`, `reversal`. */
  step: string;
  /** What to do for it. */
  what: string;
};

/** What becomes of an event of somebody who is not a member. */
export type Strangers = "enrol" | "refuse" | "park";

/** A stretch of the calendar to whose end a period may run. */
export type Stretch = "month" | "quarter" | "year";

/** A member's tier. There is none for "none": members without one do not have the field. */
export type Tier = "BRONZE" | "SILVER" | "GOLD" | "PLATINUM";

/** What came of an event. */
export type Told = {
  /** What the member can spend now. */
  balance: number;
  /** Its place in the log. */
  leaf_index: number;
  /** What it earned. */
  points: number;
  /** Where its receipt is. */
  receipt_url: string;
  /** Whether it had been posted before. */
  replayed: boolean;
  status: "POSTED";
  /** The posting. */
  transaction_id: string;
} | {
  /** The stable code. */
  error: string;
  /** What is wrong with it. */
  message: string;
  status: "REJECTED";
} | {
  /** Its number among those that wait. */
  parked_event_id: number;
  status: "PARKED";
};

/** A transaction with what became of it. */
export type ToldTransaction = {
  /** What that came to. */
  balance?: Holdings | null;
  /** The caller's side of it; absent for whoever has none. */
  change?: Change | null;
  /** What it is about. */
  description?: string | null;
  /** From when it counts. */
  effective_at: string;
  /** The hold or the pending earning that it goes on from. */
  follows?: string | null;
  /** What it is. */
  kind: string;
  /** Its place in the log. */
  leaf_index: number;
  /** What the merchant calls it. */
  merchant_reference?: string | null;
  /** How many points it moved. */
  points: number;
  /** Why it was done. */
  reason?: string | null;
  /** Where its receipt is. */
  receipt_url: string;
  /** When it was recorded. */
  recorded_at: string;
  /** The transaction that it undoes. */
  reverses?: string | null;
  /** `SUCCESS`; of a redemption under review `PENDING`, then `SUCCESS`, `DENIED`, or `LAPSED` where nobody decided; of a hold `HELD`, `CAPTURED`, `VOIDED` or `LAPSED`; `REVERSED` where all of it was undone, else `PARTLY_REVERSED`. */
  state: string;
  /** What went on from it or undid it, in order. */
  story: Array<Chapter>;
  /** The posting. */
  transaction_id: string;
};

/** What was posted. */
export type Transaction = {
  /** What the account holds now. */
  balance: Holdings;
  /** Until when a hold stands, or a redemption waits, where it does. */
  expires_at?: string | null;
  /** What it is. */
  kind: string;
  /** Its place in the log. */
  leaf_index: number;
  /** Which of its points moved. */
  lots: Array<LotMoved>;
  /** How many points moved. */
  points: number;
  /** Where its receipt is. */
  receipt_url: string;
  /** `SUCCESS`, or `PENDING` while it is looked at. */
  status: "SUCCESS" | "PENDING";
  /** The posting. */
  transaction_id: string;
  /** What the points were worth, where they were spent. */
  value?: Money | null;
};

/** A page of transactions, newest first. */
export type TransactionPage = {
  /** The transactions. */
  data: Array<ListedTransaction>;
  /** Whether there are more. */
  has_more: boolean;
  /** The `starting_after` of the next page. */
  next_cursor?: string | null;
  /** `list`. */
  object: string;
  /** The path of the list. */
  url: string;
};

/** What points are worth in money. */
export type Value = {
  /** How much, with every digit. */
  amount: Amount;
  /** In which currency. */
  currency: string;
};

/** What is changed of an endpoint; what is left out stays. */
export type WebhookChange = {
  /** What its owner says of it. */
  description?: string | null;
  /** Whether it is disabled. Enabled again, it must be verified again. */
  disabled?: boolean | null;
  /** What it is told of. */
  types?: Array<string> | null;
  /** Where: it must be verified again. */
  url?: string | null;
};

/** An endpoint. */
export type WebhookEndpoint = {
  /** When it was made. */
  created_at: string;
  /** What its owner says of it. */
  description: string;
  /** Why it is disabled, where nobody did it by hand. */
  disabled_because?: string | null;
  /** Its id. */
  id: string;
  /** The secret, or the public key: when it is made or changed. */
  secret?: string | null;
  /** How its messages are signed. */
  signature: Signature;
  /** `unverified`, `active` or `disabled`. */
  status: string;
  /** What it is told of; everything where it names nothing. */
  types: Array<string>;
  /** Where. */
  url: string;
};

/** A message to an endpoint, as it is sent. */
export type WebhookEndpointChallenge = {
  /** What it says. */
  data: EndpointChallenge;
  /** When that was recorded; of a test and a challenge, when it was made. */
  timestamp: string;
  /** What it tells, as in `points.redeemed`. */
  type: string;
};

/** A message to an endpoint, as it is sent. */
export type WebhookEndpointTest = {
  /** What it says. */
  data: EndpointTest;
  /** When that was recorded; of a test and a challenge, when it was made. */
  timestamp: string;
  /** What it tells, as in `points.redeemed`. */
  type: string;
};

/** An owner's endpoints. */
export type WebhookList = {
  /** The endpoints, oldest first. */
  data: Array<WebhookEndpoint>;
  /** Never: there are few. */
  has_more: boolean;
  /** `list`. */
  object: string;
  /** This list. */
  url: string;
};

/** What became of a message. */
export type WebhookMessage = {
  /** When it was tried last. */
  attempted_at?: string | null;
  /** How often it was tried. */
  attempts: number;
  /** When it was made. */
  created_at: string;
  /** Its `webhook-id`. */
  id: string;
  /** The posting's place in the log; none for a test. */
  leaf_index?: number | null;
  /** What went wrong then. */
  problem?: string | null;
  /** What was answered then. */
  response_status?: number | null;
  /** `pending`, `delivered` or `failed`. */
  status: string;
  /** What it tells. */
  type: string;
};

/** A page of messages. */
export type WebhookMessages = {
  /** The messages, newest first. */
  data: Array<WebhookMessage>;
  /** Whether there are older ones. */
  has_more: boolean;
  /** The `cursor` of the next page. */
  next_cursor?: string | null;
  /** `list`. */
  object: string;
  /** The path of the list. */
  url: string;
};

/** A message to an endpoint, as it is sent. */
export type WebhookNoticeData = {
  /** What it says. */
  data: NoticeData;
  /** When that was recorded; of a test and a challenge, when it was made. */
  timestamp: string;
  /** What it tells, as in `points.redeemed`. */
  type: string;
};

/** A new endpoint. */
export type WebhookRequest = {
  /** What its owner says of it. */
  description?: string;
  /** How its messages are signed. */
  signature?: Signature;
  /** What it is told of; everything where it names nothing. */
  types?: Array<string>;
  /** Where: an https address of the public internet. */
  url: string;
};

/** What each operation is asked with, and what it answers. */
export interface Operations {
  /** What operators have done, newest first */
  listActs: {
    request: {
      query?: {
        /** How many, from 1 to 100; 50 where it is left out. */
        limit?: number;
        /** The `next_cursor` of the page before. */
        starting_after?: number;
      };
      header?: {
        /** The version that it is answered in; the newest where it is left out. */
        "Loyalty-Version"?: "2026-11-01";
      };
    };
    answer: ActPage;
  };
  /** One event, an array, or an object of up to 1,000: a verdict for each */
  postEvents: {
    request: {
      header?: {
        /** The version that it is answered in; the newest where it is left out. */
        "Loyalty-Version"?: "2026-11-01";
      };
      body: EventsBody;
    };
    answer: EventsTold;
  };
  /** Everything that the caller may see, oldest first */
  listFeed: {
    request: {
      query?: {
        /** The `next_cursor` of the page before, or the `seq` of the last notice that was seen. */
        cursor?: number;
        /** How many, from 1 to 100. */
        limit?: number;
        /** The unit of a member's account; 1, the points, where it is not said. */
        unit?: number;
      };
      header?: {
        /** The version that it is answered in; the newest where it is left out. */
        "Loyalty-Version"?: "2026-11-01";
        /** The member, whom the credential speaks for. */
        "X-User-ID"?: string;
      };
    };
    answer: FeedPage;
  };
  /** The program's API keys */
  listKeys: {
    request: {
      query?: {
        /** How many, from 1 to 100; 50 where it is left out. */
        limit?: number;
        /** The `next_cursor` of the page before. */
        starting_after?: string;
      };
      header?: {
        /** The version that it is answered in; the newest where it is left out. */
        "Loyalty-Version"?: "2026-11-01";
      };
    };
    answer: KeysShown;
  };
  /** Makes an API key */
  createKey: {
    request: {
      header?: {
        /** The version that it is answered in; the newest where it is left out. */
        "Loyalty-Version"?: "2026-11-01";
      };
      body: KeyWish;
    };
    answer: KeyMade;
  };
  /** Withdraws an API key */
  revokeKey: {
    request: {
      path: {
        /** What the key is called: its first sixteen letters. */
        key_id: string;
      };
      header: {
        /** The version that it is answered in; the newest where it is left out. */
        "Loyalty-Version"?: "2026-11-01";
        /** The ETag of the key that the operator has seen. */
        "If-Match": string;
      };
    };
    answer: undefined;
  };
  /** An API key */
  getKey: {
    request: {
      path: {
        /** What the key is called: its first sixteen letters. */
        key_id: string;
      };
      header?: {
        /** The version that it is answered in; the newest where it is left out. */
        "Loyalty-Version"?: "2026-11-01";
      };
    };
    answer: KeyShown;
  };
  /** What is settled for the program: limits, expiry, holds, debt */
  getLimits: {
    request: {
      header?: {
        /** The version that it is answered in; the newest where it is left out. */
        "Loyalty-Version"?: "2026-11-01";
      };
    };
    answer: PolicyTold;
  };
  /** Settles limits, expiry, holds, debt anew */
  setLimits: {
    request: {
      header: {
        /** The version that it is answered in; the newest where it is left out. */
        "Loyalty-Version"?: "2026-11-01";
        /** The ETag of what the operator has seen. */
        "If-Match": string;
      };
      body: NewPolicy;
    };
    answer: PolicyTold;
  };
  /** Corrects what a member has */
  adjust: {
    request: {
      header?: {
        /** The version that it is answered in; the newest where it is left out. */
        "Loyalty-Version"?: "2026-11-01";
        /** The member, whom the credential speaks for. */
        "X-User-ID"?: string;
        /** The credential's own partner. */
        "X-Partner-ID"?: string;
        /** Whether what is posted is to be anchored soon: that needs the scope `anchor:soon` besides. */
        "Anchor-Priority"?: AnchorPriority;
        /** `Bearer` and a token of an approver, who is somebody else, where the program's policy asks for one. */
        "Approver-Authorization"?: string;
      };
      body: NewAdjustment;
    };
    answer: Transaction;
  };
  /** What a member has */
  getBalance: {
    request: {
      query?: {
        /** The version that the caller has seen: an older answer is none. */
        min_version?: number;
        /** An instant, or a size of the log: what the member had then. */
        as_of?: string;
      };
      header?: {
        /** The version that it is answered in; the newest where it is left out. */
        "Loyalty-Version"?: "2026-11-01";
        /** The member, whom the credential speaks for. */
        "X-User-ID"?: string;
        /** The ETag of an answer that the caller has already. */
        "If-None-Match"?: string;
      };
    };
    answer: AppBalance;
  };
  /** Up to 1,000 things in one request */
  postBatch: {
    request: {
      header?: {
        /** The version that it is answered in; the newest where it is left out. */
        "Loyalty-Version"?: "2026-11-01";
        /** The member, whom the credential speaks for. */
        "X-User-ID"?: string;
        /** The credential's own partner. */
        "X-Partner-ID"?: string;
        /** Whether what is posted is to be anchored soon: that needs the scope `anchor:soon` besides. */
        "Anchor-Priority"?: AnchorPriority;
      };
      body: NewBatch;
    };
    answer: BatchTold;
  };
  /** Whether a redemption would be allowed now */
  getEligibility: {
    request: {
      query: {
        /** How many points. */
        points: number;
        /** The member, where a partner asks. */
        user_id?: string;
        /** The partner with whom they would be spent. */
        partner_id?: string;
        /** Whether less would do. */
        up_to?: boolean;
      };
      header?: {
        /** The version that it is answered in; the newest where it is left out. */
        "Loyalty-Version"?: "2026-11-01";
        /** The member, whom the credential speaks for. */
        "X-User-ID"?: string;
        /** The credential's own partner. */
        "X-Partner-ID"?: string;
        /** As the redemption would say it: the same scope is needed. */
        "Anchor-Priority"?: AnchorPriority;
      };
    };
    answer: Eligibility;
  };
  /** Sets points aside for a while */
  hold: {
    request: {
      header?: {
        /** The version that it is answered in; the newest where it is left out. */
        "Loyalty-Version"?: "2026-11-01";
        /** The member, whom the credential speaks for. */
        "X-User-ID"?: string;
        /** The credential's own partner. */
        "X-Partner-ID"?: string;
        /** Whether what is posted is to be anchored soon: that needs the scope `anchor:soon` besides. */
        "Anchor-Priority"?: AnchorPriority;
      };
      body: NewHold;
    };
    answer: Transaction;
  };
  /** Spends what a hold has set aside */
  captureHold: {
    request: {
      path: {
        /** The hold. */
        hold_id: string;
      };
      header?: {
        /** The version that it is answered in; the newest where it is left out. */
        "Loyalty-Version"?: "2026-11-01";
        /** The member, whom the credential speaks for. */
        "X-User-ID"?: string;
        /** The credential's own partner. */
        "X-Partner-ID"?: string;
        /** Whether what is posted is to be anchored soon: that needs the scope `anchor:soon` besides. */
        "Anchor-Priority"?: AnchorPriority;
      };
      body: NewCapture;
    };
    answer: Transaction;
  };
  /** Lets a hold stand longer */
  extendHold: {
    request: {
      path: {
        /** The hold. */
        hold_id: string;
      };
      header?: {
        /** The version that it is answered in; the newest where it is left out. */
        "Loyalty-Version"?: "2026-11-01";
        /** The member, whom the credential speaks for. */
        "X-User-ID"?: string;
        /** The credential's own partner. */
        "X-Partner-ID"?: string;
        /** Whether what is posted is to be anchored soon: that needs the scope `anchor:soon` besides. */
        "Anchor-Priority"?: AnchorPriority;
      };
      body: NewEnd;
    };
    answer: Transaction;
  };
  /** Sets more points aside in a hold */
  increaseHold: {
    request: {
      path: {
        /** The hold. */
        hold_id: string;
      };
      header?: {
        /** The version that it is answered in; the newest where it is left out. */
        "Loyalty-Version"?: "2026-11-01";
        /** The member, whom the credential speaks for. */
        "X-User-ID"?: string;
        /** The credential's own partner. */
        "X-Partner-ID"?: string;
        /** Whether what is posted is to be anchored soon: that needs the scope `anchor:soon` besides. */
        "Anchor-Priority"?: AnchorPriority;
      };
      body: NewIncrease;
    };
    answer: Transaction;
  };
  /** Gives a hold up */
  voidHold: {
    request: {
      path: {
        /** The hold. */
        hold_id: string;
      };
      header?: {
        /** The version that it is answered in; the newest where it is left out. */
        "Loyalty-Version"?: "2026-11-01";
        /** The member, whom the credential speaks for. */
        "X-User-ID"?: string;
        /** The credential's own partner. */
        "X-Partner-ID"?: string;
        /** Whether what is posted is to be anchored soon: that needs the scope `anchor:soon` besides. */
        "Anchor-Priority"?: AnchorPriority;
      };
      body: NewVoid;
    };
    answer: Transaction;
  };
  /** The points by when they end */
  listLots: {
    request: {
      query?: {
        /** How many, from 1 to 100; 50 where it is left out. */
        limit?: number;
        /** The `next_cursor` of the page before. */
        starting_after?: string;
      };
      header?: {
        /** The version that it is answered in; the newest where it is left out. */
        "Loyalty-Version"?: "2026-11-01";
        /** The member, whom the credential speaks for. */
        "X-User-ID"?: string;
      };
    };
    answer: LotPage;
  };
  /** Spends points */
  redeem: {
    request: {
      header?: {
        /** The version that it is answered in; the newest where it is left out. */
        "Loyalty-Version"?: "2026-11-01";
        /** The member, whom the credential speaks for. */
        "X-User-ID"?: string;
        /** The credential's own partner. */
        "X-Partner-ID"?: string;
        /** Whether what is posted is to be anchored soon: that needs the scope `anchor:soon` besides. */
        "Anchor-Priority"?: AnchorPriority;
      };
      body: NewRedemption;
    };
    answer: Transaction;
  };
  /** The transactions of an account, newest first */
  listTransactions: {
    request: {
      query?: {
        /** The member, where an operator asks. */
        user_id?: string;
        /** How many, from 1 to 100; 50 where it is left out. */
        limit?: number;
        /** The `next_cursor` of the page before. */
        starting_after?: number;
        /** A version of the account: the page that ends before it. */
        ending_before?: number;
        /** Only of this kind; a page looks at 1,000 transactions at most. */
        type?: string;
        /** Only what moved points of this lot; it looks as far. */
        lot_id?: string;
        /** None that was recorded before this instant. */
        "created[gte]"?: string;
        /** None before this version of the account. */
        from_seq?: number;
        /** None after this version of the account. */
        to_seq?: number;
      };
      header?: {
        /** The version that it is answered in; the newest where it is left out. */
        "Loyalty-Version"?: "2026-11-01";
        /** The member, whom the credential speaks for. */
        "X-User-ID"?: string;
      };
    };
    answer: TransactionPage;
  };
  /** A transaction with what became of it */
  getTransaction: {
    request: {
      path: {
        /** The transaction. */
        transaction_id: string;
      };
      header?: {
        /** The version that it is answered in; the newest where it is left out. */
        "Loyalty-Version"?: "2026-11-01";
        /** The member, whom the credential speaks for. */
        "X-User-ID"?: string;
      };
    };
    answer: ToldTransaction;
  };
  /** Undoes a transaction, or a part of it */
  reverse: {
    request: {
      path: {
        /** The transaction. */
        transaction_id: string;
      };
      header?: {
        /** The version that it is answered in; the newest where it is left out. */
        "Loyalty-Version"?: "2026-11-01";
        /** The member, whom the credential speaks for. */
        "X-User-ID"?: string;
        /** The credential's own partner. */
        "X-Partner-ID"?: string;
        /** Whether what is posted is to be anchored soon: that needs the scope `anchor:soon` besides. */
        "Anchor-Priority"?: AnchorPriority;
      };
      body: NewReversal;
    };
    answer: Transaction;
  };
  /** Gives points to another member */
  transfer: {
    request: {
      header?: {
        /** The version that it is answered in; the newest where it is left out. */
        "Loyalty-Version"?: "2026-11-01";
        /** The member, whom the credential speaks for. */
        "X-User-ID"?: string;
        /** The credential's own partner. */
        "X-Partner-ID"?: string;
        /** Whether what is posted is to be anchored soon: that needs the scope `anchor:soon` besides. */
        "Anchor-Priority"?: AnchorPriority;
      };
      body: NewTransfer;
    };
    answer: Transaction;
  };
  /** Enrols a member, under an id, an external id, or both */
  enrolMember: {
    request: {
      header?: {
        /** The version that it is answered in; the newest where it is left out. */
        "Loyalty-Version"?: "2026-11-01";
        /** The credential's own partner. */
        "X-Partner-ID"?: string;
      };
      body: NewMember;
    };
    answer: EnrolledTold;
  };
  /** A member, as an operator sees them */
  getMember: {
    request: {
      path: {
        /** The member, by UUID or external id. */
        user_id: string;
      };
      header?: {
        /** The version that it is answered in; the newest where it is left out. */
        "Loyalty-Version"?: "2026-11-01";
      };
    };
    answer: MemberTold;
  };
  /** Merges a member into another */
  mergeMember: {
    request: {
      path: {
        /** The member, by UUID or external id. */
        user_id: string;
      };
      header: {
        /** The version that it is answered in; the newest where it is left out. */
        "Loyalty-Version"?: "2026-11-01";
        /** The ETag of the member that the operator has seen. */
        "If-Match": string;
        /** Whether what is posted is to be anchored soon: that needs the scope `anchor:soon` besides. */
        "Anchor-Priority"?: AnchorPriority;
      };
      body: NewMerge;
    };
    answer: Transaction;
  };
  /** Suspends a member, makes them active again, or closes them */
  setMemberStatus: {
    request: {
      path: {
        /** The member, by UUID or external id. */
        user_id: string;
      };
      header: {
        /** The version that it is answered in; the newest where it is left out. */
        "Loyalty-Version"?: "2026-11-01";
        /** The ETag of the member that the operator has seen. */
        "If-Match": string;
        /** Whether what is posted is to be anchored soon: that needs the scope `anchor:soon` besides. */
        "Anchor-Priority"?: AnchorPriority;
      };
      body: NewStatus;
    };
    answer: Transaction;
  };
  /** Settles a member's tier, or that they have none */
  setMemberTier: {
    request: {
      path: {
        /** The member, by UUID or external id. */
        user_id: string;
      };
      header: {
        /** The version that it is answered in; the newest where it is left out. */
        "Loyalty-Version"?: "2026-11-01";
        /** The ETag of the member that the operator has seen. */
        "If-Match": string;
      };
      body: NewTier;
    };
    answer: MemberTold;
  };
  /** Events that wait until their member is enrolled */
  listParkedEvents: {
    request: {
      query?: {
        /** How many, from 1 to 100; 50 where it is left out. */
        limit?: number;
        /** The `next_cursor` of the page before. */
        starting_after?: string;
      };
      header?: {
        /** The version that it is answered in; the newest where it is left out. */
        "Loyalty-Version"?: "2026-11-01";
      };
    };
    answer: ParkedPage;
  };
  /** Lets an event wait no more, and earn nothing */
  dropParkedEvent: {
    request: {
      path: {
        /** The event's number. */
        parked_event_id: number;
      };
      header?: {
        /** The version that it is answered in; the newest where it is left out. */
        "Loyalty-Version"?: "2026-11-01";
      };
    };
    answer: undefined;
  };
  /** Enrols the event's member, and lets it earn */
  releaseParkedEvent: {
    request: {
      path: {
        /** The event's number. */
        parked_event_id: number;
      };
      header?: {
        /** The version that it is answered in; the newest where it is left out. */
        "Loyalty-Version"?: "2026-11-01";
      };
      body: Because;
    };
    answer: Told;
  };
  /** The program's partners */
  listPartners: {
    request: {
      query?: {
        /** How many, from 1 to 100; 50 where it is left out. */
        limit?: number;
        /** The `next_cursor` of the page before. */
        starting_after?: string;
      };
      header?: {
        /** The version that it is answered in; the newest where it is left out. */
        "Loyalty-Version"?: "2026-11-01";
      };
    };
    answer: PartnerPage;
  };
  /** Makes a partner, to be onboarded */
  createPartner: {
    request: {
      header?: {
        /** The version that it is answered in; the newest where it is left out. */
        "Loyalty-Version"?: "2026-11-01";
      };
      body: NewPartner;
    };
    answer: PartnerTold;
  };
  /** What the calling partner lacks before it can go live */
  getReadiness: {
    request: {
      header?: {
        /** The version that it is answered in; the newest where it is left out. */
        "Loyalty-Version"?: "2026-11-01";
        /** The credential's own partner. */
        "X-Partner-ID"?: string;
      };
    };
    answer: ReadinessTold;
  };
  /** A partner */
  getPartner: {
    request: {
      path: {
        /** The partner's name. */
        partner_id: string;
      };
      header?: {
        /** The version that it is answered in; the newest where it is left out. */
        "Loyalty-Version"?: "2026-11-01";
      };
    };
    answer: PartnerTold;
  };
  /** Changes a partner */
  changePartner: {
    request: {
      path: {
        /** The partner's name. */
        partner_id: string;
      };
      header: {
        /** The version that it is answered in; the newest where it is left out. */
        "Loyalty-Version"?: "2026-11-01";
        /** The ETag of what the operator has seen. */
        "If-Match": string;
      };
      body: PartnerChange;
    };
    answer: PartnerTold;
  };
  /** Lets a partner that is ready take part in the live books */
  takePartnerLive: {
    request: {
      path: {
        /** The partner's name. */
        partner_id: string;
      };
      header: {
        /** The version that it is answered in; the newest where it is left out. */
        "Loyalty-Version"?: "2026-11-01";
        /** The ETag of what the operator has seen. */
        "If-Match": string;
      };
      body: Because;
    };
    answer: PartnerTold;
  };
  /** The program of the credential */
  listPrograms: {
    request: {
      header?: {
        /** The version that it is answered in; the newest where it is left out. */
        "Loyalty-Version"?: "2026-11-01";
      };
    };
    answer: ProgramList;
  };
  /** A program, with what a point is worth from when on */
  getProgram: {
    request: {
      path: {
        /** The program, by the id under which leaves name it. */
        program_id: string;
      };
      header?: {
        /** The version that it is answered in; the newest where it is left out. */
        "Loyalty-Version"?: "2026-11-01";
      };
    };
    answer: ProgramTold;
  };
  /** Settles what a point is worth from an instant on */
  addRate: {
    request: {
      path: {
        /** The program, by the id under which leaves name it. */
        program_id: string;
      };
      header: {
        /** The version that it is answered in; the newest where it is left out. */
        "Loyalty-Version"?: "2026-11-01";
        /** The ETag of what the operator has seen. */
        "If-Match": string;
      };
      body: NewRate;
    };
    answer: ProgramTold;
  };
  /** Events that were not posted, with bytes and reason */
  listRejectedEvents: {
    request: {
      query?: {
        /** How many, from 1 to 100; a page ends after 1 MiB, too. */
        limit?: number;
        /** The `next_cursor` of the page before. */
        starting_after?: string;
      };
      header?: {
        /** The version that it is answered in; the newest where it is left out. */
        "Loyalty-Version"?: "2026-11-01";
      };
    };
    answer: RejectedPage;
  };
  /** What became of a request */
  getResponse: {
    request: {
      path: {
        /** The key that it was sent with; of an item of an independent batch, the batch's key, `#` and the item's place from 0, as in `key#0`. */
        idempotency_key: string;
      };
      header?: {
        /** The version that it is answered in; the newest where it is left out. */
        "Loyalty-Version"?: "2026-11-01";
      };
    };
    answer: Became;
  };
  /** Redemptions that wait for somebody to look at them */
  listReviews: {
    request: {
      query?: {
        /** How many, from 1 to 100; 50 where it is left out. */
        limit?: number;
        /** The `next_cursor` of the page before. */
        starting_after?: number;
      };
      header?: {
        /** The version that it is answered in; the newest where it is left out. */
        "Loyalty-Version"?: "2026-11-01";
      };
    };
    answer: ReviewPage;
  };
  /** Spends the points of a redemption under review */
  approveReview: {
    request: {
      path: {
        /** The redemption. */
        transaction_id: string;
      };
      header?: {
        /** The version that it is answered in; the newest where it is left out. */
        "Loyalty-Version"?: "2026-11-01";
        /** Whether what is posted is to be anchored soon: that needs the scope `anchor:soon` besides. */
        "Anchor-Priority"?: AnchorPriority;
      };
      body: Because;
    };
    answer: Transaction;
  };
  /** Gives the points of a redemption under review back */
  denyReview: {
    request: {
      path: {
        /** The redemption. */
        transaction_id: string;
      };
      header?: {
        /** The version that it is answered in; the newest where it is left out. */
        "Loyalty-Version"?: "2026-11-01";
        /** Whether what is posted is to be anchored soon: that needs the scope `anchor:soon` besides. */
        "Anchor-Priority"?: AnchorPriority;
      };
      body: Because;
    };
    answer: Transaction;
  };
  /** What the sandbox's clock shows */
  getSandboxClock: {
    request: {
      header?: {
        /** The version that it is answered in; the newest where it is left out. */
        "Loyalty-Version"?: "2026-11-01";
      };
    };
    answer: ClockTold;
  };
  /** Moves the sandbox's clock forward */
  moveSandboxClock: {
    request: {
      header?: {
        /** The version that it is answered in; the newest where it is left out. */
        "Loyalty-Version"?: "2026-11-01";
      };
      body: NewClock;
    };
    answer: ClockTold;
  };
  /** The caller's endpoints */
  listWebhooks: {
    request: {
      header?: {
        /** The version that it is answered in; the newest where it is left out. */
        "Loyalty-Version"?: "2026-11-01";
      };
    };
    answer: WebhookList;
  };
  /** Makes an endpoint; its secret is shown now and never again */
  createWebhook: {
    request: {
      header?: {
        /** The version that it is answered in; the newest where it is left out. */
        "Loyalty-Version"?: "2026-11-01";
      };
      body: WebhookRequest;
    };
    answer: WebhookEndpoint;
  };
  /** Takes an endpoint away, with what waits for it */
  deleteWebhook: {
    request: {
      path: {
        /** The endpoint. */
        id: string;
      };
      header: {
        /** The version that it is answered in; the newest where it is left out. */
        "Loyalty-Version"?: "2026-11-01";
        /** The ETag of what is deleted. */
        "If-Match": string;
      };
    };
    answer: undefined;
  };
  /** An endpoint */
  getWebhook: {
    request: {
      path: {
        /** The endpoint. */
        id: string;
      };
      header?: {
        /** The version that it is answered in; the newest where it is left out. */
        "Loyalty-Version"?: "2026-11-01";
      };
    };
    answer: WebhookEndpoint;
  };
  /** Changes an endpoint */
  changeWebhook: {
    request: {
      path: {
        /** The endpoint. */
        id: string;
      };
      header: {
        /** The version that it is answered in; the newest where it is left out. */
        "Loyalty-Version"?: "2026-11-01";
        /** The ETag of what is changed. */
        "If-Match": string;
      };
      body: WebhookChange;
    };
    answer: WebhookEndpoint;
  };
  /** Messages of 30 days, newest first, and what became of each */
  listWebhookMessages: {
    request: {
      path: {
        /** The endpoint. */
        id: string;
      };
      query?: {
        /** The `next_cursor` of the page before. */
        cursor?: number;
        /** How many, from 1 to 100. */
        limit?: number;
      };
      header?: {
        /** The version that it is answered in; the newest where it is left out. */
        "Loyalty-Version"?: "2026-11-01";
      };
    };
    answer: WebhookMessages;
  };
  /** Sends a message once more, under its own id */
  replayWebhookMessage: {
    request: {
      path: {
        /** The endpoint. */
        id: string;
        /** Its `webhook-id`. */
        message_id: string;
      };
      header?: {
        /** The version that it is answered in; the newest where it is left out. */
        "Loyalty-Version"?: "2026-11-01";
      };
    };
    answer: Queued;
  };
  /** Sends the messages between two instants once more, in their order */
  replayWebhook: {
    request: {
      path: {
        /** The endpoint. */
        id: string;
      };
      header?: {
        /** The version that it is answered in; the newest where it is left out. */
        "Loyalty-Version"?: "2026-11-01";
      };
      body: ReplayRequest;
    };
    answer: Queued;
  };
  /** A new secret; for a while the one before signs too */
  rotateWebhookSecret: {
    request: {
      path: {
        /** The endpoint. */
        id: string;
      };
      header?: {
        /** The version that it is answered in; the newest where it is left out. */
        "Loyalty-Version"?: "2026-11-01";
      };
      body: SecretChange;
    };
    answer: WebhookEndpoint;
  };
  /** Sends a message that tells of nothing */
  testWebhook: {
    request: {
      path: {
        /** The endpoint. */
        id: string;
      };
      header?: {
        /** The version that it is answered in; the newest where it is left out. */
        "Loyalty-Version"?: "2026-11-01";
      };
    };
    answer: Queued;
  };
  /** Sends a challenge, which the endpoint says again; then it is told */
  verifyWebhook: {
    request: {
      path: {
        /** The endpoint. */
        id: string;
      };
      header?: {
        /** The version that it is answered in; the newest where it is left out. */
        "Loyalty-Version"?: "2026-11-01";
      };
    };
    answer: WebhookEndpoint;
  };
  /** What a member has */
  getUserBalance: {
    request: {
      path: {
        /** The member. */
        userId: string;
      };
      query?: {
        /** Whether pending points are told. */
        include_pending?: boolean;
      };
      header: {
        /** The credential's own partner. */
        "X-Partner-ID": string;
        /** The ETag of an answer that the caller has already. */
        "If-None-Match"?: string;
      };
    };
    answer: BalanceResponse;
  };
  /** Spends points */
  redeemPoints: {
    request: {
      path: {
        /** The member. */
        userId: string;
      };
      header?: {
        /** The credential's own partner. */
        "X-Partner-ID"?: string;
      };
      body: RedemptionRequest;
    };
    answer: RedemptionResponse;
  };
  /** Where the log is anchored, as far as we know, and the story of each anchor */
  getAnchors: {
    request: {
      query?: {
        /** Only the transactions that carry the checkpoint of this size. */
        size?: number;
        /** How many transactions of each place; 20 where it is left out, 100 at most. */
        limit?: number;
      };
    };
    answer: Anchors;
  };
  /** A receipt for an auditor: what was said, and the house's entries */
  getAuditReceipt: {
    request: {
      path: {
        /** The posting. */
        transaction_id: string;
      };
    };
    answer: string | NotSealed;
  };
  /** The log's keys */
  getKeys: {
    request: Record<string, never>;
    answer: Keys;
  };
  /** A leaf as everybody may see it: closed */
  getLeaf: {
    request: {
      path: {
        /** The leaf. */
        index: number;
      };
    };
    answer: ClosedLeaf;
  };
  /** That the tree of one size extends that of another */
  getConsistencyProof: {
    request: {
      query: {
        /** The smaller size. */
        from: number;
        /** The greater one; the newest where it is left out. */
        to?: number;
      };
    };
    answer: Consistency;
  };
  /** The path from a leaf to the root of a size */
  getInclusionProof: {
    request: {
      query: {
        /** The leaf. */
        index: number;
        /** The size; the newest where it is left out. */
        size?: number;
      };
    };
    answer: Inclusion;
  };
  /** A receipt, as a `.tlog-proof` file */
  getReceipt: {
    request: {
      path: {
        /** The posting. */
        transaction_id: string;
      };
      header?: {
        /** Whose side is opened; without it the partner's. */
        "X-User-ID"?: string;
      };
    };
    answer: string | NotSealed;
  };
  /** An account's place in the newest account map */
  getMapProof: {
    request: {
      path: {
        /** A posting that the map describes. */
        transaction_id: string;
      };
      header?: {
        /** Whose account it is; without it the partner's. */
        "X-User-ID"?: string;
      };
    };
    answer: string;
  };
  /** Our verdict on a receipt; trusting it is trusting us */
  verifyReceipt: {
    request: Record<string, never>;
    answer: OwnWord;
  };
}

/** Where each operation is, and the header of its idempotency key where it takes one. */
export const OPERATIONS: { readonly [Name in keyof Operations]: readonly [string, string, string?] } = {
  listActs: ["GET", "/api/v1/audit"],
  postEvents: ["POST", "/api/v1/events"],
  listFeed: ["GET", "/api/v1/feed"],
  listKeys: ["GET", "/api/v1/keys"],
  createKey: ["POST", "/api/v1/keys"],
  revokeKey: ["DELETE", "/api/v1/keys/{key_id}"],
  getKey: ["GET", "/api/v1/keys/{key_id}"],
  getLimits: ["GET", "/api/v1/limits"],
  setLimits: ["PUT", "/api/v1/limits"],
  adjust: ["POST", "/api/v1/loyalty/adjustments", "Idempotency-Key"],
  getBalance: ["GET", "/api/v1/loyalty/balance"],
  postBatch: ["POST", "/api/v1/loyalty/batches", "Idempotency-Key"],
  getEligibility: ["GET", "/api/v1/loyalty/eligibility"],
  hold: ["POST", "/api/v1/loyalty/holds", "Idempotency-Key"],
  captureHold: ["POST", "/api/v1/loyalty/holds/{hold_id}/capture", "Idempotency-Key"],
  extendHold: ["POST", "/api/v1/loyalty/holds/{hold_id}/extend", "Idempotency-Key"],
  increaseHold: ["POST", "/api/v1/loyalty/holds/{hold_id}/increase", "Idempotency-Key"],
  voidHold: ["POST", "/api/v1/loyalty/holds/{hold_id}/void", "Idempotency-Key"],
  listLots: ["GET", "/api/v1/loyalty/lots"],
  redeem: ["POST", "/api/v1/loyalty/redemptions", "Idempotency-Key"],
  listTransactions: ["GET", "/api/v1/loyalty/transactions"],
  getTransaction: ["GET", "/api/v1/loyalty/transactions/{transaction_id}"],
  reverse: ["POST", "/api/v1/loyalty/transactions/{transaction_id}/reversals", "Idempotency-Key"],
  transfer: ["POST", "/api/v1/loyalty/transfers", "Idempotency-Key"],
  enrolMember: ["POST", "/api/v1/members"],
  getMember: ["GET", "/api/v1/members/{user_id}"],
  mergeMember: ["POST", "/api/v1/members/{user_id}/merge", "Idempotency-Key"],
  setMemberStatus: ["POST", "/api/v1/members/{user_id}/status", "Idempotency-Key"],
  setMemberTier: ["PUT", "/api/v1/members/{user_id}/tier"],
  listParkedEvents: ["GET", "/api/v1/parked-events"],
  dropParkedEvent: ["DELETE", "/api/v1/parked-events/{parked_event_id}"],
  releaseParkedEvent: ["POST", "/api/v1/parked-events/{parked_event_id}/release"],
  listPartners: ["GET", "/api/v1/partners"],
  createPartner: ["POST", "/api/v1/partners"],
  getReadiness: ["GET", "/api/v1/partners/me/readiness"],
  getPartner: ["GET", "/api/v1/partners/{partner_id}"],
  changePartner: ["PATCH", "/api/v1/partners/{partner_id}"],
  takePartnerLive: ["POST", "/api/v1/partners/{partner_id}/live"],
  listPrograms: ["GET", "/api/v1/programs"],
  getProgram: ["GET", "/api/v1/programs/{program_id}"],
  addRate: ["POST", "/api/v1/programs/{program_id}/rates"],
  listRejectedEvents: ["GET", "/api/v1/rejected-events"],
  getResponse: ["GET", "/api/v1/responses/{idempotency_key}"],
  listReviews: ["GET", "/api/v1/reviews"],
  approveReview: ["POST", "/api/v1/reviews/{transaction_id}/approve", "Idempotency-Key"],
  denyReview: ["POST", "/api/v1/reviews/{transaction_id}/deny", "Idempotency-Key"],
  getSandboxClock: ["GET", "/api/v1/sandbox/clock"],
  moveSandboxClock: ["POST", "/api/v1/sandbox/clock"],
  listWebhooks: ["GET", "/api/v1/webhooks"],
  createWebhook: ["POST", "/api/v1/webhooks"],
  deleteWebhook: ["DELETE", "/api/v1/webhooks/{id}"],
  getWebhook: ["GET", "/api/v1/webhooks/{id}"],
  changeWebhook: ["PATCH", "/api/v1/webhooks/{id}"],
  listWebhookMessages: ["GET", "/api/v1/webhooks/{id}/messages"],
  replayWebhookMessage: ["POST", "/api/v1/webhooks/{id}/messages/{message_id}/replay"],
  replayWebhook: ["POST", "/api/v1/webhooks/{id}/replay"],
  rotateWebhookSecret: ["POST", "/api/v1/webhooks/{id}/secret"],
  testWebhook: ["POST", "/api/v1/webhooks/{id}/test"],
  verifyWebhook: ["POST", "/api/v1/webhooks/{id}/verification"],
  getUserBalance: ["GET", "/loyalty/v1/partner/users/{userId}/balance"],
  redeemPoints: ["POST", "/loyalty/v1/partner/users/{userId}/redeem", "X-Idempotency-Key"],
  getAnchors: ["GET", "/v1/anchors"],
  getAuditReceipt: ["GET", "/v1/audit/receipts/{transaction_id}"],
  getKeys: ["GET", "/v1/keys"],
  getLeaf: ["GET", "/v1/leaves/{index}"],
  getConsistencyProof: ["GET", "/v1/proofs/consistency"],
  getInclusionProof: ["GET", "/v1/proofs/inclusion"],
  getReceipt: ["GET", "/v1/receipts/{transaction_id}"],
  getMapProof: ["GET", "/v1/receipts/{transaction_id}/map"],
  verifyReceipt: ["POST", "/v1/verify"],
};
