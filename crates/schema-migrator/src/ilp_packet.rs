//! ILP packets, as Mojaloop keeps them: base64url of a binary packet whose data is JSON, usually.
//!
//! Two wire forms are in databases: `type · amount · address · data`, and the same with a length behind the type (Interledger's own, which
//! begins `AYIB…` in base64). Lengths are those of OER: one byte, or `0x80 | n` and `n` bytes.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use serde_json::Value;

/// The text under a JSON pointer in the data of a packet.
///
/// # Errors
///
/// Why there is none, for the quarantine.
pub(crate) fn field(packet: &str, pointer: &str) -> Result<String, String> {
    let text = packet.trim().trim_end_matches('=');
    let bytes = URL_SAFE_NO_PAD.decode(text).or_else(|_| STANDARD_NO_PAD.decode(text));
    let bytes = bytes.map_err(|_| "the packet is no base64".to_owned())?;
    let data = plain(&bytes).or_else(|| wrapped(&bytes)).ok_or("it is no ILP packet")?;
    let document: Value = serde_json::from_slice(data).map_err(|_| "the data of the packet is no JSON".to_owned())?;
    match document.pointer(pointer) {
        Some(Value::String(text)) if !text.is_empty() => Ok(text.clone()),
        Some(Value::Number(number)) => Ok(number.to_string()),
        _ => Err(format!("the packet has no {pointer}")),
    }
}

/// `type · amount · address · data`, and nothing behind it.
fn plain(bytes: &[u8]) -> Option<&[u8]> {
    contents(bytes.get(1..)?)
}

/// The same behind its length.
fn wrapped(bytes: &[u8]) -> Option<&[u8]> {
    let (inner, rest) = octets(bytes.get(1..)?)?;
    if rest.is_empty() { contents(inner) } else { None }
}

fn contents(bytes: &[u8]) -> Option<&[u8]> {
    let (_address, rest) = octets(bytes.get(8..)?)?;
    let (data, rest) = octets(rest)?;
    // Extensions, of which there are none so far: an empty list.
    if rest.is_empty() || rest == [0] { Some(data) } else { None }
}

/// Bytes behind their length, and the rest.
fn octets(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&first, rest) = bytes.split_first()?;
    if first < 0x80 {
        return rest.split_at_checked(usize::from(first));
    }
    let (length, rest) = rest.split_at_checked(usize::from(first & 0x7f)).filter(|(length, _)| length.len() <= 4)?;
    let length = length.iter().fold(0_usize, |sum, byte| sum << 8 | usize::from(*byte));
    rest.split_at_checked(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(data: &str, is_wrapped: bool) -> String {
        let long = |bytes: &[u8]| {
            [vec![0x82], u16::try_from(bytes.len()).expect("short").to_be_bytes().to_vec(), bytes.to_vec()].concat()
        };
        let mut contents = 200_u64.to_be_bytes().to_vec();
        contents.extend([16]);
        contents.extend(b"private.payeefsp");
        contents.extend(long(data.as_bytes()));
        if is_wrapped {
            contents.extend([0]);
            contents = long(&contents);
        }
        URL_SAFE_NO_PAD.encode([vec![1], contents].concat())
    }

    #[test]
    fn both_wire_forms_are_read() {
        let data = format!(r#"{{"transactionId":"2df774e2","quoteId":"03a60550","note":"{}"}}"#, "x".repeat(300));
        for is_wrapped in [false, true] {
            let packet = packet(&data, is_wrapped);
            assert!(!is_wrapped || packet.starts_with("AYIB"), "{packet}");
            assert_eq!(field(&packet, "/quoteId"), Ok("03a60550".to_owned()));
            assert_eq!(field(&format!("{packet}=="), "/quoteId"), Ok("03a60550".to_owned()));
            assert_eq!(field(&packet, "/absent"), Err("the packet has no /absent".to_owned()));
        }
    }

    #[test]
    fn what_is_no_packet_has_a_reason() {
        for (text, why) in [
            ("not base64!", "no base64"),
            ("", "no ILP packet"),
            ("AQ", "no ILP packet"),
            ("AYIB", "no ILP packet"),
            ("____________________", "no ILP packet"),
        ] {
            let found = field(text, "/quoteId").expect_err(text);
            assert!(found.contains(why), "{text}: {found}");
        }
        assert_eq!(field(&packet("binary", false), "/quoteId"), Err("the data of the packet is no JSON".to_owned()));
    }
}
