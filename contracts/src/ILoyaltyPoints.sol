// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import { IERC7818 } from "./IERC7818.sol";

/// @notice What the token is made with. Only `mintMax` changes afterwards.
/// @param name Of the token.
/// @param symbol Of the token.
/// @param decimals The scale of the program: a point is 10^decimals of the smallest unit, in which all amounts are.
/// @param epochLength Seconds in an epoch, an hour to 366 days.
/// @param epochOffset When epoch 0 began, in seconds after 1970 UTC, less than an epoch's length.
/// @param validity For how many epochs points are valid at most, 1 to 64.
/// @param mintMax How much may be minted in a day, and burning gives none of it back.
/// @param upgrader Meant to be a timelock: it upgrades, gives and takes the roles, and sets `mintMax`.
/// @param minter Meant to be the gateway: it mints.
/// @param pauser Pauses and resumes.
struct Settings {
    string name;
    string symbol;
    uint8 decimals;
    uint32 epochLength;
    uint32 epochOffset;
    uint8 validity;
    uint64 mintMax;
    address upgrader;
    address minter;
    address pauser;
}

/// @notice An amount of one epoch.
struct EpochAmount {
    uint256 epoch;
    uint256 amount;
}

/// @notice One line of a batch that mints.
struct MintItem {
    address to;
    uint256 epoch;
    uint256 amount;
}

/// @notice One line of a batch that burns.
struct BurnItem {
    address from;
    uint256 amount;
}

/// @notice Why something is not minted or burned. Receiver: nobody, or the token itself. Epoch: expired, or not begun. Rate: more than
/// is left of today's `mintMax`. Supply: more than an epoch can hold, 2^64 - 1. Allowance, Balance: less than the amount.
enum Refusal {
    None,
    Receiver,
    Epoch,
    Rate,
    Supply,
    Allowance,
    Balance
}

/// @title LoyaltyPoints: points that a member has taken to the chain
/// @notice An ERC-20 with permits whose tokens expire (ERC-7818). Points belong to an epoch, and epoch `e` expires when epoch
/// `e + validityDuration()` begins. Transfers and burns take from the earliest epoch first and keep the epoch, so nothing that
/// a holder does makes points last longer. Points that are to expire earlier are minted into an earlier epoch.
///
/// What a transfer costs is bounded: it reads one word for every four epochs of the window, at most 17, and writes at most as
/// many again for each of the two holders.
///
/// Trust: MINT_ROLE mints up to `mintMax` in a day, and nobody else mints. PAUSE_ROLE stops minting and transfers, and nothing that it
/// does stops a burn: a holder leaves by burning at any time, in particular through the gateway, which credits the books. Nobody
/// burns or moves a holder's points without their allowance. UPGRADE_ROLE can replace the code and so do anything: it belongs to
/// a timelock whose delay leaves holders the time to leave. No account holds two of the three roles.
interface ILoyaltyPoints is IERC7818 {
    /// @notice Points of an epoch came into being.
    event Minted(address indexed to, uint256 indexed epoch, uint256 amount);
    /// @notice Points left the chain, by epoch. What did not leave through the gateway is credited to nobody.
    event Burned(address indexed from, EpochAmount[] amounts);
    /// @notice A batch was done: so many of its lines, without those that were skipped.
    event BatchDone(address indexed by, bytes32 indexed batch, uint256 done, uint256 skipped);
    /// @notice A line of a batch, counted from 0, was skipped, and why.
    event Skipped(bytes32 indexed batch, uint256 index, Refusal why);
    /// @notice An epoch has expired with this amount unspent.
    event EpochExpired(uint256 indexed epoch, uint256 amount);
    /// @notice Minting and transfers stop. Burning does not.
    event Paused(address by);
    /// @notice Minting and transfers go on.
    event Resumed(address by);
    /// @notice How much may be minted in a day has changed.
    event MintMaxChanged(uint256 from, uint256 to);

    /// A setting is outside its range.
    error SettingOutOfRange();
    /// An account would hold two of the roles that are to be apart.
    error RolesApart(address account);
    /// Minting and transfers are paused.
    error IsPaused();
    /// They are not paused.
    error NotPaused();
    /// This cannot be minted.
    error MintRefused(Refusal why, address to, uint256 epoch, uint256 amount);
    /// The caller has used this batch id before.
    error BatchUsed(address by, bytes32 batch);
    /// The epoch has not expired.
    error EpochNotExpired(uint256 epoch);

    /// @notice Makes the proxy what the settings say. Once.
    function initialize(Settings calldata settings) external;

    /// @notice Mints into an epoch of the window, no later than the running one.
    function mint(address to, uint256 epoch, uint256 amount) external;

    /// @notice Mints into the latest epoch that expires no later than `endsBy`, in seconds after 1970 UTC.
    /// @return minted Whether there is such an epoch that has not expired; otherwise nothing happens.
    /// @return epoch The epoch.
    function mintEndingBy(address to, uint256 endsBy, uint256 amount) external returns (bool minted, uint256 epoch);

    /// @notice Mints line by line. A line that cannot be minted is skipped, and an event says why.
    /// @param batch An id that the caller has not used for a batch before.
    /// @return done How many lines were minted.
    function mintBatch(bytes32 batch, MintItem[] calldata items) external returns (uint256 done);

    /// @notice Burns the caller's own points, the earliest epoch first. The books credit nobody for it: see the gateway.
    function burn(uint256 amount) external returns (EpochAmount[] memory amounts);

    /// @notice Burns a holder's points out of the caller's allowance, the earliest epoch first.
    function burnFrom(address from, uint256 amount) external returns (EpochAmount[] memory amounts);

    /// @notice Burns line by line, the caller's own points or out of an allowance. A line that cannot be burned is skipped.
    /// @param batch An id that the caller has not used for a batch before.
    /// @return done How many lines were burned.
    function burnBatch(bytes32 batch, BurnItem[] calldata items) external returns (uint256 done);

    /// @notice Says by an event what an epoch expired with. Anyone may; the second time there is nothing left to say.
    function recordExpiry(uint256 epoch) external returns (uint256 amount);

    /// @notice Stops minting and transfers.
    function pause() external;

    /// @notice Lets them go on.
    function resume() external;

    /// @notice Changes how much may be minted in a day.
    function setMintMax(uint64 mintMax) external;

    /// @notice The sum of what all holders can spend. ERC-7818 suggests 0 or 2^256 - 1, because others cannot know; this is the truth.
    function totalSupply() external view returns (uint256 supply);

    /// @notice What all holders together have in an epoch. Of an expired one, what it expired with, until that is recorded.
    function supplyAtEpoch(uint256 epoch) external view returns (uint256 supply);

    /// @notice When the points of an epoch expire, in seconds after 1970 UTC.
    function expiresAt(uint256 epoch) external view returns (uint256 time);

    /// @notice Whether the minter or burner has used this batch id.
    function batchUsed(address by, bytes32 batch) external view returns (bool used);

    /// @notice Whether minting and transfers are paused.
    function paused() external view returns (bool);

    /// @notice How much may be minted in a day (UTC), and how much of it is left today. Around midnight both days' amounts
    /// can be minted within moments.
    function mintAllowance() external view returns (uint256 mintMax, uint256 left);
}
