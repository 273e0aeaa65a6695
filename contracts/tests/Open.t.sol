// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import { Commitments, LeafFormat } from "../src/Leaf.sol";
import { Balances, Details, Entry, Header, PartFormat } from "../src/Parts.sol";
import { Base } from "./Base.sol";

/// A leaf's commitment opened to header, details, body and entry; and each way in which it does not open.
contract OpenTest is Base {
    bytes32 private constant SALT = keccak256("a salt");

    // The layouts, written once more and from the writing side.

    function commit(string memory tag, bytes32 salt, bytes memory part) private pure returns (bytes32) {
        return sha256(bytes.concat(bytes32(bytes(tag)), salt, part));
    }

    function commitmentOf(Commitments memory parts) private pure returns (bytes32) {
        bytes memory joined = bytes.concat(
            bytes32("daftari/v1/commitment"),
            parts.header,
            parts.details,
            parts.body,
            bytes1(uint8(parts.entries.length))
        );
        for (uint256 i = 0; i < parts.entries.length; ++i) {
            joined = bytes.concat(joined, parts.entries[i]);
        }
        return sha256(joined);
    }

    function leafOf(uint8 kind, uint64 index, Commitments memory parts) private pure returns (bytes memory) {
        return encode(kind, LOG, index, commitmentOf(parts));
    }

    function write(Header memory it) private pure returns (bytes memory) {
        return abi.encodePacked(
            it.postingId,
            it.postingKind,
            it.program,
            it.recordedAt,
            it.effectiveAt,
            it.ruleSet,
            it.eventHash,
            it.reverses
        );
    }

    function write(Entry memory it) private pure returns (bytes memory) {
        bytes memory start = abi.encodePacked(it.account, it.unit, it.sequence, write(it.change), write(it.afterwards));
        return abi.encodePacked(start, it.lots, it.previousLeafIndex, it.previousCommitment);
    }

    function write(Balances memory it) private pure returns (bytes memory) {
        return abi.encodePacked(it.available, it.held, it.pending);
    }

    function write(string memory text) private pure returns (bytes memory) {
        return bytes(text).length == 0 ? bytes("") : abi.encodePacked(uint16(bytes(text).length), text);
    }

    function write(Details memory it) private pure returns (bytes memory) {
        uint8 presence = (bytes(it.merchantReference).length == 0 ? 0 : 1) | (bytes(it.actor).length == 0 ? 0 : 2)
            | (bytes(it.reason).length == 0 ? 0 : 4) | (bytes(it.description).length == 0 ? 0 : 8)
            | (bytes(it.rate).length == 0 ? 0 : 16);
        bytes memory start = bytes.concat(bytes1(presence), write(it.merchantReference), write(it.actor));
        return bytes.concat(start, write(it.reason), write(it.description), write(it.rate));
    }

    function someParts(uint8 kind) private pure returns (Commitments memory parts) {
        parts.header = keccak256("header");
        parts.details = keccak256("details");
        if (kind != 1) parts.body = keccak256("body");
        if (kind <= 2) {
            parts.entries = new bytes32[](2);
            parts.entries[0] = keccak256("entry 0");
            parts.entries[1] = keccak256("entry 1");
        }
    }

    // --- the leaf and its parts

    function testFuzz_commitmentOf(Commitments memory parts) public view {
        vm.assume(parts.entries.length <= 255);
        assertEq(audit.commitmentOf(parts), commitmentOf(parts));
    }

    function test_commitmentOf_takes255EntriesAndNoMore() public {
        Commitments memory parts = someParts(1);
        parts.entries = new bytes32[](255);
        assertEq(audit.commitmentOf(parts), commitmentOf(parts));
        parts.entries = new bytes32[](256);
        vm.expectRevert(abi.encodeWithSelector(LeafFormat.TooManyEntries.selector, 256));
        audit.commitmentOf(parts);
    }

    function testFuzz_open_refusesOtherParts(uint8 which, bytes32 other) public {
        Commitments memory parts = someParts(2);
        bytes memory leaf = leafOf(2, 0, parts);
        bytes32 committed = commitmentOf(parts);
        which = which % 5;
        if (which == 0) parts.header ^= other;
        else if (which == 1) parts.details ^= other;
        else if (which == 2) parts.body ^= other;
        else parts.entries[which - 3] ^= other;
        vm.assume(other != 0 && parts.body != 0);
        vm.expectRevert(abi.encodeWithSelector(LeafFormat.CommitmentDiffers.selector, committed, commitmentOf(parts)));
        audit.openHeader(leaf, parts, SALT, "");
    }

    function testFuzz_open_refusesABodyWhereThereIsNone(bytes32 body) public {
        vm.assume(body != 0);
        Commitments memory parts = someParts(1);
        parts.body = body;
        bytes memory leaf = leafOf(1, 0, parts);
        vm.expectRevert(abi.encodeWithSelector(LeafFormat.BodyMisplaced.selector, 1, body));
        audit.openHeader(leaf, parts, SALT, "");
    }

    function testFuzz_open_refusesNoBodyWhereThereIsOne(uint8 kind) public {
        kind = uint8(bound(kind, 2, 7));
        Commitments memory parts = someParts(kind);
        parts.body = 0;
        bytes memory leaf = leafOf(kind, 0, parts);
        vm.expectRevert(abi.encodeWithSelector(LeafFormat.BodyMisplaced.selector, kind, bytes32(0)));
        audit.openHeader(leaf, parts, SALT, "");
    }

    function testFuzz_open_refusesEntriesWhereThereAreNone(uint8 kind) public {
        kind = uint8(bound(kind, 3, 7));
        Commitments memory parts = someParts(kind);
        parts.entries = new bytes32[](1);
        bytes memory leaf = leafOf(kind, 0, parts);
        vm.expectRevert(abi.encodeWithSelector(LeafFormat.EntriesMisplaced.selector, kind, 1));
        audit.openHeader(leaf, parts, SALT, "");
    }

    /// Each view reads the leaf the same strict way.
    function testFuzz_open_refusesWhatIsNoLeaf(bytes memory leaf) public {
        vm.assume(leaf.length != 74);
        Commitments memory parts = someParts(1);
        bytes memory reason = abi.encodeWithSelector(LeafFormat.LeafLength.selector, leaf.length);
        vm.expectRevert(reason);
        audit.openHeader(leaf, parts, SALT, "");
        vm.expectRevert(reason);
        audit.openDetails(leaf, parts, SALT, "");
        vm.expectRevert(reason);
        audit.openBody(leaf, parts, SALT, "");
        vm.expectRevert(reason);
        audit.openEntry(leaf, parts, 0, SALT, "");
    }

    function checkPartDiffers(bytes memory answer, bytes32 committed, bytes32 computed) private pure {
        assertEq(answer, abi.encodeWithSelector(LeafFormat.PartDiffers.selector, committed, computed));
    }

    /// Other bytes or another salt, in each of the four: the tag of a part is bound by its commitment as well.
    function testFuzz_open_refusesOtherBytesAndOtherSalts(bytes32 salt, bytes memory part) public view {
        Commitments memory parts = someParts(2);
        bytes memory leaf = leafOf(2, 0, parts);
        bytes[4] memory calls = [
            abi.encodeCall(audit.openHeader, (leaf, parts, salt, part)),
            abi.encodeCall(audit.openDetails, (leaf, parts, salt, part)),
            abi.encodeCall(audit.openBody, (leaf, parts, salt, part)),
            abi.encodeCall(audit.openEntry, (leaf, parts, 1, salt, part))
        ];
        bytes32[4] memory committed = [parts.header, parts.details, parts.body, parts.entries[1]];
        string[4] memory tags = ["daftari/v1/header", "daftari/v1/details", "daftari/v1/body", "daftari/v1/entry"];
        for (uint256 i = 0; i < 4; ++i) {
            (bool done, bytes memory answer) = address(audit).staticcall(calls[i]);
            assertFalse(done);
            checkPartDiffers(answer, committed[i], commit(tags[i], salt, part));
        }
    }

    // --- the header

    function openHeader(uint8 kind, bytes memory part) private view returns (Header memory) {
        Commitments memory parts = someParts(kind);
        parts.header = commit("daftari/v1/header", SALT, part);
        return audit.openHeader(leafOf(kind, 0, parts), parts, SALT, part);
    }

    function testFuzz_openHeader(uint8 kind, Header memory header) public view {
        kind = uint8(bound(kind, 1, 7));
        if (header.recordedAt < header.effectiveAt) {
            (header.recordedAt, header.effectiveAt) = (header.effectiveAt, header.recordedAt);
        }
        header.postingKind = kind <= 2 ? uint8(bound(header.postingKind, 1, 255)) : 0;
        assertEq(abi.encode(openHeader(kind, write(header))), abi.encode(header));
    }

    function testFuzz_openHeader_refusesEffectsAfterTheRecord(Header memory header) public {
        vm.assume(header.recordedAt != header.effectiveAt);
        if (header.effectiveAt < header.recordedAt) {
            (header.recordedAt, header.effectiveAt) = (header.effectiveAt, header.recordedAt);
        }
        vm.expectRevert(
            abi.encodeWithSelector(PartFormat.EffectiveAfterRecorded.selector, header.effectiveAt, header.recordedAt)
        );
        this.openHeaderOutside(1, write(header));
    }

    function testFuzz_openHeader_refusesAPostingKindThatDoesNotFit(uint8 kind, uint8 postingKind) public {
        kind = uint8(bound(kind, 1, 7));
        Header memory header;
        header.postingKind = kind <= 2 ? 0 : uint8(bound(postingKind, 1, 255));
        vm.expectRevert(abi.encodeWithSelector(PartFormat.PostingKindMisplaced.selector, kind, header.postingKind));
        this.openHeaderOutside(kind, write(header));
    }

    function testFuzz_openHeader_refusesOtherLengths(bytes memory part) public {
        vm.assume(part.length != 129);
        vm.expectRevert(abi.encodeWithSelector(PartFormat.HeaderLength.selector, part.length));
        this.openHeaderOutside(1, part);
    }

    /// What is expected to revert has to be one call, and made from here it would be several.
    function openHeaderOutside(uint8 kind, bytes memory part) external view returns (Header memory) {
        return openHeader(kind, part);
    }

    // --- the details

    function openDetails(bytes memory part) private view returns (Details memory) {
        Commitments memory parts = someParts(1);
        parts.details = commit("daftari/v1/details", SALT, part);
        return audit.openDetails(leafOf(1, 0, parts), parts, SALT, part);
    }

    function openDetailsOutside(bytes memory part) external view returns (Details memory) {
        return openDetails(part);
    }

    function checkDetailsRefused(bytes memory part, bytes memory reason) private {
        vm.expectRevert(reason);
        this.openDetailsOutside(part);
    }

    /// Printable text of up to 2,000 bytes, made of random bytes.
    function readable(string memory text) private pure {
        bytes memory raw = bytes(text);
        if (raw.length > 2000) {
            assembly {
                mstore(raw, 2000)
            }
        }
        for (uint256 i = 0; i < raw.length; ++i) {
            raw[i] = bytes1(uint8(raw[i]) & 0x7f);
        }
    }

    function testFuzz_openDetails(Details memory details) public view {
        readable(details.merchantReference);
        readable(details.actor);
        readable(details.reason);
        readable(details.description);
        readable(details.rate);
        assertEq(abi.encode(openDetails(write(details))), abi.encode(details));
    }

    function test_openDetails_takesWhatIsEmpty() public view {
        Details memory details;
        assertEq(abi.encode(openDetails(hex"00")), abi.encode(details));
    }

    function test_openDetails_takesTextsOf2000BytesAndNoMore() public {
        Details memory details;
        details.reason = string(new bytes(2000));
        assertEq(abi.encode(openDetails(write(details))), abi.encode(details));
        details.reason = string(new bytes(2001));
        checkDetailsRefused(write(details), abi.encodeWithSelector(PartFormat.TextLength.selector, 2001));
    }

    function test_openDetails_refusesEmptyTexts() public {
        checkDetailsRefused(hex"010000", abi.encodeWithSelector(PartFormat.TextLength.selector, 0));
    }

    function testFuzz_openDetails_refusesUnknownFields(uint8 presence) public {
        presence = uint8(bound(presence, 0x20, 0xff));
        checkDetailsRefused(
            abi.encodePacked(presence), abi.encodeWithSelector(PartFormat.UnknownDetails.selector, presence)
        );
    }

    function test_openDetails_refusesWhatEndsTooEarly() public {
        bytes memory whole = hex"0500036f6e65000374776f";
        openDetails(whole);
        for (uint256 length = 0; length < whole.length; ++length) {
            bytes memory part = bytes.concat(whole);
            assembly {
                mstore(part, length)
            }
            checkDetailsRefused(part, abi.encodeWithSelector(PartFormat.DetailsTooShort.selector, length));
        }
    }

    function testFuzz_openDetails_refusesBytesLeftOver(bytes memory rest) public {
        vm.assume(rest.length != 0);
        checkDetailsRefused(
            bytes.concat(hex"0400026f6b", rest), abi.encodeWithSelector(PartFormat.DetailsTooLong.selector, rest.length)
        );
    }

    /// Whether UTF-8, and from where not. The cases stand around every border of RFC 3629.
    function test_openDetails_refusesWhatIsNotUtf8() public {
        checkText(hex"00", true, 0);
        checkText(hex"7f", true, 0);
        checkText(hex"80", false, 0);
        checkText(hex"c1bf", false, 0);
        checkText(hex"c280", true, 0);
        checkText(hex"c27f", false, 0);
        checkText(hex"c2c0", false, 0);
        checkText(hex"dfbf", true, 0);
        checkText(hex"c2", false, 0);
        checkText(hex"e09fbf", false, 0);
        checkText(hex"e0a080", true, 0);
        checkText(hex"e0bfbf", true, 0);
        checkText(hex"e18080", true, 0);
        checkText(hex"ecbfbf", true, 0);
        checkText(hex"ed9fbf", true, 0);
        checkText(hex"eda080", false, 0);
        checkText(hex"ee8080", true, 0);
        checkText(hex"efbfbf", true, 0);
        checkText(hex"e18000", false, 0);
        checkText(hex"e180c0", false, 0);
        checkText(hex"e180", false, 0);
        checkText(hex"f08fbfbf", false, 0);
        checkText(hex"f0908080", true, 0);
        checkText(hex"f1808080", true, 0);
        checkText(hex"f3bfbfbf", true, 0);
        checkText(hex"f48fbfbf", true, 0);
        checkText(hex"f4908080", false, 0);
        checkText(hex"f5808080", false, 0);
        checkText(hex"ff", false, 0);
        checkText(hex"f1808000", false, 0);
        checkText(hex"f1800080", false, 0);
        checkText(hex"f18080", false, 0);
        checkText(bytes.concat("ok", hex"c3a9c3"), false, 4);
        checkText(unicode"Kahawa, 2 × 250 g — ☕ 🦒", true, 0);
    }

    function checkText(bytes memory text, bool good, uint256 from) private {
        bytes memory part = abi.encodePacked(uint8(0x10), uint16(text.length), text);
        if (good) {
            assertEq(openDetails(part).rate, string(text));
        } else {
            checkDetailsRefused(part, abi.encodeWithSelector(PartFormat.TextNotUtf8.selector, from));
        }
    }

    // --- the body

    function testFuzz_openBody(uint8 kind, bytes32 salt, bytes memory part) public view {
        kind = uint8(bound(kind, 2, 7));
        if (kind != 2) salt = 0;
        Commitments memory parts = someParts(kind);
        parts.body = commit("daftari/v1/body", salt, part);
        assertEq(audit.openBody(leafOf(kind, 0, parts), parts, salt, part), kind);
    }

    function testFuzz_openBody_refusesASaltOnAPublicBody(uint8 kind, bytes32 salt, bytes memory part) public {
        vm.assume(salt != 0);
        kind = uint8(bound(kind, 3, 7));
        Commitments memory parts = someParts(kind);
        parts.body = commit("daftari/v1/body", salt, part);
        bytes memory leaf = leafOf(kind, 0, parts);
        vm.expectRevert(abi.encodeWithSelector(LeafFormat.PublicBodySalted.selector, kind, salt));
        audit.openBody(leaf, parts, salt, part);
    }

    // --- the entry

    function openEntry(uint64 leafIndex, uint256 position, bytes memory part) private view returns (Entry memory) {
        Commitments memory parts = someParts(1);
        parts.entries[position] = commit("daftari/v1/entry", SALT, part);
        return audit.openEntry(leafOf(1, leafIndex, parts), parts, position, SALT, part);
    }

    function openEntryOutside(uint64 leafIndex, bytes memory part) external view returns (Entry memory) {
        return openEntry(leafIndex, 1, part);
    }

    function checkEntryRefused(uint64 leafIndex, bytes memory part, bytes memory reason) private {
        vm.expectRevert(reason);
        this.openEntryOutside(leafIndex, part);
    }

    function testFuzz_openEntry_later(uint64 leafIndex, uint8 position, Entry memory entry) public view {
        leafIndex = uint64(bound(leafIndex, 1, type(uint64).max));
        entry.sequence = uint64(bound(entry.sequence, 2, type(uint64).max));
        entry.previousLeafIndex = uint64(bound(entry.previousLeafIndex, 0, leafIndex - 1));
        assertEq(abi.encode(openEntry(leafIndex, position % 2, write(entry))), abi.encode(entry));
    }

    function first(Entry memory entry) private pure {
        entry.sequence = 1;
        entry.afterwards = entry.change;
        entry.previousLeafIndex = type(uint64).max;
        entry.previousCommitment = 0;
    }

    function testFuzz_openEntry_first(uint64 leafIndex, Entry memory entry) public view {
        first(entry);
        assertEq(abi.encode(openEntry(leafIndex, 0, write(entry))), abi.encode(entry));
    }

    function testFuzz_openEntry_refusesOtherLengths(bytes memory part) public {
        vm.assume(part.length != 146);
        checkEntryRefused(0, part, abi.encodeWithSelector(PartFormat.EntryLength.selector, part.length));
    }

    function testFuzz_openEntry_refusesSequenceZero(uint64 leafIndex, Entry memory entry) public {
        entry.sequence = 0;
        checkEntryRefused(leafIndex, write(entry), abi.encodeWithSelector(PartFormat.SequenceZero.selector));
    }

    function testFuzz_openEntry_refusesAFirstThatHasAPrevious(Entry memory entry, uint64 previous, bytes32 other)
        public
    {
        vm.assume(previous != type(uint64).max && other != 0);
        first(entry);
        entry.previousLeafIndex = previous;
        bytes4 reason = PartFormat.FirstHasPrevious.selector;
        checkEntryRefused(type(uint64).max, write(entry), abi.encodeWithSelector(reason, previous, bytes32(0)));
        first(entry);
        entry.previousCommitment = other;
        checkEntryRefused(0, write(entry), abi.encodeWithSelector(reason, type(uint64).max, other));
    }

    function testFuzz_openEntry_refusesAFirstNotFromZero(Entry memory entry, uint8 which) public {
        first(entry);
        Balances memory other = Balances(entry.change.available, entry.change.held, entry.change.pending);
        if (which % 3 == 0) other.available ^= 1;
        else if (which % 3 == 1) other.held ^= 1;
        else other.pending ^= 1;
        entry.afterwards = other;
        checkEntryRefused(0, write(entry), abi.encodeWithSelector(PartFormat.FirstNotFromZero.selector));
    }

    function testFuzz_openEntry_refusesAPreviousThatIsNotBefore(uint64 leafIndex, Entry memory entry) public {
        entry.sequence = uint64(bound(entry.sequence, 2, type(uint64).max));
        entry.previousLeafIndex = uint64(bound(entry.previousLeafIndex, leafIndex, type(uint64).max));
        checkEntryRefused(
            leafIndex,
            write(entry),
            abi.encodeWithSelector(PartFormat.PreviousNotBefore.selector, entry.previousLeafIndex, leafIndex)
        );
    }

    function testFuzz_openEntry_refusesPositionsItDoesNotHave(uint256 position) public {
        position = bound(position, 2, type(uint256).max);
        Commitments memory parts = someParts(1);
        bytes memory leaf = leafOf(1, 0, parts);
        vm.expectRevert(abi.encodeWithSelector(LeafFormat.NoSuchEntry.selector, position, 2));
        audit.openEntry(leaf, parts, position, SALT, "");
    }
}
