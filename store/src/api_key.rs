//! API keys as they are written: `lk_live_` or `lk_test_`, 32 random letters and digits, and six that check the rest, so that
//! a mistyped or invented key is refused without asking the database.

use sha2::{Digest, Sha256};

use crate::keyring::fill;

const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const RANDOM_LETTERS: usize = 32;
const CHECK_LETTERS: usize = 6;
/// Enough of a key to speak of it: 47 of its 190 random bits.
const NAME_LETTERS: usize = 8;
const PREFIX_LETTERS: usize = 8;

/// Which books a key opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Environment {
    /// Those in which points are worth something.
    Live,
    /// A sandbox.
    Test,
}

impl Environment {
    /// What its keys begin with.
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Live => "lk_live_",
            Self::Test => "lk_test_",
        }
    }

    /// Where this key belongs, if it is written as a key is.
    pub fn of(key: &str) -> Option<Self> {
        let environment = [Self::Live, Self::Test].into_iter().find(|it| key.starts_with(it.prefix()))?;
        let (body, check) = key.split_at_checked(PREFIX_LETTERS + RANDOM_LETTERS)?;
        (check_of(body) == check).then_some(environment)
    }

    /// A new key.
    pub fn generate(self) -> String {
        self.key(&std::iter::repeat_with(letter).take(RANDOM_LETTERS).collect::<String>())
    }

    /// The key of these letters, with its check; for a key that anybody is given they are random.
    pub fn key(self, letters: &str) -> String {
        let body = format!("{}{letters}", self.prefix());
        let check = check_of(&body);
        body + &check
    }
}

/// The part of a key by which it is called, and which is no secret.
pub(crate) fn name(key: &str) -> &str {
    &key[..PREFIX_LETTERS + NAME_LETTERS]
}

fn letter() -> char {
    loop {
        let mut byte = [0];
        fill(&mut byte);
        // 248 is four times 62: what is above would make some letters likelier than others.
        if byte[0] < 248 {
            return char::from(LETTERS[usize::from(byte[0]) % LETTERS.len()]);
        }
    }
}

fn check_of(body: &str) -> String {
    let hash = Sha256::digest(body);
    let number = u32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]]) as usize;
    let digits = (0..CHECK_LETTERS as u32).map(|it| number / LETTERS.len().pow(it) % LETTERS.len());
    digits.map(|it| char::from(LETTERS[it])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_known_by_its_shape_and_every_slip_shows() {
        for environment in [Environment::Live, Environment::Test] {
            let key = environment.generate();
            assert_eq!(key.len(), 46);
            assert_ne!(key, environment.generate());
            assert_eq!(Environment::of(&key), Some(environment));
            for at in 0..key.len() {
                let mut slip = key.clone().into_bytes();
                slip[at] = if slip[at] == b'x' { b'y' } else { b'x' };
                assert_eq!(Environment::of(std::str::from_utf8(&slip).unwrap()), None, "letter {at}");
                assert_eq!(Environment::of(&key[..at]), None);
            }
            assert_eq!(Environment::of(&format!("{key}0")), None);
        }
        for other in ["", "lk_live_", "lk_prod_x", "ключ_ключ_ключ_ключ_ключ_ключ_ключ"]
        {
            assert_eq!(Environment::of(other), None);
        }
    }

    // The check is public, so that scanners for leaked keys can know ours from noise.
    #[test]
    fn the_check_is_what_the_documents_say() {
        assert_eq!(check_of("lk_test_00000000000000000000000000000000"), "BXijE0");
    }
}
