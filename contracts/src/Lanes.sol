// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @title Amounts by epoch, four to a word
/// @notice A word holds the amounts of four consecutive epochs, 64 bits each, the earliest lowest; word number `epoch / 4` holds
/// the epoch's lane. Words add and subtract whole, as long as no lane overflows: what holders have in an epoch sums to that epoch's
/// supply, and a supply is kept within a lane, so no sum of holders' lanes ever carries.
library Lanes {
    uint256 internal constant LANE_MAX = type(uint64).max;

    /// @notice The number of the word in which an epoch's lane stands.
    function wordOf(uint256 epoch) internal pure returns (uint256) {
        return epoch >> 2;
    }

    /// @notice The amount of an epoch, from its word.
    function amountAt(uint256 word, uint256 epoch) internal pure returns (uint256) {
        return (word >> _shift(epoch)) & LANE_MAX;
    }

    /// @notice A word with this amount, within a lane, in the epoch's lane, and nothing else.
    function only(uint256 amount, uint256 epoch) internal pure returns (uint256) {
        return amount << _shift(epoch);
    }

    /// @notice A word without the lanes before that of an epoch.
    function from(uint256 word, uint256 epoch) internal pure returns (uint256) {
        uint256 shift = _shift(epoch);
        return (word >> shift) << shift;
    }

    /// @notice The sum of a word's lanes.
    function sum(uint256 word) internal pure returns (uint256) {
        return (word & LANE_MAX) + ((word >> 64) & LANE_MAX) + ((word >> 128) & LANE_MAX) + (word >> 192);
    }

    /// @notice As much of `wanted` as the word has, from the earliest lane on.
    /// @return taken What is taken, in its lanes.
    /// @return rest What of `wanted` the word does not have.
    function take(uint256 word, uint256 wanted) internal pure returns (uint256 taken, uint256 rest) {
        rest = wanted;
        // A part is never more than the rest.
        unchecked {
            for (uint256 shift = 0; shift < 256 && rest != 0; shift += 64) {
                uint256 there = (word >> shift) & LANE_MAX;
                uint256 part = there < rest ? there : rest;
                taken |= part << shift;
                rest -= part;
            }
        }
    }

    function _shift(uint256 epoch) private pure returns (uint256) {
        return (epoch & 3) << 6;
    }
}
