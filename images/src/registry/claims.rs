//! Downloads under way: two pulls that need the same layer at once share one.
//!
//! A pull claims, in one step, all the layers it needs that nobody has claimed, and waits for the others until the pull
//! that has them is over. So a pull only ever waits for older ones, and no two wait for each other.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;

/// The last that was told of a layer: status, bytes now, bytes in all.
pub(super) type State = (String, u64, u64);

/// All downloads under way, by the layer's digest.
#[derive(Clone, Debug, Default)]
pub(super) struct Claims {
    layers: Arc<Mutex<HashMap<String, watch::Receiver<State>>>>,
}

/// A layer that this pull downloads. Whoever waits for it goes on when this is dropped.
#[derive(Debug)]
pub(super) struct Claim {
    claims: Claims,
    pub(super) digest: String,
    pub(super) state: Arc<watch::Sender<State>>,
}

/// Who sees to a layer.
#[derive(Debug)]
pub(super) enum Owner {
    /// The caller.
    Own(Claim),
    /// An older pull: its progress, until it is over.
    Other(watch::Receiver<State>),
}

impl Claims {
    /// Claims layers, in one step; in the order of `digests`, which are distinct.
    pub(super) fn claim<'d>(&self, digests: impl Iterator<Item = &'d str>) -> Vec<Owner> {
        let mut layers = self.layers.lock();
        let mut claim = |digest: &str| match layers.get(digest) {
            Some(other) => Owner::Other(other.clone()),
            None => {
                let (sender, receiver) = watch::channel(State::default());
                layers.insert(digest.to_owned(), receiver);
                Owner::Own(Claim { claims: self.clone(), digest: digest.to_owned(), state: Arc::new(sender) })
            }
        };
        digests.map(&mut claim).collect()
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.claims.layers.lock().remove(&self.digest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_second_waits_for_the_first() {
        let claims = Claims::default();
        let first = claims.claim(["a", "b"].into_iter());
        let second = claims.claim(["b", "c"].into_iter());
        assert!(matches!(first[..], [Owner::Own(_), Owner::Own(_)]));
        let [Owner::Other(b), Owner::Own(_)] = &second[..] else { panic!("{second:?}") };
        let mut b = b.clone();
        if let Owner::Own(claim) = &first[1] {
            claim.state.send_replace(("Downloading".into(), 1, 2));
        }
        b.changed().await.unwrap();
        assert_eq!(b.borrow_and_update().1, 1);
        drop(first);
        assert!(b.changed().await.is_err());
        assert!(matches!(claims.claim(["a"].into_iter())[0], Owner::Own(_)));
        drop(second);
        assert!(matches!(claims.claim(["c"].into_iter())[0], Owner::Own(_)));
        assert!(claims.layers.lock().is_empty());
    }
}
