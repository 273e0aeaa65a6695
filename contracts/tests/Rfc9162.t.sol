// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import { Test } from "forge-std/Test.sol";
import { Rfc9162 } from "../src/Rfc9162.sol";
import { Reference } from "./Reference.sol";

/// The library takes proofs from calldata: this puts them there. The memory word that Solidity counts on and a canary in
/// allocated memory are checked around each call, since the verifiers write where both live.
contract Rfc9162Harness {
    function includes(uint64 size, bytes32 root, uint64 index, bytes32 hash, bytes32[] calldata proof)
        external
        view
        returns (bool included)
    {
        bytes memory canary = "a canary that is longer than one word of memory";
        bytes32 before = keccak256(canary);
        included = Rfc9162.includes(size, root, index, hash, proof);
        _checkMemory(canary, before);
    }

    function extends(uint64 oldSize, bytes32 oldRoot, uint64 newSize, bytes32 newRoot, bytes32[] calldata proof)
        external
        view
        returns (bool extended)
    {
        bytes memory canary = "a canary that is longer than one word of memory";
        bytes32 before = keccak256(canary);
        extended = Rfc9162.extends(oldSize, oldRoot, newSize, newRoot, proof);
        _checkMemory(canary, before);
    }

    function leafHash(bytes calldata leaf) external view returns (bytes32) {
        return Rfc9162.leafHash(leaf);
    }

    function _checkMemory(bytes memory canary, bytes32 before) private pure {
        uint256 zero;
        uint256 free;
        assembly {
            free := mload(0x40)
            zero := mload(0x60)
        }
        require(keccak256(canary) == before, "allocated memory has changed");
        require(zero == 0, "the zero slot has changed");
        bytes memory fresh = new bytes(32);
        uint256 place;
        assembly {
            place := fresh
        }
        require(place == free && keccak256(fresh) == keccak256(abi.encode(0)), "the free memory is not free");
    }
}

