// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import { IAuditLog } from "./IAuditLog.sol";
import { EpochAmount, ILoyaltyPoints } from "./ILoyaltyPoints.sol";
import { Commitments } from "./Leaf.sol";

/// @notice A withdrawal leaf with all that shows it: which settled head, where in it, and its opened body.
/// @param log The log's id.
/// @param size The settled head's size.
/// @param root The settled head's root.
/// @param leafIndex The leaf's place in the log, counted from 0.
/// @param parts The commitments of the leaf's parts.
/// @param salt The body's.
/// @param body The body's bytes.
/// @param proof The inclusion proof, the leaf's sibling first.
struct Claim {
    bytes32 log;
    uint64 size;
    bytes32 root;
    uint64 leafIndex;
    Commitments parts;
    bytes32 salt;
    bytes body;
    bytes32[] proof;
}

/// @title PointsGateway: between the books and the chain
/// @notice Points come to the chain only by a `withdrawal` leaf of the anchored log, which the books have taken them for, and go back
/// by being burned here. So the token never holds more than the books say.
///
/// To the chain: anybody settles the log's head, which must then stand for the claim delay, and anybody submits a withdrawal
/// leaf with its proof of inclusion in a settled head. The points go to the holder whom the leaf names, once for each withdrawal
/// id, into epochs that expire no later than the lots they are from. What has expired by then, or would not last until the next epoch
/// ends, is not minted; the event says how much. From the leaf's claim-before on it is refused, and the books take it back.
///
/// From the chain: a holder burns and names where it is to be credited. This asks neither the log nor any role, and works while minting,
/// anchoring or transfers are stopped.
///
/// Trust: no owner, no proxy, nothing to pause. Whoever steals the key of the log's writer must anchor a false leaf, settle it, and stay
/// unnoticed for the claim delay: the guardian cancels the settlement, the log's admin halts it, and a halted log is not settled.
/// The guardian can only cancel what is not yet mature, so a stolen guardian's key delays claims and takes nothing. Who holds the
/// token's UPGRADE_ROLE, a timelock, can appoint another guardian.
interface IPointsGateway {
    /// @notice A head was settled; claims against it begin at `maturesAt`, unless the guardian cancels it.
    event Settled(bytes32 indexed log, uint64 size, bytes32 root, uint64 maturesAt);
    /// @notice A settled head will never be claimed against.
    event SettlementCancelled(bytes32 indexed log, uint64 size, bytes32 root);
    /// @notice The log was frozen, and this gateway now settles the one that follows it.
    event Followed(bytes32 indexed from, bytes32 indexed to);
    /// @notice A withdrawal was paid: what was minted, and how much was not because it had expired.
    event Claimed(bytes32 indexed id, address indexed holder, EpochAmount[] minted, uint256 lapsed);
    /// @notice A claim of a batch, counted from 0, was refused for this reason.
    event ClaimSkipped(uint256 index, bytes reason);
    /// @notice Points were burned, and the books credit them: once, by chain, this contract and `burnId`.
    event BurnedForCredit(
        uint256 indexed burnId, address indexed holder, bytes32 indexed creditTo, EpochAmount[] amounts
    );
    /// @notice Another guardian may cancel settlements.
    event GuardianChanged(address from, address to);

    /// A setting is outside its range.
    error SettingOutOfRange();
    /// This is not the log that the gateway settles.
    error OtherPlace(bytes32 place, bytes32 given);
    /// Nothing is anchored there.
    error NothingAnchored(bytes32 place);
    /// Anchoring is halted there, or has ended.
    error LogHalted(bytes32 place);
    /// This head is settled, or was and is cancelled.
    error AlreadySettled(bytes32 log, uint64 size, bytes32 root);
    /// This head is not settled, or its settlement is cancelled.
    error NotSettled(bytes32 log, uint64 size, bytes32 root);
    /// Claims against this head begin later.
    error NotMature(uint64 maturesAt);
    /// Claims against this head have begun: it is too late to cancel.
    error AlreadyMature(uint64 maturesAt);
    /// The log has no successor.
    error NoSuccessor(bytes32 place);
    /// The caller is not the guardian.
    error NotGuardian(address caller);
    /// The caller does not hold the token's UPGRADE_ROLE.
    error NotUpgrader(address caller);
    /// The leaf is not in the settled head.
    error NotIncluded(uint64 leafIndex);
    /// The leaf means another chain or another gateway.
    error OtherGateway(uint64 chainId, address gateway);
    /// From this time on the withdrawal is the books' again.
    error TooLate(uint64 claimBefore);
    /// The withdrawal has been paid.
    error AlreadyClaimed(bytes32 id);
    /// All that the withdrawal names has expired.
    error AllLapsed(bytes32 id);
    /// A burn for credit has a minimum.
    error BelowMinimum(uint256 amount, uint256 burnMin);
    /// A burn for credit names where it is to be credited.
    error NoCredit();

    /// @notice Settles the present head of the log at this place, which is `place()`. Anyone may.
    function settle(bytes32 place_) external;

    /// @notice Cancels a settlement that is not yet mature, for ever. The guardian may.
    function cancel(bytes32 log, uint64 size, bytes32 root) external;

    /// @notice Goes over to the successor of a log that was frozen. Anyone may: the successor was announced for the log's delay.
    function follow() external;

    /// @notice Pays a withdrawal to its holder. Anyone may submit it.
    function claim(Claim calldata claim_) external;

    /// @notice Pays withdrawals one by one. One that is refused is skipped.
    /// @return paid How many were paid.
    function claimBatch(Claim[] calldata claims) external returns (uint256 paid);

    /// @notice Burns the caller's points, out of an allowance for this contract, and has the books credit them.
    /// @dev Whom a reference stands for the books know. It counts each time: one that was used up by its first burn would let whoever
    /// sees it in the pool stand in another's way.
    /// @param amount No less than `burnMin()`; the earliest epoch first.
    /// @param creditTo A reference that the books gave out. It tells others nothing.
    /// @return burnId The number of this burn, from 1.
    function burn(uint256 amount, bytes32 creditTo) external returns (uint256 burnId);

    /// @notice The same, with a permit for this amount instead of an earlier approval.
    function burnWithPermit(uint256 amount, bytes32 creditTo, uint256 deadline, uint8 v, bytes32 r, bytes32 s)
        external
        returns (uint256 burnId);

    /// @notice Appoints another guardian. Whoever holds the token's UPGRADE_ROLE may.
    function setGuardian(address guardian_) external;

    /// @notice From when on claims are made against this head; 0 where it is not settled, 2^64 - 1 where that was cancelled.
    function maturesAt(bytes32 log, uint64 size, bytes32 root) external view returns (uint64 time);

    /// @notice Whether a withdrawal has been paid.
    function claimed(bytes32 id) external view returns (bool);

    /// @notice The contract that holds the log's heads.
    function audit() external view returns (IAuditLog);

    /// @notice The token.
    function points() external view returns (ILoyaltyPoints);

    /// @notice The place of the log in the audit contract.
    function place() external view returns (bytes32);

    /// @notice Who may cancel settlements.
    function guardian() external view returns (address);

    /// @notice How long a settled head has to stand, in seconds.
    function claimDelay() external view returns (uint64);

    /// @notice The least that is burned for credit.
    function burnMin() external view returns (uint256);

    /// @notice How many burns there were.
    function burns() external view returns (uint256);

    /// @notice By how many seconds the program's local time is ahead of UTC, at most during a year: a lot's day ends then.
    function zone() external view returns (int32);
}
