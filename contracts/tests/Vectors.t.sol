// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import { Test } from "forge-std/Test.sol";
import { AuditLog } from "../src/AuditLog.sol";
import { IAuditLog } from "../src/IAuditLog.sol";
import { Commitments } from "../src/Leaf.sol";
import { Reference } from "./Reference.sol";
import { Rfc9162Harness } from "./Rfc9162.t.sol";

/// The golden bytes that Rust wrote and TypeScript reads as well.
abstract contract Vectors is Test {
    struct Root {
        bytes32 root;
        uint64 size;
    }

    struct Inclusion {
        uint64 index;
        bytes32[] path;
        uint64 size;
    }

    // Named otherwise than in the file, where two of its fields are called `new` and `old`.
    struct Extension {
        uint64 newSize;
        uint64 oldSize;
        bytes32[] proof;
    }

    struct Part {
        bytes bytes_;
        bytes32 commitment;
        bytes32 salt;
    }

    struct Case {
        string name;
        string receipt;
        string verdict;
    }

    /// A receipt as its holder would give it to the contract: the leaf rebuilt from its parts.
    struct Opened {
        bytes leaf;
        Commitments parts;
        Part header;
        Part details;
        Part body;
        Part[] entries;
        bytes32[] path;
        uint64 size;
        bytes32 root;
    }

    function file(string memory name) internal view returns (string memory) {
        return vm.readFile(string.concat("../vectors/", name, ".json"));
    }
}

contract TreeVectorsTest is Vectors {
    Rfc9162Harness private immutable tree = new Rfc9162Harness();
    bytes32[] private leaves;
    mapping(uint64 size => bytes32) private roots;
    uint64 private sizeMax;

    function setUp() public {
        Root[] memory list =
            abi.decode(vm.parseJsonTypeArray(file("tree"), ".roots", "Root(bytes32 root,uint64 size)"), (Root[]));
        assertGt(list.length, 20);
        for (uint256 i = 0; i < list.length; ++i) {
            roots[list[i].size] = list[i].root;
            if (sizeMax < list[i].size) sizeMax = list[i].size;
        }
        for (uint256 i = 0; i < sizeMax; ++i) {
            leaves.push(tree.leafHash(abi.encodePacked(uint16(i))));
        }
        for (uint256 i = 0; i < list.length; ++i) {
            assertEq(Reference.root(leaves, 0, list[i].size), list[i].root);
        }
    }

    function test_inclusion() public view {
        Inclusion[] memory list = abi.decode(
            vm.parseJsonTypeArray(file("tree"), ".inclusion", "Inclusion(uint64 index,bytes32[] path,uint64 size)"),
            (Inclusion[])
        );
        assertGt(list.length, 100);
        for (uint256 i = 0; i < list.length; ++i) {
            Inclusion memory it = list[i];
            assertNotEq(roots[it.size], 0);
            assertTrue(tree.includes(it.size, roots[it.size], it.index, leaves[it.index], it.path));
            assertEq(Reference.path(it.index, Reference.prefix(leaves, it.size)), it.path);
        }
    }

    function test_consistency() public view {
        Extension[] memory list = abi.decode(
            vm.parseJsonTypeArray(file("tree"), ".consistency", "Consistency(uint64 new,uint64 old,bytes32[] proof)"),
            (Extension[])
        );
        assertGt(list.length, 300);
        for (uint256 i = 0; i < list.length; ++i) {
            Extension memory it = list[i];
            assertNotEq(roots[it.newSize], 0);
            assertTrue(tree.extends(it.oldSize, roots[it.oldSize], it.newSize, roots[it.newSize], it.proof));
            // Recomputed where the slow way is not too slow.
            if (it.oldSize != 0 && it.newSize <= 64) {
                assertEq(Reference.consistency(it.oldSize, Reference.prefix(leaves, it.newSize)), it.proof);
            }
        }
    }
}

