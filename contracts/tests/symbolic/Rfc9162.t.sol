// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import { Test } from "forge-std/Test.sol";
import { Rfc9162 } from "../../src/Rfc9162.sol";
import { Reference } from "../Reference.sol";

/// Proven by Halmos for every value of every hash: the verifiers are the definitions, for trees of up to eight leaves; and what a
/// consistency proof shows is what it promises, for trees of up to seven. SHA-256 is any function at all there, so nothing rests on
/// how it was computed; where it must not collide, that is assumed in so many words.
contract Rfc9162Symbolic is Test {
    uint64 private constant SIZE_MAX = 8;
    uint64 private constant SOUND_SIZE_MAX = 7;

    /// Two children and their parent's hash.
    struct Node {
        bytes32 left;
        bytes32 right;
        bytes32 hash;
    }

    Node[] private nodes;

    function includes(uint64 size, bytes32 root, uint64 index, bytes32 hash, bytes32[] calldata proof)
        external
        view
        returns (bool)
    {
        return Rfc9162.includes(size, root, index, hash, proof);
    }

    function extends(uint64 oldSize, bytes32 oldRoot, uint64 newSize, bytes32 newRoot, bytes32[] calldata proof)
        external
        view
        returns (bool)
    {
        return Rfc9162.extends(oldSize, oldRoot, newSize, newRoot, proof);
    }

    function check_includes_isTheDefinition(bytes32 root, bytes32 hash, bytes32[4] calldata made) external view {
        for (uint64 size = 1; size <= SIZE_MAX; ++size) {
            for (uint64 index = 0; index < size; ++index) {
                uint256 count = Reference.pathNodes(index, size);
                for (uint256 length = 0; length <= made.length; ++length) {
                    bytes32[] memory proof = first(made, length);
                    bool defined = length == count && equal(Reference.climb(index, size, hash, proof, length), root);
                    assert(this.includes(size, root, index, hash, proof) == defined);
                }
            }
            assert(!this.includes(size, root, size, hash, first(made, 3)));
        }
    }

    function check_extends_isTheDefinition(bytes32 oldRoot, bytes32 newRoot, bytes32[4] calldata made) external view {
        for (uint64 newSize = 2; newSize <= SIZE_MAX; ++newSize) {
            for (uint64 oldSize = 1; oldSize < newSize; ++oldSize) {
                uint256 count = Reference.consistencyNodes(oldSize, newSize);
                for (uint256 length = 0; length <= made.length; ++length) {
                    bytes32[] memory proof = first(made, length);
                    bool defined = false;
                    if (length == count) {
                        (bytes32 reachedOld, bytes32 reachedNew) =
                            Reference.climbBoth(oldSize, newSize, oldRoot, proof, length, true);
                        defined = both(equal(reachedOld, oldRoot), equal(reachedNew, newRoot));
                    }
                    assert(this.extends(oldSize, oldRoot, newSize, newRoot, proof) == defined);
                }
            }
        }
    }

    /// A tree that another one extends by an accepted proof, whatever proof, has the same leaves to begin with; unless two nodes
    /// collide.
    function check_extends_keepsEveryLeaf(
        bytes32[7] calldata older,
        bytes32[7] calldata newer,
        bytes32[4] calldata made
    ) external {
        for (uint64 newSize = 2; newSize <= SOUND_SIZE_MAX; ++newSize) {
            for (uint64 oldSize = 1; oldSize < newSize; ++oldSize) {
                delete nodes;
                bytes32 oldRoot = rootOf(older, 0, oldSize);
                bytes32 newRoot = rootOf(newer, 0, newSize);
                bytes32[] memory proof = first(made, Reference.consistencyNodes(oldSize, newSize));
                climbBoth(oldSize, newSize, oldRoot, proof, proof.length, true);
                bool accepted = this.extends(oldSize, oldRoot, newSize, newRoot, proof);
                bool kept = true;
                for (uint256 i = 0; i < oldSize; ++i) {
                    kept = both(kept, equal(older[i], newer[i]));
                }
                assert(implies(both(accepted, noCollision()), kept));
            }
        }
    }

    function first(bytes32[4] calldata made, uint256 length) private pure returns (bytes32[] memory list) {
        list = new bytes32[](length);
        for (uint256 i = 0; i < length; ++i) {
            list[i] = made[i];
        }
    }

    /// As in `Reference`, noting what was hashed.
    function nodeHash(bytes32 left, bytes32 right) private returns (bytes32 hash) {
        hash = Reference.nodeHash(left, right);
        nodes.push(Node(left, right, hash));
    }

    function rootOf(bytes32[7] calldata leaves, uint256 begin, uint256 end) private returns (bytes32) {
        if (end - begin == 1) return leaves[begin];
        uint256 middle = begin + Reference.split(end - begin);
        return nodeHash(rootOf(leaves, begin, middle), rootOf(leaves, middle, end));
    }

    function climbBoth(uint256 m, uint256 n, bytes32 oldRoot, bytes32[] memory proof, uint256 count, bool whole)
        private
        returns (bytes32, bytes32)
    {
        if (m == n) {
            bytes32 shared = whole ? oldRoot : proof[count - 1];
            return (shared, shared);
        }
        uint256 k = Reference.split(n);
        bytes32 sibling = proof[count - 1];
        if (m <= k) {
            (bytes32 oldPart, bytes32 newPart) = climbBoth(m, k, oldRoot, proof, count - 1, whole);
            return (oldPart, nodeHash(newPart, sibling));
        }
        (bytes32 oldRight, bytes32 newRight) = climbBoth(m - k, n - k, oldRoot, proof, count - 1, false);
        return (nodeHash(sibling, oldRight), nodeHash(sibling, newRight));
    }

    /// Whether nodes of the same hash have the same children, among all that were noted.
    function noCollision() private view returns (bool sound) {
        sound = true;
        for (uint256 i = 0; i < nodes.length; ++i) {
            for (uint256 j = i + 1; j < nodes.length; ++j) {
                (Node storage a, Node storage b) = (nodes[i], nodes[j]);
                bool same = both(equal(a.left, b.left), equal(a.right, b.right));
                sound = both(sound, implies(equal(a.hash, b.hash), same));
            }
        }
    }

    // Without branches: Solidity's own operators would double the paths each time.

    function equal(bytes32 a, bytes32 b) private pure returns (bool yes) {
        assembly {
            yes := eq(a, b)
        }
    }

    function both(bool a, bool b) private pure returns (bool yes) {
        assembly {
            yes := and(a, b)
        }
    }

    function implies(bool a, bool b) private pure returns (bool yes) {
        assembly {
            yes := or(iszero(a), b)
        }
    }
}
