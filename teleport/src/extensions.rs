//! Values of any type that are kept beside a session or a call.

use std::any::{Any, TypeId, type_name};
use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;

/// Values by their type: what plugins and handlers know of a session or of one call, beyond what the library does.
///
/// There is at most one value of a type, so a type of your own keeps it from being mistaken for another's. Values are
/// handed out shared: no lock is held while one is used. Empty, it costs no allocation.
///
/// # Examples
///
/// ```
/// use teleport::Extensions;
///
/// #[derive(Debug, PartialEq)]
/// struct User(String);
///
/// let extensions = Extensions::default();
/// assert!(extensions.insert(User("Ada".into())).is_none());
/// assert_eq!(extensions.get::<User>().as_deref(), Some(&User("Ada".into())));
/// extensions.remove::<User>();
/// assert!(extensions.get::<User>().is_none());
/// ```
#[derive(Default)]
pub struct Extensions {
    // Few types ever stand in one: looking through them is faster than hashing.
    values: Mutex<Vec<Value>>,
}

struct Value {
    of: TypeId,
    name: &'static str,
    value: Arc<dyn Any + Send + Sync>,
}

impl Extensions {
    /// Puts a value in; returns the one of its type that was there.
    pub fn insert<T: Send + Sync + 'static>(&self, value: T) -> Option<Arc<T>> {
        let value = Value { of: TypeId::of::<T>(), name: type_name::<T>(), value: Arc::new(value) };
        let mut values = self.values.lock();
        let replaced = match values.iter_mut().find(|other| other.of == value.of) {
            Some(other) => Some(std::mem::replace(other, value)),
            None => {
                values.push(value);
                None
            }
        };
        drop(values);
        replaced.and_then(downcast)
    }

    /// The value of this type.
    #[must_use]
    pub fn get<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        let values = self.values.lock();
        let found = values.iter().find(|value| value.of == TypeId::of::<T>())?;
        let value = found.value.clone();
        drop(values);
        value.downcast().ok()
    }

    /// The value of this type; `make` gives it where there is none. `make` may run and its value be dropped, where
    /// another put one in at the same time.
    pub fn get_or_insert_with<T: Send + Sync + 'static>(&self, make: impl FnOnce() -> T) -> Arc<T> {
        if let Some(value) = self.get() {
            return value;
        }
        let made = Arc::new(make());
        let mut values = self.values.lock();
        let first = values.iter().find(|value| value.of == TypeId::of::<T>());
        if let Some(first) = first.and_then(|first| first.value.clone().downcast().ok()) {
            drop(values);
            return first;
        }
        values.push(Value { of: TypeId::of::<T>(), name: type_name::<T>(), value: made.clone() });
        made
    }

    /// Takes the value of this type out.
    pub fn remove<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        let mut values = self.values.lock();
        let at = values.iter().position(|value| value.of == TypeId::of::<T>())?;
        let removed = values.swap_remove(at);
        drop(values);
        downcast(removed)
    }
}

fn downcast<T: Send + Sync + 'static>(value: Value) -> Option<Arc<T>> {
    value.value.downcast().ok()
}

/// The names of the types that are there.
impl fmt::Debug for Extensions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.values.lock().iter().map(|value| value.name)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_one_value_of_each_type() {
        let extensions = Extensions::default();
        assert!(extensions.get::<u32>().is_none());
        assert!(extensions.insert(1u32).is_none());
        assert!(extensions.insert("text").is_none());
        assert_eq!(extensions.insert(2u32).as_deref(), Some(&1));
        assert_eq!(extensions.get::<u32>().as_deref(), Some(&2));
        assert_eq!(*extensions.get_or_insert_with(|| 3u32), 2);
        assert_eq!(*extensions.get_or_insert_with(|| 4u8), 4);
        assert_eq!(extensions.remove::<u32>().as_deref(), Some(&2));
        assert!(extensions.remove::<u32>().is_none());
        assert_eq!(extensions.get::<&str>().as_deref(), Some(&"text"));
        assert_eq!(format!("{extensions:?}"), r#"{"u8", "&str"}"#);
    }

    /// Otherwise two values that know of each other could lock for ever.
    #[test]
    fn a_value_is_dropped_and_made_without_the_lock() {
        struct Asks(Arc<Extensions>);
        impl Drop for Asks {
            fn drop(&mut self) {
                assert!(self.0.get::<u8>().is_some());
            }
        }
        let extensions = Arc::new(Extensions::default());
        extensions.insert(1u8);
        extensions.insert(Asks(extensions.clone()));
        drop(extensions.insert(Asks(extensions.clone())));
        drop(extensions.remove::<Asks>());
        assert_eq!(*extensions.get_or_insert_with(|| u16::from(*extensions.get::<u8>().unwrap())), 1);
    }
}