contract ReceiptVectorsTest is Vectors {
    bytes32 private logId;
    // Where the reader stands in the opened leaf.
    bytes private extra;
    uint256 private read;

    function setUp() public {
        logId = vm.parseJsonBytes32(file("leaf"), ".log_id");
    }

    /// One log with one leaf of each kind: hashes, commitments and parts, each as Rust computed it.
    function test_leaves() public {
        string memory json = file("leaf");
        AuditLog audit = new AuditLog();
        assertFalse(vm.keyExistsJson(json, ".leaves[8]"));
        for (uint256 i = 0; i < 8; ++i) {
            string memory key = string.concat(".leaves[", vm.toString(i), "]");
            bytes memory leaf = vm.parseJsonBytes(json, string.concat(key, ".leaf"));
            assertEq(Reference.leafHash(leaf), vm.parseJsonBytes32(json, string.concat(key, ".leaf_hash")));
            Part memory header = part(json, string.concat(key, ".header"));
            Part memory details = part(json, string.concat(key, ".details"));
            Commitments memory parts;
            (parts.header, parts.details) = (header.commitment, details.commitment);
            bool hasBody = i >= 2;
            Part memory body;
            if (hasBody) body = part(json, string.concat(key, ".body"));
            parts.body = body.commitment;
            uint256 entries = i < 2 ? 2 : 0;
            parts.entries = new bytes32[](entries);
            for (uint256 e = 0; e < entries; ++e) {
                parts.entries[e] = part(json, string.concat(key, ".entries[", vm.toString(e), "]")).commitment;
            }
            assertEq(audit.commitmentOf(parts), vm.parseJsonBytes32(json, string.concat(key, ".commitment")));
            audit.openHeader(leaf, parts, header.salt, header.bytes_);
            audit.openDetails(leaf, parts, details.salt, details.bytes_);
            if (hasBody) {
                assertEq(audit.openBody(leaf, parts, body.salt, body.bytes_), i < 3 ? 2 : i);
            }
            for (uint256 e = 0; e < entries; ++e) {
                Part memory entry = part(json, string.concat(key, ".entries[", vm.toString(e), "]"));
                assertEq(audit.openEntry(leaf, parts, e, entry.salt, entry.bytes_).unit, 1);
            }
        }
    }

    function part(string memory json, string memory key) private pure returns (Part memory it) {
        it.bytes_ = vm.parseJsonBytes(json, string.concat(key, ".bytes"));
        it.commitment = vm.parseJsonBytes32(json, string.concat(key, ".commitment"));
        it.salt = vm.parseJsonBytes32(json, string.concat(key, ".salt"));
    }

    /// The contract's half of the verdict is the verdict, wherever it is the contract's to give. Signatures, witnesses and the
    /// receipt's text are for the verifiers outside.
    function test_receipts() public {
        Case[] memory cases = abi.decode(
            vm.parseJsonTypeArray(file("receipt"), ".cases", "Case(string name,string receipt,string verdict)"),
            (Case[])
        );
        uint256 seen;
        for (uint256 i = 0; i < cases.length; ++i) {
            if (isOurs(cases[i].verdict)) {
                check(cases[i]);
                ++seen;
            }
        }
        assertGt(seen, 20);
    }

    function isOurs(string memory verdict) private pure returns (bool) {
        return is_(verdict, "valid") || is_(verdict, "malformed_part") || is_(verdict, "wrong_log")
            || is_(verdict, "index_beyond_size") || is_(verdict, "not_included");
    }

    function check(Case memory it) private {
        Opened memory receipt = readReceipt(it.receipt);
        AuditLog audit = new AuditLog();
        bytes32 place = audit.register(logId, address(this), address(0), address(this), 1 hours);
        audit.anchor(place, receipt.size, receipt.root, new bytes32[](0));

        bool opens = opensAll(audit, receipt);
        // The contract opens one entry at a time and cannot see their order; everything else it sees.
        bool malformed = is_(it.verdict, "malformed_part") && !is_(it.name, "entries out of order");
        assertEq(opens, !malformed, it.name);
        if (is_(it.verdict, "malformed_part")) return;

        if (is_(it.verdict, "wrong_log")) vm.expectPartialRevert(IAuditLog.OtherLog.selector);
        if (is_(it.verdict, "index_beyond_size")) vm.expectPartialRevert(IAuditLog.IndexBeyondSize.selector);
        bool included = audit.includes(logId, address(this), receipt.size, receipt.leaf, receipt.path);
        assertEq(included, is_(it.verdict, "valid"), it.name);
    }

    function opensAll(AuditLog audit, Opened memory it) private view returns (bool) {
        if (it.header.bytes_.length != 0) {
            try audit.openHeader(it.leaf, it.parts, it.header.salt, it.header.bytes_) { }
            catch {
                return false;
            }
        }
        if (it.details.bytes_.length != 0) {
            try audit.openDetails(it.leaf, it.parts, it.details.salt, it.details.bytes_) { }
            catch {
                return false;
            }
        }
        if (it.body.bytes_.length != 0) {
            try audit.openBody(it.leaf, it.parts, it.body.salt, it.body.bytes_) { }
            catch {
                return false;
            }
        }
        for (uint256 e = 0; e < it.entries.length; ++e) {
            if (it.entries[e].bytes_.length == 0) continue;
            try audit.openEntry(it.leaf, it.parts, e, it.entries[e].salt, it.entries[e].bytes_) { }
            catch {
                return false;
            }
        }
        return true;
    }

    // --- the receipt's text, as far as these cases need it

    function readReceipt(string memory text) private returns (Opened memory it) {
        string[] memory lines = vm.split(text, "\n");
        assertEq(lines[0], "c2sp.org/tlog-proof@v1");
        uint64 index = uint64(vm.parseUint(vm.split(lines[2], " ")[1]));
        uint256 blank = 3;
        while (bytes(lines[blank]).length != 0) ++blank;
        it.path = new bytes32[](blank - 3);
        for (uint256 i = 3; i < blank; ++i) {
            it.path[i - 3] = bytes32(base64(lines[i]));
        }
        it.size = uint64(vm.parseUint(lines[blank + 2]));
        it.root = bytes32(base64(lines[blank + 3]));
        readExtra(it, index, base64(vm.split(lines[1], " ")[1]));
    }

    function readExtra(Opened memory it, uint64 index, bytes memory opened) private {
        (extra, read) = (opened, 0);
        uint8 version = uint8(bytes1(take(1)));
        uint8 kind = uint8(bytes1(take(1)));
        bytes32 ownLog = bytes32(take(32));
        it.header = readPart("daftari/v1/header");
        it.details = readPart("daftari/v1/details");
        it.body = readPart("daftari/v1/body");
        it.entries = new Part[](uint8(bytes1(take(1))));
        it.parts.entries = new bytes32[](it.entries.length);
        for (uint256 e = 0; e < it.entries.length; ++e) {
            it.entries[e] = readPart("daftari/v1/entry");
            it.parts.entries[e] = it.entries[e].commitment;
        }
        (it.parts.header, it.parts.details, it.parts.body) =
        (it.header.commitment, it.details.commitment, it.body.commitment);
        bytes memory all = abi.encodePacked(bytes32("daftari/v1/commitment"), it.parts.header, it.parts.details);
        bytes32 commitment = sha256(abi.encodePacked(all, it.parts.body, uint8(it.entries.length), it.parts.entries));
        it.leaf = abi.encodePacked(version, kind, ownLog, index, commitment);
    }

    function readPart(bytes32 tag) private returns (Part memory it) {
        uint8 state = uint8(bytes1(take(1)));
        if (state == 1) it.commitment = bytes32(take(32));
        if (state == 2) {
            it.salt = bytes32(take(32));
            it.bytes_ = take(uint16(bytes2(take(2))));
            it.commitment = sha256(abi.encodePacked(tag, it.salt, it.bytes_));
        }
    }

    function take(uint256 count) private returns (bytes memory taken) {
        taken = new bytes(count);
        for (uint256 i = 0; i < count; ++i) {
            taken[i] = extra[read++];
        }
    }

    function base64(string memory text) private pure returns (bytes memory decoded) {
        bytes memory symbols = bytes(text);
        uint256 padding = symbols[symbols.length - 2] == "=" ? 2 : symbols[symbols.length - 1] == "=" ? 1 : 0;
        decoded = new bytes(symbols.length / 4 * 3 - padding);
        uint256 bits;
        uint256 held;
        uint256 written;
        for (uint256 i = 0; i < symbols.length - padding; ++i) {
            held = (held << 6) | symbolValue(symbols[i]);
            bits += 6;
            if (bits >= 8) {
                bits -= 8;
                decoded[written++] = bytes1(uint8(held >> bits));
                held &= (1 << bits) - 1;
            }
        }
    }

    function symbolValue(bytes1 symbol) private pure returns (uint256) {
        if (symbol >= "a") return uint8(symbol) - 71;
        if (symbol >= "A") return uint8(symbol) - 65;
        if (symbol >= "0") return uint8(symbol) + 4;
        return symbol == "+" ? 62 : 63;
    }

    function is_(string memory left, string memory right) private pure returns (bool) {
        return keccak256(bytes(left)) == keccak256(bytes(right));
    }
}
