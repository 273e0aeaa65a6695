// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @notice What `anchor` has to know of a head besides its root, in one word: from the lowest bit up the size (64), the writer
/// (160), whether anchoring is halted (1). The word is read and written whole.
type Tip is uint256;

using Tips for Tip global;

library Tips {
    uint256 private constant WRITER_AT = 64;
    uint256 private constant HALTED_AT = 64 + 160;

    function make(uint64 size_, address writer_, bool halted_) internal pure returns (Tip) {
        return Tip.wrap((uint256(halted_ ? 1 : 0) << HALTED_AT) | (uint256(uint160(writer_)) << WRITER_AT) | size_);
    }

    function size(Tip tip) internal pure returns (uint64) {
        // forge-lint: disable-next-line(unsafe-typecast) the lowest 64 bits are meant
        return uint64(Tip.unwrap(tip));
    }

    function writer(Tip tip) internal pure returns (address) {
        // forge-lint: disable-next-line(unsafe-typecast) the lowest 160 bits are meant
        return address(uint160(Tip.unwrap(tip) >> WRITER_AT));
    }

    function halted(Tip tip) internal pure returns (bool) {
        return Tip.unwrap(tip) >> HALTED_AT != 0;
    }

    /// @notice Whether this account may anchor now. One comparison asks both: it is the writer, and nothing is halted.
    function isOpenTo(Tip tip, address caller) internal pure returns (bool) {
        return Tip.unwrap(tip) >> WRITER_AT == uint160(caller);
    }

    function withWriter(Tip tip, address writer_) internal pure returns (Tip) {
        return make(tip.size(), writer_, tip.halted());
    }

    function withHalted(Tip tip, bool halted_) internal pure returns (Tip) {
        return make(tip.size(), tip.writer(), halted_);
    }
}
