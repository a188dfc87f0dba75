//! Things by key. A key of something gone never leads to what came after it.

/// Names one thing for as long as it is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Key {
    index: u32,
    generation: u32,
}

/// Generations count up to here: a key has to fit into an event's token beside its kind.
const GENERATIONS: u32 = 1 << 30;

impl Key {
    /// As a number of 62 bits.
    pub(super) fn number(self) -> usize {
        (self.generation as usize) << 32 | self.index as usize
    }

    /// From that number.
    pub(super) fn from_number(number: usize) -> Self {
        Self {
            // Both halves were 32 bits wide.
            index: number as u32,
            generation: (number >> 32) as u32 % GENERATIONS,
        }
    }
}

struct Slot<T> {
    generation: u32,
    value: Option<T>,
}

/// A table with reused places.
pub(super) struct Slots<T> {
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
}

impl<T> Slots<T> {
    pub(super) fn new() -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
        }
    }

    /// A place for what is made once its key is known.
    pub(super) fn reserve(&mut self) -> Key {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot {
                generation: 0,
                value: None,
            });
            // Descriptors end long before four billion.
            (self.slots.len() - 1) as u32
        });
        let generation = self.slots[index as usize].generation;
        Key { index, generation }
    }

    fn slot(&mut self, key: Key) -> Option<&mut Slot<T>> {
        let slot = self.slots.get_mut(key.index as usize)?;
        (slot.generation == key.generation).then_some(slot)
    }

    pub(super) fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        self.slot(key)?.value.as_mut()
    }

    /// Takes it out; the place stays its own.
    pub(super) fn take(&mut self, key: Key) -> Option<T> {
        self.slot(key)?.value.take()
    }

    /// Puts it into the place of its key.
    pub(super) fn put(&mut self, key: Key, value: T) {
        if let Some(slot) = self.slot(key) {
            slot.value = Some(value);
        }
    }

    /// Gives the place back.
    pub(super) fn release(&mut self, key: Key) {
        if let Some(slot) = self.slot(key) {
            slot.value = None;
            slot.generation = (slot.generation + 1) % GENERATIONS;
            self.free.push(key.index);
        }
    }

    /// How many places are taken.
    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Everything that is in its place.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Key, &T)> {
        self.slots.iter().enumerate().filter_map(|(index, slot)| {
            let key = Key {
                index: index as u32,
                generation: slot.generation,
            };
            Some((key, slot.value.as_ref()?))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_key_leads_nowhere() {
        let mut slots = Slots::new();
        let old = slots.reserve();
        slots.put(old, 'a');
        slots.release(old);
        let new = slots.reserve();
        slots.put(new, 'b');
        assert_eq!(slots.get_mut(old), None);
        slots.put(old, 'c');
        assert_eq!((slots.take(new), slots.len()), (Some('b'), 1));
        assert_eq!(Key::from_number(new.number()), new);
    }
}