contract Rfc9162Test is Test {
    Rfc9162Harness private immutable tree = new Rfc9162Harness();

    function leaves(uint256 seed, uint256 size) private pure returns (bytes32[] memory list) {
        list = new bytes32[](size);
        for (uint256 i = 0; i < size; ++i) {
            list[i] = Reference.leafHash(abi.encode(seed, i));
        }
    }

    function nodes(uint256 seed, uint256 count) private pure returns (bytes32[] memory list) {
        list = new bytes32[](count);
        for (uint256 i = 0; i < count; ++i) {
            list[i] = keccak256(abi.encode(seed, i));
        }
    }

    /// A proof that is accepted is refused once it is longer, shorter, or has any one bit turned.
    function checkIncluded(uint64 size, bytes32 root, uint64 index, bytes32 hash, bytes32[] memory proof, uint256 seed)
        private
        view
    {
        assertTrue(tree.includes(size, root, index, hash, proof), "refused");
        assertFalse(tree.includes(size, root, index, hash, Reference.append(proof, hash)), "longer");
        assertFalse(tree.includes(size, root, index, hash, Reference.append(proof, 0)), "longer by zeros");
        bytes32 flip = bytes32(uint256(1) << (seed % 256));
        assertFalse(tree.includes(size, root ^ flip, index, hash, proof), "other root");
        assertFalse(tree.includes(size, root, index, hash ^ flip, proof), "other leaf");
        assertFalse(tree.includes(index, root, index, hash, proof), "index at size");
        assertFalse(tree.includes(0, root, index, hash, proof), "empty tree");
        if (proof.length != 0) {
            assertFalse(tree.includes(size, root, index, hash, Reference.prefix(proof, proof.length - 1)), "shorter");
            assertFalse(tree.includes(size, root, index ^ 1, hash, proof), "neighbour");
            proof[seed % proof.length] ^= flip;
            assertFalse(tree.includes(size, root, index, hash, proof), "other node");
        }
    }

    function checkExtends(
        uint64 oldSize,
        bytes32 oldRoot,
        uint64 newSize,
        bytes32 newRoot,
        bytes32[] memory proof,
        uint256 seed
    ) private view {
        assertTrue(tree.extends(oldSize, oldRoot, newSize, newRoot, proof), "refused");
        assertFalse(tree.extends(oldSize, oldRoot, newSize, newRoot, Reference.append(proof, oldRoot)), "longer");
        assertFalse(tree.extends(oldSize, oldRoot, newSize, newRoot, Reference.append(proof, 0)), "longer by zeros");
        bytes32 flip = bytes32(uint256(1) << (seed % 256));
        assertFalse(tree.extends(oldSize, oldRoot ^ flip, newSize, newRoot, proof), "other old root");
        assertFalse(tree.extends(oldSize, oldRoot, newSize, newRoot ^ flip, proof), "other new root");
        assertFalse(tree.extends(newSize, oldRoot, oldSize, newRoot, proof), "backwards");
        assertFalse(tree.extends(oldSize, oldRoot, oldSize, newRoot, proof), "same size");
        assertFalse(
            tree.extends(oldSize, oldRoot, newSize, newRoot, Reference.prefix(proof, proof.length - 1)), "shorter"
        );
        proof[seed % proof.length] ^= flip;
        assertFalse(tree.extends(oldSize, oldRoot, newSize, newRoot, proof), "other node");
    }

    function test_everyLeafOfEverySmallTreeIsIncluded() public view {
        for (uint64 size = 1; size <= 20; ++size) {
            bytes32[] memory list = leaves(size, size);
            for (uint64 index = 0; index < size; ++index) {
                checkIncluded(size, Reference.root(list), index, list[index], Reference.path(index, list), index);
            }
        }
    }

    function test_everySmallTreeExtendsEverySmallerOne() public view {
        for (uint64 newSize = 2; newSize <= 20; ++newSize) {
            bytes32[] memory list = leaves(newSize, newSize);
            for (uint64 oldSize = 1; oldSize < newSize; ++oldSize) {
                checkExtends(
                    oldSize,
                    Reference.root(list, 0, oldSize),
                    newSize,
                    Reference.root(list),
                    Reference.consistency(oldSize, list),
                    newSize
                );
            }
        }
    }

    function testFuzz_includes_agreesWithTheDefinition(uint256 seed, uint64 size, uint64 index) public view {
        size = uint64(bound(size, 1, 300));
        index = uint64(bound(index, 0, size - 1));
        bytes32[] memory list = leaves(seed, size);
        checkIncluded(size, Reference.root(list), index, list[index], Reference.path(index, list), seed);
    }

    function testFuzz_extends_agreesWithTheDefinition(uint256 seed, uint64 oldSize, uint64 newSize) public view {
        newSize = uint64(bound(newSize, 2, 300));
        oldSize = uint64(bound(oldSize, 1, newSize - 1));
        bytes32[] memory list = leaves(seed, newSize);
        checkExtends(
            oldSize,
            Reference.root(list, 0, oldSize),
            newSize,
            Reference.root(list),
            Reference.consistency(oldSize, list),
            seed
        );
    }

    /// Sizes that nobody could build: a proof of random nodes leads somewhere by the definition, and there it must be accepted.
    function testFuzz_includes_anySize(uint256 seed, uint64 size, uint64 index, bytes32 hash) public view {
        size = uint64(bound(size, 1, type(uint64).max));
        index = uint64(bound(index, 0, size - 1));
        uint256 count = Reference.pathNodes(index, size);
        assertLe(count, size < 1 << 63 ? 63 : 64);
        bytes32[] memory proof = nodes(seed, count);
        checkIncluded(size, Reference.climb(index, size, hash, proof, count), index, hash, proof, seed);
    }

    function testFuzz_extends_anySize(uint256 seed, uint64 oldSize, uint64 newSize) public view {
        newSize = uint64(bound(newSize, 2, type(uint64).max));
        oldSize = uint64(bound(oldSize, 1, newSize - 1));
        checkClimb(seed, oldSize, newSize);
    }

    /// Neighbours of powers of two, where paths are longest, shortest, and empty.
    function testFuzz_extends_nearPowersOfTwo(uint256 seed, uint8 oldBits, uint8 newBits, uint8 below, uint8 above)
        public
        view
    {
        uint256 oldSize = (uint256(1) << bound(oldBits, 2, 62)) + bound(below, 0, 4) - 2;
        uint256 newSize = (uint256(1) << bound(newBits, 2, 63)) + bound(above, 0, 4) - 2;
        vm.assume(0 < oldSize && oldSize < newSize);
        checkClimb(seed, uint64(oldSize), uint64(newSize));
    }

    function checkClimb(uint256 seed, uint64 oldSize, uint64 newSize) private view {
        uint256 count = Reference.consistencyNodes(oldSize, newSize);
        assertLe(count, newSize < 1 << 63 ? 64 : 65);
        bytes32[] memory proof = nodes(seed, count);
        (bytes32 oldRoot, bytes32 newRoot) =
            Reference.climbBoth(oldSize, newSize, keccak256(abi.encode(seed)), proof, count, true);
        checkExtends(oldSize, oldRoot, newSize, newRoot, proof, seed);
    }

    /// Whatever is thrown at it, the library says what the definition says.
    function testFuzz_includes_refusesWhatTheDefinitionRefuses(
        uint64 size,
        bytes32 root,
        uint64 index,
        bytes32 hash,
        bytes32[] memory proof
    ) public view {
        size = uint64(bound(size, 0, 64));
        index = uint64(bound(index, 0, 64));
        bool expected = index < size && Reference.pathNodes(index, size) == proof.length
            && Reference.climb(index, size, hash, proof, proof.length) == root;
        assertEq(tree.includes(size, root, index, hash, proof), expected);
    }

    function testFuzz_extends_refusesWhatTheDefinitionRefuses(
        uint64 oldSize,
        bytes32 oldRoot,
        uint64 newSize,
        bytes32 newRoot,
        bytes32[] memory proof
    ) public view {
        oldSize = uint64(bound(oldSize, 0, 64));
        newSize = uint64(bound(newSize, 0, 64));
        bool expected;
        if (oldSize == 0) {
            expected = proof.length == 0;
        } else if (oldSize == newSize) {
            expected = proof.length == 0 && oldRoot == newRoot;
        } else if (oldSize < newSize && Reference.consistencyNodes(oldSize, newSize) == proof.length) {
            (bytes32 oldSide, bytes32 newSide) =
                Reference.climbBoth(oldSize, newSize, oldRoot, proof, proof.length, true);
            expected = oldSide == oldRoot && newSide == newRoot;
        }
        assertEq(tree.extends(oldSize, oldRoot, newSize, newRoot, proof), expected);
    }

    /// A log that was rewritten at any one leaf before the old size has no proof, also not the honest one.
    function testFuzz_extends_refusesARewrittenLog(uint256 seed, uint64 oldSize, uint64 newSize, uint64 rewritten)
        public
        view
    {
        newSize = uint64(bound(newSize, 2, 100));
        oldSize = uint64(bound(oldSize, 1, newSize - 1));
        bytes32[] memory list = leaves(seed, newSize);
        bytes32 oldRoot = Reference.root(list, 0, oldSize);
        bytes32[] memory honest = Reference.consistency(oldSize, list);
        list[bound(rewritten, 0, oldSize - 1)] = keccak256("something that never happened");
        bytes32 newRoot = Reference.root(list);
        assertFalse(tree.extends(oldSize, oldRoot, newSize, newRoot, Reference.consistency(oldSize, list)));
        assertFalse(tree.extends(oldSize, oldRoot, newSize, newRoot, honest));
    }

    function testFuzz_extends_everythingExtendsTheEmptyTree(bytes32 oldRoot, uint64 newSize, bytes32 newRoot)
        public
        view
    {
        assertTrue(tree.extends(0, oldRoot, newSize, newRoot, new bytes32[](0)));
        assertFalse(tree.extends(0, oldRoot, newSize, newRoot, new bytes32[](1)));
    }

    function testFuzz_extends_aTreeOfTheSameSizeIsTheSame(uint64 size, bytes32 root, bytes32 other) public view {
        size = uint64(bound(size, 1, type(uint64).max));
        vm.assume(root != other);
        assertTrue(tree.extends(size, root, size, root, new bytes32[](0)));
        assertFalse(tree.extends(size, root, size, root, new bytes32[](1)));
        assertFalse(tree.extends(size, root, size, other, new bytes32[](0)));
    }

    /// Why sizes never come from a prover: one proof, one root, four sizes.
    function test_aProofDoesNotBindTheSize() public view {
        bytes32[] memory list = leaves(0, 8);
        bytes32[] memory proof = Reference.path(0, list);
        for (uint64 size = 5; size <= 8; ++size) {
            assertTrue(tree.includes(size, Reference.root(list), 0, list[0], proof));
        }
        assertFalse(tree.includes(4, Reference.root(list), 0, list[0], proof));
        assertFalse(tree.includes(9, Reference.root(list), 0, list[0], proof));
    }

    function testFuzz_leafHash_agreesWithTheDefinition(bytes calldata leaf) public view {
        assertEq(tree.leafHash(leaf), Reference.leafHash(leaf));
    }

    /// A node's two halves, taken for a leaf, hash to something else: the prefixes keep them apart.
    function testFuzz_leafHash_isNoNodeHash(bytes32 left, bytes32 right) public view {
        assertNotEq(tree.leafHash(bytes.concat(left, right)), Reference.nodeHash(left, right));
    }

    /// With whatever gas, it runs out or it answers what is true: a hash that failed for want of gas never decides.
    function testFuzz_tooLittleGasNeverChangesTheAnswer(uint256 seed, uint64 index, uint256 gasGiven) public view {
        index = uint64(bound(index, 0, 99));
        bytes32[] memory list = leaves(seed, 100);
        bytes32[] memory path = Reference.path(index, list);
        gasGiven = bound(gasGiven, 1000, 9000);
        bytes32 root = Reference.root(list);
        (bool done, bytes memory answer) = address(tree).staticcall{ gas: gasGiven }(
            abi.encodeCall(tree.includes, (100, root, index, list[index], path))
        );
        if (done) assertTrue(abi.decode(answer, (bool)));
        (done, answer) = address(tree).staticcall{ gas: gasGiven }(
            abi.encodeCall(tree.includes, (100, ~root, index, list[index], path))
        );
        if (done) assertFalse(abi.decode(answer, (bool)));
        (done, answer) =
            address(tree).staticcall{ gas: bound(gasGiven, 200, 1500) }(abi.encodeCall(tree.leafHash, ("leaf")));
        if (done) assertEq(abi.decode(answer, (bytes32)), Reference.leafHash("leaf"));
    }

    /// The one way in which the precompile fails, and only input of many kilobytes leaves enough gas to say so.
    function test_leafHash_runsOutOfGas() public view {
        bytes memory call = abi.encodeCall(tree.leafHash, (new bytes(50_000)));
        bool seen;
        for (uint256 given = 10_000; given < 60_000; given += 100) {
            (bool done, bytes memory answer) = address(tree).staticcall{ gas: given }(call);
            if (!done && answer.length == 4) {
                assertEq(bytes4(answer), Rfc9162.HashFailed.selector);
                seen = true;
            }
        }
        assertTrue(seen, "HashFailed was never seen");
    }
}
