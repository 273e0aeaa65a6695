// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @notice The tree once more, slowly: the recursive definitions of RFC 6962 (sections 2.1, 2.1.1, 2.1.2) copied down, with no
/// thought for gas. Everything optimised is compared with this.
library Reference {
    /// MTH(D[n]) over the hashes of the leaves.
    function root(bytes32[] memory leaves) internal pure returns (bytes32) {
        return root(leaves, 0, leaves.length);
    }

    /// MTH(D[begin:end]).
    function root(bytes32[] memory leaves, uint256 begin, uint256 end) internal pure returns (bytes32) {
        if (begin == end) return sha256("");
        if (end - begin == 1) return leaves[begin];
        uint256 middle = begin + split(end - begin);
        return nodeHash(root(leaves, begin, middle), root(leaves, middle, end));
    }

    /// PATH(m, D[n]).
    function path(uint256 index, bytes32[] memory leaves) internal pure returns (bytes32[] memory) {
        return path(index, leaves, 0, leaves.length);
    }

    function path(uint256 index, bytes32[] memory leaves, uint256 begin, uint256 end)
        internal
        pure
        returns (bytes32[] memory)
    {
        if (end - begin == 1) return new bytes32[](0);
        uint256 k = split(end - begin);
        if (index < k) return append(path(index, leaves, begin, begin + k), root(leaves, begin + k, end));
        return append(path(index - k, leaves, begin + k, end), root(leaves, begin, begin + k));
    }

    /// PROOF(m, D[n]) for 0 < m < n.
    function consistency(uint256 oldSize, bytes32[] memory leaves) internal pure returns (bytes32[] memory) {
        return subproof(oldSize, leaves, 0, leaves.length, true);
    }

    function subproof(uint256 m, bytes32[] memory leaves, uint256 begin, uint256 end, bool whole)
        internal
        pure
        returns (bytes32[] memory)
    {
        if (m == end - begin) {
            return whole ? new bytes32[](0) : append(new bytes32[](0), root(leaves, begin, end));
        }
        uint256 k = split(end - begin);
        if (m <= k) return append(subproof(m, leaves, begin, begin + k, whole), root(leaves, begin + k, end));
        return append(subproof(m - k, leaves, begin + k, end, false), root(leaves, begin, begin + k));
    }

    /// How many nodes PATH(index, D[size]) has; works for sizes of which nobody holds the leaves.
    function pathNodes(uint256 index, uint256 size) internal pure returns (uint256) {
        if (size == 1) return 0;
        uint256 k = split(size);
        return 1 + (index < k ? pathNodes(index, k) : pathNodes(index - k, size - k));
    }

    /// How many nodes PROOF(oldSize, D[newSize]) has.
    function consistencyNodes(uint256 oldSize, uint256 newSize) internal pure returns (uint256) {
        return subproofNodes(oldSize, newSize, true);
    }

    function subproofNodes(uint256 m, uint256 n, bool whole) private pure returns (uint256) {
        if (m == n) return whole ? 0 : 1;
        uint256 k = split(n);
        return 1 + (m <= k ? subproofNodes(m, k, whole) : subproofNodes(m - k, n - k, false));
    }

    /// The root to which the first `nodes` nodes of a path lead from a leaf's hash.
    function climb(uint256 index, uint256 size, bytes32 hash, bytes32[] memory proof, uint256 nodes)
        internal
        pure
        returns (bytes32)
    {
        if (size == 1) return hash;
        uint256 k = split(size);
        bytes32 sibling = proof[nodes - 1];
        if (index < k) return nodeHash(climb(index, k, hash, proof, nodes - 1), sibling);
        return nodeHash(sibling, climb(index - k, size - k, hash, proof, nodes - 1));
    }

    /// The old and the new root to which the first `nodes` nodes of a consistency proof lead. Where the old tree is a subtree of
    /// the new one as it stands, its root is not in the proof, and taken from `oldRoot`.
    function climbBoth(uint256 m, uint256 n, bytes32 oldRoot, bytes32[] memory proof, uint256 nodes, bool whole)
        internal
        pure
        returns (bytes32, bytes32)
    {
        if (m == n) {
            bytes32 both = whole ? oldRoot : proof[nodes - 1];
            return (both, both);
        }
        uint256 k = split(n);
        bytes32 sibling = proof[nodes - 1];
        if (m <= k) {
            (bytes32 oldPart, bytes32 newPart) = climbBoth(m, k, oldRoot, proof, nodes - 1, whole);
            return (oldPart, nodeHash(newPart, sibling));
        }
        (bytes32 oldRight, bytes32 newRight) = climbBoth(m - k, n - k, oldRoot, proof, nodes - 1, false);
        return (nodeHash(sibling, oldRight), nodeHash(sibling, newRight));
    }

    /// The largest power of two below n, for n > 1.
    function split(uint256 n) internal pure returns (uint256 k) {
        k = 1;
        while (k * 2 < n) k *= 2;
    }

    function leafHash(bytes memory leaf) internal pure returns (bytes32) {
        return sha256(bytes.concat(hex"00", leaf));
    }

    function nodeHash(bytes32 left, bytes32 right) internal pure returns (bytes32) {
        return sha256(bytes.concat(hex"01", left, right));
    }

    function append(bytes32[] memory list, bytes32 last) internal pure returns (bytes32[] memory longer) {
        longer = new bytes32[](list.length + 1);
        for (uint256 i = 0; i < list.length; ++i) {
            longer[i] = list[i];
        }
        longer[list.length] = last;
    }

    function prefix(bytes32[] memory list, uint256 length) internal pure returns (bytes32[] memory shorter) {
        shorter = new bytes32[](length);
        for (uint256 i = 0; i < length; ++i) {
            shorter[i] = list[i];
        }
    }
}
