// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import { Commitments } from "./Leaf.sol";
import { Details, Entry, Header } from "./Parts.sol";

/// @notice Who acts for a log.
/// @dev Admin rotates the roles behind the delay, halts, resumes, and ends the log. Writer anchors. Standby anchors nothing until
/// the admin or the writer lets it take the writer's place.
enum Role {
    Admin,
    Writer,
    Standby
}

/// @title AuditLog: the heads of append-only logs, each of which can only ever be extended
/// @notice A log is a Merkle tree (RFC 6962) whose size and root its writer anchors here from time to time. The contract checks
/// the consistency proof (RFC 9162) from the head that it holds to the one it is given, and refuses whatever does not contain
/// every leaf of the last head, unchanged and in place. Nobody can take a head back: not the writer, not the admin, not whoever
/// deployed the contract, which has no owner, no upgrade and no way to touch a head but `anchor`.
///
/// A log's *place* here is the hash of its id and of the account that registered it. Nobody can take another's place, and a log
/// of the same id registered by someone else is another log: take the registrant from your own policy, never from a receipt.
///
/// What a writer can do, and no contract can prevent: anchor nothing; anchor leaves that are wrong; anchor a wrong size, because a
/// root does not bind its size. The last does not falsify any leaf, but it can block the log, whose admin then names a successor.
/// @dev Bytes are those of docs/formats.md, version 1.
interface IAuditLog {
    /// A place came to be, with these roles. What its roles do with power is delayed by `delay` seconds, for ever.
    event Registered(
        bytes32 indexed place,
        bytes32 indexed log,
        address indexed registrant,
        address writer,
        address standby,
        address admin,
        uint64 delay
    );
    /// The log was shown to extend its last head. These events are the whole history of heads; `oldSize` is 0 in the first.
    event Anchored(bytes32 indexed place, uint64 indexed size, bytes32 root, uint64 oldSize);
    /// The head of this size will answer `pinnedRoot` and `includes` for ever.
    event Pinned(bytes32 indexed place, uint64 indexed size, bytes32 root);
    /// The admin wants `holder` in this role. It can be enacted from `readyAt` on, for `PROPOSAL_WINDOW` seconds.
    event Proposed(bytes32 indexed place, Role indexed role, address holder, uint64 readyAt);
    /// The admin no longer wants it.
    event Cancelled(bytes32 indexed place, Role indexed role, address holder);
    /// A proposal was enacted after its delay.
    event RoleChanged(bytes32 indexed place, Role indexed role, address from, address to);
    /// The announced standby took the writer's place at once, because `by` (admin or writer) said so. There is no standby now.
    event StandbyTookOver(bytes32 indexed place, address indexed by, address from, address to);
    /// Nothing is anchored until the admin resumes.
    event Halted(bytes32 indexed place, address indexed by);
    /// Anchoring goes on.
    event Resumed(bytes32 indexed place, address indexed by);
    /// The admin wants to end this log in favour of another. It can be enacted from `readyAt` on, for `PROPOSAL_WINDOW` seconds.
    event SuccessorProposed(bytes32 indexed place, bytes32 indexed successor, uint64 readyAt);
    /// The admin no longer wants it.
    event SuccessorCancelled(bytes32 indexed place, bytes32 indexed successor);
    /// This log is frozen at this head for ever, and goes on in its successor.
    event Succeeded(bytes32 indexed place, bytes32 indexed successor, uint64 size, bytes32 root);

