// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @title The tree of RFC 6962 and RFC 9162: hashes of leaves and nodes, inclusion proofs, consistency proofs
/// @notice A size and a root always come from the caller's own storage. They are never part of a proof: a root does not bind its
/// size, and a proof for one size can also verify for another.
/// @dev A proof has exactly the nodes that index and sizes call for, so it is consumed to its end and its length is bounded: below
/// size 2^63 an inclusion proof has at most 63 nodes, a consistency proof 64.
///
/// A node is hashed as it lies in memory: with 0x01 in the byte before two words, the 65 bytes from there are 0x01, left, right. The
/// verifiers use the words at 0x20 and 0x40 so, which no address has to be computed for, and put back what Solidity keeps there.
///
/// SHA-256 is the precompile at address 2. It fails only when it runs out of gas, and then at most one gas is left to the caller,
/// who runs out as well. The verifiers do not rest on that: whether a call succeeded is written over the byte 0x01 that the next node
/// begins with, and looked at after the last.
library Rfc9162 {
    /// The SHA-256 precompile failed: the call ran out of gas.
    error HashFailed();

    /// @notice Whether a leaf of this hash stands at `index` in the tree of this size and root.
    /// @param proof The siblings on the way from the leaf to the root, the leaf's own first.
    function includes(uint64 size, bytes32 root, uint64 index, bytes32 hash, bytes32[] calldata proof)
        internal
        view
        returns (bool included)
    {
        if (index >= size) return false;
        assembly ("memory-safe") {
            let free := mload(0x40)
            mstore(0x20, 1)
            let node := proof.offset
            // Where our node belongs: left, at 0x40, or right, at 0x60, when its position is odd. Its sibling belongs at the other.
            let position := shl(5, index)
            let own := or(0x40, and(position, 0x20))
            mstore(own, hash)
            // While it is not zero, our node has a sibling at its level.
            for { let apart := xor(index, sub(size, 1)) } apart { apart := shr(1, apart) } {
                mstore(xor(own, 0x20), calldataload(node))
                node := add(node, 0x20)
                position := shr(1, position)
                own := or(0x40, and(position, 0x20))
                mstore8(0x3f, staticcall(gas(), 2, 0x3f, 0x41, own, 0x20))
            }
            // From here our node is the last of its level. Where its position is even it has no sibling and rises as it is, so
            // that each bit that is set stands for one sibling to the left.
            mstore(0x60, mload(own))
            for { position := shr(5, position) } position { position := and(position, sub(position, 1)) } {
                mstore(0x40, calldataload(node))
                node := add(node, 0x20)
                mstore8(0x3f, staticcall(gas(), 2, 0x3f, 0x41, 0x60, 0x20))
            }
            // Reading past the proof did no harm: a node count that does not come out exactly is refused here.
            included := and(mload(0x20), and(eq(node, add(proof.offset, shl(5, proof.length))), eq(mload(0x60), root)))
            mstore(0x40, free)
            mstore(0x60, 0)
        }
    }

    /// @notice Whether the tree of `newSize` and `newRoot` begins with the leaves of the tree of `oldSize` and `oldRoot`.
    /// @dev Trees of the same size are the same tree or no extension, and everything extends the empty tree, whose root is
    /// never looked at: both take an empty proof.
    /// @param proof The nodes of RFC 9162, section 2.1.4.1, in its order.
    function extends(uint64 oldSize, bytes32 oldRoot, uint64 newSize, bytes32 newRoot, bytes32[] calldata proof)
        internal
        view
        returns (bool extended)
    {
        if (newSize < oldSize) return false;
        if (oldSize == 0) return proof.length == 0;
        if (oldSize == newSize) return proof.length == 0 && oldRoot == newRoot;
        return extendsShorter(oldSize, oldRoot, newSize, newRoot, proof);
    }

    /// @notice The same for a caller who knows that 0 < oldSize < newSize.
    function extendsShorter(
        uint256 oldSize,
        bytes32 oldRoot,
        uint256 newSize,
        bytes32 newRoot,
        bytes32[] calldata proof
    ) internal view returns (bool extended) {
        assembly ("memory-safe") {
            // The old tree's node is always a right one: it stays at 0x40. The new tree's lies in free memory, at `right`.
            let free := mload(0x40)
            let first := add(free, 0x1f)
            let left := add(free, 0x20)
            let right := add(free, 0x40)
            mstore(0x00, 1)
            mstore(free, 1)
            let node := proof.offset
            let position := sub(oldSize, 1)
            // Its highest bit is the level at which the way up from the old tree's last leaf meets the new tree's right border.
            let apart := xor(position, sub(newSize, 1))
            // The last leaf of the old tree closes perfect subtrees: both climbs start at the root of the largest.
            for { } and(position, 1) { position := shr(1, position) } {
                apart := shr(1, apart)
            }
            // It comes first in the proof, unless it is the whole old tree.
            let start := oldRoot
            if position {
                start := calldataload(node)
                node := add(node, 0x20)
            }
            mstore(0x40, start)
            mstore(right, start)
            for { } apart { apart := shr(1, apart) } {
                let sibling := calldataload(node)
                node := add(node, 0x20)
                switch and(position, 1)
                case 0 {
                    // A sibling to the right belongs to the new tree alone.
                    mstore(left, mload(right))
                    mstore(right, sibling)
                }
                default {
                    // A sibling to the left belongs to both trees.
                    mstore(left, sibling)
                    mstore(0x20, sibling)
                    mstore8(0x1f, staticcall(gas(), 2, 0x1f, 0x41, 0x40, 0x20))
                }
                mstore8(first, staticcall(gas(), 2, first, 0x41, right, 0x20))
                position := shr(1, position)
            }
            // Both climbs go on along the right border: what is left are siblings to the left, one for each bit that is set.
            for { } position { position := and(position, sub(position, 1)) } {
                let sibling := calldataload(node)
                node := add(node, 0x20)
                mstore(0x20, sibling)
                mstore8(0x1f, staticcall(gas(), 2, 0x1f, 0x41, 0x40, 0x20))
                mstore(left, sibling)
                mstore8(first, staticcall(gas(), 2, first, 0x41, right, 0x20))
            }
            extended := and(
                and(mload(0x00), mload(free)),
                and(
                    eq(node, add(proof.offset, shl(5, proof.length))),
                    and(eq(mload(0x40), oldRoot), eq(mload(right), newRoot))
                )
            )
            mstore(0x40, free)
        }
    }

    /// @notice The hash of a leaf: SHA-256 of 0x00 and its bytes.
    function leafHash(bytes calldata leaf) internal view returns (bytes32 hash) {
        bool done;
        assembly ("memory-safe") {
            let input := mload(0x40)
            mstore8(input, 0)
            calldatacopy(add(input, 1), leaf.offset, leaf.length)
            done := staticcall(gas(), 2, input, add(leaf.length, 1), 0x00, 0x20)
            hash := mload(0x00)
        }
        require(done, HashFailed());
    }
}
