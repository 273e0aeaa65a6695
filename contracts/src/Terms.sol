// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @notice What a transfer or a mint has to know and write besides the amounts, in one word: from the lowest bit up how much may be
/// minted in a period (64), how much was (64), the number of that period (32), the length of an epoch (32), when epoch 0
/// began (32), for how many epochs points are valid (8), decimals (8), whether minting and transfers are paused (1). The word is
/// read and written whole.
type Terms is uint256;

using TermsFormat for Terms global;

library TermsFormat {
    uint256 private constant MINTED_AT = 64;
    uint256 private constant PERIOD_AT = 128;
    uint256 private constant LENGTH_AT = 160;
    uint256 private constant OFFSET_AT = 192;
    uint256 private constant VALIDITY_AT = 224;
    uint256 private constant DECIMALS_AT = 232;
    uint256 private constant PAUSED_AT = 240;
    uint256 private constant U64 = type(uint64).max;
    uint256 private constant U32 = type(uint32).max;

    function make(uint64 mintMax_, uint32 length, uint32 offset, uint8 validity_, uint8 decimals_)
        internal
        pure
        returns (Terms)
    {
        return Terms.wrap(
            mintMax_ | (uint256(length) << LENGTH_AT) | (uint256(offset) << OFFSET_AT)
                | (uint256(validity_) << VALIDITY_AT) | (uint256(decimals_) << DECIMALS_AT)
        );
    }

    function mintMax(Terms terms) internal pure returns (uint256) {
        return Terms.unwrap(terms) & U64;
    }

    /// @notice What was minted in this period.
    function minted(Terms terms, uint256 period) internal pure returns (uint256) {
        uint256 word = Terms.unwrap(terms);
        return (word >> PERIOD_AT) & U32 == period ? (word >> MINTED_AT) & U64 : 0;
    }

    function epochLength(Terms terms) internal pure returns (uint256) {
        return (Terms.unwrap(terms) >> LENGTH_AT) & U32;
    }

    function epochOffset(Terms terms) internal pure returns (uint256) {
        return (Terms.unwrap(terms) >> OFFSET_AT) & U32;
    }

    function validity(Terms terms) internal pure returns (uint256) {
        return (Terms.unwrap(terms) >> VALIDITY_AT) & 0xff;
    }

    function decimals(Terms terms) internal pure returns (uint8) {
        // forge-lint: disable-next-line(unsafe-typecast) the lowest 8 bits are meant
        return uint8(Terms.unwrap(terms) >> DECIMALS_AT);
    }

    function paused(Terms terms) internal pure returns (bool) {
        return Terms.unwrap(terms) >> PAUSED_AT != 0;
    }

    /// @notice The same with this much minted, no more than `mintMax`, in this period.
    function withMinted(Terms terms, uint256 minted_, uint256 period) internal pure returns (Terms) {
        uint256 kept = Terms.unwrap(terms) & ~((U64 << MINTED_AT) | (U32 << PERIOD_AT));
        return Terms.wrap(kept | (minted_ << MINTED_AT) | ((period & U32) << PERIOD_AT));
    }

    function withMintMax(Terms terms, uint64 mintMax_) internal pure returns (Terms) {
        return Terms.wrap((Terms.unwrap(terms) & ~U64) | mintMax_);
    }

    function withPaused(Terms terms, bool paused_) internal pure returns (Terms) {
        uint256 kept = Terms.unwrap(terms) & (type(uint256).max >> (256 - PAUSED_AT));
        return Terms.wrap(kept | (uint256(paused_ ? 1 : 0) << PAUSED_AT));
    }

    /// @notice The earliest epoch whose points have not expired, and the running one.
    function window(Terms terms) internal view returns (uint256 first, uint256 current) {
        // Neither is below zero: a token is not made before its window is.
        unchecked {
            current = (block.timestamp - terms.epochOffset()) / terms.epochLength();
            first = current + 1 - terms.validity();
        }
    }

    /// @notice When the points of an epoch expire.
    function expiresAt(Terms terms, uint256 epoch) internal pure returns (uint256) {
        return terms.epochOffset() + (epoch + terms.validity()) * terms.epochLength();
    }
}