    /// Nobody has registered this place.
    error UnknownPlace(bytes32 place);
    /// This registrant has registered this log before.
    error AlreadyRegistered(bytes32 place);
    /// A log's id is a hash, never zeros.
    error LogZero();
    /// The role cannot be empty.
    error RoleEmpty(Role role);
    /// The delay is outside `DELAY_MIN` to `DELAY_MAX`.
    error DelayOutOfRange(uint64 delay);
    /// Only the admin may do this.
    error NotAdmin(bytes32 place, address caller);
    /// Only the writer may do this.
    error NotWriter(bytes32 place, address caller);
    /// Only the admin or the writer may do this.
    error NotAdminOrWriter(bytes32 place, address caller);
    /// Only the proposed admin may take the role: this shows that its key is at hand.
    error NotProposed(bytes32 place, address caller);
    /// Anchoring is halted, or has been already.
    error IsHalted(bytes32 place);
    /// Anchoring is not halted.
    error NotHalted(bytes32 place);
    /// The log has ended; it goes on in its successor.
    error IsFrozen(bytes32 place, bytes32 successor);
    /// The checkpoint is not longer than the head.
    error NotLonger(bytes32 place, uint64 headSize, uint64 newSize);
    /// The checkpoint is longer than `SIZE_MAX`.
    error SizeTooLarge(bytes32 place, uint64 newSize);
    /// The proof does not show that the checkpoint extends the head.
    error NotAnExtension(bytes32 place, uint64 headSize, uint64 newSize);
    /// The first checkpoint extends nothing and takes an empty proof.
    error ProofNotEmpty(bytes32 place, uint256 nodes);
    /// A root is a hash, never zeros.
    error RootZero(bytes32 place);
    /// Nothing has been anchored yet.
    error NothingAnchored(bytes32 place);
    /// This size is neither the head's nor pinned: ask again after it was anchored or pinned, or look for its `Anchored` event.
    error SizeUnknown(bytes32 place, uint64 size);
    /// The leaf belongs to another log.
    error OtherLog(bytes32 log, bytes32 leafLog);
    /// The leaf's index is not below the size.
    error IndexBeyondSize(uint64 leafIndex, uint64 size);
    /// Nothing of this kind is proposed.
    error NothingProposed(bytes32 place);
    /// The proposal cannot be enacted before this time.
    error TooEarly(bytes32 place, uint64 readyAt);
    /// The proposal could be enacted only until this time.
    error TooLate(bytes32 place, uint64 closedAt);
    /// There is no standby to take over.
    error NoStandby(bytes32 place);
    /// A log does not succeed itself.
    error OwnSuccessor(bytes32 place);

    /// @notice The largest size that a log can have here, as in the checkpoint format: 2^63 - 1. No proof is longer than 64 nodes.
    function SIZE_MAX() external view returns (uint64);

    /// @notice The shortest delay that a log can have, in seconds.
    function DELAY_MIN() external view returns (uint64);

    /// @notice The longest delay that a log can have, in seconds.
    function DELAY_MAX() external view returns (uint64);

    /// @notice For how long a proposal can be enacted once it is ready, in seconds. So whatever is enacted was announced no
    /// longer ago than the delay and this.
    function PROPOSAL_WINDOW() external view returns (uint64);

    /// @notice The place of a log that this account has registered or would register.
    function placeOf(bytes32 log, address registrant) external pure returns (bytes32 place);

    /// @notice Opens a place for a log, with the caller as its registrant, who has no power over it afterwards.
    /// @param log The log's id, the same on every chain.
    /// @param writer Who anchors.
    /// @param standby Who may take the writer's place at once when admin or writer say so; zero for nobody.
    /// @param admin Who rotates roles, halts and ends the log.
    /// @param delay Seconds between a proposal and its enactment, for ever.
    function register(bytes32 log, address writer, address standby, address admin, uint64 delay)
        external
        returns (bytes32 place);

    /// @notice Moves the head to a checkpoint that extends it. Only the writer.
    /// @param newSize The checkpoint's size, above the head's.
    /// @param newRoot The checkpoint's root.
    /// @param proof The consistency proof from the head to the checkpoint; empty for the first checkpoint.
    function anchor(bytes32 place, uint64 newSize, bytes32 newRoot, bytes32[] calldata proof) external;

    /// @notice Keeps the present head for ever, so that receipts of its size can be checked here without asking anybody. Anyone
    /// may, at their own cost; a second time changes nothing.
    function pin(bytes32 place) external;

    /// @notice Lets the standby take the writer's place at once. Admin or writer.
    function takeOver(bytes32 place) external;

    /// @notice Stops anchoring at once. Admin. Reading, pinning and the roles go on.
    function halt(bytes32 place) external;

    /// @notice Lets anchoring go on. Admin.
    function resume(bytes32 place) external;

    /// @notice Announces a new holder for a role, in place of an earlier proposal for it, and starts the delay. Admin.
    /// @param holder The account; zero only for the standby, meaning nobody.
    function propose(bytes32 place, Role role, address holder) external;

    /// @notice Drops a proposal. Admin.
    function cancel(bytes32 place, Role role) external;

    /// @notice Puts the proposed holder into the role after the delay. Admin; for the admin's own role, the proposed admin.
    function enact(bytes32 place, Role role) external;

    /// @notice Announces that this log shall end and go on in another one registered here, and starts the delay. Admin.
    function proposeSuccessor(bytes32 place, bytes32 successor) external;

