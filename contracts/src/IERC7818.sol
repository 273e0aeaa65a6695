// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import { IERC20 } from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

/// @title ERC-7818: Expirable ERC-20
/// @notice Tokens belong to epochs and expire with them. Names and order of arguments are the standard's.
interface IERC7818 is IERC20 {
    /// @notice What an epoch is measured in.
    enum EPOCH_TYPE {
        BLOCKS_BASED,
        TIME_BASED
    }

    /// The tokens of this epoch have expired.
    error ERC7818TransferredExpiredToken(address sender, uint256 epoch);

    /// @notice What an account holds in an epoch; 0 once the epoch has expired.
    function balanceOfAtEpoch(uint256 epoch, address account) external view returns (uint256 balance);

    /// @notice The epoch that is running.
    function currentEpoch() external view returns (uint256 epoch);

    /// @notice How long an epoch is, in what `epochType` says.
    function epochLength() external view returns (uint256 length);

    /// @notice What epochs are measured in.
    function epochType() external view returns (EPOCH_TYPE unit);

    /// @notice For how many epochs tokens are valid, the one that they belong to included.
    function validityDuration() external view returns (uint256 epochs);

    /// @notice Whether the tokens of this epoch have expired.
    function isEpochExpired(uint256 epoch) external view returns (bool expired);

    /// @notice Transfers tokens of one epoch.
    function transferAtEpoch(uint256 epoch, address to, uint256 value) external returns (bool done);

    /// @notice Transfers tokens of one epoch out of an allowance.
    function transferFromAtEpoch(uint256 epoch, address from, address to, uint256 value) external returns (bool done);
}
