//! The same check by hand: the commands of Foundry's `cast`, with everything that they need from the receipt filled in.

use std::fmt::Write;

use proof::{AnchorPlace, Body, Entry, Part, PartValue, Policy, Verified};

/// The commands for each contract that the policy names.
pub(super) fn commands(policy: &Policy, verified: &Verified) -> String {
    let mut text = String::new();
    if policy.anchors.is_empty() {
        text.push_str("# No contract is named that could be asked: give --policy with a line `anchor`.\n");
    }
    for place in &policy.anchors {
        write_place(&mut text, place, verified).expect("a string takes what is written");
    }
    text
}

fn hex(bytes: impl AsRef<[u8]>) -> String {
    format!("0x{}", hex::encode(bytes))
}

fn write_place(text: &mut String, place: &AnchorPlace, verified: &Verified) -> std::fmt::Result {
    let leaf = &verified.leaf;
    let parts = leaf.commitments();
    let list = |hashes: &[proof::Hash]| hashes.iter().map(hex).collect::<Vec<_>>().join(",");
    writeln!(text, "\n# On chain {}: set ETH_RPC_URL to an endpoint that you trust.", place.chain_id)?;
    writeln!(text, "CONTRACT={} REGISTRANT={}", hex(place.contract), hex(place.registrant))?;
    writeln!(text, "LOG={}", hex(leaf.log_id))?;
    writeln!(text, "SIZE={} ROOT={}", verified.checkpoint.size, hex(verified.checkpoint.root))?;
    writeln!(text, "INDEX={} LEAF={}", verified.leaf_index, hex(leaf.leaf(verified.leaf_index).encode()))?;
    writeln!(text, "PROOF='[{}]'", list(&verified.path))?;
    let body = parts.body.unwrap_or_default();
    let [header, details, body] = [parts.header, parts.details, body].map(hex);
    writeln!(text, "PARTS='({header},{details},{body},[{}])'", list(&parts.entries))?;
    let header = write_opened(text, "HEADER", &leaf.header)?;
    let details = write_opened(text, "DETAILS", &leaf.details)?;
    let has_body = write_body(text, leaf.body.as_ref())?;
    for (position, entry) in leaf.entries.iter().enumerate() {
        if let Part::Opened { salt, value } = entry {
            writeln!(text, "POSITION={position} SALT={} ENTRY={}", hex(salt), hex(Entry::part_bytes(value)))?;
        }
    }
    text.push_str(
        "PLACE=$(cast call $CONTRACT 'placeOf(bytes32,address)(bytes32)' $LOG $REGISTRANT)\n\
         # The head's root or a pinned one: it must be ROOT. Zeros: the head has moved on; its event must show ROOT.\n\
         cast call $CONTRACT 'rootAt(bytes32,uint64)(bytes32)' $PLACE $SIZE\n\
         cast logs --from-block 0 --address $CONTRACT 'Anchored(bytes32 indexed,uint64 indexed,bytes32,uint64)' $PLACE $SIZE\n\
         # While the contract holds ROOT it looks the leaf up itself; else it reverts with SizeUnknown.\n\
         cast call $CONTRACT 'includes(bytes32,address,uint64,bytes,bytes32[])(bool)' $LOG $REGISTRANT $SIZE $LEAF $PROOF\n\
         # What the leaf says of the opened entry.\n\
         cast call $CONTRACT 'openEntry(bytes,(bytes32,bytes32,bytes32,bytes32[]),uint256,bytes32,bytes)((bytes16,uint16,\
         uint64,(int64,int64,int64),(int64,int64,int64),bytes32,uint64,bytes32))' $LEAF $PARTS $POSITION $SALT $ENTRY\n",
    );
    if header {
        text.push_str(
            "# What it is: id, kind, program, recorded and effective time in microseconds, rule set, event, what it reverses.\n\
             cast call $CONTRACT 'openHeader(bytes,(bytes32,bytes32,bytes32,bytes32[]),bytes32,bytes)((bytes16,uint8,bytes16,\
             int64,int64,bytes32,bytes32,bytes16))' $LEAF $PARTS $HEADER_SALT $HEADER\n",
        );
    }
    if details {
        text.push_str(
            "# Its words: the merchant's reference, who asked, why, a description, the rate.\n\
             cast call $CONTRACT 'openDetails(bytes,(bytes32,bytes32,bytes32,bytes32[]),bytes32,bytes)((string,string,string,\
             string,string))' $LEAF $PARTS $DETAILS_SALT $DETAILS\n",
        );
    }
    if has_body {
        text.push_str(
            "# That it has this body: the leaf's kind, 2 for a withdrawal. contracts/POINTS.md says how it is claimed.\n\
             cast call $CONTRACT 'openBody(bytes,(bytes32,bytes32,bytes32,bytes32[]),bytes32,bytes)(uint8)' $LEAF $PARTS \
             $BODY_SALT $BODY\n",
        );
    }
    Ok(())
}

/// Salt and bytes of the body, where there is one and the receipt opens it; whether it does.
fn write_body(text: &mut String, part: Option<&Part<Body>>) -> Result<bool, std::fmt::Error> {
    let Some(Part::Opened { salt, value }) = part else { return Ok(false) };
    writeln!(text, "BODY_SALT={} BODY={}", hex(salt), hex(value.encode()))?;
    Ok(true)
}

/// Salt and bytes of a part that the receipt opens; whether it does.
fn write_opened<T: PartValue>(
    text: &mut String,
    name: &str,
    part: &Part<T>,
) -> Result<bool, std::fmt::Error> {
    let Part::Opened { salt, value } = part else { return Ok(false) };
    writeln!(text, "{name}_SALT={} {name}={}", hex(salt), hex(value.part_bytes()))?;
    Ok(true)
}