    /// @notice Drops that proposal. Admin.
    function cancelSuccessor(bytes32 place) external;

    /// @notice Freezes the log at its head for ever and names its successor, after the delay. Admin.
    function succeed(bytes32 place) external;

    /// @notice The last anchored checkpoint and who may anchor the next; zeros where nothing is.
    /// @return size Its size.
    /// @return root Its root.
    /// @return writer Who may anchor.
    /// @return halted Whether anchoring is halted, or over for ever.
    function head(bytes32 place) external view returns (uint64 size, bytes32 root, address writer, bool halted);

    /// @notice What a place was registered with and who holds its slow roles; zeros where nothing is.
    /// @return log The log's id.
    /// @return registrant Who registered it.
    /// @return admin Who rotates roles, halts and ends the log.
    /// @return standby Who may take the writer's place; zero for nobody.
    /// @return delay Seconds between a proposal and its enactment.
    /// @return successor The place in which a frozen log goes on; zeros while it is not frozen.
    function charter(bytes32 place)
        external
        view
        returns (bytes32 log, address registrant, address admin, address standby, uint64 delay, bytes32 successor);

    /// @notice The open proposal for a role.
    /// @return holder Who shall have the role.
    /// @return readyAt From when it can be enacted; 0 where nothing is proposed.
    function proposal(bytes32 place, Role role) external view returns (address holder, uint64 readyAt);

    /// @notice The open proposal to end this log.
    /// @return successor The place in which it shall go on.
    /// @return readyAt From when it can be enacted; 0 where nothing is proposed.
    function successorProposal(bytes32 place) external view returns (bytes32 successor, uint64 readyAt);

    /// @notice The root pinned at a size; zeros where nothing is pinned.
    function pinnedRoot(bytes32 place, uint64 size) external view returns (bytes32 root);

    /// @notice The root of the head or of a pinned head at a size; zeros where neither has it.
    function rootAt(bytes32 place, uint64 size) external view returns (bytes32 root);

    /// @notice Whether a log of a size, the head's or a pinned one, contains a leaf. The contract reads log and index from the
    /// leaf's own bytes and hashes them itself. Contract, log and registrant are what a verifier trusts: it asks by them, not by a place.
    /// @param log The log's id; a leaf that names another is refused.
    /// @param registrant Who registered it here.
    /// @param size The size that the proof is for.
    /// @param leaf The leaf's 74 bytes.
    /// @param proof The inclusion proof, the leaf's sibling first.
    function includes(bytes32 log, address registrant, uint64 size, bytes calldata leaf, bytes32[] calldata proof)
        external
        view
        returns (bool included);

    /// @notice Whether one anchored size extends another, each the head's or a pinned one.
    /// @param proof The consistency proof from the one to the other.
    function consistent(bytes32 place, uint64 oldSize, uint64 newSize, bytes32[] calldata proof)
        external
        view
        returns (bool extended);

    /// @notice The commitment of a leaf that has these parts.
    function commitmentOf(Commitments calldata parts) external pure returns (bytes32 commitment);

    /// @notice Opens a leaf to its header. Reverts unless these are the leaf's parts, the bytes those committed, and canonical.
    /// Whether the log contains the leaf is for `includes` to say.
    /// @param leaf The leaf's 74 bytes.
    /// @param parts The commitments of the leaf's parts.
    /// @param salt The header's salt.
    /// @param part The header's 129 bytes.
    function openHeader(bytes calldata leaf, Commitments calldata parts, bytes32 salt, bytes calldata part)
        external
        pure
        returns (Header memory header);

    /// @notice Opens a leaf to its details, as `openHeader` does to its header. An absent field is empty.
    function openDetails(bytes calldata leaf, Commitments calldata parts, bytes32 salt, bytes calldata part)
        external
        pure
        returns (Details memory details);

    /// @notice Opens a leaf to its body, as `openHeader` does to its header, and says what kind of body it is. The bytes are
    /// those committed; whether they are canonical is not looked at.
    function openBody(bytes calldata leaf, Commitments calldata parts, bytes32 salt, bytes calldata part)
        external
        pure
        returns (uint8 kind);

    /// @notice Opens a leaf to one of its entries, as `openHeader` does to its header.
    /// @param position Which of the leaf's entries, counted from 0.
    function openEntry(
        bytes calldata leaf,
        Commitments calldata parts,
        uint256 position,
        bytes32 salt,
        bytes calldata part
    ) external pure returns (Entry memory entry);
}
