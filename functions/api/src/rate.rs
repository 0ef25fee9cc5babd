//! How often one key may ask: a bucket for each, in memory. On AWS each process has its own, below API Gateway's limit.

use jiff::Timestamp;
use rebond::limits;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// Buckets, by the key's hash: requests left, and when that was so, in milliseconds since 1970.
#[derive(Debug, Default)]
pub struct Rate(Mutex<HashMap<String, (f64, i64)>>);

impl Rate {
    /// Takes a request out of the key's bucket; where it is empty, the seconds to wait.
    pub fn refuses(&self, hash: &str, now: Timestamp) -> Option<u32> {
        let now = now.as_millisecond();
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Only keys that exist come here, so they are few.
        let (left, at) = buckets.entry(hash.to_owned()).or_insert((f64::from(limits::API_BURST), now));
        let passed = (now - *at).max(0) as f64 / 1_000.0;
        *left = (*left + passed * f64::from(limits::API_RATE)).min(f64::from(limits::API_BURST));
        *at = now;
        if *left < 1.0 {
            return Some(1);
        }
        *left -= 1.0;
        None
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_bucket_empties_and_fills_again() {
        let rate = Rate::default();
        let at = |ms: i64| Timestamp::from_millisecond(1_700_000_000_000 + ms).unwrap();
        for _ in 0..limits::API_BURST {
            assert_eq!(rate.refuses("a", at(0)), None);
        }
        assert_eq!(rate.refuses("a", at(0)), Some(1));
        assert_eq!(rate.refuses("b", at(0)), None, "each key has its own");
        assert_eq!(rate.refuses("a", at(i64::from(1_000 / limits::API_RATE) - 1)), Some(1));
        assert_eq!(rate.refuses("a", at(1_000)), None);
        // A clock that goes back gives nothing.
        assert_eq!(rate.refuses("b", at(-5_000)), None);
    }
}
