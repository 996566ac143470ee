//! SCRAM (RFC 5802), as Kafka speaks it: both sides prove that they know the password, and nobody sends it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use pbkdf2::pbkdf2_hmac;
use sha2::{Digest as _, Sha256, Sha512};

/// Which hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hash {
    Sha256,
    Sha512,
}

/// More would be a way to keep us busy.
const MOST_ROUNDS: u32 = 1_000_000;

/// What we sent first.
pub(super) struct Scram<'a> {
    hash: Hash,
    password: &'a str,
    /// `n=user,r=nonce`.
    first: String,
    nonce: String,
}

/// The last message, and the signature that the server must answer.
pub(super) struct Proof {
    pub(super) message: String,
    pub(super) signature: Vec<u8>,
}

impl<'a> Scram<'a> {
    pub(super) fn new(hash: Hash, username: &str, password: &'a str, nonce: String) -> Self {
        let username = username.replace('=', "=3D").replace(',', "=2C");
        Self { hash, password, first: format!("n={username},r={nonce}"), nonce }
    }

    pub(super) fn first(&self) -> String {
        format!("n,,{}", self.first)
    }

    /// Answers the challenge; none when it is not one.
    pub(super) fn answer(&self, challenge: &str) -> Option<Proof> {
        let (nonce, salt, rounds) = (field(challenge, "r")?, field(challenge, "s")?, field(challenge, "i")?);
        let (salt, rounds) = (STANDARD.decode(salt).ok()?, rounds.parse().ok()?);
        if !nonce.starts_with(&self.nonce) || nonce.len() == self.nonce.len() || !(1..=MOST_ROUNDS).contains(&rounds) {
            return None;
        }
        let last = format!("c=biws,r={nonce}");
        let all = format!("{},{challenge},{last}", self.first);
        let salted = self.hash.stretch(self.password, &salt, rounds);
        let client = self.hash.mac(&salted, b"Client Key")?;
        let signature = self.hash.mac(&self.hash.digest(&client), all.as_bytes())?;
        let proof: Vec<u8> = client.iter().zip(&signature).map(|(key, signature)| key ^ signature).collect();
        let server = self.hash.mac(&salted, b"Server Key")?;
        let signature = self.hash.mac(&server, all.as_bytes())?;
        Some(Proof { message: format!("{last},p={}", STANDARD.encode(proof)), signature })
    }
}

impl Proof {
    /// Whether the server knows the password, too.
    pub(super) fn is_answered_by(&self, last: &str) -> bool {
        field(last, "v").and_then(|signature| STANDARD.decode(signature).ok()).as_ref() == Some(&self.signature)
    }
}

/// The value of `name=value` in a list with commas.
fn field<'a>(message: &'a str, name: &str) -> Option<&'a str> {
    message.split(',').find_map(|field| field.strip_prefix(name)?.strip_prefix('='))
}

impl Hash {
    fn stretch(self, password: &str, salt: &[u8], rounds: u32) -> Vec<u8> {
        match self {
            Self::Sha256 => {
                let mut key = [0; 32];
                pbkdf2_hmac::<Sha256>(password.as_bytes(), salt, rounds, &mut key);
                key.to_vec()
            }
            Self::Sha512 => {
                let mut key = [0; 64];
                pbkdf2_hmac::<Sha512>(password.as_bytes(), salt, rounds, &mut key);
                key.to_vec()
            }
        }
    }

    fn digest(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha256 => Sha256::digest(bytes).to_vec(),
            Self::Sha512 => Sha512::digest(bytes).to_vec(),
        }
    }

    fn mac(self, key: &[u8], bytes: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::Sha256 => mac::<Hmac<Sha256>>(key, bytes),
            Self::Sha512 => mac::<Hmac<Sha512>>(key, bytes),
        }
    }
}

fn mac<M: Mac + KeyInit>(key: &[u8], bytes: &[u8]) -> Option<Vec<u8>> {
    let mac = <M as KeyInit>::new_from_slice(key).ok()?;
    Some(mac.chain_update(bytes).finalize().into_bytes().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 7677.
    #[test]
    fn the_example_of_the_standard_is_answered() {
        let scram = Scram::new(Hash::Sha256, "user", "pencil", "rOprNGfwEbeRWgbNEkqO".to_owned());
        let challenge = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
        let proof = scram.answer(challenge).expect("a challenge");
        assert!(proof.message.ends_with(",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="), "{}", proof.message);
        assert!(proof.is_answered_by("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="));
        assert!(!proof.is_answered_by("v=AAAA") && !proof.is_answered_by("e=invalid-proof"));
        assert!(scram.answer("r=another,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096").is_none());
    }
}
